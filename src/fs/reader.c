/*
 * Reading: from the spool where the inode is staged, else from the object.
 *
 * A handle keeps one reader, made at the first read for the version that the inode had. It
 * is replaced when .own_changes of the inode has moved on: this mount has published or
 * renamed the object, and POSIX wants the new bytes (or the same ones under another key).
 */
#include "fs/reader.h"

#include "fs/keep.h"
#include "fs/rename_whole.h"
#include "fs/resolve.h"
#include "fs/stage.h"
#include "transfer/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct fs_reader {
    struct xfer_reader *reader; /* constant, like .version */
    unsigned version;           /* .own_changes when it was made */
    unsigned refs;              /* filesystem's lock */
};

static struct fs_reader *unref_locked(struct fs_reader *r)
{
    return r && --r->refs == 0 ? r : NULL;
}

static void reader_free(struct fs_reader *r)
{
    if (!r)
        return;
    xfer_reader_free(r->reader);
    free(r);
}

void fs_reader_drop(struct fs *fs, struct fs_reader *r)
{
    {
        ou_lock_scope(&fs->lock);
        r = unref_locked(r);
    }
    reader_free(r);
}

/* NULL: @err tells why. */
static struct fs_reader *reader_new_locked(struct fs *fs, const struct fs_inode *inode,
                                           struct ou_error *err)
{
    ou_autofree char *key = inode->doomed ? strdup(inode->doomed) : NULL;
    struct fs_reader *r;

    if (inode->doomed && !key) {
        (void)ou_error_set(err, ENOMEM, "read");
        return NULL;
    }
    if (!key && fs_inode_key(&fs->tree, inode, &key, err) < 0) {
        if (inode->handles)
            (void)ou_error_set(err, ESTALE, "the object is gone");
        return NULL;
    }
    if (!inode->has_remote) {
        (void)ou_error_set(err, EIO, "%s: nothing to read", key);
        return NULL;
    }
    r = calloc(1, sizeof(*r));
    if (!r) {
        (void)ou_error_set(err, ENOMEM, "read %s", key);
        return NULL;
    }
    if (xfer_reader_new(spool_reader_pool(fs->spool), key, inode->remote.etag, inode->remote.size,
                        &r->reader, err) < 0) {
        free(r);
        return NULL;
    }
    r->version = inode->own_changes;
    r->refs = 1;
    return r;
}

/* The right reader for this moment, with a reference for the caller; @stale is to be freed. */
static struct fs_reader *take_locked(struct fs *fs, struct fs_handle *h, struct fs_reader **stale,
                                     struct ou_error *err)
{
    if (h->reader && h->reader->version != h->inode->own_changes) {
        *stale = unref_locked(h->reader);
        h->reader = NULL;
    }
    if (!h->reader)
        h->reader = reader_new_locked(fs, h->inode, err);
    if (h->reader)
        h->reader->refs++;
    return h->reader;
}

static void await_move(struct fs *fs, const struct fs_inode *inode, unsigned *asking,
                       const struct fs_call *call)
{
    ou_autofree char *key = NULL;
    struct ou_error err;
    int r;

    {
        ou_lock_scope(&fs->lock);
        r = fs_inode_key(&fs->tree, inode, &key, &err);
    }
    if (r == 0)
        (void)fs_asked_in_vain(fs, key, asking, call);
}

static ssize_t read_object(struct fs *fs, struct fs_handle *h, void *buf, size_t len,
                           uint64_t offset, const struct fs_call *call, struct ou_error *err)
{
    struct fs_reader *reader, *stale = NULL;
    unsigned asking;
    bool moved;
    ssize_t n;

    for (int again = 0;; again++) {
        {
            ou_lock_scope(&fs->lock);
            reader = take_locked(fs, h, &stale, err);
        }
        reader_free(stale);
        stale = NULL;
        if (!reader)
            return -err->errnum;
        asking = fs_asking(fs);
        n = xfer_reader_read(reader->reader, buf, len, offset, call->deadline_ms, call->cancel,
                             err);
        if (n == -ENOENT || n == -ESTALE) /* or its name is just being changed */
            await_move(fs, h->inode, &asking, call);
        {
            ou_lock_scope(&fs->lock);
            moved = reader->version != h->inode->own_changes;
        }
        fs_reader_drop(fs, reader);
        if (n >= 0 || !moved || again)
            break; /* else: we have replaced the object ourselves, meanwhile */
    }
    if (n == -ENOENT) /* deleted under the handle: as NFS says it */
        return ou_error_set(err, ESTALE, "the object is gone");
    return n;
}

/* What was read ahead needs no other thread. */
static ssize_t read_ahead(struct fs *fs, struct fs_handle *h, void *buf, size_t len,
                          uint64_t offset)
{
    struct fs_reader *reader = NULL;
    ssize_t n;

    {
        ou_lock_scope(&fs->lock);
        if (h->reader && h->reader->version == h->inode->own_changes) {
            reader = h->reader;
            reader->refs++;
        }
    }
    if (!reader)
        return FS_READ_MUST_WAIT;
    n = xfer_reader_try(reader->reader, buf, len, offset);
    fs_reader_drop(fs, reader);
    return n == -EAGAIN ? FS_READ_MUST_WAIT : n;
}

static ssize_t read_staged(struct spool_file *file, void *buf, size_t len, uint64_t offset,
                           const struct fs_call *call, struct ou_error *err)
{
    if (!call->may_wait && !spool_file_local(file, offset, len))
        return FS_READ_MUST_WAIT;
    return spool_file_read(file, buf, len, offset, call->cancel, err);
}

ssize_t fs_read(struct fs *fs, struct fs_handle *h, void *buf, size_t len, uint64_t offset,
                const struct fs_call *call, struct ou_error *err)
{
    struct spool_file *file = NULL;
    ssize_t n;

    if (h->file)
        return read_staged(h->file, buf, len, offset, call, err);
    if (fs_stage_held(fs, h->inode, &file)) {
        n = read_staged(file, buf, len, offset, call, err);
        fs_stage_done(fs, h->inode, file);
        return n;
    }
    n = fs_keep_read(fs, h->inode, buf, len, offset, err);
    if (n != -ENODATA)
        return n;
    return call->may_wait ? read_object(fs, h, buf, len, offset, call, err)
                          : read_ahead(fs, h, buf, len, offset);
}

ssize_t fs_read_inode(struct fs *fs, struct fs_inode *inode, void *buf, size_t len, uint64_t offset,
                      const struct fs_call *call, struct ou_error *err)
{
    struct fs_handle h = {.inode = inode};
    ssize_t n = fs_read(fs, &h, buf, len, offset, call, err);

    fs_reader_drop(fs, h.reader);
    return n;
}

/* Opening and closing; told in fs/handle.h. */
#include "fs/handle.h"

#include "base/log.h"
#include "fs/giveback.h"
#include "fs/reader.h"
#include "fs/remove.h"
#include "fs/resolve.h"
#include "fs/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

static bool writes(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY;
}

struct fs_handle *fs_handle_new(struct fs *fs, struct fs_inode *inode, struct spool_file *file,
                                int flags)
{
    struct fs_handle *h = calloc(1, sizeof(*h));

    if (!h)
        return NULL;
    h->inode = inode;
    h->file = file;
    h->writer = writes(flags);
    if (file)
        spool_file_open(file, h->writer);
    ou_lock_scope(&fs->lock);
    inode->handles++;
    fs_lru_open(&fs->tree.lru, inode);
    fs->open_files++;
    h->next = fs->handles;
    h->prev = &fs->handles;
    if (h->next)
        h->next->prev = &h->next;
    fs->handles = h;
    return h;
}

/* Held staged where it is, or has to be. */
static int stage_for(struct fs *fs, struct fs_inode *inode, int flags, const struct fs_call *call,
                     struct spool_file **file, struct ou_error *err)
{
    *file = NULL;
    if (writes(flags) || (flags & O_TRUNC))
        return fs_stage(fs, inode, call, file, err);
    (void)fs_stage_held(fs, inode, file);
    return 0;
}

static int truncated(struct spool_file *file, struct ou_error *err)
{
    int r;

    spool_file_open(file, true);
    r = spool_file_truncate(file, 0, err);
    if (r < 0) {
        struct ou_error ignored;

        (void)spool_file_close(file, true, &ignored);
        return r;
    }
    return spool_file_close(file, true, err);
}

int fs_open(struct fs *fs, uint64_t id, int flags, const struct fs_call *call,
            struct fs_handle **handle, bool *keep_pages, struct ou_error *err)
{
    struct spool_file *file = NULL;
    struct fs_inode *inode;
    int r = fs_inode_get(fs, id, &inode, err);

    if (r < 0)
        return r;
    if (S_ISDIR(inode->type))
        r = ou_error_set(err, EISDIR, "open");
    else if (!S_ISREG(inode->type))
        r = ou_error_set(err, ELOOP, "open");
    if (r == 0)
        r = fs_refresh(fs, inode, call, err);
    if (r == 0)
        r = stage_for(fs, inode, flags, call, &file, err);
    if (r == -ENOENT) /* the kernel looks the name up again, and for O_CREAT makes the file */
        r = ou_error_set(err, ESTALE, "open");
    if (r != 0)
        goto undo;

    *handle = fs_handle_new(fs, inode, file, flags);
    if (!*handle) {
        r = ou_error_set(err, ENOMEM, "open");
        goto undo;
    }
    /* O_TRUNC with the handle's own hold on the file: no upload begins in between. */
    if (flags & O_TRUNC)
        r = (*handle)->writer ? spool_file_truncate(file, 0, err) : truncated(file, err);
    if (r < 0) {
        struct ou_error ignored;

        (void)fs_release(fs, *handle, &ignored);
        return r;
    }
    {
        ou_lock_scope(&fs->lock);
        *keep_pages = inode->pages == inode->changes;
        inode->pages = inode->changes;
    }
    return 0;

undo:
    if (file)
        fs_stage_done(fs, inode, file);
    fs_unuse(fs, inode);
    return r;
}

static void forget_locked(struct fs *fs, struct fs_handle *h)
{
    *h->prev = h->next;
    if (h->next)
        h->next->prev = h->prev;
    fs->open_files--;
}

int fs_release(struct fs *fs, struct fs_handle *h, struct ou_error *err)
{
    struct fs_inode *inode = h->inode;
    struct spool_file *drop = NULL;
    struct fs_reader *reader;
    int r = 0, d;

    if (h->file)
        r = spool_file_close(h->file, h->writer, err);
    {
        ou_lock_scope(&fs->lock);
        reader = h->reader;
        h->reader = NULL;
        inode->handles--;
        forget_locked(fs, h);
        fs_giveback_note_locked(fs);
        if (!inode->handles)
            drop = fs_unstage_nameless_locked(fs, inode);
    }
    spool_file_unref(drop);
    fs_reader_drop(fs, reader);
    if (h->file)
        fs_stage_done(fs, inode, h->file);
    d = fs_delete_doomed(fs, inode, err);
    r = r < 0 ? r : d;
    fs_unuse(fs, inode);
    free(h);
    return r;
}

static void give_up(struct fs *fs, struct fs_handle *h)
{
    {
        ou_lock_scope(&fs->lock);
        forget_locked(fs, h);
    }
    fs_reader_drop(fs, h->reader);
    free(h);
}

void fs_handles_end(struct fs *fs, bool all_closed)
{
    for (;;) {
        struct ou_error err = OU_ERROR_INIT;
        struct fs_handle *h;

        {
            ou_lock_scope(&fs->lock);
            h = fs->handles;
        }
        if (!h)
            return;
        if (h->writer && !all_closed && !atomic_load(&h->flushed))
            give_up(fs, h);
        else if (fs_release(fs, h, &err) < 0)
            ou_log_error(OU_LOG_FS, &err, "release at the end");
    }
}

/* Told in fs/io.h. */
#include "fs/io.h"

#include "fs/stage.h"
#include "fs/stat.h"

#include <errno.h>
#include <unistd.h>

ssize_t fs_write(struct fs *fs, struct fs_handle *h, const void *buf, size_t len, uint64_t offset,
                 bool append, const struct fs_call *call, struct ou_error *err)
{
    ssize_t n;

    if (!h->writer)
        return ou_error_set(err, EBADF, "write");
    atomic_store(&h->flushed, false);
    if (append)
        n = spool_file_append(h->file, buf, len, call->cancel, err);
    else
        n = spool_file_write(h->file, buf, len, offset, call->cancel, err);
    if (n == -EINTR && !call->may_wait)
        return FS_READ_MUST_WAIT; /* there is no room now; fs->nowait has interrupted it */
    (void)fs;
    return n;
}

/* A whole-file copy of which only a part was asked for. */
static int trim_clone(struct fs *fs, struct fs_handle *h, struct ou_error *err)
{
    struct spool_attr attr = {.mode = 0};
    uint64_t cloned, size;

    {
        ou_lock_scope(&fs->lock);
        cloned = h->cloned;
        h->cloned = 0;
    }
    if (!cloned)
        return 0;
    spool_file_times(h->file, &attr, &size);
    return cloned < size ? spool_file_truncate(h->file, cloned, err) : 0;
}

int fs_flush(struct fs *fs, struct fs_handle *h, const struct fs_call *call, struct ou_error *err)
{
    int r;

    if (!h->writer)
        return 0;
    if (fs->config.close == FS_COMPLETE_UPLOAD && !call->may_wait)
        return FS_MUST_WAIT;
    r = trim_clone(fs, h, err);
    if (r == 0)
        r = spool_file_flush(h->file, err);
    if (r == 0)
        atomic_store(&h->flushed, true);
    if (r == 0 && fs->config.close == FS_COMPLETE_UPLOAD && spool_file_pending(h->file))
        r = spool_file_upload(h->file, 0, call->cancel, err);
    return r;
}

int fs_fsync(struct fs *fs, struct fs_handle *h, const struct fs_call *call, struct ou_error *err)
{
    struct spool_file *file = h->file;
    int r;

    if (!file && !fs_stage_held(fs, h->inode, &file))
        return 0; /* as it is in the bucket */
    if (!call->may_wait)
        r = FS_MUST_WAIT;
    else
        r = spool_file_sync(file, err);
    if (r == 0 && fs->config.fsync == FS_COMPLETE_UPLOAD && spool_file_pending(file))
        r = spool_file_upload(file, 0, call->cancel, err);
    if (file != h->file)
        fs_stage_done(fs, h->inode, file);
    return r;
}

int fs_fallocate(struct fs *fs, struct fs_handle *h, int mode, uint64_t offset, uint64_t size,
                 struct ou_error *err)
{
    (void)fs;
    if (!h->writer)
        return ou_error_set(err, EBADF, "fallocate");
    atomic_store(&h->flushed, false);
    return spool_file_allocate(h->file, mode, offset, size, err);
}

int fs_seek(struct fs *fs, struct fs_handle *h, uint64_t offset, int whence, uint64_t *result,
            struct ou_error *err)
{
    struct spool_file *file = h->file;
    uint64_t size;
    int r;

    if (file || fs_stage_held(fs, h->inode, &file)) {
        r = spool_file_seek(file, offset, whence, result, err);
        if (file != h->file)
            fs_stage_done(fs, h->inode, file);
        return r;
    }
    {
        ou_lock_scope(&fs->lock);
        size = fs_size_locked(h->inode);
    }
    if (offset >= size)
        return ou_error_set(err, ENXIO, "lseek");
    *result = whence == SEEK_DATA ? offset : size; /* an object has no holes */
    return 0;
}

/* -- copies -- */

/* What the kernel cuts a larger request down to: MAX_RW_COUNT, and what FUSE can answer. */
static bool kernel_limit(uint64_t size)
{
    return size == UINT64_C(0x7ffff000) || size == UINT64_C(0xfffff000);
}

static uint64_t size_of(struct spool_file *file)
{
    struct spool_attr attr = {.mode = 0};
    uint64_t size = 0;

    spool_file_times(file, &attr, &size);
    return size;
}

ssize_t fs_copy_range(struct fs *fs, struct fs_handle *from, uint64_t from_offset,
                      struct fs_handle *to, uint64_t to_offset, uint64_t size, struct ou_error *err)
{
    struct fs_call call = {.deadline_ms = 0};
    struct spool_file *source = NULL;
    uint64_t whole, cloned;
    int r;

    if (!to->writer || from_offset != to_offset || from->inode == to->inode)
        return ou_error_set(err, EOPNOTSUPP, "copy_file_range");
    {
        ou_lock_scope(&fs->lock);
        cloned = to->cloned;
        whole = fs_size_locked(from->inode);
    }
    if (cloned && from_offset == cloned && size_of(to->file) == whole) { /* the rest of it */
        uint64_t part = whole - cloned < size ? whole - cloned : size;

        ou_lock_scope(&fs->lock);
        to->cloned += part;
        return (ssize_t)part;
    }
    if (from_offset != 0 || (size < whole && !kernel_limit(size)) || size_of(to->file) != 0)
        return ou_error_set(err, EOPNOTSUPP, "copy_file_range");

    atomic_store(&to->flushed, false);
    r = fs_stage(fs, from->inode, &call, &source, err);
    if (r != 0)
        return r < 0 ? r : ou_error_set(err, EOPNOTSUPP, "copy_file_range");
    r = spool_file_clone(source, to->file, err);
    fs_stage_done(fs, from->inode, source);
    if (r < 0)
        return r;
    if (r == 0)
        return ou_error_set(err, EOPNOTSUPP, "copy_file_range");
    if (size > whole)
        size = whole;
    ou_lock_scope(&fs->lock);
    to->cloned = size;
    return (ssize_t)size;
}

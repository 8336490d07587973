/* Callbacks on open files. */
#include "fs/io.h"
#include "fs/request.h"
#include "fs/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static struct fs_handle *handle_of(const struct fuse_file_info *fi)
{
    return fs_of_fh(fi);
}

/* -- open, release -- */

static int run_open(struct fs *fs, struct fs_op *op, const struct fs_call *call,
                    struct ou_error *err)
{
    return fs_open(fs, op->id, op->flags, call, &op->opened, &op->keep_pages, err);
}

static void reply_open(struct fs *fs, fuse_req_t req, struct fs_op *op)
{
    struct ou_error err;

    op->info.fh = (uint64_t)(uintptr_t)op->opened;
    op->info.keep_cache = op->keep_pages;
    if (fuse_reply_open(req, &op->info) != 0) /* interrupted: nobody will release it */
        (void)fs_release(fs, op->opened, &err);
}

static void op_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
    fs_serve(req, &(struct fs_op){.what = "open",
                                  .run = run_open,
                                  .reply = reply_open,
                                  .id = id,
                                  .flags = fi->flags,
                                  .info = *fi});
}

static int run_release(struct fs *fs, struct fs_op *op, const struct fs_call *call,
                       struct ou_error *err)
{
    (void)call;
    return fs_release(fs, op->handle, err); /* close(2) does not see it: the next fsync tells */
}

static void op_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
    fs_serve(req, &(struct fs_op){
                      .what = "release", .run = run_release, .id = id, .handle = handle_of(fi)});
}

/* -- reading -- */

static int run_read(struct fs *fs, struct fs_op *op, const struct fs_call *call,
                    struct ou_error *err)
{
    ou_autofree char *buf = malloc(op->size ? op->size : 1);
    ssize_t n;

    if (!buf)
        return ou_error_set(err, ENOMEM, "read");
    n = fs_read(fs, op->handle, buf, op->size, op->offset, call, err);
    if (n == FS_READ_MUST_WAIT)
        return FS_MUST_WAIT;
    if (n < 0)
        return (int)n;
    op->result = (uint64_t)n;
    op->buf = buf;
    buf = NULL;
    return 0;
}

static void op_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
    fs_serve(req, &(struct fs_op){.what = "read",
                                  .run = run_read,
                                  .reply = fs_reply_buf,
                                  .id = id,
                                  .size = size,
                                  .offset = (uint64_t)offset,
                                  .handle = handle_of(fi)});
}

static int run_seek(struct fs *fs, struct fs_op *op, const struct fs_call *call,
                    struct ou_error *err)
{
    (void)call;
    return fs_seek(fs, op->handle, op->offset, op->flags, &op->result, err);
}

static void reply_seek(struct fs *fs, fuse_req_t req, struct fs_op *op)
{
    (void)fs;
    (void)fuse_reply_lseek(req, (off_t)op->result);
}

static void op_lseek(fuse_req_t req, fuse_ino_t id, off_t offset, int whence,
                     struct fuse_file_info *fi)
{
    if (offset < 0 || (whence != SEEK_DATA && whence != SEEK_HOLE)) {
        (void)fuse_reply_err(req, offset < 0 ? ENXIO : EINVAL);
        return;
    }
    fs_serve(req, &(struct fs_op){.what = "lseek",
                                  .run = run_seek,
                                  .reply = reply_seek,
                                  .id = id,
                                  .offset = (uint64_t)offset,
                                  .flags = whence,
                                  .handle = handle_of(fi)});
}

/* -- writing -- */

static int run_write(struct fs *fs, struct fs_op *op, const struct fs_call *call,
                     struct ou_error *err)
{
    bool append = (op->flags & O_APPEND) != 0;
    ssize_t n = fs_write(fs, op->handle, op->data, op->size, op->offset, append, call, err);

    if (n == FS_READ_MUST_WAIT)
        return FS_MUST_WAIT;
    if (n < 0)
        return (int)n;
    op->result = (uint64_t)n;
    return 0;
}

static void reply_written(struct fs *fs, fuse_req_t req, struct fs_op *op)
{
    (void)fs;
    (void)fuse_reply_write(req, op->result);
}

static void op_write(fuse_req_t req, fuse_ino_t id, const char *buf, size_t size, off_t offset,
                     struct fuse_file_info *fi)
{
    fs_serve(req, &(struct fs_op){.what = "write",
                                  .run = run_write,
                                  .reply = reply_written,
                                  .lane = FS_LANE_WAITS,
                                  .id = id,
                                  .data = buf,
                                  .size = size,
                                  .offset = (uint64_t)offset,
                                  .flags = fi->writepage ? 0 : fi->flags, /* as they are now */
                                  .handle = handle_of(fi)});
}

static int run_flush(struct fs *fs, struct fs_op *op, const struct fs_call *call,
                     struct ou_error *err)
{
    return fs_flush(fs, op->handle, call, err);
}

static void op_flush(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
    fs_serve(req, &(struct fs_op){.what = "flush",
                                  .run = run_flush,
                                  .lane = FS_LANE_WAITS,
                                  .id = id,
                                  .handle = handle_of(fi)});
}

static int run_fsync(struct fs *fs, struct fs_op *op, const struct fs_call *call,
                     struct ou_error *err)
{
    return fs_fsync(fs, op->handle, call, err);
}

static void op_fsync(fuse_req_t req, fuse_ino_t id, int datasync, struct fuse_file_info *fi)
{
    (void)datasync;
    fs_serve(req, &(struct fs_op){.what = "fsync",
                                  .run = run_fsync,
                                  .lane = FS_LANE_WAITS,
                                  .id = id,
                                  .handle = handle_of(fi)});
}

static int run_fallocate(struct fs *fs, struct fs_op *op, const struct fs_call *call,
                         struct ou_error *err)
{
    (void)call;
    return fs_fallocate(fs, op->handle, op->flags, op->offset, op->size, err);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t id, int mode, off_t offset, off_t length,
                         struct fuse_file_info *fi)
{
    if (offset < 0 || length <= 0) {
        (void)fuse_reply_err(req, EINVAL);
        return;
    }
    fs_serve(req, &(struct fs_op){.what = "fallocate",
                                  .run = run_fallocate,
                                  .id = id,
                                  .flags = mode,
                                  .offset = (uint64_t)offset,
                                  .size = (size_t)length,
                                  .handle = handle_of(fi)});
}

static int run_copy(struct fs *fs, struct fs_op *op, const struct fs_call *call,
                    struct ou_error *err)
{
    ssize_t n;

    (void)call;
    n = fs_copy_range(fs, op->handle, op->offset, op->new_handle, op->new_offset, op->size, err);
    if (n < 0)
        return (int)n;
    op->result = (uint64_t)n;
    return 0;
}

static void op_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t from_offset,
                               struct fuse_file_info *from_fi, fuse_ino_t to, off_t to_offset,
                               struct fuse_file_info *to_fi, size_t len, int flags)
{
    (void)to;
    (void)flags;
    fs_serve(req, &(struct fs_op){.what = "copy_file_range",
                                  .run = run_copy,
                                  .reply = reply_written,
                                  .id = from,
                                  .handle = handle_of(from_fi),
                                  .new_handle = handle_of(to_fi),
                                  .offset = (uint64_t)from_offset,
                                  .new_offset = (uint64_t)to_offset,
                                  .size = len});
}

static void op_ioctl(fuse_req_t req, fuse_ino_t id, unsigned cmd, void *arg,
                     struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_size,
                     size_t out_size)
{
    (void)id;
    (void)cmd;
    (void)arg;
    (void)fi;
    (void)flags;
    (void)in;
    (void)in_size;
    (void)out_size;
    (void)fuse_reply_err(req, ENOTTY);
}

void fs_ops_files(struct fuse_lowlevel_ops *ops)
{
    ops->open = op_open;
    ops->release = op_release;
    ops->read = op_read;
    ops->lseek = op_lseek;
    ops->write = op_write;
    ops->flush = op_flush;
    ops->fsync = op_fsync;
    ops->fallocate = op_fallocate;
    ops->copy_file_range = op_copy_file_range;
    ops->ioctl = op_ioctl;
}

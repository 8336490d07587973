/* Callbacks about attributes: getattr, setattr, xattrs, statfs. */
#include "fs/request.h"
#include "fs/resolve.h"
#include "fs/stat.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/statvfs.h>

static struct fs_handle *handle_of(const struct fuse_file_info *fi)
{
    return fs_of_fh(fi);
}

/* -- getattr, setattr -- */

static bool told_enough(struct fs *fs, const struct fs_inode *inode, const struct fs_call *call)
{
    ou_lock_scope(&fs->lock);
    return fs_removes_locked(fs, call, inode);
}

static int run_getattr(struct fs *fs, struct fs_op *op, const struct fs_call *call,
                       struct ou_error *err)
{
    struct fs_inode *inode;
    int r = fs_inode_get(fs, op->id, &inode, err);

    if (r < 0)
        return r;
    r = told_enough(fs, inode, call) ? 0 : fs_refresh(fs, inode, call, err);
    if ((r == -ENOENT || r == -ESTALE) && op->flags) /* it is open: what was known last */
        r = 0;
    if (r != 0) {
        fs_unuse(fs, inode);
        return r;
    }
    op->inode = inode;
    return 0;
}

static void op_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
    fs_serve(req, &(struct fs_op){.what = "getattr",
                                  .run = run_getattr,
                                  .reply = fs_reply_attr,
                                  .id = id,
                                  .flags = fi != NULL});
}

static int run_setattr(struct fs *fs, struct fs_op *op, const struct fs_call *call,
                       struct ou_error *err)
{
    int r = fs_set_attr(fs, op->id, &op->set, op->handle, call, err);

    return r == 0 ? fs_inode_get(fs, op->id, &op->inode, err) : r;
}

static struct fs_setattr setattr_of(const struct stat *st, int to_set)
{
    struct timespec now = ou_wall();
    struct fs_setattr set = {
        .attr = {.mode = st->st_mode & 07777,
                 .uid = st->st_uid,
                 .gid = st->st_gid,
                 .mtime = to_set & FUSE_SET_ATTR_MTIME_NOW ? now : st->st_mtim,
                 .atime = to_set & FUSE_SET_ATTR_ATIME_NOW ? now : st->st_atim,
                 .has_atime = true},
        .size = (uint64_t)st->st_size,
    };

    if (to_set & FUSE_SET_ATTR_MODE)
        set.which |= SPOOL_SET_MODE;
    if (to_set & FUSE_SET_ATTR_UID)
        set.which |= SPOOL_SET_UID;
    if (to_set & FUSE_SET_ATTR_GID)
        set.which |= SPOOL_SET_GID;
    if (to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW))
        set.which |= SPOOL_SET_MTIME;
    if (to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW))
        set.which |= SPOOL_SET_ATIME;
    if (to_set & FUSE_SET_ATTR_SIZE)
        set.which |= FS_SET_SIZE;
    return set;
}

static void op_setattr(fuse_req_t req, fuse_ino_t id, struct stat *attr, int to_set,
                       struct fuse_file_info *fi)
{
    fs_serve(req, &(struct fs_op){.what = "setattr",
                                  .run = run_setattr,
                                  .reply = fs_reply_attr,
                                  .id = id,
                                  .handle = handle_of(fi),
                                  .set = setattr_of(attr, to_set)});
}

/* -- xattrs -- */

static int sized(struct fs_op *op, ssize_t n, char **buf)
{
    if (n == FS_READ_MUST_WAIT)
        return FS_MUST_WAIT;
    if (n < 0)
        return (int)n;
    op->result = (uint64_t)n;
    op->buf = *buf;
    *buf = NULL;
    return 0;
}

static int run_getxattr(struct fs *fs, struct fs_op *op, const struct fs_call *call,
                        struct ou_error *err)
{
    ou_autofree char *buf = malloc(op->size ? op->size : 1);

    if (!buf)
        return ou_error_set(err, ENOMEM, "getxattr");
    return sized(op, fs_xattr_get(fs, op->id, op->name, buf, op->size, call, err), &buf);
}

static int run_listxattr(struct fs *fs, struct fs_op *op, const struct fs_call *call,
                         struct ou_error *err)
{
    ou_autofree char *buf = malloc(op->size ? op->size : 1);

    if (!buf)
        return ou_error_set(err, ENOMEM, "listxattr");
    return sized(op, fs_xattr_list(fs, op->id, buf, op->size, call, err), &buf);
}

static void reply_xattr(struct fs *fs, fuse_req_t req, struct fs_op *op)
{
    (void)fs;
    if (op->size == 0)
        (void)fuse_reply_xattr(req, op->result);
    else
        (void)fuse_reply_buf(req, op->buf, op->result);
    free(op->buf);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t id, const char *name, size_t size)
{
    fs_serve(req, &(struct fs_op){.what = "getxattr",
                                  .run = run_getxattr,
                                  .reply = reply_xattr,
                                  .id = id,
                                  .name = name,
                                  .size = size});
}

static void op_listxattr(fuse_req_t req, fuse_ino_t id, size_t size)
{
    fs_serve(req, &(struct fs_op){.what = "listxattr",
                                  .run = run_listxattr,
                                  .reply = reply_xattr,
                                  .id = id,
                                  .size = size});
}

static int run_setxattr(struct fs *fs, struct fs_op *op, const struct fs_call *call,
                        struct ou_error *err)
{
    return fs_xattr_set(fs, op->id, op->name, op->data, op->size, op->flags, call, err);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t id, const char *name, const char *value,
                        size_t size, int flags)
{
    fs_serve(req, &(struct fs_op){.what = "setxattr",
                                  .run = run_setxattr,
                                  .id = id,
                                  .name = name,
                                  .data = value ? value : "",
                                  .size = size,
                                  .flags = flags});
}

static void op_removexattr(fuse_req_t req, fuse_ino_t id, const char *name)
{
    fs_serve(req,
             &(struct fs_op){.what = "removexattr", .run = run_setxattr, .id = id, .name = name});
}

/* -- statfs -- */

static void op_statfs(fuse_req_t req, fuse_ino_t id)
{
    /* A bucket has no size; programs that look for room find plenty. */
    const struct statvfs st = {
        .f_bsize = 4096,
        .f_frsize = 4096,
        .f_blocks = UINT64_C(1) << 48,
        .f_bfree = UINT64_C(1) << 48,
        .f_bavail = UINT64_C(1) << 48,
        .f_files = UINT64_C(1) << 40,
        .f_ffree = UINT64_C(1) << 40,
        .f_favail = UINT64_C(1) << 40,
        .f_namemax = FS_NAME_MAX,
    };

    (void)id;
    (void)fuse_reply_statfs(req, &st);
}

void fs_ops_attrs(struct fuse_lowlevel_ops *ops)
{
    ops->getattr = op_getattr;
    ops->setattr = op_setattr;
    ops->getxattr = op_getxattr;
    ops->listxattr = op_listxattr;
    ops->setxattr = op_setxattr;
    ops->removexattr = op_removexattr;
    ops->statfs = op_statfs;
}

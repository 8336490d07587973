/* Callbacks that are about names: lookup, forget, create, mkdir, symlink, unlink, rename... */
#include "fs/create.h"
#include "fs/remove.h"
#include "fs/rename.h"
#include "fs/request.h"
#include "fs/resolve.h"
#include "fs/stat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* -- lookup, forget -- */

static int run_lookup(struct fs *fs, struct fs_op *op, const struct fs_call *call,
                      struct ou_error *err)
{
    return fs_resolve(fs, op->id, op->name, false, call, &op->inode, &op->until_ms, err);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    fs_serve(req, &(struct fs_op){.what = "lookup",
                                  .run = run_lookup,
                                  .reply = fs_reply_entry,
                                  .id = parent,
                                  .name = name});
}

static void forget(struct fs *fs, fuse_ino_t id, uint64_t lookups)
{
    struct fs_inode *inode;

    ou_lock_scope(&fs->lock);
    inode = fs_inode_find(&fs->tree, id);
    if (inode)
        fs_inode_forget(&fs->tree, inode, lookups);
}

static void op_forget(fuse_req_t req, fuse_ino_t id, uint64_t lookups)
{
    forget(fs_of(req), id, lookups);
    fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++)
        forget(fs_of(req), forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

/* -- new names -- */

static int run_make(struct fs *fs, struct fs_op *op, const struct fs_call *call,
                    struct ou_error *err)
{
    op->until_ms = UINT64_MAX;
    return fs_make(fs, op->id, op->name, op->mode, op->new_name, call, &op->inode, err);
}

static void make(fuse_req_t req, const char *what, fuse_ino_t parent, const char *name, mode_t mode,
                 const char *target)
{
    fs_serve(req, &(struct fs_op){.what = what,
                                  .run = run_make,
                                  .reply = fs_reply_entry,
                                  .id = parent,
                                  .name = name,
                                  .new_name = target,
                                  .mode = mode});
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    (void)rdev;
    if (S_ISDIR(mode) || S_ISLNK(mode))
        (void)fuse_reply_err(req, EINVAL);
    else
        make(req, "mknod", parent, name, mode, NULL);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    make(req, "mkdir", parent, name, (mode & 07777) | S_IFDIR, NULL);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    make(req, "symlink", parent, name, S_IFLNK | 0777, target);
}

static void op_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t parent, const char *name)
{
    (void)id;
    (void)parent;
    (void)name;
    (void)fuse_reply_err(req, EPERM); /* as vfat says it; programs copy then */
}

static int run_create(struct fs *fs, struct fs_op *op, const struct fs_call *call,
                      struct ou_error *err)
{
    op->until_ms = UINT64_MAX;
    return fs_create(fs, op->id, op->name, op->mode, op->flags, call, &op->inode, &op->opened,
                     &op->keep_pages, err);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *fi)
{
    fs_serve(req, &(struct fs_op){.what = "create",
                                  .run = run_create,
                                  .reply = fs_reply_entry,
                                  .id = parent,
                                  .name = name,
                                  .mode = mode,
                                  .flags = fi->flags,
                                  .info = *fi});
}

/* -- symlinks -- */

static int run_readlink(struct fs *fs, struct fs_op *op, const struct fs_call *call,
                        struct ou_error *err)
{
    return fs_readlink(fs, op->id, call, &op->buf, err);
}

static void reply_readlink(struct fs *fs, fuse_req_t req, struct fs_op *op)
{
    (void)fs;
    (void)fuse_reply_readlink(req, op->buf);
    free(op->buf);
}

static void op_readlink(fuse_req_t req, fuse_ino_t id)
{
    fs_serve(req, &(struct fs_op){
                      .what = "readlink", .run = run_readlink, .reply = reply_readlink, .id = id});
}

/* -- names that go -- */

static int run_unlink(struct fs *fs, struct fs_op *op, const struct fs_call *call,
                      struct ou_error *err)
{
    return fs_unlink(fs, op->id, op->name, call, err);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    fs_serve(req, &(struct fs_op){.what = "unlink", .run = run_unlink, .id = parent, .name = name});
}

static int run_rmdir(struct fs *fs, struct fs_op *op, const struct fs_call *call,
                     struct ou_error *err)
{
    return fs_rmdir(fs, op->id, op->name, call, err);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    fs_serve(req, &(struct fs_op){.what = "rmdir", .run = run_rmdir, .id = parent, .name = name});
}

static int run_rename(struct fs *fs, struct fs_op *op, const struct fs_call *call,
                      struct ou_error *err)
{
    return fs_rename(fs, op->id, op->name, op->new_id, op->new_name, (unsigned)op->flags, call,
                     err);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                      const char *new_name, unsigned flags)
{
    fs_serve(req, &(struct fs_op){.what = "rename",
                                  .run = run_rename,
                                  .lane = FS_LANE_WAITS, /* of a directory it may take long */
                                  .id = parent,
                                  .name = name,
                                  .new_id = new_parent,
                                  .new_name = new_name,
                                  .flags = (int)flags});
}

void fs_ops_names(struct fuse_lowlevel_ops *ops)
{
    ops->lookup = op_lookup;
    ops->forget = op_forget;
    ops->forget_multi = op_forget_multi;
    ops->mknod = op_mknod;
    ops->mkdir = op_mkdir;
    ops->symlink = op_symlink;
    ops->link = op_link;
    ops->create = op_create;
    ops->readlink = op_readlink;
    ops->unlink = op_unlink;
    ops->rmdir = op_rmdir;
    ops->rename = op_rename;
}

/* Callbacks on open directories. */
#include "fs/prefetch.h"
#include "fs/readdir.h"
#include "fs/request.h"
#include "fs/resolve.h"
#include "fs/stage.h"
#include "fs/stat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct fs_stream *stream_of(const struct fuse_file_info *fi)
{
    return fs_of_fh(fi);
}

static void op_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    const struct fs_call call = {.pid = ctx->pid, .uid = ctx->uid};
    struct fs *fs = fs_of(req);
    struct fs_stream *stream;
    struct ou_error err;
    int r = fs_stream_open(fs, id, &stream, &err);

    if (r < 0) {
        (void)fuse_reply_err(req, -r);
        return;
    }
    fs_remover_opened(fs, stream, &call);
    fi->fh = (uint64_t)(uintptr_t)stream;
    if (fuse_reply_open(req, fi) != 0)
        fs_stream_close(fs, stream);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
    (void)id;
    fs_stream_close(fs_of(req), stream_of(fi));
    (void)fuse_reply_err(req, 0);
}

/* -- readdir -- */

/* The kernel's buffer as it fills. */
struct filler {
    struct fs *fs;
    fuse_req_t req;
    bool plus;
    char *buf;
    size_t size, used;
    uint64_t cookie; /* of the last entry that fits */
};

/* false: it does not fit any more. */
static bool put(struct filler *f, const char *name, const struct fuse_entry_param *entry,
                uint64_t cookie)
{
    size_t room = f->size - f->used, need;

    if (f->plus)
        need = fuse_add_direntry_plus(f->req, f->buf + f->used, room, name, entry, (off_t)cookie);
    else
        need = fuse_add_direntry(f->req, f->buf + f->used, room, name, &entry->attr, (off_t)cookie);
    if (need > room)
        return false;
    f->used += need;
    f->cookie = cookie;
    return true;
}

static bool put_dots_locked(struct filler *f, const struct fs_inode *dir)
{
    const struct fs_inode *above = dir->parent ? dir->parent : dir;
    struct fuse_entry_param entry = {.attr = {.st_ino = dir->ino, .st_mode = S_IFDIR}};

    if (f->cookie == 0 && !put(f, ".", &entry, 1))
        return false;
    entry.attr.st_ino = above->ino;
    return f->cookie != 1 || put(f, "..", &entry, 2);
}

static bool put_name_locked(struct filler *f, struct fs_inode *dir, const struct fs_name *name)
{
    struct fuse_entry_param entry = {.ino = 0};
    struct fs_entry_known known;

    fs_entry_known_locked(f->fs, dir, name, f->plus, &known);
    if (f->plus && known.inode) {
        (void)fs_inode_use(known.inode);
        fs_entry_locked(f->fs, known.inode, known.until_ms, &entry);
        if (!put(f, name->name, &entry, name->cookie)) {
            fs_inode_forget(&f->fs->tree, known.inode, 1);
            fs_inode_unuse(&f->fs->tree, known.inode);
            return false;
        }
        fs_inode_unuse(&f->fs->tree, known.inode);
        return true;
    }
    entry.attr.st_ino = known.ino;
    entry.attr.st_mode = known.type; /* 0: DT_UNKNOWN */
    return put(f, name->name, &entry, name->cookie);
}

/* Return: 1 full or at the end, FS_STREAM_LOAD: more once a page has come. */
static int fill_locked(struct filler *f, struct fs_stream *stream)
{
    struct fs_inode *dir = fs_stream_dir(stream);
    struct fs_name name;
    int r;

    if (!put_dots_locked(f, dir))
        return 1;
    while ((r = fs_stream_next_locked(f->fs, stream, f->cookie, &name)) == 1)
        if (!put_name_locked(f, dir, &name))
            return 1;
    return r == 0 ? 1 : r;
}

static int fill(struct filler *f, struct fs_op *op, const struct fs_call *call,
                struct ou_error *err)
{
    for (;;) {
        int r;

        {
            ou_lock_scope(&f->fs->lock);
            r = fill_locked(f, op->stream);
        }
        if (r != FS_STREAM_LOAD)
            return 0;
        r = fs_stream_load(f->fs, op->stream, call, err);
        if (r != 0 && f->used)
            return 0; /* what is here goes out; the rest, or the error, comes with the next call */
        if (r != 0)
            return r;
    }
}

static int run_readdir(struct fs *fs, struct fs_op *op, const struct fs_call *call,
                       struct ou_error *err)
{
    struct filler f = {.fs = fs, .plus = op->flags != 0, .size = op->size, .cookie = op->offset};
    int r;

    f.buf = malloc(op->size ? op->size : 1);
    if (!f.buf)
        return ou_error_set(err, ENOMEM, "readdir");
    if (op->offset == 0 && !call->may_wait) {
        ou_lock_scope(&fs->lock);
        fs_stream_rewind_locked(op->stream);
        fs_prefetch_read_locked(fs_stream_dir(op->stream));
    }
    r = fill(&f, op, call, err);
    if (r != 0) {
        free(f.buf);
        return r;
    }
    op->buf = f.buf;
    op->result = f.used;
    return 0;
}

static void readdir_any(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                        const struct fuse_file_info *fi, bool plus)
{
    fs_serve(req, &(struct fs_op){.what = "readdir",
                                  .run = run_readdir,
                                  .reply = fs_reply_buf,
                                  .id = id,
                                  .size = size,
                                  .offset = (uint64_t)offset,
                                  .flags = plus,
                                  .stream = stream_of(fi)});
}

static void op_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
    readdir_any(req, id, size, offset, fi, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                           struct fuse_file_info *fi)
{
    readdir_any(req, id, size, offset, fi, true);
}

/* -- fsyncdir -- */

/* A directory's names are journalled as they are made; its marker may have to reach the disk. */
static int run_fsyncdir(struct fs *fs, struct fs_op *op, const struct fs_call *call,
                        struct ou_error *err)
{
    struct fs_inode *dir = fs_stream_dir(op->stream);
    struct spool_file *file;
    int r;

    if (!call->may_wait)
        return FS_MUST_WAIT;
    if (!fs_stage_held(fs, dir, &file))
        return 0;
    r = spool_file_sync(file, err);
    fs_stage_done(fs, dir, file);
    return r;
}

static void op_fsyncdir(fuse_req_t req, fuse_ino_t id, int datasync, struct fuse_file_info *fi)
{
    (void)datasync;
    fs_serve(req, &(struct fs_op){.what = "fsyncdir",
                                  .run = run_fsyncdir,
                                  .lane = FS_LANE_WAITS,
                                  .id = id,
                                  .stream = stream_of(fi)});
}

void fs_ops_dirs(struct fuse_lowlevel_ops *ops)
{
    ops->opendir = op_opendir;
    ops->releasedir = op_releasedir;
    ops->readdir = op_readdir;
    ops->readdirplus = op_readdirplus;
    ops->fsyncdir = op_fsyncdir;
}

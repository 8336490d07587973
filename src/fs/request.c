/* Told in fs/request.h. */
#include "fs/request.h"

#include "base/log.h"
#include "fs/giveback.h"
#include "fs/resolve.h"
#include "fs/session.h"
#include "fs/stat.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct fs_running {
    struct ou_mutex lock; /* rank OU_RANK_FS + 50 */
    struct {
        struct pending *first;
    } locked;
};

/* An op that is in a pool. */
struct pending {
    struct fs_task task;
    struct fs *fs;
    fuse_req_t req;
    struct fs_op op;
    struct fs_call call;
    char *name, *new_name;
    void *data;
    struct pending *next, **prev; /* in .locked.first */
};

/* -- the list of those -- */

int fs_running_new(struct fs_running **running, struct ou_error *err)
{
    *running = calloc(1, sizeof(**running));
    if (!*running)
        return ou_error_set(err, ENOMEM, "requests");
    ou_mutex_init(&(*running)->lock, OU_RANK_FS + 50);
    return 0;
}

void fs_running_free(struct fs_running *running)
{
    if (!running)
        return;
    assert(!running->locked.first);
    ou_mutex_fini(&running->lock);
    free(running);
}

static void running_add(struct fs_running *running, struct pending *p)
{
    ou_lock_scope(&running->lock);
    p->next = running->locked.first;
    p->prev = &running->locked.first;
    if (p->next)
        p->next->prev = &p->next;
    running->locked.first = p;
}

static void running_remove(struct fs_running *running, struct pending *p)
{
    ou_lock_scope(&running->lock);
    *p->prev = p->next;
    if (p->next)
        p->next->prev = p->prev;
}

/* A cancel is triggered with no lock held: its hooks take locks of their own. */
void fs_running_cancel(struct fs_running *running)
{
    for (;;) {
        struct ou_cancel *cancel = NULL;

        {
            ou_lock_scope(&running->lock);
            for (struct pending *p = running->locked.first; p && !cancel; p = p->next)
                if (!ou_cancel_triggered(p->call.cancel))
                    cancel = ou_cancel_ref(p->call.cancel);
        }
        if (!cancel)
            return;
        ou_cancel_trigger(cancel);
        ou_cancel_unref(cancel);
    }
}

bool fs_running_waits(struct fs_running *running, uint64_t id, uint64_t since_ms)
{
    ou_lock_scope(&running->lock);
    for (const struct pending *p = running->locked.first; p; p = p->next)
        if ((p->op.id == id || p->op.new_id == id) && p->call.begun_ms <= since_ms)
            return true;
    return false;
}

/* -- replies -- */

double fs_timeout(uint64_t until_ms)
{
    uint64_t now_ms = ou_now_ms();

    return until_ms > now_ms ? (double)(until_ms - now_ms) / 1000 : 0;
}

static uint64_t cap_trust(const struct fs *fs, uint64_t until_ms)
{
    uint64_t most = ou_now_ms() + fs->config.attr_timeout_ms;

    return until_ms < most ? until_ms : most;
}

void fs_entry_locked(struct fs *fs, struct fs_inode *inode, uint64_t until_ms,
                     struct fuse_entry_param *entry)
{
    double timeout = fs_timeout(cap_trust(fs, until_ms));

    *entry = (struct fuse_entry_param){
        .ino = inode->id, .attr_timeout = timeout, .entry_timeout = timeout};
    fs_stat_locked(fs, inode, &entry->attr);
    if (!inode->staged && !inode->attr_known)
        entry->attr_timeout = 0; /* whoever wants them asks */
    if (fs_inode_look_up(&fs->tree, inode))
        fs_giveback_note_locked(fs);
}

static void entry_of(struct fs *fs, struct fs_op *op, struct fuse_entry_param *entry)
{
    ou_lock_scope(&fs->lock);
    if (op->inode)
        fs_entry_locked(fs, op->inode, op->until_ms, entry);
    else
        *entry =
            (struct fuse_entry_param){.entry_timeout = fs_timeout(cap_trust(fs, op->until_ms))};
}

/* The reply did not arrive (the caller was interrupted): the kernel will not forget it for us. */
static void take_back(struct fs *fs, struct fs_inode *inode)
{
    ou_lock_scope(&fs->lock);
    fs_inode_forget(&fs->tree, inode, 1);
}

void fs_reply_entry(struct fs *fs, fuse_req_t req, struct fs_op *op)
{
    struct fuse_entry_param entry;
    int r;

    entry_of(fs, op, &entry);
    if (op->opened) {
        op->info.fh = (uint64_t)(uintptr_t)op->opened;
        op->info.keep_cache = op->keep_pages;
        r = fuse_reply_create(req, &entry, &op->info);
    } else {
        r = fuse_reply_entry(req, &entry);
    }
    if (r != 0 && op->opened) {
        struct ou_error err;

        (void)fs_release(fs, op->opened, &err);
    }
    if (!op->inode)
        return;
    if (r != 0)
        take_back(fs, op->inode);
    fs_unuse(fs, op->inode);
}

void fs_reply_attr(struct fs *fs, fuse_req_t req, struct fs_op *op)
{
    struct stat st;
    uint64_t until_ms;

    {
        ou_lock_scope(&fs->lock);
        fs_stat_locked(fs, op->inode, &st);
        until_ms =
            op->inode->staged || op->inode == fs->tree.root ? UINT64_MAX : op->inode->until_ms;
    }
    (void)fuse_reply_attr(req, &st, fs_timeout(cap_trust(fs, until_ms)));
    fs_unuse(fs, op->inode);
}

void fs_reply_buf(struct fs *fs, fuse_req_t req, struct fs_op *op)
{
    (void)fs;
    (void)fuse_reply_buf(req, op->buf, op->result);
    free(op->buf);
}

/* -- running -- */

static bool worth_a_line(int errnum)
{
    switch (errnum) {
    case EIO:
    case ETIMEDOUT:
    case EACCES:
    case EDQUOT:
    case ENOSPC:
    case ENOMEM:
    case ESTALE:
    case EREMOTEIO:
        return true;
    default:
        return false;
    }
}

static void finish(struct fs *fs, fuse_req_t req, struct fs_op *op, int r,
                   const struct ou_error *err)
{
    if (r < 0) {
        if (worth_a_line(-r))
            ou_log_warn(OU_LOG_FS, err, "%s inode=%llu", op->what, (unsigned long long)op->id);
        else
            ou_log_debug(OU_LOG_FS, "%s inode=%llu errno=%d: %s", op->what,
                         (unsigned long long)op->id, -r, err->message);
        (void)fuse_reply_err(req, -r);
    } else if (op->reply) {
        op->reply(fs, req, op);
    } else {
        (void)fuse_reply_err(req, 0);
    }
}

static void pending_free(struct pending *p)
{
    if (!p)
        return;
    ou_cancel_unref(p->call.cancel);
    free(p->name);
    free(p->new_name);
    free(p->data);
    free(p);
}

static void interrupted(fuse_req_t req, void *data)
{
    struct pending *p = data;

    (void)req;
    ou_cancel_trigger(p->call.cancel);
}

static void run_pending(struct fs_task *task)
{
    struct pending *p = fs_container(task, struct pending, task);
    struct ou_error err = OU_ERROR_INIT;
    int r;

    if (ou_cancel_triggered(p->call.cancel))
        r = ou_error_set(&err, EINTR, "%s", p->op.what);
    else
        r = p->op.run(p->fs, &p->op, &p->call, &err);
    assert(r != FS_MUST_WAIT);
    /* From here on nothing of ours is reached through req; waits for a running callback, too. */
    fuse_req_interrupt_func(p->req, NULL, NULL);
    running_remove(fs_session_running(p->fs), p);
    finish(p->fs, p->req, &p->op, r, &err);
    pending_free(p);
}

static bool copy_string(const char **from, char **to)
{
    if (!*from)
        return true;
    *to = strdup(*from);
    *from = *to;
    return *to != NULL;
}

static struct pending *pending_new(struct fs *fs, fuse_req_t req, const struct fs_op *op)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    struct pending *p = calloc(1, sizeof(*p));
    uint64_t now_ms = ou_now_ms();

    if (!p)
        return NULL;
    p->task.run = run_pending;
    p->fs = fs;
    p->req = req;
    p->op = *op;
    p->call = (struct fs_call){
        .may_wait = true,
        .cancel = ou_cancel_new(),
        .deadline_ms = op->lane == FS_LANE_REQUESTS ? now_ms + fs->config.request_timeout_ms : 0,
        .begun_ms = now_ms,
        .pid = ctx->pid,
        .uid = ctx->uid,
        .gid = ctx->gid,
        .umask = ctx->umask,
    };
    if (op->data && (p->data = malloc(op->size ? op->size : 1)) != NULL) {
        memcpy(p->data, op->data, op->size);
        p->op.data = p->data;
    }
    if (!p->call.cancel || (op->data && !p->data) || !copy_string(&p->op.name, &p->name) ||
        !copy_string(&p->op.new_name, &p->new_name)) {
        pending_free(p);
        return NULL;
    }
    return p;
}

static void queue(struct fs *fs, fuse_req_t req, const struct fs_op *op)
{
    struct pending *p = pending_new(fs, req, op);

    if (!p) {
        (void)fuse_reply_err(req, ENOMEM);
        return;
    }
    running_add(fs_session_running(fs), p);
    fuse_req_interrupt_func(req, interrupted, p); /* calls it at once if it is late */
    fs_pool_add(op->lane == FS_LANE_REQUESTS ? fs->requests : fs->waits, &p->task);
}

void fs_serve(fuse_req_t req, const struct fs_op *arguments)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    struct fs *fs = fs_of(req);
    struct ou_error err = OU_ERROR_INIT;
    struct fs_op op = *arguments;
    struct fs_call call = {
        .cancel = fs->nowait,
        .begun_ms = ou_now_ms(),
        .pid = ctx->pid,
        .uid = ctx->uid,
        .gid = ctx->gid,
        .umask = ctx->umask,
    };
    int r = op.run(fs, &op, &call, &err);

    if (r == FS_MUST_WAIT)
        queue(fs, req, arguments);
    else
        finish(fs, req, &op, r, &err);
}

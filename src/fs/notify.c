/* Notices to the kernel, told in fs/state.h and fs/session.h. */
#include "fs/request.h"
#include "fs/session.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

static bool serving(const struct fs_session *s)
{
    return s && s->mounted && !fuse_session_exited(s->fuse);
}

/* -- from a pool, as the kernel may wait for our replies meanwhile -- */

struct notice {
    struct fs_task task;
    struct fs *fs;
    uint64_t id;
    char name[];
};

static void send_notice(struct fs_task *task)
{
    struct notice *n = fs_container(task, struct notice, task);
    struct fs_session *s = n->fs->session;

    if (serving(s)) {
        if (n->name[0])
            (void)fuse_lowlevel_notify_inval_entry(s->fuse, n->id, n->name, strlen(n->name));
        else
            (void)fuse_lowlevel_notify_inval_inode(s->fuse, n->id, 0, 0);
    }
    free(n);
}

static void notify(struct fs *fs, uint64_t id, const char *name)
{
    size_t len = strlen(name);
    struct notice *n = calloc(1, sizeof(*n) + len + 1);

    if (!n)
        return;
    n->task.run = send_notice;
    n->fs = fs;
    n->id = id;
    memcpy(n->name, name, len + 1);
    fs_pool_add(fs->waits, &n->task);
}

void fs_notify_entry(struct fs *fs, uint64_t parent_id, const char *name)
{
    notify(fs, parent_id, name);
}

void fs_notify_pages(struct fs *fs, uint64_t id)
{
    notify(fs, id, "");
}

/* -- from a thread that gives back -- */

#define NOTIFY_PRUNE 9 /* FUSE 7.45; neither linux/fuse.h nor libfuse of Debian 12 knows it */

struct prune {
    struct fuse_out_header head;
    uint32_t count, padding;
    uint64_t spare;
};

int fs_prune(struct fs *fs, const uint64_t *ids, size_t count)
{
    struct fs_session *s = fs->session;
    struct prune prune = {.head = {.error = NOTIFY_PRUNE}, .count = (uint32_t)count};
    struct iovec out[] = {{.iov_base = &prune, .iov_len = sizeof(prune)},
                          {.iov_base = (void *)ids, .iov_len = count * sizeof(*ids)}};

    prune.head.len = (uint32_t)(out[0].iov_len + out[1].iov_len);
    if (!serving(s) || writev(fuse_session_fd(s->fuse), out, 2) >= 0)
        return 0;
    return errno == EINVAL ? -EINVAL : 0; /* all else: the mount is about to go */
}

void fs_drop_entry(struct fs *fs, uint64_t parent_id, const char *name)
{
    struct fs_session *s = fs->session;

    if (serving(s))
        (void)fuse_lowlevel_notify_inval_entry(s->fuse, parent_id, name, strlen(name));
}

void fs_own_descriptors(struct fs *fs)
{
    unsigned fd = (unsigned)fuse_session_fd(fs->session->fuse);
    uint32_t mount = fd;
    int clone;

    if (unshare(CLONE_FILES) < 0)
        return;
    clone = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (clone >= 0) {
        if (ioctl(clone, FUSE_DEV_IOC_CLONE, &mount) == 0)
            (void)dup3(clone, (int)fd, O_CLOEXEC); /* where libfuse looks for it */
        (void)close(clone);
    }
    if (fd > STDERR_FILENO + 1)
        (void)close_range(STDERR_FILENO + 1, fd - 1, 0);
    (void)close_range(fd + 1, ~0U, 0);
}

/*
 * A write is seen by its mtime only if the clock has moved on since the one before: both stamps are
 * taken from CLOCK_REALTIME_COARSE. So identity_take() looks at that clock, and lets it tick.
 */
#include "transfer/identity.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <time.h>

#define TAKES_MAX 3u /* a file that is written all the time will be found changed later */

static int64_t ns_of(const struct timespec *t)
{
    return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

static void identity_of(const struct stat *st, struct xfer_identity *out)
{
    *out = (struct xfer_identity){
        .size = (uint64_t)st->st_size,
        .mtime_ns = ns_of(&st->st_mtim),
        .ctime_ns = ns_of(&st->st_ctim),
        .ino = st->st_ino,
        .dev = st->st_dev,
        .has_name = st->st_nlink > 0,
    };
}

/* Would a write now leave the mtime as it is? */
static bool is_racy(const struct stat *st)
{
    struct timespec now;

    if (clock_gettime(CLOCK_REALTIME_COARSE, &now) < 0 || st->st_mtim.tv_sec != now.tv_sec)
        return false;
    /* No fraction at all: most likely a file system that keeps whole seconds. */
    return st->st_mtim.tv_nsec == now.tv_nsec || st->st_mtim.tv_nsec == 0;
}

static void wait_for_tick(const struct stat *st)
{
    const struct timespec ms = {.tv_nsec = 1000000};

    while (is_racy(st))
        (void)nanosleep(&ms, NULL);
}

int xfer_identity_take(int fd, const char *name, struct xfer_identity *out, struct ou_error *err)
{
    struct stat st;

    for (unsigned i = 0;; i++) {
        if (fstat(fd, &st) < 0)
            return ou_error_set(err, errno, "%s", name);
        if (S_ISDIR(st.st_mode))
            return ou_error_set(err, EISDIR, "%s", name);
        if (!S_ISREG(st.st_mode))
            return ou_error_say(err, EINVAL, "%s: it is no regular file", name);
        if (i == TAKES_MAX || !is_racy(&st))
            break;
        wait_for_tick(&st);
    }
    identity_of(&st, out);
    return 0;
}

bool xfer_identity_same(const struct xfer_identity *a, const struct xfer_identity *b)
{
    return a->size == b->size && a->mtime_ns == b->mtime_ns && a->ino == b->ino && a->dev == b->dev;
}

static int check_open_file(const struct xfer_identity *was, int fd, const char *name,
                           struct ou_error *err)
{
    struct xfer_identity now;
    struct stat st;

    if (fstat(fd, &st) < 0)
        return ou_error_set(err, errno, "%s", name);
    identity_of(&st, &now);
    if (now.size < was->size)
        return ou_error_say(err, ESTALE, "%s: truncated from %" PRIu64 " to %" PRIu64 " bytes",
                            name, was->size, now.size);
    if (!xfer_identity_same(was, &now))
        return ou_error_say(err, ESTALE, "%s: written to", name);
    if (was->has_name && !now.has_name)
        return ou_error_say(err, ESTALE, "%s: deleted or replaced", name);
    return 0;
}

int xfer_identity_check(const struct xfer_identity *was, int fd, const char *path, const char *name,
                        struct ou_error *err)
{
    struct stat st;
    int r = check_open_file(was, fd, name, err);

    if (r < 0 || !path)
        return r;
    if (stat(path, &st) < 0)
        return errno == ENOENT ? ou_error_say(err, ESTALE, "%s: deleted or renamed", name)
                               : ou_error_set(err, errno, "%s", name);
    if (st.st_ino != was->ino || st.st_dev != was->dev)
        return ou_error_say(err, ESTALE, "%s: replaced by another file", name);
    return 0;
}

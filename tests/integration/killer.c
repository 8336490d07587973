/*
 * killer: a library for LD_PRELOAD that ends the program by SIGKILL at a chosen call.
 *
 * Counted are the calls that change files below KILLER_SPOOL, and send and recv on sockets, from
 * the moment on when the file KILLER_ARM exists. Each call is a point before and a point after it;
 * a write has a third, half of its bytes. At the KILLER_AT-th point a line that tells the call is
 * written to KILLER_REPORT, and the process is gone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long points;

static bool armed(void)
{
    const char *path = getenv("KILLER_ARM");

    return path && access(path, F_OK) == 0;
}

static void die(const char *call, const char *moment, const char *on)
{
    const char *path = getenv("KILLER_REPORT");
    char line[PATH_MAX + 100];
    int len = snprintf(line, sizeof(line), "%s %s: %s", moment, call, on);
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600) : -1;

    if (fd >= 0 && len > 0)
        (void)!write(fd, line, (size_t)len);
    (void)kill(getpid(), SIGKILL);
    for (;;)
        (void)pause();
}

/* Whether this point is the one. */
static bool here(void)
{
    const char *at = getenv("KILLER_AT");

    return at && atomic_fetch_add(&points, 1) + 1 == strtol(at, NULL, 10);
}

static void point(const char *call, const char *moment, const char *on)
{
    if (here())
        die(call, moment, on);
}

static bool in_spool(int fd, char path[PATH_MAX])
{
    const char *spool = getenv("KILLER_SPOOL");
    char link[40];
    ssize_t len;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    len = readlink(link, path, PATH_MAX - 1);
    if (!spool || len < 0)
        return false;
    path[len] = '\0';
    return !strncmp(path, spool, strlen(spool));
}

static bool counts(int fd, char path[PATH_MAX])
{
    int saved = errno;
    bool yes = in_spool(fd, path) && armed();

    errno = saved;
    return yes;
}

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

#define WRITE(name, fd, half, whole)                                                               \
    char path[PATH_MAX];                                                                           \
    bool on = counts(fd, path);                                                                    \
    if (on) {                                                                                      \
        point(#name, "before", path);                                                              \
        if (here()) {                                                                              \
            (void)!(half);                                                                         \
            die(#name, "in the middle of", path);                                                  \
        }                                                                                          \
    }                                                                                              \
    ssize_t n = (whole);                                                                           \
    int saved = errno;                                                                             \
    if (on)                                                                                        \
        point(#name, "after", path);                                                               \
    errno = saved;                                                                                 \
    return n

ssize_t write(int fd, const void *buf, size_t len)
{
    WRITE(write, fd, REAL(write)(fd, buf, len / 2), REAL(write)(fd, buf, len));
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t at)
{
    WRITE(pwrite, fd, REAL(pwrite)(fd, buf, len / 2, at), REAL(pwrite)(fd, buf, len, at));
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t at)
{
    WRITE(pwrite64, fd, REAL(pwrite64)(fd, buf, len / 2, at), REAL(pwrite64)(fd, buf, len, at));
}

#define CALL(name, fd, whole)                                                                      \
    char path[PATH_MAX];                                                                           \
    bool on = counts(fd, path);                                                                    \
    if (on)                                                                                        \
        point(#name, "before", path);                                                              \
    int r = (whole);                                                                               \
    int saved = errno;                                                                             \
    if (on)                                                                                        \
        point(#name, "after", path);                                                               \
    errno = saved;                                                                                 \
    return r

int fsync(int fd)
{
    CALL(fsync, fd, REAL(fsync)(fd));
}

int fdatasync(int fd)
{
    CALL(fdatasync, fd, REAL(fdatasync)(fd));
}

int ftruncate(int fd, off_t size)
{
    CALL(ftruncate, fd, REAL(ftruncate)(fd, size));
}

int ftruncate64(int fd, off64_t size)
{
    CALL(ftruncate64, fd, REAL(ftruncate64)(fd, size));
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
    CALL(fallocate, fd, REAL(fallocate)(fd, mode, offset, size));
}

int fallocate64(int fd, int mode, off64_t offset, off64_t size)
{
    CALL(fallocate64, fd, REAL(fallocate64)(fd, mode, offset, size));
}

int renameat(int fd, const char *from, int tofd, const char *to)
{
    CALL(renameat, fd, REAL(renameat)(fd, from, tofd, to));
}

int unlinkat(int fd, const char *name, int flags)
{
    CALL(unlinkat, fd, REAL(unlinkat)(fd, name, flags));
}

static bool creates(int dirfd, int flags, char path[PATH_MAX])
{
    return (flags & O_CREAT) && counts(dirfd, path);
}

#define OPENAT(name)                                                                               \
    int name(int dirfd, const char *file, int flags, ...)                                          \
    {                                                                                              \
        char path[PATH_MAX];                                                                       \
        bool on = creates(dirfd, flags, path);                                                     \
        mode_t mode = 0;                                                                           \
        va_list args;                                                                              \
                                                                                                   \
        va_start(args, flags);                                                                     \
        if (flags & O_CREAT)                                                                       \
            mode = va_arg(args, mode_t);                                                           \
        va_end(args);                                                                              \
        if (on)                                                                                    \
            point(#name, "before", file);                                                          \
        int fd = REAL(name)(dirfd, file, flags, mode);                                             \
        int saved = errno;                                                                         \
        if (on)                                                                                    \
            point(#name, "after", file);                                                           \
        errno = saved;                                                                             \
        return fd;                                                                                 \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t send(int fd, const void *buf, size_t len, int flags)
{
    char first[80] = "";
    ssize_t n;
    int saved;
    bool on = armed();

    if (on) {
        (void)snprintf(first, sizeof(first), "%.*s", (int)(len < 70 ? len : 70), (const char *)buf);
        point("send", "before", first);
    }
    n = REAL(send)(fd, buf, len, flags);
    saved = errno;
    if (on)
        point("send", "after", first);
    errno = saved;
    return n;
}

ssize_t recv(int fd, void *buf, size_t len, int flags)
{
    ssize_t n = REAL(recv)(fd, buf, len, flags);
    int saved = errno;

    if (n > 0 && armed())
        point("recv", "after", "an answer");
    errno = saved;
    return n;
}

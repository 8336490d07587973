/*
 * LD_PRELOAD for a program that keeps a journal: SIGKILL before, in the middle of, and after each
 * call that changes something on disk. The points are numbered as they are reached; KILL_AT names
 * one, and KILL_LOG a file that gets its name.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_int points;

static void point(const char *name)
{
    const char *wanted = getenv("KILL_AT"), *log = getenv("KILL_LOG");
    int fd;

    if (!wanted || atomic_fetch_add(&points, 1) + 1 != atoi(wanted))
        return;
    fd = log ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (fd >= 0)
        (void)!write(fd, name, strlen(name));
    (void)raise(SIGKILL);
    for (;;) /* of a thread: the process is about to go */
        (void)pause();
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset)
{
    ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    ssize_t n;

    point("before write\n");
    if (len > 1 && getenv("KILL_AT") && atomic_load(&points) + 1 == atoi(getenv("KILL_AT")))
        (void)real(fd, data, len / 2, offset);
    point("in write\n");
    n = real(fd, data, len, offset);
    point("after write\n");
    return n;
}

int fdatasync(int fd)
{
    int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
    int r;

    point("before sync\n");
    r = real(fd);
    point("after sync\n");
    return r;
}

int fsync(int fd)
{
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    int r;

    point("before directory sync\n");
    r = real(fd);
    point("after directory sync\n");
    return r;
}

int ftruncate64(int fd, off64_t size)
{
    int (*real)(int, off64_t) = dlsym(RTLD_NEXT, "ftruncate64");
    int r;

    point("before truncate\n");
    r = real(fd, size);
    point("after truncate\n");
    return r;
}

int unlinkat(int dirfd, const char *path, int flags)
{
    int (*real)(int, const char *, int) = dlsym(RTLD_NEXT, "unlinkat");
    int r;

    point("before removal\n");
    r = real(dirfd, path, flags);
    point("after removal\n");
    return r;
}

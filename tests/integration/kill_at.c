/*
 * LD_PRELOAD for a program that keeps a journal: SIGKILL before, in the middle of, or after a call
 * that changes something on disk. KILL_AT names the point: "3 before write" is the third time that
 * a write is about to begin. Each kind of point is counted by itself, since how often the disk is
 * synced depends on the time that passes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

struct kind {
    const char *name;
    atomic_int reached;
};

/* Is this the point that KILL_AT names? */
static bool is_it(struct kind *kind)
{
    const char *wanted = getenv("KILL_AT");
    char *name;
    long number;

    if (!wanted)
        return false;
    number = strtol(wanted, &name, 10);
    return *name == ' ' && !strcmp(name + 1, kind->name) &&
           atomic_fetch_add(&kind->reached, 1) + 1 == number;
}

static void die(void)
{
    (void)kill(getpid(), SIGKILL);
    for (;;) /* this thread goes, too, in a moment */
        (void)pause();
}

#define POINT(text)                                                                                \
    do {                                                                                           \
        static struct kind kind = {.name = (text)};                                                \
                                                                                                   \
        if (is_it(&kind))                                                                          \
            die();                                                                                 \
    } while (0)

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset)
{
    static struct kind half = {.name = "in write"};
    ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    ssize_t n;

    POINT("before write");
    if (is_it(&half)) {
        (void)real(fd, data, len / 2, offset);
        die();
    }
    n = real(fd, data, len, offset);
    POINT("after write");
    return n;
}

int fdatasync(int fd)
{
    int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
    int r;

    POINT("before sync");
    r = real(fd);
    POINT("after sync");
    return r;
}

int fsync(int fd)
{
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    int r;

    POINT("before directory sync");
    r = real(fd);
    POINT("after directory sync");
    return r;
}

int ftruncate64(int fd, off64_t size)
{
    int (*real)(int, off64_t) = dlsym(RTLD_NEXT, "ftruncate64");
    int r;

    POINT("before truncate");
    r = real(fd, size);
    POINT("after truncate");
    return r;
}

int unlinkat(int dirfd, const char *path, int flags)
{
    int (*real)(int, const char *, int) = dlsym(RTLD_NEXT, "unlinkat");
    int r;

    POINT("before removal");
    r = real(dirfd, path, flags);
    POINT("after removal");
    return r;
}

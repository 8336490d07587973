/*
 * The lock closes one gap: a walk that found a link dangling may not remove it after an upload, which
 * made its checkpoint meanwhile, saw that link and was content.
 */
#include "transfer/registry.h"

#include "base/cleanup.h"
#include "base/crc64.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define NAME_SIZE 17 /* 16 hex digits and NUL */

static void name_of(const char *path, char out[NAME_SIZE])
{
    (void)snprintf(out, NAME_SIZE, "%016" PRIx64, ou_crc64(0, path, strlen(path)));
}

/* Return: descriptor, which holds the lock @how; -errno. */
static int open_locked(const char *registry, int how, struct ou_error *err)
{
    ou_autoclose int dirfd = open(registry, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dirfd < 0)
        return ou_error_set(err, errno, "%s", registry);
    while (flock(dirfd, how) < 0)
        if (errno != EINTR)
            return ou_error_set(err, errno, "lock %s", registry);
    return ou_take_fd(&dirfd);
}

int xfer_registry_add(const char *registry, const char *path, struct ou_error *err)
{
    ou_autoclose int dirfd = -1;
    char name[NAME_SIZE];
    int r = ou_mkdirs(registry, 0700, err);

    if (r == 0)
        r = dirfd = open_locked(registry, LOCK_SH, err);
    if (r < 0)
        return r;
    name_of(path, name);
    if (symlinkat(path, dirfd, name) < 0 && errno != EEXIST)
        return ou_error_set(err, errno, "%s/%s", registry, name);
    return 0;
}

void xfer_registry_remove(const char *registry, const char *path)
{
    struct ou_error ignored = OU_ERROR_INIT;
    ou_autoclose int dirfd = open_locked(registry, LOCK_SH, &ignored);
    char name[NAME_SIZE];

    if (dirfd < 0)
        return;
    name_of(path, name);
    (void)unlinkat(dirfd, name, 0);
}

static int visit(int dirfd, const char *name,
                 int (*fn)(void *ctx, const char *path, struct ou_error *err), void *ctx,
                 struct ou_error *err)
{
    char path[PATH_MAX];
    ssize_t len = readlinkat(dirfd, name, path, sizeof(path) - 1);

    if (len < 0)
        return 0; /* it has ended just now, or is none of ours */
    path[len] = '\0';
    if (faccessat(dirfd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
        (errno == ENOENT || errno == ENOTDIR)) {
        (void)unlinkat(dirfd, name, 0);
        return 0;
    }
    return fn(ctx, path, err);
}

int xfer_registry_each(const char *registry,
                       int (*fn)(void *ctx, const char *path, struct ou_error *err), void *ctx,
                       struct ou_error *err)
{
    struct ou_error why = OU_ERROR_INIT;
    int dirfd = open_locked(registry, LOCK_EX, &why), r = 0;
    DIR *dir;

    if (dirfd == -ENOENT)
        return 0;
    if (dirfd < 0) {
        *err = why;
        return dirfd;
    }
    dir = fdopendir(dirfd);
    if (!dir) {
        (void)ou_error_set(err, errno, "%s", registry);
        (void)close(dirfd);
        return -err->errnum;
    }
    while (r == 0) {
        const struct dirent *e;

        errno = 0;
        e = readdir(dir);
        if (!e) {
            r = errno ? ou_error_set(err, errno, "%s", registry) : 0;
            break;
        }
        if (e->d_name[0] != '.')
            r = visit(dirfd, e->d_name, fn, ctx, err);
    }
    (void)closedir(dir);
    return r;
}

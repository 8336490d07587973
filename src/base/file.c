/*
 * Whole reads and writes: EINTR and short counts end here.
 */
#include "base/file.h"

#include "base/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_CHUNK (16u << 10) /* bytes; a configuration or credential file in one read */

int ou_write_all(int fd, const void *data, size_t len, struct ou_error *err)
{
    const char *p = data;

    while (len > 0) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ou_error_set(err, n < 0 ? errno : EIO, "write");
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int ou_pwrite_all(int fd, const void *data, size_t len, uint64_t offset, struct ou_error *err)
{
    const char *p = data;

    if (offset > INT64_MAX || len > INT64_MAX - offset)
        return ou_error_set(err, EFBIG, "write at %" PRIu64, offset);
    while (len > 0) {
        ssize_t n = pwrite(fd, p, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ou_error_set(err, n < 0 ? errno : EIO, "write at %" PRIu64, offset);
        p += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

ssize_t ou_pread_full(int fd, void *buf, size_t len, uint64_t offset, struct ou_error *err)
{
    char *p = buf;
    size_t done = 0;

    if (len > SSIZE_MAX || offset > INT64_MAX || len > INT64_MAX - offset)
        return ou_error_set(err, EINVAL, "read at %" PRIu64, offset);
    while (done < len) {
        ssize_t n = pread(fd, p + done, len - done, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ou_error_set(err, errno, "read at %" PRIu64, offset);
        if (n == 0)
            break;
        done += (size_t)n;
        offset += (uint64_t)n;
    }
    return (ssize_t)done;
}

int ou_read_file(int dirfd, const char *path, size_t max, struct ou_buf *out, struct ou_error *err)
{
    ou_autoclose int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
    char chunk[READ_CHUNK];
    int r;

    if (fd < 0)
        return ou_error_set(err, errno, "open %s", path);
    ou_buf_clear(out);
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk)); /* no pread: it may be a pipe */

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ou_error_set(err, errno, "read %s", path);
        if (n == 0)
            break;
        if ((size_t)n > max - out->len)
            return ou_error_say(err, EFBIG, "read %s: it has more than %zu bytes", path, max);
        ou_buf_add(out, chunk, (size_t)n);
        r = ou_buf_check(out, err);
        if (r < 0)
            return ou_error_prefix(err, "read %s", path);
    }
    return 0;
}

int ou_file_replace(int dirfd, const char *name, const void *data, size_t len, struct ou_error *err)
{
    ou_autoclose int fd = -1;
    char tmp[NAME_MAX + 1];
    int r;

    assert(!strchr(name, '/')); /* it is @dirfd that is fsynced */
    if (snprintf(tmp, sizeof(tmp), "%s.tmp", name) >= (int)sizeof(tmp))
        return ou_error_set(err, ENAMETOOLONG, "replace %s", name);
    fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return ou_error_set(err, errno, "create %s", tmp);

    r = ou_write_all(fd, data, len, err);
    if (r < 0) {
        (void)ou_error_prefix(err, "replace %s", name);
        goto undo;
    }
    if (fsync(fd) < 0 || renameat(dirfd, tmp, dirfd, name) < 0) {
        r = ou_error_set(err, errno, "replace %s", name);
        goto undo;
    }
    if (fsync(dirfd) < 0) /* the name must survive too, not only the data */
        return ou_error_set(err, errno, "sync the directory of %s", name);
    return 0;

undo:
    (void)unlinkat(dirfd, tmp, 0);
    return r;
}

static int make_one(const char *path, mode_t mode, struct ou_error *err)
{
    struct stat st;
    int errnum;

    if (mkdir(path, mode) == 0)
        return 0;
    errnum = errno;
    /* Not only EEXIST: mkdir of what is there may say EROFS or EACCES first. */
    if (stat(path, &st) < 0)
        return ou_error_set(err, errnum, "create directory %s", path);
    if (!S_ISDIR(st.st_mode))
        return ou_error_set(err, ENOTDIR, "create directory %s", path);
    return 0;
}

int ou_mkdirs(const char *path, mode_t mode, struct ou_error *err)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    int r;

    if (len == 0)
        return ou_error_set(err, ENOENT, "create directory \"\"");
    if (len >= sizeof(part))
        return ou_error_set(err, ENAMETOOLONG, "create directory %s", path);
    memcpy(part, path, len + 1);

    for (size_t i = 1; i < len; i++) {
        if (part[i] != '/' || part[i - 1] == '/')
            continue;
        part[i] = '\0';
        r = make_one(part, mode, err);
        if (r < 0)
            return r;
        part[i] = '/';
    }
    return make_one(part, mode, err);
}

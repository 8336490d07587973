/*
 * Rescue: staged files are copied out of a spool, or thrown away, without a mount.
 *
 * Copying changes nothing in the spool and needs no lock: a stable version is never overwritten.
 * Throwing away takes the spool's lock, so that no daemon is at work on it.
 */
#include "spool/internal.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_CHUNK (256u << 10)

static const char *const suffixes[] = {".data", ".alt", SPOOL_SIDECAR_SUFFIX};

/* Copies [offset, offset + size) as far as @from reaches; what is beyond it reads as zeros. */
static int copy_range(int from, int to, uint64_t offset, uint64_t size, struct ou_error *err)
{
    ou_autofree char *chunk = malloc(COPY_CHUNK);

    if (!chunk)
        return ou_error_set(err, ENOMEM, "copy");
    while (size > 0) {
        size_t want = size < COPY_CHUNK ? (size_t)size : COPY_CHUNK;
        ssize_t n = ou_pread_full(from, chunk, want, offset, err);
        int r;

        if (n <= 0)
            return (int)n;
        r = ou_pwrite_all(to, chunk, (size_t)n, offset, err);
        if (r < 0)
            return r;
        offset += (uint64_t)n;
        size -= (uint64_t)n;
    }
    return 0;
}

static int open_slot(int dirfd, const char *id, const char *suffix)
{
    char name[SPOOL_ID_SIZE + 8];

    (void)snprintf(name, sizeof(name), "%s%s", id, suffix);
    return openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
}

/* The stable version; @missing counts bytes that only the object in the bucket has. */
static int copy_stable(int dirfd, const struct spool_sidecar *s, int to, uint64_t *missing,
                       struct ou_error *err)
{
    ou_autoclose int a = open_slot(dirfd, s->id, suffixes[0]);
    ou_autoclose int b = open_slot(dirfd, s->id, suffixes[1]);

    for (uint64_t at = 0; at < s->size;) {
        struct extent e = extent_map_at(&s->map, at);
        uint64_t size = e.size < s->size - at ? e.size : s->size - at;
        int r = 0;

        if (e.slot == EXTENT_A || e.slot == EXTENT_B)
            r = copy_range(e.slot == EXTENT_A ? a : b, to, at, size, err);
        else if (e.slot == EXTENT_SENT)
            *missing += size;
        else if (e.slot == EXTENT_NONE && at < s->base_limit)
            *missing += size < s->base_limit - at ? size : s->base_limit - at;
        if (r < 0)
            return r;
        at += size;
    }
    return ftruncate(to, (off_t)s->size) < 0 ? ou_error_set(err, errno, "size") : 0;
}

/* Written but never closed: the bytes as they are. */
static int copy_open(int dirfd, const struct spool_sidecar *s, int to, uint64_t *missing,
                     struct ou_error *err)
{
    ou_autoclose int a = open_slot(dirfd, s->id, suffixes[0]);
    struct stat st;

    if (a < 0)
        return 0; /* not a byte was written */
    for (size_t i = 0; i < s->upload.part_count; i++)
        *missing += s->upload.parts[i].released ? s->upload.parts[i].part.size : 0;
    if (fstat(a, &st) < 0)
        return ou_error_set(err, errno, "%s%s", s->id, suffixes[0]);
    return copy_range(a, to, 0, (uint64_t)st.st_size, err);
}

/* A path below the destination: the key, or the id where a key would lead out of it. */
static int target_path(const struct spool_sidecar *s, const char *to, char **path,
                       struct ou_error *err)
{
    ou_autofree char *framed = NULL;
    bool leads_out;

    if (asprintf(&framed, "/%s", s->key) < 0) {
        framed = NULL;
        return ou_error_set(err, ENOMEM, "export %s", s->key);
    }
    leads_out = strstr(framed, "//") || strstr(framed, "/./") || strstr(framed, "/../") ||
                !strcmp(framed, "/..") || !strcmp(framed, "/.");
    if (asprintf(path, "%s/%s", to, leads_out ? s->id : s->key) < 0) {
        *path = NULL;
        return ou_error_set(err, ENOMEM, "export %s", s->key);
    }
    return 0;
}

static int make_parents(const char *path, struct ou_error *err)
{
    const char *slash = strrchr(path, '/');
    ou_autofree char *parent = slash ? strndup(path, (size_t)(slash - path)) : NULL;

    return parent ? ou_mkdirs(parent, 0777, err) : 0;
}

static int export_bytes(int dirfd, const struct spool_sidecar *s, const char *path,
                        uint64_t *missing, struct ou_error *err)
{
    ou_autoclose int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, s->attr.mtime};
    int r;

    if (fd < 0)
        return ou_error_set(err, errno, "create %s", path);
    r = spool_sidecar_exists(s) ? copy_stable(dirfd, s, fd, missing, err)
                                : copy_open(dirfd, s, fd, missing, err);
    if (r < 0)
        return ou_error_prefix(err, "export %s", path);
    if (fchmod(fd, s->attr.mode & 0777) < 0 || futimens(fd, times) < 0 || fsync(fd) < 0)
        return ou_error_set(err, errno, "export %s", path);
    return 0;
}

static int export_link(int dirfd, const struct spool_sidecar *s, const char *path,
                       struct ou_error *err)
{
    ou_autoclose int a = open_slot(dirfd, s->id, suffixes[0]);
    char target[PATH_MAX] = "";
    ssize_t n = a < 0 ? 0 : ou_pread_full(a, target, sizeof(target) - 1, 0, err);

    if (n < 0)
        return (int)n;
    return symlink(target, path) < 0 ? ou_error_set(err, errno, "create %s", path) : 0;
}

int spool_export(const char *dir, const char *id, const char *to, char **path, uint64_t *missing,
                 struct ou_error *err)
{
    ou_auto(spool_sidecar_fini) struct spool_sidecar s = {0};
    ou_autoclose int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char name[SPOOL_ID_SIZE + 8], boot[SPOOL_BOOT_SIZE];
    int r;

    *missing = 0;
    *path = NULL;
    if (dirfd < 0)
        return ou_error_set(err, errno, "read the spool %s", dir);
    (void)snprintf(name, sizeof(name), "%.16s%s", id, SPOOL_SIDECAR_SUFFIX);
    spool_read_boot_id(boot);
    r = spool_sidecar_load(dirfd, name, boot, &s, NULL, err);
    if (r == 0)
        r = target_path(&s, to, path, err);
    if (r < 0 || !*path)
        return r;
    if (S_ISDIR(s.attr.mode))
        return ou_mkdirs(*path, 0777, err);
    r = make_parents(*path, err);
    if (r < 0)
        return r;
    return S_ISLNK(s.attr.mode) ? export_link(dirfd, &s, *path, err)
                                : export_bytes(dirfd, &s, *path, missing, err);
}

int spool_discard(const char *dir, const char *id, struct ou_error *err)
{
    ou_autoclose int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ou_autoclose int lock = -1;
    bool found = false;

    if (dirfd < 0)
        return ou_error_set(err, errno, "open the spool %s", dir);
    lock = openat(dirfd, SPOOL_LOCK_NAME, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) < 0)
        return ou_error_say(err, EBUSY,
                            "the spool %s is in use: remove the file in the mount, or unmount "
                            "first",
                            dir);
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) { /* the sidecar last */
        char name[SPOOL_ID_SIZE + 8];

        (void)snprintf(name, sizeof(name), "%.16s%s", id, suffixes[i]);
        if (unlinkat(dirfd, name, 0) == 0)
            found = true;
        else if (errno != ENOENT)
            return ou_error_set(err, errno, "remove %s/%s", dir, name);
    }
    return found ? 0 : ou_error_say(err, ENOENT, "no staged file of %s has the id %s", dir, id);
}

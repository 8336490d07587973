/*
 * Frozen uploads: of files that stay open.
 *
 * A log or a database is fsynced again and again; if each stable version were planned anew, the
 * parts it changes would be dirty for ever and none would be published. So the version with which
 * an upload of an open file began is kept as it was: before a newer stable version changes some of
 * its bytes, these are copied into a file without a name. That costs a copy of what is rewritten,
 * nothing of what is appended, and nothing at all once the upload has ended.
 *
 * After a crash that file is gone. The upload id is gone on with, parts whose bytes changed since
 * are sent again, and the newest stable version is published.
 */
#include "spool/early.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK ((size_t)256 << 10)

int spool_freeze(struct spool_upload *up, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf line = {0};
    struct spool_file *f = up->file;
    int r;

    ou_mutex_assert_held(&f->io);
    spool_record_freeze(&line, up->version);
    r = spool_file_record(f, &line, false, err);
    if (r < 0)
        return r;
    ou_lock_scope(&f->lock);
    up->is_frozen = true;
    return 0;
}

bool spool_frozen_has(const struct spool_upload *up, uint64_t offset, uint64_t size)
{
    struct extent e;

    return up->is_frozen && extent_map_next(&up->frozen, offset, &e) && e.offset < offset + size;
}

static int open_copy(struct spool_upload *up, struct ou_error *err)
{
    int fd;

    if (up->frozen_fd >= 0)
        return up->frozen_fd;
    fd = openat(up->file->spool->dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return ou_error_set(err, errno, "keep a version of %s", up->key);
    ou_lock_scope(&up->file->lock);
    up->frozen_fd = fd;
    return fd;
}

/* [offset, offset + size) lies in @slot of the stable version. */
static int copy_slot(struct spool_upload *up, enum extent_slot slot, uint64_t offset, uint64_t size,
                     struct ou_error *err)
{
    ou_autofree char *chunk = malloc(CHUNK);
    struct spool_file *f = up->file;
    int to = open_copy(up, err), from;

    if (to < 0)
        return to;
    if (!chunk)
        return ou_error_set(err, ENOMEM, "keep a version of %s", up->key);
    ou_mutex_lock(&f->lock);
    from = spool_file_fd_locked(f, slot, false, err);
    ou_mutex_unlock(&f->lock);
    while (from >= 0 && size) {
        size_t len = size < CHUNK ? (size_t)size : CHUNK;
        ssize_t n = ou_pread_full(from, chunk, len, offset, err);

        if (n < 0)
            return (int)n;
        if ((size_t)n < len)
            return ou_error_say(err, EIO, "the data file of %s is too short", f->id);
        n = ou_pwrite_all(to, chunk, len, offset, err);
        if (n < 0)
            return (int)n;
        offset += len;
        size -= len;
    }
    return from < 0 ? from : 0;
}

static int keep_run(struct spool_upload *up, const struct extent *e, struct ou_error *err)
{
    struct spool_file *f = up->file;
    enum extent_slot where = EXTENT_ZERO;
    int r = 0;

    if (e->slot == EXTENT_A || e->slot == EXTENT_B) {
        r = copy_slot(up, e->slot, e->offset, e->size, err);
        where = EXTENT_A;
    } else if (e->slot == EXTENT_SENT) {
        where = EXTENT_SENT;
    } else if (e->slot == EXTENT_NONE && e->offset < f->s.base_limit) {
        where = EXTENT_B;
    }
    if (r < 0)
        return r;
    ou_lock_scope(&f->lock);
    return extent_map_set(&up->frozen, e->offset, e->size, where, err);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Of [begin, end), what the frozen version has and was not copied yet. */
static int keep_range(struct spool_upload *up, uint64_t begin, uint64_t end, struct ou_error *err)
{
    const struct spool_file *f = up->file;

    end = min_u64(end, up->size);
    while (begin < end) {
        struct extent kept = extent_map_at(&up->frozen, begin);
        struct extent e = extent_map_at(&f->s.map, begin);
        int r = 0;

        e.size = min_u64(e.size, end - begin);
        e.size = min_u64(e.size, kept.size);
        if (e.slot == EXTENT_NONE && begin < f->s.base_limit)
            e.size = min_u64(e.size, f->s.base_limit - begin);
        if (kept.slot == EXTENT_NONE)
            r = keep_run(up, &e, err);
        if (r < 0)
            return r;
        begin += e.size;
    }
    return 0;
}

int spool_frozen_keep(struct spool_upload *up, const struct extent_map *delta, uint64_t cut,
                      struct ou_error *err)
{
    struct extent e;
    uint64_t at = 0;
    int r = 0;

    ou_mutex_assert_held(&up->file->io);
    while (r == 0 && extent_map_next(delta, at, &e) && e.offset < up->size) {
        at = e.offset + e.size;
        r = keep_range(up, e.offset, at, err);
    }
    return r == 0 ? keep_range(up, cut, up->size, err) : r;
}

ssize_t spool_frozen_read(struct spool_upload *up, void *buf, size_t *len, uint64_t offset,
                          struct ou_error *err)
{
    struct spool_file *f = up->file;
    struct extent e;
    int fd;

    ou_mutex_lock(&f->lock);
    e = extent_map_at(&up->frozen, offset); /* empty unless it is frozen */
    fd = up->frozen_fd;
    ou_mutex_unlock(&f->lock);
    if (*len > e.size)
        *len = (size_t)e.size;
    if (e.slot == EXTENT_NONE)
        return 0;
    if (e.slot == EXTENT_B)
        return spool_file_read_base(f, true, buf, *len, offset, f->spool->cancel, err);
    if (e.slot == EXTENT_A)
        return ou_pread_full(fd, buf, *len, offset, err);
    if (e.slot == EXTENT_SENT)
        return spool_release_lost(f, err);
    memset(buf, 0, *len);
    return (ssize_t)*len;
}

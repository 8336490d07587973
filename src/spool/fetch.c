/*
 * Before a Put replaces the object that its own bytes come from in part, these are fetched.
 *
 * Otherwise a Put whose answer was lost could not be repeated: the base is gone then, and nobody
 * else has its bytes. (Parts are copied on the server, and their ETags tell whether a Complete
 * whose answer was lost has worked.) A Put is small, and the bytes are read for it anyhow.
 */
#include "spool/upload.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK ((size_t)256 << 10)

/* The first range at or beyond @from that only the base has. false: there is none. */
static bool next_missing(struct spool_file *f, uint64_t from, uint64_t *offset, size_t *len)
{
    ou_lock_scope(&f->lock);
    while (from < f->s.base_limit) {
        struct extent e = extent_map_at(&f->s.map, from);

        if (e.slot == EXTENT_NONE) {
            uint64_t run = f->s.base_limit - from;

            run = e.size < run ? e.size : run;
            *offset = from;
            *len = run < CHUNK ? (size_t)run : CHUNK;
            return true;
        }
        from += e.size;
    }
    return false;
}

/* Into the slot where neither version has something; the live version gets it, too. */
static int store_run(struct spool_file *f, const char *buf, uint64_t offset, uint64_t size,
                     enum extent_slot slot, bool live, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf lines = {0};
    int fd, r;

    ou_mutex_lock(&f->lock);
    fd = spool_file_fd_locked(f, slot, true, err);
    ou_mutex_unlock(&f->lock);
    if (fd < 0)
        return fd;
    r = ou_pwrite_all(fd, buf, (size_t)size, offset, err);
    if (r < 0)
        return r;
    spool_record_fetched(&lines, offset, size, slot);
    r = spool_file_journal(f, &lines, false, err);
    if (r < 0)
        return r;
    ou_lock_scope(&f->lock);
    r = extent_map_set(&f->stored[slot], offset, size, EXTENT_A, err);
    if (r == 0)
        r = spool_file_apply_locked(f, &lines, err);
    if (r == 0 && live)
        r = extent_map_set(&f->live, offset, size, slot, err);
    return r;
}

/* What of [offset, offset + len) is still missing: writers went on while it was fetched. */
static int store(struct spool_file *f, const char *buf, uint64_t offset, size_t len,
                 struct ou_error *err)
{
    uint64_t at = offset, end = offset + len;

    ou_mutex_assert_held(&f->io);
    while (at < end && at < f->s.base_limit) {
        struct extent stable = extent_map_at(&f->s.map, at);
        struct extent live = extent_map_at(&f->live, at);
        uint64_t run = end - at;
        int r = 0;

        run = stable.size < run ? stable.size : run;
        run = live.size < run ? live.size : run;
        run = f->s.base_limit - at < run ? f->s.base_limit - at : run;
        if (stable.slot == EXTENT_NONE)
            r = store_run(f, buf + (at - offset), at, run,
                          live.slot == EXTENT_A ? EXTENT_B : EXTENT_A,
                          live.slot == EXTENT_NONE && at + run <= f->base_limit, err);
        if (r < 0)
            return r;
        at += run;
    }
    return 0;
}

int spool_fetch_base(struct spool_upload *up, struct ou_error *err)
{
    struct spool_file *f = up->file;
    ou_autofree char *buf = malloc(CHUNK);
    uint64_t offset = 0;
    size_t len;
    int r = 0;

    if (!buf)
        return ou_error_set(err, ENOMEM, "fetch the base of %s", up->key);
    while (r == 0 && next_missing(f, offset, &offset, &len)) {
        struct spool_base before = {0};
        ssize_t n;

        ou_mutex_lock(&f->io);
        r = spool_base_copy(&before, &f->s.base, err);
        ou_mutex_unlock(&f->io);
        if (r < 0)
            return r;
        n = spool_file_read_base(f, true, buf, len, offset, f->spool->cancel, err);
        if (n == -ESTALE)
            n = ou_error_say(err, EREMCHG, "%s changed in the bucket while a change of it waited",
                             up->key);
        ou_mutex_lock(&f->io);
        if (n > 0 && spool_base_same(&before, &f->s.base))
            r = store(f, buf, offset, (size_t)n, err);
        else if (n < 0 && n != -EAGAIN)
            r = (int)n;
        ou_mutex_unlock(&f->io);
        spool_base_fini(&before);
        spool_file_disk(f, 0);
    }
    return r;
}

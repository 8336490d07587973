/*
 * Changing the bytes of a staged file.
 *
 * A write chooses, run by run, the slot in which the stable version does not have these bytes
 * (rule W1 in spool/file.h), writes there, and then switches the live map: a reader sees the old
 * bytes or the new. Truncating and punching change the maps only.
 *
 * A write that fails leaves its range *poisoned*: what the program wanted there is not known, so
 * the file is not taken over until that range is written, punched or cut off.
 */
#include "spool/early.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void touched_locked(struct spool_file *f, bool bytes)
{
    struct timespec now = ou_wall();

    if (bytes)
        f->attr.mtime = now;
    f->attr.ctime = now;
    f->attr.has_ctime = true;
    f->attr_number = spool_file_next_attr_locked(f);
    f->changed_ms = ou_now_ms();
    spool_file_keep_locked(f);
}

/* -- poison -- */

static void poison_locked(struct spool_file *f, uint64_t offset, uint64_t size,
                          const struct ou_error *why)
{
    struct ou_error ignored = OU_ERROR_INIT;

    if (!f->poisoned)
        f->poison_error = *why;
    f->poisoned = true;
    spool_file_keep_locked(f);
    /* Without memory for the range the poison stays until the file is cut to nothing. */
    (void)extent_map_set(&f->poison, offset, size, EXTENT_A, &ignored);
}

static void cure_locked(struct spool_file *f, uint64_t offset, uint64_t size)
{
    struct ou_error ignored = OU_ERROR_INIT;

    if (!f->poisoned || !f->poison.count)
        return;
    if (extent_map_set(&f->poison, offset, size, EXTENT_NONE, &ignored) == 0 && !f->poison.count)
        f->poisoned = false;
}

/* -- writing -- */

/* Rule W2: what the last synced version may have here must not be needed any more. */
static int protect(struct spool_file *f, uint64_t offset, uint64_t size, struct ou_error *err)
{
    struct extent e;

    if (!f->s.synced_version || f->s.synced_version == f->s.version || f->unlinked)
        return 0;
    if (!extent_map_next(&f->s.unsynced, offset, &e) || e.offset >= offset + size)
        return 0;
    return spool_file_make_synced(f, err);
}

/* The slot to write [offset, offset + *size) to; *@size is cut to where it is the same. */
static enum extent_slot choose_slot(const struct spool_file *f, uint64_t offset, uint64_t *size)
{
    struct extent e = extent_map_at(&f->s.map, offset);
    enum extent_slot slot = e.slot == EXTENT_A ? EXTENT_B : EXTENT_A;
    uint64_t run = min_u64(e.size, *size);

    while (run < *size) {
        e = extent_map_at(&f->s.map, offset + run);
        if ((e.slot == EXTENT_A ? EXTENT_B : EXTENT_A) != slot)
            break;
        run += min_u64(e.size, *size - run);
    }
    *size = run;
    return slot;
}

/* [offset, offset + size) lies in @slot now, or is zero. */
static int lay_locked(struct spool_file *f, uint64_t offset, uint64_t size, enum extent_slot slot,
                      struct ou_error *err)
{
    int r = 0;

    if (slot != EXTENT_ZERO)
        r = extent_map_set(&f->stored[slot], offset, size, EXTENT_A, err);
    if (r == 0)
        r = extent_map_set(&f->dirty, offset, size, EXTENT_A, err);
    if (r == 0)
        r = extent_map_set(&f->live, offset, size, slot, err);
    if (r < 0)
        return r;
    if (offset + size > f->size)
        f->size = offset + size;
    return 0;
}

static int write_run(struct spool_file *f, const void *buf, uint64_t size, uint64_t offset,
                     enum extent_slot slot, struct ou_error *err)
{
    int fd, r;

    ou_mutex_lock(&f->lock);
    fd = spool_file_fd_locked(f, slot, true, err);
    ou_mutex_unlock(&f->lock);
    if (fd < 0)
        return fd;
    r = ou_pwrite_all(fd, buf, (size_t)size, offset, err);
    ou_mutex_lock(&f->lock);
    if (r == 0)
        r = lay_locked(f, offset, size, slot, err);
    else /* it may have taken space */
        (void)extent_map_set(&f->stored[slot], offset, size, EXTENT_A, &(struct ou_error){0});
    ou_mutex_unlock(&f->lock);
    return r;
}

static int write_at(struct spool_file *f, const char *buf, size_t len, uint64_t offset,
                    struct ou_error *err)
{
    size_t done = 0;
    int r;

    ou_mutex_assert_held(&f->io);
    r = f->has_sidecar ? 0 : spool_file_journal(f, &(struct ou_buf){0}, false, err);
    if (r == 0)
        r = protect(f, offset, len, err);
    spool_early_touch(f, offset, len);
    while (r == 0 && done < len) {
        uint64_t run = len - done;
        enum extent_slot slot = choose_slot(f, offset + done, &run);

        if (slot == EXTENT_B || f->stored[EXTENT_B].count)
            f->garbage = true;
        r = write_run(f, buf + done, run, offset + done, slot, err);
        done += (size_t)run;
    }
    ou_mutex_lock(&f->lock);
    if (r < 0)
        poison_locked(f, offset, len, err);
    else
        cure_locked(f, offset, len);
    touched_locked(f, true);
    spool_file_plan_locked(f);
    ou_mutex_unlock(&f->lock);
    spool_early_touch(f, offset, len);
    if (r == 0)
        spool_early_written(f);
    return r < 0 ? ou_error_prefix(err, "write to the spool") : 0;
}

static int change_at(struct spool_file *f, const char *buf, size_t len, uint64_t offset,
                     struct ou_error *err)
{
    int r = spool_release_guard(f, offset, len, err);

    if (r == 0)
        return write_at(f, buf, len, offset, err);
    ou_lock_scope(&f->lock);
    poison_locked(f, offset, len, err);
    return r;
}

static ssize_t write_any(struct spool_file *f, const void *buf, size_t len, const uint64_t *where,
                         struct ou_cancel *cancel, struct ou_error *err)
{
    uint64_t offset = where ? *where : 0;
    int r;

    if (!len)
        return 0;
    if (offset > SPOOL_SIZE_MAX - len)
        return ou_error_set(err, EFBIG, "write at %" PRIu64, offset);
    r = spool_space_reserve(f->spool, len, cancel, err);
    ou_mutex_lock(&f->io);
    ou_mutex_lock(&f->lock);
    if (!where)
        offset = f->size;
    if (r < 0 && r != -EINTR)
        poison_locked(f, offset, len, err);
    spool_file_enter_locked(f);
    ou_mutex_unlock(&f->lock);
    if (r == 0) {
        if (offset > SPOOL_SIZE_MAX - len)
            r = ou_error_set(err, EFBIG, "append at %" PRIu64, offset);
        else
            r = change_at(f, buf, len, offset, err);
        spool_file_disk(f, len);
    }
    spool_file_leave(f);
    ou_mutex_unlock(&f->io);
    return r < 0 ? r : (ssize_t)len;
}

ssize_t spool_file_write(struct spool_file *f, const void *buf, size_t len, uint64_t offset,
                         struct ou_cancel *cancel, struct ou_error *err)
{
    return write_any(f, buf, len, &offset, cancel, err);
}

ssize_t spool_file_append(struct spool_file *f, const void *buf, size_t len,
                          struct ou_cancel *cancel, struct ou_error *err)
{
    return write_any(f, buf, len, NULL, cancel, err);
}

/* -- size -- */

static void truncate_locked(struct spool_file *f, uint64_t size)
{
    if (size < f->size) {
        extent_map_cut(&f->live, size);
        extent_map_cut(&f->dirty, size);
        extent_map_cut(&f->poison, size);
        f->base_limit = min_u64(f->base_limit, size);
        f->low = min_u64(f->low, size);
        f->garbage = true;
    }
    if (size == 0 || (f->poisoned && !f->poison.count)) {
        extent_map_fini(&f->poison);
        f->poisoned = false;
    }
    f->size = size;
    touched_locked(f, true);
    spool_file_plan_locked(f);
}

int spool_file_truncate(struct spool_file *f, uint64_t size, struct ou_error *err)
{
    int r;

    if (size > SPOOL_SIZE_MAX)
        return ou_error_set(err, EFBIG, "truncate to %" PRIu64, size);
    ou_lock_scope(&f->io);
    r = size ? spool_release_guard(f, size, SPOOL_SIZE_MAX - size, err) : spool_early_spare(f, err);
    if (r < 0)
        return r;
    spool_early_touch(f, size, SPOOL_SIZE_MAX - size);
    ou_mutex_lock(&f->lock);
    truncate_locked(f, size);
    ou_mutex_unlock(&f->lock);
    spool_early_touch(f, size, SPOOL_SIZE_MAX - size);
    if (size == 0) {
        spool_early_drop(f);
        spool_file_reclaim(f);
    }
    return 0;
}

static int zero_range(struct spool_file *f, uint64_t offset, uint64_t size, bool keep_size,
                      struct ou_error *err)
{
    uint64_t end = offset + size;
    int r = spool_release_guard(f, offset, size, err);

    if (r < 0)
        return r;
    spool_early_touch(f, offset, size);
    ou_mutex_lock(&f->lock);
    if (keep_size && end > f->size)
        end = f->size;
    if (offset < end) {
        r = lay_locked(f, offset, end - offset, EXTENT_ZERO, err);
        if (r == 0) {
            cure_locked(f, offset, end - offset);
            f->garbage = true;
            touched_locked(f, true);
            spool_file_plan_locked(f);
        }
    }
    ou_mutex_unlock(&f->lock);
    spool_early_touch(f, offset, size);
    return r;
}

int spool_file_allocate(struct spool_file *f, int mode, uint64_t offset, uint64_t size,
                        struct ou_error *err)
{
    bool keep = (mode & FALLOC_FL_KEEP_SIZE) != 0;
    int what = mode & ~FALLOC_FL_KEEP_SIZE;

    if (!size || offset > SPOOL_SIZE_MAX - size)
        return ou_error_set(err, size ? EFBIG : EINVAL, "allocate at %" PRIu64, offset);
    if ((what == FALLOC_FL_PUNCH_HOLE && !keep) ||
        (what && what != FALLOC_FL_PUNCH_HOLE && what != FALLOC_FL_ZERO_RANGE))
        return ou_error_set(err, EOPNOTSUPP, "allocate with mode %#x", (unsigned)mode);

    ou_lock_scope(&f->io);
    if (what)
        return zero_range(f, offset, size, keep, err);
    /* Nothing is set aside: an object store has room, and the spool admits writes one by one. */
    ou_mutex_lock(&f->lock);
    if (!keep && offset + size > f->size)
        truncate_locked(f, offset + size);
    ou_mutex_unlock(&f->lock);
    return 0;
}

/*
 * Stable points: the live version becomes the stable one, in the journal and then in memory.
 *
 * Only what changed since the last one is journalled: the ranges written (.dirty) and the
 * smallest size in between (.low), so that an appended line costs a line, not a map.
 *
 * Order of a synced point: data, then its record, then (once) the names in the directory.
 */
#include "spool/file.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

static int sync_slots(struct spool_file *f, struct ou_error *err)
{
    for (int i = 0; i < SPOOL_SLOTS; i++) {
        int fd;

        if (!f->stored[i].count)
            continue;
        ou_mutex_lock(&f->lock);
        fd = spool_file_fd_locked(f, (enum extent_slot)i, false, err);
        ou_mutex_unlock(&f->lock);
        if (fd < 0)
            return fd;
        if (fdatasync(fd) < 0)
            return ou_error_set(err, errno, "sync the data of %s", f->s.key);
    }
    return 0;
}

static int sync_names(struct spool_file *f, struct ou_error *err)
{
    if (f->dir_synced || !f->has_sidecar)
        return 0;
    if (fsync(f->spool->dirfd) < 0)
        return ou_error_set(err, errno, "sync the spool's directory");
    f->dir_synced = true;
    return 0;
}

/* The record of a new stable version. */
static int put_stable(struct spool_file *f, bool sync, struct ou_buf *lines, struct ou_error *err)
{
    struct spool_stable v = {.version = f->s.version + 1,
                             .cut = f->low,
                             .size = f->size,
                             .base_limit = f->base_limit,
                             .map = &f->live,
                             .where = &f->dirty,
                             .synced = sync,
                             .boot = f->spool->boot,
                             .time = ou_wall().tv_sec};

    if (f->attr_number != f->s.attr_number) {
        v.attr = &f->attr;
        v.attr_number = f->attr_number;
    }
    if (f->live_base.present)
        v.base = &f->live_base;
    spool_record_stable(lines, &v);
    return ou_buf_check(lines, err);
}

/* Journals and switches. The map is switched and old parts are marked in one step. */
static int switch_version(struct spool_file *f, bool sync, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf lines = {0};
    struct extent_map delta = f->dirty;
    uint64_t cut = f->low;
    uint64_t end = f->s.size > f->size ? f->s.size : f->size;
    bool rebased = f->live_base.present;
    struct spool_base_reader *old[2] = {NULL, NULL};
    int r;

    r = put_stable(f, sync, &lines, err);
    if (r == 0)
        spool_upload_prepare(f, &delta, cut, sync);
    if (r == 0)
        r = spool_file_journal(f, &lines, sync, err);
    if (r < 0)
        return r;
    ou_mutex_lock(&f->lock);
    spool_upload_mark_locked(f, &delta, cut);
    r = spool_file_apply_locked(f, &lines, err);
    f->low = f->size;
    f->dirty = (struct extent_map){0};
    if (rebased) {
        spool_base_fini(&f->live_base);
        spool_file_take_readers_locked(f, old);
    }
    spool_file_keep_locked(f);
    if (f->replaced) /* it is needed no more */
        spool_file_plan_locked(f);
    ou_mutex_unlock(&f->lock);
    spool_base_reader_drop(old[0]);
    spool_base_reader_drop(old[1]);
    spool_upload_changed(f, &delta, cut, end, rebased);
    extent_map_fini(&delta);
    return r;
}

static int journal_attr(struct spool_file *f, bool sync, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf line = {0};
    int r;

    spool_record_attr(&line, &f->attr, f->attr_number);
    r = spool_file_record(f, &line, sync, err);
    if (r < 0)
        return r;
    ou_mutex_lock(&f->lock);
    spool_file_keep_locked(f);
    ou_mutex_unlock(&f->lock);
    return 0;
}

int spool_file_make_synced(struct spool_file *f, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf line = {0};
    int r;

    ou_mutex_assert_held(&f->io);
    if (f->unlinked || !f->has_sidecar ||
        (f->s.synced_version == f->s.version && !f->journal_dirty && f->dir_synced))
        return 0;
    r = sync_slots(f, err);
    if (r < 0)
        return r;
    if (f->s.version && f->s.synced_version != f->s.version)
        spool_record_synced(&line, f->s.version);
    r = spool_file_record(f, &line, true, err);
    if (r == 0)
        r = sync_names(f, err);
    if (r == 0)
        spool_file_tidy(f);
    return r;
}

static bool only_attributes(const struct spool_file *f)
{
    return spool_sidecar_exists(&f->s) && !f->dirty.count && f->low == f->s.size &&
           f->size == f->s.size && !f->live_base.present;
}

int spool_file_make_stable(struct spool_file *f, bool sync, struct ou_error *err)
{
    bool unstable;
    int r = 0;

    ou_mutex_assert_held(&f->io);
    if (f->poisoned)
        return ou_error_say(err, f->poison_error.errnum ? f->poison_error.errnum : EIO,
                            "%s is not taken over, a write to it failed: %s", f->s.key,
                            f->poison_error.message);
    unstable = spool_file_unstable_locked(f); /* io is enough for what it reads */
    if (f->unlinked)
        sync = false;
    if (!unstable)
        return sync ? spool_file_make_synced(f, err) : 0;

    if (only_attributes(f)) {
        r = journal_attr(f, false, err);
        return r == 0 && sync ? spool_file_make_synced(f, err) : r;
    }
    if (sync)
        r = sync_slots(f, err);
    if (r == 0)
        r = switch_version(f, sync, err);
    if (r == 0 && sync)
        r = sync_names(f, err);
    if (r < 0)
        return r;
    spool_file_tidy(f);
    if (f->garbage)
        spool_file_reclaim(f);
    return 0;
}

/* -- space -- */

/* Whether [*@begin, end) of @slot begins with bytes that @map refers to; *@run: for how long. */
static bool refers(const struct extent_map *map, enum extent_slot slot, uint64_t begin,
                   uint64_t end, uint64_t *run)
{
    struct extent e = extent_map_at(map, begin);
    uint64_t stop = e.size > end - begin ? end : begin + e.size;

    *run = stop - begin;
    return e.slot == slot;
}

/* Punches what neither version refers to out of [begin, end) of @slot. */
static int punch(struct spool_file *f, enum extent_slot slot, int fd, uint64_t begin, uint64_t end)
{
    struct ou_error err = OU_ERROR_INIT;

    while (begin < end) {
        uint64_t run, other;
        bool live = refers(&f->live, slot, begin, end, &run);
        bool stable = refers(&f->s.map, slot, begin, end, &other);

        if (other < run)
            run = other;
        if (!live && !stable) {
            if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)begin,
                          (off_t)run) < 0)
                return -errno;
            if (extent_map_set(&f->stored[slot], begin, run, EXTENT_NONE, &err) < 0)
                return -err.errnum;
        }
        begin += run;
    }
    return 0;
}

/* Those who looked into a map before it was changed have read; others come and go meanwhile. */
static void await_readers_locked(struct spool_file *f)
{
    unsigned before = f->epoch;

    f->epoch = 1 - before;
    while (f->reading[before])
        ou_cond_wait(&f->changed, &f->lock);
}

void spool_file_reclaim(struct spool_file *f)
{
    struct ou_error err = OU_ERROR_INIT;

    ou_mutex_assert_held(&f->io);
    if (f->s.synced_version && f->s.synced_version != f->s.version)
        return; /* the last synced version may need it; the keeper syncs soon */
    ou_mutex_lock(&f->lock);
    spool_file_enter_locked(f);
    await_readers_locked(f);
    for (int i = 0; i < SPOOL_SLOTS; i++) {
        struct extent e;
        uint64_t at = 0;
        int fd =
            f->stored[i].count ? spool_file_fd_locked(f, (enum extent_slot)i, false, &err) : -1;

        while (fd >= 0 && extent_map_next(&f->stored[i], at, &e)) {
            at = e.offset + e.size;
            if (punch(f, (enum extent_slot)i, fd, e.offset, at) < 0)
                break;
        }
    }
    f->garbage = false;
    spool_file_leave_locked(f); /* closes what nobody else has open */
    ou_mutex_unlock(&f->lock);
    spool_file_disk(f, 0);
}

int spool_file_punch(struct spool_file *f, uint64_t begin, uint64_t end, struct ou_error *err)
{
    int r = 0;

    ou_mutex_assert_held(&f->io);
    ou_mutex_lock(&f->lock);
    spool_file_enter_locked(f);
    await_readers_locked(f);
    for (int i = 0; r == 0 && i < SPOOL_SLOTS; i++) {
        struct extent e;
        int fd;

        if (!extent_map_next(&f->stored[i], begin, &e) || e.offset >= end)
            continue;
        fd = spool_file_fd_locked(f, (enum extent_slot)i, false, err);
        r = fd < 0 ? fd : punch(f, (enum extent_slot)i, fd, begin, end);
    }
    spool_file_leave_locked(f);
    ou_mutex_unlock(&f->lock);
    spool_file_disk(f, 0);
    return r < 0 ? ou_error_set(err, -r, "punch a hole into the data of %s", f->id) : 0;
}

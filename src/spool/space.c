/*
 * What the spool may take: spool_size for its data files, spool_reserve left free on the disk.
 *
 * A write is admitted before it starts. While uploads are giving room back, a write that does
 * not fit waits for them; bytes of open files that are in the bucket go at once (clean.c); when
 * nothing is going on, files that are being written are pressed (spool/early.h); when that does
 * not help either, nothing will: -ENOSPC.
 */
#include "spool/early.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#define LOOK_AGAIN_MS UINT64_C(500)        /* somebody else may have made room on the disk */
#define LEAVE_LEAST   (UINT64_C(32) << 20) /* what cached blocks leave free without a reserve */

static uint64_t disk_free(const struct spool *spool)
{
    struct statvfs v;

    if (fstatvfs(spool->dirfd, &v) < 0)
        return UINT64_MAX; /* let the write itself find out */
    return (uint64_t)v.f_bavail * v.f_frsize;
}

/* Which limit is in the way of @size more bytes; NULL: none. */
static const char *in_the_way_locked(const struct spool *spool, uint64_t size)
{
    const struct spool_space *s = &spool->space;
    uint64_t taken = s->locked.used + s->locked.reserved;
    uint64_t room;

    if (spool->config.spool_size && taken + size > spool->config.spool_size)
        return "spool_size";
    if (!spool->config.spool_reserve)
        return NULL;
    room = disk_free(spool);
    if (room < spool->config.spool_reserve ||
        room - spool->config.spool_reserve < s->locked.reserved + size)
        return "spool_reserve";
    return NULL;
}

static void wake(void *arg)
{
    struct spool_space *s = arg;

    ou_mutex_lock(&s->lock);
    (void)pthread_cond_broadcast(&s->freed);
    ou_mutex_unlock(&s->lock);
}

/* Something is on its way to the bucket that will give its bytes back. */
static bool is_leaving(struct spool_file *f)
{
    ou_lock_scope(&f->lock);
    if (!f->disk_bytes || f->poisoned)
        return false;
    if (f->ending)
        return true;
    if (f->writers) /* published while it is open: its bytes are clean then (clean.c) */
        return !spool_file_awaits_writers_locked(f) && !f->early.on && !f->retry_ms &&
               spool_sidecar_dirty(&f->s);
    return f->up || !f->kept || (spool_file_pending_locked(f) && !f->retry_ms);
}

/* Likewise: its name is gone already, and its upload is being ended. */
static bool is_going(struct spool *spool)
{
    bool going = false;

    ou_lock_scope(&spool->lock);
    for (struct spool_upload *up = spool->locked.uploads; up && !going;
         up = spool_upload_next(up)) {
        struct spool_file *f = spool_upload_file(up);

        ou_lock_scope(&f->lock);
        going = f->unlinked && f->disk_bytes && !f->opens;
    }
    return going;
}

/* If the answer is no, all that went has been counted: a file that has no bytes gave them back. */
static bool room_will_come(struct spool *spool)
{
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file **files = NULL;
    size_t count = 0;

    if (!atomic_load(&spool->started))
        return false;
    if (spool_collect(spool, "", is_leaving, &files, &count, &err) < 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        ou_mutex_lock(&files[i]->lock);
        files[i]->hurry = true;
        spool_file_plan_locked(files[i]);
        ou_mutex_unlock(&files[i]->lock);
        spool_file_unref(files[i]);
    }
    free(files);
    return count > 0 || is_going(spool) || spool_release_press(spool);
}

static int no_room(const struct spool *spool, const char *limit, struct ou_error *err)
{
    return ou_error_say(err, ENOSPC,
                        "the spool %s is full (%s) and nothing in it is on its way to the bucket",
                        spool->dir, limit);
}

static int wait_for_room(struct spool *spool, uint64_t size, struct ou_cancel *cancel,
                         struct ou_error *err)
{
    struct spool_space *s = &spool->space;

    for (;;) {
        const char *limit;
        bool hope;

        spool_clean_let_go(spool);
        hope = room_will_come(spool); /* takes other locks: before ours */

        ou_lock_scope(&s->lock);
        limit = in_the_way_locked(spool, size);
        if (!limit) {
            s->locked.reserved += size;
            return 0;
        }
        if (!hope || s->locked.stopping)
            return no_room(spool, limit, err);
        if (ou_cancel_triggered(cancel))
            return ou_error_set(err, EINTR, "wait for room in the spool");
        (void)ou_cond_wait_until(&s->freed, &s->lock, ou_now_ms() + LOOK_AGAIN_MS);
    }
}

static void want_locked(struct spool_space *s, int64_t size)
{
    s->locked.wanted = (uint64_t)((int64_t)s->locked.wanted + size);
    s->locked.waiting = size > 0 ? s->locked.waiting + 1 : s->locked.waiting - 1;
}

int spool_space_reserve(struct spool *spool, uint64_t size, struct ou_cancel *cancel,
                        struct ou_error *err)
{
    struct spool_space *s = &spool->space;
    struct ou_cancel_hook hook;
    bool fits;
    int r;

    spool_cache_give_way(spool, size);
    ou_mutex_lock(&s->lock);
    fits = !in_the_way_locked(spool, size);
    if (fits)
        s->locked.reserved += size;
    else
        want_locked(s, (int64_t)size);
    ou_mutex_unlock(&s->lock);
    if (fits)
        return 0;
    ou_cancel_attach(cancel, &hook, wake, s);
    r = wait_for_room(spool, size, cancel, err);
    ou_cancel_detach(cancel, &hook);
    ou_lock_scope(&s->lock);
    want_locked(s, -(int64_t)size);
    return r;
}

bool spool_space_wanted(struct spool *spool)
{
    ou_lock_scope(&spool->space.lock);
    return spool->space.locked.waiting > 0 &&
           in_the_way_locked(spool, spool->space.locked.wanted) != NULL;
}

void spool_space_look_again(struct spool *spool)
{
    wake(&spool->space);
}

void spool_space_settle(struct spool *spool, uint64_t reserved, int64_t grown)
{
    struct spool_space *s = &spool->space;

    ou_lock_scope(&s->lock);
    s->locked.reserved -= reserved;
    s->locked.used = (uint64_t)((int64_t)s->locked.used + grown);
    if (reserved || grown < 0)
        (void)pthread_cond_broadcast(&s->freed);
}

/* @a - @b, as far as it can be told. */
static int64_t difference(uint64_t a, uint64_t b)
{
    uint64_t d = a > b ? a - b : b - a;
    int64_t capped = d < INT64_MAX ? (int64_t)d : INT64_MAX;

    return a > b ? capped : -capped;
}

int64_t spool_space_left(struct spool *spool, uint64_t cached)
{
    const struct spool_config *c = &spool->config;
    uint64_t leave = c->spool_reserve > LEAVE_LEAST ? c->spool_reserve : LEAVE_LEAST;
    uint64_t on_disk = disk_free(spool);
    int64_t left;

    ou_lock_scope(&spool->space.lock);
    left = difference(on_disk, spool->space.locked.reserved);
    left = left > 0 ? difference((uint64_t)left, leave) : left;
    if (c->spool_size) {
        uint64_t taken = spool->space.locked.used + spool->space.locked.reserved + cached;
        int64_t allowed = difference(c->spool_size, taken);

        left = allowed < left ? allowed : left;
    }
    return left;
}

void spool_space_numbers(struct spool *spool, uint64_t *used, uint64_t *free_bytes,
                         unsigned *waiting)
{
    struct spool_space *s = &spool->space;

    *free_bytes = disk_free(spool);
    ou_lock_scope(&s->lock);
    *used = s->locked.used;
    *waiting = s->locked.waiting;
}

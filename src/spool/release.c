/*
 * Releasing: what spool/early.h says about space.
 *
 * Order of a release: the record (from there on a recovery looks for the bytes in the part), the
 * live map (readers), then the hole.
 */
#include "spool/early.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "spool/temporary.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define AWAIT_MS UINT64_C(60000) /* how long a reader waits for the file to be published */

bool spool_is_released(const struct spool_file *f)
{
    return extent_map_has(&f->live, EXTENT_SENT, 0, UINT64_MAX) ||
           extent_map_has(&f->s.map, EXTENT_SENT, 0, UINT64_MAX);
}

int spool_release_lost(const struct spool_file *f, struct ou_error *err)
{
    return ou_error_say(err, EIO,
                        "%s is incomplete: to make room in the spool, bytes that OSS had confirmed "
                        "were let go, and the unfinished upload that holds them is gone from the "
                        "bucket: write the file again",
                        f->s.key);
}

/* -- letting go -- */

/* Of a closed version that waits, too; @shared: then its bytes and the live ones are the same. */
static bool may_release(const struct spool_file *f, const struct spool_part *p, bool *shared)
{
    uint64_t end = p->offset + p->part.size;
    struct extent e;

    *shared = spool_sidecar_pending(&f->s) && p->offset < f->s.size;
    if (p->released || p->copy || !p->part.has_crc64 || end > f->size)
        return false;
    if (!*shared)
        return true;
    return end <= f->s.size && end <= f->low &&
           !(extent_map_next(&f->dirty, p->offset, &e) && e.offset < end);
}

static struct spool_part *next_to_release(const struct spool_file *f, bool *shared)
{
    struct spool_part *first = NULL;

    for (size_t i = 0; i < f->early.sent_count; i++) {
        struct spool_part *p = &f->early.sent[i];
        bool both;

        if ((first && p->offset > first->offset) || !may_release(f, p, &both))
            continue;
        first = p;
        *shared = both;
    }
    return first;
}

static int journal_release(struct spool_file *f, const struct spool_part *p, bool shared,
                           struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf lines = {0};
    struct spool_part record = *p;

    record.released = true;
    spool_record_part(&lines, &record);
    ou_buf_adds(&lines, "\n");
    if (shared)
        spool_record_released(&lines, p->offset, p->part.size);
    return spool_file_record(f, &lines, shared, err); /* a closed version must find it again */
}

static int release(struct spool_file *f, struct spool_part *p, bool shared, struct ou_error *err)
{
    int r = 0;

    /* Until the newest stable version is on the disk, an older one may have bytes there. */
    if (f->s.synced_version && f->s.synced_version != f->s.version)
        r = spool_file_make_synced(f, err);
    if (r == 0)
        r = journal_release(f, p, shared, err);
    if (r < 0)
        return r;
    ou_mutex_lock(&f->lock);
    r = extent_map_set(&f->live, p->offset, p->part.size, EXTENT_SENT, err);
    p->released = r == 0;
    ou_mutex_unlock(&f->lock);
    if (r == 0)
        r = spool_file_punch(f, p->offset, p->offset + p->part.size, err);
    ou_log_debug(OU_LOG_SPOOL, "released key=%s part=%u offset=%" PRIu64 " result=%d", f->s.key,
                 p->part.number, p->offset, r);
    return r;
}

int spool_release_some(struct spool_file *f, struct ou_error *err)
{
    struct spool *spool = f->spool;
    struct spool_part *p;
    bool shared = false;
    int r = 0;

    ou_mutex_assert_held(&f->io);
    if (!f->early.on || !f->early.pressed || f->early.held || f->poisoned ||
        spool_upload_is_ending(f->up))
        return 0;
    while (r == 0 && spool_space_wanted(spool) && !atomic_load(&spool->cannot_punch) &&
           (p = next_to_release(f, &shared)) != NULL)
        r = release(f, p, shared, err);
    if (r == -EOPNOTSUPP) {
        atomic_store(&spool->cannot_punch, true);
        ou_log_warn(OU_LOG_SPOOL, err, "a file larger than the spool cannot pass spool=%s",
                    spool->dir);
        r = 0;
    }
    return r;
}

/* -- pressing -- */

static bool is_being_written(struct spool_file *f)
{
    ou_lock_scope(&f->lock);
    return f->writers && f->disk_bytes && !f->unlinked && !f->displaced && !f->poisoned &&
           !f->early.held && !f->early.off;
}

/* An upload of the closed version waits at its gate for the writer, who waits for room. */
static bool is_at_the_gate(struct spool_file *f)
{
    ou_lock_scope(&f->lock);
    return f->up && !f->early.on && !spool_upload_is_ending(f->up) &&
           spool_file_awaits_writers_locked(f) && !spool_is_released(f);
}

/* Return: it has given room, or will. */
static bool press(struct spool_file *f)
{
    struct ou_error err = OU_ERROR_INIT;
    uint64_t no_more = 0; /* parts that will give nothing: gone, or an older version needs room */
    bool shared;

    ou_lock_scope(&f->io);
    ou_mutex_lock(&f->lock);
    f->early.pressed = true;
    ou_mutex_unlock(&f->lock);
    if (is_at_the_gate(f))
        spool_upload_restart(f);
    spool_early_written(f);
    if (spool_upload_is_ending(f->up)) /* then one ahead of the close may begin */
        return true;
    if (spool_release_some(f, &err) < 0) {
        ou_log_warn(OU_LOG_SPOOL, &err, "nothing is released key=%s", f->s.key);
        return false;
    }
    for (size_t i = 0; i < f->early.sent_count; i++)
        no_more += f->early.sent[i].released || !may_release(f, &f->early.sent[i], &shared);
    return f->early.on && !f->early.held && f->early.parts > no_more;
}

bool spool_release_press(struct spool *spool)
{
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file **files = NULL;
    size_t count = 0;
    bool will_come = false;

    if (!spool->config.early || atomic_load(&spool->cannot_punch) ||
        spool_collect(spool, "", is_being_written, &files, &count, &err) < 0)
        return false;
    for (int temporary = 0; temporary < 2; temporary++) {
        for (size_t i = 0; i < count && !(temporary && will_come); i++) {
            ou_autofree char *key = spool_file_key(files[i]);

            if (key && spool_name_is_temporary(key) == (temporary == 1))
                will_come = press(files[i]) || will_come;
        }
    }
    for (size_t i = 0; i < count; i++)
        spool_file_unref(files[i]);
    free(files);
    return will_come;
}

/* -- those who come too late -- */

/* Before parts that follow what is copied from the base, a change would give them other numbers. */
static bool moves_released(const struct spool_file *f, uint64_t offset)
{
    if (!f->base_limit && !f->s.base_limit)
        return false;
    return extent_map_has(&f->live, EXTENT_SENT, offset, UINT64_MAX - offset) ||
           extent_map_has(&f->s.map, EXTENT_SENT, offset, UINT64_MAX - offset);
}

int spool_release_guard(struct spool_file *f, uint64_t offset, uint64_t size, struct ou_error *err)
{
    int r;

    ou_mutex_assert_held(&f->io);
    if (!extent_map_has(&f->live, EXTENT_SENT, offset, size) && !moves_released(f, offset))
        return 0;
    r = ou_error_say(err, ENOSPC,
                     "%s cannot be changed at byte %" PRIu64 " before it is published: to make "
                     "room in the spool, these bytes were sent and let go",
                     f->s.key, offset);
    ou_lock_scope(&f->lock);
    if (!f->early.told)
        ou_log_error(OU_LOG_SPOOL, err, "file is larger than the spool key=%s", f->s.key);
    f->early.told = true;
    return r;
}

static void wake_waiter(void *arg)
{
    struct spool_file *f = arg;

    ou_mutex_lock(&f->lock);
    (void)pthread_cond_broadcast(&f->changed);
    ou_mutex_unlock(&f->lock);
}

/* Why waiting for the publication is of no use. 0: it is. */
static int hopeless_locked(struct spool_file *f, struct ou_error *err)
{
    if (f->unlinked || f->poisoned)
        return spool_release_lost(f, err);
    if (f->early.on && f->writers)
        return ou_error_say(err, EIO,
                            "%s cannot be read while it is being written: to make room in the "
                            "spool, these bytes were sent and let go",
                            f->s.key);
    if (f->retry_ms && f->s.failed.errnum && !f->up) {
        *err = f->s.failed;
        return -err->errnum;
    }
    return 0;
}

/* @offset: of a byte; NULL: all. Return: -EAGAIN: it is here now, or in the bucket. */
static int await_locked(struct spool_file *f, const uint64_t *offset, uint64_t deadline_ms,
                        struct ou_cancel *cancel, struct ou_error *err)
{
    while (offset ? extent_map_at(&f->live, *offset).slot == EXTENT_SENT : spool_is_released(f)) {
        int r = hopeless_locked(f, err);

        if (r < 0)
            return r;
        if (ou_cancel_triggered(cancel))
            return ou_error_set(err, EINTR, "wait for %s to be published", f->s.key);
        f->hurry = true;
        f->hurry_version = f->s.version;
        spool_file_plan_locked(f);
        if (ou_cond_wait_until(&f->changed, &f->lock, deadline_ms))
            return ou_error_set(err, ETIMEDOUT, "wait for %s to be published", f->s.key);
    }
    return -EAGAIN;
}

static int await(struct spool_file *f, const uint64_t *offset, uint64_t deadline_ms,
                 struct ou_cancel *cancel, struct ou_error *err)
{
    struct ou_cancel_hook hook;
    int r;

    ou_cancel_attach(cancel, &hook, wake_waiter, f);
    ou_mutex_lock(&f->lock);
    r = await_locked(f, offset, deadline_ms, cancel, err);
    ou_mutex_unlock(&f->lock);
    ou_cancel_detach(cancel, &hook);
    return r;
}

int spool_release_await(struct spool_file *f, uint64_t offset, struct ou_cancel *cancel,
                        struct ou_error *err)
{
    return await(f, &offset, ou_now_ms() + AWAIT_MS, cancel, err);
}

int spool_release_await_all(struct spool_file *f, uint64_t deadline_ms, struct ou_cancel *cancel,
                            struct ou_error *err)
{
    int r = await(f, NULL, deadline_ms, cancel, err);

    if (r == -EIO && f->early.on)
        return ou_error_say(err, EBUSY,
                            "it is larger than the spool and still being written: part of it was "
                            "sent under its name of now");
    return r == -EAGAIN ? 0 : r;
}

/*
 * The keeper: looks after files that nobody is calling for.
 *
 *   - a file that writers keep open and that has been quiet for open_flush becomes stable and
 *     may be published (a log that is never closed reaches the bucket);
 *   - what was closed but not fsynced reaches the disk some seconds later, so that a power cut
 *     takes no more than that;
 *   - disk space that a reader was in the way of is given back.
 */
#include "spool/file.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>
#include <unistd.h>

#define ROUND_MS   UINT64_C(1000)
#define SYNC_MS    UINT64_C(5000) /* what was closed is synced so often */
#define SYNCFS_MIN 16u            /* from so many files on, syncfs() is cheaper */

static bool is_open_writer(struct spool_file *f)
{
    ou_lock_scope(&f->lock);
    return f->writers && !f->unlinked && !f->poisoned &&
           (spool_file_unstable_locked(f) ||
            (spool_file_pending_locked(f) && f->publishable != f->s.version));
}

static bool is_quiet_locked(const struct spool_file *f)
{
    return f->writers && !f->unlinked && !f->poisoned &&
           ou_now_ms() >= f->changed_ms + f->spool->config.open_flush_ms;
}

static void look_after_open(struct spool_file *f)
{
    struct ou_error err = OU_ERROR_INIT;
    bool quiet;

    ou_mutex_lock(&f->lock);
    quiet = is_quiet_locked(f);
    ou_mutex_unlock(&f->lock);
    if (!quiet)
        return;
    ou_lock_scope(&f->io);
    ou_mutex_lock(&f->lock);
    quiet = is_quiet_locked(f);
    spool_file_enter_locked(f);
    ou_mutex_unlock(&f->lock);
    if (quiet && spool_file_make_stable(f, false, &err) < 0)
        ou_log_warn(OU_LOG_SPOOL, &err, "open file is not taken over key=%s", f->s.key);
    ou_mutex_lock(&f->lock);
    if (quiet && !err.errnum) {
        f->publishable = f->s.version;
        spool_file_plan_locked(f);
    }
    ou_mutex_unlock(&f->lock);
    spool_file_leave(f);
    spool_upload_kick(f);
}

static bool is_unsynced(struct spool_file *f)
{
    ou_lock_scope(&f->lock);
    return f->has_sidecar && !f->unlinked && f->s.version && f->s.synced_version != f->s.version &&
           spool_file_pending_locked(f);
}

static void sync_one(struct spool_file *f)
{
    struct ou_error err = OU_ERROR_INIT;

    ou_lock_scope(&f->io);
    ou_mutex_lock(&f->lock);
    spool_file_enter_locked(f);
    ou_mutex_unlock(&f->lock);
    if (spool_file_make_synced(f, &err) < 0)
        ou_log_warn(OU_LOG_SPOOL, &err, "sync of a staged file id=%s", f->id);
    spool_file_leave(f);
    if (f->garbage)
        spool_file_reclaim(f);
}

/* Unfinished business of a closed file: it could not be made stable, or the timer had no memory. */
static bool is_neglected(struct spool_file *f)
{
    ou_lock_scope(&f->lock);
    return !f->writers && !f->unlinked && !f->poisoned && f->kept &&
           ou_now_ms() > f->changed_ms + f->spool->config.settle_ms + SYNC_MS &&
           (spool_file_unstable_locked(f) ||
            (spool_file_pending_locked(f) && !f->up && !f->timer_at));
}

static void look_after_closed(struct spool_file *f)
{
    struct ou_error err = OU_ERROR_INIT;

    ou_lock_scope(&f->io);
    ou_mutex_lock(&f->lock);
    spool_file_enter_locked(f);
    ou_mutex_unlock(&f->lock);
    if (!f->writers && spool_file_make_stable(f, false, &err) < 0)
        ou_log_warn(OU_LOG_SPOOL, &err, "closed file is not taken over key=%s", f->s.key);
    ou_mutex_lock(&f->lock);
    spool_file_plan_locked(f);
    ou_mutex_unlock(&f->lock);
    spool_file_leave(f);
}

/*
 * Version @version is on the disk, and nothing before it was: so there is no older one that must
 * be kept until the record is there, too. The record is synced by the caller, with many others.
 */
static void note_synced(struct spool_file *f, uint64_t version)
{
    ou_auto(ou_buf_fini) struct ou_buf line = {0};
    struct ou_error err = OU_ERROR_INIT;

    ou_lock_scope(&f->io);
    if (f->unlinked || !f->has_sidecar || f->s.version != version || f->s.synced_version)
        return;
    spool_record_synced(&line, version);
    if (spool_file_record(f, &line, false, &err) < 0)
        ou_log_warn(OU_LOG_SPOOL, &err, "sync of a staged file id=%s", f->id);
}

/* A sync of its own for each of thousands of new files would keep the disk busy for minutes. */
static void sync_new(struct spool *spool, struct spool_file **files, size_t count)
{
    uint64_t *versions = calloc(count, sizeof(*versions));

    if (!versions)
        return;
    for (size_t i = 0; i < count; i++) {
        ou_lock_scope(&files[i]->lock);
        versions[i] = files[i]->s.version;
    }
    if (syncfs(spool->dirfd) == 0) {
        for (size_t i = 0; i < count; i++)
            note_synced(files[i], versions[i]);
        (void)syncfs(spool->dirfd); /* an error costs trust in what is not there, no more */
    }
    free(versions);
}

static void sync_closed(struct spool *spool)
{
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file **files = NULL;
    size_t count = 0;

    if (spool_collect(spool, "", is_unsynced, &files, &count, &err) < 0)
        return;
    if (count >= SYNCFS_MIN)
        sync_new(spool, files, count);
    for (size_t i = 0; i < count; i++) {
        if (is_unsynced(files[i]))
            sync_one(files[i]);
        spool_file_unref(files[i]);
    }
    free(files);
}

static void round_of(struct spool *spool, bool (*want)(struct spool_file *f),
                     void (*act)(struct spool_file *f))
{
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file **files = NULL;
    size_t count = 0;

    if (spool_collect(spool, "", want, &files, &count, &err) < 0)
        return;
    for (size_t i = 0; i < count; i++) {
        act(files[i]);
        spool_file_unref(files[i]);
    }
    free(files);
}

/* Return: false when the spool is being closed. */
static bool sleep_round(struct spool *spool, uint64_t until_ms)
{
    ou_lock_scope(&spool->sleep_lock);
    while (!spool->stopping && ou_now_ms() < until_ms)
        (void)ou_cond_wait_until(&spool->sleep, &spool->sleep_lock, until_ms);
    return !spool->stopping;
}

static void *run(void *arg)
{
    struct spool *spool = arg;
    uint64_t round_ms = spool->config.open_flush_ms / 4;
    uint64_t synced_ms = ou_now_ms();

    if (round_ms > ROUND_MS)
        round_ms = ROUND_MS;
    if (round_ms < 10)
        round_ms = 10;
    while (sleep_round(spool, ou_now_ms() + round_ms)) {
        round_of(spool, is_open_writer, look_after_open);
        if (ou_now_ms() < synced_ms + SYNC_MS)
            continue;
        sync_closed(spool);
        round_of(spool, is_neglected, look_after_closed);
        synced_ms = ou_now_ms();
    }
    /* A machine that is shut down properly loses nothing, whatever boot comes next. */
    sync_closed(spool);
    return NULL;
}

int spool_keeper_start(struct spool *spool, struct ou_error *err)
{
    int r = ou_thread_start(&spool->keeper, "spool-keeper", run, spool, err);

    spool->keeper_running = r == 0;
    return r;
}

void spool_keeper_stop(struct spool *spool)
{
    if (!spool->keeper_running)
        return;
    ou_mutex_lock(&spool->sleep_lock);
    spool->stopping = true;
    (void)pthread_cond_broadcast(&spool->sleep);
    ou_mutex_unlock(&spool->sleep_lock);
    (void)pthread_join(spool->keeper, NULL);
    spool->keeper_running = false;
}

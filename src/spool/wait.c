/*
 * Waiting for the whole: sync, reload, and the counts of what is pending.
 */
#include "spool/file.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_parked_locked(const struct spool_file *f)
{
    return f->retry_ms && f->s.failed.errnum && !f->up;
}

/* Uploads of names that are gone: they are to be ended, which may take one more delete. */
static uint64_t count_doomed_locked(const struct spool *spool)
{
    uint64_t count = atomic_load(&spool->left_behind.count);

    ou_mutex_assert_held(&spool->lock);
    for (const struct spool_upload *up = spool->locked.uploads; up; up = spool_upload_next(up))
        count += spool_upload_doomed(up);
    return count;
}

static void count_pending(struct spool_file *f, struct spool_pending *out)
{
    ou_lock_scope(&f->lock);
    if (!spool_file_pending_locked(f)) {
        out->open_only += f->kept && f->opens && spool_file_unstable_locked(f);
        return;
    }
    out->files++;
    out->bytes += spool_sidecar_dirty(&f->s) ? f->s.size : 0;
    out->failed += is_parked_locked(f) || f->poisoned;
}

void spool_pending(struct spool *spool, const char *prefix, struct spool_pending *out)
{
    struct spool_node *n = NULL;
    size_t len = strlen(prefix);

    *out = (struct spool_pending){.deletes = spool_deletes_count(spool, prefix)};
    ou_lock_scope(&spool->lock);
    if (!len)
        out->deletes += count_doomed_locked(spool);
    while ((n = spool_table_next(&spool->locked.files, n)) != NULL) {
        struct spool_file *f = spool_container(n, struct spool_file, node);

        if (len && strncmp(n->key, prefix, len) != 0)
            continue;
        for (; f; f = f->replaced)
            count_pending(f, out);
    }
}

bool spool_file_failed(struct spool_file *f, struct ou_error *why)
{
    ou_lock_scope(&f->lock);
    if (!f->poisoned && !is_parked_locked(f))
        return false;
    *why = f->poisoned ? f->poison_error : f->s.failed;
    return true;
}

/* -- handles that are about to go -- */

/*
 * close(2) returns after the flush, and the kernel tells a moment later that the handle is gone.
 * Until then, for so long, a program that closed its file and calls sync would be told too early.
 */
#define RELEASE_MS UINT64_C(1000)

/* Until when one is waited for; 0: there is none. */
static uint64_t release_due_locked(const struct spool *spool, const char *prefix)
{
    struct spool_node *n = NULL;
    uint64_t due = 0, now = ou_now_ms();

    while ((n = spool_table_next(&spool->locked.files, n)) != NULL) {
        struct spool_file *f = spool_container(n, struct spool_file, node);

        if (strncmp(n->key, prefix, strlen(prefix)) != 0)
            continue;
        ou_lock_scope(&f->lock);
        if (f->writers && f->flushed_ms && f->flushed_ms + RELEASE_MS > now &&
            f->flushed_ms + RELEASE_MS > due && !spool_file_unstable_locked(f))
            due = f->flushed_ms + RELEASE_MS;
    }
    return due;
}

void spool_tell_changed(struct spool *spool)
{
    ou_lock_scope(&spool->lock);
    (void)pthread_cond_broadcast(&spool->changed);
}

static void wake(void *spool)
{
    spool_tell_changed(spool);
}

static int await_releases(struct spool *spool, const char *prefix, struct ou_cancel *cancel,
                          struct ou_error *err)
{
    uint64_t due;

    ou_lock_scope(&spool->lock);
    while ((due = release_due_locked(spool, prefix)) != 0) {
        if (ou_cancel_triggered(cancel))
            return ou_error_set(err, EINTR, "sync");
        (void)ou_cond_wait_until(&spool->changed, &spool->lock, due);
    }
    return 0;
}

static bool is_closed_pending_locked(const struct spool_file *f)
{
    return spool_file_pending_locked(f) && (!f->writers || f->publishable == f->s.version);
}

static bool is_closed_pending(struct spool_file *f)
{
    ou_lock_scope(&f->lock);
    return is_closed_pending_locked(f);
}

/* What sync waits for: also for what follows from a publication, so that the spool is empty then. */
static bool is_under_way(struct spool_file *f)
{
    ou_lock_scope(&f->lock);
    return f->ending || is_closed_pending_locked(f);
}

void spool_reload(struct spool *spool)
{
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file **files = NULL;
    size_t count = 0;

    if (spool_collect(spool, "", is_closed_pending, &files, &count, &err) < 0)
        return;
    for (size_t i = 0; i < count; i++) {
        ou_mutex_lock(&files[i]->lock);
        files[i]->retry_ms = 0;
        files[i]->parked = 0;
        spool_file_plan_locked(files[i]);
        ou_mutex_unlock(&files[i]->lock);
        spool_upload_kick(files[i]);
        spool_file_unref(files[i]);
    }
    free(files);
    spool_deletes_flush(spool);
}

struct awaited { /* what of a file sync waits for */
    struct spool_file *file;
    uint64_t version, attr;
};

/* 1 it is in the bucket (or its name is gone), 0 not yet, negative: parked. */
static int look_at(const struct awaited *a, struct ou_error *err)
{
    struct spool_file *f = a->file;

    ou_lock_scope(&f->lock);
    if (f->ending)
        return 0;
    if (!spool_file_pending_locked(f) ||
        (f->published_version >= a->version && f->published_attr >= a->attr && f->published_attr))
        return 1;
    if (f->writers && ((f->publishable != f->s.version && (!f->up || f->early.on)) ||
                       (f->early.on && !spool_sidecar_dirty(&f->s))))
        return 1; /* opened again: a new version is being made */
    if (f->poisoned)
        return ou_error_say(err, f->poison_error.errnum ? f->poison_error.errnum : EIO,
                            "%s cannot be uploaded, a write to it failed: %s", f->s.key,
                            f->poison_error.message);
    if (!is_parked_locked(f))
        return 0;
    *err = f->s.failed;
    return ou_error_prefix(err, "%s cannot be uploaded (ossfs-up spool resume tries again)",
                           f->s.key);
}

static int await_one(struct spool *spool, const struct awaited *a, uint64_t deadline_ms,
                     struct ou_cancel *cancel, struct ou_error *parked, struct ou_error *err)
{
    for (;;) {
        int r;

        ou_lock_scope(&spool->lock);
        r = look_at(a, parked);
        if (r)
            return r < 0 ? 0 : r;
        if (ou_cancel_triggered(cancel))
            return ou_error_set(err, EINTR, "sync");
        if (ou_cond_wait_until(&spool->changed, &spool->lock, deadline_ms))
            return ou_error_say(err, ETIMEDOUT, "not everything is in the bucket yet: %s is not",
                                a->file->s.key);
    }
}

static int await_doomed(struct spool *spool, uint64_t deadline_ms, struct ou_cancel *cancel,
                        struct ou_error *err)
{
    ou_lock_scope(&spool->lock);
    while (count_doomed_locked(spool)) {
        if (ou_cancel_triggered(cancel))
            return ou_error_set(err, EINTR, "sync");
        if (ou_cond_wait_until(&spool->changed, &spool->lock, deadline_ms))
            return ou_error_set(err, ETIMEDOUT, "wait for uploads of deleted files to end");
    }
    return 0;
}

static void hurry(struct awaited *a)
{
    struct spool_file *f = a->file;

    ou_mutex_lock(&f->lock);
    a->version = f->s.version;
    a->attr = f->s.attr_number;
    f->hurry = spool_file_pending_locked(f);
    f->hurry_version = f->s.version;
    spool_file_plan_locked(f);
    ou_mutex_unlock(&f->lock);
    spool_upload_kick(f);
}

static int await_all(struct spool *spool, struct awaited *all, size_t count, uint64_t deadline_ms,
                     struct ou_cancel *cancel, struct ou_error *parked, struct ou_error *err)
{
    struct ou_error ignored = OU_ERROR_INIT;
    int r = 0;

    for (size_t i = 0; i < count; i++)
        hurry(&all[i]);
    for (size_t i = 0; r >= 0 && i < count; i++)
        r = await_one(spool, &all[i], deadline_ms, cancel, parked->errnum ? &ignored : parked, err);
    return r;
}

static int sync_files(struct spool *spool, const char *prefix, uint64_t deadline_ms,
                      struct ou_cancel *cancel, struct ou_error *parked, struct ou_error *err)
{
    struct spool_file **files = NULL;
    struct awaited *all;
    size_t count = 0;
    int r = await_releases(spool, prefix, cancel, err);

    if (r == 0)
        r = spool_collect(spool, prefix, is_under_way, &files, &count, err);
    if (r < 0)
        return r;
    all = calloc(count + 1, sizeof(*all));
    for (size_t i = 0; all && i < count; i++)
        all[i].file = files[i];
    spool_deletes_flush(spool);
    r = all ? await_all(spool, all, count, deadline_ms, cancel, parked, err)
            : ou_error_set(err, ENOMEM, "sync");
    if (r >= 0)
        r = await_doomed(spool, deadline_ms, cancel, err);
    for (size_t i = 0; i < count; i++)
        spool_file_unref(files[i]);
    free(files);
    free(all);
    return r;
}

int spool_sync(struct spool *spool, const char *prefix, uint64_t deadline_ms,
               struct ou_cancel *cancel, struct ou_error *err)
{
    struct ou_error parked = OU_ERROR_INIT;
    struct ou_cancel_hook hook;
    int r;

    ou_cancel_attach(cancel, &hook, wake, spool);
    r = sync_files(spool, prefix, deadline_ms, cancel, &parked, err);
    ou_cancel_detach(cancel, &hook);

    spool_deletes_flush(spool);
    if (r >= 0)
        r = spool_deletes_await(spool, prefix, deadline_ms, cancel, err);
    if (r >= 0 && parked.errnum) {
        *err = parked;
        r = -parked.errnum;
    }
    return r < 0 ? r : 0;
}

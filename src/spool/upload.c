/*
 * Uploads begin here, when they may.
 */
#include "spool/early.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUSY_MS                                                                                    \
    UINT64_C(100) /* until an upload that something stands in the way of is tried again */
#define NO_MEMORY_MS UINT64_C(1000) /* or no room on the disk */

struct xfer_upload *spool_upload_handle(struct spool_upload *up)
{
    return up->handle;
}

const char *spool_upload_key(const struct spool_upload *up)
{
    return up->key;
}

struct spool_upload *spool_upload_next(const struct spool_upload *up)
{
    return up->next;
}

struct spool_file *spool_upload_file(const struct spool_upload *up)
{
    return up->file;
}

bool spool_upload_doomed(const struct spool_upload *up)
{
    ou_lock_scope(&up->file->lock);
    return up->file->unlinked || strcmp(up->key, up->file->s.key) != 0;
}

bool spool_upload_is_ahead(struct spool_upload *up)
{
    ou_lock_scope(&up->file->lock);
    return up->ahead;
}

void spool_upload_free(struct spool_upload *up)
{
    if (!up)
        return;
    if (up->has_headers)
        spool_headers_fini(&up->headers);
    extent_map_fini(&up->frozen);
    if (up->frozen_fd >= 0)
        (void)close(up->frozen_fd);
    free(up->key);
    free(up);
}

void spool_upload_unlist(struct spool_upload *up)
{
    struct spool *spool = up->file->spool;

    ou_mutex_lock(&spool->lock);
    if (up->prev) {
        *up->prev = up->next;
        if (up->next)
            up->next->prev = up->prev;
        up->prev = NULL;
        up->next = NULL;
    }
    ou_mutex_unlock(&spool->lock);
    spool_timer_uploads(spool, -1);
}

static void list(struct spool_upload *up)
{
    struct spool *spool = up->file->spool;

    ou_mutex_lock(&spool->lock);
    up->next = spool->locked.uploads;
    up->prev = &spool->locked.uploads;
    if (up->next)
        up->next->prev = &up->next;
    spool->locked.uploads = up;
    ou_mutex_unlock(&spool->lock);
    spool_timer_uploads(spool, 1);
}

void spool_uploads_drop(struct spool *spool)
{
    for (;;) {
        struct spool_upload *up;
        struct spool_file *f;

        ou_mutex_lock(&spool->lock);
        up = spool->locked.uploads;
        ou_mutex_unlock(&spool->lock);
        if (!up)
            return;
        f = up->file;
        spool_upload_unlist(up);
        ou_mutex_lock(&f->io);
        ou_mutex_lock(&f->lock);
        f->up = NULL;
        ou_mutex_unlock(&f->lock);
        ou_mutex_unlock(&f->io);
        spool_upload_free(up);
        spool_file_unref(f);
    }
}

/* -- the start -- */

/* Whether it may begin; false: the timer is set for when to look again. */
static bool may_start(struct spool_file *f)
{
    bool due;

    ou_lock_scope(&f->lock);
    due = !f->up && !f->unlinked && !f->poisoned && !f->held && spool_file_pending_locked(f) &&
          !spool_file_awaits_writers_locked(f) && !spool_move_blocks_locked(f);
    if (due && f->retry_ms > ou_now_ms() && !f->hurry)
        due = false;
    if (due && !f->hurry && !f->retry_ms &&
        ou_now_ms() < f->changed_ms + f->spool->config.settle_ms)
        due = false;
    if (!due)
        spool_file_plan_locked(f);
    return due;
}

static void later(struct spool_file *f, uint64_t ms)
{
    ou_lock_scope(&f->lock);
    spool_timer_set(f, ou_now_ms() + ms);
}

/* Deletes and uploads of the same key, and files that still read what lies under it, go first. */
static bool key_is_free(struct spool_file *f)
{
    struct spool *spool = f->spool;
    enum spool_claim claim;

    if (spool_upload_on(spool, f->s.key) || spool_base_needed(spool, f->s.key, f))
        return false;
    claim = spool_deletes_claim(spool, f->s.key);
    if (claim == SPOOL_CLAIM_DROPPED) {
        ou_mutex_lock(&f->lock);
        f->s.absent = false;
        ou_mutex_unlock(&f->lock);
    }
    return claim != SPOOL_CLAIM_WAIT;
}

bool spool_upload_claim(struct spool_upload *up)
{
    struct spool_file *f = up->file;
    uint64_t again_ms = 0;

    ou_mutex_assert_held(&f->io);
    if (!up->ahead)
        return true;
    ou_mutex_lock(&f->lock);
    if (!f->hurry && !f->writers && ou_now_ms() < f->changed_ms + f->spool->config.settle_ms)
        again_ms = f->changed_ms + f->spool->config.settle_ms;
    ou_mutex_unlock(&f->lock);
    if (!again_ms && !key_is_free(f))
        again_ms = ou_now_ms() + BUSY_MS;
    ou_lock_scope(&f->lock);
    up->ahead = again_ms > 0;
    f->gate_ms = again_ms;
    spool_file_plan_locked(f);
    return !again_ms;
}

static struct spool_upload *new_upload(struct spool_file *f, const char *key, bool abort_only,
                                       struct ou_error *err)
{
    struct spool_upload *up = calloc(1, sizeof(*up));

    if (up)
        up->key = strdup(key);
    if (!up || !up->key) {
        free(up);
        (void)ou_error_set(err, ENOMEM, "upload %s", key);
        return NULL;
    }
    up->file = f;
    up->frozen_fd = -1;
    up->started_ms = ou_now_ms();
    up->version = f->s.version;
    up->size = f->s.size;
    up->attr = f->s.upload.attr; /* of an upload id that is gone on with */
    up->abort_only = up->canceled = abort_only;
    return up;
}

/* To the engine. On failure @up is freed and the plan is the caller's. */
static int hand_over(struct spool_upload *up, struct xfer_upload_spec *spec, struct ou_error *err)
{
    struct spool_file *f = up->file;
    struct xfer_upload *handle;
    int r;

    spec->key = up->key;
    spec->ops = &spool_upload_ops;
    spec->ctx = up;
    if (f->s.base.present) {
        spec->base_key = f->s.base.key;
        spec->base_etag = f->s.base.etag;
    }
    (void)spool_file_ref(f);
    list(up);
    ou_mutex_lock(&f->lock);
    f->up = up;
    ou_mutex_unlock(&f->lock);
    r = xfer_upload_start(f->spool->engine, spec, &handle, err);
    if (r == 0) {
        ou_mutex_lock(&f->lock);
        up->handle = handle;
        ou_mutex_unlock(&f->lock);
        if (up->abort_only)
            xfer_upload_cancel(handle);
        return 0;
    }
    ou_mutex_lock(&f->lock);
    f->up = NULL;
    ou_mutex_unlock(&f->lock);
    spool_upload_unlist(up);
    spool_upload_free(up);
    spool_file_unref(f);
    return r;
}

/* .io is held to the end, so that done() cannot come before .up is set. */
static int start(struct spool_file *f, const char *key, bool abort_only, struct ou_error *err)
{
    ou_autofree struct oss_part *parts = NULL;
    ou_autofree struct xfer_plan_part *where = NULL;
    struct xfer_plan plan = {0};
    struct xfer_resume resume;
    struct xfer_upload_spec spec = {.plan = &plan};
    struct spool_upload *up = new_upload(f, key, abort_only, err);
    bool older;
    int r;

    if (!up)
        return -ENOMEM;
    r = spool_upload_plan_of_published(f, &plan, err);
    older = r == 1;
    if (older) {
        up->version = f->s.upload.version;
        up->size = f->s.upload.size;
        up->uses_base = up->broken = true; /* its bytes may not be here any more */
    } else if (r == 0) {
        r = spool_upload_plan(f, &plan, &up->uses_base, err);
    }
    if (r < 0) {
        spool_upload_free(up);
        return r;
    }
    up->kind = plan.kind;
    spool_upload_resume(f, older, &resume, &parts, &where);
    /* The engine counts an upload id that was being completed as published until it knows better. */
    up->let_out = resume.publishing && resume.upload_id && plan.kind == XFER_PLAN_MULTIPART;
    spec.resume = f->s.upload.key ? &resume : NULL;
    if ((spool_file_has_writers(f) || spool_is_released(f)) && !older && !up->abort_only) {
        r = spool_freeze(up, err);
        if (r < 0) {
            xfer_plan_fini(&plan);
            spool_upload_free(up);
            return r;
        }
        ou_mutex_lock(&f->lock);
        f->open_publish_ms = ou_now_ms();
        ou_mutex_unlock(&f->lock);
    }
    r = hand_over(up, &spec, err);
    if (r < 0)
        xfer_plan_fini(&plan);
    return r;
}

int spool_upload_end_left(struct spool_file *f, struct ou_error *err)
{
    const struct spool_upload_state *u = &f->s.upload;
    bool doubt_only = u->publishing && !u->initiating && !*u->upload_id;
    ou_autofree char *key = NULL;
    int r;

    ou_mutex_assert_held(&f->io);
    if (!u->key || (doubt_only && !spool_file_left_behind_locked(f)))
        return 0;
    key = strdup(u->key);
    r = key ? start(f, key, true, err) : ou_error_set(err, ENOMEM, "end an upload");
    return r < 0 ? r : 1;
}

int spool_upload_ahead(struct spool_file *f, struct xfer_plan *plan, struct ou_error *err)
{
    const struct xfer_resume doubt = {.publishing = f->s.upload.publishing};
    struct xfer_upload_spec spec = {.plan = plan, .resume = doubt.publishing ? &doubt : NULL};
    struct spool_upload *up;
    int r;

    ou_mutex_assert_held(&f->io);
    if (!spool_timer_has_room(f->spool))
        return ou_error_set(err, EBUSY, "upload %s", f->s.key);
    up = new_upload(f, f->s.key, false, err);
    if (!up)
        return -ENOMEM;
    up->kind = plan->kind;
    up->version = SPOOL_NO_VERSION;
    up->ahead = true;
    ou_mutex_lock(&f->lock);
    f->early.on = true; /* before the engine can ask */
    ou_mutex_unlock(&f->lock);
    r = hand_over(up, &spec, err);
    if (r < 0) {
        ou_lock_scope(&f->lock);
        spool_early_ended_locked(f);
    }
    return r;
}

/* The upload is there already, and waits for its file to be closed or for its key. */
static int go_on(struct spool_file *f, struct ou_error *err)
{
    if (f->early.on)
        return spool_early_finish(f, err);
    ou_mutex_lock(&f->lock);
    f->gate_ms = 0;
    ou_mutex_unlock(&f->lock);
    spool_upload_kick(f);
    return 0;
}

void spool_upload_due(struct spool_file *f)
{
    struct ou_error err = OU_ERROR_INIT;
    bool drop = false;
    bool left_behind;
    int r = spool_replaced_settle(f, &err);

    if (r < 0) {
        ou_log_warn(OU_LOG_SPOOL, &err, "replaced file is kept key=%s", f->s.key);
        later(f, NO_MEMORY_MS);
        return;
    }
    ou_mutex_lock(&f->io);
    ou_mutex_lock(&f->lock);
    left_behind = !f->up && spool_file_left_behind_locked(f);
    ou_mutex_unlock(&f->lock);
    if (f->up) {
        r = go_on(f, &err);
    } else if (left_behind) { /* what an earlier upload left is ended first */
        r = spool_upload_end_left(f, &err);
    } else if (!may_start(f)) {
        drop = spool_file_settle_down(f);
        r = 0;
    } else if (!key_is_free(f)) {
        later(f, BUSY_MS);
        r = 0;
    } else {
        r = start(f, f->s.key, false, &err);
        if (r == 0)
            ou_log_info(OU_LOG_SPOOL, "upload starts key=%s version=%llu", f->s.key,
                        (unsigned long long)f->s.version);
    }
    if (r < 0) {
        ou_log_warn(OU_LOG_SPOOL, &err, "upload cannot start key=%s", f->s.key);
        later(f, NO_MEMORY_MS);
    }
    ou_mutex_unlock(&f->io);
    if (drop)
        spool_file_unref(f);
}

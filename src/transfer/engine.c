/*
 * The functions of engine.h: they change an upload's facts under the engine's lock and let the
 * schedule draw the consequences. See engine_internal.h for how the files divide the work.
 */
#include "base/clock.h"
#include "base/log.h"
#include "transfer/engine_internal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS_DEFAULT 16
#define THREADS_DEFAULT 3
#define RANK_ENGINE     OU_RANK_XFER

/* -- the engine -- */

static int workers_start(struct xfer_engine *e, struct ou_error *err)
{
    for (unsigned i = 0; i < e->worker_count; i++) {
        struct xfer_worker *w = &e->workers[i];
        int r;

        w->engine = e;
        w->step.cancel = ou_cancel_new();
        if (!w->step.cancel)
            return ou_error_set(err, ENOMEM, "start %u upload threads", e->worker_count);
        r = ou_thread_start(&w->thread, "ossup-upload", xfer_worker_run, w, err);
        if (r < 0)
            return r;
        w->started = true;
    }
    return 0;
}

int xfer_engine_new(const struct xfer_engine_config *config, struct xfer_engine **engine,
                    struct ou_error *err)
{
    struct xfer_engine *e = calloc(1, sizeof(*e));
    int r;

    if (!e)
        return ou_error_set(err, ENOMEM, "upload engine");
    e->client = config->client;
    e->worker_count = config->workers ? config->workers : WORKERS_DEFAULT;
    e->threads = config->threads ? config->threads : THREADS_DEFAULT;
    ou_mutex_init(&e->lock, RANK_ENGINE);
    ou_cond_init(&e->wake);
    e->workers = calloc(e->worker_count, sizeof(*e->workers));
    r = e->workers ? workers_start(e, err) : ou_error_set(err, ENOMEM, "upload engine");
    if (r < 0) {
        xfer_engine_free(e);
        return r;
    }
    *engine = e;
    return 0;
}

void xfer_engine_stop(struct xfer_engine *e)
{
    ou_mutex_lock(&e->lock);
    e->locked.stopping = true;
    for (unsigned i = 0; e->workers && i < e->worker_count; i++)
        ou_cancel_trigger(e->workers[i].step.cancel);
    (void)pthread_cond_broadcast(&e->wake);
    ou_mutex_unlock(&e->lock);
    for (unsigned i = 0; e->workers && i < e->worker_count; i++) {
        if (e->workers[i].started)
            (void)pthread_join(e->workers[i].thread, NULL);
        e->workers[i].started = false;
    }
}

void xfer_engine_free(struct xfer_engine *e)
{
    if (!e)
        return;
    xfer_engine_stop(e);
    while (e->locked.all) {
        struct xfer_upload *u = e->locked.all;

        e->locked.all = u->next_all;
        xfer_upload_free(u);
    }
    for (unsigned i = 0; e->workers && i < e->worker_count; i++)
        ou_cancel_unref(e->workers[i].step.cancel);
    free(e->workers);
    free(e->locked.heap);
    (void)pthread_cond_destroy(&e->wake);
    ou_mutex_fini(&e->lock);
    free(e);
}

/* -- an upload -- */

void xfer_upload_free(struct xfer_upload *u)
{
    if (!u)
        return;
    xfer_parts_fini(&u->parts);
    free(u->key);
    free(u->base_key);
    free(u->base_etag);
    free(u);
}

static bool plan_copies(const struct xfer_plan *plan)
{
    if (plan->kind == XFER_PLAN_COPY)
        return true;
    for (size_t i = 0; i < plan->count; i++)
        if (plan->parts[i].copy)
            return true;
    return false;
}

static bool copy_string(char **to, const char *from)
{
    *to = from ? strdup(from) : NULL;
    return *to || !from;
}

static int spec_check(const struct xfer_upload_spec *spec, struct ou_error *err)
{
    if (!spec->key || !*spec->key || !spec->plan)
        return ou_error_say(err, EINVAL, "an upload needs a key and a plan");
    if (plan_copies(spec->plan) && !spec->base_key)
        return ou_error_say(err, EINVAL, "upload %s: the plan copies, but there is no base",
                            spec->key);
    if (spec->resume && spec->resume->upload_id &&
        strlen(spec->resume->upload_id) >= OSS_UPLOAD_ID_SIZE)
        return ou_error_say(err, EINVAL, "upload %s: the recorded upload id is too long",
                            spec->key);
    return 0;
}

/* What an earlier run left decides how the state machine begins. */
static void resume_from(struct xfer_upload *u, const struct xfer_resume *resume)
{
    bool multipart = u->parts.plan.kind == XFER_PLAN_MULTIPART;

    u->result.maybe_published = resume->publishing;
    u->initiated = resume->initiated;
    if (!resume->upload_id || !*resume->upload_id) {
        u->find = resume->initiating;
        return;
    }
    (void)snprintf(u->upload_id, sizeof(u->upload_id), "%s", resume->upload_id);
    u->parts_sent = true; /* for all we know */
    if (!multipart) {
        u->forget = u->forget_abort = true;
        return;
    }
    u->list = true;
    u->resume_publishing = u->publishing = resume->publishing;
    for (size_t i = 0; resume->where && i < resume->part_count; i++)
        xfer_parts_record(&u->parts, &resume->parts[i], &resume->where[i]);
}

/* Return: NULL, and @err is set; the plan is taken only on success. */
static struct xfer_upload *upload_new(struct xfer_engine *e, const struct xfer_upload_spec *spec,
                                      struct ou_error *err)
{
    struct xfer_upload *u = calloc(1, sizeof(*u));

    if (!u || !copy_string(&u->key, spec->key) || !copy_string(&u->base_key, spec->base_key) ||
        !copy_string(&u->base_etag, spec->base_etag)) {
        (void)ou_error_set(err, ENOMEM, "upload %s", spec->key);
        xfer_upload_free(u);
        return NULL;
    }
    u->engine = e;
    u->ops = spec->ops;
    u->ctx = spec->ctx;
    u->one_shot = spec->one_shot;
    u->deadline_ms = spec->deadline_ms;
    if (xfer_parts_init(&u->parts, spec->plan, err) < 0) {
        xfer_upload_free(u);
        return NULL;
    }
    if (spec->resume)
        resume_from(u, spec->resume);
    return u;
}

/* Links the upload. On failure the caller still owns it. */
static int upload_add(struct xfer_engine *e, struct xfer_upload *u, struct xfer_upload **upload,
                      struct ou_error *err)
{
    int r;

    ou_lock_scope(&e->lock);
    if (e->locked.stopping)
        return ou_error_set(err, ECANCELED, "upload %s", u->key);
    r = xfer_schedule_reserve_locked(e, err);
    if (r < 0)
        return r;
    u->next_all = e->locked.all;
    if (u->next_all)
        u->next_all->prev_all = u;
    e->locked.all = u;
    e->locked.upload_count++;
    if (upload)
        *upload = u;
    xfer_schedule_locked(u);
    return 0;
}

int xfer_upload_start(struct xfer_engine *e, const struct xfer_upload_spec *spec,
                      struct xfer_upload **upload, struct ou_error *err)
{
    struct xfer_upload *u;
    int r = spec_check(spec, err);

    if (r < 0)
        return r;
    u = upload_new(e, spec, err);
    if (!u)
        return -err->errnum;
    ou_log_info(OU_LOG_XFER, "uploading key=%s size=%" PRIu64 " parts=%zu resume=%d", u->key,
                u->parts.plan.size, u->parts.plan.count, spec->resume != NULL);
    r = upload_add(e, u, upload, err);
    if (r < 0) {
        *spec->plan = u->parts.plan; /* not taken */
        u->parts.plan = (struct xfer_plan){0};
        xfer_upload_free(u);
    }
    return r;
}

void xfer_upload_touch(struct xfer_upload *u, uint64_t offset, uint64_t size)
{
    ou_lock_scope(&u->engine->lock);
    u->touched = true;
    xfer_parts_touch(&u->parts, offset, size, ou_now_ms() + XFER_TOUCH_SETTLE_MS);
    xfer_schedule_locked(u);
}

int xfer_upload_replan(struct xfer_upload *u, struct xfer_plan *plan, struct ou_error *err)
{
    int r;

    if (plan_copies(plan) && !u->base_key)
        return ou_error_say(err, EINVAL, "upload %s: the plan copies, but there is no base",
                            u->key);
    ou_lock_scope(&u->engine->lock);
    if (u->publishing || u->ending || u->canceled)
        return ou_error_set(err, EBUSY, "upload %s", u->key);
    r = xfer_parts_replan(&u->parts, plan, err);
    if (r < 0)
        return r;
    if (u->upload_id[0] && u->parts.plan.kind != XFER_PLAN_MULTIPART)
        u->forget = u->forget_abort = true;
    u->asleep = false;
    u->kicked = true;
    xfer_schedule_locked(u);
    return 0;
}

void xfer_upload_hold(struct xfer_upload *u, bool hold)
{
    ou_lock_scope(&u->engine->lock);
    u->held = hold;
    xfer_schedule_locked(u);
}

void xfer_upload_kick(struct xfer_upload *u)
{
    ou_lock_scope(&u->engine->lock);
    u->asleep = false;
    u->kicked = true;
    u->ready_at = 0;
    xfer_parts_hurry(&u->parts);
    xfer_schedule_locked(u);
}

/* May the step's request be broken off without leaving a doubt or an orphan? */
static bool is_breakable(const struct xfer_step *s)
{
    switch (s->kind) {
    case XFER_STEP_SEND:
    case XFER_STEP_COMPARE:
    case XFER_STEP_LIST:
    case XFER_STEP_CHECK:
        return true;
    case XFER_STEP_PUBLISH:
        return s->upload->parts.plan.kind == XFER_PLAN_PUT && !s->all_read;
    default:
        return false;
    }
}

void xfer_upload_cancel(struct xfer_upload *u)
{
    struct xfer_engine *e = u->engine;

    ou_lock_scope(&e->lock);
    if (u->finishing || (u->ending && !u->last.errnum))
        return; /* it has ended, or succeeded */
    u->canceled = true;
    u->ending = false;
    u->ready_at = 0;
    for (unsigned i = 0; i < e->worker_count; i++) {
        struct xfer_step *s = &e->workers[i].step;

        if (s->upload == u && is_breakable(s))
            ou_cancel_trigger(s->cancel);
    }
    xfer_schedule_locked(u);
}

static const char *state_name(const struct xfer_upload *u)
{
    if (u->canceled)
        return "aborting";
    if (u->publishing)
        return "publishing";
    if (u->ready_at > ou_now_ms())
        return "backoff";
    if (u->list || u->find || u->check)
        return "resuming";
    return u->asleep && u->parts.pending == 0 ? "waiting" : "uploading";
}

void xfer_upload_status(struct xfer_upload *u, struct xfer_upload_status *out)
{
    ou_lock_scope(&u->engine->lock);
    *out = (struct xfer_upload_status){
        .state = state_name(u),
        .confirmed = u->parts.confirmed,
        .total = u->parts.plan.size,
        .bytes_sent = u->result.bytes_sent,
        .in_flight = (unsigned)u->parts.flight + u->busy,
        .attempts = u->attempts,
        .last = u->last,
    };
}

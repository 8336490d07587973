/*
 * Publishing: the gate, the one request that makes the object appear, and its answer.
 *
 * What becomes of that request, and what is done:
 *
 *   answered well, CRC-64 right       done
 *   Complete: CRC-64 wrong            the id is gone and a wrong object is live: start over
 *   Put, Copy: anything else          unpublished, backoff, gate (a Put reads its bytes again)
 *   Complete: no answer, 5xx          Complete again: the same parts, so the same version
 *   Complete: NoSuchUpload            CHECK the object: it may have worked the time before
 *   Complete: InvalidPart             unpublished, LIST: what is wrong is sent again
 *   key exists, after a lost answer   CHECK: it may be ours
 *   refused                           done(error)
 */
#include "base/clock.h"
#include "base/log.h"
#include "transfer/engine_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define INVALID_PARTS_MAX 3u /* then the upload id is not trusted any more */

void xfer_retract(struct xfer_upload *u, bool maybe)
{
    bool was;

    ou_mutex_lock(&u->engine->lock);
    was = u->publishing;
    u->publishing = u->completing = false;
    ou_mutex_unlock(&u->engine->lock);
    if (was && u->ops->unpublished)
        u->ops->unpublished(u->ctx, maybe);
}

/* Did something change while the owner was being asked? */
static bool gate_overtaken_locked(struct xfer_upload *u)
{
    if (u->forget)
        return true;
    if (u->parts.plan.kind != XFER_PLAN_MULTIPART)
        return u->touched;
    if (u->parts.waiting > 0)
        xfer_parts_send_waiting(&u->parts);
    return !u->upload_id[0] || !xfer_parts_complete(&u->parts);
}

/* Return: true: .publishing; false: settled. */
static bool gate(struct xfer_upload *u)
{
    struct ou_error err = OU_ERROR_INIT;
    bool overtaken = false;
    int r;

    ou_mutex_lock(&u->engine->lock);
    u->kicked = u->touched = false;
    ou_mutex_unlock(&u->engine->lock);
    r = u->ops->may_publish(u->ctx, &err);
    ou_mutex_lock(&u->engine->lock);
    if (r < 0) {
        xfer_end_locked(u, &err);
    } else if (r == 0) {
        u->asleep = !u->kicked;
    } else if (!xfer_interrupted_locked(u)) {
        u->publishing = true;
        overtaken = gate_overtaken_locked(u);
    }
    r = u->publishing;
    ou_mutex_unlock(&u->engine->lock);
    if (overtaken)
        xfer_retract(u, false);
    return r && !overtaken;
}

static void published(struct xfer_upload *u, const struct oss_written *written, bool checked)
{
    uint64_t total;

    ou_mutex_lock(&u->engine->lock);
    u->result.written = *written;
    u->result.checked = checked;
    u->result.maybe_published = false;
    total = u->parts.plan.size;
    xfer_end_locked(u, NULL);
    ou_mutex_unlock(&u->engine->lock);
    ou_log_info(OU_LOG_XFER, "published key=%s size=%" PRIu64 " etag=%s request_id=%s", u->key,
                total, written->etag, written->request_id);
    if (u->ops->progress)
        u->ops->progress(u->ctx, total, total);
}

static void start_over(struct xfer_upload *u, const struct ou_error *why, bool maybe)
{
    ou_log_warn(OU_LOG_XFER, why, "upload starts over key=%s upload_id=%s", u->key, u->upload_id);
    ou_mutex_lock(&u->engine->lock);
    xfer_start_over_locked(u, why);
    ou_mutex_unlock(&u->engine->lock);
    xfer_retract(u, maybe);
}

/* -- PutObject and CopyObject -- */

/* A CopyObject that is too large for the server becomes a multipart upload of copies. */
static int copy_by_parts(struct xfer_upload *u, struct ou_error *err)
{
    uint64_t size = u->parts.plan.size;
    const struct xfer_range all = {.offset = 0, .size = size};
    const struct xfer_plan_input in = {.size = size,
                                       .part_size = XFER_PART_SIZE_DEFAULT,
                                       .base_size = size + 1, /* "truncated": by parts */
                                       .base = &all,
                                       .base_count = 1};
    struct xfer_plan plan = {0};
    int r = xfer_plan_make(&in, &plan, err);

    if (r == 0) {
        ou_lock_scope(&u->engine->lock);
        r = xfer_parts_replan(&u->parts, &plan, err);
    }
    xfer_plan_fini(&plan);
    if (r == 0)
        xfer_retract(u, false);
    return r;
}

static void put_or_copy_failed(struct xfer_step *s, const struct ou_error *why)
{
    struct xfer_upload *u = s->upload;
    bool copy = u->parts.plan.kind == XFER_PLAN_COPY;
    bool maybe = xfer_may_have_worked(why) && (copy || s->all_read) && !s->read_stale;
    struct ou_error err = *why;
    bool over;

    if (copy && err.errnum == EFBIG && copy_by_parts(u, &err) == 0)
        return;
    ou_mutex_lock(&u->engine->lock);
    over = xfer_interrupted_locked(u);
    if (!over && err.errnum == EEXIST && u->result.maybe_published) {
        u->check = u->check_exists = true;
        u->last = err;
        over = true;
    }
    u->result.maybe_published |= maybe;
    if (!over && s->read_stale)
        u->ready_at = u->touched ? 0 : ou_now_ms() + XFER_TOUCH_SETTLE_MS;
    else if (!over && s->read_failed)
        xfer_end_locked(u, &err);
    else if (!over)
        xfer_failed_locked(u, &err);
    over = over || u->ending;
    ou_mutex_unlock(&u->engine->lock);
    if (!over)
        xfer_retract(u, maybe);
}

static void put_or_copy(struct xfer_step *s)
{
    struct xfer_upload *u = s->upload;
    struct oss_client *client = u->engine->client;
    struct oss_object_headers headers = {0};
    struct oss_call call = xfer_step_call(s);
    struct oss_written written = {0};
    struct oss_body body;
    struct ou_error err = OU_ERROR_INIT;
    bool copy = u->parts.plan.kind == XFER_PLAN_COPY, canceled;
    int r = u->ops->headers(u->ctx, &headers, &err);

    ou_mutex_lock(&u->engine->lock);
    s->where = (struct xfer_plan_part){.size = u->parts.plan.size};
    canceled = u->canceled && !copy;
    s->all_read = s->where.size == 0 && !canceled;
    ou_mutex_unlock(&u->engine->lock);
    if (canceled) { /* an empty object has no last byte to be kept back */
        (void)ou_error_set(&err, ECANCELED, "upload %s", u->key);
        put_or_copy_failed(s, &err);
        return;
    }
    body = xfer_step_body(s);
    if (r < 0) {
        ou_lock_scope(&u->engine->lock);
        xfer_end_locked(u, &err);
        return;
    }
    if (copy)
        r = oss_copy_object(client, &call, u->base_key, u->base_etag, u->key, &headers, &written,
                            &err);
    else
        r = oss_put_object(client, &call, u->key, &headers, &body, &written, &err);
    if (r < 0)
        put_or_copy_failed(s, &err);
    else
        published(u, &written, !copy && written.has_crc64);
}

/* -- Complete -- */

static void complete_answered(struct xfer_upload *u, const struct oss_written *written)
{
    const struct xfer_parts *p = &u->parts;
    struct ou_error err = OU_ERROR_INIT;
    uint64_t crc64;
    bool known = xfer_answers_crc64(p->answers, p->plan.count, &crc64) && written->has_crc64;

    if (!known || crc64 == written->crc64) {
        published(u, written, known);
        return;
    }
    (void)ou_error_say(&err, EIO,
                       "complete %s: CRC-64 of the object is %" PRIu64 ", of the file %" PRIu64
                       ": the object in the bucket is damaged and will be replaced",
                       u->key, written->crc64, crc64);
    (void)strcpy(err.code, "CrcMismatch");
    ou_log_error(OU_LOG_XFER, &err, "object differs from its file key=%s request_id=%s", u->key,
                 written->request_id);
    ou_mutex_lock(&u->engine->lock);
    u->result.maybe_published = true;
    ou_mutex_unlock(&u->engine->lock);
    start_over(u, &err, false);
}

static void parts_refused(struct xfer_upload *u, const struct ou_error *err)
{
    bool again;

    ou_mutex_lock(&u->engine->lock);
    again = u->invalid_parts++ < INVALID_PARTS_MAX;
    if (again)
        u->list = true;
    else
        u->forget_abort = true;
    ou_mutex_unlock(&u->engine->lock);
    if (again)
        xfer_retract(u, false);
    else
        start_over(u, err, false);
}

static void complete_failed(struct xfer_upload *u, const struct ou_error *err)
{
    bool maybe = xfer_may_have_worked(err);

    if (oss_error_is(err, "InvalidPart")) {
        parts_refused(u, err);
        return;
    }
    ou_lock_scope(&u->engine->lock);
    if (oss_error_is(err, "NoSuchUpload")) {
        u->check = true;
    } else if (err->errnum == EEXIST && u->result.maybe_published) {
        u->check = u->check_exists = true;
        u->last = *err;
    } else {
        u->result.maybe_published |= maybe;
        if (!xfer_interrupted_locked(u))
            xfer_failed_locked(u, err);
    }
}

void xfer_step_complete(struct xfer_step *s)
{
    struct xfer_upload *u = s->upload;
    struct oss_call call = xfer_step_call(s);
    struct oss_object_headers headers = {0};
    struct oss_written written = {0};
    struct ou_error err = OU_ERROR_INIT;
    int r = u->ops->headers(u->ctx, &headers, &err);

    if (r < 0) {
        ou_lock_scope(&u->engine->lock);
        xfer_end_locked(u, &err);
        return;
    }
    r = oss_complete_upload(u->engine->client, &call, u->key, u->upload_id, u->parts.answers,
                            u->parts.plan.count, headers.forbid_overwrite, &written, &err);
    if (r < 0)
        complete_failed(u, &err);
    else
        complete_answered(u, &written);
}

void xfer_step_publish(struct xfer_step *s)
{
    struct xfer_upload *u = s->upload;
    struct xfer_event event = {.kind = XFER_EVENT_PUBLISHING};
    struct ou_error err = OU_ERROR_INIT;
    bool multipart;

    if (!gate(u))
        return;
    multipart = u->parts.plan.kind == XFER_PLAN_MULTIPART;
    if (multipart)
        event.upload_id = u->upload_id;
    if (xfer_record(u, &event, &err) < 0) {
        ou_lock_scope(&u->engine->lock);
        xfer_end_locked(u, &err);
        return;
    }
    if (!multipart) {
        put_or_copy(s);
        return;
    }
    ou_mutex_lock(&u->engine->lock);
    u->completing = true;
    ou_mutex_unlock(&u->engine->lock);
    xfer_step_complete(s);
}

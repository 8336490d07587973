/*
 * One part: sent, copied, or compared with what the server has. And how bytes are read.
 *
 * body_read() asks whether the range was touched *after* it was read, so that a byte of a
 * newer version never leaves: with a touch that comes later the step's result is void anyway.
 * And after a cancel the last byte never leaves: the server could store an object whose connection
 * was broken off too late, and do so after the delete that follows.
 */
#include "base/clock.h"
#include "base/crc64.h"
#include "base/log.h"
#include "transfer/engine_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define COMPARE_CHUNK ((size_t)256 << 10)

struct oss_call xfer_step_call(const struct xfer_step *s)
{
    return (struct oss_call){
        .deadline_ms = OSS_ONE_ATTEMPT, .cancel = s->cancel, .background = true};
}

int xfer_record(struct xfer_upload *u, const struct xfer_event *event, struct ou_error *err)
{
    int r = u->ops->record ? u->ops->record(u->ctx, event, err) : 0;

    return r < 0 ? ou_error_prefix(err, "upload %s: journal", u->key) : 0;
}

static bool is_part_step(const struct xfer_step *s)
{
    return s->kind == XFER_STEP_SEND || s->kind == XFER_STEP_COMPARE;
}

static bool is_stale_locked(const struct xfer_step *s)
{
    const struct xfer_upload *u = s->upload;

    return is_part_step(s) ? u->parts.parts[s->index].stale : u->touched;
}

bool xfer_event_stale(const struct xfer_event *event)
{
    const struct xfer_step *s = event->step;

    if (!s)
        return false;
    ou_lock_scope(&s->upload->engine->lock);
    return is_stale_locked(s);
}

/* Reads, then looks whether what it read still counts; @sending: it goes over the network. */
static ssize_t read_checked(struct xfer_step *s, bool sending, void *buf, size_t len,
                            uint64_t offset, struct ou_error *err)
{
    struct xfer_upload *u = s->upload;
    ssize_t n = u->ops->read(u->ctx, buf, len, s->where.offset + offset, err);
    bool stale, broken_off;

    ou_mutex_lock(&u->engine->lock);
    stale = is_stale_locked(s);
    broken_off = sending && u->canceled && !s->all_read;
    if (n > 0 && !stale && !broken_off && sending) {
        u->result.bytes_sent += (uint64_t)n;
        s->all_read = offset + (uint64_t)n == s->where.size;
    }
    ou_mutex_unlock(&u->engine->lock);
    if (broken_off)
        return ou_error_set(err, ECANCELED, "upload %s", u->key);
    if (stale || n == -ESTALE) {
        s->read_stale = true;
        return ou_error_set(err, ESTALE, "upload %s", u->key);
    }
    if (n > 0)
        return n;
    s->read_failed = true;
    if (n == 0)
        return ou_error_say(err, EIO, "upload %s: the file ends at byte %" PRIu64 " too early",
                            u->key, s->where.offset + offset);
    return n;
}

static ssize_t body_read(void *ctx, void *buf, size_t len, uint64_t offset, struct ou_error *err)
{
    return read_checked(ctx, true, buf, len, offset, err);
}

struct oss_body xfer_step_body(struct xfer_step *s)
{
    return (struct oss_body){.size = s->where.size, .read = body_read, .ctx = s};
}

/* The CRC-64 of s->where, read through @chunk. */
static int crc64_by_chunks(struct xfer_step *s, unsigned char *chunk, uint64_t *crc64,
                           struct ou_error *err)
{
    uint64_t at = 0, size = s->where.size, crc = 0;

    while (at < size) {
        size_t want = size - at < COMPARE_CHUNK ? (size_t)(size - at) : COMPARE_CHUNK;
        ssize_t n;

        if (ou_cancel_triggered(s->cancel))
            return ou_error_set(err, EINTR, "upload %s", s->upload->key);
        n = read_checked(s, false, chunk, want, at, err);
        if (n < 0)
            return (int)n;
        crc = ou_crc64(crc, chunk, (size_t)n);
        at += (uint64_t)n;
    }
    *crc64 = crc;
    return 0;
}

int xfer_local_crc64(struct xfer_step *s, uint64_t offset, uint64_t size, uint64_t *crc64,
                     struct ou_error *err)
{
    unsigned char *chunk = malloc(COMPARE_CHUNK);
    int r;

    s->where.offset = offset;
    s->where.size = size;
    r = chunk ? crc64_by_chunks(s, chunk, crc64, err)
              : ou_error_set(err, ENOMEM, "upload %s", s->upload->key);
    free(chunk);
    return r;
}

static int part_send(struct xfer_step *s, struct oss_part *part, struct ou_error *err)
{
    struct xfer_upload *u = s->upload;
    struct oss_call call = xfer_step_call(s);
    struct oss_body body = xfer_step_body(s);
    struct oss_written written = {0};
    int r;

    if (s->where.copy)
        r = oss_upload_part_copy(u->engine->client, &call, u->key, u->upload_id, s->where.number,
                                 u->base_key, s->where.offset, s->where.size, u->base_etag,
                                 &written, err);
    else
        r = oss_upload_part(u->engine->client, &call, u->key, u->upload_id, s->where.number, &body,
                            &written, err);
    if (r < 0)
        return r;
    *part = (struct oss_part){.number = s->where.number,
                              .size = s->where.size,
                              .crc64 = written.crc64,
                              .has_crc64 = written.has_crc64};
    for (size_t i = 0; i < sizeof(part->etag); i++)
        part->etag[i] = written.etag[i];
    return 0;
}

/* The part is on the server: journal it, unless it was touched. */
static void part_arrived(struct xfer_step *s, const struct oss_part *part, bool resumed)
{
    struct xfer_upload *u = s->upload;
    struct xfer_event event = {.kind = XFER_EVENT_PART,
                               .upload_id = u->upload_id,
                               .part = part,
                               .where = &s->where,
                               .step = s};
    struct ou_error err = OU_ERROR_INIT;
    uint64_t confirmed, total;
    int r = 0;

    if (!xfer_event_stale(&event))
        r = xfer_record(u, &event, &err);
    ou_mutex_lock(&u->engine->lock);
    if (r < 0)
        xfer_end_locked(u, &err);
    else
        xfer_succeeded_locked(u);
    xfer_parts_end(&u->parts, s->index, part, 0);
    if (resumed && u->parts.parts[s->index].state == XFER_PART_DONE)
        u->result.bytes_resumed += part->size;
    confirmed = u->parts.confirmed;
    total = u->parts.plan.size;
    ou_mutex_unlock(&u->engine->lock);
    if (r == 0 && u->ops->progress)
        u->ops->progress(u->ctx, confirmed, total);
}

static void part_failed(struct xfer_step *s, const struct ou_error *err)
{
    struct xfer_upload *u = s->upload;
    struct xfer_part *part;
    uint64_t delay;

    ou_lock_scope(&u->engine->lock);
    part = &u->parts.parts[s->index];
    delay = s->read_stale ? XFER_TOUCH_SETTLE_MS : xfer_retry_delay_ms(part->tries++, err);
    xfer_parts_end(&u->parts, s->index, NULL, ou_now_ms() + delay);
    if (s->read_stale || u->ending || xfer_interrupted_locked(u))
        return;
    ou_log_debug(OU_LOG_XFER, "part failed key=%s upload_id=%s part=%u error=\"%s\"", u->key,
                 u->upload_id, s->where.number, err->message);
    if (s->read_failed)
        xfer_end_locked(u, err);
    else if (oss_error_is(err, "NoSuchUpload"))
        xfer_start_over_locked(u, err);
    else
        xfer_part_failed_locked(u, err);
}

void xfer_step_send(struct xfer_step *s)
{
    struct ou_error err = OU_ERROR_INIT;
    struct oss_part part;

    ou_mutex_lock(&s->upload->engine->lock);
    s->upload->parts_sent = true;
    ou_mutex_unlock(&s->upload->engine->lock);
    if (part_send(s, &part, &err) < 0)
        part_failed(s, &err);
    else
        part_arrived(s, &part, false);
}

void xfer_step_compare(struct xfer_step *s)
{
    struct xfer_upload *u = s->upload;
    struct ou_error err = OU_ERROR_INIT;
    struct oss_part part;
    uint64_t crc64 = 0;

    ou_mutex_lock(&u->engine->lock);
    part = u->parts.answers[s->index];
    ou_mutex_unlock(&u->engine->lock);
    if (xfer_local_crc64(s, s->where.offset, s->where.size, &crc64, &err) < 0) {
        part_failed(s, &err);
        return;
    }
    if (crc64 == part.crc64) {
        part_arrived(s, &part, true);
        return;
    }
    ou_lock_scope(&u->engine->lock);
    xfer_parts_end(&u->parts, s->index, NULL, 0);
}

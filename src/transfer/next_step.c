/*
 * The state machine: what an upload needs next follows from its facts, in this order.
 *
 *   exclusive step running      nothing
 *   ending                      wait for steps in flight, FINISH
 *   canceled                    wait likewise, [FIND,] ABORT if there is an id, FINISH
 *   backing off                 nothing yet
 *   check, completing           CHECK, COMPLETE: publishing is settled before all else
 *   forget                      wait for steps in flight, FORGET
 *   find                        FIND
 *   multipart without id        INITIATE
 *   list                        LIST
 *   part WANTED or LISTED         SEND, COMPARE, at most `threads` at once; nothing while held
 *   something in flight         nothing
 *   awake                       PUBLISH
 */
#include "base/clock.h"
#include "base/log.h"
#include "transfer/engine_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define DEADLINE_DEFAULT_MS UINT64_C(60000)
#define RESTARTS_MAX        3u /* one_shot: the same disaster more often is no accident */
#define WARN_ATTEMPTS       5u /* a warning when so many failures came in a row */

static enum xfer_step_kind next_when_canceled(struct xfer_upload *u, uint64_t now,
                                              uint64_t *wake_at)
{
    bool work = u->upload_id[0] || u->find;

    if (u->running > 0)
        return XFER_STEP_NONE;
    if (!work || u->result.upload_left)
        return XFER_STEP_FINISH;
    if (u->ready_at > now) {
        *wake_at = u->ready_at;
        return XFER_STEP_NONE;
    }
    return u->upload_id[0] ? XFER_STEP_ABORT : XFER_STEP_FIND;
}

static enum xfer_step_kind next_part(struct xfer_upload *u, uint64_t now, size_t *index,
                                     uint64_t *wake_at)
{
    if (u->held || u->parts.flight >= u->engine->threads ||
        !xfer_parts_next(&u->parts, now, index, wake_at))
        return XFER_STEP_NONE;
    return u->parts.parts[*index].state == XFER_PART_LISTED ? XFER_STEP_COMPARE : XFER_STEP_SEND;
}

static enum xfer_step_kind next_of_multipart(struct xfer_upload *u, uint64_t now, size_t *index,
                                             uint64_t *wake_at)
{
    bool idle = u->parts.flight == 0;

    if (!u->upload_id[0])
        return idle ? XFER_STEP_INITIATE : XFER_STEP_NONE;
    if (u->list)
        return idle ? XFER_STEP_LIST : XFER_STEP_NONE;
    if (u->parts.pending > 0)
        return next_part(u, now, index, wake_at);
    return idle && !u->asleep ? XFER_STEP_PUBLISH : XFER_STEP_NONE;
}

enum xfer_step_kind xfer_next_step_locked(struct xfer_upload *u, uint64_t now, size_t *index,
                                          uint64_t *wake_at)
{
    bool idle = u->parts.flight == 0;

    ou_mutex_assert_held(&u->engine->lock);
    *wake_at = 0;
    if (u->busy)
        return XFER_STEP_NONE;
    if (u->ending)
        return u->running == 0 ? XFER_STEP_FINISH : XFER_STEP_NONE;
    if (u->canceled)
        return next_when_canceled(u, now, wake_at);
    if (u->ready_at > now) {
        *wake_at = u->ready_at;
        return XFER_STEP_NONE;
    }
    if (u->check)
        return XFER_STEP_CHECK;
    if (u->completing)
        return XFER_STEP_COMPLETE;
    if (u->forget)
        return idle ? XFER_STEP_FORGET : XFER_STEP_NONE;
    if (u->find)
        return XFER_STEP_FIND;
    if (u->parts.plan.kind == XFER_PLAN_MULTIPART)
        return next_of_multipart(u, now, index, wake_at);
    return idle && !u->asleep ? XFER_STEP_PUBLISH : XFER_STEP_NONE;
}

void xfer_succeeded_locked(struct xfer_upload *u)
{
    u->attempts = 0;
    u->failing_since = 0;
    u->ready_at = 0;
}

void xfer_end_locked(struct xfer_upload *u, const struct ou_error *err)
{
    if (u->ending || (u->canceled && err))
        return; /* canceled: that is how it ends, unless it has succeeded */
    u->ending = true;
    u->last = err ? *err : (struct ou_error)OU_ERROR_INIT;
}

uint64_t xfer_retry_delay_ms(unsigned attempt, const struct ou_error *err)
{
    uint32_t random = 0;

    /* A signal-free read of 4 bytes cannot fail once the pool is up; 0 would only mean no jitter. */
    (void)!getrandom(&random, sizeof(random), 0);
    return oss_error_delay_ms(err, attempt, random);
}

/* Short of memory or descriptors: ours, but it passes. */
static bool is_passing_shortage(const struct ou_error *err)
{
    return !err->http_status && !err->code[0] &&
           (err->errnum == ENOMEM || err->errnum == EMFILE || err->errnum == ENFILE);
}

static bool repetition_helps(const struct ou_error *err)
{
    enum oss_verdict verdict = oss_error_verdict(err);

    return verdict == OSS_RETRY || verdict == OSS_THROTTLE || is_passing_shortage(err);
}

static bool out_of_time(const struct xfer_upload *u, uint64_t next)
{
    uint64_t deadline = u->deadline_ms ? u->deadline_ms : DEADLINE_DEFAULT_MS;

    return u->one_shot && next - u->failing_since >= deadline;
}

static void failed_locked(struct xfer_upload *u, const struct ou_error *err, unsigned free_tries)
{
    uint64_t now = ou_now_ms(), delay = 0;

    ou_mutex_assert_held(&u->engine->lock);
    u->last = *err;
    if (!repetition_helps(err)) {
        xfer_end_locked(u, err);
        return;
    }
    if (!u->failing_since)
        u->failing_since = now;
    if (u->attempts++ >= free_tries)
        delay = xfer_retry_delay_ms(u->attempts - 1 - free_tries, err);
    if (out_of_time(u, now + delay)) {
        xfer_end_locked(u, err);
        return;
    }
    u->ready_at = now + delay;
    if (u->attempts == WARN_ATTEMPTS)
        ou_log_warn(OU_LOG_XFER, err, "upload keeps failing, goes on key=%s attempts=%u", u->key,
                    u->attempts);
}

void xfer_failed_locked(struct xfer_upload *u, const struct ou_error *err)
{
    failed_locked(u, err, 0);
}

void xfer_part_failed_locked(struct xfer_upload *u, const struct ou_error *err)
{
    /* Each part backs off by itself; only when nothing else succeeds, the whole upload does. */
    failed_locked(u, err, u->engine->threads);
}

void xfer_start_over_locked(struct xfer_upload *u, const struct ou_error *why)
{
    if (u->forget)
        return; /* several parts in flight learn of it */
    u->forget = true;
    u->completing = u->check = u->list = u->resume_publishing = false;
    if (u->restarts++ == 0)
        return;
    u->last = *why;
    if (u->one_shot && u->restarts > RESTARTS_MAX)
        xfer_end_locked(u, why);
    else
        u->ready_at = ou_now_ms() + xfer_retry_delay_ms(u->restarts, why);
}

bool xfer_interrupted_locked(const struct xfer_upload *u)
{
    return u->canceled || u->engine->locked.stopping;
}

bool xfer_may_have_worked(const struct ou_error *err)
{
    static const char *const never_sent[] = {"HostNotFound", "ConnectFailed", "TlsFailed",
                                             "TlsRefused"};

    if (err->http_status)
        return err->http_status < 300 || (err->http_status >= 500 && err->http_status != 503);
    for (size_t i = 0; i < sizeof(never_sent) / sizeof(never_sent[0]); i++)
        if (!strcmp(err->code, never_sent[i]))
            return false;
    return true;
}

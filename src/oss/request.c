/*
 * Attempts, until one succeeds or none can help.
 *
 *   failure                          what is done                         counted
 *   the caller's (callback, EINTR)   returned                             -
 *   RequestTimeTooSkewed             learn the clock's offset, repeat     no, once
 *   credentials refused              ask for others; if there are, repeat no, once
 *   RETRY, THROTTLE                  wait (oss_error_delay_ms())         yes, till the deadline
 *   FINAL                            returned                             -
 *
 * With OSS_ONE_ATTEMPT only the second and third row repeat. What must not happen twice
 * (.repeat) is repeated only if it surely did not happen: nothing was sent, or OSS said so.
 */
#include "oss/request.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "oss/errors.h"
#include "oss/retry.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define SLOW_FACTOR 5u
#define KEY_SHOWN   160u /* bytes of a key in a message: the reason must fit behind it */

void oss_headers_fini(struct oss_header_list *h)
{
    ou_buf_fini(&h->text);
    h->count = 0;
}

void oss_headers_add(struct oss_header_list *h, const char *name, const char *value)
{
    if (!value || !*value)
        return;
    ou_buf_add(&h->text, name, strlen(name) + 1);
    ou_buf_add(&h->text, value, strlen(value) + 1);
    h->count++;
}

void oss_headers_addf(struct oss_header_list *h, const char *name, const char *fmt, ...)
{
    char value[256];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(value, sizeof(value), fmt, ap); /* numbers and words: they fit */
    va_end(ap);
    oss_headers_add(h, name, value);
}

void oss_reply_fini(struct oss_reply *reply)
{
    oss_http_reply_fini(&reply->http);
    ou_buf_fini(&reply->body);
    memset(reply, 0, sizeof(*reply));
}

static void name_it(struct oss_request *rq)
{
    const char *key = rq->key ? rq->key : "";
    size_t len = strlen(key);
    const char *cut = "";

    if (len > KEY_SHOWN) { /* the end of a path tells more than its beginning */
        key += len - KEY_SHOWN;
        cut = "...";
    }
    if (rq->part)
        (void)snprintf(rq->what, sizeof(rq->what), "%s %u of %s%s", rq->op, rq->part, cut, key);
    else
        (void)snprintf(rq->what, sizeof(rq->what), "%s%s%s%s", rq->op, *key ? " " : "", cut, key);
}

int oss_request_init(struct oss_request *rq, const char *op, const char *method, const char *key,
                     unsigned part, struct ou_error *err)
{
    int r;

    *rq = (struct oss_request){.op = op, .method = method, .key = key, .part = part};
    name_it(rq);
    if (!key)
        return 0;
    r = oss_key_check(key, err);
    return r < 0 ? ou_error_prefix(err, "%s", op) : 0;
}

void oss_request_fini(struct oss_request *rq)
{
    oss_headers_fini(&rq->headers);
}

void oss_request_query(struct oss_request *rq, const char *name, const char *value)
{
    assert(rq->query_count < OSS_QUERY_MAX);
    rq->query[rq->query_count++] = (struct oss_param){.name = name, .value = value};
}

/* -- deciding -- */

/* The clocks differ: server time minus ours, from the answer. Return: true when that was news. */
static bool learn_clock(struct oss_client *c, const struct oss_attempt *a)
{
    const char *date = oss_http_header(&a->reply->http, "date");
    int64_t offset, before = atomic_load(&c->clock_offset_s);
    struct timespec exact;
    time_t server;

    if (ou_parse_iso8601(a->refusal.server_time, &exact))
        server = exact.tv_sec;
    else if (!date || !ou_parse_http_date(date, &server))
        return false;
    offset = (int64_t)server - (int64_t)ou_wall().tv_sec;
    atomic_store(&c->clock_offset_s, offset);
    if (offset - before > 1 || before - offset > 1)
        ou_log_write(OU_LOG_OSS, OU_LOG_WARN,
                     "this machine's clock is wrong, requests are dated by the server's: "
                     "offset_s=%" PRId64,
                     offset);
    return true;
}

static bool may_repeat(const struct oss_request *rq, const struct oss_attempt *a,
                       const struct ou_error *err)
{
    if (!a->was_sent || rq->repeat == OSS_REPEAT_ALWAYS)
        return true;
    if (err->http_status == 429 || err->http_status == 503)
        return true;
    return rq->repeat == OSS_REPEAT_REFUSED && err->http_status >= 500 && a->refusal.code[0];
}

/* What the attempt failed of can be mended at once. Each cause is mended once an operation. */
static bool mend(struct oss_client *c, const struct oss_attempt *a, const struct ou_error *why,
                 bool *clock_mended, bool *credentials_mended)
{
    struct ou_error err;
    int r;

    if (oss_error_is(why, "RequestTimeTooSkewed") && !*clock_mended) {
        *clock_mended = true;
        return learn_clock(c, a);
    }
    if (oss_error_verdict(why) != OSS_REFRESH || *credentials_mended || !c->chain)
        return false;
    *credentials_mended = true;
    r = oss_cred_reject(c->chain, &a->used, &err);
    if (r < 0) /* the chain has told it */
        ou_log_debug(OU_LOG_OSS, "no new credentials code=%s: %s", why->code, err.message);
    return r == 1;
}

static uint64_t delay_ms(const struct ou_error *why, unsigned tries)
{
    uint32_t random = 0;

    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
        random = (uint32_t)ou_wall().tv_nsec * 2654435761u; /* jitter, no secret */
    return oss_error_delay_ms(why, tries, random);
}

/* Waits for the next attempt. Return: 0 go, -EINTR, or what @why says: there is no time left. */
static int wait_for_next(const struct oss_attempt *a, const struct ou_error *why, unsigned tries,
                         struct ou_error *err)
{
    uint64_t until = ou_now_ms() + delay_ms(why, tries);

    if (a->deadline_ms && until >= a->deadline_ms) {
        *err = *why;
        return -why->errnum;
    }
    if (!oss_wait_until(until, a->call->cancel))
        return ou_error_set(err, EINTR, "%s", a->rq->what);
    return 0;
}

static uint64_t deadline_of(const struct oss_client *c, const struct oss_call *call,
                            const struct oss_request *rq)
{
    uint64_t timeout = atomic_load(&c->request_timeout_ms);

    if (call->deadline_ms == OSS_ONE_ATTEMPT)
        return 0;
    if (call->deadline_ms)
        return call->deadline_ms;
    return ou_now_ms() + (rq->slow ? SLOW_FACTOR * timeout : timeout);
}

int oss_request_run(struct oss_client *c, const struct oss_call *call, struct oss_request *rq,
                    struct oss_reply *reply, struct ou_error *err)
{
    static const struct oss_call default_call;
    struct oss_attempt a = {.c = c, .call = call ? call : &default_call, .rq = rq, .reply = reply};
    bool clock_mended = false, credentials_mended = false;
    unsigned tries = 0;
    int r;

    a.deadline_ms = deadline_of(c, a.call, rq);
    for (;; a.number++) {
        struct ou_error why = OU_ERROR_INIT;
        uint64_t progress = rq->progress;
        enum oss_verdict verdict;
        bool mended;

        r = oss_attempt_run(&a, &why);
        if (r >= 0)
            break;
        verdict = oss_error_verdict(&why);
        mended = !a.local && mend(c, &a, &why, &clock_mended, &credentials_mended);
        oss_credentials_fini(&a.used);
        if (!mended) {
            *err = why;
            if (a.local || a.call->deadline_ms == OSS_ONE_ATTEMPT || !may_repeat(rq, &a, &why) ||
                (verdict != OSS_RETRY && verdict != OSS_THROTTLE))
                break;
            if (rq->progress > progress)
                tries = 0;
            r = wait_for_next(&a, &why, tries++, err);
            if (r < 0)
                break;
        }
        (void)atomic_fetch_add(&c->retries, 1);
        oss_reply_fini(reply);
    }
    oss_credentials_fini(&a.used);
    return r;
}

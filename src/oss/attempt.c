/*
 * One attempt: through the gate, signed, sent, and its outcome told as an error.
 *
 * A reply counts before a broken connection: an early 403 that cuts an upload short is that 403.
 */
#include "oss/request.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "oss/errors.h"
#include "oss/retry.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REFUSAL_MAX   (UINT32_C(64) << 10)
#define IDLE_SLOW     5u           /* Complete and copies are silent until they are done */
#define PACE          UINT64_C(16) /* bytes per ms: a body may take as long as that needs */
#define TELL_EVERY_MS UINT64_C(60000)

/* -- building -- */

/* Everything that is sent with one attempt. */
struct outgoing {
    struct oss_param *headers;
    size_t header_count;
    struct ou_buf url, authorization;
    char date[OU_HTTP_DATE_SIZE];
};

static void outgoing_fini(struct outgoing *o)
{
    free(o->headers);
    ou_buf_fini(&o->url);
    ou_buf_fini(&o->authorization);
}

static void add(struct outgoing *o, const char *name, const char *value)
{
    o->headers[o->header_count++] = (struct oss_param){.name = name, .value = value};
}

#define OWN_HEADERS 5u /* at most what gather() adds itself */

static int gather(const struct oss_attempt *a, struct outgoing *o, struct ou_error *err)
{
    const struct oss_client *c = a->c;
    const struct oss_request *rq = a->rq;
    time_t now = ou_wall().tv_sec + (time_t)atomic_load(&c->clock_offset_s);
    const char *at;
    int r = ou_buf_check(&rq->headers.text, err);

    if (r < 0)
        return r;
    o->headers = calloc(rq->headers.count + OWN_HEADERS, sizeof(*o->headers));
    if (!o->headers)
        return ou_error_set(err, ENOMEM, "build a request");
    at = ou_buf_str(&rq->headers.text);
    for (size_t i = 0; i < rq->headers.count; i++) {
        const char *value = at + strlen(at) + 1;

        add(o, at, value);
        at = value + strlen(value) + 1;
    }
    if (c->sign == OSS_SIGN_V4) {
        ou_format_iso_basic(now, o->date);
        add(o, "x-oss-content-sha256", "UNSIGNED-PAYLOAD");
    } else {
        ou_format_http_date(now, o->date);
    }
    add(o, "x-oss-date", o->date);
    if (a->used.security_token)
        add(o, "x-oss-security-token", a->used.security_token);
    if (c->config.requester_pays)
        add(o, "x-oss-request-payer", "requester");
    return 0;
}

static int sign(const struct oss_attempt *a, struct outgoing *o, struct ou_error *err)
{
    const struct oss_client *c = a->c;
    const struct oss_request *rq = a->rq;
    const struct oss_sign_input in = {
        .method = rq->method,
        .bucket = c->config.bucket,
        .key = rq->key,
        .query = rq->query,
        .query_count = rq->query_count,
        .headers = o->headers,
        .header_count = o->header_count,
        .region = c->region,
        .product = c->address.product,
    };
    ou_auto(ou_buf_fini) struct ou_buf query = {0};
    int r;

    oss_sign_query(rq->query, rq->query_count, &query);
    oss_address_url(&c->address, rq->key, ou_buf_str(&query), &o->url);
    r = ou_buf_check(query.failed ? &query : &o->url, err);
    if (r < 0 || !a->used.access_key_id)
        return r;
    r = oss_sign_authorization(c->sign, &in, a->used.access_key_id, a->used.access_key_secret,
                               &o->authorization, NULL, err);
    if (r < 0)
        return r;
    add(o, "Authorization", ou_buf_str(&o->authorization));
    return 0;
}

/* -- the reply -- */

static bool is_success(const struct oss_http_reply *http)
{
    return http->status >= 200 && http->status < 300;
}

struct receiver {
    struct oss_attempt *a;
    const struct oss_http_exchange *x;
};

static void hear_clock(struct oss_client *c, const struct oss_http_reply *http)
{
    const char *date = oss_http_header(http, "date");
    time_t when;

    if (date && ou_parse_http_date(date, &when))
        atomic_store(&c->server_ahead_s, (int64_t)when - (int64_t)ou_wall().tv_sec);
}

static int on_head(void *ctx, const struct oss_http_reply *http, struct ou_error *err)
{
    const struct receiver *v = ctx;
    const struct oss_request *rq = v->a->rq;

    hear_clock(v->a->c, http);
    v->a->reply->body.max = is_success(http) ? OSS_XML_MAX : REFUSAL_MAX;
    return is_success(http) && rq->head ? rq->head(rq->ctx, http, err) : 0;
}

static int on_body(void *ctx, const void *data, size_t len, struct ou_error *err)
{
    const struct receiver *v = ctx;
    const struct oss_request *rq = v->a->rq;
    struct ou_buf *body = &v->a->reply->body;

    if (!is_success(&v->x->reply)) {
        if (len > REFUSAL_MAX - body->len) /* HTML of some proxy: its beginning will do */
            len = REFUSAL_MAX - body->len;
        ou_buf_add(body, data, len);
        return 0;
    }
    if (rq->write)
        return rq->write(rq->ctx, data, len, err);
    ou_buf_add(body, data, len);
    if (body->failed && body->len + len > OSS_XML_MAX)
        return oss_xml_bad(err, "more than %u bytes", OSS_XML_MAX);
    return ou_buf_check(body, err);
}

/* -- the outcome -- */

static int check_crc(const struct oss_request *rq, const struct oss_reply *reply,
                     struct ou_error *err)
{
    const char *header = oss_http_header(&reply->http, "x-oss-hash-crc64ecma");
    uint64_t crc64;

    if (!rq->check_crc || !header)
        return 0;
    if (!ou_parse_u64(header, &crc64))
        return oss_xml_bad(err, "x-oss-hash-crc64ecma is no number");
    if (crc64 == reply->crc64)
        return 0;
    return oss_error_here(err, 0, OSS_CODE_CRC_MISMATCH, NULL,
                          "OSS has CRC-64 %" PRIu64 " of what was sent with %" PRIu64, crc64,
                          reply->crc64);
}

static int refused(struct oss_attempt *a, struct ou_error *err)
{
    return oss_error_refused(err, a->rq->what, a->reply->http.status, &a->refusal);
}

/*
 * OSS leaves its mark on an answer: an id, its name, headers of its own, XML. A 2xx with none of
 * them comes from somebody else (a hotel's login page, a proxy), and nothing was stored. Exempt are
 * bytes of an object, whose range and ETag were checked, and 204: a page has a body.
 */
static int check_origin(const struct oss_attempt *a, struct ou_error *err)
{
    const struct oss_http_reply *http = &a->reply->http;
    const char *server = oss_http_header(http, "server"),
               *type = oss_http_header(http, "content-type");

    if (a->rq->write || http->status == 204 || oss_http_has_header_of(http, "x-oss-") ||
        (server && strstr(server, "OSS")) ||
        (type && (!strncasecmp(type, "application/xml", 15) || !strncasecmp(type, "text/xml", 8))))
        return 0;
    return oss_xml_bad(err, "HTTP %d from something that is not OSS", http->status);
}

/* A 2xx is a success when the operation can use it; it may even be an <Error>. */
static int accept_reply(struct oss_attempt *a, struct ou_error *err)
{
    struct oss_request *rq = a->rq;
    int r = check_origin(a, err);

    if (r == 0)
        r = check_crc(rq, a->reply, err);
    if (r == 0 && rq->accept)
        r = rq->accept(rq, a->reply, err);
    if (r >= 0)
        return r;
    if (oss_error_is(err, OSS_CODE_BAD_REPLY)) {
        oss_refusal_read(a->reply, &a->refusal);
        if (a->refusal.code[0])
            return refused(a, err);
    }
    return ou_error_prefix(err, "%s", rq->what);
}

/* No whole reply. One that says what is wrong is enough, though. */
static int broken(struct oss_attempt *a, int r, struct ou_error *err)
{
    int status = a->reply->http.status;

    a->local = !err->code[0];
    if (a->local)
        return r;
    if (status >= 400) {
        oss_refusal_read(a->reply, &a->refusal);
        if (a->refusal.code[0] || status >= 500 || status == 429)
            return refused(a, err);
    }
    if (!err->http_status)
        err->http_status = status;
    return ou_error_prefix(err, "%s", a->rq->what);
}

/* How long to stay away, if the answer says so and a repetition can help at all. */
static unsigned asked_pause_ms(const struct oss_http_reply *http, const struct ou_error *err)
{
    enum oss_verdict verdict = oss_error_verdict(err);

    if (verdict != OSS_RETRY && verdict != OSS_THROTTLE)
        return 0;
    return oss_retry_asked_ms(oss_http_header(http, "retry-after"),
                              oss_http_header(http, "x-oss-qos-delay-time"), ou_wall().tv_sec);
}

static int judge(struct oss_attempt *a, int r, struct ou_error *err)
{
    const struct oss_http_reply *http = &a->reply->http;
    const char *id = oss_http_header(http, "x-oss-request-id");

    if (r < 0) {
        r = broken(a, r, err);
    } else if (is_success(http)) {
        r = accept_reply(a, err);
    } else {
        oss_refusal_read(a->reply, &a->refusal);
        r = refused(a, err);
    }
    if (r >= 0 || a->local)
        return r;
    if (!err->request_id[0] && id)
        (void)oss_xml_copy(err->request_id, sizeof(err->request_id), id);
    err->wait_ms = asked_pause_ms(http, err);
    return r;
}

/* -- telling -- */

static void tell(const struct oss_attempt *a, const struct oss_http_exchange *x, int r,
                 const struct ou_error *err, uint64_t ms)
{
    const char *id = oss_http_header(&x->reply, "x-oss-request-id");

    ou_log_debug(OU_LOG_OSS,
                 "request op=%s key=%s part=%u attempt=%u status=%d code=%s request_id=%s "
                 "ms=%" PRIu64 " up=%" PRIu64 " down=%" PRIu64,
                 a->rq->op, a->rq->key ? a->rq->key : "", a->rq->part, a->number + 1,
                 x->reply.status, r < 0 ? err->code : "", id ? id : "", ms, x->sent, x->received);
}

static void tell_throttling(struct oss_client *c, const struct ou_error *err)
{
    uint64_t now = ou_now_ms(), last = atomic_load(&c->told_ms);
    unsigned in_flight, allowed;

    if ((last && now - last < TELL_EVERY_MS) ||
        !atomic_compare_exchange_strong(&c->told_ms, &last, now))
        return;
    oss_gate_look(&c->gate, &in_flight, &allowed);
    ou_log_warn(OU_LOG_OSS, err, "OSS asks for fewer requests: count=%" PRIu64 " connections=%u",
                (uint64_t)(atomic_load(&c->throttled) -
                           atomic_exchange(&c->told_throttled, atomic_load(&c->throttled))),
                allowed);
}

static enum oss_gate_outcome outcome_of(int r, const struct ou_error *err)
{
    if (r >= 0)
        return OSS_GATE_SUCCESS;
    return oss_error_verdict(err) == OSS_THROTTLE ? OSS_GATE_THROTTLED : OSS_GATE_FAILED;
}

/* -- running -- */

static void set_limits(const struct oss_attempt *a, struct oss_http_exchange *x)
{
    const struct oss_request *rq = a->rq;
    uint64_t size = (rq->body ? rq->body->size : 0) + rq->reply_size;

    x->idle_timeout_ms = a->c->config.idle_timeout_ms * (rq->slow ? IDLE_SLOW : 1);
    x->deadline_ms = a->deadline_ms;
    x->deadline_moving_ms = a->deadline_ms ? a->deadline_ms + size / PACE : 0;
    x->cancel = a->call->cancel;
}

static int exchange(struct oss_attempt *a, struct outgoing *o, struct ou_error *err)
{
    struct oss_client *c = a->c;
    const struct oss_request *rq = a->rq;
    struct oss_http_exchange x = {
        .method = rq->method,
        .url = ou_buf_str(&o->url),
        .headers = o->headers,
        .header_count = o->header_count,
        .has_body = rq->has_body,
        .body_size = rq->body ? rq->body->size : 0,
        .read = rq->body ? rq->body->read : NULL,
        .read_ctx = rq->body ? rq->body->ctx : NULL,
        .once = rq->repeat != OSS_REPEAT_ALWAYS,
        .head = on_head,
        .write = on_body,
    };
    struct receiver v = {.a = a, .x = &x};
    uint64_t started = ou_now_ms();
    int r;

    x.reply_ctx = &v;
    set_limits(a, &x);
    (void)atomic_fetch_add(&c->requests, 1);
    r = oss_http_run(c->http, &x, err);
    (void)atomic_fetch_add(&c->bytes_up, x.sent);
    (void)atomic_fetch_add(&c->bytes_down, x.received);
    a->was_sent = x.was_sent;
    a->reply->http = x.reply;
    a->reply->crc64 = x.crc64;
    r = judge(a, r, err);
    tell(a, &x, r, err, ou_now_ms() - started);
    return r;
}

static int go(struct oss_attempt *a, struct ou_error *err)
{
    ou_auto(outgoing_fini) struct outgoing o = {.headers = NULL};
    struct oss_request *rq = a->rq;
    int r = 0;

    if (a->c->chain) {
        r = oss_cred_get(a->c->chain, &a->used, err);
        a->local = r < 0 && !err->code[0];
        if (r < 0)
            return ou_error_prefix(err, "%s", rq->what);
    }
    if (rq->prepare)
        r = rq->prepare(rq, err);
    if (r == 0)
        r = gather(a, &o, err);
    if (r == 0)
        r = sign(a, &o, err);
    a->local = r < 0;
    return r < 0 ? r : exchange(a, &o, err);
}

int oss_attempt_run(struct oss_attempt *a, struct ou_error *err)
{
    struct oss_client *c = a->c;
    enum oss_gate_outcome outcome;
    int r;

    a->was_sent = a->local = false;
    memset(&a->refusal, 0, sizeof(a->refusal));
    r = oss_gate_enter(&c->gate, a->call->background, a->deadline_ms, a->call->cancel, err);
    if (r < 0) {
        a->local = true; /* no time is left, or nobody wants it any more */
        return ou_error_prefix(err, "%s", a->rq->what);
    }
    r = go(a, err);
    outcome = outcome_of(r, err);
    (void)oss_gate_leave(&c->gate, a->call->background, outcome, ou_now_ms());
    if (outcome == OSS_GATE_THROTTLED) {
        (void)atomic_fetch_add(&c->throttled, 1);
        tell_throttling(c, err);
    }
    return r;
}

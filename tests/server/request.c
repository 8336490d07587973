#include "server/request.h"

#include "server/auth.h"
#include "server/clock.h"
#include "server/dialect_s3.h"
#include "server/ops.h"
#include "server/target.h"
#include "server/text.h"
#include "server/xml.h"

#include <ctype.h>
#include <inttypes.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#define NS_PER_MS         UINT64_C(1000000)
#define STALL_FOREVER_NS  (UINT64_C(3600) * 1000 * NS_PER_MS)
#define STALL_POLL_NS     (5 * NS_PER_MS)
#define TRAFFIC_LIMIT_MIN 819200u /* bits/s */
#define TRAFFIC_LIMIT_MAX 838860800u
#define TEXT_BODY_MAX     ((size_t)64 << 20) /* the control path puts objects; see body_limit() */
#define DELETE_BODY_MAX   ((size_t)2 << 20)
#define EC_TRAFFIC_LIMIT  "0004-00000502"

struct srv_request *srv_request_new(struct srv_server *srv, struct MHD_Connection *conn,
                                    const char *target)
{
    struct srv_request *r = srv_xcalloc(1, sizeof(*r));

    r->srv = srv;
    r->conn = conn;
    r->target = srv_xstrdup(target);
    r->started = srv_real_seconds();
    r->started_ns = srv_steady_ns();
    r->fd = -1;
    r->writer.fd = -1;
    srv_limiter_init(&r->pace);
    (void)snprintf(r->id, sizeof(r->id), "%016" PRIX64 "%08" PRIX64,
                   (uint64_t)(r->started * 1e6) << 8 & UINT64_MAX,
                   atomic_fetch_add(&srv->request_counter, 1) & UINT32_MAX);
    return r;
}

void srv_request_free(struct srv_request *r)
{
    srv_writer_fini(&r->writer);
    srv_object_unref(r->source);
    srv_object_unref(r->reply.object);
    srv_attrs_fini(&r->attrs);
    srv_buf_fini(&r->text);
    srv_buf_fini(&r->reply.body);
    srv_pairs_fini(&r->reply.headers);
    srv_pairs_fini(&r->headers);
    srv_pairs_fini(&r->query);
    srv_plan_fini(&r->plan);
    srv_error_fini(&r->error);
    srv_limiter_fini(&r->pace);
    free(r->target);
    free(r->bucket);
    free(r->key);
    free(r);
}

const char *srv_header(const struct srv_request *r, const char *name)
{
    return srv_pairs_get(&r->headers, name);
}

const char *srv_query(const struct srv_request *r, const char *name)
{
    return srv_pairs_get(&r->query, name);
}

bool srv_header_is(const struct srv_request *r, const char *name, const char *value)
{
    const char *there = srv_header(r, name);

    return there != NULL && srv_streq(there, value);
}

/* --- the head --- */

static enum MHD_Result add_header(void *arg, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    struct srv_request *r = arg;
    srv_autofree char *lower = srv_xstrdup(name);
    srv_autofree char *trimmed = NULL;
    const struct srv_pair *same;
    size_t len;

    (void)kind;
    for (char *p = lower; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    value = value == NULL ? "" : value + strspn(value, " \t");
    for (len = strlen(value); len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t');)
        len--;
    trimmed = srv_xstrndup(value, len);
    same = srv_pairs_find(&r->headers, lower);
    if (same != NULL) {
        struct srv_pair *pair = &r->headers.items[same - r->headers.items];
        char *joined = srv_xasprintf("%s,%s", pair->value, trimmed);

        free(pair->value);
        pair->value = joined;
    } else {
        srv_pairs_add(&r->headers, lower, trimmed);
    }
    return MHD_YES;
}

static int read_head(struct srv_request *r)
{
    const char *length;
    char *question = strchr(r->target, '?');
    srv_autofree char *path = question == NULL
                                  ? srv_xstrdup(r->target)
                                  : srv_xstrndup(r->target, (size_t)(question - r->target));

    (void)MHD_get_connection_values(r->conn, MHD_HEADER_KIND, add_header, r);
    length = srv_header(r, "content-length");
    if (length != NULL)
        (void)srv_parse_u64(length, &r->content_length);
    r->has_body = length != NULL || srv_header(r, "transfer-encoding") != NULL;
    if (srv_target_query(question == NULL ? "" : question + 1, &r->query, &r->error) < 0)
        return -1;
    if (srv_starts_with(path, SRV_CONTROL_PREFIX))
        return 0;
    return srv_target_address(path, srv_header(r, "host"), r->srv->domain, &r->bucket, &r->key,
                              &r->error);
}

static void count_in(struct srv_request *r)
{
    size_t i = srv_op_number(r->op);

    r->in_flight = atomic_fetch_add(&r->srv->in_flight[i], 1) + 1;
}

static int check_traffic_limit(struct srv_request *r)
{
    const char *header = srv_header(r, "x-oss-traffic-limit");
    const char *query = srv_query(r, "x-oss-traffic-limit");
    const char *limit = header != NULL ? header : query;
    uint64_t bits = 0;

    if (limit == NULL)
        return 0;
    if ((header != NULL && query != NULL) || !srv_parse_u64(limit, &bits) ||
        bits < TRAFFIC_LIMIT_MIN || bits > TRAFFIC_LIMIT_MAX)
        return srv_fail_ec(&r->error, "InvalidArgument", EC_TRAFFIC_LIMIT,
                           "x-oss-traffic-limit must be between 819200 and 838860800.");
    if (r->pace_bytes_per_s == 0 || bits / 8 < r->pace_bytes_per_s)
        r->pace_bytes_per_s = bits / 8;
    return 0;
}

static int check_body_header(struct srv_request *r)
{
    if (r->op->body == SRV_BODY_DISCARD)
        return 0;
    if (!r->has_body)
        return srv_fail(&r->error, "MissingContentLength",
                        "You must provide the Content-Length HTTP header.");
    if (r->op->body == SRV_BODY_DATA && r->content_length > SRV_OBJECT_PUT_MAX)
        return srv_fail(&r->error, "EntityTooLarge",
                        "Your proposed upload exceeds the maximum allowed object size.");
    return 0;
}

/* The checks of the head, in the order the protocol notes give. */
static int check_head(struct srv_request *r)
{
    uint64_t qps = r->srv->switches.qps;
    const char *part;

    if (r->op->access == SRV_ACCESS_OPEN)
        return 0;
    if (qps > 0 && !srv_limiter_try(&r->srv->requests, qps))
        return srv_fail(&r->error, "QpsLimitExceeded",
                        "Please reduce your request rate, the limit is %" PRIu64 "/s.", qps);
    if (srv_authenticate(r) < 0)
        return -1;
    part = srv_query(r, "partNumber");
    if (part != NULL)
        (void)srv_parse_u64(part, &r->part_number);
    srv_faults_match(r->srv->faults, r->op->name, r->key, r->part_number, &r->plan);
    if (r->plan.delay_ms > 0 && !srv_request_sleep(r, r->plan.delay_ms * NS_PER_MS))
        r->aborted = true;
    r->pace_bytes_per_s = r->plan.slow_bytes_per_s;
    if (r->plan.status != 0) {
        (void)srv_fail_status(&r->error, r->plan.status, r->plan.code, r->plan.message);
        srv_pairs_copy(&r->error.headers, &r->plan.headers);
        return -1;
    }
    if (srv_authorize(r) < 0 || check_traffic_limit(r) < 0)
        return -1;
    srv_ops_before(r);
    return check_body_header(r);
}

static bool answers_without_body(const struct srv_request *r)
{
    const char *expect = srv_header(r, "expect");

    return r->error.code != NULL && (r->plan.no_drain || r->content_length > SRV_OBJECT_PUT_MAX ||
                                     (expect != NULL && strcasecmp(expect, "100-continue") == 0));
}

enum MHD_Result srv_request_begin(struct srv_request *r, const char *method)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    uint64_t latency_ms = r->srv->switches.latency_ms;
    int bad;

    r->begun = true;
    r->method = method;
    r->fd = info == NULL ? -1 : info->connect_fd;
    bad = read_head(r);
    if (bad == 0)
        bad = srv_s3_translate(r);
    r->op = srv_route(r);
    count_in(r);
    if (latency_ms > 0 && r->op->access != SRV_ACCESS_OPEN)
        (void)srv_request_sleep(r, latency_ms * NS_PER_MS);
    if (bad == 0 && check_head(r) == 0 && !r->aborted && r->plan.cut != SRV_CUT_BEFORE_BODY &&
        r->op->begin != NULL)
        bad = r->op->begin(r);
    if (r->aborted || r->plan.cut == SRV_CUT_BEFORE_BODY)
        return MHD_NO;
    if (r->plan.stall && r->plan.stall_when == SRV_BEFORE_BODY && !srv_request_stall(r))
        return MHD_NO;
    if (answers_without_body(r))
        return srv_request_send(r);
    r->sink =
        r->error.code == NULL && bad == 0 && !r->plan.skip_apply ? r->op->body : SRV_BODY_DISCARD;
    if (r->sink == SRV_BODY_DATA)
        srv_writer_init(&r->writer, srv_store_datadir(r->srv->store),
                        !r->srv->switches.no_md5 || srv_header(r, "content-md5") != NULL);
    return MHD_YES;
}

/* --- the body --- */

bool srv_request_sleep(struct srv_request *r, uint64_t ns)
{
    return srv_sleep_ns(ns, r->fd, &r->srv->stopping);
}

static bool stall_until_cleared(struct srv_request *r)
{
    while (srv_faults_clearing(r->srv->faults) == r->plan.clearing)
        if (!srv_request_sleep(r, STALL_POLL_NS))
            return false;
    return true;
}

bool srv_request_stall(struct srv_request *r)
{
    r->plan.stall = false;
    if (r->plan.until_cleared)
        return stall_until_cleared(r);
    if (r->plan.stall_ms == 0) {
        (void)srv_request_sleep(r, STALL_FOREVER_NS);
        return false;
    }
    return srv_request_sleep(r, r->plan.stall_ms * NS_PER_MS);
}

static bool wait_for_rate(struct srv_request *r, size_t len)
{
    uint64_t up = r->srv->switches.bandwidth_up;
    uint64_t wait = 0;

    if (up > 0 && r->op->access != SRV_ACCESS_OPEN)
        wait = srv_limiter_take(&r->srv->up, up, len);
    if (r->pace_bytes_per_s > 0) {
        uint64_t own = srv_limiter_take(&r->pace, r->pace_bytes_per_s, len);

        wait = own > wait ? own : wait;
    }
    return wait == 0 || srv_request_sleep(r, wait);
}

static void corrupt_piece(struct srv_request *r, const char **data, size_t len, char **copy)
{
    uint64_t at = r->plan.corrupt_at;

    if (!r->plan.corrupt || at < r->bytes_in || at >= r->bytes_in + len)
        return;
    *copy = srv_xrealloc(NULL, len);
    memcpy(*copy, *data, len);
    (*copy)[at - r->bytes_in] = (char)((*copy)[at - r->bytes_in] ^ 1);
    *data = *copy;
}

static size_t body_limit(const struct srv_request *r)
{
    return srv_streq(r->op->name, "DeleteMultipleObjects") ? DELETE_BODY_MAX : TEXT_BODY_MAX;
}

static void store_piece(struct srv_request *r, const char *data, size_t len)
{
    if (r->error.code != NULL)
        return;
    if (r->sink == SRV_BODY_MEMORY) {
        if (r->text.len + len > body_limit(r))
            (void)srv_fail(&r->error, "MalformedXML", "The body is too large.");
        else
            srv_buf_add(&r->text, data, len);
    } else if (r->sink == SRV_BODY_DATA) {
        if (r->writer.size + len > SRV_OBJECT_PUT_MAX)
            (void)srv_fail(&r->error, "EntityTooLarge",
                           "Your proposed upload exceeds the maximum allowed object size.");
        else
            (void)srv_writer_add(&r->writer, data, len, &r->error);
    }
}

enum MHD_Result srv_request_body(struct srv_request *r, const char *data, size_t len)
{
    srv_autofree char *copy = NULL;

    if (r->plan.cut == SRV_CUT_AFTER_BYTES && r->bytes_in + len >= r->plan.cut_bytes) {
        r->bytes_in = r->plan.cut_bytes;
        return MHD_NO;
    }
    if (r->plan.stall && r->plan.stall_when == SRV_AT_BYTES &&
        r->bytes_in + len >= r->plan.stall_bytes && !srv_request_stall(r))
        return MHD_NO;
    if (!wait_for_rate(r, len))
        return MHD_NO;
    corrupt_piece(r, &data, len, &copy);
    store_piece(r, data, len);
    r->bytes_in += len;
    return MHD_YES;
}

/* Content-MD5 is checked before anything changes. */
static int check_md5(struct srv_request *r)
{
    const char *wanted = srv_header(r, "content-md5");
    srv_autofree uint8_t *bytes = NULL;
    uint8_t md5[SRV_MD5_BYTES];
    struct srv_digest copy;
    bool same;

    if (wanted == NULL || r->sink == SRV_BODY_DISCARD)
        return 0;
    if (srv_base64_decode(wanted, &bytes) != SRV_MD5_BYTES)
        return srv_fail(&r->error, "InvalidDigest", "The Content-MD5 you specified is not valid.");
    if (r->sink == SRV_BODY_DATA) {
        srv_digest_init(&copy, true);
        (void)EVP_MD_CTX_copy_ex(copy.md5, r->writer.digest.md5);
        (void)srv_digest_md5(&copy, md5);
        srv_digest_fini(&copy);
    } else {
        srv_md5(srv_buf_str(&r->text), r->text.len, md5);
    }
    same = memcmp(md5, bytes, sizeof(md5)) == 0;
    return same ? 0
                : srv_fail(&r->error, "InvalidDigest",
                           "The Content-MD5 you specified did not match what we received.");
}

enum MHD_Result srv_request_end(struct srv_request *r)
{
    if (r->plan.cut == SRV_CUT_AFTER_BODY)
        return MHD_NO;
    if (r->plan.cut == SRV_CUT_AFTER_BYTES && r->bytes_in == 0 && r->plan.cut_bytes == 0)
        return MHD_NO;
    if (r->plan.stall && r->plan.stall_when == SRV_AFTER_BODY && !srv_request_stall(r))
        return MHD_NO;
    r->ended = true;
    if (r->error.code == NULL && !r->plan.skip_apply && check_md5(r) == 0 && r->op->finish != NULL)
        (void)r->op->finish(r);
    if (r->plan.stall && r->plan.stall_when == SRV_AFTER_APPLY && !srv_request_stall(r))
        return MHD_NO;
    if (r->plan.cut == SRV_CUT_NO_ANSWER)
        return MHD_NO;
    return srv_request_send(r);
}

/* --- the end --- */

static int final_status(const struct srv_request *r)
{
    if (r->error.code != NULL)
        return r->error.status;
    if (!r->ended)
        return 0;
    return r->reply.status != 0 ? r->reply.status : 200;
}

uint64_t srv_acknowledged(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
        return 0;
    return info.tcpi_bytes_acked;
}

void srv_request_settle(struct srv_request *r)
{
    if (r->settled || r->op == NULL)
        return;
    r->settled = true;
    (void)atomic_fetch_sub(&r->srv->in_flight[srv_op_number(r->op)], 1);
    if (r->aborted && r->by_fd) {
        uint64_t acked = srv_acknowledged(r->fd) - r->acked_before;

        r->bytes_out = acked < r->bytes_out ? acked : r->bytes_out;
    }
    if (r->op->access != SRV_ACCESS_OPEN)
        srv_reqlog_add(r->srv->log, &(struct srv_reqlog_entry){
                                        .started = r->started,
                                        .operation = r->op->name,
                                        .method = r->method,
                                        .bucket = r->bucket,
                                        .key = r->key,
                                        .part = r->part_number,
                                        .upload_id = srv_query(r, "uploadId"),
                                        .status = final_status(r),
                                        .code = r->error.code,
                                        .bytes_in = r->bytes_in,
                                        .bytes_out = r->bytes_out,
                                        .range = srv_header(r, "range"),
                                        .fault = r->plan.ids,
                                        .request_id = r->id,
                                        .in_flight = r->in_flight,
                                        .aborted = r->aborted,
                                    });
    if (r->streaming)
        (void)atomic_fetch_sub(&r->srv->streaming, 1);
}

void srv_reply_header(struct srv_request *r, const char *name, const char *format, ...)
{
    char *value = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&value, format, args) >= 0)
        srv_pairs_add(&r->reply.headers, name, value);
    va_end(args);
    free(value);
}

struct srv_buf *srv_reply_xml(struct srv_request *r)
{
    srv_pairs_add(&r->reply.headers, "Content-Type", "application/xml");
    srv_xml_begin(&r->reply.body);
    return &r->reply.body;
}

/*
 * How a reply goes out.
 *
 *   short bodies (XML, small objects)  from memory; logged before they are sent
 *   a stretch of one data file         by descriptor, so MHD uses sendfile(); logged after
 *   everything else                    by reader(): several data files, limited rates,
 *                                      faults; logged when the last piece is handed over
 */
#include "server/request.h"

#include "server/clock.h"
#include "server/dialect_s3.h"
#include "server/segments.h"
#include "server/text.h"
#include "server/xml.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define SMALL_BODY   ((uint64_t)64 << 10)
#define READER_BLOCK ((size_t)256 << 10)
#define LENGTH_LIE   64u /* how many bytes more a lying Content-Length promises */

/* --- what the plan does to a finished reply --- */

static char other_digit(char c)
{
    return c == '0' ? '1' : '0';
}

static void spoil_header(struct srv_request *r, const char *name)
{
    for (size_t i = 0; i < r->reply.headers.count; i++) {
        struct srv_pair *h = &r->reply.headers.items[i];
        size_t at = strspn(h->value, "\"");

        if (srv_streq(h->name, name) && h->value[at] != '\0')
            h->value[at] = other_digit(h->value[at]);
    }
}

static void spoil_xml_etag(struct srv_buf *body)
{
    char *etag = body->data == NULL ? NULL : strstr(body->data, "<ETag>\"");

    if (etag != NULL) {
        etag += strlen("<ETag>\"");
        *etag = other_digit(*etag);
    }
}

static void replace_body(struct srv_request *r, int status, const char *type, const char *text)
{
    srv_object_unref(r->reply.object);
    r->reply.object = NULL;
    srv_pairs_fini(&r->reply.headers);
    srv_buf_fini(&r->reply.body);
    r->reply.status = status;
    if (type != NULL)
        srv_reply_header(r, "Content-Type", "%s", type);
    srv_buf_puts(&r->reply.body, text);
}

static void mangle(struct srv_request *r)
{
    struct srv_buf *body = &r->reply.body;
    char *tag;

    if (r->plan.wrong_crc)
        spoil_header(r, "x-oss-hash-crc64ecma");
    if (r->plan.wrong_etag) {
        spoil_header(r, "ETag");
        spoil_xml_etag(body);
    }
    switch (r->plan.mangle) {
    case SRV_MANGLE_NONE:
        break;
    case SRV_MANGLE_HTML:
        replace_body(r, r->plan.mangle_status, "text/html",
                     "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
                     "<center><h1>502 Bad Gateway</h1></center>\r\n<hr><br>\r\n</html>\r\n");
        break;
    case SRV_MANGLE_EMPTY:
        replace_body(r, 200, NULL, "");
        break;
    case SRV_MANGLE_MALFORMED:
        tag = body->data == NULL ? NULL : strstr(body->data, "</");
        if (tag != NULL)
            tag[1] = '<';
        break;
    case SRV_MANGLE_TRUNCATED:
        body->len /= 2;
        break;
    }
}

/* The error becomes the reply; HEAD has no body, there it goes into a header. */
static void error_to_reply(struct srv_request *r)
{
    srv_autofree char *encoded = NULL;
    const char *host = srv_header(r, "host");

    srv_object_unref(r->reply.object);
    r->reply.object = NULL;
    srv_pairs_fini(&r->reply.headers);
    srv_buf_fini(&r->reply.body);
    srv_pairs_copy(&r->reply.headers, &r->error.headers);
    r->reply.status = r->error.status;
    if (r->error.status == 304)
        return;
    srv_reply_header(r, "Content-Type", "application/xml");
    srv_reply_header(r, "x-oss-ec", "%s", r->error.ec);
    srv_error_xml(&r->error, r->id, host == NULL ? "" : host, &r->reply.body);
    if (srv_streq(r->method, "HEAD")) {
        encoded = srv_base64(srv_buf_str(&r->reply.body), r->reply.body.len);
        srv_reply_header(r, "x-oss-err", "%s", encoded);
    }
}

/* --- bodies by reader() --- */

struct reading {
    struct srv_request *r; /* lives until the reply is out */
    uint64_t length;       /* of what there is to send */
};

static int64_t read_piece(struct srv_request *r, uint64_t position, char *buffer, size_t len)
{
    if (r->reply.object != NULL) {
        if (len > r->reply.length - position)
            len = (size_t)(r->reply.length - position);
        return srv_segments_read(&r->reply.object->segments, r->reply.first + position, buffer,
                                 len);
    }
    if (len > r->reply.body.len - position)
        len = (size_t)(r->reply.body.len - position);
    memcpy(buffer, r->reply.body.data + position, len);
    return (int64_t)len;
}

static bool wait_for_rate(struct srv_request *r, uint64_t len)
{
    uint64_t down = r->srv->switches.bandwidth_down;
    uint64_t wait = 0;

    if (down > 0)
        wait = srv_limiter_take(&r->srv->down, down, len);
    if (r->pace_bytes_per_s > 0) {
        uint64_t own = srv_limiter_take(&r->pace, r->pace_bytes_per_s, len);

        wait = own > wait ? own : wait;
    }
    return wait == 0 || srv_request_sleep(r, wait);
}

/* Where the plan wants to act next, so that a piece ends exactly there. */
static size_t piece_limit(const struct srv_request *r, uint64_t position, size_t max)
{
    if (r->plan.cut == SRV_CUT_AFTER_BYTES && r->plan.cut_bytes > position &&
        r->plan.cut_bytes - position < max)
        max = (size_t)(r->plan.cut_bytes - position);
    if (r->plan.stall && r->plan.stall_when == SRV_AT_BYTES && r->plan.stall_bytes > position &&
        r->plan.stall_bytes - position < max)
        max = (size_t)(r->plan.stall_bytes - position);
    if (r->pace_bytes_per_s > 0 && r->pace_bytes_per_s / 10 + 1 < max)
        max = (size_t)(r->pace_bytes_per_s / 10 + 1);
    return max;
}

static ssize_t reader(void *arg, uint64_t position, char *buffer, size_t max)
{
    struct reading *reading = arg;
    struct srv_request *r = reading->r;
    int64_t n;

    if (position >= reading->length) /* Content-Length lied */
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (r->plan.cut == SRV_CUT_AFTER_BYTES && position >= r->plan.cut_bytes)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (r->plan.stall && r->plan.stall_when == SRV_AT_BYTES && position >= r->plan.stall_bytes &&
        !srv_request_stall(r))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    n = read_piece(r, position, buffer, piece_limit(r, position, max));
    if (n <= 0 || !wait_for_rate(r, (uint64_t)n))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (r->plan.corrupt && r->plan.corrupt_at >= position &&
        r->plan.corrupt_at < position + (uint64_t)n)
        buffer[r->plan.corrupt_at - position] ^= 1;
    r->bytes_out = position + (uint64_t)n;
    if (r->bytes_out == reading->length && !r->plan.lie_about_length)
        srv_request_settle(r);
    return (ssize_t)n;
}

static struct MHD_Response *by_reader(struct srv_request *r, uint64_t length)
{
    struct reading *reading = srv_xcalloc(1, sizeof(*reading));

    *reading = (struct reading){r, length};
    r->bytes_out = 0;
    return MHD_create_response_from_callback(length + (r->plan.lie_about_length ? LENGTH_LIE : 0),
                                             READER_BLOCK, reader, reading, free);
}

/* --- the three ways --- */

static bool plan_touches_body(const struct srv_request *r)
{
    return r->plan.cut == SRV_CUT_AFTER_BYTES || r->plan.corrupt || r->plan.lie_about_length ||
           (r->plan.stall && r->plan.stall_when == SRV_AT_BYTES);
}

static struct MHD_Response *by_descriptor(struct srv_request *r)
{
    struct srv_segments piece = {0};
    struct MHD_Response *response = NULL;
    int fd;

    srv_segments_slice(&piece, &r->reply.object->segments, r->reply.first, r->reply.length);
    if (piece.count == 1) {
        fd = srv_datadir_open_file(piece.items[0].file->dir, piece.items[0].file->id);
        if (fd >= 0)
            response =
                MHD_create_response_from_fd_at_offset64(r->reply.length, fd, piece.items[0].offset);
        if (fd >= 0 && response == NULL)
            (void)close(fd);
    }
    srv_segments_fini(&piece);
    if (response != NULL) {
        r->by_fd = true;
        r->acked_before = srv_acknowledged(r->fd);
        r->bytes_out = r->reply.length;
    }
    return response;
}

static struct MHD_Response *from_memory(struct srv_request *r)
{
    r->bytes_out = srv_streq(r->method, "HEAD") ? 0 : r->reply.body.len;
    return MHD_create_response_from_buffer(r->reply.body.len, r->reply.body.data,
                                           MHD_RESPMEM_MUST_COPY);
}

static bool load_small(struct srv_request *r)
{
    srv_autofree char *bytes = srv_xcalloc(r->reply.length, 1);
    uint64_t done = 0;

    while (done < r->reply.length) {
        int64_t n = read_piece(r, done, bytes + done, (size_t)(r->reply.length - done));

        if (n <= 0)
            return false;
        done += (uint64_t)n;
    }
    srv_object_unref(r->reply.object);
    r->reply.object = NULL;
    srv_buf_add(&r->reply.body, bytes, done);
    return true;
}

static struct MHD_Response *make_response(struct srv_request *r)
{
    bool paced = r->pace_bytes_per_s > 0 ||
                 (r->srv->switches.bandwidth_down > 0 && r->op->access != SRV_ACCESS_OPEN);
    bool head = srv_streq(r->method, "HEAD");
    struct MHD_Response *response = NULL;
    uint64_t length;

    if (head && r->reply.object != NULL)
        return MHD_create_response_from_callback(r->reply.length, READER_BLOCK, reader, NULL, NULL);
    if (r->reply.object != NULL && r->reply.length <= SMALL_BODY && !load_small(r))
        return NULL;
    length = r->reply.object != NULL ? r->reply.length : r->reply.body.len;
    if (head || length == 0 ||
        (r->reply.object == NULL && !plan_touches_body(r) && (!paced || length < SMALL_BODY)))
        return from_memory(r);
    r->streaming = true;
    (void)atomic_fetch_add(&r->srv->streaming, 1);
    if (r->reply.object != NULL && !paced && !plan_touches_body(r) && !r->srv->tls)
        response = by_descriptor(r);
    return response != NULL ? response : by_reader(r, length);
}

static void add_common_headers(struct srv_request *r, struct MHD_Response *response)
{
    char date[SRV_TIME_TEXT_MAX], ms[24];

    srv_time_http(srv_clock_ms() / 1000, date);
    (void)snprintf(ms, sizeof(ms), "%" PRIu64, (srv_steady_ns() - r->started_ns) / 1000000);
    (void)MHD_add_response_header(response, "Server", "AliyunOSS");
    (void)MHD_add_response_header(response, "Date", date);
    (void)MHD_add_response_header(response, "x-oss-request-id", r->id);
    (void)MHD_add_response_header(response, "x-oss-server-time", ms);
    if (r->plan.qos_delay_ms > 0) {
        (void)snprintf(ms, sizeof(ms), "%" PRIu64, r->plan.qos_delay_ms);
        (void)MHD_add_response_header(response, "x-oss-qos-delay-time", ms);
    }
}

enum MHD_Result srv_request_send(struct srv_request *r)
{
    struct MHD_Response *response;
    enum MHD_Result queued;

    if (r->error.code != NULL)
        error_to_reply(r);
    mangle(r);
    srv_s3_reply(r);
    if (r->reply.status == 0)
        r->reply.status = 200;
    response = make_response(r);
    if (response == NULL)
        return MHD_NO;
    add_common_headers(r, response);
    for (size_t i = 0; i < r->reply.headers.count; i++)
        (void)MHD_add_response_header(response, r->reply.headers.items[i].name,
                                      r->reply.headers.items[i].value);
    r->ended = true;
    if (!r->streaming)
        srv_request_settle(r);
    queued = MHD_queue_response(r->conn, (unsigned)r->reply.status, response);
    MHD_destroy_response(response);
    return queued;
}

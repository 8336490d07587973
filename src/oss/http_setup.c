/*
 * One exchange as curl sees it: its options and its callbacks.
 *
 * Callbacks put what went wrong into r->result and stop curl; the loop reports that
 * instead of curl's code. What curl would do on its own account and must not: follow
 * redirects, ask for 100-continue, compress, guess a content type, normalise the path.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/crc64.h"
#include "oss/errors.h"
#include "oss/http_curl.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_SIZE     (256L << 10)
#define BUFFER_MIN      (16L << 10) /* curl's least for uploads */
#define KEEPALIVE_IDLE  30L         /* seconds */
#define KEEPALIVE_PROBE 15L

static void global_init(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

void oss_http_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, global_init);
}

/* -- callbacks -- */

/* curl is about to send the request: the first time, or again after it lost a kept connection. */
static int on_send(void *ctx, char *ip, char *local_ip, int port, int local_port)
{
    struct run *r = ctx;

    (void)ip, (void)local_ip, (void)port, (void)local_port;
    if (r->sends && r->x->once) {
        r->lost = true;
        return CURL_PREREQFUNC_ABORT;
    }
    r->sends++;
    r->moved_ms = ou_now_ms();
    return CURL_PREREQFUNC_OK;
}

static size_t on_read(char *buf, size_t size, size_t count, void *ctx)
{
    struct run *r = ctx;
    struct oss_http_exchange *x = r->x;
    uint64_t left = x->body_size - r->offset, now = ou_now_ms();
    size_t len = size * count;
    ssize_t got;

    if (r->result < 0)
        return CURL_READFUNC_ABORT;
    if (len > left)
        len = (size_t)left;
    if (!len)
        return 0;
    if (r->hold_up_ms > now) {
        r->held = true;
        return CURL_READFUNC_PAUSE;
    }
    len = oss_limit_chunk(r->http->options.up, len);
    got = x->read(x->read_ctx, buf, len, r->offset, r->err);
    if (got < 0) {
        r->result = (int)got;
        return CURL_READFUNC_ABORT;
    }
    if (!got || (size_t)got > len) {
        r->result = ou_error_say(r->err, EIO, "the body ends at byte %" PRIu64 " of %" PRIu64,
                                 r->offset, x->body_size);
        return CURL_READFUNC_ABORT;
    }
    x->crc64 = ou_crc64(x->crc64, buf, (size_t)got);
    r->offset += (uint64_t)got;
    x->sent += (uint64_t)got;
    r->moved_ms = now;
    if (r->http->options.up)
        r->hold_up_ms = oss_limit_book(r->http->options.up, (uint64_t)got, now);
    return (size_t)got;
}

static int on_seek(void *ctx, curl_off_t offset, int origin)
{
    struct run *r = ctx;

    if (offset || origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    r->offset = 0;
    r->x->crc64 = 0;
    return CURL_SEEKFUNC_OK;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void keep_header(struct oss_http_reply *reply, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    const char *value, *end = line + len;
    size_t start = reply->headers.len;

    if (!colon)
        return;
    for (value = colon + 1; value < end && is_blank(*value);)
        value++;
    while (end > value && is_blank(end[-1]))
        end--;
    if (memchr(line, '\0', (size_t)(end - line)))
        return; /* nothing OSS sends */
    ou_buf_add(&reply->headers, line, (size_t)(colon - line));
    ou_buf_add(&reply->headers, "", 1);
    ou_buf_add(&reply->headers, value, (size_t)(end - value));
    ou_buf_add(&reply->headers, "", 1);
    for (size_t i = start; !reply->headers.failed && reply->headers.data[i]; i++)
        reply->headers.data[i] = (char)tolower((unsigned char)reply->headers.data[i]);
}

/* "HTTP/1.1 403 Forbidden" */
static void begin_block(struct run *r, const char *line, size_t len)
{
    struct ou_buf *headers = &r->x->reply.headers;
    const char *blank = memchr(line, ' ', len);

    r->status = 0;
    for (const char *c = blank; c && ++c < line + len && *c >= '0' && *c <= '9';)
        r->status = r->status * 10 % 10000 + (*c - '0');
    ou_buf_clear(headers);
    headers->max = OSS_HTTP_HEADERS_MAX;
}

/* The empty line: the headers of this block are complete. */
static void end_block(struct run *r)
{
    struct oss_http_exchange *x = r->x;

    if (r->status < 200)
        return; /* 100-continue and its kin: the real block follows */
    x->reply.status = r->status;
    r->replied = true;
    if (x->head)
        r->result = x->head(x->reply_ctx, &x->reply, r->err);
}

void oss_http_take_line(struct run *r, const char *line, size_t len)
{
    struct ou_buf *headers = &r->x->reply.headers;

    if (r->replied)
        return; /* trailers */
    if (len >= 5 && !memcmp(line, "HTTP/", 5))
        begin_block(r, line, len);
    else if (!len || line[0] == '\r' || line[0] == '\n')
        end_block(r);
    else
        keep_header(&r->x->reply, line, len);
    if (headers->failed && r->result == 0)
        r->result =
            oss_error_here(r->err, 0, OSS_CODE_BAD_REPLY, NULL,
                           "a reply with more than %u bytes of headers", OSS_HTTP_HEADERS_MAX);
}

void oss_http_take_body(struct run *r, const char *data, size_t len)
{
    struct oss_http_exchange *x = r->x;

    x->received += len;
    if (x->write && r->result == 0)
        r->result = x->write(x->reply_ctx, data, len, r->err);
}

static size_t on_header(char *line, size_t size, size_t count, void *ctx)
{
    struct run *r = ctx;

    r->moved_ms = ou_now_ms();
    oss_http_take_line(r, line, size * count);
    return r->result < 0 ? 0 : size * count;
}

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
    struct run *r = ctx;
    uint64_t now = ou_now_ms();

    if (r->hold_down_ms > now) {
        r->held = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    r->moved_ms = now;
    oss_http_take_body(r, data, size * count);
    if (r->http->options.down)
        r->hold_down_ms = oss_limit_book(r->http->options.down, size * count, now);
    return r->result < 0 ? 0 : size * count;
}

static void replace_socket(struct slot *slot, int from, int to)
{
    for (unsigned i = 0; i < OSS_HTTP_SOCKETS; i++)
        if (slot->sockets[i] == from) {
            slot->sockets[i] = to;
            return;
        }
}

static int on_open(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
    (void)purpose;
    replace_socket(ctx, -1, fd);
    return CURL_SOCKOPT_OK;
}

/* A connection ends, of whatever age: the slot knows what it was doing. */
static int on_close(void *ctx, curl_socket_t fd)
{
    struct slot *slot = ctx;

    replace_socket(slot, fd, -1);
    if (slot->run)
        oss_http_salvage(slot->run, fd);
    return close(fd);
}

/* -- options -- */

/* Options of libcurl cannot fail but for memory and for what it was built without. */
#define SET(easy, option, value) (void)curl_easy_setopt(easy, option, value)

void oss_http_fixed_options(struct oss_http *http, struct slot *slot)
{
    CURL *easy = slot->easy;
    const struct oss_http_options *o = &http->options;

    SET(easy, CURLOPT_SHARE, http->share);
    SET(easy, CURLOPT_NOSIGNAL, 1L);
    SET(easy, CURLOPT_QUICK_EXIT, 1L); /* a cancelled call does not wait for the resolver */
    SET(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(easy, CURLOPT_PATH_AS_IS, 1L);
    SET(easy, CURLOPT_FOLLOWLOCATION, 0L);
    SET(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(easy, CURLOPT_TCP_NODELAY, 1L);
    SET(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    SET(easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE);
    SET(easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_PROBE);
    SET(easy, CURLOPT_BUFFERSIZE, BUFFER_SIZE);
    SET(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)o->connect_timeout_ms);
    SET(easy, CURLOPT_USERAGENT, o->user_agent);
    if (o->no_proxy)
        SET(easy, CURLOPT_PROXY, "");
    if (o->cacert)
        SET(easy, CURLOPT_CAINFO, o->cacert);
    if (o->no_verify) {
        SET(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        SET(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    SET(easy, CURLOPT_SOCKOPTFUNCTION, on_open);
    SET(easy, CURLOPT_SOCKOPTDATA, slot);
    SET(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    SET(easy, CURLOPT_CLOSESOCKETDATA, slot);
    SET(easy, CURLOPT_PREREQFUNCTION, on_send);
    SET(easy, CURLOPT_READFUNCTION, on_read);
    SET(easy, CURLOPT_SEEKFUNCTION, on_seek);
    SET(easy, CURLOPT_HEADERFUNCTION, on_header);
    SET(easy, CURLOPT_WRITEFUNCTION, on_body);
}

static bool add_header(struct run *r, const char *line)
{
    struct curl_slist *more = curl_slist_append(r->headers, line);

    if (more)
        r->headers = more;
    return more != NULL;
}

/* A line break in a value would forge a header; other control characters have no business here. */
static bool is_clean(const char *s)
{
    for (; *s; s++)
        if (((unsigned char)*s < ' ' && *s != '\t') || *s == 0x7f)
            return false;
    return true;
}

static int set_headers(struct run *r)
{
    const struct oss_http_exchange *x = r->x;
    ou_auto(ou_buf_fini) struct ou_buf line = {0};

    for (size_t i = 0; i < x->header_count; i++) {
        if (!is_clean(x->headers[i].name) || !is_clean(x->headers[i].value))
            return ou_error_say(r->err, EINVAL, "header %.60s: a control character in it",
                                x->headers[i].name);
        ou_buf_clear(&line);
        ou_buf_addf(&line, "%s: %s", x->headers[i].name, x->headers[i].value);
        if (line.failed || !add_header(r, ou_buf_str(&line)))
            return ou_error_set(r->err, ENOMEM, "build a request");
    }
    if (!add_header(r, "Expect:") || !add_header(r, "Accept:"))
        return ou_error_set(r->err, ENOMEM, "build a request");
    return 0;
}

static long upload_buffer(uint64_t body_size)
{
    if (body_size >= (uint64_t)BUFFER_SIZE)
        return BUFFER_SIZE;
    return body_size > (uint64_t)BUFFER_MIN ? (long)body_size : BUFFER_MIN;
}

int oss_http_setup(struct run *r)
{
    const struct oss_http_exchange *x = r->x;
    CURL *easy = r->slot->easy;
    bool is_head = !strcmp(x->method, "HEAD");
    int result;

    assert(!x->body_size || (x->has_body && x->read));
    result = set_headers(r);
    if (result < 0)
        return result;
    SET(easy, CURLOPT_HTTPGET, 1L); /* forgets what the exchange before was */
    SET(easy, CURLOPT_CUSTOMREQUEST, NULL);
    if (is_head)
        SET(easy, CURLOPT_NOBODY, 1L);
    else if (x->has_body)
        SET(easy, CURLOPT_UPLOAD, 1L);
    if (!is_head)
        SET(easy, CURLOPT_CUSTOMREQUEST, x->method);
    SET(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)x->body_size);
    SET(easy, CURLOPT_UPLOAD_BUFFERSIZE, upload_buffer(x->body_size));
    SET(easy, CURLOPT_HTTPHEADER, r->headers);
    SET(easy, CURLOPT_PREREQDATA, r);
    SET(easy, CURLOPT_READDATA, r);
    SET(easy, CURLOPT_SEEKDATA, r);
    SET(easy, CURLOPT_HEADERDATA, r);
    SET(easy, CURLOPT_WRITEDATA, r);
    SET(easy, CURLOPT_ERRORBUFFER, r->text);
    if (curl_easy_setopt(easy, CURLOPT_URL, x->url) != CURLE_OK)
        return ou_error_set(r->err, ENOMEM, "build a request");
    return 0;
}

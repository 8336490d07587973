/*
 * HTTP as a hostile or tired server speaks it; and what our requests look like on the wire.
 *
 * A scripted server: each connection that it accepts, and each further request on it, gets the
 * next answer of the script, whatever was asked.
 */
#include "unit/unit.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "oss/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#define SCRIPT_MAX 8

struct answer {
    const char *text; /* NULL: none, the connection is closed */
    bool keep;        /* another request may follow on this connection */
    bool early;       /* does not read the body */
};

struct peer {
    int fd;
    char url[64];
    const struct answer *script;
    struct ou_buf seen[SCRIPT_MAX]; /* the requests, one each */
    unsigned requests, connections; /* valid once the thread has ended */
    unsigned length;                /* of the script */
    pthread_t thread;
};

static bool read_more(int fd, struct ou_buf *in)
{
    char block[65536];
    ssize_t got = read(fd, block, sizeof(block));

    if (got <= 0)
        return false;
    ou_buf_add(in, block, (size_t)got);
    return true;
}

/* One request, head and body; false: the client has gone. */
static bool read_request(int fd, bool early, struct ou_buf *in)
{
    const char *end, *length;
    size_t whole;

    while (!(end = strstr(ou_buf_str(in), "\r\n\r\n")))
        if (!read_more(fd, in))
            return false;
    length = strcasestr(in->data, "\r\nContent-Length: ");
    whole = (size_t)(end + 4 - in->data);
    if (length && length < end)
        whole += strtoul(length + 18, NULL, 10);
    while (!early && in->len < whole)
        if (!read_more(fd, in))
            return false;
    return true;
}

static void serve_connection(struct peer *p, int fd)
{
    while (p->requests < p->length) {
        const struct answer *a = &p->script[p->requests];

        if (!read_request(fd, a->early, &p->seen[p->requests]))
            return;
        p->requests++;
        if (a->text)
            (void)!send(fd, a->text, strlen(a->text), MSG_NOSIGNAL);
        if (!a->keep)
            return;
    }
}

static void *serve(void *arg)
{
    struct peer *p = arg;

    while (p->requests < p->length) {
        ou_autoclose int fd = accept(p->fd, NULL, NULL);

        if (fd < 0)
            return NULL; /* shut down by stop() */
        p->connections++;
        serve_connection(p, fd);
    }
    return NULL;
}

static void bind_peer(struct peer *p)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);

    *p = (struct peer){.fd = -1};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(p->fd >= 0);
    assert_int_equal(bind(p->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(p->fd, 16), 0);
    assert_int_equal(getsockname(p->fd, (struct sockaddr *)&address, &size), 0);
    (void)snprintf(p->url, sizeof(p->url), "http://127.0.0.1:%d/b/a/../k", ntohs(address.sin_port));
}

static void start(struct peer *p, const struct answer *script, unsigned length)
{
    bind_peer(p);
    p->script = script;
    p->length = length;
    assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
}

static void stop(struct peer *p)
{
    (void)shutdown(p->fd, SHUT_RDWR);
    (void)pthread_join(p->thread, NULL);
    (void)close(p->fd);
}

static void peer_fini(struct peer *p)
{
    for (unsigned i = 0; i < SCRIPT_MAX; i++)
        ou_buf_fini(&p->seen[i]);
}

static struct oss_http *http;
static struct ou_error err;

static int setup(void **state)
{
    const struct oss_http_options options = {.no_proxy = true};

    (void)state;
    return oss_http_new(&options, &http, &err);
}

static int teardown(void **state)
{
    (void)state;
    oss_http_free(http);
    return 0;
}

static ssize_t read_zeros(void *ctx, void *buf, size_t len, uint64_t offset, struct ou_error *e)
{
    (void)ctx, (void)offset, (void)e;
    memset(buf, 0, len);
    return (ssize_t)len;
}

static int take(void *ctx, const void *data, size_t len, struct ou_error *e)
{
    ou_buf_add(ctx, data, len);
    return ou_buf_check(ctx, e);
}

/* One exchange; the reply's body into @body, its status returned, or a negative errno. */
static int run(const struct peer *p, const char *method, uint64_t body_size, bool once,
               struct ou_buf *body)
{
    static const struct oss_param headers[] = {{"X-Test", "a, b"}};
    struct oss_http_exchange x = {
        .method = method,
        .url = p->url,
        .headers = headers,
        .header_count = 1,
        .has_body = !strcmp(method, "PUT") || !strcmp(method, "POST"),
        .body_size = body_size,
        .read = read_zeros,
        .once = once,
        .write = take,
        .reply_ctx = body,
        .idle_timeout_ms = 20000,
    };
    int r, status;

    err = (struct ou_error)OU_ERROR_INIT;
    r = oss_http_run(http, &x, &err);
    status = x.reply.status;
    oss_http_reply_fini(&x.reply);
    return r < 0 ? r : status;
}

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void a_request_holds_what_we_say_and_nothing_else(void **state)
{
    static const struct answer script[] = {{OK, true, false}, {OK, true, false}, {OK, true, false}};
    ou_auto(peer_fini) struct peer p;
    ou_auto(ou_buf_fini) struct ou_buf body = {0};
    char *host;

    (void)state;
    start(&p, script, 3);
    assert_int_equal(run(&p, "GET", 0, false, &body), 200);
    assert_int_equal(run(&p, "POST", 0, false, &body), 200);
    assert_int_equal(run(&p, "DELETE", 0, false, &body), 200);
    stop(&p);
    assert_string_equal(ou_buf_str(&body), "okokok");
    assert_int_equal(p.connections, 1); /* kept */
    /* No Expect, Accept, Accept-Encoding, Content-Type; the path as it is. */
    host = strstr(p.seen[0].data, "Host: ");
    assert_non_null(host);
    assert_memory_equal(p.seen[0].data, "GET /b/a/../k HTTP/1.1\r\n", 24);
    assert_string_equal(strstr(host, "\r\n"), "\r\nUser-Agent: ossfs-up\r\nX-Test: a, b\r\n\r\n");
    assert_memory_equal(p.seen[1].data, "POST /b/a/../k HTTP/1.1\r\n", 25);
    assert_non_null(strstr(p.seen[1].data, "\r\nContent-Length: 0\r\n"));
    assert_null(strstr(p.seen[1].data, "Expect"));
    assert_null(strstr(p.seen[1].data, "Content-Type"));
    assert_memory_equal(p.seen[2].data, "DELETE /b/a/../k HTTP/1.1\r\n", 27);
    assert_null(strstr(p.seen[2].data, "Content-Length"));
}

static void a_kept_connection_that_died_is_replaced_silently(void **state)
{
    static const struct answer script[] = {
        {OK, true, false}, {NULL, false, false}, {OK, true, false}};
    ou_auto(peer_fini) struct peer p;
    ou_auto(ou_buf_fini) struct ou_buf body = {0};

    (void)state;
    start(&p, script, 3);
    assert_int_equal(run(&p, "PUT", 100000, false, &body), 200);
    assert_int_equal(run(&p, "PUT", 100000, false, &body), 200);
    stop(&p);
    assert_int_equal(p.requests, 3);
    assert_int_equal(p.connections, 2);
}

static void what_must_not_happen_twice_is_not_sent_twice(void **state)
{
    static const struct answer script[] = {
        {OK, true, false}, {NULL, false, false}, {OK, true, false}};
    ou_auto(peer_fini) struct peer p;
    ou_auto(ou_buf_fini) struct ou_buf body = {0};

    (void)state;
    start(&p, script, 3);
    assert_int_equal(run(&p, "POST", 0, true, &body), 200);
    assert_int_equal(run(&p, "POST", 0, true, &body), -EIO);
    assert_string_equal(err.code, "ConnectionLost");
    stop(&p);
    assert_int_equal(p.requests, 2);
}

static void what_is_no_reply_is_an_error_of_its_kind(void **state)
{
    static const struct {
        const char *text, *code;
    } cases[] = {
        {"garbage\r\n\r\n", "BadReply"},
        {"\x16\x03\x01\x02", "BadReply"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "ConnectionLost"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "ConnectionLost"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "ConnectionLost"},
        {"HTTP/1.1 200 OK\r\nContent-Le", "ConnectionLost"},
        {"HTTP/1.1 100 Continue\r\n\r\n", "ConnectionLost"},
        {NULL, "ConnectionLost"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct answer script[] = {{cases[i].text, false, false}};
        ou_auto(peer_fini) struct peer p;
        ou_auto(ou_buf_fini) struct ou_buf body = {0};
        int r;

        start(&p, script, 1);
        r = run(&p, "GET", 0, false, &body);
        stop(&p);
        if (r >= 0 || strcmp(err.code, cases[i].code) != 0)
            fail_msg("case %zu: %d %s %s", i, r, err.code, err.message);
    }
}

static void endless_headers_are_cut_off(void **state)
{
    ou_auto(ou_buf_fini) struct ou_buf text = {0}, body = {0};
    ou_auto(peer_fini) struct peer p;
    struct answer script[1];

    (void)state;
    ou_buf_adds(&text, "HTTP/1.1 200 OK\r\n");
    while (text.len < OSS_HTTP_HEADERS_MAX + 4096)
        ou_buf_adds(&text, "X-Filler: 0123456789012345678901234567890123456789012345678901234\r\n");
    ou_buf_adds(&text, "Content-Length: 0\r\n\r\n");
    script[0] = (struct answer){.text = ou_buf_str(&text)};
    start(&p, script, 1);
    assert_int_equal(run(&p, "GET", 0, false, &body), -EIO);
    stop(&p);
    assert_string_equal(err.code, "BadReply");
}

static void the_last_block_of_headers_counts(void **state)
{
    static const struct answer script[] = {
        {"HTTP/1.1 100 Continue\r\nX-Old: 1\r\n\r\nHTTP/1.1 404 Not Found\r\nX-NEW:  v \r\n"
         "Content-Length: 0\r\n\r\n",
         true, false}};
    ou_auto(peer_fini) struct peer p;
    struct oss_http_exchange x = {.method = "GET", .url = p.url};

    (void)state;
    start(&p, script, 1);
    assert_int_equal(oss_http_run(http, &x, &err), 0);
    stop(&p);
    assert_int_equal(x.reply.status, 404);
    assert_null(oss_http_header(&x.reply, "x-old"));
    assert_string_equal(oss_http_header(&x.reply, "x-new"), "v");
    assert_true(x.was_sent);
    oss_http_reply_fini(&x.reply);
}

static void redirects_are_not_followed(void **state)
{
    static const struct answer script[] = {
        {"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", false, false},
        {OK, true, false}};
    ou_auto(peer_fini) struct peer p;
    ou_auto(ou_buf_fini) struct ou_buf body = {0};

    (void)state;
    start(&p, script, 2);
    assert_int_equal(run(&p, "GET", 0, false, &body), 302);
    stop(&p);
    assert_int_equal(p.requests, 1);
}

static void an_answer_to_a_body_that_nobody_read_is_that_answer(void **state)
{
    static const struct answer script[] = {
        {"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\nConnection: close\r\n\r\nrefuse", false,
         true}};

    (void)state;
    for (int i = 0; i < 30; i++) { /* the answer and the hang-up race with our sending */
        ou_auto(peer_fini) struct peer p;
        ou_auto(ou_buf_fini) struct ou_buf body = {0};
        struct oss_http_exchange x = {.method = "PUT",
                                      .url = p.url,
                                      .has_body = true,
                                      .body_size = 8 << 20,
                                      .read = read_zeros,
                                      .write = take,
                                      .reply_ctx = &body};

        start(&p, script, 1);
        (void)oss_http_run(http, &x, &err);
        stop(&p);
        assert_int_equal(x.reply.status, 403);
        assert_string_equal(ou_buf_str(&body), "refuse");
        oss_http_reply_fini(&x.reply);
    }
}

#define SLOW_SIZE (UINT64_C(2) << 20)

/* Takes the body slowly, through a small window: most of it waits in the sender's kernel. */
static void *serve_slowly(void *arg)
{
    const struct timespec pace = {.tv_nsec = 30000000};
    ou_autoclose int fd = accept(*(int *)arg, NULL, NULL);
    char block[20000];
    uint64_t got = 0;
    ssize_t n;

    while (got < SLOW_SIZE && (n = read(fd, block, sizeof(block))) > 0) {
        got += (uint64_t)n;
        (void)nanosleep(&pace, NULL);
    }
    (void)!send(fd, OK, strlen(OK), MSG_NOSIGNAL);
    while (read(fd, block, sizeof(block)) > 0)
        ;
    return NULL;
}

static void bytes_that_leave_the_kernel_are_no_silence(void **state)
{
    ou_auto(peer_fini) struct peer p;
    struct oss_http_exchange x = {.method = "PUT",
                                  .url = p.url,
                                  .has_body = true,
                                  .body_size = SLOW_SIZE,
                                  .read = read_zeros,
                                  .idle_timeout_ms = 1500}; /* all takes twice as long */
    int window = 65536;

    (void)state;
    bind_peer(&p);
    assert_int_equal(setsockopt(p.fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window)), 0);
    assert_int_equal(pthread_create(&p.thread, NULL, serve_slowly, &p.fd), 0);
    if (oss_http_run(http, &x, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(x.reply.status, 200);
    oss_http_reply_fini(&x.reply);
    oss_http_free(http); /* closes the connection that the peer still reads */
    http = NULL;
    stop(&p);
}

static void a_header_cannot_be_forged(void **state)
{
    static const struct oss_param forged[] = {{"X-Test", "a\r\nX-Other: b"}};
    struct oss_http_exchange x = {
        .method = "GET", .url = "http://127.0.0.1:1/", .headers = forged, .header_count = 1};

    (void)state;
    assert_int_equal(oss_http_run(http, &x, &err), -EINVAL);
    assert_false(x.was_sent);
    oss_http_reply_fini(&x.reply);
}

/* A pool of its own each: a connection that the test before kept would take part. */
#define fresh(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        fresh(a_request_holds_what_we_say_and_nothing_else),
        fresh(a_kept_connection_that_died_is_replaced_silently),
        fresh(what_must_not_happen_twice_is_not_sent_twice),
        fresh(what_is_no_reply_is_an_error_of_its_kind),
        fresh(endless_headers_are_cut_off),
        fresh(the_last_block_of_headers_counts),
        fresh(redirects_are_not_followed),
        fresh(an_answer_to_a_body_that_nobody_read_is_that_answer),
        fresh(bytes_that_leave_the_kernel_are_no_silence),
        fresh(a_header_cannot_be_forged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The small exchange: what it sends, what it bounds, what it does not do.
 */
#include "base/error.h"
#include "loopback.h"
#include "oss/http_simple.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct script {
    int status;
    size_t size; /* of the answer; 0: "hello" */
    unsigned requests;
    struct loopback_request last;
};

static int play(void *ctx, const struct loopback_request *request, char *answer, size_t size)
{
    struct script *s = ctx;

    s->requests++;
    s->last = *request;
    if (s->size > 0) {
        assert_true(s->size < size);
        memset(answer, 'x', s->size);
        answer[s->size] = '\0';
    } else {
        (void)snprintf(answer, size, "hello");
    }
    return s->status;
}

static int once(struct script *s, struct oss_http_simple *request, struct oss_http_answer *answer,
                struct ou_error *err)
{
    struct loopback *server = loopback_start(play, s);
    char url[128];
    int r;

    (void)snprintf(url, sizeof(url), "%s/a/b?c=d", loopback_url(server));
    request->url = url;
    r = oss_http_simple(request, answer, err);
    request->url = NULL;
    loopback_stop(server);
    return r;
}

static void get_sends_its_headers_and_gives_the_answer(void **state)
{
    static const char *const headers[] = {"X-Test: 1", NULL};
    struct oss_http_simple request = {.method = "GET", .headers = headers};
    struct oss_http_answer answer = {0};
    struct script s = {.status = 200};
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    assert_int_equal(once(&s, &request, &answer, &err), 0);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "hello");
    assert_int_equal(answer.len, 5);
    assert_string_equal(s.last.method, "GET");
    assert_string_equal(s.last.target, "/a/b?c=d");
    assert_true(loopback_has_header(&s.last, "X-Test: 1"));
    oss_http_answer_fini(&answer);
}

static void post_and_put_send_their_body(void **state)
{
    static const char *const methods[] = {"POST", "PUT"};

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct oss_http_simple request = {.method = methods[i % 2], .body = i < 2 ? "k=v" : NULL};
        struct oss_http_answer answer = {0};
        struct script s = {.status = 404};
        struct ou_error err = OU_ERROR_INIT;

        assert_int_equal(once(&s, &request, &answer, &err), 0);
        assert_int_equal(answer.status, 404);
        assert_string_equal(s.last.method, methods[i % 2]);
        assert_string_equal(s.last.body, i < 2 ? "k=v" : "");
        assert_true(
            loopback_has_header(&s.last, i < 2 ? "Content-Length: 3" : "Content-Length: 0"));
        oss_http_answer_fini(&answer);
    }
}

static void a_redirect_is_an_answer_and_not_followed(void **state)
{
    struct oss_http_simple request = {.method = "GET"};
    struct oss_http_answer answer = {0};
    struct script s = {.status = 302};
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    assert_int_equal(once(&s, &request, &answer, &err), 0);
    assert_int_equal(answer.status, 302);
    assert_int_equal(s.requests, 1);
    oss_http_answer_fini(&answer);
}

static void an_answer_of_64_kib_is_taken_and_a_byte_more_refused(void **state)
{
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        struct oss_http_simple request = {.method = "GET"};
        struct oss_http_answer answer = {0};
        struct script s = {.status = 200, .size = OSS_HTTP_SIMPLE_MAX + more};
        struct ou_error err = OU_ERROR_INIT;

        assert_int_equal(once(&s, &request, &answer, &err), more ? -EMSGSIZE : 0);
        assert_string_equal(err.code, more ? "BadReply" : "");
        if (!more)
            assert_int_equal(answer.len, OSS_HTTP_SIMPLE_MAX);
        oss_http_answer_fini(&answer);
    }
}

static void a_server_that_says_nothing_ends_at_the_deadline(void **state)
{
    struct oss_http_simple request = {.method = "GET", .timeout_ms = 50};
    struct oss_http_answer answer = {0};
    struct script s = {.status = -1};
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    assert_int_equal(once(&s, &request, &answer, &err), -ETIMEDOUT);
    assert_string_equal(err.code, "Timeout");
    assert_null(answer.body);
}

static void a_lost_connection_and_a_closed_port_are_told_apart(void **state)
{
    struct oss_http_simple request = {.method = "GET"};
    struct oss_http_answer answer = {0};
    struct script s = {.status = 0};
    struct loopback *server = loopback_start(play, &s);
    struct ou_error err = OU_ERROR_INIT;
    char url[128];

    (void)state;
    assert_int_equal(once(&s, &request, &answer, &err), -EIO);
    assert_string_equal(err.code, "ConnectionLost");

    (void)snprintf(url, sizeof(url), "%s/", loopback_url(server));
    loopback_stop(server);
    request.url = url;
    assert_int_equal(oss_http_simple(&request, &answer, &err), -ECONNREFUSED);
    assert_string_equal(err.code, "ConnectFailed");
}

static void direct_means_past_the_proxy_of_the_environment(void **state)
{
    (void)state;
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    for (int direct = 0; direct < 2; direct++) {
        struct oss_http_simple request = {.method = "GET", .direct = direct != 0};
        struct oss_http_answer answer = {0};
        struct script s = {.status = 200};
        struct ou_error err = OU_ERROR_INIT;

        assert_int_equal(once(&s, &request, &answer, &err), direct ? 0 : -ECONNREFUSED);
        oss_http_answer_fini(&answer);
    }
    assert_int_equal(unsetenv("http_proxy"), 0);
}

static void other_schemes_are_refused(void **state)
{
    struct oss_http_simple request = {.method = "GET", .url = "file:///etc/hostname"};
    struct oss_http_answer answer = {0};
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    assert_int_equal(oss_http_simple(&request, &answer, &err), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(get_sends_its_headers_and_gives_the_answer),
        cmocka_unit_test(post_and_put_send_their_body),
        cmocka_unit_test(a_redirect_is_an_answer_and_not_followed),
        cmocka_unit_test(an_answer_of_64_kib_is_taken_and_a_byte_more_refused),
        cmocka_unit_test(a_server_that_says_nothing_ends_at_the_deadline),
        cmocka_unit_test(a_lost_connection_and_a_closed_port_are_told_apart),
        cmocka_unit_test(direct_means_past_the_proxy_of_the_environment),
        cmocka_unit_test(other_schemes_are_refused),
    };

    return cmocka_run_group_tests_name("http_simple", tests, NULL, NULL);
}

#include "base/error.h"
#include "base/text.h"

#include "unit/unit.h"

static void setting_returns_the_negative_number_and_tells_why(void **state)
{
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    assert_int_equal(ou_error_set(&err, ENOENT, "open %s", "a/b"), -ENOENT);
    assert_int_equal(err.errnum, ENOENT);
    assert_string_equal(err.message, "open a/b: No such file or directory");
}

static void saying_adds_nothing(void **state)
{
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    assert_int_equal(ou_error_say(&err, EINVAL, "part_size=%s: it takes 100K to 5G", "10K"),
                     -EINVAL);
    assert_string_equal(err.message, "part_size=10K: it takes 100K to 5G");
}

static void a_local_failure_forgets_what_the_server_said(void **state)
{
    struct ou_error err = {
        .errnum = EIO, .http_status = 503, .code = "SlowDown", .request_id = "5C06"};

    (void)state;
    (void)ou_error_set(&err, ENOSPC, "write");
    assert_int_equal(err.http_status, 0);
    assert_string_equal(err.code, "");
    assert_string_equal(err.request_id, "");
}

static void a_prefix_changes_the_message_only(void **state)
{
    struct ou_error err = {.errnum = EIO,
                           .http_status = 503,
                           .code = "SlowDown",
                           .request_id = "5C06",
                           .message = "HTTP 503: SlowDown"};

    (void)state;
    assert_int_equal(ou_error_prefix(&err, "complete %s", "a/b"), -EIO);
    assert_int_equal(err.errnum, EIO);
    assert_int_equal(err.http_status, 503);
    assert_string_equal(err.code, "SlowDown");
    assert_string_equal(err.request_id, "5C06");
    assert_string_equal(err.message, "complete a/b: HTTP 503: SlowDown");
}

static void a_long_context_leaves_room_for_the_reason(void **state)
{
    static const char reason[] = ": No space left on device";
    struct ou_error err = OU_ERROR_INIT;
    char name[2000];
    size_t len;

    (void)state;
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    (void)ou_error_set(&err, ENOSPC, "write %s", name);
    len = strlen(err.message);
    assert_true(len < sizeof(err.message) && len > sizeof(err.message) - 8);
    assert_string_equal(err.message + len - strlen(reason), reason);
}

static void a_cut_message_is_still_text(void **state)
{
    static const char *const characters[] = {"a", "\xc3\xa9", "\xe6\x96\x87", "\xf0\x9f\x98\x80"};
    struct ou_error err = OU_ERROR_INIT;
    struct ou_buf text = {0};

    (void)state;
    for (size_t kind = 0; kind < 4; kind++) {
        for (int shift = 0; shift < 4; shift++) {
            ou_buf_clear(&text);
            ou_buf_addf(&text, "%.*s", shift, "abc");
            while (text.len < 3 * sizeof(err.message))
                ou_buf_adds(&text, characters[kind]);
            (void)ou_error_say(&err, EIO, "%s", text.data);
            assert_true(ou_utf8_valid(err.message, strlen(err.message)));
            (void)ou_error_set(&err, EIO, "%s", text.data);
            assert_true(ou_utf8_valid(err.message, strlen(err.message)));
            (void)ou_error_prefix(&err, "%.*s", shift, "xyz");
            assert_true(ou_utf8_valid(err.message, strlen(err.message)));
        }
    }
    ou_buf_fini(&text);
}

static void the_old_message_may_be_an_argument(void **state)
{
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    (void)ou_error_say(&err, EIO, "inner");
    (void)ou_error_say(&err, EIO, "outer: %s", err.message);
    assert_string_equal(err.message, "outer: inner");
    (void)ou_error_prefix(&err, "%s", err.message);
    assert_string_equal(err.message, "outer: inner: outer: inner");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setting_returns_the_negative_number_and_tells_why),
        cmocka_unit_test(saying_adds_nothing),
        cmocka_unit_test(a_local_failure_forgets_what_the_server_said),
        cmocka_unit_test(a_prefix_changes_the_message_only),
        cmocka_unit_test(a_long_context_leaves_room_for_the_reason),
        cmocka_unit_test(a_cut_message_is_still_text),
        cmocka_unit_test(the_old_message_may_be_an_argument),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

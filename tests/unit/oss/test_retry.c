/*
 * Delays: their bounds and their spread; Retry-After; waiting that can be cancelled.
 */
#include "unit/unit.h"

#include "base/clock.h"
#include "oss/client.h"
#include "oss/range.h"
#include "oss/retry.h"

#include <pthread.h>

static void a_delay_is_uniform_up_to_a_bound_that_doubles_to_the_cap(void **state)
{
    (void)state;
    for (int throttled = 0; throttled < 2; throttled++) {
        uint64_t bound = throttled ? OSS_RETRY_THROTTLE_MS : OSS_RETRY_BASE_MS;

        for (unsigned attempt = 0; attempt < 100; attempt++) {
            assert_int_equal(oss_retry_delay_ms(attempt, throttled, 0), 0);
            assert_int_equal(oss_retry_delay_ms(attempt, throttled, UINT32_MAX), bound);
            assert_in_range(oss_retry_delay_ms(attempt, throttled, UINT32_MAX / 2 + 1), bound / 2,
                            bound / 2 + 1);
            bound = bound * 2 < OSS_RETRY_CAP_MS ? bound * 2 : OSS_RETRY_CAP_MS;
        }
        assert_int_equal(bound, OSS_RETRY_CAP_MS);
    }
    assert_int_equal(oss_retry_delay_ms(UINT32_MAX, false, UINT32_MAX), OSS_RETRY_CAP_MS);
}

static void retry_after_is_seconds_or_a_date(void **state)
{
    (void)state;
    assert_int_equal(oss_retry_asked_ms("7", NULL, 0), 7000);
    assert_int_equal(oss_retry_asked_ms("0", NULL, 0), 0);
    assert_int_equal(oss_retry_asked_ms("18446744073709551615", NULL, 0), OSS_RETRY_ASKED_MS);
    assert_int_equal(oss_retry_asked_ms("Tue, 05 Mar 2024 08:09:10 GMT", NULL, 1709626140), 10000);
    assert_int_equal(oss_retry_asked_ms("Tue, 05 Mar 2024 08:09:10 GMT", NULL, 1709626150), 0);
    assert_int_equal(oss_retry_asked_ms("soon", NULL, 0), 0);
    assert_int_equal(oss_retry_asked_ms("-1", NULL, 0), 0);
    assert_int_equal(oss_retry_asked_ms(NULL, NULL, 0), 0);
}

static void the_longer_of_two_pauses_that_were_asked_for_counts(void **state)
{
    (void)state;
    assert_int_equal(oss_retry_asked_ms(NULL, "1234", 0), 1234);
    assert_int_equal(oss_retry_asked_ms("1", "1234", 0), 1234);
    assert_int_equal(oss_retry_asked_ms("2", "1234", 0), 2000);
    assert_int_equal(oss_retry_asked_ms("2", "much", 0), 2000);
    assert_int_equal(oss_retry_asked_ms("2", "18446744073709551615", 0), OSS_RETRY_ASKED_MS);
}

static void a_pause_that_was_asked_for_is_kept_and_spread_a_little(void **state)
{
    struct ou_error err = {.errnum = EIO, .http_status = 503, .wait_ms = 5000};

    (void)state;
    assert_int_equal(oss_error_delay_ms(&err, 9, 0), 5000);
    assert_int_equal(oss_error_delay_ms(&err, 0, UINT32_MAX), 5000 + OSS_RETRY_BASE_MS);
    err.wait_ms = 0;
    assert_int_equal(oss_error_delay_ms(&err, 0, UINT32_MAX), OSS_RETRY_THROTTLE_MS);
    err.http_status = 500;
    assert_int_equal(oss_error_delay_ms(&err, 0, UINT32_MAX), OSS_RETRY_BASE_MS);
    (void)ou_error_set(&err, EIO, "another");
    assert_int_equal(err.wait_ms, 0);
}

static void *trigger(void *cancel)
{
    ou_cancel_trigger(cancel);
    return NULL;
}

static void waiting_ends_by_time_and_by_cancel(void **state)
{
    struct ou_cancel *cancel = ou_cancel_new();
    uint64_t until = ou_now_ms() + 20;
    pthread_t thread;

    (void)state;
    assert_true(oss_wait_until(until, cancel));
    assert_true(ou_now_ms() >= until);
    assert_true(oss_wait_until(0, NULL));
    assert_int_equal(pthread_create(&thread, NULL, trigger, cancel), 0);
    assert_false(oss_wait_until(ou_now_ms() + 3600000, cancel));
    (void)pthread_join(thread, NULL);
    assert_false(oss_wait_until(ou_now_ms() + 3600000, cancel)); /* it still is */
    ou_cancel_unref(cancel);
}

static int check(int status, const char *range, const char *length, uint64_t offset, uint64_t size,
                 struct ou_error *err)
{
    *err = (struct ou_error){.errnum = 0};
    return oss_range_check(status, range, length, offset, size, err);
}

static void only_the_very_range_that_was_asked_for_is_taken(void **state)
{
    struct ou_error err;

    (void)state;
    assert_int_equal(check(206, "bytes 0-499/1000", "500", 0, 500, &err), 0);
    assert_int_equal(check(206, "bytes 999-999/1000", "1", 999, 1, &err), 0);
    assert_int_equal(check(206, "bytes 0-499/1000", NULL, 0, 500, &err), 0);
    assert_int_equal(check(200, NULL, "1000", 0, 1000, &err), 0); /* it happens to be the whole */

    assert_int_equal(check(206, "bytes 500-999/1000", "500", 500, 600, &err), -ESTALE);
    assert_int_equal(check(200, NULL, "1000", 0, 500, &err), -EIO);
    assert_string_equal(err.code, "BadReply");
    assert_int_equal(check(200, NULL, NULL, 0, 500, &err), -EIO);
    assert_int_equal(check(200, NULL, "500", 500, 500, &err), -EIO);
    assert_int_equal(check(206, NULL, "500", 0, 500, &err), -EIO);
    assert_int_equal(check(206, "bytes 1-500/1000", "500", 0, 500, &err), -EIO);
    assert_int_equal(check(206, "bytes 0-500/1000", "501", 0, 500, &err), -EIO);
    assert_int_equal(check(206, "bytes 0-499/1000", "501", 0, 500, &err), -EIO);
    assert_int_equal(check(206, "bytes 0-499/*", "500", 0, 500, &err), -EIO);
    assert_int_equal(check(206, "bytes 0-499/400", "500", 0, 500, &err), -EIO);
    assert_int_equal(check(206, "bytes 499-0/1000", "500", 0, 500, &err), -EIO);
    assert_int_equal(check(206, "bytes 0-499/1000x", "500", 0, 500, &err), -EIO);
    assert_int_equal(check(206, "0-499/1000", "500", 0, 500, &err), -EIO);
    assert_int_equal(check(206, "bytes 0-499/99999999999999999999999", "500", 0, 500, &err), -EIO);
    assert_int_equal(check(204, NULL, NULL, 0, 500, &err), -EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_delay_is_uniform_up_to_a_bound_that_doubles_to_the_cap),
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
        cmocka_unit_test(the_longer_of_two_pauses_that_were_asked_for_counts),
        cmocka_unit_test(a_pause_that_was_asked_for_is_kept_and_spread_a_little),
        cmocka_unit_test(waiting_ends_by_time_and_by_cancel),
        cmocka_unit_test(only_the_very_range_that_was_asked_for_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

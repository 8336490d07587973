#include "base/clock.h"

#include "unit/unit.h"

#include <locale.h>

#define YEAR_9999_ENDS INT64_C(253402300799)

static void the_vectors_are_formatted_and_read(void **state)
{
    struct ou_json *root = unit_vectors();
    const struct ou_json *cases = ou_json_get(root, "time");

    (void)state;
    assert_true(ou_json_length(cases) > 3);
    for (size_t i = 0; i < ou_json_length(cases); i++) {
        const struct ou_json *c = ou_json_at(cases, i);
        char http[OU_HTTP_DATE_SIZE], iso[OU_ISO_BASIC_SIZE];
        struct timespec ts;
        int64_t epoch;
        time_t t;

        assert_true(ou_json_i64(c, "epoch", &epoch));
        ou_format_http_date(epoch, http);
        assert_string_equal(http, ou_json_string(c, "http_date"));
        ou_format_iso_basic(epoch, iso);
        assert_string_equal(iso, ou_json_string(c, "iso_basic"));
        assert_true(ou_parse_http_date(ou_json_string(c, "http_date"), &t));
        assert_int_equal(t, epoch);
        assert_true(ou_parse_iso8601(ou_json_string(c, "iso_xml"), &ts));
        assert_int_equal(ts.tv_sec, epoch);
        assert_int_equal(ts.tv_nsec, 0);
    }
    ou_json_free(root);
}

static void every_formatted_date_is_read_back(void **state)
{
    struct unit_random r = {6};

    (void)state;
    for (int i = 0; i < 20000; i++) {
        time_t t = (time_t)unit_random_below(&r, YEAR_9999_ENDS + 1), back;
        char http[OU_HTTP_DATE_SIZE], iso[OU_ISO_BASIC_SIZE], xml[32];
        struct timespec ts;

        ou_format_http_date(t, http);
        assert_int_equal(strlen(http), 29);
        assert_true(ou_parse_http_date(http, &back));
        assert_int_equal(back, t);

        ou_format_iso_basic(t, iso);
        assert_int_equal(strlen(iso), 16);
        (void)snprintf(xml, sizeof(xml), "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", iso, iso + 4, iso + 6,
                       iso + 9, iso + 11, iso + 13);
        assert_true(ou_parse_iso8601(xml, &ts));
        assert_int_equal(ts.tv_sec, t);
    }
}

static void times_beyond_four_digit_years_become_the_nearest_end(void **state)
{
    char http[OU_HTTP_DATE_SIZE];

    (void)state;
    ou_format_http_date(INT64_MAX, http);
    assert_string_equal(http, "Fri, 31 Dec 9999 23:59:59 GMT");
    ou_format_http_date(INT64_MIN, http);
    assert_string_equal(http, "Sat, 01 Jan 0000 00:00:00 GMT");
}

static void no_date_is_made_up(void **state)
{
    static const char *const bad[] = {
        "",
        "Tue",
        "Tue, 05 Mar 2024 08:09:10",
        "Tue, 05 Mar 2024 08:09:10 UTC",
        "Tue, 05 Mar 2024 08:09:10 GMT ",
        " Tue, 05 Mar 2024 08:09:10 GMT",
        "tue, 05 Mar 2024 08:09:10 GMT",
        "Xyz, 05 Mar 2024 08:09:10 GMT",
        "Tue, 5 Mar 2024 08:09:10 GMT",
        "Tue, 05 Foo 2024 08:09:10 GMT",
        "Fri, 30 Feb 2024 08:09:10 GMT",
        "Wed, 29 Feb 2023 08:09:10 GMT",
        "Thu, 00 Mar 2024 08:09:10 GMT",
        "Tue, 05 Mar 2024 24:00:00 GMT",
        "Tue, 05 Mar 2024 08:60:10 GMT",
        "Tue, 05 Mar 2024 08:09:61 GMT",
        "Tue, 05 Mar 2024 08:09:-1 GMT",
    };
    time_t t = 42;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (ou_parse_http_date(bad[i], &t))
            fail_msg("taken for a date: \"%s\"", bad[i]);
    assert_int_equal(t, 42);
}

static void no_prefix_of_a_date_is_one(void **state)
{
    static const char http[] = "Tue, 05 Mar 2024 08:09:10 GMT";
    static const char iso[] = "2024-03-05T08:09:10.123Z";
    struct timespec ts;
    time_t t;

    (void)state;
    for (size_t len = 0; len < strlen(http); len++) {
        char *s = strndup(http, len); /* exact, so that ASan sees a read beyond it */

        assert_false(ou_parse_http_date(s, &t));
        free(s);
    }
    for (size_t len = 0; len < strlen(iso); len++) {
        char *s = strndup(iso, len);

        assert_false(ou_parse_iso8601(s, &ts));
        free(s);
    }
}

static void fractions_are_nanoseconds(void **state)
{
    static const struct {
        const char *text;
        long nsec;
    } cases[] = {
        {"2012-02-24T08:43:07Z", 0},
        {"2012-02-24T08:43:07.000Z", 0},
        {"2012-02-24T08:43:07.5Z", 500000000},
        {"2012-02-24T08:43:07.123Z", 123000000},
        {"2012-02-24T08:43:07.123456789Z", 123456789},
        {"2012-02-24T08:43:07.123456789999Z", 123456789},
    };
    struct timespec ts;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(ou_parse_iso8601(cases[i].text, &ts));
        assert_int_equal(ts.tv_sec, 1330072987);
        assert_int_equal(ts.tv_nsec, cases[i].nsec);
    }
    assert_false(ou_parse_iso8601("2012-02-24 08:43:07Z", &ts));
    assert_false(ou_parse_iso8601("2012-02-24T08:43:07+08:00", &ts));
    assert_false(ou_parse_iso8601("2012-02-30T08:43:07Z", &ts));
    assert_false(ou_parse_iso8601("2012-13-01T08:43:07Z", &ts));
}

static void dates_know_no_locale_and_no_time_zone(void **state)
{
    char http[OU_HTTP_DATE_SIZE];
    time_t t;

    (void)state;
    (void)setenv("TZ", "Asia/Shanghai", 1);
    tzset();
    (void)setlocale(LC_ALL, "de_DE.UTF-8"); /* where it is installed */
    ou_format_http_date(1709626150, http);
    assert_string_equal(http, "Tue, 05 Mar 2024 08:09:10 GMT");
    assert_true(ou_parse_http_date(http, &t));
    assert_int_equal(t, 1709626150);
    (void)setlocale(LC_ALL, "C");
    (void)unsetenv("TZ");
    tzset();
}

static void monotonic_time_does_not_go_back(void **state)
{
    uint64_t last = ou_now_ms();

    (void)state;
    assert_true(last > 0);
    for (int i = 0; i < 1000; i++) {
        uint64_t now = ou_now_ms();

        assert_true(now >= last);
        last = now;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_are_formatted_and_read),
        cmocka_unit_test(every_formatted_date_is_read_back),
        cmocka_unit_test(times_beyond_four_digit_years_become_the_nearest_end),
        cmocka_unit_test(no_date_is_made_up),
        cmocka_unit_test(no_prefix_of_a_date_is_one),
        cmocka_unit_test(fractions_are_nanoseconds),
        cmocka_unit_test(dates_know_no_locale_and_no_time_zone),
        cmocka_unit_test(monotonic_time_does_not_go_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

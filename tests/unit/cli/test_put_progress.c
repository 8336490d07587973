/*
 * The bar: it fits the terminal, tells the truth, and its rate follows what happens.
 */
#include "unit/unit.h"

#include "cli/put_progress.h"

#define MIB (UINT64_C(1) << 20)

static const char *line(const struct cli_progress_now *now, double rate, size_t width)
{
    static char text[512];

    memset(text, 'x', sizeof(text));
    cli_progress_line(now, rate, width, text, sizeof(text));
    return text;
}

static void a_line_says_how_far_how_fast_how_long(void **state)
{
    const struct cli_progress_now now = {
        .confirmed = 250 * MIB, .total = 1000 * MIB, .files_done = 2, .file_count = 17};
    const struct cli_progress_now one = {
        .confirmed = 250 * MIB, .total = 1000 * MIB, .file_count = 1};

    (void)state;
    assert_string_equal(line(&now, 10.0 * (double)MIB, 90),
                        "[=====>              ]  25%  250.0 MiB of 1000.0 MiB  10.0 MiB/s  "
                        "1:15 left  2 of 17 files");
    assert_string_equal(line(&one, 10.0 * (double)MIB, 60),
                        " 25%  250.0 MiB of 1000.0 MiB  10.0 MiB/s  1:15 left");
}

static void it_never_is_wider_than_the_terminal(void **state)
{
    static const double rates[] = {0, 0.5, 1, 1e3, 1e9, 1e18};
    const struct cli_progress_now nows[] = {
        {0},
        {.confirmed = 1, .total = 1, .file_count = 1},
        {.confirmed = 2, .total = 1}, /* a file grew after it was measured */
        {.confirmed = UINT64_MAX / 2, .total = UINT64_MAX, .file_count = UINT64_MAX},
    };

    (void)state;
    for (size_t n = 0; n < sizeof(nows) / sizeof(nows[0]); n++) {
        for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++) {
            for (size_t width = 1; width <= 200; width++)
                assert_true(strlen(line(&nows[n], rates[r], width)) <= width);
            assert_null(strstr(line(&nows[n], rates[r], 200), "101%"));
        }
    }
}

static void the_bar_is_full_at_the_end_only(void **state)
{
    struct cli_progress_now now = {.total = 1000};

    (void)state;
    for (now.confirmed = 0; now.confirmed < 1000; now.confirmed++)
        assert_non_null(strchr(line(&now, 0, 80), '>'));
    assert_null(strchr(line(&now, 0, 80), '>'));
    assert_non_null(strstr(line(&now, 0, 80), "100%"));
}

static void time_left_is_short_to_read(void **state)
{
    struct cli_progress_now now = {.total = 59};

    (void)state;
    assert_non_null(strstr(line(&now, 1, 80), "  0:59 left"));
    now.total = 3599;
    assert_non_null(strstr(line(&now, 1, 80), "  59:59 left"));
    now.total = 3600;
    assert_non_null(strstr(line(&now, 1, 80), "  1:00:00 left"));
    now.total = UINT64_C(5) * 86400;
    assert_non_null(strstr(line(&now, 1, 80), "  5 days left"));
    assert_null(strstr(line(&now, 0, 80), "left")); /* nobody knows */
}

/* @seconds of drawing five times a second at @rate bytes per second. */
static void pass(struct cli_progress *p, struct cli_progress_now *now, uint64_t *ms,
                 unsigned seconds, uint64_t rate)
{
    for (unsigned i = 0; i < 5 * seconds; i++) {
        *ms += 200;
        now->moved += rate / 5;
        cli_progress_note(p, now, *ms);
    }
}

static void the_rate_follows_within_seconds(void **state)
{
    struct cli_progress_now now = {0};
    struct cli_progress p = {0};
    uint64_t ms = 1000;

    (void)state;
    cli_progress_note(&p, &now, ms);
    assert_true(p.rate == 0);
    pass(&p, &now, &ms, 1, 1000);
    assert_in_range((uint64_t)p.rate, 990, 1010); /* right from the start */
    pass(&p, &now, &ms, 30, 5000);
    assert_in_range((uint64_t)p.rate, 4950, 5010);
    pass(&p, &now, &ms, 30, 0);
    assert_in_range((uint64_t)p.rate, 0, 50);
    cli_progress_note(&p, &now, ms); /* no time has passed */
    assert_in_range((uint64_t)p.rate, 0, 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_says_how_far_how_fast_how_long),
        cmocka_unit_test(it_never_is_wider_than_the_terminal),
        cmocka_unit_test(the_bar_is_full_at_the_end_only),
        cmocka_unit_test(time_left_is_short_to_read),
        cmocka_unit_test(the_rate_follows_within_seconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

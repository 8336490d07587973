/* Which HEADs go out in advance, for programs that ask in any order. */
#include "fs/prefetch.h"

#include "unit/unit.h"

#define NAMES 300u
#define DIR   "d/"

static struct fs_segment *names(unsigned from, unsigned count, bool more, const char *after)
{
    struct oss_list_entry entries[NAMES];
    char keys[NAMES][16];
    struct oss_list_page page = {.entries = entries, .count = count, .truncated = more};
    struct ou_error err;

    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(keys[i], sizeof(keys[i]), DIR "%05u", from + i);
        entries[i] = (struct oss_list_entry){.key = keys[i], .key_len = strlen(keys[i])};
    }
    return fs_segment_new(&page, DIR, after, NULL, 1, 2, &err);
}

/* Asks, sends what is to be sent, and tells how many that are. */
static size_t ask(struct fs_order *o, const struct fs_segment *s, size_t index, uint64_t now_ms,
                  unsigned char *sent)
{
    size_t from, end, count = 0;

    fs_order_ask(o, s, index, true, now_ms, &from, &end);
    assert_true(end <= s->count);
    for (size_t i = from; i < end; i++, count++)
        if (sent)
            sent[i]++;
    if (count)
        fs_order_sent(o, s, end);
    return count;
}

static void in_order_they_are_sent_far_ahead_and_once(void **state)
{
    struct fs_segment *s = names(0, NAMES, false, NULL);
    unsigned char sent[NAMES] = {0};
    struct fs_order o = {.asks = 0};
    size_t most = 0;

    (void)state;
    for (size_t i = 0; i < NAMES; i++) {
        size_t count = ask(&o, s, i, 1000, sent);

        most = count > most ? count : most;
        assert_true(i < 2 || count == 0 || sent[i] <= 1);
    }
    for (size_t i = 5; i < NAMES; i++)
        assert_int_equal(sent[i], 1);
    assert_true(most >= 16);
    fs_order_fini(&o);
    fs_segment_unref(s);
}

/* The kernel does not ask for what it has got already: that is no other order. */
static void skipping_what_was_sent_goes_on(void **state)
{
    struct fs_segment *s = names(0, NAMES, false, NULL);
    struct fs_order o = {.asks = 0};

    (void)state;
    for (size_t i = 0; i < 6; i++)
        (void)ask(&o, s, i, 1000, NULL);
    assert_true(ask(&o, s, 5 + FS_PREFETCH_WINDOW_MAX + 1, 1000, NULL) >= 16);
    fs_order_fini(&o);
    fs_segment_unref(s);
}

static void a_listing_that_is_fetched_again_changes_nothing(void **state)
{
    struct fs_order o = {.asks = 0};
    size_t most = 0;

    (void)state;
    for (size_t i = 0; i < 20; i++) {
        struct fs_segment *s = names(0, NAMES, false, NULL);
        size_t count = ask(&o, s, i, 1000, NULL);

        most = count > most ? count : most;
        fs_segment_unref(s);
    }
    assert_true(most >= 16);
    fs_order_fini(&o);
}

static void the_order_goes_on_behind_the_turn_of_a_page(void **state)
{
    struct fs_segment *first = names(0, 100, true, NULL), *second = names(100, 100, false, "00099");
    struct fs_order o = {.asks = 0};

    (void)state;
    for (size_t i = 0; i < 100; i++)
        (void)ask(&o, first, i, 1000, NULL);
    assert_true(ask(&o, second, 0, 1000, NULL) >= 16);
    fs_order_fini(&o);
    fs_segment_unref(first);
    fs_segment_unref(second);
}

/* Without having read the names: somebody wants just these. */
static void in_any_order_nothing_is_sent(void **state)
{
    struct fs_segment *s = names(0, NAMES, false, NULL);
    struct fs_order o = {.asks = 0};

    (void)state;
    for (size_t i = 0; i < NAMES; i++)
        assert_int_equal(ask(&o, s, (i * 131 + 7) % NAMES, 1000, NULL), 0);
    fs_order_fini(&o);
    fs_segment_unref(s);
}

static void in_any_order_names_that_were_read_are_all_sent_soon(void **state)
{
    struct fs_segment *s = names(0, NAMES, false, NULL);

    (void)state;
    for (unsigned step = 1; step < NAMES; step++) { /* also backwards: NAMES - 1 */
        unsigned char sent[NAMES] = {0}, asked[NAMES] = {0};
        struct fs_order o = {.asks = 0};
        size_t most = 0, alone = 0;

        fs_order_read(&o, 1000);
        for (size_t i = 0; i < NAMES; i++) {
            size_t index = i * step % NAMES, count;

            alone += !asked[index] && !sent[index];
            asked[index] = 1;
            count = ask(&o, s, index, 1000 + i, sent);
            most = count > most ? count : most;
        }
        assert_true(most >= 16);
        assert_true(alone <= 40); /* of 300: the others were in the air before they were wanted */
        fs_order_fini(&o);
    }
    fs_segment_unref(s);
}

static void a_few_names_out_of_many_cost_few_requests(void **state)
{
    struct fs_segment *s = names(0, NAMES, false, NULL);
    struct fs_order o = {.asks = 0};
    size_t count = 0;

    (void)state;
    fs_order_read(&o, 1000);
    for (size_t i = 0; i < 5; i++)
        count += ask(&o, s, (i * 131 + 7) % NAMES, 1000, NULL);
    assert_true(count <= 15);
    fs_order_fini(&o);
    fs_segment_unref(s);
}

static void windows_grow(void **state)
{
    (void)state;
    assert_int_equal(fs_prefetch_window(0), 0);
    assert_int_equal(fs_prefetch_window(1), 0);
    assert_int_equal(fs_prefetch_window(2), 1);
    assert_int_equal(fs_prefetch_window(3), 4);
    assert_int_equal(fs_prefetch_window(4), 16);
    for (unsigned streak = 5; streak < 100; streak++)
        assert_int_equal(fs_prefetch_window(streak), FS_PREFETCH_WINDOW_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order_they_are_sent_far_ahead_and_once),
        cmocka_unit_test(skipping_what_was_sent_goes_on),
        cmocka_unit_test(a_listing_that_is_fetched_again_changes_nothing),
        cmocka_unit_test(the_order_goes_on_behind_the_turn_of_a_page),
        cmocka_unit_test(in_any_order_nothing_is_sent),
        cmocka_unit_test(in_any_order_names_that_were_read_are_all_sent_soon),
        cmocka_unit_test(a_few_names_out_of_many_cost_few_requests),
        cmocka_unit_test(windows_grow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

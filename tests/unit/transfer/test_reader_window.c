/* The window policy against a simulated block store: what would be fetched, and how often. */
#include "unit/unit.h"

#include "transfer/reader_window.h"

#include <stdbool.h>

#define MIB    (UINT64_C(1) << 20)
#define KIB    (UINT64_C(1) << 10)
#define BLOCKS 4096 /* more than any of the tests makes */

/* What reader.c makes of advice, without memory, threads and time. */
struct model {
    struct xfer_window window;
    uint64_t size;
    uint64_t window_max;
    unsigned gets;
    uint64_t fetched; /* bytes */
    uint64_t most_ahead;
    struct {
        uint64_t start, end;
    } blocks[BLOCKS];
    unsigned count;
};

static void model_init(struct model *m, uint64_t size)
{
    memset(m, 0, sizeof(*m));
    m->size = size;
    m->window_max = XFER_WINDOW_MAX;
    xfer_window_init(&m->window, size, XFER_BLOCK_MIN);
}

/* The end of the block that has @pos, or @pos; *@limit: where the next block begins. */
static uint64_t covered_to(const struct model *m, uint64_t pos, uint64_t *limit)
{
    uint64_t end = pos;

    *limit = m->size;
    for (unsigned i = 0; i < m->count; i++) {
        if (m->blocks[i].start <= pos && pos < m->blocks[i].end)
            end = m->blocks[i].end;
        if (m->blocks[i].start > pos && m->blocks[i].start < *limit)
            *limit = m->blocks[i].start;
    }
    return end;
}

static struct xfer_advice model_read(struct model *m, uint64_t offset, uint64_t len, bool waits)
{
    struct xfer_advice a;
    uint64_t limit;

    xfer_window_note(&m->window, offset, len, m->window_max, &a);
    assert_true(a.from <= a.to && a.to <= m->size);
    for (uint64_t pos = a.from; pos < a.to;) {
        uint64_t end = covered_to(m, pos, &limit);

        if (end > pos) {
            pos = end;
            continue;
        }
        assert_true(m->count < BLOCKS && a.block > 0);
        end = limit - pos <= a.block + a.block / 4 ? limit : pos + a.block;
        m->blocks[m->count].start = pos;
        m->blocks[m->count++].end = end;
        m->gets++;
        m->fetched += end - pos;
        if (end > offset + len && m->most_ahead < end - (offset + len))
            m->most_ahead = end - (offset + len);
        pos = end;
    }
    for (uint64_t pos = offset; pos < offset + len;) {
        uint64_t end = covered_to(m, pos, &limit);

        if (end == pos) {
            end = limit < offset + len ? limit : offset + len;
            m->gets++;
            m->fetched += end - pos;
        }
        pos = end;
    }
    if (waits)
        xfer_window_waited(&m->window, a.stream);
    return a;
}

static void sequential_read_costs_a_get_per_4_mib_and_4_more(void **state)
{
    struct unit_random random = {42};

    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        uint64_t size = 1 + unit_random_below(&random, 300 * MIB);
        uint64_t begin = round % 2 ? unit_random_below(&random, size) : 0;
        uint64_t step = 4 * KIB << unit_random_below(&random, 9);
        bool fast = unit_random_below(&random, 2);
        struct model m;

        model_init(&m, size);
        m.window_max = (4 + unit_random_below(&random, 60)) * MIB;
        for (uint64_t pos = begin; pos < size; pos += step)
            (void)model_read(&m, pos, size - pos < step ? size - pos : step, fast);
        assert_true(m.gets <= (size - begin) / (4 * MIB) + 4);
        /* Nothing twice; a read near the start begins at it. */
        assert_int_equal(m.fetched, begin < XFER_NEAR_MIN ? size : size - begin);
        assert_true(m.most_ahead <= m.window_max + XFER_BLOCK_MAX + XFER_BLOCK_MAX / 4);
    }
}

/* Requests of the kernel's read-ahead, each up to @swap places from where it belongs. */
static void sequential_reads_may_come_out_of_order(void **state)
{
    struct unit_random random = {43};

    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        uint64_t step = round % 2 ? 128 * KIB : MIB, size = 200 * MIB;
        uint64_t order[1600];
        unsigned count = (unsigned)(size / step), swap = round % 2 ? 8 : 4;
        struct model m;

        for (unsigned i = 0; i < count; i++)
            order[i] = i;
        for (unsigned i = 0; i + swap < count; i += swap)
            for (unsigned j = swap - 1; j > 0; j--) {
                unsigned k = (unsigned)unit_random_below(&random, j + 1);
                uint64_t t = order[i + j];

                order[i + j] = order[i + k];
                order[i + k] = t;
            }
        model_init(&m, size);
        for (unsigned i = 0; i < count; i++)
            (void)model_read(&m, order[i] * step, step, true);
        assert_true(m.gets <= size / (4 * MIB) + 4);
        assert_int_equal(m.fetched, size);
    }
}

static void random_reads_get_what_they_ask_for(void **state)
{
    struct unit_random random = {44};
    uint64_t size = UINT64_C(10) << 30, asked = 0;
    struct model m;

    (void)state;
    model_init(&m, size);
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t offset = 4 * MIB + unit_random_below(&random, size - 8 * MIB);
        uint64_t len = 1 + unit_random_below(&random, 128 * KIB);

        assert_int_equal(model_read(&m, offset, len, true).stream, 0);
        asked += len;
    }
    assert_int_equal(m.fetched, asked);
    assert_int_equal(m.gets, 20000);
}

static void backward_reads_are_not_read_ahead(void **state)
{
    struct model m;
    uint64_t size = 100 * MIB;

    (void)state;
    model_init(&m, size);
    for (uint64_t pos = size; pos > 2 * MIB; pos -= 64 * KIB)
        assert_int_equal(model_read(&m, pos - 64 * KIB, 64 * KIB, true).stream, 0);
    assert_int_equal(m.fetched, size - 2 * MIB);
}

static void interleaved_streams_are_each_sequential(void **state)
{
    struct model m;
    uint64_t size = 400 * MIB, length = 90 * MIB, step = 128 * KIB;

    (void)state;
    for (unsigned streams = 2; streams <= XFER_STREAMS; streams++) {
        model_init(&m, size);
        for (uint64_t pos = 0; pos < length; pos += step)
            for (unsigned s = 0; s < streams; s++)
                (void)model_read(&m, s * (100 * MIB) + pos, step, true);
        assert_true(m.gets <= streams * (length / (4 * MIB) + 4));
        assert_true(m.fetched <= streams * (length + XFER_WINDOW_MAX + 2 * XFER_BLOCK_MAX));
    }
}

static void random_reads_do_not_end_a_stream(void **state)
{
    struct unit_random random = {45};
    struct model m;
    uint64_t size = UINT64_C(4) << 30, length = 64 * MIB, step = 128 * KIB;
    unsigned at_random = 0;

    (void)state;
    model_init(&m, size);
    for (uint64_t pos = 0; pos < length; pos += step) {
        (void)model_read(&m, pos, step, true);
        for (unsigned i = 0; i < 6; i++, at_random++)
            (void)model_read(&m, size / 4 + unit_random_below(&random, size / 2), 4 * KIB, true);
    }
    assert_true(m.gets - at_random <= (length + XFER_WINDOW_MAX) / (4 * MIB) + 4);
}

static void first_read_at_the_start_fetches_one_block_and_nothing_ahead(void **state)
{
    struct model m;

    (void)state;
    model_init(&m, 100 * MIB);
    (void)model_read(&m, 0, 128 * KIB, true);
    assert_int_equal(m.gets, 1);
    assert_int_equal(m.fetched, 4 * MIB);
    (void)model_read(&m, 128 * KIB, 128 * KIB, true); /* head -c 200000 */
    assert_int_equal(m.fetched, 4 * MIB);
}

static void small_object_is_one_get(void **state)
{
    static const uint64_t sizes[] = {1,       4095,        128 * KIB,   MIB - 1, MIB,
                                     MIB + 1, 2 * MIB + 7, 4 * MIB - 1, 4 * MIB};
    struct model m;

    (void)state;
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        model_init(&m, sizes[i]);
        for (uint64_t pos = 0; pos < sizes[i]; pos += 4 * KIB)
            (void)model_read(&m, pos, sizes[i] - pos < 4 * KIB ? sizes[i] - pos : 4 * KIB, true);
        assert_int_equal(m.gets, 1);
        assert_int_equal(m.fetched, sizes[i]);
    }
}

/* file(1) and then a database's reads: the guess is made once. */
static void start_that_led_nowhere_is_given_up(void **state)
{
    struct model m;
    struct xfer_advice first, second;

    (void)state;
    model_init(&m, UINT64_C(1) << 30);
    first = model_read(&m, 0, 4 * KIB, true);
    assert_int_not_equal(first.stream, 0);
    second = model_read(&m, 500 * MIB, 4 * KIB, true);
    assert_int_equal(second.stream, 0);
    assert_int_equal(second.drop, first.stream);
    assert_int_equal(model_read(&m, 700 * MIB, 4 * KIB, true).drop, 0);
}

static void slow_reader_keeps_a_small_window(void **state)
{
    struct model m;

    (void)state;
    model_init(&m, 1000 * MIB);
    for (uint64_t pos = 0; pos < 500 * MIB; pos += 128 * KIB)
        (void)model_read(&m, pos, 128 * KIB, false);
    assert_true(m.most_ahead <= XFER_WINDOW_MIN + XFER_BLOCK_MIN);
}

static void fast_reader_gets_a_wide_window(void **state)
{
    struct model m;

    (void)state;
    model_init(&m, 1000 * MIB);
    for (uint64_t pos = 0; pos < 500 * MIB; pos += 128 * KIB)
        (void)model_read(&m, pos, 128 * KIB, true);
    assert_true(m.most_ahead >= XFER_WINDOW_MAX);
}

/* Whatever is read: advice stays in bounds (model_read asserts), and blocks never overlap. */
static void no_pattern_fetches_a_byte_twice_or_beyond_the_end(void **state)
{
    struct unit_random random = {46};

    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        uint64_t size = 1 + unit_random_below(&random, 60 * MIB), pos = 0;
        struct model m;

        model_init(&m, size);
        for (unsigned i = 0; i < 300; i++) {
            uint64_t len = 1 + unit_random_below(&random, 512 * KIB);

            if (unit_random_below(&random, 4) == 0 || pos >= size)
                pos = unit_random_below(&random, size);
            if (len > size - pos)
                len = size - pos;
            (void)model_read(&m, pos, len, unit_random_below(&random, 2));
            pos += len;
        }
        for (unsigned i = 0; i < m.count; i++)
            for (unsigned j = 0; j < i; j++)
                assert_true(m.blocks[i].end <= m.blocks[j].start ||
                            m.blocks[j].end <= m.blocks[i].start);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequential_read_costs_a_get_per_4_mib_and_4_more),
        cmocka_unit_test(sequential_reads_may_come_out_of_order),
        cmocka_unit_test(random_reads_get_what_they_ask_for),
        cmocka_unit_test(backward_reads_are_not_read_ahead),
        cmocka_unit_test(interleaved_streams_are_each_sequential),
        cmocka_unit_test(random_reads_do_not_end_a_stream),
        cmocka_unit_test(first_read_at_the_start_fetches_one_block_and_nothing_ahead),
        cmocka_unit_test(small_object_is_one_get),
        cmocka_unit_test(start_that_led_nowhere_is_given_up),
        cmocka_unit_test(slow_reader_keeps_a_small_window),
        cmocka_unit_test(fast_reader_gets_a_wide_window),
        cmocka_unit_test(no_pattern_fetches_a_byte_twice_or_beyond_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

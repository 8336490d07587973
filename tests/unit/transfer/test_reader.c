/* What a reader gives, and what it costs in requests and memory. */
#include "unit/transfer/fake_get.h"

#define STEP (128 * KIB) /* what the kernel asks for at a time */

static void sequential_read_costs_a_get_per_4_mib_and_4_more(void **state)
{
    static const uint64_t sizes[] = {1, STEP, 4 * MIB, 4 * MIB + 1, 9 * MIB + 17, 50 * MIB + 123};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct xfer_reader_pool *pool = fake_pool(32 * MIB, 4);
        struct xfer_reader *reader = fake_reader(pool, sizes[i]);

        for (uint64_t pos = 0; pos < sizes[i]; pos += STEP)
            fake_read(reader, pos, STEP);
        fake_poll_pool(pool, pool->locked.used == 0); /* all of it was handed out */
        assert_true(fake.gets <= sizes[i] / (4 * MIB) + 4);
        assert_true(sizes[i] > 4 * MIB || fake.gets == 1);
        assert_int_equal(fake.asked, sizes[i]);
        assert_true(fake.most_used <= 32 * MIB);
        xfer_reader_free(reader);
        xfer_reader_pool_free(pool);
    }
}

static void random_reads_get_what_they_ask_for(void **state)
{
    struct xfer_reader_pool *pool = fake_pool(0, 0);
    struct xfer_reader *reader = fake_reader(pool, UINT64_C(1) << 40);
    struct unit_random random = {7};
    uint64_t asked = 0;

    (void)state;
    for (unsigned i = 0; i < 500; i++) {
        size_t len = 1 + (size_t)unit_random_below(&random, STEP);

        fake_read(reader, 8 * MIB + unit_random_below(&random, UINT64_C(1) << 39), len);
        asked += len;
    }
    assert_int_equal(fake.asked, asked);
    assert_int_equal(fake.gets, 500);
    assert_int_equal(fake.most_used, 0);
    xfer_reader_free(reader);
    xfer_reader_pool_free(pool);
}

static void interleaved_streams_are_each_sequential(void **state)
{
    struct xfer_reader_pool *pool = fake_pool(64 * MIB, 4);
    struct xfer_reader *reader = fake_reader(pool, 80 * MIB);
    unsigned blocks = 2 * (40 / 4 + 4);

    (void)state;
    for (uint64_t pos = 0; pos < 40 * MIB; pos += STEP) {
        fake_read(reader, pos, STEP);
        fake_read(reader, 40 * MIB + pos, STEP);
    }
    assert_true(fake_gets() <= blocks);
    xfer_reader_free(reader);
    xfer_reader_pool_free(pool);
}

/* Eight requests at a time, started in any order: what the kernel's read-ahead does. */
static void parallel_requests_out_of_order_are_sequential(void **state)
{
    struct xfer_reader_pool *pool = fake_pool(64 * MIB, 8);
    struct unit_random random = {11};

    (void)state;
    for (uint64_t step = STEP; step <= MIB; step *= 8) {
        unsigned width = step == STEP ? 8 : 4;
        uint64_t size = 48 * MIB;
        struct xfer_reader *reader = fake_reader(pool, size);

        fake_get_reset();
        fake.pool = pool;
        for (uint64_t pos = 0; pos < size; pos += width * step) {
            struct fake_reading readings[8];
            unsigned first = (unsigned)unit_random_below(&random, width);

            for (unsigned i = 0; i < width; i++) {
                readings[i] = (struct fake_reading){
                    .reader = reader, .len = step, .offset = pos + (first + i) % width * step};
                fake_reading_start(&readings[i]);
            }
            for (unsigned i = 0; i < width; i++)
                assert_int_equal(fake_reading_join(&readings[i]), step);
        }
        assert_true(fake_gets() <= size / (4 * MIB) + 4);
        xfer_reader_free(reader);
    }
    xfer_reader_pool_free(pool);
}

static void bytes_are_handed_out_before_their_block_is_complete(void **state)
{
    struct xfer_reader_pool *pool = fake_pool(0, 2);
    struct xfer_reader *reader = fake_reader(pool, 100 * MIB);

    (void)state;
    fake_hold_at(MIB);
    fake_read(reader, 0, STEP);
    fake_read(reader, MIB - 5, 5);
    assert_int_equal(fake.gets, 1);
    assert_int_equal(fake.in_flight, 1);
    fake_hold_at(UINT64_MAX);
    xfer_reader_free(reader);
    xfer_reader_pool_free(pool);
}

/* head -c 1000: the rest of the block is not downloaded. */
/* Return: what xfer_reader_try() returns; what it gave is right. @len: at most 300 KiB. */
static ssize_t try(struct xfer_reader *reader, uint64_t offset, size_t len)
{
    unsigned char buf[300 * KIB];
    ssize_t n = xfer_reader_try(reader, buf, len, offset);

    if (n > 0)
        fake_assert_bytes(buf, offset, (size_t)n);
    return n;
}

static void what_is_in_memory_needs_no_waiting(void **state)
{
    struct xfer_reader_pool *pool = fake_pool(0, 4);
    struct xfer_reader *reader = fake_reader(pool, 30 * MIB + 5);
    unsigned waits = 0;

    (void)state;
    assert_int_equal(try(reader, 0, STEP), -EAGAIN); /* asks for nothing */
    assert_int_equal(fake_gets(), 0);
    fake_hold_at(STEP + 7);
    fake_read(reader, 0, STEP);
    assert_int_equal(try(reader, STEP, STEP), -EAGAIN); /* 7 bytes of it are there */
    assert_int_equal(fake_gets(), 1);
    fake_hold_at(UINT64_MAX);
    for (uint64_t pos = STEP; pos < 30 * MIB + 5; pos += STEP) {
        if (try(reader, pos, STEP) != -EAGAIN)
            continue;
        fake_read(reader, pos, STEP);
        fake_poll_pool(pool, fake_all_stopped_locked(reader));
        waits++;
    }
    assert_true(waits <= fake_gets()); /* the others found their bytes, and had more fetched */
    assert_true(fake_gets() <= 30 / 4 + 4);
    assert_int_equal(fake.asked, 30 * MIB + 5);
    fake_poll_pool(pool, pool->locked.used == 0);
    assert_int_equal(try(reader, 30 * MIB + 5, STEP), 0);
    xfer_reader_free(reader);
    xfer_reader_pool_free(pool);
}

static void freeing_the_reader_cancels_what_is_in_flight(void **state)
{
    struct xfer_reader_pool *pool = fake_pool(0, 2);
    struct xfer_reader *reader = fake_reader(pool, 100 * MIB);

    (void)state;
    fake_hold_at(MIB);
    fake_read(reader, 0, 1000);
    fake_wait_for(fake.sent == MIB);
    xfer_reader_free(reader);
    fake_wait_for(fake.canceled == 1 && fake.in_flight == 0);
    assert_int_equal(fake.gets, 1);
    assert_true(fake.sent <= MIB + FAKE_CHUNK);
    xfer_reader_pool_free(pool);
}

static void start_that_led_nowhere_is_abandoned(void **state)
{
    struct xfer_reader_pool *pool = fake_pool(0, 2);
    struct xfer_reader *reader = fake_reader(pool, 100 * MIB);
    struct fake_reading far = {.reader = reader, .offset = 50 * MIB, .len = 4 * KIB};

    (void)state;
    fake_hold_at(256 * KIB);
    fake_read(reader, 0, 4 * KIB);
    fake_wait_for(fake.sent == 256 * KIB);
    fake_reading_start(&far);
    fake_wait_for(fake.gets == 2);
    fake_hold_at(UINT64_MAX);
    assert_int_equal(fake_reading_join(&far), 4 * KIB);
    fake_wait_for(fake.in_flight == 0);
    assert_int_equal(fake.canceled, 1);
    assert_true(fake.sent < MIB);
    fake_read(reader, 4 * KIB, 256 * KIB - 4 * KIB); /* what had come is still good */
    assert_int_equal(fake.seen[0].size, 4 * MIB);
    xfer_reader_free(reader);
    xfer_reader_pool_free(pool);
}

static void reads_end_where_the_object_ends(void **state)
{
    struct xfer_reader_pool *pool = fake_pool(0, 1);
    struct xfer_reader *reader = fake_reader(pool, 1000);
    struct ou_error err = OU_ERROR_INIT;
    unsigned char buf[64];

    (void)state;
    assert_int_equal(xfer_reader_read(reader, buf, sizeof(buf), 990, 0, NULL, &err), 10);
    fake_assert_bytes(buf, 990, 10);
    assert_int_equal(xfer_reader_read(reader, buf, sizeof(buf), 1000, 0, NULL, &err), 0);
    assert_int_equal(xfer_reader_read(reader, buf, sizeof(buf), UINT64_MAX, 0, NULL, &err), 0);
    assert_int_equal(xfer_reader_read(reader, buf, 0, 0, 0, NULL, &err), 0);
    xfer_reader_free(reader);
    reader = fake_reader(pool, 0);
    assert_int_equal(xfer_reader_read(reader, buf, sizeof(buf), 0, 0, NULL, &err), 0);
    xfer_reader_free(reader);
    xfer_reader_pool_free(pool);
}

/* -- memory -- */

static void exhausted_budget_stops_nobody(void **state)
{
    struct xfer_reader_pool *pool = fake_pool(8 * MIB, 4);
    struct xfer_reader *holders[2] = {fake_reader(pool, 100 * MIB), fake_reader(pool, 100 * MIB)};
    struct xfer_reader *late = fake_reader(pool, 100 * MIB);

    (void)state;
    fake_hold_at(2 * MIB);
    fake_read(holders[0], 0, STEP);
    fake_read(holders[1], 0, STEP);
    assert_int_equal(fake_pool_used(pool), 8 * MIB);
    for (uint64_t pos = 0; pos < 2 * MIB; pos += STEP)
        fake_read(late, pos, STEP);
    assert_int_equal(fake_pool_used(pool), 8 * MIB);
    assert_int_equal(fake.gets, 2 + 2 * MIB / STEP);
    fake_hold_at(UINT64_MAX);
    xfer_reader_free(late);
    xfer_reader_free(holders[0]);
    xfer_reader_free(holders[1]);
    xfer_reader_pool_free(pool);
}

struct share {
    struct xfer_reader_pool *pool;
    pthread_t thread;
};

static void *read_a_file(void *arg)
{
    struct share *share = arg;
    struct xfer_reader *reader = fake_reader(share->pool, 11 * MIB);

    for (uint64_t pos = 0; pos < 11 * MIB; pos += STEP)
        fake_read(reader, pos, STEP);
    xfer_reader_free(reader);
    return NULL;
}

static void many_readers_stay_within_the_budget(void **state)
{
    struct share shares[24];
    struct xfer_reader_pool *pool = fake_pool(16 * MIB, 3);
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    for (unsigned i = 0; i < 24; i++) {
        shares[i].pool = pool;
        assert_int_equal(ou_thread_start(&shares[i].thread, "share", read_a_file, &shares[i], &err),
                         0);
    }
    for (unsigned i = 0; i < 24; i++)
        assert_int_equal(pthread_join(shares[i].thread, NULL), 0);
    fake_wait_for(fake.in_flight == 0);
    assert_true(fake.most_used > 0 && fake.most_used <= 16 * MIB);
    xfer_reader_pool_free(pool);
}

static void budget_too_small_for_a_block_still_reads(void **state)
{
    struct xfer_reader_pool *pool = fake_pool(64 * KIB, 1);
    struct xfer_reader *reader = fake_reader(pool, 3 * MIB);

    (void)state;
    for (uint64_t pos = 0; pos < 3 * MIB; pos += STEP)
        fake_read(reader, pos, STEP);
    assert_int_equal(fake.most_used, 0);
    assert_int_equal(fake.asked, 3 * MIB);
    xfer_reader_free(reader);
    xfer_reader_pool_free(pool);
}

static void idle_reader_gives_its_memory_back(void **state)
{
    struct xfer_reader_pool *pool = fake_pool(0, 1);
    struct xfer_reader *reader = fake_reader(pool, 4 * MIB);

    (void)state;
    fake_read(reader, 0, STEP);
    fake_poll_pool(pool, fake_all_stopped_locked(reader));
    ou_mutex_lock(&pool->lock);
    xfer_pool_sweep_locked(pool, reader->last_read_ms + XFER_READER_IDLE_MS - 1,
                           XFER_READER_IDLE_MS);
    assert_int_equal(pool->locked.used, 4 * MIB);
    xfer_pool_sweep_locked(pool, reader->last_read_ms + XFER_READER_IDLE_MS, XFER_READER_IDLE_MS);
    assert_int_equal(pool->locked.used, 0);
    ou_mutex_unlock(&pool->lock);
    fake_read(reader, STEP, STEP);
    xfer_reader_free(reader);
    xfer_reader_pool_free(pool);
}

static void idle_reader_gives_way_to_one_that_waits(void **state)
{
    struct xfer_reader_pool *pool = fake_pool(8 * MIB, 2);
    struct xfer_reader *idle = fake_reader(pool, 4 * MIB), *busy = fake_reader(pool, 4 * MIB),
                       *late = fake_reader(pool, 4 * MIB);

    (void)state;
    fake_read(idle, 0, STEP);
    fake_read(busy, 0, STEP);
    fake_poll_pool(pool, fake_all_stopped_locked(idle) && fake_all_stopped_locked(busy));
    fake_read(late, 0, STEP);
    assert_int_equal(fake.seen[2].size, STEP); /* nobody is idle: no room */
    ou_mutex_lock(&pool->lock);
    idle->last_read_ms = 0;
    busy->last_read_ms = ou_now_ms();
    ou_mutex_unlock(&pool->lock);
    fake_read(late, STEP, STEP);
    assert_int_equal(fake.gets, 4);
    assert_int_equal(fake.seen[3].size, 4 * MIB - STEP);
    fake_read(busy, STEP, STEP); /* its block is still there */
    assert_int_equal(fake.gets, 4);
    xfer_reader_free(idle);
    xfer_reader_free(busy);
    xfer_reader_free(late);
    xfer_reader_pool_free(pool);
}

/* -- anything -- */

static void *read_at_random(void *arg)
{
    struct fake_reading *r = arg;
    struct unit_random random = {r->offset + 1};
    uint64_t pos = 0, size = r->reader->size > 0 ? r->reader->size : 1;

    for (unsigned i = 0; i < 150; i++) {
        size_t len = 1 + (size_t)unit_random_below(&random, 300 * KIB);

        if (unit_random_below(&random, 5) == 0 || pos >= size)
            pos = unit_random_below(&random, size);
        if (unit_random_below(&random, 2) == 0 || try(r->reader, pos, len) == -EAGAIN)
            fake_read(r->reader, pos, len);
        pos += len;
    }
    return NULL;
}

static void any_pattern_by_any_threads_reads_the_right_bytes(void **state)
{
    static const uint64_t sizes[] = {70 * KIB, 3 * MIB + 1, 30 * MIB + 4097};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct xfer_reader_pool *pool = fake_pool(20 * MIB, 3);
        struct xfer_reader *reader = fake_reader(pool, sizes[i]);
        struct fake_reading threads[5];
        struct ou_error err = OU_ERROR_INIT;

        for (unsigned t = 0; t < 5; t++) {
            threads[t] = (struct fake_reading){.reader = reader, .offset = i * 10 + t};
            assert_int_equal(
                ou_thread_start(&threads[t].thread, "random", read_at_random, &threads[t], &err),
                0);
        }
        for (unsigned t = 0; t < 5; t++)
            assert_int_equal(pthread_join(threads[t].thread, NULL), 0);
        assert_true(fake.most_used <= 20 * MIB);
        xfer_reader_free(reader);
        xfer_reader_pool_free(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequential_read_costs_a_get_per_4_mib_and_4_more),
        cmocka_unit_test(random_reads_get_what_they_ask_for),
        cmocka_unit_test(interleaved_streams_are_each_sequential),
        cmocka_unit_test(parallel_requests_out_of_order_are_sequential),
        cmocka_unit_test(bytes_are_handed_out_before_their_block_is_complete),
        cmocka_unit_test(what_is_in_memory_needs_no_waiting),
        cmocka_unit_test(freeing_the_reader_cancels_what_is_in_flight),
        cmocka_unit_test(start_that_led_nowhere_is_abandoned),
        cmocka_unit_test(reads_end_where_the_object_ends),
        cmocka_unit_test(exhausted_budget_stops_nobody),
        cmocka_unit_test(many_readers_stay_within_the_budget),
        cmocka_unit_test(budget_too_small_for_a_block_still_reads),
        cmocka_unit_test(idle_reader_gives_its_memory_back),
        cmocka_unit_test(idle_reader_gives_way_to_one_that_waits),
        cmocka_unit_test(any_pattern_by_any_threads_reads_the_right_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

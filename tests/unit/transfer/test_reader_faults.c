/* What a reader does when things go wrong: errors, changed objects, cancels, deadlines. */
#include "unit/transfer/fake_get.h"

#define STEP (128 * KIB)

static ssize_t try_read(struct xfer_reader *reader, uint64_t offset, uint64_t deadline_ms,
                        struct ou_cancel *cancel, struct ou_error *err)
{
    static unsigned char buf[4096];

    return xfer_reader_read(reader, buf, sizeof(buf), offset, deadline_ms, cancel, err);
}

static void error_is_told_and_the_next_read_tries_again(void **state)
{
    struct xfer_reader_pool *pool = fake_pool(0, 2);
    struct xfer_reader *reader = fake_reader(pool, 100 * MIB);
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    fake_fail(1, 0, EACCES, "AccessDenied");
    assert_int_equal(try_read(reader, 0, 0, NULL, &err), -EACCES);
    assert_string_equal(err.code, "AccessDenied");
    fake_read(reader, 0, 4096);

    fake_fail(1, 100, EIO, ""); /* the same for a read on the caller's own thread */
    assert_int_equal(try_read(reader, 70 * MIB, 0, NULL, &err), -EIO);
    fake_read(reader, 70 * MIB, 4096);
    xfer_reader_free(reader);
    xfer_reader_pool_free(pool);
}

static void error_reaches_only_those_who_wait_for_what_is_missing(void **state)
{
    struct xfer_reader_pool *pool = fake_pool(0, 2);
    struct xfer_reader *reader = fake_reader(pool, 4 * MIB);
    struct fake_reading behind = {.reader = reader, .offset = MIB - 4096, .len = 4096};
    struct fake_reading beyond = {.reader = reader, .offset = MIB, .len = STEP};

    (void)state;
    fake_fail(1, MIB, EIO, "InternalError");
    fake_hold_at(STEP);
    fake_read(reader, 0, STEP);
    fake_reading_start(&behind);
    fake_reading_start(&beyond);
    fake_poll_pool(pool, fake_waiters_locked(reader) == 2);
    fake_hold_at(UINT64_MAX);
    assert_int_equal(fake_reading_join(&behind), 4096);
    assert_int_equal(fake_reading_join(&beyond), -EIO);
    assert_string_equal(beyond.err.code, "InternalError");

    fake_read(reader, STEP, MIB - STEP); /* what had come is still there */
    fake_read(reader, MIB, 3 * MIB);
    for (unsigned i = 1; i < fake.gets; i++)
        assert_true(fake.seen[i].offset >= MIB);
    xfer_reader_free(reader);
    xfer_reader_pool_free(pool);
}

/* A dead network: reads of what is there are not delayed by, and do not repeat, the read-ahead. */
static void failed_read_ahead_waits_for_its_reader(void **state)
{
    struct xfer_reader_pool *pool = fake_pool(0, 2);
    struct xfer_reader *reader = fake_reader(pool, 100 * MIB);
    uint64_t pos = 0;

    (void)state;
    fake_read(reader, pos, STEP);
    fake_wait_for(fake.sent == 4 * MIB && fake.in_flight == 0);
    fake_fail(1, 0, EIO, "");
    while (fake_gets() == 1 && fake_pool_used(pool) == 4 * MIB) {
        pos += STEP;
        fake_read(reader, pos, STEP);
    }
    assert_true(pos < 4 * MIB - STEP);
    fake_wait_for(fake.gets == 2 && fake.in_flight == 0);
    fake_poll_pool(pool, fake_all_stopped_locked(reader));
    for (pos += STEP; pos < 4 * MIB; pos += STEP)
        fake_read(reader, pos, STEP);
    assert_int_equal(fake.gets, 2);
    fake_read(reader, 4 * MIB, STEP);
    assert_int_equal(fake.seen[2].offset, 4 * MIB);
    xfer_reader_free(reader);
    xfer_reader_pool_free(pool);
}

static void changed_object_is_stale_for_good(void **state)
{
    struct xfer_reader_pool *pool = fake_pool(0, 2);
    struct xfer_reader *readers[2] = {fake_reader(pool, 100 * MIB), fake_reader(pool, 100 * MIB)};
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    fake_fail(1, 0, ESTALE, "PreconditionFailed");
    assert_int_equal(try_read(readers[0], 0, 0, NULL, &err), -ESTALE); /* by a block */
    fake_fail(1, 0, ESTALE, "PreconditionFailed");
    assert_int_equal(try_read(readers[1], 50 * MIB, 0, NULL, &err), -ESTALE); /* directly */
    assert_int_equal(fake.gets, 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(try_read(readers[i], 0, 0, NULL, &err), -ESTALE);
        assert_int_equal(try_read(readers[i], 50 * MIB, 0, NULL, &err), -ESTALE);
        assert_string_equal(err.code, "PreconditionFailed");
        xfer_reader_free(readers[i]);
    }
    assert_int_equal(fake.gets, 2);
    xfer_reader_pool_free(pool);
}

static void object_that_is_gone_is_stale_too(void **state)
{
    struct xfer_reader_pool *pool = fake_pool(0, 2);
    struct xfer_reader *reader = fake_reader(pool, 100 * MIB);
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    fake_fail(1, 0, ENOENT, "NoSuchKey");
    assert_int_equal(try_read(reader, 0, 0, NULL, &err), -ESTALE);
    assert_int_equal(err.errnum, ESTALE);
    assert_int_equal(try_read(reader, 50 * MIB, 0, NULL, &err), -ESTALE);
    assert_int_equal(fake.gets, 1);
    xfer_reader_free(reader);

    reader = fake_reader(pool, 100 * MIB);
    fake_fail(1, 0, ENOENT, "NoSuchBucket"); /* may come back */
    assert_int_equal(try_read(reader, 0, 0, NULL, &err), -ENOENT);
    fake_read(reader, 0, 4096);
    xfer_reader_free(reader);
    xfer_reader_pool_free(pool);
}

static void cancel_ends_one_wait_and_not_the_fetch(void **state)
{
    struct xfer_reader_pool *pool = fake_pool(0, 2);
    struct xfer_reader *reader = fake_reader(pool, 4 * MIB);
    struct fake_reading canceled = {
        .reader = reader, .len = STEP, .offset = MIB, .cancel = ou_cancel_new()};
    struct fake_reading patient = {.reader = reader, .len = STEP, .offset = MIB - STEP};

    (void)state;
    fake_hold_at(STEP);
    fake_read(reader, 0, STEP);
    fake_reading_start(&canceled);
    fake_reading_start(&patient);
    fake_poll_pool(pool, fake_waiters_locked(reader) == 2);
    ou_cancel_trigger(canceled.cancel);
    assert_int_equal(fake_reading_join(&canceled), -EINTR);
    assert_int_equal(canceled.err.errnum, EINTR);
    fake_hold_at(UINT64_MAX);
    assert_int_equal(fake_reading_join(&patient), STEP);
    assert_int_equal(fake.gets, 1);

    ou_cancel_reset(canceled.cancel); /* as the next call of a thread does */
    fake_reading_start(&canceled);
    assert_int_equal(fake_reading_join(&canceled), STEP);
    assert_int_equal(fake.gets, 1);
    ou_cancel_unref(canceled.cancel);
    xfer_reader_free(reader);
    xfer_reader_pool_free(pool);
}

static void canceled_call_sends_nothing(void **state)
{
    struct xfer_reader_pool *pool = fake_pool(0, 2);
    struct xfer_reader *reader = fake_reader(pool, 100 * MIB);
    struct ou_cancel *cancel = ou_cancel_new();
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    ou_cancel_trigger(cancel);
    assert_int_equal(try_read(reader, 0, 0, cancel, &err), -EINTR);
    assert_int_equal(try_read(reader, 50 * MIB, 0, cancel, &err), -EINTR);
    assert_int_equal(fake.gets, 0);
    ou_cancel_unref(cancel);
    xfer_reader_free(reader);
    xfer_reader_pool_free(pool);
}

static void cancel_ends_a_direct_read(void **state)
{
    struct xfer_reader_pool *pool = fake_pool(0, 2);
    struct xfer_reader *reader = fake_reader(pool, 100 * MIB);
    struct fake_reading direct = {
        .reader = reader, .len = STEP, .offset = 50 * MIB, .cancel = ou_cancel_new()};

    (void)state;
    fake_hold_at(50 * MIB);
    fake_reading_start(&direct);
    fake_wait_for(fake.in_flight == 1);
    ou_cancel_trigger(direct.cancel);
    assert_int_equal(fake_reading_join(&direct), -EINTR);
    fake_hold_at(UINT64_MAX);
    fake_read(reader, 50 * MIB, STEP);
    ou_cancel_unref(direct.cancel);
    xfer_reader_free(reader);
    xfer_reader_pool_free(pool);
}

static void deadline_ends_one_wait_and_not_the_fetch(void **state)
{
    struct xfer_reader_pool *pool = fake_pool(0, 2);
    struct xfer_reader *reader = fake_reader(pool, 4 * MIB);
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    fake_hold_at(0);
    assert_int_equal(try_read(reader, 0, ou_now_ms() + 1, NULL, &err), -ETIMEDOUT);
    fake_hold_at(UINT64_MAX);
    fake_read(reader, 0, 4 * MIB);
    assert_int_equal(fake.gets, 1);
    xfer_reader_free(reader);
    xfer_reader_pool_free(pool);
}

/* More is wanted than there are fetchers: queued blocks go with their reader too. */
static void everything_can_be_freed_while_fetches_are_in_flight(void **state)
{
    struct xfer_reader_pool *pool = fake_pool(0, 2);
    struct xfer_reader *readers[6];
    struct fake_reading first[6];

    (void)state;
    fake_hold_at(0);
    for (unsigned i = 0; i < 6; i++) {
        readers[i] = fake_reader(pool, 100 * MIB);
        first[i] =
            (struct fake_reading){.reader = readers[i], .len = 100, .cancel = ou_cancel_new()};
        fake_reading_start(&first[i]);
    }
    fake_wait_for(fake.in_flight == 2);
    for (unsigned i = 0; i < 6; i++) {
        ou_cancel_trigger(first[i].cancel);
        assert_int_equal(fake_reading_join(&first[i]), -EINTR);
        ou_cancel_unref(first[i].cancel);
        xfer_reader_free(readers[i]);
    }
    xfer_reader_pool_free(pool);
    assert_int_equal(fake.in_flight, 0);
    assert_int_equal(fake.sent, 0);
}

static void nothing_to_free_is_fine(void **state)
{
    (void)state;
    xfer_reader_free(NULL);
    xfer_reader_pool_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_is_told_and_the_next_read_tries_again),
        cmocka_unit_test(error_reaches_only_those_who_wait_for_what_is_missing),
        cmocka_unit_test(failed_read_ahead_waits_for_its_reader),
        cmocka_unit_test(changed_object_is_stale_for_good),
        cmocka_unit_test(object_that_is_gone_is_stale_too),
        cmocka_unit_test(cancel_ends_one_wait_and_not_the_fetch),
        cmocka_unit_test(canceled_call_sends_nothing),
        cmocka_unit_test(cancel_ends_a_direct_read),
        cmocka_unit_test(deadline_ends_one_wait_and_not_the_fetch),
        cmocka_unit_test(everything_can_be_freed_while_fetches_are_in_flight),
        cmocka_unit_test(nothing_to_free_is_fine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

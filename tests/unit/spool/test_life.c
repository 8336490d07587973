/*
 * The life of a staged file: what is closed reaches the bucket, survives crashes, and leaves
 * nothing behind.
 */
#include "spool_bucket.h"

static int setup(void **state)
{
    world_reset();
    return unit_dir_setup(state);
}

static void a_closed_file_reaches_the_bucket_and_leaves_nothing(void **state)
{
    struct spool *spool = world_spool(*state);

    spool_start(spool);
    world_put(spool, "a/b", "hello", 5);
    world_put(spool, "empty", NULL, 0);
    world_sync(spool);
    world_assert_object("a/b", "hello", 5);
    world_assert_object("empty", "", 0);
    assert_int_equal(world.published, 2);
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static void a_big_file_goes_by_parts(void **state)
{
    struct spool *spool = world_spool(*state);
    struct unit_random random = {.state = 1};
    size_t size = 350 * KIB;
    ou_autofree unsigned char *data = malloc(size);

    unit_random_bytes(&random, data, size);
    spool_start(spool);
    world_put(spool, "big", data, size);
    world_sync(spool);
    world_assert_object("big", data, size);
    assert_int_equal(bucket.op_count[OP_PART], 4);
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static void what_was_closed_survives_a_crash(void **state)
{
    struct spool *spool = world_spool(*state), *after;
    struct spool_file *f;
    ou_autofree char *copy = NULL;

    world_put(spool, "closed", "one", 3);
    f = world_create(spool, "open");
    world_write(f, "two", 3, 0);
    copy = world_crash(spool, *state, "crash");

    after = world_spool(copy);
    assert_int_equal(spool_find(after, "open", &(struct spool_file *){NULL}), 0);
    assert_int_equal(world_count_files(spool_dir(after), ".ckpt"), 2);
    spool_start(after);
    world_sync(after);
    world_assert_object("closed", "one", 3);
    assert_false(world_has_object("open"));
    /* What was open and never closed is kept, for `spool list`. */
    assert_int_equal(world_count_files(spool_dir(after), ".data"), 1);
    spool_close(after);
    world_close(f);
    spool_close(spool);
}

static void a_crash_in_the_middle_of_clearing_away_is_no_loss(void **state)
{
    struct spool *spool = world_spool(*state), *after;
    struct spool_file *f = world_create(spool, "k");
    ou_autofree char *copy = NULL;
    char data[8192];

    spool_start(spool);
    world_write(f, "one", 3, 0);
    spool_file_open(f, false); /* what is published stays as long as somebody reads it */
    assert_int_equal(spool_file_close(f, true, &(struct ou_error){0}), 0);
    world_sync(spool);
    copy = world_crash(spool, *state, "crash");
    (void)snprintf(data, sizeof(data), "%s%s/0000000000000001.data", copy,
                   strrchr(spool_dir(spool), '/'));
    assert_int_equal(unlink(data), 0);

    after = world_spool(copy);
    world_assert_nothing_left(after);
    world_assert_object("k", "one", 3);
    spool_close(after);
    assert_int_equal(spool_file_close(f, false, &(struct ou_error){0}), 0);
    spool_file_unref(f);
    spool_close(spool);
}

static void a_changed_byte_of_a_large_object_sends_one_part(void **state)
{
    struct spool *spool = world_spool(*state);
    struct unit_random random = {.state = 2};
    size_t size = 1000 * KIB;
    ou_autofree unsigned char *data = malloc(size);
    struct spool_file *f;

    unit_random_bytes(&random, data, size);
    bucket_put("big", data, size);
    spool_start(spool);
    f = world_stage(spool, "big");
    spool_file_open(f, true);
    data[500 * KIB] ^= 1;
    world_write(f, data + 500 * KIB, 1, 500 * KIB);
    world_assert_file(f, data, size);
    world_close(f);
    world_sync(spool);
    world_assert_object("big", data, size);
    assert_int_equal(bucket.op_count[OP_PART], 1);
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static void attributes_alone_are_one_copy(void **state)
{
    struct spool *spool = world_spool(*state);
    struct spool_attr attr = world_attr();
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *f;

    bucket_put("a", (const unsigned char *)"x", 1);
    spool_start(spool);
    f = world_stage(spool, "a");
    attr.mode = S_IFREG | 0600;
    assert_int_equal(spool_file_set_attr(f, &attr, SPOOL_SET_MODE, &err), 0);
    assert_int_equal(spool_file_set_attr(f, &attr, SPOOL_SET_MODE, &err), 0);
    world_sync(spool);
    assert_int_equal(bucket.op_count[OP_COPY], 1);
    assert_int_equal(bucket.op_count[OP_PUT], 0);
    assert_false(spool_file_pending(f));
    spool_file_unref(f);
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static void an_unlinked_file_is_forgotten(void **state)
{
    struct spool_config config = world_config(*state);
    struct spool *spool;
    struct spool_file *f;
    struct ou_error err = OU_ERROR_INIT;

    config.settle_ms = 3600000;
    spool = world_open(&config);
    spool_start(spool);
    f = world_create(spool, "a");
    world_write(f, "abc", 3, 0);
    assert_int_equal(spool_file_flush(f, &err), 0);
    assert_int_equal(spool_file_unlink(f, &err), 0);
    /* The open handle goes on. */
    world_write(f, "d", 1, 3);
    world_assert_file(f, "abcd", 4);
    assert_null(spool_file_key(f));
    world_close(f);
    world_sync(spool);
    assert_int_equal(bucket.op_count[OP_ANY], 0);
    assert_int_equal(world.delete_requests, 0); /* it was known not to exist */
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static void a_renamed_file_is_one_put(void **state)
{
    struct spool_config config = world_config(*state);
    struct spool *spool;
    struct spool_file *f;
    struct ou_error err = OU_ERROR_INIT;

    config.settle_ms = 3600000;
    spool = world_open(&config);
    spool_start(spool);
    f = world_create(spool, ".a.tmp");
    world_write(f, "abc", 3, 0);
    (void)spool_file_ref(f);
    world_close(f);
    assert_int_equal(spool_file_rename(f, "a", 0, NULL, &err), 0);
    spool_file_unref(f);
    world_sync(spool);
    world_assert_object("a", "abc", 3);
    assert_int_equal(bucket.op_count[OP_ANY], 1);
    assert_int_equal(world.delete_requests, 0);
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static void sync_waits_for_the_new_name_of_what_was_published(void **state)
{
    struct spool_config config = world_config(*state);
    struct spool *spool;
    struct spool_file *f;
    struct ou_error err = OU_ERROR_INIT;

    config.settle_ms = 3600000;
    spool = world_open(&config);
    spool_start(spool);
    f = world_create(spool, "b");
    world_write(f, "abc", 3, 0);
    spool_file_open(f, false); /* it stays staged */
    assert_int_equal(spool_file_close(f, true, &err), 0);
    world_sync(spool);
    assert_int_equal(spool_file_rename(f, "a", 0, NULL, &err), 0);
    world_sync(spool);
    world_assert_object("a", "abc", 3);
    assert_false(world_has_object("b"));
    assert_int_equal(spool_file_close(f, false, &err), 0);
    spool_file_unref(f);
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static int sync_now(struct spool *spool, struct ou_cancel *cancel)
{
    struct ou_error err = OU_ERROR_INIT;

    return spool_sync(spool, "", 0, cancel, &err);
}

static void *sync_it(void *spool)
{
    world_sync(spool);
    assert_true(world_has_object("a"));
    return NULL;
}

/* close(2) has returned, and the kernel has not yet told that the handle is gone. */
static void sync_waits_for_what_is_being_closed(void **state)
{
    struct spool *spool = world_spool(*state);
    struct ou_cancel *cancel = ou_cancel_new();
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *f;
    pthread_t thread;

    spool_start(spool);
    ou_cancel_trigger(cancel);
    f = world_create(spool, "a");
    world_write(f, "abc", 3, 0);
    assert_int_equal(sync_now(spool, cancel), 0); /* it is being written: nothing to wait for */
    assert_int_equal(spool_file_flush(f, &err), 0);
    f->flushed_ms = ou_now_ms() + 3600000;
    assert_int_equal(sync_now(spool, cancel), -EINTR);
    spool_file_open(f, true);
    assert_int_equal(sync_now(spool, cancel), 0);
    assert_int_equal(spool_file_close(f, true, &err), 0);
    assert_int_equal(sync_now(spool, cancel), 0);

    assert_int_equal(spool_file_flush(f, &err), 0);
    f->flushed_ms = ou_now_ms() + 3600000;
    assert_int_equal(ou_thread_start(&thread, "sync", sync_it, spool, &err), 0);
    assert_int_equal(spool_file_close(f, true, &err), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    spool_file_unref(f);
    ou_cancel_unref(cancel);
    spool_close(spool);
}

static void a_second_daemon_is_told_who_has_the_spool(void **state)
{
    struct spool_config config = world_config(*state);
    struct spool *spool = world_open(&config), *second = NULL;
    struct ou_error err = OU_ERROR_INIT;
    char pid[32];

    (void)snprintf(pid, sizeof(pid), "process %ld", (long)getpid());
    assert_int_equal(spool_open(&config, NULL, NULL, &second, &err), -EBUSY);
    assert_non_null(strstr(err.message, pid));
    spool_close(spool);
    spool = world_open(&config);
    spool_close(spool);
}

static void deletes_go_in_one_batch(void **state)
{
    struct spool_config config = world_config(*state);
    struct spool *spool;
    struct ou_error err = OU_ERROR_INIT;
    char key[16];

    config.settle_ms = 3600000;
    spool = world_open(&config);
    spool_start(spool);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(key, sizeof(key), "k%d", i);
        bucket_put(key, (const unsigned char *)"x", 1);
        assert_int_equal(spool_delete(spool, key, NULL, &err), 0);
        assert_true(spool_is_deleted(spool, key));
    }
    world_sync(spool);
    assert_int_equal(world.deletes, 100);
    assert_int_equal(world.delete_requests, 1);
    assert_false(spool_is_deleted(spool, "k7"));
    world_assert_nothing_left(spool);
    spool_close(spool);
}

#define world_test(f) cmocka_unit_test_setup_teardown(f, setup, unit_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(a_closed_file_reaches_the_bucket_and_leaves_nothing),
        world_test(a_big_file_goes_by_parts),
        world_test(what_was_closed_survives_a_crash),
        world_test(a_crash_in_the_middle_of_clearing_away_is_no_loss),
        world_test(a_changed_byte_of_a_large_object_sends_one_part),
        world_test(attributes_alone_are_one_copy),
        world_test(an_unlinked_file_is_forgotten),
        world_test(a_renamed_file_is_one_put),
        world_test(sync_waits_for_the_new_name_of_what_was_published),
        world_test(sync_waits_for_what_is_being_closed),
        world_test(a_second_daemon_is_told_who_has_the_spool),
        world_test(deletes_go_in_one_batch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

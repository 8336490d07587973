/*
 * What happens to one name, in the order in which the user did it: unlink, create, rename, delete,
 * and a crash between any two of their steps.
 */
#include "spool_bucket.h"

static int setup(void **state)
{
    world_reset();
    return unit_dir_setup(state);
}

static void wait_for(bool (*happened)(void))
{
    uint64_t deadline = ou_now_ms() + 60000;

    while (!happened()) {
        assert_true(ou_now_ms() < deadline);
        (void)sched_yield();
    }
}

static bool delete_is_out(void)
{
    return world.delete_requests > 0;
}

static bool delete_was_refused(void)
{
    return world.refused == 1;
}

static void an_upload_waits_for_a_delete_that_is_out(void **state)
{
    struct spool *spool = world_spool(*state);
    struct ou_error err = OU_ERROR_INIT;

    bucket_put("a", (const unsigned char *)"old", 3);
    spool_start(spool);
    world.hold_deletes = true;
    assert_int_equal(spool_delete(spool, "a", NULL, &err), 0);
    wait_for(delete_is_out);
    world_put(spool, "a", "new", 3);
    assert_int_equal(spool_sync(spool, "", ou_now_ms() + 100, NULL, &err), -ETIMEDOUT);
    assert_int_equal(bucket.op_count[OP_PUT], 0);
    world.hold_deletes = false;
    world_sync(spool);
    world_assert_object("a", "new", 3);
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static void an_upload_supersedes_a_delete_that_waits(void **state)
{
    struct spool_config config = world_config(*state);
    struct spool *spool;
    struct ou_error err = OU_ERROR_INIT;

    config.settle_ms = 3600000;
    bucket_put("a", (const unsigned char *)"old", 3);
    spool = world_open(&config);
    spool_start(spool);
    assert_int_equal(spool_delete(spool, "a", NULL, &err), 0);
    world_put(spool, "a", "new", 3);
    /* Whichever of the two goes first, "new" is what is left. */
    world_sync(spool);
    world_assert_object("a", "new", 3);
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static void a_queued_delete_survives_a_crash(void **state)
{
    struct spool *spool = world_spool(*state), *after;
    struct ou_error err = OU_ERROR_INIT;
    ou_autofree char *copy = NULL;

    bucket_put("a", (const unsigned char *)"x", 1);
    assert_int_equal(spool_delete(spool, "a", NULL, &err), 0);
    copy = world_crash(spool, *state, "copy");
    spool_close(spool);

    after = world_spool(copy);
    assert_true(spool_is_deleted(after, "a"));
    spool_start(after);
    world_sync(after);
    assert_false(world_has_object("a"));
    world_assert_nothing_left(after);
    spool_close(after);
}

static void an_unlinked_file_does_not_come_back_after_a_crash(void **state)
{
    struct spool *spool = world_spool(*state), *after;
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *f;
    ou_autofree char *copy = NULL;

    bucket_put("a", (const unsigned char *)"x", 1);
    f = world_stage(spool, "a");
    spool_file_open(f, true);
    world_write(f, "yy", 2, 0);
    assert_int_equal(spool_file_flush(f, &err), 0);
    assert_int_equal(spool_file_unlink(f, &err), 0);
    copy = world_crash(spool, *state, "copy");
    world_close(f);
    spool_close(spool);

    after = world_spool(copy);
    assert_int_equal(spool_find(after, "a", &f), 0);
    spool_start(after);
    world_sync(after);
    assert_false(world_has_object("a"));
    world_assert_nothing_left(after);
    spool_close(after);
}

/* What an unlink journals first, without the rest of it. */
static void a_delete_after_the_file_makes_its_sidecar_void(void **state)
{
    struct spool *spool = world_spool(*state), *after;
    struct ou_error err = OU_ERROR_INIT;
    ou_autofree char *copy = NULL;

    world_put(spool, "a", "x", 1);
    assert_int_equal(spool_deletes_add(spool, "a", NULL, &err), 0);
    copy = world_crash(spool, *state, "copy");
    spool_close(spool);

    after = world_spool(copy);
    assert_int_equal(spool_find(after, "a", &(struct spool_file *){NULL}), 0);
    spool_start(after);
    world_sync(after);
    assert_false(world_has_object("a"));
    world_assert_nothing_left(after);
    spool_close(after);
}

/* What a rename journals first, without the rest of it: the old name stands. */
static void a_rename_that_was_not_journalled_did_not_happen(void **state)
{
    struct spool *spool = world_spool(*state), *after;
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *f;
    ou_autofree char *copy = NULL;

    world_put(spool, "a", "x", 1);
    f = world_find(spool, "a");
    assert_int_equal(spool_deletes_add(spool, "a", f->id, &err), 0);
    spool_file_unref(f);
    copy = world_crash(spool, *state, "copy");
    spool_close(spool);

    after = world_spool(copy);
    assert_false(spool_is_deleted(after, "a"));
    spool_start(after);
    world_sync(after);
    world_assert_object("a", "x", 1);
    world_assert_nothing_left(after);
    spool_close(after);
}

static void a_rename_over_a_pending_file_survives_a_crash(void **state)
{
    struct spool *spool = world_spool(*state), *after;
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *f;
    ou_autofree char *copy = NULL;

    world_put(spool, "a", "old", 3);
    world_put(spool, "a.tmp", "new", 3);
    f = world_find(spool, "a.tmp");
    assert_int_equal(spool_file_rename(f, "a", 0, NULL, &err), 0);
    world_assert_file(f, "new", 3);
    spool_file_unref(f);
    copy = world_crash(spool, *state, "copy");
    spool_close(spool);

    after = world_spool(copy);
    f = world_find(after, "a");
    world_assert_file(f, "new", 3);
    spool_file_unref(f);
    assert_int_equal(spool_find(after, "a.tmp", &f), 0);
    spool_start(after);
    world_sync(after);
    world_assert_object("a", "new", 3);
    assert_false(world_has_object("a.tmp"));
    world_assert_nothing_left(after);
    spool_close(after);
}

/* The sidecar of the file that was renamed over was not yet marked: two of one name. */
static void of_two_sidecars_of_one_name_the_later_counts(void **state)
{
    struct spool *spool = world_spool(*state), *after;
    struct spool_file *f;
    struct ou_buf line = {0};
    struct ou_error err = OU_ERROR_INIT;
    ou_autofree char *copy = NULL;

    world_put(spool, "b", "second", 6);
    world_put(spool, "a", "first", 5);
    f = world_find(spool, "b");
    ou_mutex_lock(&f->io);
    spool_record_rename(&line, spool_next_seq(spool), "a", true, NULL);
    assert_int_equal(spool_file_journal(f, &line, false, &err), 0);
    ou_mutex_unlock(&f->io);
    ou_buf_fini(&line);
    spool_file_unref(f);
    copy = world_crash(spool, *state, "copy");
    spool_close(spool);

    after = world_spool(copy);
    f = world_find(after, "a");
    world_assert_file(f, "second", 6);
    spool_file_unref(f);
    spool_start(after);
    world_sync(after);
    world_assert_object("a", "second", 6);
    world_assert_nothing_left(after);
    spool_close(after);
}

static void a_renamed_change_of_an_object_moves_the_object(void **state)
{
    struct spool *spool = world_spool(*state);
    struct unit_random random = {.state = 3};
    struct ou_error err = OU_ERROR_INIT;
    size_t size = 1000 * KIB;
    ou_autofree unsigned char *data = malloc(size);
    struct spool_file *f;

    unit_random_bytes(&random, data, size);
    bucket_put("a", data, size);
    spool_start(spool);
    f = world_stage(spool, "a");
    spool_file_open(f, true);
    data[0] ^= 1;
    world_write(f, data, 1, 0);
    assert_int_equal(spool_file_flush(f, &err), 0);
    assert_int_equal(spool_file_rename(f, "b", 0, NULL, &err), 0);
    world_close(f);
    world_sync(spool);
    world_assert_object("b", data, size);
    assert_false(world_has_object("a"));
    assert_int_equal(bucket.op_count[OP_PART], 1); /* the rest is copied */
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static void a_clone_is_copied_on_the_server_and_outlives_its_source(void **state)
{
    struct spool *spool = world_spool(*state);
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *from, *to;

    bucket_put("a", (const unsigned char *)"data", 4);
    spool_start(spool);
    from = world_stage(spool, "a");
    to = world_create(spool, "b");
    assert_int_equal(spool_file_clone(from, to, &err), 1);
    world_assert_file(to, "data", 4);
    /* The source's delete waits until the clone has its own object. */
    assert_int_equal(spool_file_unlink(from, &err), 0);
    spool_file_unref(from);
    world_close(to);
    world_sync(spool);
    world_assert_object("b", "data", 4);
    assert_false(world_has_object("a"));
    assert_int_equal(bucket.op_count[OP_COPY], 1);
    assert_int_equal(bucket.op_count[OP_PUT], 0);
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static void a_refused_delete_is_told_and_forgotten(void **state)
{
    struct spool *spool = world_spool(*state);
    struct ou_error err = OU_ERROR_INIT;

    bucket_put("a", (const unsigned char *)"x", 1);
    spool_start(spool);
    world.refuse_deletes = true;
    assert_int_equal(spool_delete(spool, "a", NULL, &err), 0);
    world_sync(spool);
    wait_for(delete_was_refused);
    assert_false(spool_is_deleted(spool, "a"));
    assert_true(world_has_object("a"));
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static void a_synchronous_delete_tells_its_error(void **state)
{
    struct spool_config config = world_config(*state);
    struct spool *spool;
    struct ou_error err = OU_ERROR_INIT;

    config.delete_sync = true;
    bucket_put("a", (const unsigned char *)"x", 1);
    spool = world_open(&config);
    world.refuse_deletes = true;
    assert_int_equal(spool_delete(spool, "a", NULL, &err), -EACCES);
    world.refuse_deletes = false;
    assert_int_equal(spool_delete(spool, "a", NULL, &err), 0);
    assert_false(world_has_object("a"));
    assert_false(spool_is_deleted(spool, "a"));
    spool_close(spool);
}

#define world_test(f) cmocka_unit_test_setup_teardown(f, setup, unit_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(an_upload_waits_for_a_delete_that_is_out),
        world_test(an_upload_supersedes_a_delete_that_waits),
        world_test(a_queued_delete_survives_a_crash),
        world_test(an_unlinked_file_does_not_come_back_after_a_crash),
        world_test(a_delete_after_the_file_makes_its_sidecar_void),
        world_test(a_rename_that_was_not_journalled_did_not_happen),
        world_test(a_rename_over_a_pending_file_survives_a_crash),
        world_test(of_two_sidecars_of_one_name_the_later_counts),
        world_test(a_renamed_change_of_an_object_moves_the_object),
        world_test(a_clone_is_copied_on_the_server_and_outlives_its_source),
        world_test(a_refused_delete_is_told_and_forgotten),
        world_test(a_synchronous_delete_tells_its_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Renames and deletes when something fails in the middle: no byte that a file still shows is
 * deleted, and a power cut takes no version that was on the disk.
 */
#include "spool_bucket.h"

#define SIZE (300 * KIB)

static int setup(void **state)
{
    world_reset();
    return unit_dir_setup(state);
}

/* An object "a", and a file of that name that has changed its first byte. */
static struct spool_file *changed_object(struct spool *spool, unsigned char *data)
{
    struct unit_random random = {1};
    struct spool_file *f;

    unit_random_bytes(&random, data, SIZE);
    bucket_put("a", data, SIZE);
    f = world_stage(spool, "a");
    spool_file_open(f, true);
    data[0] ^= 1;
    world_write(f, data, 1, 0);
    return f;
}

static void a_delete_of_a_renaming_that_failed_is_never_sent(void **state)
{
    struct spool *spool = world_spool(*state);
    struct ou_error err = OU_ERROR_INIT;
    unsigned char data[SIZE];
    struct spool_file *f = changed_object(spool, data);

    spool_start(spool);
    assert_int_equal(spool_deletes_add(spool, "a", f->id, &err), 0);
    assert_int_equal(spool_deletes_add(spool, "other", NULL, &err), 0);
    while (spool_deletes_known(spool, "other")) /* of the same batch */
        (void)sched_yield();
    assert_true(world_has_object("a"));
    assert_true(spool_deletes_known(spool, "a"));
    world_close(f);
    world_sync(spool);
    world_assert_object("a", data, SIZE);
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static void a_delete_that_fails_alone_is_sent_again(void **state)
{
    struct spool *spool = world_spool(*state);
    struct ou_error err = OU_ERROR_INIT;

    bucket_put("a", (const unsigned char *)"1", 1);
    bucket_put("b", (const unsigned char *)"2", 1);
    world.leave_out = 1;
    world.fail_deletes = 1;
    assert_int_equal(spool_delete(spool, "a", NULL, &err), 0);
    assert_int_equal(spool_delete(spool, "b", NULL, &err), 0);
    spool_start(spool);
    world_sync(spool);
    assert_false(world_has_object("a"));
    assert_false(world_has_object("b"));
    world_assert_nothing_left(spool);
    spool_close(spool);
}

/* The replaced version was fsynced; what replaces it was closed only. */
static void a_power_cut_after_a_rename_finds_one_of_the_two(void **state)
{
    struct spool *spool = world_spool(*state);
    ou_autofree char *copy = NULL;
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *f = world_create(spool, "a");

    world_write(f, "old", 3, 0);
    assert_int_equal(spool_file_sync(f, &err), 0);
    world_close(f);
    world_put(spool, "a.tmp", "new", 3);
    f = world_find(spool, "a.tmp");
    assert_int_equal(spool_file_rename(f, "a", 0, NULL, &err), 0);
    spool_file_unref(f);
    copy = world_crash(spool, *state, "copy");
    spool_close(spool);

    (void)snprintf(world.boot, sizeof(world.boot), "boot-2");
    spool = world_spool(copy);
    spool_start(spool);
    world_sync(spool);
    world_assert_object("a", "new", 3);
    assert_false(world_has_object("a.tmp"));
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static struct spool_file *restless;

/* The object is there, its answer is not: meanwhile the file is renamed and comes back. */
static void rename_and_back(enum bucket_op op, unsigned number, enum bucket_moment moment)
{
    struct spool_file *f = restless;
    struct ou_error err = OU_ERROR_INIT;

    (void)number;
    if (op != OP_PUT || moment != MOMENT_APPLIED || !f)
        return;
    restless = NULL;
    assert_int_equal(spool_file_rename(f, "e", 0, NULL, &err), 0);
    assert_int_equal(spool_file_rename(f, "b", 0, NULL, &err), 0);
}

/* The delete of its first name was queued by the first rename. */
static void a_file_that_comes_back_to_its_name_stays_there(void **state)
{
    struct spool_config config = world_config(*state);
    struct spool *spool = world_open(&config);
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *f;

    bucket.hook = rename_and_back;
    spool_start(spool);
    restless = f = world_create(spool, "b");
    world_write(f, "abc", 3, 0);
    assert_int_equal(spool_file_close(f, true, &err), 0);
    world_sync(spool);
    assert_null(restless);
    world_assert_object("b", "abc", 3);
    assert_false(world_has_object("e"));
    spool_file_unref(f);
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static void lose_the_answer(enum bucket_op op, unsigned number, enum bucket_moment moment)
{
    (void)number;
    if (op == OP_COMPLETE && moment == MOMENT_APPLIED)
        bucket.down = true;
}

/*
 * After a crash: "b" was published, nobody knows it, and it is deleted. Its object's end must not
 * be that of the one that gets the name before its upload is looked at.
 */
static void a_new_object_is_not_deleted_for_the_one_before_it(void **state)
{
    static const unsigned char old[SIZE];
    struct spool *spool = world_spool(*state);
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *f;
    int r;

    bucket.hook = lose_the_answer;
    spool_start(spool);
    world_put(spool, "b", old, SIZE);
    while (!bucket.down)
        (void)sched_yield();
    spool_close(spool);
    bucket.hook = NULL;
    bucket.down = false;
    assert_true(world_has_object("b"));

    spool = world_spool(*state);
    bucket_put("a", (const unsigned char *)"new", 3);
    f = world_find(spool, "b");
    assert_int_equal(spool_file_unlink(f, &err), 0);
    spool_file_unref(f);
    f = world_stage(spool, "a");
    r = spool_file_rename(f, "b", ou_now_ms() + 1, NULL, &err);
    spool_start(spool);
    if (r == -ETIMEDOUT)
        r = spool_file_rename(f, "b", 0, NULL, &err);
    assert_int_equal(r, 0);
    spool_file_open(f, false); /* with its last handle it leaves the spool */
    assert_int_equal(spool_file_close(f, false, &err), 0);
    spool_file_unref(f);
    world_sync(spool);
    world_assert_object("b", "new", 3);
    assert_false(world_has_object("a"));
    world_assert_nothing_left(spool);
    spool_close(spool);
}

#define world_test(f) cmocka_unit_test_setup_teardown(f, setup, unit_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(a_delete_of_a_renaming_that_failed_is_never_sent),
        world_test(a_delete_that_fails_alone_is_sent_again),
        world_test(a_power_cut_after_a_rename_finds_one_of_the_two),
        world_test(a_file_that_comes_back_to_its_name_stays_there),
        world_test(a_new_object_is_not_deleted_for_the_one_before_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

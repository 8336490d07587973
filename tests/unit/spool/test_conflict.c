/*
 * The object changes in the bucket while a change of it waits in the spool.
 */
#include "spool_bucket.h"

static int setup(void **state)
{
    struct ou_error err = OU_ERROR_INIT;

    world_reset();
    assert_int_equal(ou_log_configure("error", &err), 0);
    return unit_dir_setup(state);
}

static struct spool *open_with(const char *dir, enum spool_conflict conflict)
{
    struct spool_config config = world_config(dir);

    config.conflict = conflict;
    return world_open(&config);
}

static void put(const char *key, const char *text)
{
    bucket_put(key, (const unsigned char *)text, strlen(text));
}

/* Rewrites "mine" as a whole, while "theirs" is put into the bucket. */
static void change_both(struct spool *spool)
{
    struct spool_file *f;
    struct ou_error err = OU_ERROR_INIT;

    put("a", "base");
    f = world_stage(spool, "a");
    spool_file_open(f, true);
    assert_int_equal(spool_file_truncate(f, 0, &err), 0);
    world_write(f, "mine", 4, 0);
    world_close(f);
    put("a", "theirs");
}

static void overwrite_replaces_what_changed(void **state)
{
    struct spool *spool = open_with(*state, SPOOL_CONFLICT_OVERWRITE);

    change_both(spool);
    spool_start(spool);
    world_sync(spool);
    world_assert_object("a", "mine", 4);
    world_assert_nothing_left(spool);
    spool_close(spool);
}

/* Some of the bytes are in the base only: neither version can be made whole. */
static void bytes_that_are_gone_park_the_file(void **state)
{
    struct spool *spool = open_with(*state, SPOOL_CONFLICT_OVERWRITE);
    struct spool_file *f;
    struct ou_error err = OU_ERROR_INIT;

    put("a", "base");
    f = world_stage(spool, "a");
    spool_file_open(f, true);
    world_write(f, "B", 1, 0);
    world_close(f);
    put("a", "theirs");
    spool_start(spool);
    assert_int_equal(spool_sync(spool, "", 0, NULL, &err), -ESTALE);
    world_assert_object("a", "theirs", 6);
    spool_close(spool);
}

static void attributes_are_for_whatever_is_there(void **state)
{
    struct spool *spool = open_with(*state, SPOOL_CONFLICT_OVERWRITE);
    struct spool_attr attr = {.mode = S_IFREG | 0600};
    struct spool_file *f;
    struct ou_error err = OU_ERROR_INIT;

    put("a", "base");
    f = world_stage(spool, "a");
    assert_int_equal(spool_file_set_attr(f, &attr, SPOOL_SET_MODE, &err), 0);
    put("a", "theirs");
    spool_start(spool);
    world_sync(spool);
    world_assert_object("a", "theirs", 6);
    world_assert_file(f, "theirs", 6);
    spool_file_unref(f);
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static void keep_both_keeps_the_other_beside_it(void **state)
{
    struct spool *spool = open_with(*state, SPOOL_CONFLICT_KEEP_BOTH);
    bool kept = false;

    change_both(spool);
    spool_start(spool);
    world_sync(spool);
    world_assert_object("a", "mine", 4);
    for (size_t i = 0; i < BUCKET_OBJECTS; i++) {
        const struct bucket_object *o = &bucket.objects[i];

        if (o->exists && !strncmp(o->key, "a.conflict-", 11))
            kept = o->bytes.size == 6 && !memcmp(o->bytes.data, "theirs", 6);
    }
    assert_true(kept);
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static void fail_parks_the_file_and_leaves_the_other(void **state)
{
    struct spool *spool = open_with(*state, SPOOL_CONFLICT_FAIL);
    struct ou_error err = OU_ERROR_INIT;

    change_both(spool);
    spool_start(spool);
    assert_int_equal(spool_sync(spool, "", 0, NULL, &err), -ESTALE);
    assert_non_null(strstr(err.message, "conflict=fail"));
    world_assert_object("a", "theirs", 6);
    spool_close(spool);
}

static void a_new_name_that_appeared_meanwhile_is_a_conflict(void **state)
{
    struct spool *spool = open_with(*state, SPOOL_CONFLICT_FAIL);
    struct ou_error err = OU_ERROR_INIT;

    world_put(spool, "a", "mine", 4);
    put("a", "theirs");
    spool_start(spool);
    assert_true(spool_sync(spool, "", 0, NULL, &err) < 0);
    world_assert_object("a", "theirs", 6);
    spool_close(spool);
}

static void what_did_not_change_is_no_conflict(void **state)
{
    struct spool *spool = open_with(*state, SPOOL_CONFLICT_FAIL);
    struct spool_file *f;

    put("a", "base");
    f = world_stage(spool, "a");
    spool_file_open(f, true);
    world_write(f, "B", 1, 0);
    world_close(f);
    spool_start(spool);
    world_sync(spool);
    world_assert_object("a", "Base", 4);
    world_assert_nothing_left(spool);
    spool_close(spool);
}

#define world_test(f) cmocka_unit_test_setup_teardown(f, setup, unit_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(overwrite_replaces_what_changed),
        world_test(bytes_that_are_gone_park_the_file),
        world_test(attributes_are_for_whatever_is_there),
        world_test(keep_both_keeps_the_other_beside_it),
        world_test(fail_parks_the_file_and_leaves_the_other),
        world_test(a_new_name_that_appeared_meanwhile_is_a_conflict),
        world_test(what_did_not_change_is_no_conflict),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

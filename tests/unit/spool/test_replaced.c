/*
 * A file that was never closed takes the name of one that was: kill -9 leaves the one that was,
 * until the new one has a version of its own.
 *
 * A crash is a copy of the spool's directory, which another spool opens.
 */
#include "spool_bucket.h"

#define BIG (500 * KIB)

static int setup(void **state)
{
    world_reset();
    return unit_dir_setup(state);
}

static unsigned char big[BIG], other[BIG];

static int fill(void **state)
{
    struct unit_random random = {1};

    (void)state;
    unit_random_bytes(&random, big, sizeof(big));
    unit_random_bytes(&random, other, sizeof(other));
    return 0;
}

static void rename_to(struct spool_file *f, const char *key)
{
    struct ou_error err = OU_ERROR_INIT;

    if (spool_file_rename(f, key, 0, NULL, &err) < 0)
        fail_msg("%s", err.message);
}

/* A file that was written to, and never closed, under the name @key. */
static struct spool_file *unclosed(struct spool *spool, const char *key, const char *data)
{
    struct spool_file *f = world_create(spool, key);

    world_write(f, data, strlen(data), 0);
    return f;
}

/* "a", which is "old", is closed; now an unclosed file has its name. */
static struct spool_file *replace_a(struct spool *spool, const char *data)
{
    struct spool_file *t;

    world_put(spool, "a", "old", 3);
    t = unclosed(spool, "t", data);
    rename_to(t, "a");
    return t;
}

/* All is in the bucket, @key as @data, and the spool is closed. */
static void sync_and_end(struct spool *spool, const char *key, const char *data)
{
    world_sync(spool);
    world_assert_object(key, data, strlen(data));
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static void assert_nothing_staged(struct spool *spool, const char *key)
{
    struct spool_file *f = NULL;

    assert_int_equal(spool_find(spool, key, &f), 0);
}

/* What a kill -9 of now leaves: @key with these bytes (NULL: no staged file), and at the end in the bucket. */
static void assert_crash_leaves(struct spool *spool, const char *root, const char *key,
                                const void *data, size_t size)
{
    static unsigned number;
    ou_autofree char *copy = NULL;
    struct spool *again;
    struct spool_file *f;
    char name[32];

    (void)snprintf(name, sizeof(name), "crash-%u", number++);
    copy = world_crash(spool, root, name);
    again = world_spool(copy);
    if (data) {
        f = world_find(again, key);
        world_assert_file(f, data, size);
        spool_file_unref(f);
    } else {
        assert_nothing_staged(again, key);
    }
    spool_close(again);
}

static void a_pending_file_outlives_what_never_closed_replaces_it(void **state)
{
    struct spool *spool = world_spool(*state);
    struct spool_file *t;

    t = replace_a(spool, "half of new");
    world_assert_file(t, "half of new", 11);
    assert_crash_leaves(spool, *state, "a", "old", 3);
    assert_crash_leaves(spool, *state, "t", NULL, 0);

    world_write(t, ", whole", 7, 11);
    world_close(t);
    assert_crash_leaves(spool, *state, "a", "half of new, whole", 18);
    spool_start(spool);
    sync_and_end(spool, "a", "half of new, whole");
}

/* The crash of now, and all that it leaves uploaded: the same bucket is used. */
static void recover_and_sync(struct spool *spool, const char *root)
{
    ou_autofree char *copy = world_crash(spool, root, "copy");
    struct spool *again;

    spool_close(spool);
    again = world_spool(copy);
    spool_start(again);
    world_sync(again);
    spool_close(again);
}

static void after_a_crash_the_replaced_file_is_uploaded(void **state)
{
    struct spool *spool = world_spool(*state);
    struct spool_file *t;

    t = replace_a(spool, "new");
    spool_file_unref(t);
    recover_and_sync(spool, *state);
    world_assert_object("a", "old", 3);
    assert_false(world_has_object("t"));
}

static void the_replaced_file_goes_on_to_the_bucket(void **state)
{
    struct spool *spool = world_spool(*state);
    struct spool_file *t;

    t = replace_a(spool, "new");
    spool_start(spool);
    world_sync(spool);
    world_assert_object("a", "old", 3);
    assert_int_equal(world_count_files(spool_dir(spool), ".data"), 1); /* that of the new one */
    world_close(t);
    sync_and_end(spool, "a", "new");
}

static struct spool_file *_Atomic intruder;

/* A part of "a" has arrived: now another file takes its name. */
static void take_the_name(enum bucket_op op, unsigned number, enum bucket_moment moment)
{
    struct spool_file *t = intruder;

    (void)number;
    if (op != OP_PART || moment != MOMENT_APPLIED || !t)
        return;
    intruder = NULL;
    rename_to(t, "a");
}

static void an_upload_under_way_goes_on(void **state)
{
    struct spool *spool = world_spool(*state);
    struct spool_file *t = unclosed(spool, "t", "new");

    intruder = t;
    bucket.hook = take_the_name;
    spool_start(spool);
    world_put(spool, "a", big, BIG);
    world_sync(spool);
    assert_null(intruder);
    while (!world_has_object("a")) /* sync looked before the name was taken, or after */
        (void)sched_yield();
    world_assert_object("a", big, BIG);
    world_close(t);
    sync_and_end(spool, "a", "new");
}

static void an_uploaded_object_moves_with_what_replaced_it(void **state)
{
    struct spool *spool = world_spool(*state);
    struct spool_file *t, *a;

    bucket_put("d/a", big, BIG);
    spool_start(spool);
    a = world_stage(spool, "d/a"); /* as the filesystem does */
    t = unclosed(spool, "d/t", "new");
    rename_to(t, "d/a");
    spool_file_unref(a);
    rename_to(t, "e/a"); /* its folder is renamed */
    world_sync(spool);
    world_assert_object("e/a", big, BIG);
    assert_false(world_has_object("d/a"));
    assert_crash_leaves(spool, *state, "e/a", NULL, 0); /* it is all in the bucket */
    world_close(t);
    world_sync(spool);
    world_assert_object("e/a", "new", 3);
    assert_false(world_has_object("d/a"));
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static void a_pending_file_moves_with_what_replaced_it(void **state)
{
    struct spool *spool = world_spool(*state);
    struct spool_file *t;

    world_put(spool, "a", "old", 3);
    world_put(spool, "b", "other", 5);
    t = unclosed(spool, "t", "new");
    rename_to(t, "a");
    rename_to(t, "b");
    assert_crash_leaves(spool, *state, "b", "old", 3);
    assert_crash_leaves(spool, *state, "a", NULL, 0);
    world_close(t);
    assert_crash_leaves(spool, *state, "b", "new", 3);
    spool_start(spool);
    world_sync(spool);
    world_assert_object("b", "new", 3);
    assert_false(world_has_object("a"));
    world_assert_nothing_left(spool);
    spool_close(spool);
}

/* Its object has changed bytes pending: the rest of it must be copied. */
static void a_changed_object_moves_with_what_replaced_it(void **state)
{
    struct spool_config config = world_config(*state);
    struct spool_file *t, *a;
    struct spool *spool;

    config.settle_ms = 3600000; /* what is not crashed goes on: it must not upload */
    spool = world_open(&config);
    bucket_put("a", big, BIG);
    a = world_stage(spool, "a");
    spool_file_open(a, true);
    world_write(a, other, 1, 0);
    world_close(a);
    t = unclosed(spool, "t", "new");
    rename_to(t, "a");
    spool_start(spool);
    rename_to(t, "b");
    spool_file_unref(t);
    recover_and_sync(spool, *state);
    memcpy(other + 1, big + 1, BIG - 1);
    world_assert_object("b", other, BIG);
    assert_false(world_has_object("a"));
}

static void of_two_never_closed_the_first_one_goes(void **state)
{
    struct spool *spool = world_spool(*state);
    struct spool_file *t, *u;

    world_put(spool, "a", "old", 3);
    t = unclosed(spool, "t", "first");
    u = unclosed(spool, "u", "second");
    rename_to(t, "a");
    rename_to(u, "a");
    world_assert_file(u, "second", 6);
    world_assert_file(t, "first", 5); /* it is open, without a name */
    assert_crash_leaves(spool, *state, "a", "old", 3);
    world_close(t);
    assert_crash_leaves(spool, *state, "a", "old", 3);
    world_close(u);
    assert_crash_leaves(spool, *state, "a", "second", 6);
    spool_start(spool);
    sync_and_end(spool, "a", "second");
}

static void a_closed_file_takes_the_place_of_all_before(void **state)
{
    struct spool *spool = world_spool(*state);
    struct spool_file *t, *u;

    t = replace_a(spool, "never");
    world_put(spool, "u", "closed", 6);
    u = world_find(spool, "u");
    rename_to(u, "a");
    spool_file_unref(u);
    assert_crash_leaves(spool, *state, "a", "closed", 6);
    world_close(t);
    assert_crash_leaves(spool, *state, "a", "closed", 6);
    assert_int_equal(world_count_files(spool_dir(spool), ".ckpt"), 1);
    spool_start(spool);
    sync_and_end(spool, "a", "closed");
}

static void unlinking_takes_both_away(void **state)
{
    struct spool *spool = world_spool(*state);
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *t;

    t = replace_a(spool, "new");
    assert_int_equal(spool_file_unlink(t, &err), 0);
    assert_nothing_staged(spool, "a");
    assert_crash_leaves(spool, *state, "a", NULL, 0);
    assert_crash_leaves(spool, *state, "t", NULL, 0);
    world_close(t);
    spool_start(spool);
    world_sync(spool);
    assert_false(world_has_object("a"));
    world_assert_nothing_left(spool);
    spool_close(spool);
}

/* A daemon that dies while it unlinks has written the delete, and nothing else. */
static void a_delete_is_the_end_of_both(void **state)
{
    struct spool *spool = world_spool(*state);
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *t;

    t = replace_a(spool, "new");
    assert_int_equal(spool_deletes_add(spool, "a", NULL, &err), 0);
    assert_crash_leaves(spool, *state, "a", NULL, 0);
    world_close(t);
    spool_close(spool);
}

/* Who has the replaced file open writes to a file without a name. */
static void the_replaced_file_takes_no_new_version(void **state)
{
    struct spool *spool = world_spool(*state);
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *a, *t;

    world_put(spool, "a", "old", 3);
    a = world_find(spool, "a");
    spool_file_open(a, true);
    world_write(a, "O", 1, 0);
    t = unclosed(spool, "t", "new");
    rename_to(t, "a");
    world_write(a, "LATER", 5, 1);
    world_assert_file(a, "OLATER", 6);
    assert_int_equal(spool_file_sync(a, &err), 0);
    assert_crash_leaves(spool, *state, "a", "old", 3);
    world_close(a);
    assert_crash_leaves(spool, *state, "a", "old", 3);
    spool_start(spool);
    world_sync(spool);
    world_assert_object("a", "old", 3);
    world_close(t);
    sync_and_end(spool, "a", "new");
}

/* The replaced version was fsynced; what replaces it is closed only. */
static void a_power_cut_finds_one_of_the_two(void **state)
{
    struct spool *spool = world_spool(*state);
    struct spool_file *a = world_create(spool, "a"), *t;
    struct ou_error err = OU_ERROR_INIT;

    world_write(a, "old", 3, 0);
    assert_int_equal(spool_file_sync(a, &err), 0);
    world_close(a);
    t = unclosed(spool, "t", "new");
    rename_to(t, "a");
    world_close(t);
    (void)snprintf(world.boot, sizeof(world.boot), "boot-2");
    assert_crash_leaves(spool, *state, "a", "old", 3); /* nothing was dropped yet */
    t = world_find(spool, "a");
    assert_int_equal(spool_replaced_settle(t, &err), 0);
    spool_file_unref(t);
    assert_crash_leaves(spool, *state, "a", "new", 3);
    spool_close(spool);
}

static void a_spool_that_is_closed_keeps_the_replaced_file(void **state)
{
    struct spool *spool = world_spool(*state);
    struct spool_file *t;

    t = replace_a(spool, "new");
    spool_file_unref(t); /* its handle was given up */
    spool_close(spool);
    spool = world_spool(*state);
    t = world_find(spool, "a");
    world_assert_file(t, "old", 3);
    spool_file_unref(t);
    spool_close(spool);
}

static struct spool_file *_Atomic replacing;
static atomic_bool was_replaced, may_end;

/* The object is there, its answer is lost, and the daemon with it: meanwhile it was replaced. */
static void replace_when_put(enum bucket_op op, unsigned number, enum bucket_moment moment)
{
    struct spool_file *u = replacing;

    (void)number;
    if (op != OP_PUT || moment != MOMENT_APPLIED || !u)
        return;
    replacing = NULL;
    rename_to(u, "a");
    was_replaced = true;
    while (!may_end)
        (void)sched_yield();
}

/* As if it had been published before the crash. */
static void take_from(struct spool *spool, const char *copy, const struct spool_file *f)
{
    char name[8192];

    for (int i = 0; i < 2; i++) {
        (void)snprintf(name, sizeof(name), "%s%s/%s%s", copy, strrchr(spool_dir(spool), '/'), f->id,
                       i ? ".data" : ".ckpt");
        assert_int_equal(unlink(name), 0);
    }
}

/*
 * What was being published when another file took its name is not known to be there. Nobody must
 * delete it on its behalf: by then the other file may lie there.
 */
static void a_replaced_file_never_deletes_what_replaced_it(void **state)
{
    struct spool *spool = world_spool(*state);
    ou_autofree char *copy = NULL;
    struct spool_file *u;

    world_put(spool, "u", "new", 3);
    u = world_find(spool, "u");
    replacing = u;
    bucket.hook = replace_when_put;
    ou_mutex_lock(&u->lock);
    u->held++; /* nothing of it is sent for now */
    ou_mutex_unlock(&u->lock);
    spool_start(spool);
    world_put(spool, "a", "old", 3);
    while (!was_replaced)
        (void)sched_yield();
    copy = world_crash(spool, *state, "copy"); /* the sidecar of the old one is there still */
    take_from(spool, copy, u);
    may_end = true;
    ou_mutex_lock(&u->lock);
    u->held--;
    spool_file_plan_locked(u);
    ou_mutex_unlock(&u->lock);
    spool_file_unref(u);
    sync_and_end(spool, "a", "new");

    spool = world_spool(copy);
    spool_start(spool);
    sync_and_end(spool, "a", "new");
}

#define world_test(f) cmocka_unit_test_setup_teardown(f, setup, unit_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(a_pending_file_outlives_what_never_closed_replaces_it),
        world_test(after_a_crash_the_replaced_file_is_uploaded),
        world_test(the_replaced_file_goes_on_to_the_bucket),
        world_test(an_upload_under_way_goes_on),
        world_test(an_uploaded_object_moves_with_what_replaced_it),
        world_test(a_pending_file_moves_with_what_replaced_it),
        world_test(a_changed_object_moves_with_what_replaced_it),
        world_test(of_two_never_closed_the_first_one_goes),
        world_test(a_closed_file_takes_the_place_of_all_before),
        world_test(unlinking_takes_both_away),
        world_test(a_delete_is_the_end_of_both),
        world_test(the_replaced_file_takes_no_new_version),
        world_test(a_power_cut_finds_one_of_the_two),
        world_test(a_spool_that_is_closed_keeps_the_replaced_file),
        world_test(a_replaced_file_never_deletes_what_replaced_it),
    };

    return cmocka_run_group_tests(tests, fill, NULL);
}

/*
 * What cannot be uploaded for now is kept, shown, told, and tried again; what a program must not
 * rely on is told at once.
 */
#include "spool_bucket.h"

static int setup(void **state)
{
    world_reset();
    return unit_dir_setup(state);
}

static void deny_puts(void)
{
    ou_lock_scope(&bucket.lock);
    bucket_rule(OP_PUT, 0, FAULT_DENIED);
}

static void allow_puts(void)
{
    ou_lock_scope(&bucket.lock);
    bucket.rule_count = 0;
}

static struct ou_json *status(struct spool *spool)
{
    struct ou_buf json = {0};
    struct ou_error err = OU_ERROR_INIT;
    struct ou_json *root = NULL;

    ou_buf_adds(&json, "{");
    spool_status(spool, &json);
    ou_buf_adds(&json, "}");
    assert_int_equal(ou_json_parse(json.data, json.len, &root, &err), 0);
    ou_buf_fini(&json);
    return root;
}

static void a_refused_upload_is_parked_shown_and_resumed(void **state)
{
    struct spool *spool = world_spool(*state);
    struct ou_error err = OU_ERROR_INIT;
    struct spool_pending p;
    struct ou_json *root;
    const struct ou_json *item;

    spool_start(spool);
    deny_puts();
    world_put(spool, "a", "x", 1);
    assert_int_equal(spool_sync(spool, "", 0, NULL, &err), -EACCES);
    assert_non_null(strstr(err.message, "a cannot be uploaded"));

    spool_pending(spool, "", &p);
    assert_int_equal(p.files, 1);
    assert_int_equal(p.failed, 1);
    root = status(spool);
    item = ou_json_at(ou_json_get(root, "failed"), 0);
    assert_string_equal(ou_json_string(item, "key"), "a");
    assert_string_equal(ou_json_string(item, "code"), "AccessDenied");
    assert_non_null(ou_json_string(item, "way_out"));
    assert_int_equal(ou_json_length(ou_json_get(root, "uploads")), 0);
    ou_json_free(root);

    allow_puts();
    spool_reload(spool);
    world_sync(spool);
    world_assert_object("a", "x", 1);
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static void the_error_of_an_upload_is_told_once(void **state)
{
    struct spool *spool = world_spool(*state);
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *f;

    spool_start(spool);
    deny_puts();
    world_put(spool, "a", "x", 1);
    assert_int_equal(spool_sync(spool, "", 0, NULL, &err), -EACCES);
    f = world_find(spool, "a");
    spool_file_open(f, true);
    assert_int_equal(spool_file_sync(f, &err), -EACCES);
    assert_int_equal(spool_file_sync(f, &err), 0);
    /* It still reads and writes. */
    world_write(f, "yz", 2, 1);
    world_assert_file(f, "xyz", 3);
    allow_puts();
    world_close(f);
    spool_reload(spool);
    world_sync(spool);
    world_assert_object("a", "xyz", 3);
    spool_close(spool);
}

static void a_parked_file_is_listed_unmounted_and_tried_again_at_mount(void **state)
{
    struct spool *spool = world_spool(*state);
    struct ou_error err = OU_ERROR_INIT;

    spool_start(spool);
    deny_puts();
    world_put(spool, "a", "x", 1);
    assert_int_equal(spool_sync(spool, "", 0, NULL, &err), -EACCES);
    spool_close(spool);
    allow_puts();
    spool = world_spool(*state);
    spool_start(spool);
    world_sync(spool);
    world_assert_object("a", "x", 1);
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static void close_upload_returns_the_error(void **state)
{
    struct spool *spool = world_spool(*state);
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *f = world_create(spool, "a");

    spool_start(spool);
    deny_puts();
    world_write(f, "x", 1, 0);
    assert_int_equal(spool_file_upload(f, 0, NULL, &err), -EACCES);
    allow_puts();
    assert_int_equal(spool_file_upload(f, 0, NULL, &err), 0);
    world_assert_object("a", "x", 1); /* though a writer has it open */
    world_close(f);
    world_sync(spool);
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static void *trigger(void *arg)
{
    ou_cancel_trigger(arg);
    return NULL;
}

static void a_wait_for_the_bucket_can_be_interrupted(void **state)
{
    struct spool *spool = world_spool(*state);
    struct ou_cancel *cancel = ou_cancel_new();
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *f = world_create(spool, "a");
    pthread_t thread;

    bucket.down = true;
    spool_start(spool);
    world_write(f, "x", 1, 0);
    assert_int_equal(ou_thread_start(&thread, "trigger", trigger, cancel, &err), 0);
    assert_int_equal(spool_file_upload(f, 0, cancel, &err), -EINTR);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(spool_file_upload(f, ou_now_ms() + 20, NULL, &err), -ETIMEDOUT);
    bucket.down = false;
    world_close(f);
    world_sync(spool);
    world_assert_object("a", "x", 1);
    ou_cancel_unref(cancel);
    spool_close(spool);
}

/* -- open files -- */

static bool is_published(void)
{
    return world.published > 0;
}

static void wait_for(bool (*happened)(void))
{
    uint64_t deadline = ou_now_ms() + 60000;

    while (!happened()) {
        assert_true(ou_now_ms() < deadline);
        (void)sched_yield();
    }
}

static void an_fsynced_version_is_published_while_the_file_stays_open(void **state)
{
    struct spool *spool = world_spool(*state);
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *f = world_create(spool, "log");

    spool_start(spool);
    world_write(f, "one", 3, 0);
    assert_int_equal(spool_file_sync(f, &err), 0);
    world_write(f, "two", 3, 3); /* not fsynced: not part of it */
    wait_for(is_published);
    world_assert_object("log", "one", 3);
    world_assert_file(f, "onetwo", 6);
    world_close(f);
    world_sync(spool);
    world_assert_object("log", "onetwo", 6);
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static void a_quiet_open_file_is_published(void **state)
{
    struct spool_config config = world_config(*state);
    struct spool *spool;
    struct spool_file *f;

    config.open_flush_ms = 20;
    spool = world_open(&config);
    spool_start(spool);
    f = world_create(spool, "log");
    world_write(f, "one", 3, 0);
    wait_for(is_published);
    world_assert_object("log", "one", 3);
    world_close(f);
    spool_close(spool);
}

static void what_was_not_fsynced_is_not_published_while_it_is_written(void **state)
{
    struct spool *spool = world_spool(*state);
    struct spool_file *f = world_create(spool, "open");

    spool_start(spool);
    world_write(f, "half", 4, 0);
    world_put(spool, "other", "x", 1);
    world_sync(spool);
    assert_false(world_has_object("open"));
    world_close(f);
    world_sync(spool);
    world_assert_object("open", "half", 4);
    spool_close(spool);
}

/* -- writes that fail -- */

static bool disk_is_full;

ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t offset)
{
    if (!disk_is_full)
        return __real_pwrite64(fd, buf, len, offset);
    errno = ENOSPC;
    return -1;
}

static void a_file_whose_write_failed_is_not_uploaded_until_it_was_repeated(void **state)
{
    struct spool *spool = world_spool(*state);
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *f = world_create(spool, "a");
    struct spool_pending p;

    spool_start(spool);
    world_write(f, "first", 5, 0);
    assert_int_equal(spool_file_flush(f, &err), 0);
    disk_is_full = true;
    assert_int_equal(spool_file_write(f, "second", 6, 5, NULL, &err), -ENOSPC);
    disk_is_full = false;
    assert_int_equal(spool_file_flush(f, &err), -ENOSPC);
    spool_pending(spool, "", &p);
    assert_int_equal(p.failed, 1);
    world_write(f, "xx", 2, 0); /* elsewhere: does not help */
    assert_int_equal(spool_file_flush(f, &err), -ENOSPC);
    world_write(f, "second", 6, 5);
    assert_int_equal(spool_file_flush(f, &err), 0);
    world_close(f);
    world_sync(spool);
    world_assert_object("a", "xxrstsecond", 11);
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static void a_full_disk_loses_no_closed_file(void **state)
{
    struct spool *spool = world_spool(*state), *after;
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *f = world_create(spool, "a");
    ou_autofree char *copy = NULL;

    world_write(f, "first", 5, 0);
    assert_int_equal(spool_file_flush(f, &err), 0);
    world_write(f, "SECOND", 6, 0);
    disk_is_full = true; /* the journal cannot grow either */
    assert_int_equal(spool_file_flush(f, &err), -ENOSPC);
    copy = world_crash(spool, *state, "copy");
    disk_is_full = false;
    assert_int_equal(spool_file_flush(f, &err), 0);
    world_close(f);
    spool_close(spool);

    after = world_spool(copy);
    f = world_find(after, "a");
    world_assert_file(f, "first", 5);
    spool_file_unref(f);
    spool_close(after);
}

/* -- space -- */

static void a_full_spool_waits_for_uploads_and_then_says_so(void **state)
{
    struct spool_config config = world_config(*state);
    ou_autofree unsigned char *data = calloc(1, 64 * KIB);
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *f;
    struct spool *spool;
    char key[16];

    config.spool_size = 256 * KIB;
    config.settle_ms = 3600000; /* room is made all the same */
    spool = world_open(&config);
    spool_start(spool);
    for (int i = 0; i < 40; i++) { /* ten times what fits */
        (void)snprintf(key, sizeof(key), "k%d", i);
        world_put(spool, key, data, 64 * KIB);
    }
    f = world_create(spool, "big");
    for (int i = 0; i < 3; i++)
        world_write(f, data, 64 * KIB, (uint64_t)i * 64 * KIB);
    world_sync(spool);
    /* Only this file is left, and it is open: nothing will make room. */
    assert_int_equal(spool_file_write(f, data, 64 * KIB, 192 * KIB, NULL, &err), 64 * KIB);
    assert_int_equal(spool_file_write(f, data, 64 * KIB, 256 * KIB, NULL, &err), -ENOSPC);
    assert_non_null(strstr(err.message, "spool_size"));
    assert_int_equal(spool_file_truncate(f, 0, &err), 0);
    world_close(f);
    world_sync(spool);
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static void what_was_rewritten_takes_its_place_once(void **state)
{
    struct spool *spool = world_spool(*state);
    ou_autofree unsigned char *data = calloc(1, 256 * KIB);
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *f = world_create(spool, "a");
    uint64_t used, disk_free;
    unsigned waiting;

    for (int i = 0; i < 20; i++) {
        memset(data, i + 1, 256 * KIB);
        world_write(f, data, 256 * KIB, 0);
        assert_int_equal(spool_file_flush(f, &err), 0);
    }
    spool_space_numbers(spool, &used, &disk_free, &waiting);
    assert_in_range(used, 256 * KIB, 256 * KIB + 64 * KIB);
    world_assert_file(f, data, 256 * KIB);
    world_close(f);
    spool_close(spool);
}

struct cut {
    struct spool_file *file;
    atomic_bool done;
};

static void *cut_to_nothing(void *arg)
{
    struct cut *c = arg;
    struct ou_error err = OU_ERROR_INIT;

    assert_int_equal(spool_file_truncate(c->file, 0, &err), 0);
    c->done = true;
    return NULL;
}

/* An upload that reads just then is waited for; it would have kept the room for ever. */
static void what_was_cut_while_it_was_read_gives_its_room_back(void **state)
{
    struct spool *spool = world_spool(*state);
    ou_autofree unsigned char *data = calloc(1, 256 * KIB);
    struct ou_error err = OU_ERROR_INIT;
    struct cut cut = {.file = world_create(spool, "a")};
    uint64_t used, disk_free;
    pthread_t thread;
    bool waits = false;
    unsigned waiting, epoch;

    world_write(cut.file, data, 256 * KIB, 0);
    ou_mutex_lock(&cut.file->lock); /* a reader begins */
    epoch = cut.file->epoch;
    cut.file->reading[epoch]++;
    ou_mutex_unlock(&cut.file->lock);
    assert_int_equal(ou_thread_start(&thread, "cut", cut_to_nothing, &cut, &err), 0);
    while (!waits && !cut.done) {
        ou_lock_scope(&cut.file->lock);
        waits = cut.file->epoch != epoch;
    }
    ou_mutex_lock(&cut.file->lock); /* and ends */
    cut.file->reading[epoch]--;
    (void)pthread_cond_broadcast(&cut.file->changed);
    ou_mutex_unlock(&cut.file->lock);
    assert_int_equal(pthread_join(thread, NULL), 0);
    spool_space_numbers(spool, &used, &disk_free, &waiting);
    assert_int_equal(used, 0);
    world_close(cut.file);
    spool_close(spool);
}

#define world_test(f) cmocka_unit_test_setup_teardown(f, setup, unit_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(a_refused_upload_is_parked_shown_and_resumed),
        world_test(the_error_of_an_upload_is_told_once),
        world_test(a_parked_file_is_listed_unmounted_and_tried_again_at_mount),
        world_test(close_upload_returns_the_error),
        world_test(a_wait_for_the_bucket_can_be_interrupted),
        world_test(an_fsynced_version_is_published_while_the_file_stays_open),
        world_test(a_quiet_open_file_is_published),
        world_test(what_was_not_fsynced_is_not_published_while_it_is_written),
        world_test(a_file_whose_write_failed_is_not_uploaded_until_it_was_repeated),
        world_test(a_full_disk_loses_no_closed_file),
        world_test(a_full_spool_waits_for_uploads_and_then_says_so),
        world_test(what_was_rewritten_takes_its_place_once),
        world_test(what_was_cut_while_it_was_read_gives_its_room_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

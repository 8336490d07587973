/*
 * Promise: a file larger than the whole spool passes when it is written in order, whatever an upload
 * of the version before it has left: one that waits for the writer, one that a crash has cut off,
 * one of which nobody knows whether it was published.
 */
#include "spool_bucket.h"

#define OLD   (300 * KIB) /* what was closed before */
#define LARGE (1500 * KIB)
#define CHUNK (20 * KIB)

static unsigned char old[OLD], large[OLD + LARGE];

/* The request that waits until it is let go, or the daemon dies. */
static struct {
    _Atomic enum bucket_op op;
    enum bucket_moment moment;
    atomic_bool reached;
    atomic_uint completed;
} held;

static void hold(enum bucket_op op, enum bucket_moment moment)
{
    held.reached = false;
    held.moment = moment;
    held.op = op;
}

static void on_request(enum bucket_op op, unsigned number, enum bucket_moment moment)
{
    (void)number;
    if (op == OP_COMPLETE && moment == MOMENT_APPLIED)
        held.completed++;
    if (op != held.op || moment != held.moment)
        return;
    held.reached = true;
    while (held.op == op)
        (void)sched_yield();
}

static void await_held(void)
{
    while (!held.reached)
        (void)sched_yield();
}

static unsigned requests(enum bucket_op op)
{
    ou_lock_scope(&bucket.lock);
    return bucket.op_count[op];
}

static struct spool_config begin(const char *dir)
{
    struct unit_random rng = {.state = 4711};
    struct spool_config config = world_config(dir);

    world_reset();
    bucket.hook = on_request;
    held.op = OP_ANY;
    held.completed = 0;
    unit_random_bytes(&rng, old, sizeof(old));
    unit_random_bytes(&rng, large, sizeof(large));
    config.early = true;
    config.spool_size = 1200 * KIB;
    return config;
}

static struct spool *open_spool(const struct spool_config *config)
{
    struct spool *spool = world_open(config);

    spool_start(spool);
    return spool;
}

/* The daemon dies while the request is held, and comes again; now nothing of itself begins. */
static struct spool *die_and_return(struct spool *spool, struct spool_config *config)
{
    await_held();
    bucket.down = true;
    held.op = OP_ANY;
    spool_close(spool);
    bucket.down = false;
    config->settle_ms = 3600000;
    return open_spool(config);
}

static void write_in_order(struct spool_file *f, uint64_t from, uint64_t to)
{
    for (uint64_t at = from; at < to; at += CHUNK)
        world_write(f, large + at, to - at < CHUNK ? (size_t)(to - at) : CHUNK, at);
}

static struct spool_file *open_again(struct spool *spool)
{
    struct spool_file *f = world_find(spool, "k");

    spool_file_open(f, true);
    return f;
}

static void cut_to_nothing(struct spool_file *f)
{
    assert_int_equal(spool_file_truncate(f, 0, &(struct ou_error){0}), 0);
}

static void assert_passed(struct spool *spool, struct spool_file *f, uint64_t size)
{
    world_close(f);
    world_sync(spool);
    world_assert_object("k", large, size);
    world_assert_nothing_left(spool);
    spool_close(spool);
}

static void attributes_may_be_in_the_bucket(void **state)
{
    struct spool_config config = begin(*state);
    struct spool_attr attr = {.mode = S_IFREG | 0600};
    struct spool *spool = open_spool(&config);
    struct spool_file *f;

    world_put(spool, "k", old, OLD);
    world_sync(spool);
    f = world_stage(spool, "k");
    hold(OP_COPY, MOMENT_BEGIN);
    bucket_rule(OP_COPY, 1, FAULT_UNANSWERED);
    assert_int_equal(spool_file_set_attr(f, &attr, SPOOL_SET_MODE, &(struct ou_error){0}), 0);
    await_held();
    spool_file_open(f, true);
    cut_to_nothing(f);
    write_in_order(f, 0, 200 * KIB);
    assert_int_equal(spool_file_flush(f, &(struct ou_error){0}), 0);
    held.op = OP_ANY;
    while (requests(OP_INITIATE) < 2) /* the version of the flush is to go instead */
        (void)sched_yield();
    write_in_order(f, 200 * KIB, LARGE);
    assert_passed(spool, f, LARGE);
}

/* The upload of a closed version is cut off there; then the file is written anew. */
static void cut_off_at(const char *dir, enum bucket_op op, enum bucket_moment moment)
{
    struct spool_config config = begin(dir);
    struct spool *spool = open_spool(&config);
    struct spool_file *f;

    hold(op, moment);
    world_put(spool, "k", old, OLD);
    spool = die_and_return(spool, &config);
    f = open_again(spool);
    cut_to_nothing(f);
    write_in_order(f, 0, LARGE);
    assert_passed(spool, f, LARGE);
}

static void an_upload_id_is_left(void **state)
{
    cut_off_at(*state, OP_PART, MOMENT_BEGIN);
}

static void an_upload_id_was_never_heard_of(void **state)
{
    cut_off_at(*state, OP_INITIATE, MOMENT_APPLIED);
}

static void it_may_be_published_and_was_not(void **state)
{
    cut_off_at(*state, OP_COMPLETE, MOMENT_BEGIN);
}

static void it_may_be_published_and_was(void **state)
{
    cut_off_at(*state, OP_COMPLETE, MOMENT_APPLIED);
}

static void it_may_be_published_and_is_appended_to(void **state)
{
    struct spool_config config = begin(*state);
    struct spool *spool = open_spool(&config);
    struct spool_file *f;

    world_put(spool, "k", old, OLD);
    world_sync(spool);
    f = world_stage(spool, "k");
    spool_file_open(f, true);
    write_in_order(f, 0, OLD);
    hold(OP_COMPLETE, MOMENT_APPLIED);
    world_close(f);
    spool = die_and_return(spool, &config);
    f = open_again(spool);
    write_in_order(f, OLD, OLD + LARGE);
    assert_passed(spool, f, OLD + LARGE);
}

static void what_was_fsynced_was_on_its_way(void **state)
{
    struct spool_config config = begin(*state);
    struct spool *spool = open_spool(&config);
    struct spool_file *f = world_create(spool, "k");

    hold(OP_COMPLETE, MOMENT_BEGIN);
    world_write(f, old, OLD, 0);
    assert_int_equal(spool_file_sync(f, &(struct ou_error){0}), 0);
    spool = die_and_return(spool, &config);
    f = open_again(spool);
    cut_to_nothing(f);
    write_in_order(f, 0, LARGE);
    assert_passed(spool, f, LARGE);
}

/* Nobody else has these bytes: it is published before the version that is being written. */
static void a_closed_version_is_in_its_parts_only(void **state)
{
    struct spool_config config = begin(*state);
    struct spool *spool = open_spool(&config);
    struct spool_file *f = world_create(spool, "k");

    hold(OP_COMPLETE, MOMENT_BEGIN);
    write_in_order(f, 0, LARGE);
    world_close(f);
    spool = die_and_return(spool, &config);
    f = open_again(spool);
    cut_to_nothing(f);
    write_in_order(f, 0, LARGE);
    assert_int_equal(held.completed, 1);
    assert_passed(spool, f, LARGE);
    assert_int_equal(held.completed, 2);
}

/* What it held of the object is of no use to anybody once it was cut off. */
static void a_published_version_makes_room(void **state)
{
    struct spool_config config = begin(*state);
    struct spool *spool = open_spool(&config);
    struct spool_file *f = world_create(spool, "k");
    const uint64_t size = 1160 * KIB;

    write_in_order(f, 0, size);
    assert_int_equal(spool_file_upload(f, ou_now_ms() + 60000, NULL, &(struct ou_error){0}), 0);
    cut_to_nothing(f);
    write_in_order(f, 0, size);
    assert_passed(spool, f, size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_in_dir(attributes_may_be_in_the_bucket),
        unit_test_in_dir(an_upload_id_is_left),
        unit_test_in_dir(an_upload_id_was_never_heard_of),
        unit_test_in_dir(it_may_be_published_and_was_not),
        unit_test_in_dir(it_may_be_published_and_was),
        unit_test_in_dir(it_may_be_published_and_is_appended_to),
        unit_test_in_dir(what_was_fsynced_was_on_its_way),
        unit_test_in_dir(a_closed_version_is_in_its_parts_only),
        unit_test_in_dir(a_published_version_makes_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

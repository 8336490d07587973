/*
 * Property: a file that stays open and is fsynced again and again reaches the bucket, each time as
 * it was at one moment (fsynced, or quiet for open_flush, which is next to nothing here), whatever
 * is written meanwhile and whatever OSS answers.
 */
#include "spool_bucket.h"

#define SIZE      (400 * KIB)
#define STEPS     400
#define HISTORIES 12

static unsigned char live[SIZE], synced[SIZE];
static uint64_t live_size, synced_size;
static struct unit_random rng;
static uint64_t versions[4 * STEPS + 2];
static atomic_uint version_count;
static unsigned synced_at;

static void note_moment(void)
{
    versions[version_count] = ou_crc64(0, live, live_size);
    version_count++;
}

static void note_version(void)
{
    synced_at = version_count;
    note_moment();
    memcpy(synced, live, live_size);
    synced_size = live_size;
}

/* What a crash leaves: what was fsynced, or a quiet moment after it. */
static void assert_some_moment(struct spool_file *f)
{
    struct spool_attr attr;
    struct ou_error err = OU_ERROR_INIT;
    bool known = false;
    uint64_t crc64;

    memset(live, 0, SIZE);
    spool_file_times(f, &attr, &live_size);
    assert_int_equal(spool_file_read(f, live, SIZE, 0, NULL, &err), live_size);
    crc64 = ou_crc64(0, live, live_size);
    for (unsigned v = synced_at; v < version_count; v++)
        known |= versions[v] == crc64;
    assert_true(known);
}

/* Called after a request took effect, in the thread that made it. */
static void check_bucket(enum bucket_op op, unsigned number, enum bucket_moment moment)
{
    unsigned n = version_count;
    bool known = false;

    (void)number;
    if (moment != MOMENT_APPLIED || (op != OP_PUT && op != OP_COMPLETE))
        return;
    ou_lock_scope(&bucket.lock);
    for (unsigned v = 0; v < n; v++)
        known |= versions[v] == bucket_find("k")->bytes.crc64;
    if (!known) {
        (void)fprintf(stderr, "a version that nobody fsynced\n");
        abort();
    }
}

static void write_somewhere(struct spool_file *f)
{
    uint64_t offset = unit_random_below(&rng, 3) ? live_size : unit_random_below(&rng, live_size);
    size_t len = 1 + unit_random_below(&rng, unit_random_below(&rng, 4) ? 3000 : 60000);

    if (offset + len > SIZE)
        return;
    unit_random_bytes(&rng, live + offset, len < 100 ? len : 100);
    if (offset + len > live_size)
        live_size = offset + len;
    note_moment();
    world_write(f, live + offset, len, offset);
}

static void step(struct spool_file *f)
{
    struct ou_error err = OU_ERROR_INIT;

    write_somewhere(f);
    if (!unit_random_below(&rng, 40)) {
        live_size = 1 + unit_random_below(&rng, live_size);
        memset(live + live_size, 0, SIZE - live_size);
        note_moment();
        assert_int_equal(spool_file_truncate(f, live_size, &err), 0);
    }
    if (!unit_random_below(&rng, 3)) {
        note_version();
        assert_int_equal(spool_file_sync(f, &err), 0);
    }
    if (!unit_random_below(&rng, 20)) {
        note_version();
        assert_int_equal(spool_file_upload(f, ou_now_ms() + 60000, NULL, &err), 0);
        world_assert_object("k", synced, synced_size);
    }
}

static void some_faults(void)
{
    static const enum bucket_fault faults[] = {FAULT_LOST, FAULT_UNAVAILABLE, FAULT_UNANSWERED};

    ou_lock_scope(&bucket.lock);
    bucket.rule_count = 0;
    memset(bucket.op_count, 0, sizeof(bucket.op_count));
    for (int i = 0; i < 8; i++)
        bucket_rule(1 + (enum bucket_op)unit_random_below(&rng, OP_COUNT - 1),
                    1 + (unsigned)unit_random_below(&rng, 4), faults[unit_random_below(&rng, 3)]);
}

static struct spool_file *reopen(struct spool *spool)
{
    struct spool_file *f = NULL;

    if (!spool_find(spool, "k", &f))
        f = world_stage(spool, "k");
    assert_some_moment(f);
    spool_file_open(f, true);
    return f;
}

static void run(const char *root, uint64_t seed)
{
    struct spool_config config;
    struct spool_pending p;
    struct spool *spool;
    struct spool_file *f;
    char dir[4096];

    world_reset();
    version_count = 0;
    live_size = 1;
    memset(live, 0, SIZE);
    synced_at = 0;
    rng.state = seed * 15485863;
    (void)snprintf(dir, sizeof(dir), "%s/%d", root, (int)seed);
    config = world_config(dir);
    config.open_flush_ms = 1;
    note_version();
    bucket_put("k", live, 1);
    bucket.hook = check_bucket;
    spool = world_open(&config);
    spool_start(spool);
    f = reopen(spool);
    for (int i = 0; i < STEPS; i++) {
        world_forget_ended_uploads();
        step(f);
        if (!unit_random_below(&rng, 30))
            some_faults();
        if (unit_random_below(&rng, 100))
            continue;
        bucket.down = true; /* a crash: the network goes, and all that is in memory */
        spool_close(spool);
        bucket.down = false;
        spool = world_open(&config);
        spool_start(spool);
        f = reopen(spool);
    }
    note_version();
    world_close(f);
    world_sync(spool);
    world_assert_object("k", live, live_size);
    spool_pending(spool, "", &p);
    assert_int_equal(p.files, 0);
    /* What was written before the first fsync of a run that crashed is kept, for `spool list`. */
    spool_close(spool);
}

static void an_open_file_is_published_as_what_was_fsynced(void **state)
{
    const char *first = getenv("OSSUP_SEED");
    uint64_t from = first ? strtoull(first, NULL, 10) : 1;
    struct ou_error err = OU_ERROR_INIT;

    (void)ou_log_configure(getenv("OSSUP_LOG") ? getenv("OSSUP_LOG") : "error", &err);
    for (uint64_t seed = from; seed < from + HISTORIES; seed++)
        run(*state, seed);
}

/* The header of a database is rewritten with every commit, and no commit waits for a part. */
static void a_file_that_never_pauses_is_published_all_the_same(void **state)
{
    struct spool_config config = world_config(*state);
    uint64_t deadline = ou_now_ms() + 60000;
    struct ou_error err = OU_ERROR_INIT;
    struct spool *spool;
    struct spool_file *f;

    world_reset();
    config.open_flush_ms = 50;
    spool = world_open(&config);
    spool_start(spool);
    f = world_create(spool, "db");
    memset(live, 1, SIZE);
    world_write(f, live, SIZE, 0);
    while (world.published < 3) {
        world_forget_ended_uploads();
        world_write(f, &(uint64_t){ou_now_ms()}, 8, 0);
        assert_int_equal(spool_file_sync(f, &err), 0);
        assert_true(ou_now_ms() < deadline);
    }
    world_close(f);
    world_sync(spool);
    world_assert_nothing_left(spool);
    spool_close(spool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_in_dir(an_open_file_is_published_as_what_was_fsynced),
        unit_test_in_dir(a_file_that_never_pauses_is_published_all_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

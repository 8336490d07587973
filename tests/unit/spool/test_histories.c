/*
 * Property: whatever programs do, whatever OSS answers, whenever the daemon dies: what a program
 * sees is what it wrote, an object in the bucket is always one whole version that was closed, and
 * after a sync the bucket is what the programs made.
 *
 * A crash here is: the network is gone in the middle of whatever it was doing, and all that is in
 * memory is dropped.
 */
#include "spool_bucket.h"

#include <poll.h>

#define KEYS       6
#define SIZE_MAX_  (350 * KIB)
#define STREAM_MAX (1500 * KIB)
#define VERSIONS   20000

struct model_file {
    bool exists;
    unsigned char *data;
    uint64_t size;
};

static struct model_file model[KEYS];
static struct unit_random rng;
static uint64_t versions[VERSIONS]; /* CRC-64 of everything that was ever closed */
static atomic_uint version_count;
static bool small;         /* the spool is smaller than some files */
static bool died_in_write; /* a file that was open is kept, and not uploaded */

static const char *const keys[KEYS] = {"a", "b", "c", "d/e", "d/f", "g"};

/* OSSUP_SAY=1: each step is told, for a seed that fails. */
static bool saying;
#define say(...)                                                                                   \
    do {                                                                                           \
        if (saying)                                                                                \
            (void)fprintf(stderr, __VA_ARGS__);                                                    \
    } while (0)

/* -- the model -- */

static void note_version(const struct model_file *m)
{
    unsigned n = version_count;

    assert_true(n < VERSIONS);
    versions[n] = ou_crc64(0, m->data, m->size);
    version_count = n + 1;
}

/* Called after a request took effect, in the thread that made it. */
static void check_bucket(enum bucket_op op, unsigned number, enum bucket_moment moment)
{
    unsigned n = version_count;

    (void)number;
    if (moment != MOMENT_APPLIED || (op != OP_PUT && op != OP_COMPLETE && op != OP_COPY))
        return;
    ou_lock_scope(&bucket.lock);
    for (size_t i = 0; i < BUCKET_OBJECTS; i++) {
        const struct bucket_object *o = &bucket.objects[i];
        bool known = !o->exists;

        for (unsigned v = 0; !known && v < n; v++)
            known = versions[v] == o->bytes.crc64;
        if (!known) {
            (void)fprintf(stderr, "%s is a version that nobody closed\n", o->key);
            abort();
        }
    }
}

static void model_resize(struct model_file *m, uint64_t size)
{
    unsigned char *data = realloc(m->data, size + 1);

    assert_non_null(data);
    m->data = data;
    if (size > m->size)
        memset(data + m->size, 0, size - m->size);
    m->size = size;
}

static void model_remove(struct model_file *m)
{
    free(m->data);
    *m = (struct model_file){0};
}

/* -- as src/fs does it -- */

/* A reference to the staged file @key, staged from the bucket if need be; NULL: no such name. */
static struct spool_file *open_key(struct spool *spool, const char *key)
{
    struct spool_file *f = NULL;

    if (spool_find(spool, key, &f))
        return f;
    if (spool_is_deleted(spool, key) || !world_has_object(key))
        return NULL;
    return world_stage(spool, key);
}

static struct spool_file *open_or_create(struct spool *spool, const char *key)
{
    struct spool_file *f = open_key(spool, key);

    if (!f)
        return world_create(spool, key);
    spool_file_open(f, true);
    return f;
}

static void check_key(struct spool *spool, int k)
{
    struct spool_file *f = open_key(spool, keys[k]);

    say("check %s exists=%d staged=%d\n", keys[k], model[k].exists, f != NULL);
    assert_int_equal(f != NULL, model[k].exists);
    if (!f)
        return;
    spool_file_open(f, false);
    world_assert_file(f, model[k].data, model[k].size);
    assert_int_equal(spool_file_close(f, false, &(struct ou_error){0}), 0);
    spool_file_unref(f);
}

static uint64_t some_size(void)
{
    return unit_random_below(&rng, unit_random_below(&rng, 3) ? 2000 : SIZE_MAX_);
}

static void write_some(struct spool_file *f, struct model_file *m)
{
    uint64_t offset = unit_random_below(&rng, m->size + 1);
    uint64_t len = 1 + some_size() / 2;

    if (offset + len > SIZE_MAX_)
        return;
    if (offset + len > m->size)
        model_resize(m, offset + len);
    unit_random_bytes(&rng, m->data + offset, len < 64 ? len : 64);
    memset(m->data + offset + (len < 64 ? len : 64), (int)unit_random_below(&rng, 256),
           len - (len < 64 ? len : 64));
    world_write(f, m->data + offset, len, offset);
}

static void do_change(struct spool *spool, int k)
{
    struct spool_file *f;
    struct model_file *m = &model[k];
    struct ou_error err = OU_ERROR_INIT;
    bool writes = true;

    if (small && m->size > SIZE_MAX_) /* while it is open, nothing of it makes room */
        return;
    f = open_or_create(spool, keys[k]);
    say("change %s was=%d\n", keys[k], m->exists);
    m->exists = true;
    if (!unit_random_below(&rng, 3)) { /* O_TRUNC */
        model_resize(m, 0);
        assert_int_equal(spool_file_truncate(f, 0, &err), 0);
    }
    while (writes) {
        write_some(f, m);
        if (!unit_random_below(&rng, 4)) {
            uint64_t size = some_size();

            assert_int_equal(spool_file_truncate(f, size, &err), 0);
            model_resize(m, size);
        }
        writes = unit_random_below(&rng, 3) == 0;
        if (writes && !unit_random_below(&rng, 2)) {
            note_version(m);
            assert_int_equal(spool_file_flush(f, &err), 0);
        }
        if (writes && !unit_random_below(&rng, 4)) {
            note_version(m);
            assert_int_equal(spool_file_sync(f, &err), 0);
        }
    }
    note_version(m);
    world_close(f);
}

/*
 * Written from the beginning on, so that parts of it go out before it is closed. @back: sometimes
 * the writer goes back. Return: false: it was still open, the daemon is to die.
 */
static bool do_stream(struct spool *spool, int k, bool back, bool dies)
{
    struct model_file m = {.exists = true};
    struct spool_file *f;
    uint64_t size = unit_random_below(&rng, STREAM_MAX);
    struct ou_error err = OU_ERROR_INIT;

    say("stream %s was=%d size=%d dies=%d\n", keys[k], model[k].exists, (int)size, dies);
    if (small) /* a closed version of the same file would take the room that the new one needs */
        world_sync(spool);
    f = open_or_create(spool, keys[k]);
    if (spool_file_truncate(f, 0, &err) < 0)
        fail_msg("truncate: %s", err.message);
    while (m.size < size) {
        uint64_t at =
            back && !unit_random_below(&rng, 30) ? unit_random_below(&rng, m.size + 1) : m.size;
        uint64_t len = 1 + unit_random_below(&rng, 40 * KIB);

        if (at + len > m.size)
            model_resize(&m, at + len);
        memset(m.data + at, (int)unit_random_below(&rng, 256), len);
        world_write(f, m.data + at, len, at);
        if (back && !unit_random_below(&rng, 100)) {
            uint64_t to = unit_random_below(&rng, m.size + 1);

            assert_int_equal(spool_file_truncate(f, to, &err), 0);
            model_resize(&m, to);
        }
        if (!unit_random_below(&rng, 80)) {
            note_version(&m);
            assert_int_equal(small || unit_random_below(&rng, 2) ? spool_file_flush(f, &err)
                                                                 : spool_file_sync(f, &err),
                             0);
            model_remove(&model[k]);
            model[k] = (struct model_file){.exists = true};
            model_resize(&model[k], m.size);
            memcpy(model[k].data, m.data, m.size);
        }
        if (dies && !unit_random_below(&rng, 40)) {
            model_remove(&m);
            died_in_write = true;
            return false;
        }
    }
    if (!m.data)
        model_resize(&m, 0);
    note_version(&m);
    model_remove(&model[k]);
    model[k] = m;
    world_close(f);
    return true;
}

static void do_unlink(struct spool *spool, int k)
{
    struct spool_file *f = NULL;
    struct ou_error err = OU_ERROR_INIT;

    if (!model[k].exists)
        return;
    say("unlink %s\n", keys[k]);
    if (spool_find(spool, keys[k], &f)) {
        assert_int_equal(spool_file_unlink(f, &err), 0);
        spool_file_unref(f);
    } else {
        assert_int_equal(spool_delete(spool, keys[k], NULL, &err), 0);
    }
    model_remove(&model[k]);
}

static void do_rename(struct spool *spool, int k, int to)
{
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *f;
    int r, tries = 0;

    if (!model[k].exists || k == to)
        return;
    say("rename %s %s over=%d\n", keys[k], keys[to], model[to].exists);
    f = open_key(spool, keys[k]);
    assert_non_null(f);
    do { /* a copy of the base has no endless retries */
        r = spool_file_rename(f, keys[to], 0, NULL, &err);
    } while (r < 0 && ++tries < 10);
    if (r < 0)
        fail_msg("rename: %s", err.message);
    spool_file_unref(f);
    model_remove(&model[to]);
    model[to] = model[k];
    model[k] = (struct model_file){0};
}

static void do_chmod(struct spool *spool, int k)
{
    struct spool_attr attr = {.mode = S_IFREG | (mode_t)unit_random_below(&rng, 512)};
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *f;

    if (!model[k].exists)
        return;
    say("chmod %s\n", keys[k]);
    f = open_key(spool, keys[k]);
    assert_int_equal(spool_file_set_attr(f, &attr, SPOOL_SET_MODE, &err), 0);
    spool_file_unref(f);
}

/* -- faults -- */

static unsigned ids_lost; /* at most so many answers with an upload id were lost */

static void some_faults(void)
{
    static const enum bucket_fault faults[] = {FAULT_LOST,      FAULT_UNAVAILABLE, FAULT_UNANSWERED,
                                               FAULT_WRONG_CRC, FAULT_CONNECT,     FAULT_NO_UPLOAD};

    ou_lock_scope(&bucket.lock);
    bucket.rule_count = 0;
    memset(bucket.op_count, 0, sizeof(bucket.op_count));
    for (int i = 0; i < 8; i++) {
        enum bucket_op op = 1 + (enum bucket_op)unit_random_below(&rng, OP_COUNT - 1);
        enum bucket_fault fault = faults[unit_random_below(&rng, 6)];

        ids_lost += op == OP_INITIATE && fault == FAULT_UNANSWERED;
        if (fault == FAULT_NO_UPLOAD && op != OP_PART && op != OP_COMPLETE)
            continue;
        if (fault == FAULT_NO_UPLOAD && small) /* which then had the only copy */
            continue;
        if (fault == FAULT_WRONG_CRC && op != OP_PART) /* seen in the bucket until it is replaced */
            continue;
        bucket_rule(op, 1 + (unsigned)unit_random_below(&rng, 4), fault);
    }
}

static struct spool *crash(struct spool *spool, const struct spool_config *config)
{
    say("crash\n");
    bucket.down = true;
    spool_close(spool);
    bucket.down = false;
    spool = world_open(config);
    spool_start(spool);
    return spool;
}

/* Return: false: the daemon is to die. */
static bool step(struct spool *spool, bool crashes)
{
    int k = (int)unit_random_below(&rng, KEYS);

    switch (unit_random_below(&rng, 11)) {
    case 0:
    case 1:
    case 2:
    case 3:
        do_change(spool, k);
        break;
    case 4:
        do_unlink(spool, k);
        break;
    case 5:
    case 6:
        do_rename(spool, k, (int)unit_random_below(&rng, KEYS));
        break;
    case 7:
        do_chmod(spool, k);
        break;
    case 8:
        some_faults();
        break;
    case 9:
        return do_stream(spool, k, !small, crashes && !unit_random_below(&rng, 3));
    default:
        check_key(spool, k);
    }
    return true;
}

static void compare_bucket(struct spool *spool)
{
    for (int k = 0; k < KEYS; k++) {
        check_key(spool, k);
        assert_int_equal(world_has_object(keys[k]), model[k].exists);
        if (model[k].exists)
            world_assert_object(keys[k], model[k].data, model[k].size);
    }
}

/* An abort that failed is repeated in its own time, which sync does not wait for. */
static unsigned uploads_left(void)
{
    uint64_t deadline = ou_now_ms() + 5000;
    unsigned left;

    for (;;) {
        ou_mutex_lock(&bucket.lock);
        left = bucket_open_uploads();
        ou_mutex_unlock(&bucket.lock);
        if (left <= ids_lost || ou_now_ms() > deadline)
            return left;
        (void)poll(NULL, 0, 10);
    }
}

static void settle(struct spool *spool)
{
    say("sync\n");
    ou_mutex_lock(&bucket.lock);
    bucket.rule_count = 0;
    ou_mutex_unlock(&bucket.lock);
    world_sync(spool);
}

static void run(const char *root, uint64_t seed, bool crashes)
{
    struct spool_config config;
    struct spool *spool;
    bool alive;
    char dir[4096];

    for (int k = 0; k < KEYS; k++)
        model_remove(&model[k]);
    world_reset();
    bucket.hook = check_bucket;
    version_count = ids_lost = 0;
    died_in_write = false;
    rng.state = seed * 104729;
    (void)snprintf(dir, sizeof(dir), "%s/%d", root, (int)seed);
    config = world_config(dir);
    config.settle_ms = unit_random_below(&rng, 2) ? 1 : 20;
    config.early = unit_random_below(&rng, 4) != 0;
    small = config.early && !unit_random_below(&rng, 3);
    if (small)
        config.spool_size = 1200 * KIB;
    spool = world_open(&config);
    spool_start(spool);
    for (int i = 0; i < 150; i++) {
        world_forget_ended_uploads();
        alive = step(spool, crashes);
        if (!alive || (crashes && !unit_random_below(&rng, 15)))
            spool = crash(spool, &config);
        if (!unit_random_below(&rng, 40)) {
            settle(spool);
            compare_bucket(spool);
        }
    }
    settle(spool);
    compare_bucket(spool);
    if (!died_in_write)
        world_assert_spool_empty(spool);
    /* A cancel looks once for an id that was never heard of; on a dead network it leaves it to gc. */
    if (!crashes)
        assert_true(uploads_left() <= ids_lost);
    spool_close(spool);
}

static void histories(const char *root, bool crashes)
{
    const char *count = getenv("OSSUP_HISTORIES");
    const char *first = getenv("OSSUP_SEED");
    uint64_t from = first ? strtoull(first, NULL, 10) : 1;
    uint64_t n = count ? strtoull(count, NULL, 10) : 10;
    struct ou_error err = OU_ERROR_INIT;

    (void)ou_log_configure(getenv("OSSUP_LOG") ? getenv("OSSUP_LOG") : "error", &err);
    saying = getenv("OSSUP_SAY") != NULL;
    for (uint64_t seed = from; seed < from + n; seed++) {
        if (count)
            (void)fprintf(stderr, "seed %d\n", (int)seed);
        run(root, seed, crashes);
    }
}

static void the_bucket_becomes_what_programs_made(void **state)
{
    histories(*state, false);
}

static void the_bucket_becomes_what_programs_made_through_crashes(void **state)
{
    histories(*state, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_in_dir(the_bucket_becomes_what_programs_made),
        unit_test_in_dir(the_bucket_becomes_what_programs_made_through_crashes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

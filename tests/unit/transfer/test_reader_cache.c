/* A reader with a cache: what the cache has costs no request, what it has not is offered to it. */
#include "unit/transfer/fake_get.h"

#include "base/cleanup.h"

#define STEP  (128 * KIB)
#define BLOCK (64 * KIB)
#define SIZE  (40 * MIB + 12345)
#define COUNT ((SIZE + BLOCK - 1) / BLOCK)

/* One object's blocks in memory. */
static struct {
    struct ou_mutex lock;
    bool ready;
    bool has[COUNT];
    unsigned char data[SIZE];
} kept;

static uint64_t block_end(uint64_t block)
{
    return (block + 1) * BLOCK < SIZE ? (block + 1) * BLOCK : SIZE;
}

static size_t get(void *ctx, const struct xfer_version *version, uint64_t offset, void *buf,
                  size_t len)
{
    uint64_t end = offset;

    (void)ctx;
    assert_string_equal(version->key, "a/b");
    assert_string_equal(version->etag, FAKE_ETAG);
    assert_int_equal(version->size, SIZE);
    ou_lock_scope(&kept.lock);
    while (end < SIZE && end < offset + len && kept.has[end / BLOCK])
        end = block_end(end / BLOCK);
    if (end > offset + len)
        end = offset + len;
    memcpy(buf, kept.data + offset, end - offset);
    return end - offset;
}

static void put(void *ctx, const struct xfer_version *version, uint64_t offset, const void *data,
                size_t len)
{
    (void)ctx;
    (void)version;
    fake_assert_bytes(data, offset, len);
    ou_lock_scope(&kept.lock);
    memcpy(kept.data + offset, data, len);
    for (uint64_t b = (offset + BLOCK - 1) / BLOCK; b < COUNT && block_end(b) <= offset + len; b++)
        kept.has[b] = true;
}

static struct xfer_reader_pool *caching_pool(void)
{
    const struct xfer_reader_config config = {
        .memory = 32 * MIB, .fetchers = 4, .cache = {.block = BLOCK, .get = get, .put = put}};
    struct xfer_reader_pool *pool = NULL;
    struct ou_error err = OU_ERROR_INIT;

    fake_get_reset();
    if (!kept.ready)
        ou_mutex_init(&kept.lock, OU_RANK_BASE);
    kept.ready = true;
    memset(kept.has, 0, sizeof(kept.has));
    assert_int_equal(xfer_reader_pool_new(&config, &pool, &err), 0);
    fake.pool = pool;
    return pool;
}

/* Nobody is ever in a hurry: what is fetched while somebody waits for another block is not kept. */
static void read_all(struct xfer_reader_pool *pool)
{
    struct xfer_reader *reader = fake_reader(pool, SIZE);

    for (uint64_t pos = 0; pos < SIZE; pos += STEP) {
        fake_read(reader, pos, STEP);
        fake_poll_pool(pool, fake_all_stopped_locked(reader));
    }
    fake_poll_pool(pool, pool->locked.used == 0); /* and all was offered to the cache */
    xfer_reader_free(reader);
}

static void what_was_read_is_read_again_without_a_request(void **state)
{
    struct xfer_reader_pool *pool = caching_pool();

    (void)state;
    read_all(pool);
    assert_true(fake.gets <= SIZE / (4 * MIB) + 4);
    assert_int_equal(fake.asked, SIZE);
    fake_get_reset();
    fake.pool = pool;
    read_all(pool);
    assert_int_equal(fake.gets, 0);
    xfer_reader_pool_free(pool);
}

static void a_random_read_gets_whole_blocks(void **state)
{
    struct xfer_reader_pool *pool = caching_pool();
    struct xfer_reader *reader = fake_reader(pool, SIZE);

    (void)state;
    fake_read(reader, 20 * MIB + 5000, 100);
    assert_int_equal(fake.gets, 1);
    assert_int_equal(fake.seen[0].offset, 20 * MIB);
    assert_int_equal(fake.seen[0].size, BLOCK);
    fake_read(reader, 20 * MIB, BLOCK);
    assert_int_equal(fake.gets, 1);
    fake_read(reader, SIZE - 10, 10); /* the last block is shorter */
    assert_int_equal(fake.gets, 2);
    assert_int_equal(fake.seen[1].size, SIZE % BLOCK);
    fake_read(reader, SIZE - 100, 100);
    assert_int_equal(fake.gets, 2);
    xfer_reader_free(reader);
    xfer_reader_pool_free(pool);
}

static void read_ahead_takes_what_the_cache_has(void **state)
{
    struct xfer_reader_pool *pool = caching_pool();
    uint64_t had = 0;

    (void)state;
    fake_fill(kept.data, 0, SIZE);
    for (uint64_t b = 0; b < COUNT; b++)
        if (b >= 512) { /* the last 8 MiB */
            kept.has[b] = true;
            had += block_end(b) - b * BLOCK;
        }
    read_all(pool);
    assert_true(fake.asked <= SIZE - had + 4 * MIB);
    xfer_reader_pool_free(pool);
}

static void holes_anywhere_give_the_right_bytes(void **state)
{
    struct unit_random random = {5};

    (void)state;
    for (unsigned round = 0; round < 8; round++) {
        struct xfer_reader_pool *pool = caching_pool();

        fake_fill(kept.data, 0, SIZE);
        for (uint64_t b = 0; b < COUNT; b++)
            kept.has[b] = unit_random_below(&random, round + 2) == 0;
        if (round % 2)
            read_all(pool);
        for (unsigned i = 0; i < 100; i++) {
            struct xfer_reader *reader = fake_reader(pool, SIZE);

            fake_read(reader, unit_random_below(&random, SIZE),
                      1 + (size_t)unit_random_below(&random, MIB));
            xfer_reader_free(reader);
        }
        xfer_reader_pool_free(pool);
    }
}

static void a_failed_fetch_is_not_kept(void **state)
{
    struct xfer_reader_pool *pool = caching_pool();
    struct xfer_reader *reader = fake_reader(pool, SIZE);
    ou_autofree unsigned char *buf = malloc(STEP);
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    fake_fail(1, BLOCK + 7, EIO, "ConnectionLost");
    assert_int_equal(xfer_reader_read(reader, buf, STEP, 20 * MIB, 0, NULL, &err), -EIO);
    for (uint64_t b = 0; b < COUNT; b++)
        assert_false(kept.has[b]);
    fake_read(reader, 20 * MIB, STEP);
    xfer_reader_free(reader);
    xfer_reader_pool_free(pool);
}

static bool all_has_come_locked(const struct xfer_reader *reader)
{
    const struct xfer_block *b;

    TAILQ_FOREACH(b, &reader->blocks, in_reader)
    if (b->state != XFER_BLOCK_FETCHING || b->filled < b->size)
        return false;
    return !TAILQ_EMPTY(&reader->blocks);
}

/* As programs read small files: the last byte, and the close. */
static void what_has_come_is_kept_though_its_reader_closes(void **state)
{
    struct xfer_reader_pool *pool = caching_pool();
    struct xfer_reader *reader = fake_reader(pool, SIZE);
    uint64_t asked;

    (void)state;
    fake_hold_end(true);
    fake_read(reader, 0, STEP);
    fake_poll_pool(pool, all_has_come_locked(reader));
    xfer_reader_free(reader);
    fake_hold_end(false);
    asked = fake.asked;
    xfer_reader_pool_free(pool);
    assert_int_equal(fake.canceled, 0);
    assert_true(asked >= STEP);
    for (uint64_t b = 0; b < asked / BLOCK; b++)
        assert_true(kept.has[b]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_read_is_read_again_without_a_request),
        cmocka_unit_test(a_random_read_gets_whole_blocks),
        cmocka_unit_test(read_ahead_takes_what_the_cache_has),
        cmocka_unit_test(holes_anywhere_give_the_right_bytes),
        cmocka_unit_test(a_failed_fetch_is_not_kept),
        cmocka_unit_test(what_has_come_is_kept_though_its_reader_closes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The memory of blocks: it is used again, within the budget, and goes back when nobody reads. */
#include "unit/transfer/fake_get.h"

#include <stdatomic.h>
#include <sys/mman.h>

#define STEP (128 * KIB)

static atomic_uint maps;            /* calls of mmap() */
static _Atomic int64_t mapped_now;  /* bytes */
static _Atomic int64_t mapped_most; /* bytes */

void *__real_mmap64(void *at, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
    int64_t now = atomic_fetch_add(&mapped_now, (int64_t)size) + (int64_t)size;

    atomic_fetch_add(&maps, 1);
    if (mapped_most < now) /* the pool's lock is held */
        mapped_most = now;
    return __real_mmap64(at, size, prot, flags, fd, offset);
}

int __real_munmap(void *data, size_t size);
int __wrap_munmap(void *data, size_t size);
int __wrap_munmap(void *data, size_t size)
{
    atomic_fetch_sub(&mapped_now, (int64_t)size);
    return __real_munmap(data, size);
}

static int reset(void **state)
{
    (void)state;
    maps = 0;
    mapped_now = mapped_most = 0;
    return 0;
}

static void read_whole(struct xfer_reader_pool *pool, uint64_t size)
{
    struct xfer_reader *reader = fake_reader(pool, size);

    for (uint64_t pos = 0; pos < size; pos += STEP)
        fake_read(reader, pos, STEP);
    fake_poll_pool(pool, pool->locked.used == 0);
    xfer_reader_free(reader);
}

static void the_next_block_gets_the_memory_of_a_passed_one(void **state)
{
    struct xfer_reader_pool *pool = fake_pool(32 * MIB, 4);

    (void)state;
    read_whole(pool, 100 * MIB);
    assert_true(fake.gets >= 25);
    assert_true(maps <= 32 * MIB / (4 * MIB));
    assert_true(mapped_most <= (int64_t)(32 * MIB));
    xfer_reader_pool_free(pool);
    assert_int_equal(mapped_now, 0);
}

static void memory_that_fits_no_block_makes_room(void **state)
{
    static const uint64_t sizes[] = {4 * MIB, 5 * MIB, 3 * MIB, 4 * MIB, 4 * MIB, 5 * MIB};
    struct xfer_reader_pool *pool = fake_pool(8 * MIB, 2);

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        read_whole(pool, sizes[i]);
    assert_int_equal(fake.gets, 6); /* each had a block */
    assert_true(mapped_most <= (int64_t)(8 * MIB));
    xfer_reader_pool_free(pool);
    assert_int_equal(mapped_now, 0);
}

static void spare_memory_goes_back_when_nobody_reads(void **state)
{
    struct xfer_reader_pool *pool = fake_pool(0, 1);

    (void)state;
    read_whole(pool, 4 * MIB);
    assert_int_equal(mapped_now, 4 * MIB);
    ou_mutex_lock(&pool->lock);
    xfer_pool_sweep_locked(pool, pool->locked.spare_ms + XFER_READER_QUIET_MS - 1,
                           XFER_READER_IDLE_MS);
    assert_int_equal(mapped_now, 4 * MIB);
    xfer_pool_sweep_locked(pool, pool->locked.spare_ms + XFER_READER_QUIET_MS, XFER_READER_IDLE_MS);
    assert_int_equal(mapped_now, 0);
    assert_int_equal(pool->locked.spare, 0);
    ou_mutex_unlock(&pool->lock);
    read_whole(pool, 4 * MIB);
    xfer_reader_pool_free(pool);
    assert_int_equal(mapped_now, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_next_block_gets_the_memory_of_a_passed_one, reset),
        cmocka_unit_test_setup(memory_that_fits_no_block_makes_room, reset),
        cmocka_unit_test_setup(spare_memory_goes_back_when_nobody_reads, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

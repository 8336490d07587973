/*
 * Blocks: when one is made, when it is freed, and the memory they live in.
 *
 * Memory is reserved before it is mapped, and given back when a block is freed:
 *   - all of it was handed out,
 *   - its stream is well past it,
 *   - its reader was idle (for a minute; for 5 s, when another reader needs room),
 *   - its reader is freed.
 * Read-ahead never takes the last quarter, so that a reader that waits finds room.
 * Who finds none reads on its own thread into its own buffer (reader.c): progress
 * does not depend on the budget.
 *
 * Blocks are mapped and not malloc'ed: the part of a block that never arrives costs
 * no memory. The next block of the same size gets the mapping of a freed one: to a
 * sequential reader fresh pages cost more than all else that happens to its bytes.
 * A few such spare mappings are kept within the budget, and until nobody has made or
 * freed a block for 5 s.
 */
#include "transfer/reader_internal.h"

#include "base/clock.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#define ALMOST_THERE                                                                               \
    (UINT64_C(1) << 20) /* so little is fetched to its end, for the connection's sake */

/* -- memory -- */

/* Takes number @i out of the spares. */
static char *spare_take_locked(struct xfer_reader_pool *pool, unsigned i)
{
    struct xfer_spare taken = pool->locked.spares[i];

    ou_mutex_assert_held(&pool->lock);
    pool->locked.spare -= taken.size;
    for (pool->locked.spare_count--; i < pool->locked.spare_count; i++)
        pool->locked.spares[i] = pool->locked.spares[i + 1];
    return taken.data;
}

static void drop_oldest_locked(struct xfer_reader_pool *pool)
{
    uint64_t size = pool->locked.spares[0].size;

    (void)munmap(spare_take_locked(pool, 0), size);
}

void xfer_memory_drop_locked(struct xfer_reader_pool *pool)
{
    while (pool->locked.spare_count > 0)
        drop_oldest_locked(pool);
}

/* Return: @size bytes, within the budget together with .used; NULL: there are none. */
static char *memory_take_locked(struct xfer_reader_pool *pool, uint64_t size)
{
    void *data;

    pool->locked.spare_ms = ou_now_ms();
    for (unsigned i = pool->locked.spare_count; i-- > 0;)
        if (pool->locked.spares[i].size == size)
            return spare_take_locked(pool, i);
    while (pool->locked.spare > 0 && pool->locked.used + pool->locked.spare + size > pool->memory)
        drop_oldest_locked(pool);
    data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return data == MAP_FAILED ? NULL : data;
}

/* That of small objects is of as many sizes as they are: it is not worth keeping. */
static void memory_give_locked(struct xfer_reader_pool *pool, char *data, uint64_t size)
{
    if (size < pool->block_min) {
        (void)munmap(data, size);
        return;
    }
    if (pool->locked.spare_count == XFER_READER_SPARES)
        drop_oldest_locked(pool);
    pool->locked.spares[pool->locked.spare_count++] =
        (struct xfer_spare){.data = data, .size = size};
    pool->locked.spare += size;
    pool->locked.spare_ms = ou_now_ms();
}

/* -- blocks -- */

static struct xfer_block *block_new_locked(struct xfer_reader *reader, uint64_t start,
                                           uint64_t size)
{
    struct xfer_block *b = malloc(sizeof(*b));

    if (!b)
        return NULL;
    *b = (struct xfer_block){.reader = reader,
                             .start = start,
                             .size = size,
                             .state = XFER_BLOCK_QUEUED,
                             .wake_at = UINT64_MAX};
    b->data = memory_take_locked(reader->pool, size);
    if (!b->data) {
        free(b);
        return NULL;
    }
    return b;
}

static void insert_sorted(struct xfer_reader *reader, struct xfer_block *b)
{
    struct xfer_block *after;

    TAILQ_FOREACH_REVERSE(after, &reader->blocks, xfer_block_list, in_reader)
    if (after->start <= b->start) {
        TAILQ_INSERT_AFTER(&reader->blocks, after, b, in_reader);
        return;
    }
    TAILQ_INSERT_HEAD(&reader->blocks, b, in_reader);
}

void xfer_block_free_locked(struct xfer_block *b)
{
    struct xfer_reader *reader = b->reader;
    struct xfer_reader_pool *pool = reader->pool;

    ou_mutex_assert_held(&pool->lock);
    assert(b->state != XFER_BLOCK_FETCHING && b->waiters == 0);
    if (b->state == XFER_BLOCK_QUEUED)
        TAILQ_REMOVE(&pool->locked.queue, b, in_queue);
    TAILQ_REMOVE(&reader->blocks, b, in_reader);
    if (TAILQ_EMPTY(&reader->blocks))
        pool->locked.holders--;
    pool->locked.used -= b->size;
    memory_give_locked(pool, b->data, b->size);
    free(b);
}

void xfer_block_settle_locked(struct xfer_block *b)
{
    bool handed_out = b->handed >= b->filled && b->handed_to == b->start + b->filled;

    if (b->state == XFER_BLOCK_STOPPED && b->waiters == 0 &&
        (b->reader->closed || b->filled == 0 || handed_out))
        xfer_block_free_locked(b);
}

void xfer_block_abandon_locked(struct xfer_block *b)
{
    if (b->waiters > 0)
        return;
    if (b->state == XFER_BLOCK_QUEUED)
        xfer_block_free_locked(b);
    else if (b->state == XFER_BLOCK_FETCHING && b->size - b->filled > ALMOST_THERE)
        b->canceled = true;
}

void xfer_pool_first_locked(struct xfer_block *b)
{
    struct xfer_block_list *queue = &b->reader->pool->locked.queue;
    struct xfer_block *other;

    if (b->state != XFER_BLOCK_QUEUED)
        return;
    TAILQ_REMOVE(queue, b, in_queue);
    TAILQ_FOREACH(other, queue, in_queue)
    if (other->waiters == 0) {
        TAILQ_INSERT_BEFORE(other, b, in_queue);
        return;
    }
    TAILQ_INSERT_TAIL(queue, b, in_queue);
}

bool xfer_pool_want_locked(struct xfer_reader *reader, unsigned stream, uint64_t start,
                           uint64_t size, bool wanted)
{
    struct xfer_reader_pool *pool = reader->pool;
    uint64_t limit = wanted ? pool->memory : pool->memory / 4 * 3;
    struct xfer_block *b;

    ou_mutex_assert_held(&pool->lock);
    if (wanted && size <= limit && pool->locked.used > limit - size)
        xfer_pool_sweep_locked(pool, ou_now_ms(), XFER_READER_QUIET_MS);
    if (size > limit || pool->locked.used > limit - size)
        return false;
    b = block_new_locked(reader, start, size);
    if (!b)
        return false;
    b->stream = stream;
    pool->locked.used += size;
    if (TAILQ_EMPTY(&reader->blocks))
        pool->locked.holders++;
    insert_sorted(reader, b);
    TAILQ_INSERT_TAIL(&pool->locked.queue, b, in_queue);
    pthread_cond_signal(&pool->work);
    return true;
}

void xfer_pool_sweep_locked(struct xfer_reader_pool *pool, uint64_t now_ms, uint64_t idle_ms)
{
    struct xfer_reader *reader;

    ou_mutex_assert_held(&pool->lock);
    TAILQ_FOREACH(reader, &pool->locked.readers, in_pool)
    {
        struct xfer_block *b = TAILQ_FIRST(&reader->blocks);

        if (now_ms < reader->last_read_ms + idle_ms)
            continue;
        while (b) {
            struct xfer_block *next = TAILQ_NEXT(b, in_reader);

            if (b->waiters == 0 && b->state != XFER_BLOCK_FETCHING)
                xfer_block_free_locked(b);
            b = next;
        }
    }
    if (now_ms >= pool->locked.spare_ms + XFER_READER_QUIET_MS)
        xfer_memory_drop_locked(pool);
}

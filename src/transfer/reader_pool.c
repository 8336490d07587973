/* The pool: threads that fetch blocks. */
#include "transfer/reader_internal.h"

#include "base/clock.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEPT_CHUNK (UINT64_C(512) << 10) /* of a block from the cache are handed out at a time */

/* -- fetching -- */

void xfer_reader_fail_locked(struct xfer_reader *reader, const struct ou_error *err)
{
    if (reader->stale.errnum == 0)
        reader->stale = *err;
    pthread_cond_broadcast(&reader->progress);
}

int xfer_reader_verdict(int r, struct ou_error *err)
{
    if (r == -ENOENT && oss_error_is(err, "NoSuchKey")) {
        err->errnum = ESTALE;
        return -ESTALE;
    }
    return r;
}

/* .filled grows by @len. Return: 0, -ECANCELED: the rest is not wanted. */
static int block_grow(struct xfer_block *b, uint64_t len, struct ou_error *err)
{
    struct xfer_reader *reader = b->reader;

    ou_lock_scope(&reader->pool->lock);
    if (b->canceled)
        return ou_error_set(err, ECANCELED, "read ahead in %s", reader->key);
    b->filled += len;
    if (b->start + b->filled >= b->wake_at) {
        b->wake_at = UINT64_MAX;
        pthread_cond_broadcast(&reader->progress);
    }
    return 0;
}

struct fill {
    struct xfer_block *block;
    uint64_t kept; /* bytes at its start that the cache had */
};

/* struct oss_sink's write(). Only this thread moves .filled, so reading it needs no lock. */
static int block_fill(void *ctx, const void *data, size_t len, uint64_t offset,
                      struct ou_error *err)
{
    const struct fill *fill = ctx;
    struct xfer_block *b = fill->block;

    if (offset != b->filled - fill->kept || len > b->size - b->filled)
        return ou_error_set(err, EIO, "read %s: bytes that were not asked for", b->reader->key);
    memcpy(b->data + b->filled, data, len);
    return block_grow(b, len, err);
}

static void fetch_ended_locked(struct xfer_block *b, int r, struct ou_error *err)
{
    struct xfer_reader *reader = b->reader;

    if (r == 0 && b->filled != b->size && !b->canceled)
        r = ou_error_set(err, EIO, "read %s: the reply ended early", reader->key);
    b->state = XFER_BLOCK_STOPPED;
    if (r < 0 && !b->canceled) {
        b->error = *err;
        if (r == -ESTALE)
            xfer_reader_fail_locked(reader, err);
        else if (b->waiters == 0 && reader->fence > b->start + b->filled)
            reader->fence = b->start + b->filled;
    }
    pthread_cond_broadcast(&reader->progress);
    xfer_block_settle_locked(b);
    xfer_reader_unref_locked(reader);
}

/* What the cache has of it, from its start on. Return: 0, -ECANCELED. */
static int fill_from_cache(struct xfer_block *b, uint64_t *kept, struct ou_error *err)
{
    int r = 0;

    *kept = 0;
    while (r == 0 && *kept < b->size) {
        uint64_t rest = b->size - *kept;
        size_t n = xfer_reader_kept(b->reader, b->start + *kept, b->data + *kept,
                                    rest < KEPT_CHUNK ? rest : KEPT_CHUNK);

        if (!n)
            break;
        *kept += n;
        r = block_grow(b, n, err);
    }
    return r;
}

/* The rest comes from the bucket. */
static int fill_block(struct xfer_block *b, const struct oss_call *call, uint64_t *kept,
                      struct ou_error *err)
{
    struct xfer_reader *reader = b->reader;
    struct fill fill = {.block = b};
    struct oss_sink sink = {.write = block_fill, .ctx = &fill};
    int r = fill_from_cache(b, &fill.kept, err);

    *kept = fill.kept;
    if (r < 0 || fill.kept == b->size)
        return r;
    r = oss_get_object(reader->pool->client, call, reader->key, b->start + fill.kept,
                       b->size - fill.kept, reader->etag, &sink, NULL, err);
    return xfer_reader_verdict(r, err);
}

/* Somebody waits for bytes that no thread fetches. */
static bool hurried_locked(const struct xfer_reader_pool *pool)
{
    const struct xfer_block *first = TAILQ_FIRST(&pool->locked.queue);

    return first && first->waiters > 0;
}

static void fetch_locked(struct xfer_reader_pool *pool, struct xfer_block *b)
{
    struct xfer_reader *reader = b->reader;
    struct oss_call call = {.cancel = reader->closing, .background = b->waiters == 0};
    struct ou_error err = OU_ERROR_INIT;
    uint64_t kept;
    int r;

    TAILQ_REMOVE(&pool->locked.queue, b, in_queue);
    b->state = XFER_BLOCK_FETCHING;
    reader->refs++;

    ou_mutex_unlock(&pool->lock);
    r = fill_block(b, &call, &kept, &err);
    if (r < 0 && r != -EINTR && r != -ECANCELED)
        ou_log(OU_LOG_XFER, OU_LOG_DEBUG,
               "read failed key=%s offset=%" PRIu64 " size=%" PRIu64 " error=\"%s\"", reader->key,
               b->start, b->size, err.message);
    ou_mutex_lock(&pool->lock);

    /* Whoever waited has the bytes by now: they are there, though the block is FETCHING still. */
    if (r == 0 && b->filled > kept && !hurried_locked(pool)) {
        ou_mutex_unlock(&pool->lock);
        xfer_reader_keep(reader, b->start + kept, b->data + kept, b->filled - kept);
        ou_mutex_lock(&pool->lock);
    }
    fetch_ended_locked(b, r, &err);
}

/* Sleeps till there is work; while blocks lie about, or memory of theirs, wakes to sweep. */
static void wait_for_work_locked(struct xfer_reader_pool *pool)
{
    uint64_t until = 0;

    if (pool->locked.spare > 0)
        until = ou_now_ms() + XFER_READER_QUIET_MS;
    else if (pool->locked.used > 0)
        until = ou_now_ms() + XFER_READER_IDLE_MS;
    if (ou_cond_wait_until(&pool->work, &pool->lock, until) != 0)
        xfer_pool_sweep_locked(pool, ou_now_ms(), XFER_READER_IDLE_MS);
}

static void *fetcher(void *arg)
{
    struct xfer_reader_pool *pool = arg;

    ou_mutex_lock(&pool->lock);
    while (!pool->locked.stopping)
        if (TAILQ_EMPTY(&pool->locked.queue))
            wait_for_work_locked(pool);
        else
            fetch_locked(pool, TAILQ_FIRST(&pool->locked.queue));
    ou_mutex_unlock(&pool->lock);
    return NULL;
}

/* -- the pool's life -- */

int xfer_reader_pool_new(const struct xfer_reader_config *config, struct xfer_reader_pool **out,
                         struct ou_error *err)
{
    unsigned count = config->fetchers ? config->fetchers : XFER_READER_FETCHERS;
    struct xfer_reader_pool *pool = calloc(1, sizeof(*pool));
    int r = 0;

    if (!pool)
        return ou_error_set(err, ENOMEM, "read-ahead");
    pool->client = config->client;
    pool->cache = config->cache;
    pool->memory = config->memory ? config->memory : XFER_READER_MEMORY;
    /* Two blocks must fit, or a stream could not fetch one while it reads the other. */
    pool->block_min = pool->memory / 2 < XFER_BLOCK_MIN ? pool->memory / 2 : XFER_BLOCK_MIN;
    if (pool->block_min < XFER_READER_BLOCK_LEAST)
        pool->block_min = XFER_READER_BLOCK_LEAST;
    ou_mutex_init(&pool->lock, XFER_RANK_READER);
    ou_cond_init(&pool->work);
    TAILQ_INIT(&pool->locked.queue);
    TAILQ_INIT(&pool->locked.readers);
    pool->fetchers = calloc(count, sizeof(*pool->fetchers));
    if (!pool->fetchers)
        r = ou_error_set(err, ENOMEM, "read-ahead");
    while (r == 0 && pool->fetcher_count < count) {
        char name[16];

        (void)snprintf(name, sizeof(name), "fetch-%u", pool->fetcher_count % 1000);
        r = ou_thread_start(&pool->fetchers[pool->fetcher_count], name, fetcher, pool, err);
        if (r == 0)
            pool->fetcher_count++;
    }
    if (r < 0) {
        xfer_reader_pool_free(pool);
        return r;
    }
    *out = pool;
    return 0;
}

void xfer_reader_pool_free(struct xfer_reader_pool *pool)
{
    if (!pool)
        return;
    ou_mutex_lock(&pool->lock);
    assert(TAILQ_EMPTY(&pool->locked.readers));
    pool->locked.stopping = true;
    pthread_cond_broadcast(&pool->work);
    ou_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->fetcher_count; i++)
        (void)pthread_join(pool->fetchers[i], NULL);
    ou_mutex_lock(&pool->lock);
    assert(pool->locked.used == 0);
    xfer_memory_drop_locked(pool);
    ou_mutex_unlock(&pool->lock);
    free(pool->fetchers);
    (void)pthread_cond_destroy(&pool->work);
    ou_mutex_fini(&pool->lock);
    free(pool);
}

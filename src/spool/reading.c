/*
 * What reads objects: the pool, and the cache on disk if there is one.
 *
 * The cache lives in the room that writers leave: it grows only while neither spool_size nor
 * spool_reserve is in the way, and gives way to every write that does not fit otherwise.
 */
#include "spool/cache.h"
#include "spool/internal.h"

#include "base/log.h"

static size_t cache_get(void *ctx, const struct xfer_version *version, uint64_t offset, void *buf,
                        size_t len)
{
    return spool_cache_get(ctx, version, offset, buf, len);
}

static void cache_put(void *ctx, const struct xfer_version *version, uint64_t offset,
                      const void *data, size_t len)
{
    spool_cache_put(ctx, version, offset, data, len);
}

static uint64_t cache_spare(void *ctx, uint64_t used)
{
    int64_t left = spool_space_left(ctx, used);

    return left > 0 ? (uint64_t)left : 0;
}

int spool_reading_open(struct spool *spool, struct ou_error *err)
{
    struct xfer_reader_config reader = {.client = spool->client,
                                        .memory = spool->config.read_memory};
    const struct spool_cache_config cache = {.dirfd = spool->dirfd,
                                             .limit = spool->config.cache_size,
                                             .spare = cache_spare,
                                             .ctx = spool};
    struct ou_error why = OU_ERROR_INIT;

    if (!cache.limit)
        spool_cache_remove(spool->dirfd);
    else if (spool_cache_open(&cache, &spool->cache, &why) < 0)
        ou_log_warn(OU_LOG_SPOOL, &why, "no cache of reads spool=%s", spool->dir);
    if (spool->cache)
        reader.cache = (struct xfer_reader_cache){
            .block = SPOOL_CACHE_BLOCK, .get = cache_get, .put = cache_put, .ctx = spool->cache};
    return xfer_reader_pool_new(&reader, &spool->pool, err);
}

void spool_reading_close(struct spool *spool)
{
    if (spool->pool)
        xfer_reader_pool_free(spool->pool);
    spool_cache_close(spool->cache);
}

struct xfer_reader_pool *spool_reader_pool(struct spool *spool)
{
    return spool->pool;
}

void spool_cache_give_way(struct spool *spool, uint64_t size)
{
    struct spool_cache_numbers numbers;
    int64_t left;

    spool_cache_numbers(spool->cache, &numbers);
    if (!numbers.used)
        return;
    left = spool_space_left(spool, numbers.used);
    if (left < 0)
        (void)spool_cache_evict(spool->cache, size + (uint64_t)-left);
    else if ((uint64_t)left < size)
        (void)spool_cache_evict(spool->cache, size - (uint64_t)left);
}

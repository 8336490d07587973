/*
 * Rate limit as a virtual clock: .free_us runs ahead of the real one by what was booked.
 *
 * It may lag behind by BURST_US at most, so that an idle spell earns a small burst and
 * no more.
 */
#include "oss/limit.h"

#define BURST_US  UINT64_C(100000)
#define CHUNK_MIN 4096u
#define CHUNKS    8u /* moves per second at least */

void oss_limit_init(struct oss_limit *l, uint64_t rate)
{
    l->rate = rate;
    l->locked.free_us = 0;
    ou_mutex_init(&l->lock, OSS_RANK_LIMIT);
}

void oss_limit_fini(struct oss_limit *l)
{
    ou_mutex_fini(&l->lock);
}

uint64_t oss_limit_book(struct oss_limit *l, uint64_t bytes, uint64_t now_ms)
{
    uint64_t now_us = now_ms * 1000;

    if (!l || !l->rate)
        return now_ms;
    ou_lock_scope(&l->lock);
    if (l->locked.free_us + BURST_US < now_us)
        l->locked.free_us = now_us - BURST_US;
    /* bytes is a buffer's length: no overflow below 18 TB at once */
    l->locked.free_us += bytes * 1000000 / l->rate;
    return (l->locked.free_us + 999) / 1000;
}

size_t oss_limit_chunk(const struct oss_limit *l, size_t len)
{
    uint64_t chunk;

    if (!l || !l->rate)
        return len;
    chunk = l->rate / CHUNKS;
    if (chunk < CHUNK_MIN)
        chunk = CHUNK_MIN;
    return len < chunk ? len : (size_t)chunk;
}

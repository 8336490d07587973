/*
 * Told in cache_table.h.
 */
#include "spool/cache_table.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>
#include <unistd.h>

#define TELL_AGAIN_MS UINT64_C(600000) /* trouble with the disk is told once in so long */

void spool_cache_trouble(struct spool_cache *cache, const struct ou_error *err)
{
    uint64_t now = ou_now_ms();
    bool tell;

    ou_mutex_lock(&cache->lock);
    tell = !cache->locked.told_ms || now - cache->locked.told_ms > TELL_AGAIN_MS;
    if (tell)
        cache->locked.told_ms = now;
    ou_mutex_unlock(&cache->lock);
    if (tell)
        ou_log_warn(OU_LOG_SPOOL, err, "an error of the cache of reads: they go to the bucket");
}

struct spool_segment *spool_cache_find_locked(struct spool_cache *cache, const char *name)
{
    struct spool_node *n = spool_table_find(&cache->locked.entries, name);

    return n ? spool_container(n, struct spool_segment, node) : NULL;
}

void spool_cache_insert_locked(struct spool_cache *cache, struct spool_segment *e)
{
    spool_table_insert(&cache->locked.entries, &e->node, e->name);
    TAILQ_INSERT_TAIL(&cache->locked.lru, e, in_list);
    cache->locked.used += e->bytes;
}

void spool_cache_use_locked(struct spool_cache *cache, struct spool_segment *e)
{
    e->users++;
    TAILQ_REMOVE(&cache->locked.lru, e, in_list);
    TAILQ_INSERT_TAIL(&cache->locked.lru, e, in_list);
}

void spool_cache_unuse(struct spool_cache *cache, struct spool_segment *e)
{
    bool last;

    ou_mutex_lock(&cache->lock);
    last = --e->users == 0 && e->gone;
    ou_mutex_unlock(&cache->lock);
    if (last)
        free(e);
}

void spool_cache_leave_locked(struct spool_cache *cache, struct spool_segment *e,
                              struct spool_segment_list *leaving)
{
    TAILQ_REMOVE(&cache->locked.lru, e, in_list);
    cache->locked.used -= e->bytes;
    e->leaving = true;
    TAILQ_INSERT_TAIL(leaving, e, in_list);
}

void spool_cache_see_off(struct spool_cache *cache, struct spool_segment_list *leaving)
{
    struct spool_segment *e;

    while ((e = TAILQ_FIRST(leaving)) != NULL) {
        bool unused;

        TAILQ_REMOVE(leaving, e, in_list);
        (void)unlinkat(cache->dirfd, e->name, 0);
        ou_mutex_lock(&cache->lock);
        spool_table_remove(&cache->locked.entries, &e->node);
        e->gone = true;
        unused = e->users == 0;
        ou_mutex_unlock(&cache->lock);
        if (unused)
            free(e);
    }
}

void spool_cache_throw_away(struct spool_cache *cache, struct spool_segment *e)
{
    struct spool_segment_list leaving = TAILQ_HEAD_INITIALIZER(leaving);

    ou_mutex_lock(&cache->lock);
    if (!e->leaving) {
        spool_cache_leave_locked(cache, e, &leaving);
        cache->locked.damaged++;
    }
    ou_mutex_unlock(&cache->lock);
    spool_cache_see_off(cache, &leaving);
}

bool spool_cache_make_room_locked(struct spool_cache *cache, uint64_t bytes,
                                  const struct spool_segment *but, uint64_t spare,
                                  struct spool_segment_list *leaving)
{
    uint64_t stays = but ? but->bytes : 0, freed = 0;
    struct spool_segment *e = TAILQ_FIRST(&cache->locked.lru);

    if (stays + bytes > cache->limit ||
        (bytes > spare && bytes - spare > cache->locked.used - stays))
        return false;
    while (e && (cache->locked.used + bytes > cache->limit ||
                 (bytes > spare && bytes - spare > freed))) {
        struct spool_segment *next = TAILQ_NEXT(e, in_list);

        if (e != but) {
            freed += e->bytes;
            spool_cache_leave_locked(cache, e, leaving);
        }
        e = next;
    }
    return true;
}

uint64_t spool_cache_evict(struct spool_cache *cache, uint64_t bytes)
{
    struct spool_segment_list leaving = TAILQ_HEAD_INITIALIZER(leaving);
    uint64_t freed = 0;
    struct spool_segment *e;

    if (!cache)
        return 0;
    ou_mutex_lock(&cache->lock);
    while (freed < bytes && (e = TAILQ_FIRST(&cache->locked.lru)) != NULL) {
        freed += e->bytes;
        spool_cache_leave_locked(cache, e, &leaving);
    }
    ou_mutex_unlock(&cache->lock);
    spool_cache_see_off(cache, &leaving);
    return freed;
}

void spool_cache_numbers(struct spool_cache *cache, struct spool_cache_numbers *out)
{
    *out = (struct spool_cache_numbers){0};
    if (!cache)
        return;
    ou_lock_scope(&cache->lock);
    *out = (struct spool_cache_numbers){.used = cache->locked.used,
                                        .limit = cache->limit,
                                        .files = cache->locked.entries.count,
                                        .hits = cache->locked.hits,
                                        .misses = cache->locked.misses,
                                        .damaged = cache->locked.damaged};
}

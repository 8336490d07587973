/*
 * The read cache's table: which segments there are, what they take on disk, which goes next.
 *
 * A segment's life (all under the lock but the work on its file):
 *
 *   in the table and in .lru ──► leaving: in the table only, its file is being removed ──► freed
 *
 * While a segment is leaving its name belongs to nobody, so that the file which is removed is never
 * a new one. A segment that somebody uses is freed by the last of them.
 */
#ifndef OSSUP_SPOOL_CACHE_TABLE_H
#define OSSUP_SPOOL_CACHE_TABLE_H

#include "spool/cache_segment.h"
#include "spool/internal.h"

#include <sys/queue.h>

struct spool_segment {
    struct spool_node node;
    TAILQ_ENTRY(spool_segment) in_list; /* of .lru, or of those that are leaving */
    char name[SPOOL_SEGMENT_NAME_SIZE];
    bool loaded; /* .here holds what the file holds */
    bool leaving, gone;
    unsigned users;
    uint64_t bytes;   /* on disk */
    uint64_t used_ms; /* the file's time, ou_now_ms() scale; 0: it is of an earlier mount */
    struct spool_segment_map here; /* blocks that are there or being written */
};
TAILQ_HEAD(spool_segment_list, spool_segment);

struct spool_cache {
    /* constant */
    int dirfd;
    uint64_t limit;
    unsigned files_max;
    uint64_t (*spare)(void *ctx, uint64_t used);
    void *ctx;

    struct ou_mutex lock; /* rank SPOOL_RANK_CACHE */
    struct {
        struct spool_table entries;
        struct spool_segment_list lru; /* the least recently used first */
        uint64_t used;                 /* bytes of all that are not leaving */
        uint64_t hits, misses, damaged;
        uint64_t told_ms; /* when trouble was told; 0: there was none */
    } locked;
};

struct spool_segment *spool_cache_find_locked(struct spool_cache *cache, const char *name);
void spool_cache_insert_locked(struct spool_cache *cache, struct spool_segment *e);
/** spool_cache_use_locked() - until spool_cache_unuse(); it is the most recently used one now. */
void spool_cache_use_locked(struct spool_cache *cache, struct spool_segment *e);
void spool_cache_unuse(struct spool_cache *cache, struct spool_segment *e);
/** spool_cache_leave_locked() - it goes; spool_cache_see_off() @leaving after the lock was let go. */
void spool_cache_leave_locked(struct spool_cache *cache, struct spool_segment *e,
                              struct spool_segment_list *leaving);
void spool_cache_see_off(struct spool_cache *cache, struct spool_segment_list *leaving);
/** spool_cache_throw_away() - its file is of no use; the caller uses it. */
void spool_cache_throw_away(struct spool_cache *cache, struct spool_segment *e);
/**
 * spool_cache_make_room_locked() - for @bytes more, by letting others than @but (or NULL) go
 * @spare: what the cache may grow by
 *
 * Return: false: it cannot be had, and nobody had to go for it.
 */
bool spool_cache_make_room_locked(struct spool_cache *cache, uint64_t bytes,
                                  const struct spool_segment *but, uint64_t spare,
                                  struct spool_segment_list *leaving);
/** spool_cache_trouble() - the disk failed: told now and then. */
void spool_cache_trouble(struct spool_cache *cache, const struct ou_error *err);

#endif

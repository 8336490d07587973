/*
 * Read cache: blocks of objects on the local disk, so that reading them again costs no request.
 *
 * What is kept belongs to one version of an object, told by key, ETag and size: a changed object
 * has another ETag, so nothing stale is ever found. Blocks are SPOOL_CACHE_BLOCK bytes, at
 * multiples of it; the object's last one may be shorter.
 *
 * On disk (cache_segment.h tells the format): a directory `cache` beside the staged files, a
 * sparse file for each SPOOL_CACHE_SEGMENT bytes of a version that were read. The file is the unit
 * of eviction, the least recently used one goes first. All of it may be removed at any time.
 *
 * Bounded by .limit (bytes on disk), by what .spare() says, and by SPOOL_CACHE_FILES_MAX.
 *
 * It never fails a read: an error of its disk is logged, and the read goes to the bucket. What a
 * crash or a power cut tore is found by its checksum and thrown away.
 *
 * Thread-safe. Functions wait for the local disk only; its lock is not held meanwhile, but for
 * the making of a file. A NULL cache keeps nothing.
 */
#ifndef OSSUP_SPOOL_CACHE_H
#define OSSUP_SPOOL_CACHE_H

#include "base/buf.h"
#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define SPOOL_CACHE_NAME      "cache"
#define SPOOL_CACHE_BLOCK     (UINT64_C(128) << 10)
#define SPOOL_CACHE_BLOCKS    256u /* in a segment */
#define SPOOL_CACHE_SEGMENT   (SPOOL_CACHE_BLOCK * SPOOL_CACHE_BLOCKS)
#define SPOOL_CACHE_FILES_MAX 262144u /* about 150 bytes of memory each */

struct spool_cache;
struct xfer_version;

struct spool_cache_config {
    int dirfd;          /* the bucket's directory in the spool; borrowed while opening */
    uint64_t limit;     /* bytes on disk, > 0 */
    unsigned files_max; /* 0: SPOOL_CACHE_FILES_MAX */
    /** spare() - bytes that it may grow by now that it takes @used; NULL: any. No lock is held. */
    uint64_t (*spare)(void *ctx, uint64_t used);
    void *ctx;
};

/**
 * spool_cache_open() - with what an earlier one has kept; down to the limit if that is lower now
 *
 * Return: 0; the error of making or reading the directory.
 */
int spool_cache_open(const struct spool_cache_config *config, struct spool_cache **cache,
                     struct ou_error *err);
/** spool_cache_close() - nothing else runs. What is kept stays on disk. */
void spool_cache_close(struct spool_cache *cache);
/** spool_cache_remove() - there is to be no cache: what an earlier one has kept goes. */
void spool_cache_remove(int dirfd);

/** spool_cache_get() - Return: bytes from @offset on that are kept, at most @len; they are in @buf. */
size_t spool_cache_get(struct spool_cache *cache, const struct xfer_version *version,
                       uint64_t offset, void *buf, size_t len);
/** spool_cache_put() - these bytes came from the bucket: keep the whole blocks among them. */
void spool_cache_put(struct spool_cache *cache, const struct xfer_version *version, uint64_t offset,
                     const void *data, size_t len);
/** spool_cache_evict() - give @bytes back, or all there are. Return: how many it were. */
uint64_t spool_cache_evict(struct spool_cache *cache, uint64_t bytes);

struct spool_cache_numbers {
    uint64_t used, limit; /* bytes on disk */
    uint64_t files;
    uint64_t hits, misses; /* blocks that came from here, and from the bucket */
    uint64_t damaged;      /* files thrown away for a wrong checksum */
};
/** spool_cache_numbers() - all 0 for a NULL cache. */
void spool_cache_numbers(struct spool_cache *cache, struct spool_cache_numbers *out);

#endif

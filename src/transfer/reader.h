/*
 * Reader: bytes of one object version, fetched by parallel ranges.
 *
 * A pool owns the memory budget and the fetching threads; all readers share it.
 * A reader is pinned to one ETag: a changed object is -ESTALE, never a mix.
 * Sequential reads get a read-ahead window that grows with the rate (up to
 * window_max); random reads get what they ask for, on the caller's thread.
 * Blocks are at least 4 MiB where the access is sequential (request budget:
 * s / 4 MB + 4 for s bytes). A reader waits for its own bytes only: they are
 * handed out as they arrive, before their block is complete.
 *
 * With a cache, bytes that it has cost no request, and what came from the bucket is offered
 * to it; a random read is rounded out to the cache's blocks then.
 *
 * Thread-safe; several threads may read through one reader (the kernel's read-ahead does).
 * Memory: never more than the pool's budget + what a caller asks for, rounded out likewise.
 */
#ifndef OSSUP_TRANSFER_READER_H
#define OSSUP_TRANSFER_READER_H

#include "oss/ops.h"

#include <sys/types.h>

struct xfer_reader_pool;
struct xfer_reader;

struct xfer_version {
    const char *key, *etag;
    uint64_t size;
};

/* Keeps bytes of objects between reads. Called from any thread with no lock held; never waits for
 * the network. What cannot be kept or found is no error. */
struct xfer_reader_cache {
    uint64_t
        block; /* bytes: it keeps blocks of this size, at its multiples; 0: there is no cache */
    /** get() - Return: bytes from @offset on that it has, at most @len; they are in @buf */
    size_t (*get)(void *ctx, const struct xfer_version *version, uint64_t offset, void *buf,
                  size_t len);
    /** put() - bytes of the version */
    void (*put)(void *ctx, const struct xfer_version *version, uint64_t offset, const void *data,
                size_t len);
    void *ctx;
};

struct xfer_reader_config {
    struct oss_client *client; /* borrowed */
    uint64_t memory;           /* bytes, all readers; 0: 128 MiB */
    unsigned fetchers;         /* GETs at once; 0: 8 */
    struct xfer_reader_cache cache;
};
int xfer_reader_pool_new(const struct xfer_reader_config *config, struct xfer_reader_pool **pool,
                         struct ou_error *err);
/** xfer_reader_pool_free() - all readers must be freed; cancels what is in flight. */
void xfer_reader_pool_free(struct xfer_reader_pool *pool);

int xfer_reader_new(struct xfer_reader_pool *pool, const char *key, const char *etag, uint64_t size,
                    struct xfer_reader **reader, struct ou_error *err);
/** xfer_reader_expect() - only bytes before @end will be read: nothing beyond is read ahead. Until one is. */
void xfer_reader_expect(struct xfer_reader *reader, uint64_t end);
/** xfer_reader_free() - no read may be running; fetches in flight are canceled. */
void xfer_reader_free(struct xfer_reader *reader);

/**
 * xfer_reader_read() - up to @len bytes at @offset
 * @deadline_ms: ou_now_ms() scale, 0: the client's request timeout; @cancel may be NULL
 *
 * Return: bytes (short only at the object's end; 0 beyond it), -ESTALE (the object changed),
 * -EINTR (canceled), or another negative errno.
 */
ssize_t xfer_reader_read(struct xfer_reader *reader, void *buf, size_t len, uint64_t offset,
                         uint64_t deadline_ms, struct ou_cancel *cancel, struct ou_error *err);
/**
 * xfer_reader_try() - likewise, if all of it is in memory; never waits for the network
 *
 * Return: bytes, or -EAGAIN: xfer_reader_read() has to be called.
 */
ssize_t xfer_reader_try(struct xfer_reader *reader, void *buf, size_t len, uint64_t offset);

#endif

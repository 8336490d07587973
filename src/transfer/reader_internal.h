/*
 * What the files reader*.c share: readers, blocks and the pool's lock.
 *
 * A block is a range of one object in memory, or on its way there. Its life:
 *
 *   QUEUED ──► FETCHING ──► STOPPED
 *
 * Bytes [start, start + filled) are there and never change; filled only grows,
 * and only while FETCHING. A block that is canceled or STOPPED ends at filled,
 * whatever its size was meant to be: what is missing is fetched anew by whoever
 * wants it. The error of a fetch is seen by those who were waiting for it then.
 *
 * One lock, the pool's (rank XFER_RANK_READER), guards all that is not constant.
 * No request and no copying of bytes happens under it.
 */
#ifndef OSSUP_TRANSFER_READER_INTERNAL_H
#define OSSUP_TRANSFER_READER_INTERNAL_H

#include "base/mutex.h"
#include "transfer/reader.h"
#include "transfer/reader_window.h"

#include <sys/queue.h>

#define XFER_RANK_READER (OU_RANK_XFER + 20) /* told in fs/fs.h */

/* A reader that was idle for so long gives its memory back; sooner if others need it. */
#define XFER_READER_IDLE_MS  UINT64_C(60000)
#define XFER_READER_QUIET_MS UINT64_C(5000)
#define XFER_READER_MEMORY   (UINT64_C(128) << 20)
/* A budget that does not hold such a block is spent on none. */
#define XFER_READER_BLOCK_LEAST (UINT64_C(128) << 10)
#define XFER_READER_FETCHERS    8u
#define XFER_READER_SPARES      2u

enum xfer_block_state { XFER_BLOCK_QUEUED, XFER_BLOCK_FETCHING, XFER_BLOCK_STOPPED };

struct xfer_block {
    /* constant */
    struct xfer_reader *reader;
    unsigned stream; /* that it was made for */
    uint64_t start, size;
    char *data; /* size bytes; below .filled readable without the lock by who counts in .waiters */

    /* under the pool's lock */
    TAILQ_ENTRY(xfer_block) in_reader; /* by start */
    TAILQ_ENTRY(xfer_block) in_queue;  /* while QUEUED */
    enum xfer_block_state state;
    bool canceled; /* nobody wants the rest; the fetch ends at its next byte */
    unsigned waiters;
    uint64_t filled;
    uint64_t wake_at; /* offset in the object: waiters want to know when bytes up to it are there */
    uint64_t handed;  /* bytes handed out, */
    uint64_t handed_to;    /* and the offset in the object of the last of them */
    struct ou_error error; /* errnum 0: none */
};
TAILQ_HEAD(xfer_block_list, xfer_block);

struct xfer_reader {
    /* constant */
    struct xfer_reader_pool *pool;
    char *key, *etag;
    uint64_t size;
    struct ou_cancel *closing; /* triggered by xfer_reader_free() */

    /* under the pool's lock */
    TAILQ_ENTRY(xfer_reader) in_pool;
    pthread_cond_t progress; /* bytes that a waiter wants arrived, a fetch ended, a cancel */
    unsigned refs;           /* the owner's, and one for each FETCHING block */
    bool closed;
    struct xfer_block_list blocks;
    struct xfer_window window;
    uint64_t fence;        /* a fetch nobody waited for failed here: no read-ahead beyond it */
    uint64_t last_read_ms; /* when the last read began or ended */
    struct ou_error stale; /* errnum ESTALE: for good */
};

/* Memory of a freed block, for the next one of its size. */
struct xfer_spare {
    char *data;
    uint64_t size;
};

struct xfer_reader_pool {
    /* constant */
    struct oss_client *client;
    struct xfer_reader_cache cache;
    uint64_t memory;
    uint64_t block_min;
    pthread_t *fetchers;
    unsigned fetcher_count;

    struct ou_mutex lock;
    pthread_cond_t work; /* the queue is not empty, or stopping */
    struct {
        uint64_t used;     /* bytes of all blocks; .used + .spare <= memory */
        uint64_t spare;    /* bytes of all .spares */
        uint64_t spare_ms; /* when memory was last taken or given back */
        struct xfer_spare spares[XFER_READER_SPARES]; /* the oldest first */
        unsigned spare_count;
        unsigned holders; /* readers that have a block */
        bool stopping;
        struct xfer_block_list queue;
        TAILQ_HEAD(, xfer_reader) readers;
    } locked;
};

/** xfer_block_end() - where the bytes end that are in the block or will be. */
static inline uint64_t xfer_block_end(const struct xfer_block *b)
{
    bool ends_here = b->canceled || b->state == XFER_BLOCK_STOPPED;

    return b->start + (ends_here ? b->filled : b->size);
}

static inline struct xfer_version xfer_reader_version(const struct xfer_reader *reader)
{
    return (struct xfer_version){.key = reader->key, .etag = reader->etag, .size = reader->size};
}

/**
 * xfer_reader_get() - bytes [@pos, @end) by a GET on this thread; no lock is held
 *
 * With a cache it gets the whole blocks that they lie in. Return: 0, -ESTALE, other negative errno.
 */
int xfer_reader_get(struct xfer_reader *reader, const struct oss_call *call, char *buf,
                    uint64_t pos, uint64_t end, struct ou_error *err);
/** xfer_reader_kept() - bytes from @offset on that the cache had are in @buf. No lock is held. */
size_t xfer_reader_kept(const struct xfer_reader *reader, uint64_t offset, void *buf, size_t len);
/** xfer_reader_keep() - offer what came from the bucket to the cache. No lock is held. */
void xfer_reader_keep(const struct xfer_reader *reader, uint64_t offset, const void *data,
                      size_t len);

/**
 * xfer_pool_want_locked() - have @size bytes from @start fetched
 * @wanted: a reader is about to wait for them: they go first, and idle readers give way
 *
 * Return: false when the budget (or the memory) does not allow it.
 */
bool xfer_pool_want_locked(struct xfer_reader *reader, unsigned stream, uint64_t start,
                           uint64_t size, bool wanted);
/** xfer_pool_first_locked() - the block is queued: put it before all that nobody waits for. */
void xfer_pool_first_locked(struct xfer_block *block);
/** xfer_block_settle_locked() - free the block if it is of no more use and nobody has it. */
void xfer_block_settle_locked(struct xfer_block *block);
/** xfer_block_abandon_locked() - stop fetching it unless it is almost there or someone waits. */
void xfer_block_abandon_locked(struct xfer_block *block);
/** xfer_block_free_locked() - it is not FETCHING and has no waiters. */
void xfer_block_free_locked(struct xfer_block *block);
/**
 * xfer_pool_sweep_locked() - free blocks of readers that were idle for @idle_ms at @now_ms
 *
 * And spare memory, if at @now_ms none was taken or given back for XFER_READER_QUIET_MS.
 */
void xfer_pool_sweep_locked(struct xfer_reader_pool *pool, uint64_t now_ms, uint64_t idle_ms);
/** xfer_memory_drop_locked() - spare memory goes back to the system. */
void xfer_memory_drop_locked(struct xfer_reader_pool *pool);
/** xfer_reader_fail_locked() - the object is not what it was: @err holds for all reads to come. */
void xfer_reader_fail_locked(struct xfer_reader *reader, const struct ou_error *err);
/** xfer_reader_unref_locked() - the last one frees it. */
void xfer_reader_unref_locked(struct xfer_reader *reader);
/** xfer_reader_verdict() - an object that is gone is a stale one too. Return: -errnum. */
int xfer_reader_verdict(int r, struct ou_error *err);

#endif

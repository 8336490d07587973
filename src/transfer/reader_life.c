/*
 * A reader's life. Its owner frees it while fetches may be in flight: they are cancelled, and the
 * last one of them ends it.
 */
#include "transfer/reader_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int xfer_reader_new(struct xfer_reader_pool *pool, const char *key, const char *etag, uint64_t size,
                    struct xfer_reader **out, struct ou_error *err)
{
    struct xfer_reader *reader = calloc(1, sizeof(*reader));

    if (!reader)
        return ou_error_set(err, ENOMEM, "read %s", key);
    ou_cond_init(&reader->progress);
    reader->pool = pool;
    reader->key = strdup(key);
    reader->etag = strdup(etag);
    reader->closing = ou_cancel_new();
    reader->size = size;
    reader->refs = 1;
    reader->fence = UINT64_MAX;
    TAILQ_INIT(&reader->blocks);
    xfer_window_init(&reader->window, size, pool->block_min);

    ou_lock_scope(&pool->lock);
    TAILQ_INSERT_TAIL(&pool->locked.readers, reader, in_pool);
    if (!reader->key || !reader->etag || !reader->closing) {
        TAILQ_REMOVE(&pool->locked.readers, reader, in_pool);
        xfer_reader_unref_locked(reader);
        return ou_error_set(err, ENOMEM, "read %s", key);
    }
    *out = reader;
    return 0;
}

void xfer_reader_unref_locked(struct xfer_reader *reader)
{
    ou_mutex_assert_held(&reader->pool->lock);
    if (--reader->refs > 0)
        return;
    assert(TAILQ_EMPTY(&reader->blocks));
    (void)pthread_cond_destroy(&reader->progress);
    ou_cancel_unref(reader->closing);
    free(reader->etag);
    free(reader->key);
    free(reader);
}

void xfer_reader_free(struct xfer_reader *reader)
{
    struct xfer_reader_pool *pool;
    struct ou_cancel *closing;
    struct xfer_block *b;
    bool lacking = false;

    if (!reader)
        return;
    pool = reader->pool;
    closing = ou_cancel_ref(reader->closing);

    ou_mutex_lock(&pool->lock);
    TAILQ_REMOVE(&pool->locked.readers, reader, in_pool);
    reader->closed = true;
    b = TAILQ_FIRST(&reader->blocks);
    while (b) {
        struct xfer_block *next = TAILQ_NEXT(b, in_reader);

        b->canceled = true;
        if (b->state != XFER_BLOCK_FETCHING)
            xfer_block_free_locked(b);
        else
            lacking = lacking || b->filled < b->size;
        b = next;
    }
    xfer_reader_unref_locked(reader); /* fetches in flight keep it till they end */
    ou_mutex_unlock(&pool->lock);

    if (lacking) /* else all has come, and is about to be offered to the cache */
        ou_cancel_trigger(closing);
    ou_cancel_unref(closing);
}

void xfer_reader_expect(struct xfer_reader *reader, uint64_t end)
{
    ou_lock_scope(&reader->pool->lock);
    if (end < reader->window.size)
        reader->window.size = end;
}

/*
 * A reader: the bytes of one object version, from blocks where there are any,
 * else by a GET on the caller's own thread into the caller's own buffer.
 *
 * A read asks the window policy, has the pool fetch what it says, and then goes
 * through its range piece by piece:
 *
 *   a block has it or will     wait for those bytes only, copy them
 *   no block, or one whose     what the cache has; else GET exactly what is missing,
 *   stream is far behind it    up to the next block
 *
 * Errors: a read that waits for a block when its fetch fails gets that error. The
 * block then ends where it got to, and the next read asks for the rest anew. Only
 * ESTALE is for good.
 */
#include "transfer/reader_internal.h"

#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* One call of xfer_reader_read(). */
struct request {
    char *buf;
    uint64_t pos, end; /* of the object; what is before pos is in buf */
    unsigned stream;   /* 0: random */
    uint64_t deadline_ms;
    struct ou_cancel *cancel;
};

/* -- what to fetch -- */

/* The first block that has @pos (@has: true), or that begins after it, or NULL. */
static struct xfer_block *find_block(struct xfer_reader *reader, uint64_t pos, bool *has)
{
    struct xfer_block *b;

    *has = false;
    TAILQ_FOREACH(b, &reader->blocks, in_reader)
    {
        if (b->start > pos)
            return b;
        if (pos < xfer_block_end(b)) {
            *has = true;
            return b;
        }
    }
    return NULL;
}

/* Nobody will want what is still to come of the stream's blocks; what is there may stay. */
static void abandon_stream_locked(struct xfer_reader *reader, unsigned stream)
{
    struct xfer_block *b = TAILQ_FIRST(&reader->blocks);

    while (b) {
        struct xfer_block *next = TAILQ_NEXT(b, in_reader);

        if (b->stream == stream)
            xfer_block_abandon_locked(b);
        b = next;
    }
}

static void free_passed_locked(struct xfer_reader *reader, unsigned stream, uint64_t passed)
{
    struct xfer_block *b = TAILQ_FIRST(&reader->blocks);

    while (b) {
        struct xfer_block *next = TAILQ_NEXT(b, in_reader);

        if (b->stream == stream && xfer_block_end(b) <= passed && b->state == XFER_BLOCK_STOPPED &&
            b->waiters == 0)
            xfer_block_free_locked(b);
        b = next;
    }
}

/* Blocks for the gaps in [advice->from, advice->to); what lies before @wanted goes first. */
static void cover_locked(struct xfer_reader *reader, const struct xfer_advice *advice,
                         uint64_t wanted)
{
    uint64_t pos = advice->from;

    while (pos < advice->to) {
        bool has;
        struct xfer_block *b = find_block(reader, pos, &has);
        uint64_t end = reader->window.size, gap, size = advice->block;

        if (has) {
            pos = xfer_block_end(b);
            continue;
        }
        gap = (b && b->start < end ? b->start : end) - pos;
        if (gap <= size + size / 4) /* a short rest is not worth a request of its own */
            size = gap;
        if (pos < wanted)
            reader->fence = UINT64_MAX;
        if (pos >= reader->fence ||
            !xfer_pool_want_locked(reader, advice->stream, pos, size, pos < wanted))
            return;
        pos += size;
    }
}

static void plan_locked(struct xfer_reader *reader, struct request *q)
{
    struct xfer_reader_pool *pool = reader->pool;
    unsigned holders = pool->locked.holders > 0 ? pool->locked.holders : 1;
    uint64_t fair = pool->memory / 2 / holders;
    struct xfer_advice advice;

    reader->last_read_ms = ou_now_ms();
    if (q->end > reader->window.size)
        reader->window.size = reader->size;
    xfer_window_note(&reader->window, q->pos, q->end - q->pos,
                     fair < XFER_WINDOW_MAX ? fair : XFER_WINDOW_MAX, &advice);
    q->stream = advice.stream;
    if (advice.drop)
        abandon_stream_locked(reader, advice.drop);
    if (advice.stream)
        free_passed_locked(reader, advice.stream, advice.passed);
    cover_locked(reader, &advice, q->end);
}

/* -- getting the bytes -- */

static void wake_reader(void *arg)
{
    struct xfer_reader *reader = arg;

    ou_lock_scope(&reader->pool->lock);
    pthread_cond_broadcast(&reader->progress);
}

/*
 * Waits till the block has what the request wants of it; the caller counts in .waiters.
 * Return: 0 go and look what there is, or negative errno.
 */
static int wait_locked(struct xfer_block *b, const struct request *q, struct ou_error *err)
{
    struct xfer_reader *reader = b->reader;
    uint64_t want = q->end < b->start + b->size ? q->end : b->start + b->size;
    bool waited = false;

    while (b->state != XFER_BLOCK_STOPPED && !b->canceled && b->start + b->filled < want) {
        int r = 0;

        if (ou_cancel_triggered(q->cancel))
            return ou_error_set(err, EINTR, "read %s", reader->key);
        if (reader->stale.errnum != 0)
            break;
        if (b->wake_at > want)
            b->wake_at = want;
        xfer_pool_first_locked(b);
        waited = true;
        r = ou_cond_wait_until(&reader->progress, &reader->pool->lock, q->deadline_ms);
        if (r == ETIMEDOUT && b->start + b->filled < want)
            return ou_error_set(err, ETIMEDOUT, "read %s", reader->key);
    }
    if (waited)
        xfer_window_waited(&reader->window, q->stream);
    if (reader->stale.errnum != 0) {
        *err = reader->stale;
        return -reader->stale.errnum;
    }
    if (b->start + b->filled < want && b->error.errnum != 0) {
        *err = b->error;
        return -b->error.errnum;
    }
    return 0;
}

static int read_block_locked(struct xfer_block *b, struct request *q, struct ou_error *err)
{
    struct ou_mutex *lock = &b->reader->pool->lock;
    uint64_t have, n;
    int r;

    b->waiters++;
    r = wait_locked(b, q, err);
    have = b->start + b->filled;
    if (have > q->end)
        have = q->end;
    if (r == 0 && have > q->pos) {
        n = have - q->pos;
        ou_mutex_unlock(lock);
        memcpy(q->buf, b->data + (q->pos - b->start), n);
        ou_mutex_lock(lock);
        q->buf += n;
        q->pos = have;
        b->handed += n;
        if (b->handed_to < have)
            b->handed_to = have;
    }
    b->waiters--;
    xfer_block_settle_locked(b);
    return r;
}

/* [q->pos, @end), or what the cache has of its beginning, on this thread. */
static int read_direct_locked(struct xfer_reader *reader, struct request *q, uint64_t end,
                              struct ou_error *err)
{
    const struct oss_call call = {.deadline_ms = q->deadline_ms, .cancel = q->cancel};
    uint64_t kept;
    int r = 0;

    ou_mutex_unlock(&reader->pool->lock);
    kept = xfer_reader_kept(reader, q->pos, q->buf, end - q->pos);
    if (kept)
        end = q->pos + kept;
    else
        r = xfer_reader_get(reader, &call, q->buf, q->pos, end, err);
    ou_mutex_lock(&reader->pool->lock);

    if (r == -ESTALE)
        xfer_reader_fail_locked(reader, err);
    if (r < 0)
        return r;
    q->buf += end - q->pos;
    q->pos = end;
    return 0;
}

/* One piece of the request: from a block, or from the service. */
static int read_piece_locked(struct xfer_reader *reader, struct request *q, struct ou_error *err)
{
    bool has;
    struct xfer_block *b = find_block(reader, q->pos, &has);
    uint64_t end = q->end;

    if (has) {
        bool far = q->stream == 0 && q->pos > b->start + b->filled + XFER_NEAR_MIN;

        if (!far)
            return read_block_locked(b, q, err);
        if (end > xfer_block_end(b))
            end = xfer_block_end(b);
    } else if (b && end > b->start) {
        end = b->start;
    }
    return read_direct_locked(reader, q, end, err);
}

static int read_locked(struct xfer_reader *reader, struct request *q, struct ou_error *err)
{
    int r = 0;

    if (reader->stale.errnum == 0 && !ou_cancel_triggered(q->cancel))
        plan_locked(reader, q);
    while (r == 0 && q->pos < q->end) {
        if (reader->stale.errnum != 0) {
            *err = reader->stale;
            r = -reader->stale.errnum;
        } else if (ou_cancel_triggered(q->cancel)) {
            r = ou_error_set(err, EINTR, "read %s", reader->key);
        } else {
            r = read_piece_locked(reader, q, err);
        }
    }
    reader->last_read_ms = ou_now_ms();
    return r;
}

/* Is nothing of [@pos, @end) to be waited for? */
static bool is_here_locked(struct xfer_reader *reader, uint64_t pos, uint64_t end)
{
    while (pos < end) {
        bool has;
        const struct xfer_block *b = find_block(reader, pos, &has);

        if (!has || pos >= b->start + b->filled)
            return false;
        pos = b->start + b->filled;
    }
    return true;
}

static int read_here_locked(struct xfer_reader *reader, struct request *q)
{
    struct ou_error err = OU_ERROR_INIT;

    if (reader->stale.errnum != 0 || !is_here_locked(reader, q->pos, q->end))
        return -EAGAIN;
    plan_locked(reader, q);
    while (q->pos < q->end) {
        bool has;
        struct xfer_block *b = find_block(reader, q->pos, &has);

        /* Another thread may have taken the last bytes of a block meanwhile, and so freed it. */
        if (!has || !is_here_locked(reader, q->pos, q->end) || read_block_locked(b, q, &err) < 0)
            return -EAGAIN;
    }
    return 0;
}

/* What of @len bytes from @offset on the object has. */
static size_t within(const struct xfer_reader *reader, size_t len, uint64_t offset)
{
    if (offset >= reader->size)
        return 0;
    if (len > SSIZE_MAX)
        len = SSIZE_MAX;
    return len < reader->size - offset ? len : (size_t)(reader->size - offset);
}

ssize_t xfer_reader_try(struct xfer_reader *reader, void *buf, size_t len, uint64_t offset)
{
    struct request q = {.buf = buf, .pos = offset};
    int r;

    len = within(reader, len, offset);
    q.end = offset + len;
    ou_lock_scope(&reader->pool->lock);
    r = read_here_locked(reader, &q);
    return r < 0 ? r : (ssize_t)len;
}

ssize_t xfer_reader_read(struct xfer_reader *reader, void *buf, size_t len, uint64_t offset,
                         uint64_t deadline_ms, struct ou_cancel *cancel, struct ou_error *err)
{
    struct request q = {
        .buf = buf, .pos = offset, .end = offset, .deadline_ms = deadline_ms, .cancel = cancel};
    struct ou_cancel_hook hook;
    int r;

    len = within(reader, len, offset);
    if (len == 0)
        return 0;
    q.end = offset + len;

    ou_cancel_attach(cancel, &hook, wake_reader, reader);
    ou_mutex_lock(&reader->pool->lock);
    r = read_locked(reader, &q, err);
    ou_mutex_unlock(&reader->pool->lock);
    ou_cancel_detach(cancel, &hook);
    return r < 0 ? r : (ssize_t)len;
}

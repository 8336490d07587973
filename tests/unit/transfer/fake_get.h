/*
 * An object whose bytes are a function of their offset, and an oss_get_object()
 * that serves it (by -Wl,--wrap), counts, stops where it is told to, and fails.
 *
 * Header only, one object for a whole program. fake_get_reset() begins a test.
 */
#ifndef OSSUP_TESTS_FAKE_GET_H
#define OSSUP_TESTS_FAKE_GET_H

#include "unit/unit.h"

#include "base/clock.h"
#include "base/mutex.h"
#include "oss/ops.h"
#include "transfer/reader_internal.h"

#include <inttypes.h>
#include <sched.h>

#define MIB         (UINT64_C(1) << 20)
#define KIB         (UINT64_C(1) << 10)
#define FAKE_ETAG   "0123456789ABCDEF"
#define FAKE_CHUNK  (16 * KIB)      /* what curl hands over at a time */
#define FAKE_WAIT   UINT64_C(60000) /* ms; a state that has not come by then never will */
#define FAKE_RANGES 4096
#define FAKE_PERIOD 1048583u /* bytes of the pattern; a prime */

static struct {
    struct ou_mutex lock; /* rank OU_RANK_BASE: the sink is called without it */
    pthread_cond_t change;
    bool ready;
    unsigned gets, in_flight, most_in_flight, canceled;
    uint64_t asked, sent; /* bytes */
    struct xfer_range_seen {
        uint64_t offset, size;
        bool background;
    } seen[FAKE_RANGES];
    uint64_t hold_at;    /* bytes from here on do not flow; UINT64_MAX: all flow */
    bool hold_end;       /* all bytes flow, and the GET does not end */
    unsigned fail_count; /* so many GETs to come fail */
    uint64_t fail_after; /* when they have sent so many bytes */
    struct ou_error fail;
    struct xfer_reader_pool *pool; /* its memory is looked at with each GET */
    uint64_t most_used;
    unsigned char pattern[FAKE_PERIOD]; /* constant once .ready */
} fake;

static inline void fake_get_reset(void)
{
    struct unit_random random = {1};

    if (!fake.ready) {
        unit_random_bytes(&random, fake.pattern, sizeof(fake.pattern));
        ou_mutex_init(&fake.lock, OU_RANK_BASE);
        ou_cond_init(&fake.change);
        fake.ready = true;
    }
    ou_lock_scope(&fake.lock);
    fake.gets = fake.in_flight = fake.most_in_flight = fake.canceled = fake.fail_count = 0;
    fake.asked = fake.sent = fake.fail_after = fake.most_used = 0;
    fake.pool = NULL;
    fake.hold_at = UINT64_MAX;
    fake.hold_end = false;
}

/*
 * The object repeats a random pattern whose size is a prime, so that no shift by a block or a
 * chunk goes unnoticed. Copying it is quick where a loop over bytes is not: in a sanitizer's build.
 */
static inline void fake_fill(unsigned char *out, uint64_t offset, size_t len)
{
    for (size_t done = 0, n; done < len; done += n) {
        size_t at = (size_t)((offset + done) % FAKE_PERIOD);

        n = len - done < FAKE_PERIOD - at ? len - done : FAKE_PERIOD - at;
        memcpy(out + done, fake.pattern + at, n);
    }
}

static inline void fake_assert_bytes(const unsigned char *data, uint64_t offset, size_t len)
{
    unsigned char right[16 * KIB];

    for (size_t done = 0, n; done < len; done += n) {
        n = len - done < sizeof(right) ? len - done : sizeof(right);
        fake_fill(right, offset + done, n);
        if (memcmp(data + done, right, n) != 0)
            fail_msg("wrong bytes in %zu from %" PRIu64, n, offset + done);
    }
}

/* Waits till @condition holds; it is evaluated with fake.lock held. */
#define fake_wait_for(condition)                                                                   \
    do {                                                                                           \
        uint64_t until = ou_now_ms() + FAKE_WAIT;                                                  \
        int late = 0;                                                                              \
        ou_mutex_lock(&fake.lock);                                                                 \
        while (!(condition) && late == 0)                                                          \
            late = ou_cond_wait_until(&fake.change, &fake.lock, until);                            \
        ou_mutex_unlock(&fake.lock);                                                               \
        if (late != 0)                                                                             \
            fail_msg("never: %s", #condition);                                                     \
    } while (0)

static inline void fake_hold_at(uint64_t offset)
{
    ou_lock_scope(&fake.lock);
    fake.hold_at = offset;
    pthread_cond_broadcast(&fake.change);
}

static inline void fake_hold_end(bool hold)
{
    ou_lock_scope(&fake.lock);
    fake.hold_end = hold;
    pthread_cond_broadcast(&fake.change);
}

static inline void fake_fail(unsigned count, uint64_t after, int errnum, const char *code)
{
    ou_lock_scope(&fake.lock);
    fake.fail_count = count;
    fake.fail_after = after;
    (void)ou_error_set(&fake.fail, errnum, "get");
    (void)snprintf(fake.fail.code, sizeof(fake.fail.code), "%s", code);
}

static inline unsigned fake_gets(void)
{
    ou_lock_scope(&fake.lock);
    return fake.gets;
}

static inline void fake_wake(void *arg)
{
    (void)arg;
    ou_lock_scope(&fake.lock);
    pthread_cond_broadcast(&fake.change);
}

static inline int fake_send(const struct oss_call *call, uint64_t offset, uint64_t size,
                            bool failing, uint64_t fail_after, const struct oss_sink *sink,
                            struct ou_error *err)
{
    unsigned char chunk[FAKE_CHUNK];

    for (uint64_t done = 0; done < size || failing;) {
        size_t n = size - done < sizeof(chunk) ? (size_t)(size - done) : sizeof(chunk);
        bool canceled;
        int r;

        if (failing && done + n > fail_after)
            n = (size_t)(fail_after - done);
        ou_mutex_lock(&fake.lock);
        while (!ou_cancel_triggered(call->cancel) && fake.hold_at < offset + done + n)
            ou_cond_wait(&fake.change, &fake.lock);
        canceled = ou_cancel_triggered(call->cancel);
        if (!canceled)
            fake.sent += n;
        pthread_cond_broadcast(&fake.change);
        ou_mutex_unlock(&fake.lock);
        if (canceled)
            return ou_error_set(err, EINTR, "get");
        if (n == 0) {
            ou_lock_scope(&fake.lock);
            *err = fake.fail;
            return -err->errnum;
        }
        fake_fill(chunk, offset + done, n);
        r = sink->write(sink->ctx, chunk, n, done, err);
        if (r < 0)
            return r;
        done += n;
    }
    ou_lock_scope(&fake.lock);
    while (fake.hold_end) {
        if (ou_cancel_triggered(call->cancel))
            return ou_error_set(err, EINTR, "get");
        ou_cond_wait(&fake.change, &fake.lock);
    }
    return 0;
}

static inline uint64_t fake_pool_used(struct xfer_reader_pool *pool)
{
    ou_lock_scope(&pool->lock);
    return pool->locked.used;
}

int __wrap_oss_get_object(struct oss_client *c, const struct oss_call *call, const char *key,
                          uint64_t offset, uint64_t size, const char *if_match,
                          const struct oss_sink *sink, struct oss_object *out,
                          struct ou_error *err);
int __wrap_oss_get_object(struct oss_client *c, const struct oss_call *call, const char *key,
                          uint64_t offset, uint64_t size, const char *if_match,
                          const struct oss_sink *sink, struct oss_object *out, struct ou_error *err)
{
    struct ou_cancel_hook hook;
    uint64_t fail_after;
    uint64_t used = fake_pool_used(fake.pool);
    bool failing;
    int r;

    (void)c;
    (void)key;
    (void)out;
    ou_mutex_lock(&fake.lock);
    if (fake.most_used < used)
        fake.most_used = used;
    if (fake.gets < FAKE_RANGES)
        fake.seen[fake.gets] = (struct xfer_range_seen){offset, size, call->background};
    fake.gets++;
    fake.asked += size;
    fake.in_flight++;
    if (fake.most_in_flight < fake.in_flight)
        fake.most_in_flight = fake.in_flight;
    failing = fake.fail_count > 0;
    fail_after = fake.fail_after;
    if (failing)
        fake.fail_count--;
    pthread_cond_broadcast(&fake.change);
    ou_mutex_unlock(&fake.lock);

    if (strcmp(if_match, FAKE_ETAG) != 0) {
        r = ou_error_set(err, ESTALE, "get");
    } else {
        ou_cancel_attach(call->cancel, &hook, fake_wake, NULL);
        r = fake_send(call, offset, size, failing, fail_after, sink, err);
        ou_cancel_detach(call->cancel, &hook);
    }

    ou_lock_scope(&fake.lock);
    fake.in_flight--;
    if (r == -EINTR || r == -ECANCELED)
        fake.canceled++;
    pthread_cond_broadcast(&fake.change);
    return r;
}

/* -- what tests of the reader begin with -- */

static inline struct xfer_reader_pool *fake_pool(uint64_t memory, unsigned fetchers)
{
    struct xfer_reader_config config = {.memory = memory, .fetchers = fetchers};
    struct xfer_reader_pool *pool = NULL;
    struct ou_error err = OU_ERROR_INIT;

    fake_get_reset();
    assert_int_equal(xfer_reader_pool_new(&config, &pool, &err), 0);
    fake.pool = pool;
    return pool;
}

static inline struct xfer_reader *fake_reader(struct xfer_reader_pool *pool, uint64_t size)
{
    struct xfer_reader *reader = NULL;
    struct ou_error err = OU_ERROR_INIT;

    assert_int_equal(xfer_reader_new(pool, "a/b", FAKE_ETAG, size, &reader, &err), 0);
    return reader;
}

/* Reads, and asserts that all of it came and is right. */
static inline void fake_read(struct xfer_reader *reader, uint64_t offset, size_t len)
{
    unsigned char *buf = malloc(len);
    struct ou_error err = OU_ERROR_INIT;
    ssize_t want = (ssize_t)(len < reader->size - offset ? len : reader->size - offset);

    assert_non_null(buf);
    assert_int_equal(xfer_reader_read(reader, buf, len, offset, 0, NULL, &err), want);
    fake_assert_bytes(buf, offset, (size_t)want);
    free(buf);
}

/* A read on a thread of its own; the caller sets the inputs. */
struct fake_reading {
    struct xfer_reader *reader;
    uint64_t offset;
    size_t len;
    uint64_t deadline_ms;
    struct ou_cancel *cancel;
    ssize_t result;
    struct ou_error err;
    pthread_t thread;
};

static inline void *fake_reading_run(void *arg)
{
    struct fake_reading *r = arg;
    unsigned char *buf = malloc(r->len);

    r->result = buf ? xfer_reader_read(r->reader, buf, r->len, r->offset, r->deadline_ms, r->cancel,
                                       &r->err)
                    : -ENOMEM;
    if (r->result > 0)
        fake_assert_bytes(buf, r->offset, (size_t)r->result);
    free(buf);
    return NULL;
}

static inline void fake_reading_start(struct fake_reading *r)
{
    assert_int_equal(ou_thread_start(&r->thread, "reading", fake_reading_run, r, &r->err), 0);
}

static inline ssize_t fake_reading_join(struct fake_reading *r)
{
    assert_int_equal(pthread_join(r->thread, NULL), 0);
    return r->result;
}

/* Evaluates @condition with the pool's lock held, again and again till it holds. */
#define fake_poll_pool(pool, condition)                                                            \
    do {                                                                                           \
        uint64_t until = ou_now_ms() + FAKE_WAIT;                                                  \
        bool holds = false;                                                                        \
        while (!holds) {                                                                           \
            ou_mutex_lock(&(pool)->lock);                                                          \
            holds = (condition);                                                                   \
            ou_mutex_unlock(&(pool)->lock);                                                        \
            if (!holds && ou_now_ms() > until)                                                     \
                fail_msg("never: %s", #condition);                                                 \
            (void)sched_yield();                                                                   \
        }                                                                                          \
    } while (0)

static inline unsigned fake_waiters_locked(const struct xfer_reader *reader)
{
    struct xfer_block *b;
    unsigned waiters = 0;

    TAILQ_FOREACH(b, &reader->blocks, in_reader)
    waiters += b->waiters;
    return waiters;
}

static inline bool fake_all_stopped_locked(const struct xfer_reader *reader)
{
    struct xfer_block *b;

    TAILQ_FOREACH(b, &reader->blocks, in_reader)
    if (b->state != XFER_BLOCK_STOPPED)
        return false;
    return true;
}

#endif

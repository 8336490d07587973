/*
 * Debug builds keep, for each thread, the mutexes it holds in the order it took
 * them. Invariant of that list: ranks never fall from one entry to the next, and
 * equal neighbours came by ou_mutex_lock_second(). A breach is our own bug, which
 * may deadlock only once a year: it aborts, each time, with both ranks named.
 */
#include "base/mutex.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static _Noreturn void die(const char *what, const struct ou_mutex *m, int other)
{
    (void)fprintf(stderr, "mutex of rank %d: %s %d\n", m->rank, what, other);
    abort();
}

static void must(int r, const struct ou_mutex *m, const char *what)
{
    if (r)
        die(what, m, r);
}

#ifndef NDEBUG

#define HELD_MAX 16 /* mutexes one thread holds at a time; more would be a design error */

static _Thread_local struct {
    const struct ou_mutex *mutex[HELD_MAX];
    int count;
} held;

static int held_index(const struct ou_mutex *m)
{
    for (int i = held.count - 1; i >= 0; i--)
        if (held.mutex[i] == m)
            return i;
    return -1;
}

static void before_lock(const struct ou_mutex *m, bool second)
{
    if (held_index(m) >= 0)
        die("locked twice; locks held:", m, held.count);
    if (held.count == HELD_MAX)
        die("too many locks held:", m, held.count);
    if (held.count > 0) {
        int newest = held.mutex[held.count - 1]->rank;

        if (second ? newest > m->rank : newest >= m->rank)
            die("rank inversion: already holding rank", m, newest);
    }
}

static void after_lock(const struct ou_mutex *m)
{
    held.mutex[held.count++] = m;
}

static void before_unlock(const struct ou_mutex *m)
{
    int i = held_index(m);

    if (i < 0)
        die("unlocked, but not held; locks held:", m, held.count);
    held.count--;
    for (; i < held.count; i++)
        held.mutex[i] = held.mutex[i + 1];
}

/* The wait takes the mutex again, so it has to be one that may be taken now. */
static void before_wait(const struct ou_mutex *m)
{
    if (held_index(m) < 0)
        die("waited on, but not held; locks held:", m, held.count);
    if (held_index(m) != held.count - 1)
        die("waited on below rank", m, held.mutex[held.count - 1]->rank);
}

static void before_fini(const struct ou_mutex *m)
{
    if (held_index(m) >= 0)
        die("destroyed while held; locks held:", m, held.count);
}

void ou_mutex_assert_held(const struct ou_mutex *m)
{
    if (held_index(m) < 0)
        die("needed here, but not held; locks held:", m, held.count);
}

#else

static void before_lock(const struct ou_mutex *m, bool second)
{
    (void)m;
    (void)second;
}

static void after_lock(const struct ou_mutex *m)
{
    (void)m;
}

static void before_unlock(const struct ou_mutex *m)
{
    (void)m;
}

static void before_wait(const struct ou_mutex *m)
{
    (void)m;
}

static void before_fini(const struct ou_mutex *m)
{
    (void)m;
}

void ou_mutex_assert_held(const struct ou_mutex *m)
{
    (void)m;
}

#endif

void ou_mutex_init(struct ou_mutex *m, int rank)
{
    m->rank = rank;
    must(pthread_mutex_init(&m->m, NULL), m, "init: errno");
}

void ou_mutex_fini(struct ou_mutex *m)
{
    before_fini(m);
    must(pthread_mutex_destroy(&m->m), m, "destroy: errno");
}

void ou_mutex_lock(struct ou_mutex *m)
{
    before_lock(m, false);
    must(pthread_mutex_lock(&m->m), m, "lock: errno");
    after_lock(m);
}

void ou_mutex_lock_second(struct ou_mutex *m)
{
    before_lock(m, true);
    must(pthread_mutex_lock(&m->m), m, "lock: errno");
    after_lock(m);
}

void ou_mutex_unlock(struct ou_mutex *m)
{
    before_unlock(m);
    must(pthread_mutex_unlock(&m->m), m, "unlock: errno");
}

void ou_cond_init(pthread_cond_t *c)
{
    pthread_condattr_t attr;
    int r = pthread_condattr_init(&attr);

    if (r == 0)
        r = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (r == 0)
        r = pthread_cond_init(c, &attr);
    if (r) {
        (void)fprintf(stderr, "condition variable: init: errno %d\n", r);
        abort();
    }
    (void)pthread_condattr_destroy(&attr);
}

void ou_cond_wait(pthread_cond_t *c, struct ou_mutex *m)
{
    before_wait(m);
    must(pthread_cond_wait(c, &m->m), m, "wait: errno");
}

int ou_cond_wait_until(pthread_cond_t *c, struct ou_mutex *m, uint64_t deadline_ms)
{
    struct timespec deadline = {
        .tv_sec = (time_t)(deadline_ms / 1000),
        .tv_nsec = (long)(deadline_ms % 1000) * 1000000,
    };
    int r;

    if (deadline_ms == 0) {
        ou_cond_wait(c, m);
        return 0;
    }
    before_wait(m);
    r = pthread_cond_timedwait(c, &m->m, &deadline);
    if (r != ETIMEDOUT)
        must(r, m, "wait: errno");
    return r;
}

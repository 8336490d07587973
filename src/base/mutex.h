/*
 * Mutex with a rank. Debug builds (without NDEBUG) know the ranks a thread holds
 * and abort on an inversion or a double lock. The order of all ranks is told
 * once, in src/fs/fs.h; ranks are numbers and a lock may only be taken while all
 * held ones have a smaller rank (equal ranks: only via ou_mutex_lock_second()).
 */
#ifndef OSSUP_BASE_MUTEX_H
#define OSSUP_BASE_MUTEX_H

#include <pthread.h>
#include <stdint.h>

struct ou_mutex {
    pthread_mutex_t m;
    int rank;
};

/* Left layers first, as calls go; within a layer in the order of its own headers. */
enum ou_rank {
    OU_RANK_CLI = 100,
    OU_RANK_FS = 200,    /* 200..299: src/fs */
    OU_RANK_SPOOL = 300, /* 300..399: src/spool */
    OU_RANK_XFER = 400,  /* 400..499: src/transfer */
    OU_RANK_OSS = 500,   /* 500..599: src/oss */
    OU_RANK_BASE = 600,  /* 600..699: src/base */
};

void ou_mutex_init(struct ou_mutex *m, int rank);
void ou_mutex_fini(struct ou_mutex *m);
void ou_mutex_lock(struct ou_mutex *m);
/** ou_mutex_lock_second() - a second lock of the same rank; the caller orders the two (e.g. by inode number). */
void ou_mutex_lock_second(struct ou_mutex *m);
void ou_mutex_unlock(struct ou_mutex *m);
void ou_mutex_assert_held(const struct ou_mutex *m);

/* Condition variables run on CLOCK_MONOTONIC; init with ou_cond_init(). */
void ou_cond_init(pthread_cond_t *c);
void ou_cond_wait(pthread_cond_t *c, struct ou_mutex *m);
/** ou_cond_wait_until() - waits till @deadline_ms (ou_now_ms() scale; 0: for ever). Return: 0, or ETIMEDOUT. */
int ou_cond_wait_until(pthread_cond_t *c, struct ou_mutex *m, uint64_t deadline_ms);

static inline void ou_mutex_unlock_at(struct ou_mutex *const *m)
{
    if (*m)
        ou_mutex_unlock(*m);
}

static inline struct ou_mutex *ou_mutex_lock_ret(struct ou_mutex *m)
{
    ou_mutex_lock(m);
    return m;
}

#define OU_CONCAT2(a, b) a##b
#define OU_CONCAT(a, b)  OU_CONCAT2(a, b)
/* Holds @lock to the end of the enclosing block. */
#define ou_lock_scope(lock)                                                                        \
    struct ou_mutex *OU_CONCAT(ou_scope_, __LINE__)                                                \
        __attribute__((cleanup(ou_mutex_unlock_at), unused)) = ou_mutex_lock_ret(lock)

#endif

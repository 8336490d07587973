/*
 * Pool: threads for work that may wait for the network, for room or for a disk.
 *
 * One thread is made with it, others when work waits and none is idle, up to a limit; then work queues
 * without bound (the kernel bounds how many calls it has open). What the queue's work
 * waits for must never be queued behind it: see fs/flight.h.
 *
 * Thread-safe. Lock: rank OU_RANK_FS + 30, inside.
 */
#ifndef OSSUP_FS_POOL_H
#define OSSUP_FS_POOL_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct fs_pool;

struct fs_task { /* a member of what is to be done; zeroed */
    struct fs_task *next;
    void (*run)(struct fs_task *task); /* frees it, if it is to be freed */
};

int fs_pool_new(const char *thread_name, unsigned threads_max, struct fs_pool **pool,
                struct ou_error *err);
/** fs_pool_free() - runs what is queued, then joins; nothing may be added meanwhile. NULL is fine. */
void fs_pool_free(struct fs_pool *pool);
/** fs_pool_add() - @task will be run by a thread of the pool, never by the caller, who may hold locks. */
void fs_pool_add(struct fs_pool *pool, struct fs_task *task);
/** fs_pool_drain() - until nothing is queued or running; nothing may be added meanwhile. */
void fs_pool_drain(struct fs_pool *pool);
/** fs_pool_numbers() - threads that are running something, tasks that wait for one. */
void fs_pool_numbers(struct fs_pool *pool, unsigned *running, size_t *waiting);

#endif

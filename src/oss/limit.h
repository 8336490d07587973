/*
 * Rate limit: bytes per second, shared by all transfers of a client.
 *
 * Bytes are booked as they move; the answer says until when the mover must hold
 * still. Bookings queue up behind each other, so transfers share the rate fairly
 * whatever their number. Thread-safe (rank 530). A rate of 0 limits nothing.
 */
#ifndef OSSUP_OSS_LIMIT_H
#define OSSUP_OSS_LIMIT_H

#include "base/mutex.h"

#include <stddef.h>
#include <stdint.h>

#define OSS_RANK_LIMIT (OU_RANK_OSS + 30)

struct oss_limit {
    uint64_t rate; /* bytes per second; constant after init */
    struct ou_mutex lock;
    struct {
        uint64_t free_us; /* the moment at which all that was booked has flowed */
    } locked;             /* only while .lock is held */
};

void oss_limit_init(struct oss_limit *l, uint64_t rate);
void oss_limit_fini(struct oss_limit *l);
/**
 * oss_limit_book() - @bytes were moved at @now_ms
 * Return: the moment (ou_now_ms() scale) before which the same transfer moves no more; <= now: go on.
 */
uint64_t oss_limit_book(struct oss_limit *l, uint64_t bytes, uint64_t now_ms);
/** oss_limit_chunk() - the most to move at once, so that a slow rate does not come in lumps. */
size_t oss_limit_chunk(const struct oss_limit *l, size_t len);

#endif

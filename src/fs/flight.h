/*
 * Flights: requests under way for a key, so that two calls do not send the same one.
 *
 * A flight is queued (a HEAD in advance that no thread has begun) or flying. Whoever needs
 * the answer joins: waits until a flying one has landed, or takes a queued one over and
 * flies it itself. So nobody waits for what stands behind it in the pool's queue.
 *
 * The answer is not in the flight: it is put into the caches before the flight lands, and
 * the caller looks again. All functions: with the filesystem's lock held.
 */
#ifndef OSSUP_FS_FLIGHT_H
#define OSSUP_FS_FLIGHT_H

#include "base/error.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "fs/table.h"

#include <stdbool.h>
#include <stdint.h>

struct fs_flight {
    struct fs_link link;
    bool flying; /* else queued */
    char name[]; /* what is asked: kind and key */
};

struct fs_flights { /* zeroed, then fs_flights_init() */
    struct fs_table table;
    pthread_cond_t landed;
};
void fs_flights_init(struct fs_flights *f);
void fs_flights_fini(struct fs_flights *f);

/**
 * fs_flight_begin() - fly, or wait for who does
 *
 * Return: 1: the caller flies now, and calls fs_flight_land() afterwards with @name;
 * 0: somebody else's flight has landed meanwhile (the lock was let go): look again;
 * -EINTR, -ETIMEDOUT, -ENOMEM.
 */
int fs_flight_begin(struct fs_flights *f, struct ou_mutex *lock, const char *name,
                    uint64_t deadline_ms, struct ou_cancel *cancel, struct ou_error *err);
void fs_flight_land(struct fs_flights *f, const char *name);
/** fs_flight_queue() - note that somebody is going to fly; false: there is such a flight (or no memory). */
bool fs_flight_queue(struct fs_flights *f, const char *name);
/** fs_flight_take_off() - the queued flight begins; false: somebody has taken it over. */
bool fs_flight_take_off(struct fs_flights *f, const char *name);

#endif

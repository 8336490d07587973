/*
 * The gate: how many requests are in flight. Private to src/oss. Thread-safe (rank 510).
 *
 * At most `connections` pass; fewer after the service asked for less, one more again for each
 * round of successes that lasted a second. Those who wait are let in first come, first served,
 * foreground before background; but a stream of foreground calls does not shut out the
 * background, and background calls leave a quarter of the places to the foreground.
 */
#ifndef OSSUP_OSS_GATE_H
#define OSSUP_OSS_GATE_H

#include "base/error.h"
#include "base/mutex.h"
#include "base/thread.h"

#include <stdbool.h>
#include <stdint.h>

#define OSS_RANK_GATE (OU_RANK_OSS + 10)

struct oss_gate_waiter;

struct oss_gate_queue {
    struct oss_gate_waiter *first, **end;
};

struct oss_gate {
    unsigned connections; /* constant after init */
    struct ou_mutex lock;
    struct {
        unsigned allowed; /* 1..connections */
        unsigned in_flight, background_in_flight;
        unsigned streak;     /* foreground calls let in while background calls waited */
        unsigned successes;  /* since .allowed changed */
        uint64_t changed_ms; /* when .allowed changed */
        struct oss_gate_queue foreground, background;
    } locked; /* only while .lock is held */
};

enum oss_gate_outcome { OSS_GATE_FAILED, OSS_GATE_SUCCESS, OSS_GATE_THROTTLED };

void oss_gate_init(struct oss_gate *g, unsigned connections);
void oss_gate_fini(struct oss_gate *g); /* nobody is inside or waiting */
/**
 * oss_gate_enter() - wait for a place
 * @deadline_ms: ou_now_ms() scale; 0: none
 *
 * Return: 0; -EINTR cancelled; -ETIMEDOUT (code Timeout) no place before the deadline.
 */
int oss_gate_enter(struct oss_gate *g, bool background, uint64_t deadline_ms,
                   struct ou_cancel *cancel, struct ou_error *err);
/** oss_gate_leave() - give the place back. Return: true when this made the gate narrower. */
bool oss_gate_leave(struct oss_gate *g, bool background, enum oss_gate_outcome outcome,
                    uint64_t now_ms);
void oss_gate_look(struct oss_gate *g, unsigned *in_flight, unsigned *allowed);

#endif

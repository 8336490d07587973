/*
 * Upload state: which parts of a multipart upload are on the server.
 *
 * Internal to src/transfer. Pure: no I/O, no lock (the engine holds its own), no clock
 * (times are passed in). What the engine does with it is in engine_internal.h.
 *
 *   WANTED      must be sent (or copied)
 *   RECORDED  an earlier run says it is there; ListParts has not confirmed it yet
 *   LISTED    the server has a part of this number and size; the local bytes are to be compared
 *   FLIGHT    a step works on it; .stale: touched or replanned meanwhile, its result is void
 *   REPLAN    a copy whose range was touched: waits for a plan that sends it
 *   DONE      there, and equal to the local bytes
 */
#ifndef OSSUP_TRANSFER_UPLOAD_STATE_H
#define OSSUP_TRANSFER_UPLOAD_STATE_H

#include "oss/types.h"
#include "transfer/plan.h"

enum xfer_part_state {
    XFER_PART_WANTED,
    XFER_PART_RECORDED,
    XFER_PART_LISTED,
    XFER_PART_FLIGHT,
    XFER_PART_REPLAN,
    XFER_PART_DONE
};

struct xfer_part {
    enum xfer_part_state state;
    bool stale;        /* FLIGHT only */
    bool replan;       /* stale copy: its bytes changed, so it may not be copied again */
    unsigned tries;    /* failures since the last success */
    uint64_t ready_at; /* not before; ou_now_ms() scale */
};

struct xfer_parts {
    struct xfer_plan plan;
    /*
     * By number - 1. As many as the plan has parts, or more: those behind it are in flight for
     * an older plan, and their numbers may not be used again before they ended.
     */
    struct xfer_part *parts;
    struct oss_part *answers; /* what the server told of each; DONE, RECORDED, LISTED */
    size_t slots;
    size_t pending;     /* parts of the plan in WANTED or LISTED */
    size_t flight;      /* slots in FLIGHT */
    size_t waiting;     /* parts of the plan in REPLAN */
    size_t first;       /* no WANTED or LISTED part lies before it */
    uint64_t confirmed; /* bytes in DONE parts */
};

/** xfer_parts_init() - takes @plan (any kind) on success. Return: 0, -ENOMEM. */
int xfer_parts_init(struct xfer_parts *p, struct xfer_plan *plan, struct ou_error *err);
void xfer_parts_fini(struct xfer_parts *p);

/** xfer_parts_record() - what an earlier run journalled; ignored where the plan differs from @where */
void xfer_parts_record(struct xfer_parts *p, const struct oss_part *part,
                       const struct xfer_plan_part *where);
/**
 * xfer_parts_list() - compare with the server's list (nothing is in flight)
 *
 * Afterwards no part is RECORDED. DONE parts that the list contradicts are WANTED again.
 */
void xfer_parts_list(struct xfer_parts *p, const struct oss_part_list *list);
/** xfer_parts_forget() - the upload id is dead: everything is WANTED (nothing is in flight) */
void xfer_parts_forget(struct xfer_parts *p);

/**
 * xfer_parts_next() - a WANTED or LISTED part that may go now
 * @wake_at: when there is none: the earliest moment one may, or 0
 *
 * Return: true and its index.
 */
bool xfer_parts_next(struct xfer_parts *p, uint64_t now, size_t *index, uint64_t *wake_at);
void xfer_parts_begin(struct xfer_parts *p, size_t index);
/** xfer_parts_end() - the flight is over. @answer: it is there; NULL: it must go (again). A stale one must. */
void xfer_parts_end(struct xfer_parts *p, size_t index, const struct oss_part *answer,
                    uint64_t ready_at);
/** xfer_parts_hurry() - no part waits for its time any more */
void xfer_parts_hurry(struct xfer_parts *p);

/** xfer_parts_touch() - [offset, offset + size) changed; parts there are sent again, not before @ready_at */
void xfer_parts_touch(struct xfer_parts *p, uint64_t offset, uint64_t size, uint64_t ready_at);
/** xfer_parts_replan() - takes @plan on success; keeps what is the same. Return: 0, -ENOMEM. */
int xfer_parts_replan(struct xfer_parts *p, struct xfer_plan *plan, struct ou_error *err);
/** xfer_parts_send_waiting() - nobody replanned the REPLAN parts: their bytes are sent */
void xfer_parts_send_waiting(struct xfer_parts *p);

/** xfer_parts_complete() - every part of a multipart plan is DONE and nothing is in flight */
bool xfer_parts_complete(const struct xfer_parts *p);
/** xfer_answers_crc64() - the CRC-64 of all answers combined. false: one is unknown. */
bool xfer_answers_crc64(const struct oss_part *answers, size_t count, uint64_t *crc64);

#endif

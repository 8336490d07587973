/*
 * The engine's inside: what its files share. Nobody outside src/transfer includes this.
 *
 *   engine.c        the functions of engine.h
 *   schedule.c      which upload goes next; the worker threads
 *   next_step.c     which step an upload needs next: the state machine of engine.h, as one function
 *   step_part.c     send, copy or compare a part; how bytes are read
 *   step_publish.c  the gate, PutObject, CopyObject, Complete, and what to do without an answer
 *   step_id.c       the upload id: find, list, initiate, forget, abort
 *   upload_state.c  the parts (pure)
 *
 * A worker takes an upload from the schedule, chooses a step under the engine's lock, runs it
 * without, and settles its outcome under the lock again. SEND and COMPARE steps of an
 * upload run beside each other; every other step is *exclusive*: it runs alone.
 *
 * Invariants:
 *   - .upload_id and the arrays of .parts move only in exclusive steps, start and replan; replan is
 *     refused while .publishing, so that a Complete may read .parts.answers without the lock;
 *   - .publishing is true from a may_publish() of 1 (or a start whose resume says so) to
 *     unpublished() or done();
 *   - an upload is freed by its FINISH step, or by xfer_engine_free().
 */
#ifndef OSSUP_TRANSFER_ENGINE_INTERNAL_H
#define OSSUP_TRANSFER_ENGINE_INTERNAL_H

#include "base/mutex.h"
#include "base/thread.h"
#include "transfer/engine.h"
#include "transfer/upload_state.h"

#define XFER_TOUCH_SETTLE_MS 500u /* a touched part is likely to be touched again; kick ends it */
#define XFER_ABORT_TRIES     8u   /* then the id is left to gc */

enum xfer_step_kind {
    XFER_STEP_NONE,
    XFER_STEP_FIND,     /* an upload id whose answer was lost */
    XFER_STEP_INITIATE, /* a new one */
    XFER_STEP_LIST,     /* what is on the server */
    XFER_STEP_SEND,     /* a part, by upload or copy */
    XFER_STEP_COMPARE,  /* local bytes with a part that the server listed */
    XFER_STEP_PUBLISH,  /* gate, then Put, Copy or Complete */
    XFER_STEP_COMPLETE, /* Complete again: it was sent, and not answered */
    XFER_STEP_CHECK,    /* is the published object ours? */
    XFER_STEP_FORGET,   /* give the upload id up */
    XFER_STEP_ABORT,    /* canceled */
    XFER_STEP_FINISH    /* done() */
};

struct xfer_step { /* one for each worker */
    /* The worker's own. */
    struct xfer_upload *upload;
    enum xfer_step_kind kind;
    size_t index;                /* SEND, COMPARE: the part's slot */
    struct xfer_plan_part where; /* the part; for a Put the whole file */
    struct ou_cancel *cancel;    /* triggered by others under the engine's lock */
    bool read_stale;             /* read() found changed bytes: not a failure */
    bool read_failed;            /* read() failed: no repetition of the request helps */
    /* Under the engine's lock. */
    bool all_read; /* a Put's last byte was read: it can no longer be stopped */
};

struct xfer_worker {
    struct xfer_engine *engine;
    pthread_t thread;
    bool started;
    struct xfer_step step; /* .upload is NULL between steps; set under the engine's lock */
};

enum xfer_queue { XFER_QUEUE_NONE, XFER_QUEUE_SMALL, XFER_QUEUE_BIG, XFER_QUEUE_TIMED };

struct xfer_upload_list {
    struct xfer_upload *head, *tail;
};

struct xfer_upload {
    /* Constant after start. */
    struct xfer_engine *engine;
    char *key, *base_key, *base_etag;
    const struct xfer_upload_ops *ops;
    void *ctx;
    bool one_shot;
    uint64_t deadline_ms;

    /* Moved by exclusive steps only, which may read it without the lock. */
    char upload_id[OSS_UPLOAD_ID_SIZE]; /* "": none */
    struct timespec initiated;          /* when the last Initiate was recorded */

    /* Everything below: under the engine's lock. */
    struct xfer_upload *next, *prev; /* in a queue */
    struct xfer_upload *next_all, *prev_all;
    enum xfer_queue queue;
    size_t heap_index; /* XFER_QUEUE_TIMED */
    uint64_t wake_at;

    struct xfer_parts parts;
    unsigned running;  /* steps: their workers still point here */
    bool busy;         /* an exclusive step runs */
    bool find;         /* an Initiate may have made an id that we do not know */
    bool list;         /* ask the server for the parts before going on */
    bool check;        /* ask for the object: it may be published already */
    bool check_exists; /* .. because the key is said to exist, and overwriting is forbidden */
    bool completing;   /* Complete was sent; only it can tell what became of it */
    bool forget;       /* the id is of no use any more; */
    bool forget_abort; /* it must be aborted, too */
    bool held;         /* no part is begun */
    bool asleep;       /* may_publish() said no */
    bool kicked;       /* since the gate was asked */
    bool touched;      /* since the gate was asked */
    bool publishing;
    bool resume_publishing; /* an earlier run may have published it with this upload id */
    bool canceled;
    bool ending;     /* .result and .last say how; FINISH is all that is left */
    bool finishing;  /* done() runs */
    bool parts_sent; /* with this upload id, by this run */
    unsigned attempts, restarts, abort_tries, invalid_parts;
    uint64_t ready_at;      /* backoff of the whole upload */
    uint64_t failing_since; /* 0: not failing */
    struct ou_error last;
    struct xfer_result result;
};

struct xfer_engine {
    /* Constant after new. */
    struct oss_client *client;
    unsigned worker_count, threads;
    struct xfer_worker *workers;

    struct ou_mutex lock; /* rank OU_RANK_XFER */
    pthread_cond_t
        wake; /* there is an upload to take, an earlier moment to wait for, or .stopping */
    struct {
        struct xfer_upload_list small, big;
        unsigned small_taken;      /* in a row */
        struct xfer_upload **heap; /* TIMED, by .wake_at */
        size_t heap_count, heap_cap;
        struct xfer_upload *all;
        size_t upload_count;
        bool stopping;
    } locked;
};

/* -- engine.c -- */
void xfer_upload_free(struct xfer_upload *u); /* in no queue any more */

/* -- schedule.c -- */
/** xfer_schedule_locked() - put the upload where its next step says; call after every change */
void xfer_schedule_locked(struct xfer_upload *u);
void xfer_unschedule_locked(struct xfer_upload *u);
/** xfer_schedule_reserve_locked() - room for one more upload, so that scheduling cannot fail */
int xfer_schedule_reserve_locked(struct xfer_engine *e, struct ou_error *err);
void *xfer_worker_run(void *worker);

/* -- next_step.c -- */
/** xfer_next_step_locked() - @index: of SEND and COMPARE; @wake_at: for NONE: when to look again, 0: never */
enum xfer_step_kind xfer_next_step_locked(struct xfer_upload *u, uint64_t now, size_t *index,
                                          uint64_t *wake_at);
/** xfer_succeeded_locked() - something worked: no backoff */
void xfer_succeeded_locked(struct xfer_upload *u);
/** xfer_failed_locked() - a step failed with @err: back off and repeat, or end */
void xfer_failed_locked(struct xfer_upload *u, const struct ou_error *err);
/** xfer_part_failed_locked() - likewise; the other parts go on while some of them succeed */
void xfer_part_failed_locked(struct xfer_upload *u, const struct ou_error *err);
/** xfer_end_locked() - FINISH with @err, NULL: success */
void xfer_end_locked(struct xfer_upload *u, const struct ou_error *err);
/** xfer_start_over_locked() - give the id up and begin anew; backs off when that happens again and again */
void xfer_start_over_locked(struct xfer_upload *u, const struct ou_error *why);
/** xfer_interrupted_locked() - the step was broken off by cancel or stop: its failure says nothing */
bool xfer_interrupted_locked(const struct xfer_upload *u);
/** xfer_may_have_worked() - the request of @err may have taken effect all the same */
bool xfer_may_have_worked(const struct ou_error *err);
uint64_t xfer_retry_delay_ms(unsigned attempt, const struct ou_error *err);

/* -- the steps: each is called without the lock and takes it to settle -- */
void xfer_step_send(struct xfer_step *s);
void xfer_step_compare(struct xfer_step *s);
void xfer_step_publish(struct xfer_step *s);
void xfer_step_complete(struct xfer_step *s);
void xfer_step_check(struct xfer_step *s);
void xfer_step_find(struct xfer_step *s);
void xfer_step_initiate(struct xfer_step *s);
void xfer_step_list(struct xfer_step *s);
void xfer_step_forget(struct xfer_step *s);
void xfer_step_abort(struct xfer_step *s);

/** xfer_retract() - what may_publish() released is not published: tell the owner, if it was released */
void xfer_retract(struct xfer_upload *u, bool maybe);
/** xfer_step_call() - how a step's requests are made */
struct oss_call xfer_step_call(const struct xfer_step *s);
/** xfer_step_body() - the bytes of s->where, broken off when they change */
struct oss_body xfer_step_body(struct xfer_step *s);
/** xfer_local_crc64() - of @size local bytes. Return: 0, or negative errno (-ESTALE: s->read_stale). */
int xfer_local_crc64(struct xfer_step *s, uint64_t offset, uint64_t size, uint64_t *crc64,
                     struct ou_error *err);
/** xfer_record() - journal @event; 0 when nothing is kept */
int xfer_record(struct xfer_upload *u, const struct xfer_event *event, struct ou_error *err);

#endif

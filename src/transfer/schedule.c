/*
 * Who goes next.
 *
 * An upload with a step to take is in one of two queues: BIG if the step is a part of a multipart
 * upload, SMALL if it is anything else (a whole small file; the last request of a large one).
 * Workers take from the head and put back at the tail: round robin. SMALL goes first, but after
 * SMALL_RUN of them in a row one of BIG gets its turn, so that nothing starves. An upload that
 * waits for a moment is in a heap by that moment; one that waits for an event is nowhere.
 */
#include "base/clock.h"
#include "base/log.h"
#include "transfer/engine_internal.h"

#include <errno.h>
#include <stdlib.h>

#define SMALL_RUN 8

/* -- the heap of those that wait for a moment -- */

static void heap_set(struct xfer_engine *e, size_t i, struct xfer_upload *u)
{
    e->locked.heap[i] = u;
    u->heap_index = i;
}

static void heap_up(struct xfer_engine *e, size_t i)
{
    struct xfer_upload *u = e->locked.heap[i];

    for (; i > 0 && e->locked.heap[(i - 1) / 2]->wake_at > u->wake_at; i = (i - 1) / 2)
        heap_set(e, i, e->locked.heap[(i - 1) / 2]);
    heap_set(e, i, u);
}

static void heap_down(struct xfer_engine *e, size_t i)
{
    struct xfer_upload *u = e->locked.heap[i];

    for (;;) {
        size_t child = 2 * i + 1;

        if (child + 1 < e->locked.heap_count &&
            e->locked.heap[child + 1]->wake_at < e->locked.heap[child]->wake_at)
            child++;
        if (child >= e->locked.heap_count || e->locked.heap[child]->wake_at >= u->wake_at)
            break;
        heap_set(e, i, e->locked.heap[child]);
        i = child;
    }
    heap_set(e, i, u);
}

static void heap_remove(struct xfer_engine *e, struct xfer_upload *u)
{
    size_t i = u->heap_index;
    struct xfer_upload *moved = e->locked.heap[--e->locked.heap_count];

    if (moved == u)
        return;
    heap_set(e, i, moved);
    heap_up(e, i);
    heap_down(e, moved->heap_index);
}

/* -- the two queues -- */

static struct xfer_upload_list *list_of(struct xfer_upload *u)
{
    return u->queue == XFER_QUEUE_SMALL ? &u->engine->locked.small : &u->engine->locked.big;
}

static void list_push(struct xfer_upload *u)
{
    struct xfer_upload_list *l = list_of(u);

    u->prev = l->tail;
    u->next = NULL;
    *(l->tail ? &l->tail->next : &l->head) = u;
    l->tail = u;
}

static void list_remove(struct xfer_upload *u)
{
    struct xfer_upload_list *l = list_of(u);

    *(u->prev ? &u->prev->next : &l->head) = u->next;
    *(u->next ? &u->next->prev : &l->tail) = u->prev;
    u->next = u->prev = NULL;
}

void xfer_unschedule_locked(struct xfer_upload *u)
{
    if (u->queue == XFER_QUEUE_TIMED)
        heap_remove(u->engine, u);
    else if (u->queue != XFER_QUEUE_NONE)
        list_remove(u);
    u->queue = XFER_QUEUE_NONE;
}

int xfer_schedule_reserve_locked(struct xfer_engine *e, struct ou_error *err)
{
    size_t cap = e->locked.heap_cap ? e->locked.heap_cap * 2 : 64;
    struct xfer_upload **heap;

    if (e->locked.upload_count < e->locked.heap_cap)
        return 0;
    heap = realloc(e->locked.heap, cap * sizeof(struct xfer_upload *));
    if (!heap)
        return ou_error_set(err, ENOMEM, "queue %zu uploads", cap);
    e->locked.heap = heap;
    e->locked.heap_cap = cap;
    return 0;
}

static enum xfer_queue queue_for(enum xfer_step_kind kind, uint64_t wake_at)
{
    if (kind == XFER_STEP_NONE)
        return wake_at ? XFER_QUEUE_TIMED : XFER_QUEUE_NONE;
    return kind == XFER_STEP_SEND || kind == XFER_STEP_COMPARE ? XFER_QUEUE_BIG : XFER_QUEUE_SMALL;
}

void xfer_schedule_locked(struct xfer_upload *u)
{
    struct xfer_engine *e = u->engine;
    size_t index;
    uint64_t wake_at;
    enum xfer_step_kind kind = xfer_next_step_locked(u, ou_now_ms(), &index, &wake_at);
    enum xfer_queue queue = queue_for(kind, wake_at);

    if (queue == u->queue && queue != XFER_QUEUE_TIMED)
        return; /* keeps its turn */
    xfer_unschedule_locked(u);
    u->queue = queue;
    if (queue == XFER_QUEUE_NONE)
        return;
    if (queue == XFER_QUEUE_TIMED) {
        u->wake_at = wake_at;
        e->locked.heap[e->locked.heap_count++] = u;
        heap_up(e, e->locked.heap_count - 1);
        if (u->heap_index > 0)
            return; /* nobody waits for less than this */
    } else {
        list_push(u);
    }
    (void)pthread_cond_signal(&e->wake);
}

/* -- the workers -- */

static void wake_the_due_locked(struct xfer_engine *e)
{
    uint64_t now = ou_now_ms();

    while (e->locked.heap_count > 0 && e->locked.heap[0]->wake_at <= now) {
        struct xfer_upload *u = e->locked.heap[0];

        xfer_unschedule_locked(u);
        xfer_schedule_locked(u);
    }
}

static struct xfer_upload *pick_locked(struct xfer_engine *e)
{
    struct xfer_upload *small = e->locked.small.head, *big = e->locked.big.head;

    if (small && (!big || e->locked.small_taken < SMALL_RUN)) {
        e->locked.small_taken++;
        return small;
    }
    e->locked.small_taken = 0;
    return big;
}

/* Chooses the step and marks it as running. false: there is none after all. */
static bool take_locked(struct xfer_worker *w, struct xfer_upload *u)
{
    struct xfer_step *s = &w->step;
    uint64_t wake_at;
    size_t index = 0;
    enum xfer_step_kind kind = xfer_next_step_locked(u, ou_now_ms(), &index, &wake_at);

    if (kind == XFER_STEP_NONE)
        return false;
    u->running++;
    ou_cancel_reset(s->cancel);
    *s = (struct xfer_step){.upload = u, .kind = kind, .index = index, .cancel = s->cancel};
    if (kind == XFER_STEP_SEND || kind == XFER_STEP_COMPARE) {
        s->where = u->parts.plan.parts[index];
        xfer_parts_begin(&u->parts, index);
    } else {
        u->busy = true;
        u->finishing = kind == XFER_STEP_FINISH;
    }
    return true;
}

static void upload_finish(struct xfer_step *s)
{
    struct xfer_upload *u = s->upload;
    struct xfer_engine *e = u->engine;
    struct ou_error err = u->last; /* .ending or .canceled: nobody moves it any more */

    if (!u->ending)
        (void)ou_error_set(&err, ECANCELED, "upload %s", u->key);
    if (err.errnum)
        ou_log_info(OU_LOG_XFER, "upload ended key=%s error=\"%s\"", u->key, err.message);
    u->ops->done(u->ctx, &u->result, err.errnum ? &err : NULL);
    ou_mutex_lock(&e->lock);
    *(u->prev_all ? &u->prev_all->next_all : &e->locked.all) = u->next_all;
    if (u->next_all)
        u->next_all->prev_all = u->prev_all;
    e->locked.upload_count--;
    s->upload = NULL;
    ou_mutex_unlock(&e->lock);
    xfer_upload_free(u);
}

static void step_run(struct xfer_step *s)
{
    static void (*const run[])(struct xfer_step *) = {
        [XFER_STEP_FIND] = xfer_step_find,         [XFER_STEP_INITIATE] = xfer_step_initiate,
        [XFER_STEP_LIST] = xfer_step_list,         [XFER_STEP_SEND] = xfer_step_send,
        [XFER_STEP_COMPARE] = xfer_step_compare,   [XFER_STEP_PUBLISH] = xfer_step_publish,
        [XFER_STEP_COMPLETE] = xfer_step_complete, [XFER_STEP_CHECK] = xfer_step_check,
        [XFER_STEP_FORGET] = xfer_step_forget,     [XFER_STEP_ABORT] = xfer_step_abort,
        [XFER_STEP_FINISH] = upload_finish,
    };

    run[s->kind](s);
}

/* Called and returns with the lock held; the step runs without. */
static void work_locked(struct xfer_worker *w, struct xfer_upload *u)
{
    struct xfer_engine *e = w->engine;

    xfer_unschedule_locked(u);
    if (!take_locked(w, u)) {
        xfer_schedule_locked(u);
        return;
    }
    xfer_schedule_locked(u); /* at the tail, for its next part */
    ou_mutex_unlock(&e->lock);
    step_run(&w->step);
    ou_mutex_lock(&e->lock);
    if (!w->step.upload)
        return; /* finished and freed */
    if (w->step.kind != XFER_STEP_SEND && w->step.kind != XFER_STEP_COMPARE)
        u->busy = false;
    w->step.upload = NULL;
    u->running--;
    xfer_schedule_locked(u);
}

void *xfer_worker_run(void *worker)
{
    struct xfer_worker *w = worker;
    struct xfer_engine *e = w->engine;

    ou_mutex_lock(&e->lock);
    while (!e->locked.stopping) {
        struct xfer_upload *u;

        wake_the_due_locked(e);
        u = pick_locked(e);
        if (u)
            work_locked(w, u);
        else
            (void)ou_cond_wait_until(&e->wake, &e->lock,
                                     e->locked.heap_count > 0 ? e->locked.heap[0]->wake_at : 0);
    }
    ou_mutex_unlock(&e->lock);
    return NULL;
}

/*
 * The gate. A waiter lies on its caller's stack, in one of two queues, until it is let in.
 *
 *   narrower:  a throttling answer halves .allowed, once in NARROW_MS at most: the answers to
 *              all that was in flight at that moment are one piece of news
 *   wider:     .allowed successes and WIDEN_MS since the last change add one
 */
#include "oss/gate.h"

#include "base/clock.h"
#include "oss/errors.h"

#include <errno.h>

#define NARROW_MS  1000u
#define WIDEN_MS   1000u
#define STREAK_MAX 8u /* foreground calls that may pass a waiting background call */
#define SHARE      4u /* one place in so many is the foreground's */

struct oss_gate_waiter {
    struct oss_gate_waiter *next, **prev;
    struct oss_gate *gate;
    pthread_cond_t wake;
    bool granted, cancelled; /* under the gate's lock */
};

void oss_gate_init(struct oss_gate *g, unsigned connections)
{
    *g = (struct oss_gate){.connections = connections};
    ou_mutex_init(&g->lock, OSS_RANK_GATE);
    g->locked.allowed = connections;
    g->locked.foreground.end = &g->locked.foreground.first;
    g->locked.background.end = &g->locked.background.first;
}

void oss_gate_fini(struct oss_gate *g)
{
    ou_mutex_fini(&g->lock);
}

static void append_locked(struct oss_gate_queue *q, struct oss_gate_waiter *w)
{
    w->next = NULL;
    w->prev = q->end;
    *q->end = w;
    q->end = &w->next;
}

static void remove_locked(struct oss_gate_queue *q, struct oss_gate_waiter *w)
{
    *w->prev = w->next;
    if (w->next)
        w->next->prev = w->prev;
    else
        q->end = w->prev;
}

static unsigned background_limit_locked(const struct oss_gate *g)
{
    unsigned allowed = g->locked.allowed;

    return allowed < SHARE ? allowed : allowed - allowed / SHARE;
}

/* Who is next, if anybody may enter; NULL otherwise. */
static struct oss_gate_queue *next_locked(struct oss_gate *g)
{
    bool background =
        g->locked.background.first && g->locked.background_in_flight < background_limit_locked(g);

    if (g->locked.in_flight >= g->locked.allowed)
        return NULL;
    if (g->locked.foreground.first && !(background && g->locked.streak >= STREAK_MAX))
        return &g->locked.foreground;
    return background ? &g->locked.background : NULL;
}

static void grant_locked(struct oss_gate *g)
{
    struct oss_gate_queue *q;

    while ((q = next_locked(g))) {
        struct oss_gate_waiter *w = q->first;

        remove_locked(q, w);
        g->locked.in_flight++;
        if (q == &g->locked.background) {
            g->locked.background_in_flight++;
            g->locked.streak = 0;
        } else {
            g->locked.streak = g->locked.background.first ? g->locked.streak + 1 : 0;
        }
        w->granted = true;
        (void)pthread_cond_signal(&w->wake);
    }
}

static void wake_waiter(void *arg)
{
    struct oss_gate_waiter *w = arg;

    ou_lock_scope(&w->gate->lock);
    w->cancelled = true;
    (void)pthread_cond_signal(&w->wake);
}

static bool try_enter(struct oss_gate *g, struct oss_gate_queue *q, struct oss_gate_waiter *w)
{
    ou_lock_scope(&g->lock);
    append_locked(q, w);
    grant_locked(g);
    return w->granted;
}

/* Return: true when it was let in; else it has left the queue. */
static bool wait_for_grant(struct oss_gate *g, struct oss_gate_queue *q, struct oss_gate_waiter *w,
                           uint64_t deadline_ms)
{
    ou_lock_scope(&g->lock);
    while (!w->granted && !w->cancelled)
        if (ou_cond_wait_until(&w->wake, &g->lock, deadline_ms) == ETIMEDOUT &&
            ou_now_ms() >= deadline_ms)
            break;
    if (!w->granted)
        remove_locked(q, w);
    return w->granted;
}

int oss_gate_enter(struct oss_gate *g, bool background, uint64_t deadline_ms,
                   struct ou_cancel *cancel, struct ou_error *err)
{
    struct oss_gate_queue *q = background ? &g->locked.background : &g->locked.foreground;
    struct oss_gate_waiter w = {.gate = g};
    struct ou_cancel_hook hook;
    bool granted;

    ou_cond_init(&w.wake);
    granted = try_enter(g, q, &w);
    if (!granted) {
        ou_cancel_attach(cancel, &hook, wake_waiter, &w);
        granted = wait_for_grant(g, q, &w, deadline_ms);
        ou_cancel_detach(cancel, &hook);
    }
    (void)pthread_cond_destroy(&w.wake);
    if (granted)
        return 0;
    if (w.cancelled)
        return ou_error_set(err, EINTR, "wait for a connection");
    return oss_error_here(err, 0, "Timeout", NULL, "no connection was free before the deadline");
}

static bool narrow_locked(struct oss_gate *g, uint64_t now_ms)
{
    if (g->locked.changed_ms && now_ms - g->locked.changed_ms < NARROW_MS &&
        g->locked.allowed < g->connections)
        return false;
    g->locked.allowed = g->locked.allowed > 1 ? g->locked.allowed / 2 : 1;
    g->locked.changed_ms = now_ms;
    g->locked.successes = 0;
    return true;
}

static void widen_locked(struct oss_gate *g, uint64_t now_ms)
{
    if (g->locked.allowed == g->connections || ++g->locked.successes < g->locked.allowed ||
        now_ms - g->locked.changed_ms < WIDEN_MS)
        return;
    g->locked.allowed++;
    g->locked.changed_ms = now_ms;
    g->locked.successes = 0;
}

bool oss_gate_leave(struct oss_gate *g, bool background, enum oss_gate_outcome outcome,
                    uint64_t now_ms)
{
    bool narrowed = false;

    ou_lock_scope(&g->lock);
    g->locked.in_flight--;
    if (background)
        g->locked.background_in_flight--;
    if (outcome == OSS_GATE_THROTTLED)
        narrowed = narrow_locked(g, now_ms);
    else if (outcome == OSS_GATE_SUCCESS)
        widen_locked(g, now_ms);
    grant_locked(g);
    return narrowed;
}

void oss_gate_look(struct oss_gate *g, unsigned *in_flight, unsigned *allowed)
{
    ou_lock_scope(&g->lock);
    *in_flight = g->locked.in_flight;
    *allowed = g->locked.allowed;
}

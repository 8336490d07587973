/*
 * Threads with a name, blocked signals and an owner who joins them; cancellation of waits.
 */
#ifndef OSSUP_BASE_THREAD_H
#define OSSUP_BASE_THREAD_H

#include "base/error.h"

#include <pthread.h>
#include <stdbool.h>

/**
 * ou_thread_start() - run @run(@arg) in a thread; the caller joins it with pthread_join()
 * @name: at most 15 bytes, shown by ps -L
 *
 * All signals are blocked in it but those by which a thread reports its own fault (SIGSEGV,
 * SIGBUS, SIGABRT and the like). Return: 0, -EAGAIN or -ENOMEM.
 */
int ou_thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg,
                    struct ou_error *err);

/*
 * A cancel flag that others can wait beside. A blocked call registers a callback;
 * ou_cancel_trigger() sets the flag and calls all registered callbacks, each under
 * the cancel's own lock (so a callback must only wake, never block or unregister).
 * After ou_cancel_detach() returned, the callback is not running and will not run.
 *
 * Locks: a callback may take a lock for a moment to wake a condition variable.
 * Whoever calls trigger, attach or detach must not hold that lock.
 */
struct ou_cancel;
struct ou_cancel *ou_cancel_new(void); /* NULL: no memory */
struct ou_cancel *ou_cancel_ref(struct ou_cancel *c);
void ou_cancel_unref(struct ou_cancel *c);
void ou_cancel_trigger(struct ou_cancel *c);
/** ou_cancel_reset() - the flag is down again, for a cancel that is used for one call after another. */
void ou_cancel_reset(struct ou_cancel *c);
bool ou_cancel_triggered(const struct ou_cancel *c); /* NULL: false */

struct ou_cancel_hook { /* caller-owned, on its stack; no field is the caller's business */
    struct ou_cancel_hook *next, **prev;
    void (*wake)(void *arg);
    void *arg;
};
/** ou_cancel_attach() - calls @wake at once when the flag is up already. @c may be NULL. */
void ou_cancel_attach(struct ou_cancel *c, struct ou_cancel_hook *hook, void (*wake)(void *arg),
                      void *arg);
void ou_cancel_detach(struct ou_cancel *c, struct ou_cancel_hook *hook);

#endif

/*
 * Threads, and ou_cancel: a flag, and a list of hooks to be called when it rises.
 *
 * Hooks are called with the cancel's lock held; that is what lets detach promise
 * that the callback is over. The lock has no rank, since hooks of all layers hang
 * on it: see the header for what may be held where.
 */
#include "base/thread.h"

#include "base/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SIZE 16 /* what Linux keeps of a thread's name, with the NUL */

struct start {
    void *(*run)(void *);
    void *arg;
    char name[NAME_SIZE];
};

static void *trampoline(void *arg)
{
    struct start s = *(struct start *)arg;

    free(arg);
    (void)pthread_setname_np(pthread_self(), s.name);
    return s.run(s.arg);
}

/* All but those by which a thread reports its own crash. */
static void signals_to_block(sigset_t *set)
{
    static const int own_faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};

    (void)sigfillset(set);
    for (size_t i = 0; i < sizeof(own_faults) / sizeof(own_faults[0]); i++)
        (void)sigdelset(set, own_faults[i]);
}

int ou_thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg,
                    struct ou_error *err)
{
    ou_autofree struct start *s = malloc(sizeof(*s));
    sigset_t block, old;
    int r;

    assert(strlen(name) < NAME_SIZE);
    if (!s)
        return ou_error_set(err, ENOMEM, "start thread %s", name);
    *s = (struct start){.run = run, .arg = arg};
    (void)strncpy(s->name, name, sizeof(s->name) - 1);

    /* The new thread inherits the mask: it never has a moment with signals open. */
    signals_to_block(&block);
    (void)pthread_sigmask(SIG_SETMASK, &block, &old);
    r = pthread_create(thread, NULL, trampoline, s);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r)
        return ou_error_set(err, r, "start thread %s", name);
    s = NULL; /* the thread's now */
    return 0;
}

struct ou_cancel {
    atomic_uint refs;
    atomic_bool triggered; /* written under .lock; read without, by polling loops */
    pthread_mutex_t lock;
    struct ou_cancel_hook *hooks; /* under .lock */
};

struct ou_cancel *ou_cancel_new(void)
{
    struct ou_cancel *c = malloc(sizeof(*c));

    if (!c)
        return NULL;
    atomic_init(&c->refs, 1);
    atomic_init(&c->triggered, false);
    c->hooks = NULL;
    (void)pthread_mutex_init(&c->lock, NULL);
    return c;
}

struct ou_cancel *ou_cancel_ref(struct ou_cancel *c)
{
    if (c)
        (void)atomic_fetch_add(&c->refs, 1);
    return c;
}

void ou_cancel_unref(struct ou_cancel *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    assert(!c->hooks);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

void ou_cancel_trigger(struct ou_cancel *c)
{
    if (!c)
        return;
    (void)pthread_mutex_lock(&c->lock);
    atomic_store(&c->triggered, true);
    for (struct ou_cancel_hook *hook = c->hooks; hook; hook = hook->next)
        hook->wake(hook->arg);
    (void)pthread_mutex_unlock(&c->lock);
}

void ou_cancel_reset(struct ou_cancel *c)
{
    if (!c)
        return;
    (void)pthread_mutex_lock(&c->lock);
    atomic_store(&c->triggered, false);
    (void)pthread_mutex_unlock(&c->lock);
}

bool ou_cancel_triggered(const struct ou_cancel *c)
{
    return c && atomic_load(&c->triggered);
}

void ou_cancel_attach(struct ou_cancel *c, struct ou_cancel_hook *hook, void (*wake)(void *arg),
                      void *arg)
{
    *hook = (struct ou_cancel_hook){.wake = wake, .arg = arg};
    if (!c)
        return;
    (void)pthread_mutex_lock(&c->lock);
    hook->next = c->hooks;
    hook->prev = &c->hooks;
    if (hook->next)
        hook->next->prev = &hook->next;
    c->hooks = hook;
    if (atomic_load(&c->triggered))
        wake(arg);
    (void)pthread_mutex_unlock(&c->lock);
}

void ou_cancel_detach(struct ou_cancel *c, struct ou_cancel_hook *hook)
{
    if (!c)
        return;
    (void)pthread_mutex_lock(&c->lock);
    if (hook->prev) { /* neighbours write it, too: read it under the lock only */
        *hook->prev = hook->next;
        if (hook->next)
            hook->next->prev = hook->prev;
        hook->prev = NULL;
        hook->next = NULL;
    }
    (void)pthread_mutex_unlock(&c->lock);
}

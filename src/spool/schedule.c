/*
 * The timer: a heap of files by the time at which something is to be done for them.
 *
 * One thread takes what is due, the longest waiting first, and hands it to spool_upload_due()
 * with no lock held, as long as fewer than SPOOL_UPLOADS_MAX uploads are with the engine: the
 * others wait here, where they cost nothing.
 */
#include "spool/file.h"

#include "base/clock.h"
#include "base/log.h"

#include <assert.h>
#include <stdlib.h>

static void place(struct spool_timer *t, size_t at, struct spool_file *f)
{
    t->locked.heap[at] = f;
    f->timer_at = at + 1;
}

static void sift_up(struct spool_timer *t, size_t at)
{
    struct spool_file *f = t->locked.heap[at];

    while (at > 0 && t->locked.heap[(at - 1) / 2]->due_ms > f->due_ms) {
        place(t, at, t->locked.heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(t, at, f);
}

static void sift_down(struct spool_timer *t, size_t at)
{
    struct spool_file *f = t->locked.heap[at];

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= t->locked.count)
            break;
        if (child + 1 < t->locked.count &&
            t->locked.heap[child + 1]->due_ms < t->locked.heap[child]->due_ms)
            child++;
        if (t->locked.heap[child]->due_ms >= f->due_ms)
            break;
        place(t, at, t->locked.heap[child]);
        at = child;
    }
    place(t, at, f);
}

static void take_out(struct spool_timer *t, struct spool_file *f)
{
    size_t at = f->timer_at - 1;
    struct spool_file *last = t->locked.heap[--t->locked.count];

    f->timer_at = 0;
    if (last == f)
        return;
    place(t, at, last);
    sift_up(t, at);
    sift_down(t, last->timer_at - 1);
}

static bool make_room(struct spool_timer *t)
{
    size_t room = t->locked.room ? 2 * t->locked.room : 64;
    struct spool_file **heap;

    if (t->locked.count < t->locked.room)
        return true;
    heap = reallocarray(t->locked.heap, room, sizeof(struct spool_file *));
    if (!heap)
        return false;
    t->locked.heap = heap;
    t->locked.room = room;
    return true;
}

void spool_timer_set(struct spool_file *f, uint64_t due_ms)
{
    struct spool_timer *t = &f->spool->timer;

    ou_lock_scope(&t->lock);
    if (!due_ms) {
        if (f->timer_at) {
            take_out(t, f);
            /* Not the last reference: the caller has one. */
            assert(atomic_load(&f->refs) > 1);
            (void)atomic_fetch_sub(&f->refs, 1);
        }
        return;
    }
    if (!f->timer_at) {
        if (!make_room(t)) { /* the keeper looks at all files now and then and sets it again */
            ou_log(OU_LOG_SPOOL, OU_LOG_WARN, "no memory for the timer of file id=%s", f->id);
            return;
        }
        f->due_ms = due_ms;
        t->locked.heap[t->locked.count++] = spool_file_ref(f);
        f->timer_at = t->locked.count;
        sift_up(t, t->locked.count - 1);
    } else {
        f->due_ms = due_ms;
        sift_up(t, f->timer_at - 1);
        sift_down(t, f->timer_at - 1);
    }
    if (t->locked.heap[0] == f)
        (void)pthread_cond_signal(&t->wake);
}

void spool_timer_uploads(struct spool *spool, int change)
{
    struct spool_timer *t = &spool->timer;

    ou_lock_scope(&t->lock);
    t->locked.uploads = (unsigned)((int)t->locked.uploads + change);
    if (change < 0)
        (void)pthread_cond_signal(&t->wake);
}

/* Uploads that wait for their files to be closed must leave room for others. */
bool spool_timer_has_room(struct spool *spool)
{
    ou_lock_scope(&spool->timer.lock);
    return spool->timer.locked.uploads < SPOOL_UPLOADS_MAX / 2;
}

/* The next file that is due, its reference handed over; NULL: stop. */
static struct spool_file *next_due(struct spool_timer *t)
{
    ou_lock_scope(&t->lock);
    while (!t->locked.stopping) {
        struct spool_file *f = t->locked.count ? t->locked.heap[0] : NULL;

        if (!f || t->locked.uploads >= SPOOL_UPLOADS_MAX) {
            ou_cond_wait(&t->wake, &t->lock);
        } else if (f->due_ms > ou_now_ms()) {
            (void)ou_cond_wait_until(&t->wake, &t->lock, f->due_ms);
        } else {
            take_out(t, f);
            return f;
        }
    }
    return NULL;
}

static void *run(void *arg)
{
    struct spool *spool = arg;
    struct spool_file *f;

    while ((f = next_due(&spool->timer)) != NULL) {
        spool_upload_due(f);
        spool_file_unref(f);
    }
    return NULL;
}

int spool_timer_start(struct spool *spool, struct ou_error *err)
{
    int r = ou_thread_start(&spool->timer.thread, "spool-timer", run, spool, err);

    spool->timer.running = r == 0;
    return r;
}

void spool_timer_stop(struct spool *spool)
{
    struct spool_timer *t = &spool->timer;

    if (!t->running)
        return;
    ou_mutex_lock(&t->lock);
    t->locked.stopping = true;
    (void)pthread_cond_broadcast(&t->wake);
    ou_mutex_unlock(&t->lock);
    (void)pthread_join(t->thread, NULL);
    t->running = false;
}

void spool_timer_fini(struct spool *spool)
{
    struct spool_timer *t = &spool->timer;

    for (;;) {
        struct spool_file *f = NULL;

        ou_mutex_lock(&t->lock);
        if (t->locked.count) {
            f = t->locked.heap[0];
            take_out(t, f);
        }
        ou_mutex_unlock(&t->lock);
        if (!f)
            break;
        spool_file_unref(f);
    }
    free(t->locked.heap);
    t->locked.heap = NULL;
    t->locked.room = 0;
}

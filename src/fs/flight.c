/* A table by name and one condition for all who wait. */
#include "fs/flight.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void fs_flights_init(struct fs_flights *f)
{
    *f = (struct fs_flights){.table = {.buckets = NULL}};
    ou_cond_init(&f->landed);
}

void fs_flights_fini(struct fs_flights *f)
{
    fs_table_fini(&f->table);
    (void)pthread_cond_destroy(&f->landed);
}

static struct fs_flight *find(const struct fs_flights *f, const char *name)
{
    struct fs_link *link = fs_table_find(&f->table, fs_hash(name, strlen(name), 0));

    for (; link; link = fs_table_next(link)) {
        struct fs_flight *flight = fs_container(link, struct fs_flight, link);

        if (strcmp(flight->name, name) == 0)
            return flight;
    }
    return NULL;
}

static struct fs_flight *add(struct fs_flights *f, const char *name, bool flying)
{
    size_t len = strlen(name);
    struct fs_flight *flight = calloc(1, sizeof(*flight) + len + 1);

    if (!flight)
        return NULL;
    flight->flying = flying;
    memcpy(flight->name, name, len + 1);
    fs_table_add(&f->table, &flight->link, fs_hash(name, len, 0));
    return flight;
}

struct waker {
    struct fs_flights *flights;
    struct ou_mutex *lock;
};

static void wake(void *arg)
{
    struct waker *w = arg;

    ou_lock_scope(w->lock); /* so that a waiter is either before its check or asleep */
    (void)pthread_cond_broadcast(&w->flights->landed);
}

static int wait_for(struct fs_flights *f, struct ou_mutex *lock, const char *name,
                    uint64_t deadline_ms, struct ou_cancel *cancel, struct ou_error *err)
{
    struct waker waker = {.flights = f, .lock = lock};
    struct ou_cancel_hook hook;
    int r = 0;

    ou_mutex_unlock(lock); /* a hook's lock may not be held at attach and detach */
    ou_cancel_attach(cancel, &hook, wake, &waker);
    ou_mutex_lock(lock);
    for (;;) {
        struct fs_flight *flight = find(f, name);

        if (!flight || !flight->flying)
            break;
        if (ou_cancel_triggered(cancel)) {
            r = ou_error_set(err, EINTR, "wait for %s", name);
            break;
        }
        if (deadline_ms && ou_now_ms() >= deadline_ms) {
            r = ou_error_set(err, ETIMEDOUT, "wait for %s", name);
            break;
        }
        (void)ou_cond_wait_until(&f->landed, lock, deadline_ms);
    }
    ou_mutex_unlock(lock);
    ou_cancel_detach(cancel, &hook);
    ou_mutex_lock(lock);
    return r;
}

int fs_flight_begin(struct fs_flights *f, struct ou_mutex *lock, const char *name,
                    uint64_t deadline_ms, struct ou_cancel *cancel, struct ou_error *err)
{
    struct fs_flight *flight = find(f, name);

    ou_mutex_assert_held(lock);
    if (flight && flight->flying)
        return wait_for(f, lock, name, deadline_ms, cancel, err);
    if (flight)
        flight->flying = true;
    else if (!add(f, name, true))
        return ou_error_set(err, ENOMEM, "%s", name);
    return 1;
}

void fs_flight_land(struct fs_flights *f, const char *name)
{
    struct fs_flight *flight = find(f, name);

    if (!flight)
        return;
    fs_table_remove(&f->table, &flight->link);
    free(flight);
    (void)pthread_cond_broadcast(&f->landed);
}

bool fs_flight_queue(struct fs_flights *f, const char *name)
{
    return !find(f, name) && add(f, name, false);
}

bool fs_flight_take_off(struct fs_flights *f, const char *name)
{
    struct fs_flight *flight = find(f, name);

    if (!flight || flight->flying)
        return false;
    flight->flying = true;
    return true;
}

/* The pool runs everything; flights fly once and are taken over from the queue. */
#include "fs/flight.h"
#include "fs/pool.h"

#include "unit/unit.h"

#include <stdatomic.h>

struct job {
    struct fs_task task;
    atomic_uint *done;
    struct fs_pool *pool;
    struct job *then;
};

static void do_job(struct fs_task *task)
{
    struct job *j = fs_container(task, struct job, task);

    if (j->then)
        fs_pool_add(j->pool, &j->then->task);
    (void)atomic_fetch_add(j->done, 1);
}

static void everything_is_run_before_the_pool_is_gone(void **state)
{
    static struct job jobs[1000], more[1000];
    atomic_uint done = 0;
    struct fs_pool *pool;
    struct ou_error err;

    (void)state;
    assert_int_equal(fs_pool_new("test", 5, &pool, &err), 0);
    for (size_t i = 0; i < 1000; i++) {
        more[i] = (struct job){.task = {.run = do_job}, .done = &done, .pool = pool};
        jobs[i] = more[i];
        jobs[i].then = &more[i];
        fs_pool_add(pool, &jobs[i].task);
    }
    fs_pool_drain(pool);
    assert_int_equal(done, 2000);
    fs_pool_free(pool);
}

struct flyer {
    struct fs_flights *flights;
    struct ou_mutex *lock;
    struct ou_cancel *cancel;
    int result;
};

static void *join_flight(void *arg)
{
    struct flyer *f = arg;
    struct ou_error err;

    ou_mutex_lock(f->lock);
    f->result = fs_flight_begin(f->flights, f->lock, "x", 0, f->cancel, &err);
    ou_mutex_unlock(f->lock);
    return NULL;
}

static void one_flies_and_the_others_wait_for_it(void **state)
{
    struct fs_flights flights;
    struct ou_mutex lock;
    struct flyer other = {.flights = &flights, .lock = &lock};
    pthread_t thread;
    struct ou_error err;

    (void)state;
    ou_mutex_init(&lock, OU_RANK_FS);
    fs_flights_init(&flights);
    ou_mutex_lock(&lock);
    assert_int_equal(fs_flight_begin(&flights, &lock, "x", 0, NULL, &err), 1);
    ou_mutex_unlock(&lock);
    assert_int_equal(pthread_create(&thread, NULL, join_flight, &other), 0);
    ou_mutex_lock(&lock);
    fs_flight_land(&flights, "x");
    ou_mutex_unlock(&lock);
    assert_int_equal(pthread_join(thread, NULL), 0);
    if (other.result == 1) /* it came after the landing */
        fs_flight_land(&flights, "x");
    else
        assert_int_equal(other.result, 0);
    assert_int_equal(flights.table.count, 0);
    fs_flights_fini(&flights);
    ou_mutex_fini(&lock);
}

static void who_waits_can_be_interrupted(void **state)
{
    struct fs_flights flights;
    struct ou_mutex lock;
    struct flyer other = {.flights = &flights, .lock = &lock, .cancel = ou_cancel_new()};
    pthread_t thread;
    struct ou_error err;

    (void)state;
    ou_mutex_init(&lock, OU_RANK_FS);
    fs_flights_init(&flights);
    ou_mutex_lock(&lock);
    assert_int_equal(fs_flight_begin(&flights, &lock, "x", 0, NULL, &err), 1);
    ou_mutex_unlock(&lock);
    assert_int_equal(pthread_create(&thread, NULL, join_flight, &other), 0);
    ou_cancel_trigger(other.cancel);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(other.result, -EINTR);
    ou_mutex_lock(&lock);
    fs_flight_land(&flights, "x");
    ou_mutex_unlock(&lock);
    fs_flights_fini(&flights);
    ou_mutex_fini(&lock);
    ou_cancel_unref(other.cancel);
}

static void a_queued_flight_is_taken_over(void **state)
{
    struct fs_flights flights;
    struct ou_mutex lock;
    struct ou_error err;

    (void)state;
    ou_mutex_init(&lock, OU_RANK_FS);
    fs_flights_init(&flights);
    ou_mutex_lock(&lock);
    assert_true(fs_flight_queue(&flights, "x"));
    assert_false(fs_flight_queue(&flights, "x"));
    assert_int_equal(fs_flight_begin(&flights, &lock, "x", 0, NULL, &err), 1);
    assert_false(fs_flight_take_off(&flights, "x")); /* the one in the queue is late */
    fs_flight_land(&flights, "x");
    assert_false(fs_flight_take_off(&flights, "x"));
    ou_mutex_unlock(&lock);
    fs_flights_fini(&flights);
    ou_mutex_fini(&lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_run_before_the_pool_is_gone),
        cmocka_unit_test(one_flies_and_the_others_wait_for_it),
        cmocka_unit_test(who_waits_can_be_interrupted),
        cmocka_unit_test(a_queued_flight_is_taken_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

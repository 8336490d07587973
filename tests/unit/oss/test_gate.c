/*
 * The gate and the rate limit, without a server.
 */
#include "unit/unit.h"

#include "base/clock.h"
#include "oss/gate.h"
#include "oss/limit.h"

#include <pthread.h>
#include <stdatomic.h>

static struct ou_error err;

static void enter(struct oss_gate *g, bool background)
{
    assert_int_equal(oss_gate_enter(g, background, 0, NULL, &err), 0);
}

static bool would_wait(struct oss_gate *g, bool background)
{
    int r = oss_gate_enter(g, background, 1, NULL, &err); /* a deadline long past */

    if (r < 0)
        assert_string_equal(err.code, "Timeout");
    else
        (void)oss_gate_leave(g, background, OSS_GATE_FAILED, 0);
    return r == -ETIMEDOUT;
}

static unsigned allowed(struct oss_gate *g)
{
    unsigned in_flight, n;

    oss_gate_look(g, &in_flight, &n);
    return n;
}

static void background_calls_leave_a_quarter_to_the_foreground(void **state)
{
    static const struct {
        unsigned connections, background;
    } cases[] = {{1, 1}, {2, 2}, {3, 3}, {4, 3}, {7, 6}, {8, 6}, {16, 12}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct oss_gate g;

        oss_gate_init(&g, cases[i].connections);
        for (unsigned n = 0; n < cases[i].background; n++)
            enter(&g, true);
        assert_true(would_wait(&g, true));
        for (unsigned n = cases[i].background; n < cases[i].connections; n++)
            enter(&g, false);
        assert_true(would_wait(&g, false));
        (void)oss_gate_leave(&g, true, OSS_GATE_SUCCESS, 1);
        assert_false(would_wait(&g, false));
        oss_gate_fini(&g);
    }
}

static void one_burst_of_throttling_halves_once_and_successes_widen_again(void **state)
{
    struct oss_gate g;
    uint64_t now = 10000;

    (void)state;
    oss_gate_init(&g, 8);
    for (int i = 0; i < 8; i++)
        enter(&g, false);
    assert_true(oss_gate_leave(&g, false, OSS_GATE_THROTTLED, now));
    for (int i = 0; i < 7; i++)
        assert_false(oss_gate_leave(&g, false, OSS_GATE_THROTTLED, now + 10));
    assert_int_equal(allowed(&g), 4);
    for (int i = 0; i < 10; i++) { /* down to one, never to none */
        enter(&g, false);
        (void)oss_gate_leave(&g, false, OSS_GATE_THROTTLED, now += 1001);
    }
    assert_int_equal(allowed(&g), 1);
    for (unsigned wanted = 2; wanted <= 8; wanted++) {
        for (int i = 0; i < 100; i++) { /* many successes within the second: no step */
            enter(&g, false);
            (void)oss_gate_leave(&g, false, OSS_GATE_SUCCESS, now + 500);
        }
        assert_int_equal(allowed(&g), wanted - 1);
        enter(&g, false);
        (void)oss_gate_leave(&g, false, OSS_GATE_SUCCESS, now += 1001);
        assert_int_equal(allowed(&g), wanted);
    }
    enter(&g, false);
    (void)oss_gate_leave(&g, false, OSS_GATE_SUCCESS, now + 5000);
    assert_int_equal(allowed(&g), 8);
    oss_gate_fini(&g);
}

struct visitor {
    struct oss_gate *gate;
    struct ou_cancel *cancel;
    atomic_uint *inside, *most;
    int r;
    bool background;
};

static void *visit_often(void *arg)
{
    struct visitor *v = arg;

    for (int i = 0; i < 300; i++) {
        struct ou_error e;
        unsigned inside, most;

        v->r = oss_gate_enter(v->gate, v->background, 0, NULL, &e);
        if (v->r < 0)
            return NULL;
        inside = atomic_fetch_add(v->inside, 1) + 1;
        most = atomic_load(v->most);
        while (inside > most && !atomic_compare_exchange_weak(v->most, &most, inside))
            ;
        (void)atomic_fetch_sub(v->inside, 1);
        (void)oss_gate_leave(v->gate, v->background, OSS_GATE_SUCCESS, ou_now_ms());
    }
    return NULL;
}

static void everybody_gets_in_and_never_too_many(void **state)
{
    enum { THREADS = 12 };
    struct oss_gate g;
    atomic_uint inside = 0, most = 0;
    struct visitor visitors[THREADS];
    pthread_t threads[THREADS];

    (void)state;
    oss_gate_init(&g, 3);
    for (int i = 0; i < THREADS; i++) {
        visitors[i] =
            (struct visitor){.gate = &g, .background = i % 2, .inside = &inside, .most = &most};
        assert_int_equal(pthread_create(&threads[i], NULL, visit_often, &visitors[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
        assert_int_equal(visitors[i].r, 0);
    }
    assert_in_range(most, 1, 3);
    oss_gate_fini(&g);
}

static void *enter_with_cancel(void *arg)
{
    struct visitor *v = arg;
    struct ou_error e;

    v->r = oss_gate_enter(v->gate, false, 0, v->cancel, &e);
    return NULL;
}

static void cancel_ends_waiting_and_leaves_no_trace(void **state)
{
    struct oss_gate g;
    struct visitor v = {.gate = &g, .cancel = ou_cancel_new()};
    pthread_t thread;

    (void)state;
    oss_gate_init(&g, 1);
    enter(&g, false);
    assert_int_equal(pthread_create(&thread, NULL, enter_with_cancel, &v), 0);
    ou_cancel_trigger(v.cancel);
    (void)pthread_join(thread, NULL);
    assert_int_equal(v.r, -EINTR);
    (void)oss_gate_leave(&g, false, OSS_GATE_SUCCESS, 1);
    enter(&g, false); /* the place was not given to the one who had gone */
    (void)oss_gate_leave(&g, false, OSS_GATE_SUCCESS, 1);
    ou_cancel_unref(v.cancel);
    oss_gate_fini(&g);
}

static void bookings_add_up_to_the_rate(void **state)
{
    struct oss_limit l;
    uint64_t now = 50000;

    (void)state;
    oss_limit_init(&l, 1000000);
    /* An idle spell earns a tenth of a second. */
    assert_in_range(oss_limit_book(&l, 100000, now), now - 1, now);
    assert_int_equal(oss_limit_book(&l, 500000, now), now + 500);
    assert_int_equal(oss_limit_book(&l, 500000, now), now + 1000); /* others queue behind it */
    assert_int_equal(oss_limit_book(&l, 1000, now + 2000), now + 1901);
    assert_int_equal(oss_limit_chunk(&l, 1 << 20), 125000);
    assert_int_equal(oss_limit_chunk(&l, 100), 100);
    assert_int_equal(oss_limit_chunk(NULL, 1 << 20), 1 << 20);
    oss_limit_fini(&l);
    oss_limit_init(&l, 0);
    assert_int_equal(oss_limit_book(&l, 1 << 30, now), now);
    oss_limit_fini(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(background_calls_leave_a_quarter_to_the_foreground),
        cmocka_unit_test(one_burst_of_throttling_halves_once_and_successes_widen_again),
        cmocka_unit_test(everybody_gets_in_and_never_too_many),
        cmocka_unit_test(cancel_ends_waiting_and_leaves_no_trace),
        cmocka_unit_test(bookings_add_up_to_the_rate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

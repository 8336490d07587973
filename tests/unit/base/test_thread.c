#include "base/mutex.h"
#include "base/thread.h"

#include "unit/unit.h"

#include <signal.h>

struct seen {
    char name[16];
    sigset_t mask;
};

static void *look(void *arg)
{
    struct seen *s = arg;

    assert_int_equal(pthread_getname_np(pthread_self(), s->name, sizeof(s->name)), 0);
    (void)pthread_sigmask(SIG_BLOCK, NULL, &s->mask);
    return s;
}

static void a_thread_has_its_name_and_leaves_signals_to_others(void **state)
{
    static const int blocked[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGUSR1, SIGPIPE, SIGALRM};
    struct ou_error err;
    struct seen seen;
    sigset_t before, after;
    pthread_t thread;
    void *result;

    (void)state;
    (void)pthread_sigmask(SIG_BLOCK, NULL, &before);
    assert_int_equal(ou_thread_start(&thread, "ou-worker-15byt", look, &seen, &err), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    (void)pthread_sigmask(SIG_BLOCK, NULL, &after);

    assert_ptr_equal(result, &seen);
    assert_string_equal(seen.name, "ou-worker-15byt");
    for (size_t i = 0; i < sizeof(blocked) / sizeof(blocked[0]); i++)
        assert_true(sigismember(&seen.mask, blocked[i]));
    assert_false(sigismember(&seen.mask, SIGSEGV)); /* its own crash is to be seen */
    assert_false(sigismember(&seen.mask, SIGABRT));
    for (int sig = 1; sig < 32; sig++) /* the starter's mask is as it was */
        assert_int_equal(sigismember(&before, sig), sigismember(&after, sig));
}

static void count(void *arg)
{
    ++*(int *)arg;
}

static void triggering_wakes_all_who_are_attached(void **state)
{
    struct ou_cancel *c = ou_cancel_new();
    struct ou_cancel_hook a, b, d;
    int woken_a = 0, woken_b = 0, woken_d = 0;

    (void)state;
    ou_cancel_attach(c, &a, count, &woken_a);
    ou_cancel_attach(c, &b, count, &woken_b);
    ou_cancel_attach(c, &d, count, &woken_d);
    ou_cancel_detach(c, &b); /* from the middle */
    assert_false(ou_cancel_triggered(c));
    ou_cancel_trigger(c);
    assert_true(ou_cancel_triggered(c));
    assert_int_equal(woken_a, 1);
    assert_int_equal(woken_b, 0);
    assert_int_equal(woken_d, 1);
    ou_cancel_detach(c, &a);
    ou_cancel_detach(c, &d);
    ou_cancel_detach(c, &d); /* a second time is nothing */
    ou_cancel_unref(c);
}

static void who_comes_late_is_woken_at_once(void **state)
{
    struct ou_cancel *c = ou_cancel_new();
    struct ou_cancel_hook hook;
    int woken = 0;

    (void)state;
    ou_cancel_trigger(c);
    ou_cancel_attach(c, &hook, count, &woken);
    assert_int_equal(woken, 1);
    ou_cancel_detach(c, &hook);
    ou_cancel_unref(c);
}

static void after_a_reset_it_can_be_triggered_again(void **state)
{
    struct ou_cancel *c = ou_cancel_new();
    struct ou_cancel_hook hook;
    int woken = 0;

    (void)state;
    ou_cancel_trigger(c);
    ou_cancel_reset(c);
    assert_false(ou_cancel_triggered(c));
    ou_cancel_attach(c, &hook, count, &woken);
    assert_int_equal(woken, 0);
    ou_cancel_trigger(c);
    assert_int_equal(woken, 1);
    ou_cancel_detach(c, &hook);
    ou_cancel_unref(c);
}

static void no_cancel_is_never_triggered(void **state)
{
    struct ou_cancel_hook hook;
    int woken = 0;

    (void)state;
    assert_null(ou_cancel_ref(NULL));
    ou_cancel_attach(NULL, &hook, count, &woken);
    ou_cancel_trigger(NULL);
    ou_cancel_reset(NULL);
    assert_false(ou_cancel_triggered(NULL));
    ou_cancel_detach(NULL, &hook);
    ou_cancel_unref(NULL);
    assert_int_equal(woken, 0);
}

struct waiter {
    struct ou_cancel *cancel;
    struct ou_mutex lock;
    pthread_cond_t wake;
    bool started, cancelled; /* only while .lock is held */
};

static void wake_waiter(void *arg)
{
    struct waiter *w = arg;

    ou_lock_scope(&w->lock);
    w->cancelled = true;
    (void)pthread_cond_broadcast(&w->wake);
}

/* As layers above wait: beside the flag, on a condition variable of their own. */
static void *wait_for_cancel(void *arg)
{
    struct waiter *w = arg;
    struct ou_cancel_hook hook;

    ou_cancel_attach(w->cancel, &hook, wake_waiter, w);
    ou_mutex_lock(&w->lock);
    w->started = true;
    (void)pthread_cond_broadcast(&w->wake);
    while (!w->cancelled)
        ou_cond_wait(&w->wake, &w->lock);
    ou_mutex_unlock(&w->lock);
    ou_cancel_detach(w->cancel, &hook);
    return NULL;
}

static void a_wait_in_another_thread_ends(void **state)
{
    struct waiter w = {.cancel = ou_cancel_new()};
    struct ou_error err;
    pthread_t thread;

    (void)state;
    ou_mutex_init(&w.lock, OU_RANK_XFER);
    ou_cond_init(&w.wake);
    assert_int_equal(ou_thread_start(&thread, "waiter", wait_for_cancel, &w, &err), 0);
    ou_mutex_lock(&w.lock);
    while (!w.started)
        ou_cond_wait(&w.wake, &w.lock);
    ou_mutex_unlock(&w.lock);
    ou_cancel_trigger(w.cancel);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(w.cancelled);
    ou_cancel_unref(w.cancel);
    (void)pthread_cond_destroy(&w.wake);
    ou_mutex_fini(&w.lock);
}

static void *come_and_go(void *arg)
{
    struct ou_cancel *c = arg;

    for (int i = 0; i < 3000; i++) {
        struct ou_cancel_hook hook;
        int woken = 0;

        ou_cancel_attach(c, &hook, count, &woken);
        ou_cancel_detach(c, &hook);
        woken = -1; /* no lock: a callback that still ran would be a race for TSan */
        (void)woken;
    }
    ou_cancel_unref(c);
    return NULL;
}

static void after_detach_no_callback_runs(void **state)
{
    struct ou_cancel *c = ou_cancel_new();
    struct ou_error err;
    pthread_t threads[2];

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            ou_thread_start(&threads[i], "come-and-go", come_and_go, ou_cancel_ref(c), &err), 0);
    for (int i = 0; i < 3000; i++) {
        ou_cancel_trigger(c);
        ou_cancel_reset(c);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    ou_cancel_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_has_its_name_and_leaves_signals_to_others),
        cmocka_unit_test(triggering_wakes_all_who_are_attached),
        cmocka_unit_test(who_comes_late_is_woken_at_once),
        cmocka_unit_test(after_a_reset_it_can_be_triggered_again),
        cmocka_unit_test(no_cancel_is_never_triggered),
        cmocka_unit_test(a_wait_in_another_thread_ends),
        cmocka_unit_test(after_detach_no_callback_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

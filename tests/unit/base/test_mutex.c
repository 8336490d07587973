/*
 * Compiled with its own copy of mutex.c without NDEBUG: what a breach does is a
 * promise of debug builds.
 */
#include "base/clock.h"
#include "base/mutex.h"

#include "unit/unit.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { LEFT = OU_RANK_FS, RIGHT = OU_RANK_BASE };

/* Whether @breach ends its process by SIGABRT; the child's words are thrown away. */
static bool aborts(void (*breach)(void))
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

        (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0});
        (void)signal(SIGABRT, SIG_DFL); /* cmocka catches it */
        (void)dup2(null, 2);
        breach();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void init_two(struct ou_mutex *a, int rank_a, struct ou_mutex *b, int rank_b)
{
    ou_mutex_init(a, rank_a);
    ou_mutex_init(b, rank_b);
}

static void invert(void)
{
    struct ou_mutex left, right;

    init_two(&left, LEFT, &right, RIGHT);
    ou_mutex_lock(&right);
    ou_mutex_lock(&left);
}

static void invert_by_second(void)
{
    struct ou_mutex left, right;

    init_two(&left, LEFT, &right, RIGHT);
    ou_mutex_lock(&right);
    ou_mutex_lock_second(&left);
}

static void lock_equal_ranks(void)
{
    struct ou_mutex a, b;

    init_two(&a, LEFT, &b, LEFT);
    ou_mutex_lock(&a);
    ou_mutex_lock(&b);
}

static void lock_twice(void)
{
    struct ou_mutex m;

    ou_mutex_init(&m, LEFT);
    ou_mutex_lock(&m);
    ou_mutex_lock_second(&m);
}

static void unlock_what_is_not_held(void)
{
    struct ou_mutex m;

    ou_mutex_init(&m, LEFT);
    ou_mutex_unlock(&m);
}

static void assert_what_is_not_held(void)
{
    struct ou_mutex m;

    ou_mutex_init(&m, LEFT);
    ou_mutex_assert_held(&m);
}

static void wait_below_another_lock(void)
{
    struct ou_mutex left, right;
    pthread_cond_t wake;

    init_two(&left, LEFT, &right, RIGHT);
    ou_cond_init(&wake);
    ou_mutex_lock(&left);
    ou_mutex_lock(&right);
    (void)ou_cond_wait_until(&wake, &left, 1);
}

static void wait_without_the_lock(void)
{
    struct ou_mutex m;
    pthread_cond_t wake;

    ou_mutex_init(&m, LEFT);
    ou_cond_init(&wake);
    (void)ou_cond_wait_until(&wake, &m, 1);
}

static void each_breach_aborts(void **state)
{
    (void)state;
    assert_true(aborts(invert));
    assert_true(aborts(invert_by_second));
    assert_true(aborts(lock_equal_ranks));
    assert_true(aborts(lock_twice));
    assert_true(aborts(unlock_what_is_not_held));
    assert_true(aborts(assert_what_is_not_held));
    assert_true(aborts(wait_below_another_lock));
    assert_true(aborts(wait_without_the_lock));
}

static void the_right_order_is_free(void **state)
{
    struct ou_mutex left, right, twin;

    (void)state;
    init_two(&left, LEFT, &right, RIGHT);
    ou_mutex_init(&twin, LEFT);
    for (int i = 0; i < 3; i++) {
        ou_mutex_lock(&left);
        ou_mutex_lock_second(&twin);
        ou_mutex_lock(&right);
        ou_mutex_assert_held(&left);
        ou_mutex_assert_held(&twin);
        ou_mutex_assert_held(&right);
        ou_mutex_unlock(&left); /* in any order */
        ou_mutex_unlock(&right);
        ou_mutex_unlock(&twin);
    }
    ou_mutex_lock(&right);
    ou_mutex_unlock(&right);
    ou_mutex_lock(&left); /* what was given back does not count */
    ou_mutex_unlock(&left);
    ou_mutex_fini(&left);
    ou_mutex_fini(&right);
    ou_mutex_fini(&twin);
}

static void a_scope_ends_with_its_block(void **state)
{
    struct ou_mutex a, b;

    (void)state;
    init_two(&a, LEFT, &b, RIGHT);
    for (int i = 0; i < 3; i++) {
        ou_lock_scope(&a);
        ou_lock_scope(&b);
        ou_mutex_assert_held(&a);
        ou_mutex_assert_held(&b);
        if (i == 1)
            continue;
    }
    ou_mutex_lock(&a); /* would abort if it were held */
    ou_mutex_unlock(&a);
    ou_mutex_fini(&a);
    ou_mutex_fini(&b);
}

struct counter {
    struct ou_mutex lock;
    pthread_cond_t changed;
    int value; /* only while .lock is held */
};

static void *count_up(void *arg)
{
    struct counter *c = arg;

    for (int i = 0; i < 2000; i++) {
        ou_lock_scope(&c->lock);
        c->value++;
        (void)pthread_cond_broadcast(&c->changed);
    }
    return NULL;
}

static void threads_exclude_each_other_and_wake_who_waits(void **state)
{
    struct counter c = {.value = 0};
    pthread_t threads[4];

    (void)state;
    ou_mutex_init(&c.lock, LEFT);
    ou_cond_init(&c.changed);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, &c), 0);
    ou_mutex_lock(&c.lock);
    while (c.value < 8000)
        ou_cond_wait(&c.changed, &c.lock);
    assert_int_equal(c.value, 8000);
    ou_mutex_unlock(&c.lock);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    (void)pthread_cond_destroy(&c.changed);
    ou_mutex_fini(&c.lock);
}

static void a_deadline_on_the_monotonic_clock_ends_a_wait(void **state)
{
    struct ou_mutex m;
    pthread_cond_t never;
    uint64_t deadline = ou_now_ms() + 2;
    int r = 0;

    (void)state;
    ou_mutex_init(&m, LEFT);
    ou_cond_init(&never);
    ou_mutex_lock(&m);
    while (r == 0)
        r = ou_cond_wait_until(&never, &m, deadline);
    assert_int_equal(r, ETIMEDOUT);
    assert_true(ou_now_ms() >= deadline);
    assert_int_equal(ou_cond_wait_until(&never, &m, 1), ETIMEDOUT); /* long ago */
    ou_mutex_assert_held(&m);
    ou_mutex_unlock(&m);
    (void)pthread_cond_destroy(&never);
    ou_mutex_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_breach_aborts),
        cmocka_unit_test(the_right_order_is_free),
        cmocka_unit_test(a_scope_ends_with_its_block),
        cmocka_unit_test(threads_exclude_each_other_and_wake_who_waits),
        cmocka_unit_test(a_deadline_on_the_monotonic_clock_ends_a_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

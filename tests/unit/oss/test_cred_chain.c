/*
 * The chain's states with a provider and a clock that the test holds in its hands.
 */
#include "base/cleanup.h"
#include "base/log.h"
#include "oss/cred_chain.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define START     ((time_t)1000000)
#define MINUTE    ((time_t)60)
#define HOUR      ((time_t)3600)
#define THREADS   8
#define MINUTE_MS 60000u

struct fake { /* a provider that gives what it is told, when it is let */
    struct oss_cred_provider base;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct {
        bool shut; /* fetch() waits until it is opened */
        unsigned entered, fetches;
        int result;
        char id[32];
        time_t expires;
    } locked;
    _Atomic int64_t wall;
    _Atomic uint64_t ms;
};

static int fake_fetch(struct oss_cred_provider *provider, struct oss_credentials *out,
                      struct ou_error *err)
{
    struct fake *f = (struct fake *)provider;
    char id[32];
    time_t expires;
    int result;

    pthread_mutex_lock(&f->lock);
    f->locked.entered++;
    pthread_cond_broadcast(&f->changed);
    while (f->locked.shut)
        pthread_cond_wait(&f->changed, &f->lock);
    f->locked.fetches++;
    result = f->locked.result;
    expires = f->locked.expires;
    memcpy(id, f->locked.id, sizeof(id));
    pthread_mutex_unlock(&f->lock);
    if (result < 0)
        return ou_error_say(err, -result, "the source is broken");
    result = oss_cred_set_make(out, "fake", id, "a-secret-value", NULL, err);
    out->expires = expires;
    return result;
}

static void fake_free(struct oss_cred_provider *provider)
{
    (void)provider;
}

static time_t fake_wall(void *ctx)
{
    return (time_t)atomic_load(&((struct fake *)ctx)->wall);
}

static uint64_t fake_ms(void *ctx)
{
    return atomic_load(&((struct fake *)ctx)->ms);
}

static void gives(struct fake *f, const char *id, time_t expires, int result)
{
    pthread_mutex_lock(&f->lock);
    (void)snprintf(f->locked.id, sizeof(f->locked.id), "%s", id);
    f->locked.expires = expires;
    f->locked.result = result;
    pthread_mutex_unlock(&f->lock);
}

static void set_shut(struct fake *f, bool shut)
{
    pthread_mutex_lock(&f->lock);
    f->locked.shut = shut;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static void wait_entered(struct fake *f, unsigned times)
{
    pthread_mutex_lock(&f->lock);
    while (f->locked.entered < times)
        pthread_cond_wait(&f->changed, &f->lock);
    pthread_mutex_unlock(&f->lock);
}

static unsigned fetches(struct fake *f)
{
    unsigned n;

    pthread_mutex_lock(&f->lock);
    n = f->locked.fetches;
    pthread_mutex_unlock(&f->lock);
    return n;
}

static void pass(struct fake *f, time_t seconds)
{
    atomic_fetch_add(&f->wall, (int64_t)seconds);
    atomic_fetch_add(&f->ms, (uint64_t)seconds * 1000);
}

static struct oss_cred_chain *begin(struct fake *f, const char *id, time_t life)
{
    struct oss_cred_clock clock = {fake_wall, fake_ms, f};
    struct oss_cred_chain *chain = NULL;
    struct ou_error err = OU_ERROR_INIT;

    *f = (struct fake){.base = {.description = "fake", .fetch = fake_fetch, .free = fake_free}};
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    atomic_store(&f->wall, (int64_t)START);
    atomic_store(&f->ms, MINUTE_MS);
    gives(f, id, life ? START + life : 0, 0);
    assert_int_equal(oss_cred_chain_with(&f->base, &clock, &chain, &err), 0);
    return chain;
}

static void finish(struct fake *f, struct oss_cred_chain *chain)
{
    oss_cred_chain_free(chain);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
}

static void assert_id(struct oss_cred_chain *chain, const char *id)
{
    struct oss_credentials got = {0};
    struct ou_error err = OU_ERROR_INIT;

    assert_int_equal(oss_cred_get(chain, &got, &err), 0);
    assert_string_equal(got.access_key_id, id);
    assert_string_equal(got.access_key_secret, "a-secret-value");
    oss_credentials_fini(&got);
}

static int reject(struct oss_cred_chain *chain, const char *id)
{
    struct oss_credentials refused = {.access_key_id = (char *)id,
                                      .access_key_secret = "a-secret-value"};
    struct ou_error err = OU_ERROR_INIT;

    return oss_cred_reject(chain, &refused, &err);
}

static void a_set_that_never_expires_is_fetched_once(void **state)
{
    struct fake f;
    struct oss_cred_chain *chain = begin(&f, "k1", 0);

    (void)state;
    for (int i = 0; i < 3; i++) {
        pass(&f, 1000 * HOUR);
        assert_id(chain, "k1");
    }
    assert_int_equal(fetches(&f), 1);
    finish(&f, chain);
}

static void a_set_is_due_at_80_percent_or_20_minutes_but_not_in_its_first_half(void **state)
{
    const struct {
        time_t life, due;
    } cases[] = {{6 * HOUR, 17280}, {HOUR, 2400}, {1800, 900}, {100, 50}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fake f;
        struct oss_cred_chain *chain = begin(&f, "k1", cases[i].life);

        pass(&f, cases[i].due - 1);
        assert_id(chain, "k1");
        oss_cred_chain_settle(chain);
        assert_int_equal(fetches(&f), 1);

        pass(&f, 1);
        assert_id(chain, "k1");
        oss_cred_chain_settle(chain);
        assert_int_equal(fetches(&f), 2);
        finish(&f, chain);
    }
}

static void while_a_refresh_hangs_everybody_gets_the_old_set(void **state)
{
    struct fake f;
    struct oss_cred_chain *chain = begin(&f, "k1", HOUR);
    struct oss_cred_status status;

    (void)state;
    set_shut(&f, true);
    gives(&f, "k2", START + 2 * HOUR, 0);
    pass(&f, HOUR - 60);
    assert_id(chain, "k1"); /* starts it, and does not wait for it */
    wait_entered(&f, 2);
    assert_id(chain, "k1");
    oss_cred_status(chain, &status);
    assert_true(status.refreshing);
    assert_int_equal(status.expires, START + HOUR);

    set_shut(&f, false);
    oss_cred_chain_settle(chain);
    assert_id(chain, "k2");
    assert_int_equal(fetches(&f), 2);
    oss_cred_status(chain, &status);
    assert_false(status.refreshing);
    assert_int_equal(status.expires, START + 2 * HOUR);
    finish(&f, chain);
}

static void *get_k2(void *chain)
{
    assert_id(chain, "k2");
    return NULL;
}

static void many_threads_with_an_expired_set_cause_one_refresh(void **state)
{
    struct fake f;
    struct oss_cred_chain *chain = begin(&f, "k1", HOUR);
    pthread_t threads[THREADS];

    (void)state;
    set_shut(&f, true);
    gives(&f, "k2", START + 9 * HOUR, 0);
    pass(&f, 2 * HOUR);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_k2, chain), 0);
    wait_entered(&f, 2);
    set_shut(&f, false);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(fetches(&f), 2);
    finish(&f, chain);
}

static size_t count_in_log(int fd, const char *what)
{
    char text[16384] = "";
    size_t count = 0;

    assert_true(pread(fd, text, sizeof(text) - 1, 0) >= 0);
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
        count++;
    return count;
}

static void a_failing_refresh_keeps_the_old_set_till_it_expires_and_is_logged_once(void **state)
{
    struct fake f;
    struct oss_cred_chain *chain = begin(&f, "k1", HOUR);
    ou_autoclose int log = memfd_create("log", MFD_CLOEXEC);
    struct oss_credentials got = {0};
    struct ou_error err = OU_ERROR_INIT;
    struct oss_cred_status status;

    (void)state;
    ou_log_to_fd(log);
    gives(&f, "k1", START + HOUR, -ECONNREFUSED);
    pass(&f, 45 * MINUTE);
    for (int i = 0; i < 5; i++) {
        assert_id(chain, "k1");
        oss_cred_chain_settle(chain);
        pass(&f, 61); /* past the pause */
    }
    assert_int_equal(fetches(&f), 6);
    oss_cred_status(chain, &status);
    assert_int_equal(status.failures, 5);
    assert_int_equal(status.last_error.errnum, ECONNREFUSED);
    assert_string_equal(status.last_error.message, "credentials: the source is broken");
    assert_string_equal(status.source, "fake");

    pass(&f, HOUR);
    assert_int_equal(oss_cred_get(chain, &got, &err), -ECONNREFUSED);
    assert_int_equal(oss_cred_get(chain, &got, &err), -ECONNREFUSED); /* in the pause: not asked */
    assert_int_equal(fetches(&f), 7);
    assert_string_equal(err.message, "credentials: the source is broken");

    gives(&f, "k2", START + 9 * HOUR, 0);
    pass(&f, 6);
    assert_id(chain, "k2");
    oss_cred_status(chain, &status);
    assert_int_equal(status.failures, 0);
    assert_int_equal(status.last_error.errnum, 0);
    finish(&f, chain);

    ou_log_to_fd(STDERR_FILENO);
    assert_int_equal(count_in_log(log, "not refreshed"), 1);
    assert_int_equal(count_in_log(log, "a-secret-value"), 0);
}

static void a_failed_refresh_is_not_repeated_within_its_pause(void **state)
{
    struct fake f;
    struct oss_cred_chain *chain = begin(&f, "k1", HOUR);

    (void)state;
    ou_log_to_fd(-1);
    gives(&f, "k1", START + HOUR, -EIO);
    pass(&f, 45 * MINUTE);
    for (int i = 0; i < 59; i++) {
        assert_id(chain, "k1");
        oss_cred_chain_settle(chain);
        pass(&f, 1);
    }
    assert_int_equal(fetches(&f), 2);
    finish(&f, chain);
    ou_log_to_fd(STDERR_FILENO);
}

static void a_set_that_comes_expired_is_handed_out_and_not_asked_for_each_time(void **state)
{
    struct fake f;
    struct oss_cred_chain *chain = begin(&f, "k1", -HOUR); /* our clock is wrong */

    (void)state;
    for (int i = 0; i < 9; i++) {
        assert_id(chain, "k1");
        pass(&f, 1);
    }
    assert_int_equal(fetches(&f), 1);
    pass(&f, 2);
    assert_id(chain, "k1");
    assert_int_equal(fetches(&f), 2);
    finish(&f, chain);
}

static void a_refused_set_is_fetched_anew_unless_somebody_did(void **state)
{
    struct fake f;
    struct oss_cred_chain *chain = begin(&f, "k1", 0);

    (void)state;
    gives(&f, "k2", 0, 0);
    assert_int_equal(reject(chain, "k1"), 1);
    assert_int_equal(fetches(&f), 2);
    assert_int_equal(reject(chain, "k1"), 1); /* a request that was signed before */
    assert_int_equal(fetches(&f), 2);
    assert_id(chain, "k2");
    finish(&f, chain);
}

static void a_refused_set_without_a_better_one_is_not_looked_up_at_each_request(void **state)
{
    struct fake f;
    struct oss_cred_chain *chain = begin(&f, "k1", 0);

    (void)state;
    for (int i = 0; i < 50; i++)
        assert_int_equal(reject(chain, "k1"), 0);
    assert_int_equal(fetches(&f), 2);
    pass(&f, 6);
    assert_int_equal(reject(chain, "k1"), 0);
    assert_int_equal(fetches(&f), 3);
    finish(&f, chain);
}

static void a_refused_set_and_a_broken_source_are_an_error(void **state)
{
    struct fake f;
    struct oss_cred_chain *chain = begin(&f, "k1", 0);

    (void)state;
    ou_log_to_fd(-1);
    gives(&f, "k1", 0, -ETIMEDOUT);
    assert_int_equal(reject(chain, "k1"), -ETIMEDOUT);
    assert_id(chain, "k1");
    finish(&f, chain);
    ou_log_to_fd(STDERR_FILENO);
}

static void when_a_reloaded_set_is_refused_the_one_before_returns(void **state)
{
    struct fake f;
    struct oss_cred_chain *chain = begin(&f, "k1", 0);
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    ou_log_to_fd(-1);
    gives(&f, "typo", 0, 0);
    assert_int_equal(oss_cred_reload(chain, &err), 0);
    assert_id(chain, "typo");
    assert_int_equal(reject(chain, "typo"), 1);
    assert_id(chain, "k1");
    /* Both refused: it ends there, and does not swing between the two. */
    assert_int_equal(reject(chain, "k1"), 1);
    assert_id(chain, "typo");
    assert_int_equal(reject(chain, "typo"), 0);
    assert_int_equal(reject(chain, "typo"), 0);

    gives(&f, "k3", 0, 0);
    assert_int_equal(oss_cred_reload(chain, &err), 0);
    assert_id(chain, "k3");
    finish(&f, chain);
    ou_log_to_fd(STDERR_FILENO);
}

static void a_reload_that_goes_wrong_keeps_the_old_set(void **state)
{
    struct fake f;
    struct oss_cred_chain *chain = begin(&f, "k1", 0);
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    ou_log_to_fd(-1);
    gives(&f, "k2", 0, -EACCES);
    assert_int_equal(oss_cred_reload(chain, &err), -EACCES);
    assert_string_equal(err.message, "credentials: the source is broken");
    assert_id(chain, "k1");
    gives(&f, "k2", 0, 0);
    assert_int_equal(oss_cred_reload(chain, &err), 0);
    assert_id(chain, "k2");
    finish(&f, chain);
    ou_log_to_fd(STDERR_FILENO);
}

/* Everything at once, for TSan: what comes out is always one of the sets that went in. */
static void *use(void *arg)
{
    struct oss_cred_chain *chain = arg;

    for (int i = 0; i < 200; i++) {
        struct oss_credentials got = {0};
        struct oss_cred_status status;
        struct ou_error err = OU_ERROR_INIT;

        if (oss_cred_get(chain, &got, &err) == 0) {
            assert_int_equal(got.access_key_id[0], 'k');
            if (i % 7 == 0)
                (void)oss_cred_reject(chain, &got, &err);
        }
        oss_credentials_fini(&got);
        if (i % 11 == 0)
            (void)oss_cred_reload(chain, &err);
        oss_cred_status(chain, &status);
    }
    return NULL;
}

static void all_calls_may_come_at_once(void **state)
{
    struct fake f;
    struct oss_cred_chain *chain = begin(&f, "k0", HOUR);
    pthread_t threads[4];

    (void)state;
    ou_log_to_fd(-1);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use, chain), 0);
    for (unsigned i = 0; i < 300; i++) {
        char id[16];

        (void)snprintf(id, sizeof(id), "k%u", i);
        gives(&f, id, fake_wall(&f) + HOUR, i % 5 == 0 ? -EIO : 0);
        pass(&f, 600);
    }
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    finish(&f, chain);
    ou_log_to_fd(STDERR_FILENO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_that_never_expires_is_fetched_once),
        cmocka_unit_test(a_set_is_due_at_80_percent_or_20_minutes_but_not_in_its_first_half),
        cmocka_unit_test(while_a_refresh_hangs_everybody_gets_the_old_set),
        cmocka_unit_test(many_threads_with_an_expired_set_cause_one_refresh),
        cmocka_unit_test(a_failing_refresh_keeps_the_old_set_till_it_expires_and_is_logged_once),
        cmocka_unit_test(a_failed_refresh_is_not_repeated_within_its_pause),
        cmocka_unit_test(a_set_that_comes_expired_is_handed_out_and_not_asked_for_each_time),
        cmocka_unit_test(a_refused_set_is_fetched_anew_unless_somebody_did),
        cmocka_unit_test(a_refused_set_without_a_better_one_is_not_looked_up_at_each_request),
        cmocka_unit_test(a_refused_set_and_a_broken_source_are_an_error),
        cmocka_unit_test(when_a_reloaded_set_is_refused_the_one_before_returns),
        cmocka_unit_test(a_reload_that_goes_wrong_keeps_the_old_set),
        cmocka_unit_test(all_calls_may_come_at_once),
    };

    return cmocka_run_group_tests_name("cred_chain", tests, NULL, NULL);
}

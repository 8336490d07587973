/*
 * The chain's state: a current set, at most one refresh under way, and what to do when it fails.
 *
 *   set      now              somebody asks          what happens
 *   -------  ---------------  ---------------------  --------------------------------------------
 *   valid    before .due      get                    the set
 *   valid    due, idle        get                    the set; a thread refreshes in the background
 *   valid    due, refreshing  get                    the set
 *   expired  idle             get                    the caller refreshes, then the new set or error
 *   expired  refreshing       get                    the caller waits for that refresh
 *   any      within a pause   get                    valid, or last attempt good: the set; else error
 *   any      refused          reject                 as above, but at once; see below
 *
 * Whoever sets .refreshing owns the refresh, .thread and the provider until clearing it; the lock is
 * not held meanwhile. A set is replaced whole, never in part.
 *
 * A freshly fetched set that has "expired" is handed out all the same: then it is our clock that is
 * wrong, and the service is the judge.
 */
#include "oss/cred_chain.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/thread.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define RANK_CRED (OU_RANK_OSS + 40) /* a leaf: nothing is locked or called under it */

#define REFRESH_BEFORE_S ((time_t)1200) /* seconds */
#define PAUSE_VALID_MS   60000u         /* after a failure, while the old set still serves */
#define PAUSE_EXPIRED_MS 5000u          /* after a failure, when nothing serves */
#define PAUSE_REJECT_MS  5000u          /* a refused set is looked up again at most so often */
#define PAUSE_GOOD_MS    10000u         /* after a success whose set is due at once */

struct oss_cred_chain {
    struct oss_cred_provider *provider; /* constant; fetch() only by the owner of .refreshing */
    struct oss_cred_clock clock;        /* constant */
    pthread_t thread;                   /* only the owner of .refreshing, and free() */
    bool has_thread;                    /* likewise */
    struct ou_mutex lock;               /* RANK_CRED */
    pthread_cond_t idle;                /* .refreshing became false */
    struct {
        struct oss_credentials set;      /* current; empty only inside oss_cred_chain_with() */
        struct oss_credentials previous; /* before .set was replaced; may be empty */
        struct oss_credentials refused;  /* by the service; may be empty */
        time_t fetched, due;             /* wall clock; due 0: never */
        uint64_t attempt_ms;             /* monotonic, end of the last attempt */
        bool refreshing;
        unsigned failures; /* since the last success */
        struct ou_error last_error;
    } locked;
};

static time_t machine_wall(void *ctx)
{
    (void)ctx;
    return ou_wall().tv_sec;
}

static uint64_t machine_now_ms(void *ctx)
{
    (void)ctx;
    return ou_now_ms();
}

static time_t wall(const struct oss_cred_chain *c)
{
    return c->clock.wall(c->clock.ctx);
}

static uint64_t now_ms(const struct oss_cred_chain *c)
{
    return c->clock.now_ms(c->clock.ctx);
}

static bool is_valid(const struct oss_credentials *set, time_t now)
{
    return set->access_key_id && (set->expires == 0 || now < set->expires);
}

static time_t due_time(time_t now, time_t expires)
{
    time_t life = expires - now, due;

    if (expires == 0)
        return 0;
    if (life <= 0)
        return now;
    due = life - life / 5 < life - REFRESH_BEFORE_S ? life - life / 5 : life - REFRESH_BEFORE_S;
    return now + (due > life / 2 ? due : life / 2);
}

/* -- one refresh; the caller owns .refreshing -- */

/* Return: 0, or -EKEYREJECTED when @fresh is what the service refused and a better one is there. */
static int adopt_locked(struct oss_cred_chain *c, struct oss_credentials *fresh,
                        struct ou_error *err)
{
    time_t now = wall(c);

    ou_mutex_assert_held(&c->lock);
    if (oss_cred_set_equal(fresh, &c->locked.refused) && is_valid(&c->locked.set, now) &&
        !oss_cred_set_equal(fresh, &c->locked.set))
        return ou_error_say(err, EKEYREJECTED, "%s still holds the key that was refused",
                            c->provider->description);

    if (oss_cred_set_equal(fresh, &c->locked.set)) {
        c->locked.set.expires = fresh->expires;
    } else {
        oss_credentials_fini(&c->locked.previous);
        if (oss_cred_set_equal(&c->locked.set, &c->locked.refused))
            oss_credentials_fini(&c->locked.set); /* nothing to come back to */
        c->locked.previous = c->locked.set;
        c->locked.set = *fresh;
        *fresh = (struct oss_credentials){0};
    }
    c->locked.fetched = now;
    c->locked.due = due_time(now, c->locked.set.expires);
    return 0;
}

static int refresh(struct oss_cred_chain *c, struct ou_error *err)
{
    struct oss_credentials fresh = {0};
    unsigned failures;
    time_t expires;
    int r = c->provider->fetch(c->provider, &fresh, err);

    {
        ou_lock_scope(&c->lock);
        if (r == 0)
            r = adopt_locked(c, &fresh, err);
        else
            (void)ou_error_prefix(err, "credentials");
        failures = c->locked.failures;
        if (r < 0) {
            c->locked.failures++;
            c->locked.last_error = *err;
        } else {
            c->locked.failures = 0;
            c->locked.last_error = (struct ou_error)OU_ERROR_INIT;
        }
        expires = c->locked.set.expires;
        c->locked.attempt_ms = now_ms(c);
        c->locked.refreshing = false;
        pthread_cond_broadcast(&c->idle);
    }
    oss_credentials_fini(&fresh);
    if (r < 0 && failures == 0) /* the first of a row; status counts the rest */
        ou_log_warn(OU_LOG_OSS, err, "credentials not refreshed source=\"%s\" expires=%" PRId64,
                    c->provider->description, (int64_t)expires);
    else if (r == 0)
        ou_log_info(OU_LOG_OSS, "credentials read source=\"%s\" expires=%" PRId64 " failures=%u",
                    c->provider->description, (int64_t)expires, failures);
    return r < 0 ? r : 0;
}

static void *refresh_thread(void *arg)
{
    struct ou_error err = OU_ERROR_INIT;

    (void)refresh(arg, &err);
    return NULL;
}

static void refresh_in_background(struct oss_cred_chain *c)
{
    struct ou_error err = OU_ERROR_INIT;

    if (c->has_thread) /* it has cleared .refreshing, so it is at its end */
        (void)pthread_join(c->thread, NULL);
    {
        /* It cannot clear .refreshing, and let another owner come, before we are done here. */
        ou_lock_scope(&c->lock);
        c->has_thread = ou_thread_start(&c->thread, "oss-cred", refresh_thread, c, &err) == 0;
        if (c->has_thread)
            return;
    }
    (void)refresh(c, &err); /* no thread to be had: then here and now */
}

/* -- life -- */

int oss_cred_chain_with(struct oss_cred_provider *provider, const struct oss_cred_clock *clock,
                        struct oss_cred_chain **chain, struct ou_error *err)
{
    struct oss_cred_chain *c = calloc(1, sizeof(*c));
    int r;

    if (!c) {
        provider->free(provider);
        return ou_error_set(err, ENOMEM, "credentials");
    }
    c->provider = provider;
    c->clock = clock ? *clock : (struct oss_cred_clock){machine_wall, machine_now_ms, NULL};
    ou_mutex_init(&c->lock, RANK_CRED);
    ou_cond_init(&c->idle);

    /* Nobody else knows the chain yet: no refresh() and its log, the caller tells. */
    r = provider->fetch(provider, &c->locked.set, err);
    if (r < 0) {
        oss_cred_chain_free(c);
        return r;
    }
    c->locked.fetched = wall(c);
    c->locked.due = due_time(c->locked.fetched, c->locked.set.expires);
    c->locked.attempt_ms = now_ms(c);
    *chain = c;
    return 0;
}

void oss_cred_chain_free(struct oss_cred_chain *c)
{
    if (!c)
        return;
    oss_cred_chain_settle(c);
    if (c->has_thread)
        (void)pthread_join(c->thread, NULL);
    oss_credentials_fini(&c->locked.set);
    oss_credentials_fini(&c->locked.previous);
    oss_credentials_fini(&c->locked.refused);
    c->provider->free(c->provider);
    pthread_cond_destroy(&c->idle);
    ou_mutex_fini(&c->lock);
    free(c);
}

void oss_cred_chain_settle(struct oss_cred_chain *c)
{
    ou_lock_scope(&c->lock);
    while (c->locked.refreshing)
        ou_cond_wait(&c->idle, &c->lock);
}

/* -- asking -- */

/* An attempt has just been made: another so soon would only burden the source. */
static bool in_pause_locked(const struct oss_cred_chain *c, bool valid)
{
    uint64_t pause_ms = c->locked.failures == 0 ? PAUSE_GOOD_MS
                        : valid                 ? PAUSE_VALID_MS
                                                : PAUSE_EXPIRED_MS;

    return now_ms(c) - c->locked.attempt_ms < pause_ms;
}

enum step { GIVE, REFUSE, WAIT, BACKGROUND, FOREGROUND };

static enum step next_step_locked(const struct oss_cred_chain *c)
{
    time_t now = wall(c);
    bool valid = is_valid(&c->locked.set, now);

    ou_mutex_assert_held(&c->lock);
    if (c->locked.due == 0 || now < c->locked.due)
        return GIVE;
    if (c->locked.refreshing)
        return valid ? GIVE : WAIT;
    if (in_pause_locked(c, valid))
        return valid || c->locked.failures == 0 ? GIVE : REFUSE;
    return valid ? BACKGROUND : FOREGROUND;
}

int oss_cred_get(struct oss_cred_chain *c, struct oss_credentials *out, struct ou_error *err)
{
    for (;;) {
        enum step step;
        int r = 0;

        {
            ou_lock_scope(&c->lock);
            while ((step = next_step_locked(c)) == WAIT)
                ou_cond_wait(&c->idle, &c->lock);
            if (step == REFUSE) {
                *err = c->locked.last_error;
                return -err->errnum;
            }
            if (step == GIVE || step == BACKGROUND)
                r = oss_credentials_copy(out, &c->locked.set, err);
            if (r == 0 && step != GIVE)
                c->locked.refreshing = true;
        }
        if (r < 0 || step == GIVE)
            return r;
        if (step == BACKGROUND) {
            refresh_in_background(c);
            return 0;
        }
        r = refresh(c, err);
        if (r < 0)
            return r;
    }
}

static bool fall_back_locked(struct oss_cred_chain *c)
{
    if (!is_valid(&c->locked.previous, wall(c)))
        return false;
    oss_credentials_fini(&c->locked.set);
    c->locked.set = c->locked.previous;
    c->locked.previous = (struct oss_credentials){0};
    c->locked.due = c->locked.set.expires;
    return true;
}

int oss_cred_reject(struct oss_cred_chain *c, const struct oss_credentials *refused,
                    struct ou_error *err)
{
    struct oss_credentials copy = {0};
    bool fell_back;
    int r = oss_credentials_copy(&copy, refused, err);

    if (r < 0)
        return r;
    {
        ou_lock_scope(&c->lock);
        while (c->locked.refreshing)
            ou_cond_wait(&c->idle, &c->lock);
        if (!oss_cred_set_equal(&copy, &c->locked.set)) {
            oss_credentials_fini(&copy);
            return 1;
        }
        if (oss_cred_set_equal(&copy, &c->locked.refused) &&
            now_ms(c) - c->locked.attempt_ms < PAUSE_REJECT_MS) {
            oss_credentials_fini(&copy);
            return 0;
        }
        oss_credentials_fini(&c->locked.refused);
        c->locked.refused = copy;
        c->locked.refreshing = true;
    }
    r = refresh(c, err);
    {
        ou_lock_scope(&c->lock);
        if (!oss_cred_set_equal(refused, &c->locked.set))
            return 1;
        fell_back = fall_back_locked(c);
    }
    if (fell_back)
        ou_log(OU_LOG_OSS, OU_LOG_WARN, "credentials refused, back to those before source=\"%s\"",
               c->provider->description);
    return fell_back ? 1 : r;
}

int oss_cred_reload(struct oss_cred_chain *c, struct ou_error *err)
{
    {
        ou_lock_scope(&c->lock);
        while (c->locked.refreshing)
            ou_cond_wait(&c->idle, &c->lock);
        oss_credentials_fini(&c->locked.refused); /* somebody may have mended the account */
        c->locked.refreshing = true;
    }
    return refresh(c, err);
}

const char *oss_cred_describe(const struct oss_cred_chain *c)
{
    return c->provider->description;
}

void oss_cred_status(struct oss_cred_chain *c, struct oss_cred_status *out)
{
    *out = (struct oss_cred_status){0};
    (void)snprintf(out->source, sizeof(out->source), "%s", c->provider->description);
    ou_lock_scope(&c->lock);
    out->fetched = c->locked.fetched;
    out->expires = c->locked.set.expires;
    out->refreshing = c->locked.refreshing;
    out->failures = c->locked.failures;
    out->last_error = c->locked.last_error;
}

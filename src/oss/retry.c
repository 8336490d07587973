/*
 * Delays between attempts, and waiting them out.
 */
#include "oss/retry.h"

#include "base/clock.h"
#include "base/mutex.h"
#include "base/text.h"
#include "oss/client.h"

#define SHIFT_MAX 20                 /* base << 20 is far above the cap */
#define RANK_WAIT (OU_RANK_OSS + 90) /* a leaf: nothing is locked below it */

uint64_t oss_retry_delay_ms(unsigned attempt, bool throttled, uint32_t random)
{
    uint64_t limit = throttled ? OSS_RETRY_THROTTLE_MS : OSS_RETRY_BASE_MS;

    limit <<= attempt < SHIFT_MAX ? attempt : SHIFT_MAX;
    if (limit > OSS_RETRY_CAP_MS)
        limit = OSS_RETRY_CAP_MS;
    return ((limit + 1) * random) >> 32; /* uniform in 0..limit */
}

uint64_t oss_error_delay_ms(const struct ou_error *err, unsigned attempt, uint32_t random)
{
    if (err->wait_ms)
        return err->wait_ms + oss_retry_delay_ms(0, false, random);
    return oss_retry_delay_ms(attempt, oss_error_verdict(err) == OSS_THROTTLE, random);
}

static uint64_t retry_after_s(const char *value, time_t now)
{
    uint64_t seconds;
    time_t when;

    if (!value)
        return 0;
    if (ou_parse_u64(value, &seconds))
        return seconds;
    return ou_parse_http_date(value, &when) && when > now ? (uint64_t)(when - now) : 0;
}

unsigned oss_retry_asked_ms(const char *retry_after, const char *qos_delay, time_t now)
{
    uint64_t after_s = retry_after_s(retry_after, now), ms = 0;

    if (after_s > OSS_RETRY_ASKED_MS / 1000)
        return OSS_RETRY_ASKED_MS;
    if (!qos_delay || !ou_parse_u64(qos_delay, &ms))
        ms = 0;
    if (ms < after_s * 1000)
        ms = after_s * 1000;
    return ms < OSS_RETRY_ASKED_MS ? (unsigned)ms : OSS_RETRY_ASKED_MS;
}

struct sleeper {
    struct ou_mutex lock;
    pthread_cond_t wake;
    bool cancelled; /* under .lock */
};

static void wake_sleeper(void *arg)
{
    struct sleeper *s = arg;

    ou_lock_scope(&s->lock);
    s->cancelled = true;
    (void)pthread_cond_signal(&s->wake);
}

static bool sleep_it_out(struct sleeper *s, uint64_t until_ms)
{
    ou_lock_scope(&s->lock);
    while (!s->cancelled && ou_now_ms() < until_ms)
        (void)ou_cond_wait_until(&s->wake, &s->lock, until_ms);
    return !s->cancelled;
}

bool oss_wait_until(uint64_t until_ms, struct ou_cancel *cancel)
{
    struct sleeper s = {.cancelled = false};
    struct ou_cancel_hook hook;
    bool slept;

    ou_mutex_init(&s.lock, RANK_WAIT);
    ou_cond_init(&s.wake);
    ou_cancel_attach(cancel, &hook, wake_sleeper, &s);
    slept = sleep_it_out(&s, until_ms);
    ou_cancel_detach(cancel, &hook);
    (void)pthread_cond_destroy(&s.wake);
    ou_mutex_fini(&s.lock);
    return slept;
}

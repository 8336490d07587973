/*
 * Delays between attempts, and waiting them out.
 */
#include "oss/retry.h"

#include "base/clock.h"
#include "base/mutex.h"
#include "base/text.h"
#include "oss/client.h"

#define SHIFT_MAX         20 /* base << 20 is far above the cap */
#define RETRY_AFTER_MAX_S UINT64_C(86400)
#define RANK_WAIT         (OU_RANK_OSS + 90) /* a leaf: nothing is locked below it */

uint64_t oss_retry_delay_ms(unsigned attempt, bool throttled, uint32_t random)
{
    uint64_t limit = throttled ? OSS_RETRY_THROTTLE_MS : OSS_RETRY_BASE_MS;

    limit <<= attempt < SHIFT_MAX ? attempt : SHIFT_MAX;
    if (limit > OSS_RETRY_CAP_MS)
        limit = OSS_RETRY_CAP_MS;
    return ((limit + 1) * random) >> 32; /* uniform in 0..limit */
}

uint64_t oss_retry_after_ms(const char *value, time_t now)
{
    uint64_t seconds;
    time_t when;

    if (!value)
        return 0;
    if (!ou_parse_u64(value, &seconds)) {
        if (!ou_parse_http_date(value, &when) || when <= now)
            return 0;
        seconds = (uint64_t)(when - now);
    }
    return (seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S) * 1000;
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

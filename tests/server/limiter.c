#include "server/limiter.h"

#include "server/clock.h"
#include "server/lock.h"

#include <poll.h>

#define NS_PER_SECOND UINT64_C(1000000000)
#define BURST_NS      (NS_PER_SECOND / 10)
#define SLICE_NS      (NS_PER_SECOND / 50) /* how soon a sleeper hears that the server stops */

void srv_limiter_init(struct srv_limiter *l)
{
    (void)pthread_mutex_init(&l->lock, NULL);
    l->free_at_ns = 0;
}

void srv_limiter_fini(struct srv_limiter *l)
{
    (void)pthread_mutex_destroy(&l->lock);
}

static uint64_t cost_ns(uint64_t per_second, uint64_t amount)
{
    return (uint64_t)((double)amount * (double)NS_PER_SECOND / (double)per_second);
}

uint64_t srv_limiter_take(struct srv_limiter *l, uint64_t per_second, uint64_t amount)
{
    uint64_t now = srv_steady_ns();

    srv_lock_scope(&l->lock);
    if (l->free_at_ns < now)
        l->free_at_ns = now;
    l->free_at_ns += cost_ns(per_second, amount);
    return l->free_at_ns > now + BURST_NS ? l->free_at_ns - now - BURST_NS : 0;
}

bool srv_limiter_try(struct srv_limiter *l, uint64_t per_second)
{
    uint64_t now = srv_steady_ns();

    srv_lock_scope(&l->lock);
    if (l->free_at_ns < now)
        l->free_at_ns = now;
    if (l->free_at_ns > now + BURST_NS)
        return false;
    l->free_at_ns += cost_ns(per_second, 1);
    return true;
}

bool srv_sleep_ns(uint64_t ns, int fd, const atomic_bool *stopping)
{
    uint64_t end = srv_steady_ns() + ns;
    uint64_t now;

    while ((now = srv_steady_ns()) < end) {
        uint64_t slice = end - now < SLICE_NS ? end - now : SLICE_NS;
        struct timespec ts = {.tv_nsec = (long)slice};
        struct pollfd gone = {.fd = fd, .events = POLLRDHUP};

        if (atomic_load(stopping))
            return false;
        if (ppoll(&gone, 1, &ts, NULL) > 0 && (gone.revents & (POLLRDHUP | POLLERR)) != 0)
            return false;
    }
    return true;
}

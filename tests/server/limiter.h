/*
 * Rates: a token bucket for bytes and requests, and sleeping that ends early.
 */
#ifndef SRV_LIMITER_H
#define SRV_LIMITER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Shared by all connections. Zero-initialise but for the mutex. */
struct srv_limiter {
    pthread_mutex_t lock;
    uint64_t free_at_ns; /* guarded by .lock: when the last admitted unit is paid for */
};

void srv_limiter_init(struct srv_limiter *l);
void srv_limiter_fini(struct srv_limiter *l);

/*
 * srv_limiter_take() - how long to wait before @amount units may pass, in ns
 * @per_second: the rate, above 0; a tenth of a second's worth may pass at once
 */
uint64_t srv_limiter_take(struct srv_limiter *l, uint64_t per_second, uint64_t amount);

/* srv_limiter_try() - false, and nothing taken, if one unit would have to wait */
bool srv_limiter_try(struct srv_limiter *l, uint64_t per_second);

/*
 * srv_sleep_ns() - waits, but not longer than the server runs or the peer stays
 * @fd: the connection's socket
 * Return: true if the whole time passed.
 */
bool srv_sleep_ns(uint64_t ns, int fd, const atomic_bool *stopping);

#endif

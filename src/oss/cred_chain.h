/*
 * The chain's inside: what oss_cred_chain_new() builds on, and tests with a provider and a clock of
 * their own. Private to oss/cred*.c and its tests.
 */
#ifndef OSSUP_OSS_CRED_CHAIN_H
#define OSSUP_OSS_CRED_CHAIN_H

#include "oss/cred_provider.h"

#include <stdint.h>
#include <time.h>

/* Where the chain takes its time from. Called under the chain's lock: must not block. */
struct oss_cred_clock {
    time_t (*wall)(void *ctx);     /* what .expires is compared with */
    uint64_t (*now_ms)(void *ctx); /* monotonic: pauses between attempts */
    void *ctx;
};

/**
 * oss_cred_chain_with() - a chain over one provider; fetches the first set
 * @provider: taken, also on failure
 * @clock:    NULL: the machine's; copied
 */
int oss_cred_chain_with(struct oss_cred_provider *provider, const struct oss_cred_clock *clock,
                        struct oss_cred_chain **chain, struct ou_error *err);
/** oss_cred_chain_settle() - returns when no refresh is under way. */
void oss_cred_chain_settle(struct oss_cred_chain *chain);

#endif

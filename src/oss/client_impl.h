/*
 * The client from inside. Private to src/oss.
 */
#ifndef OSSUP_OSS_CLIENT_IMPL_H
#define OSSUP_OSS_CLIENT_IMPL_H

#include "oss/address.h"
#include "oss/client.h"
#include "oss/gate.h"
#include "oss/http.h"
#include "oss/limit.h"
#include "oss/sign.h"

#include <stdatomic.h>

struct oss_client {
    /* Constant after oss_client_new(). */
    struct oss_config config; /* strings owned, numbers never 0 */
    struct oss_address address;
    char region[OSS_REGION_SIZE];
    enum oss_sign_version sign;
    struct oss_cred_chain *chain; /* borrowed; NULL: requests go unsigned */
    struct oss_http *http;
    /* With locks of their own. */
    struct oss_gate gate;
    struct oss_limit up, down;
    atomic_bool hierarchical; /* set before the first write */
    /* Independent numbers, read and written by any thread. */
    atomic_uint_fast64_t request_timeout_ms;
    atomic_int_fast64_t clock_offset_s; /* what requests are dated by */
    atomic_int_fast64_t server_ahead_s; /* by the last answer's Date */
    atomic_uint_fast64_t requests, retries, throttled, bytes_up, bytes_down;
    /* Throttling is told once in a while, with a count. */
    atomic_uint_fast64_t told_ms, told_throttled;
};

/** oss_is_directory() - @key is a directory of a hierarchical bucket. */
bool oss_is_directory(const struct oss_client *client, const char *key);

#endif

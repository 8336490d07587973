/*
 * When to try again. Private to src/oss; oss_retry_delay_ms() stands in oss/client.h.
 */
#ifndef OSSUP_OSS_RETRY_H
#define OSSUP_OSS_RETRY_H

#include "base/thread.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define OSS_RETRY_BASE_MS     UINT64_C(200) /* as the official SDKs; doubled each time */
#define OSS_RETRY_THROTTLE_MS UINT64_C(1000)
#define OSS_RETRY_CAP_MS      UINT64_C(20000)

/** oss_retry_after_ms() - the value of a Retry-After header: seconds, or a date compared with @now. 0: none. */
uint64_t oss_retry_after_ms(const char *value, time_t now);

/** oss_wait_until() - sleep till @until_ms (ou_now_ms() scale). Return: true, or false when @cancel was triggered. */
bool oss_wait_until(uint64_t until_ms, struct ou_cancel *cancel);

#endif

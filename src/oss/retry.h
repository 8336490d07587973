/*
 * When to try again. Private to src/oss; oss_error_delay_ms() stands in oss/client.h.
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
#define OSS_RETRY_ASKED_MS    3600000u /* most that a service's word counts: then it is asked again */

/** oss_retry_delay_ms() - uniform in 0..min(cap, base * 2^@attempt); see oss_error_delay_ms() */
uint64_t oss_retry_delay_ms(unsigned attempt, bool throttled, uint32_t random);
/**
 * oss_retry_asked_ms() - the pause that an answer asks for, at most OSS_RETRY_ASKED_MS; 0: none
 * @retry_after: value of Retry-After: seconds, or a date compared with @now; NULL: there is none
 * @qos_delay:   value of x-oss-qos-delay-time: milliseconds by which this request was slowed down
 *
 * The longer of the two.
 */
unsigned oss_retry_asked_ms(const char *retry_after, const char *qos_delay, time_t now);

/** oss_wait_until() - sleep till @until_ms (ou_now_ms() scale). Return: true, or false when @cancel was triggered. */
bool oss_wait_until(uint64_t until_ms, struct ou_cancel *cancel);

#endif

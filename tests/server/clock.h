/*
 * The server's clock and the three ways OSS writes a time. All times are Unix
 * times in UTC. The clock can be set wrong on purpose (control path "time"), to
 * see whether clients learn the offset from the Date header. Any thread may call.
 */
#ifndef SRV_CLOCK_H
#define SRV_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define SRV_TIME_TEXT_MAX 40

/* srv_clock_ms() - the server's idea of now, offset included, in milliseconds */
int64_t srv_clock_ms(void);
void srv_clock_set_offset_ms(int64_t offset_ms);
int64_t srv_clock_offset_ms(void);
/* srv_real_seconds() - the machine's clock, what the request log shows */
double srv_real_seconds(void);
/* srv_steady_ns() - for durations; never jumps */
uint64_t srv_steady_ns(void);

/* "Wed, 28 Dec 2022 10:27:41 GMT" */
void srv_time_http(int64_t seconds, char out[SRV_TIME_TEXT_MAX]);
/* "20221228T102741Z" */
void srv_time_basic(int64_t seconds, char out[SRV_TIME_TEXT_MAX]);
/* "2022-12-28T10:27:41.000Z" */
void srv_time_xml(int64_t seconds, char out[SRV_TIME_TEXT_MAX]);

/* They read exactly the forms above; false for anything else. */
bool srv_time_parse_http(const char *s, int64_t *seconds);
bool srv_time_parse_basic(const char *s, int64_t *seconds);

#endif

/*
 * Time: the two clocks, and the formats of the wire. Any thread.
 */
#ifndef OSSUP_BASE_CLOCK_H
#define OSSUP_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/** ou_now_ms() - monotonic milliseconds; for deadlines and waits, never shown to anyone. */
uint64_t ou_now_ms(void);
/** ou_wall() - wall-clock time. */
struct timespec ou_wall(void);

#define OU_HTTP_DATE_SIZE 32 /* "Tue, 05 Mar 2024 08:09:10 GMT" */
#define OU_ISO_BASIC_SIZE 20 /* "20240305T080910Z" */
void ou_format_http_date(time_t t, char out[OU_HTTP_DATE_SIZE]);
void ou_format_iso_basic(time_t t, char out[OU_ISO_BASIC_SIZE]);
/** ou_parse_http_date() - RFC 1123 in GMT, independent of locale. false: no such date. */
bool ou_parse_http_date(const char *s, time_t *t);
/** ou_parse_iso8601() - "2012-02-24T08:43:07.000Z" or without the fraction. */
bool ou_parse_iso8601(const char *s, struct timespec *t);

#endif

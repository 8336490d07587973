#include "server/clock.h"

#include "server/buf.h"

#include <stdatomic.h>
#include <stdio.h>

static _Atomic int64_t clock_offset_ms; /* one word, no order with other memory needed */

static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static struct timespec read_clock(clockid_t id)
{
    struct timespec ts = {0};

    (void)clock_gettime(id, &ts);
    return ts;
}

int64_t srv_clock_ms(void)
{
    struct timespec ts = read_clock(CLOCK_REALTIME);

    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 + clock_offset_ms;
}

void srv_clock_set_offset_ms(int64_t offset_ms)
{
    clock_offset_ms = offset_ms;
}

int64_t srv_clock_offset_ms(void)
{
    return clock_offset_ms;
}

double srv_real_seconds(void)
{
    struct timespec ts = read_clock(CLOCK_REALTIME);

    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

uint64_t srv_steady_ns(void)
{
    struct timespec ts = read_clock(CLOCK_MONOTONIC);

    return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

static struct tm broken_down(int64_t seconds)
{
    time_t t = (time_t)seconds;
    struct tm tm = {0};

    (void)gmtime_r(&t, &tm);
    return tm;
}

/* strftime() would write the names of the locale. */
void srv_time_http(int64_t seconds, char out[SRV_TIME_TEXT_MAX])
{
    struct tm tm = broken_down(seconds);

    (void)snprintf(out, SRV_TIME_TEXT_MAX, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday],
                   tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                   tm.tm_sec);
}

void srv_time_basic(int64_t seconds, char out[SRV_TIME_TEXT_MAX])
{
    struct tm tm = broken_down(seconds);

    (void)strftime(out, SRV_TIME_TEXT_MAX, "%Y%m%dT%H%M%SZ", &tm);
}

void srv_time_xml(int64_t seconds, char out[SRV_TIME_TEXT_MAX])
{
    struct tm tm = broken_down(seconds);

    (void)strftime(out, SRV_TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%S.000Z", &tm);
}

/* Reading is "scan, write again, compare": whatever is not exactly the form does not survive. */
static bool confirm(const char *s, struct tm *tm, void (*format)(int64_t, char *), int64_t *seconds)
{
    char again[SRV_TIME_TEXT_MAX];
    int64_t t = (int64_t)timegm(tm);

    format(t, again);
    if (!srv_streq(s, again))
        return false;
    *seconds = t;
    return true;
}

static int number(const char *s, int digits)
{
    int value = 0;

    for (int i = 0; i < digits; i++) {
        if (s[i] < '0' || s[i] > '9')
            return -1;
        value = value * 10 + (s[i] - '0');
    }
    return value;
}

bool srv_time_parse_http(const char *s, int64_t *seconds)
{
    struct tm tm = {0};

    if (strlen(s) != strlen("Wed, 28 Dec 2022 10:27:41 GMT"))
        return false;
    tm.tm_mday = number(s + 5, 2);
    tm.tm_year = number(s + 12, 4) - 1900;
    tm.tm_hour = number(s + 17, 2);
    tm.tm_min = number(s + 20, 2);
    tm.tm_sec = number(s + 23, 2);
    while (tm.tm_mon < 11 && strncmp(s + 8, months[tm.tm_mon], 3) != 0)
        tm.tm_mon++;
    return confirm(s, &tm, srv_time_http, seconds);
}

bool srv_time_parse_basic(const char *s, int64_t *seconds)
{
    struct tm tm = {0};

    if (strlen(s) != strlen("20221228T102741Z"))
        return false;
    tm.tm_year = number(s, 4) - 1900;
    tm.tm_mon = number(s + 4, 2) - 1;
    tm.tm_mday = number(s + 6, 2);
    tm.tm_hour = number(s + 9, 2);
    tm.tm_min = number(s + 11, 2);
    tm.tm_sec = number(s + 13, 2);
    return confirm(s, &tm, srv_time_basic, seconds);
}

/*
 * strftime() and strptime() follow the locale, so names are ours; the calendar
 * is libc's. A date is taken only if it names a moment that exists: timegm()
 * would turn 30 February into 1 March.
 */
#include "base/clock.h"

#include <stdio.h>
#include <string.h>

static const char weekdays[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

#define YEAR_0000_BEGINS (-INT64_C(62167219200)) /* seconds of the epoch */
#define YEAR_9999_ENDS   INT64_C(253402300799)

uint64_t ou_now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail: the clock exists */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct timespec ou_wall(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return now;
}

/* Four digits hold a year from 0 to 9999; other times become the nearest end. */
static struct tm calendar(time_t t)
{
    struct tm tm;

    if (t < YEAR_0000_BEGINS)
        t = YEAR_0000_BEGINS;
    if (t > YEAR_9999_ENDS)
        t = YEAR_9999_ENDS;
    (void)gmtime_r(&t, &tm);
    return tm;
}

/* Writes @value with leading zeros, returns the place after it. */
static char *put_digits(char *out, int width, int value)
{
    for (int i = width - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return out + width;
}

static char *put_chars(char *out, const char *s, size_t len)
{
    memcpy(out, s, len);
    return out + len;
}

void ou_format_http_date(time_t t, char out[OU_HTTP_DATE_SIZE])
{
    struct tm tm = calendar(t);

    out = put_chars(out, weekdays[tm.tm_wday], 3);
    out = put_chars(out, ", ", 2);
    out = put_digits(out, 2, tm.tm_mday);
    out = put_chars(out, " ", 1);
    out = put_chars(out, months[tm.tm_mon], 3);
    out = put_chars(out, " ", 1);
    out = put_digits(out, 4, tm.tm_year + 1900);
    out = put_chars(out, " ", 1);
    out = put_digits(out, 2, tm.tm_hour);
    out = put_chars(out, ":", 1);
    out = put_digits(out, 2, tm.tm_min);
    out = put_chars(out, ":", 1);
    out = put_digits(out, 2, tm.tm_sec);
    (void)put_chars(out, " GMT", 5); /* with its NUL */
}

void ou_format_iso_basic(time_t t, char out[OU_ISO_BASIC_SIZE])
{
    struct tm tm = calendar(t);

    out = put_digits(out, 4, tm.tm_year + 1900);
    out = put_digits(out, 2, tm.tm_mon + 1);
    out = put_digits(out, 2, tm.tm_mday);
    out = put_chars(out, "T", 1);
    out = put_digits(out, 2, tm.tm_hour);
    out = put_digits(out, 2, tm.tm_min);
    out = put_digits(out, 2, tm.tm_sec);
    (void)put_chars(out, "Z", 2); /* with its NUL */
}

/*
 * Each take_*() steps over what it expects and returns the rest; NULL stays NULL,
 * so that a whole format is read as one chain and checked once.
 */
static const char *take_digits(const char *s, int width, int *value)
{
    *value = 0;
    for (int i = 0; s && i < width; i++) {
        if (s[i] < '0' || s[i] > '9')
            return NULL;
        *value = *value * 10 + (s[i] - '0');
    }
    return s ? s + width : NULL;
}

static const char *take_text(const char *s, const char *text)
{
    size_t len = strlen(text);

    return s && strncmp(s, text, len) == 0 ? s + len : NULL;
}

static const char *take_name(const char *s, const char (*names)[4], int count, int *index)
{
    *index = 0;
    for (int i = 0; s && i < count; i++) {
        if (strncmp(s, names[i], 3) == 0) {
            *index = i;
            return s + 3;
        }
    }
    return NULL;
}

static bool to_time(const struct tm *wanted, time_t *t)
{
    struct tm tm = *wanted, back;
    time_t result = timegm(&tm);

    if (!gmtime_r(&result, &back))
        return false;
    if (back.tm_year != wanted->tm_year || back.tm_mon != wanted->tm_mon ||
        back.tm_mday != wanted->tm_mday || back.tm_hour != wanted->tm_hour ||
        back.tm_min != wanted->tm_min || back.tm_sec != wanted->tm_sec)
        return false;
    *t = result;
    return true;
}

bool ou_parse_http_date(const char *s, time_t *t)
{
    struct tm tm = {0};
    int weekday;

    s = take_name(s, weekdays, 7, &weekday); /* redundant, and not compared */
    s = take_text(s, ", ");
    s = take_digits(s, 2, &tm.tm_mday);
    s = take_text(s, " ");
    s = take_name(s, months, 12, &tm.tm_mon);
    s = take_text(s, " ");
    s = take_digits(s, 4, &tm.tm_year);
    s = take_text(s, " ");
    s = take_digits(s, 2, &tm.tm_hour);
    s = take_text(s, ":");
    s = take_digits(s, 2, &tm.tm_min);
    s = take_text(s, ":");
    s = take_digits(s, 2, &tm.tm_sec);
    s = take_text(s, " GMT");
    if (!s || *s)
        return false;
    tm.tm_year -= 1900;
    return to_time(&tm, t);
}

bool ou_parse_iso8601(const char *s, struct timespec *t)
{
    struct tm tm = {0};
    long nsec = 0;
    time_t sec;

    s = take_digits(s, 4, &tm.tm_year);
    s = take_text(s, "-");
    s = take_digits(s, 2, &tm.tm_mon);
    s = take_text(s, "-");
    s = take_digits(s, 2, &tm.tm_mday);
    s = take_text(s, "T");
    s = take_digits(s, 2, &tm.tm_hour);
    s = take_text(s, ":");
    s = take_digits(s, 2, &tm.tm_min);
    s = take_text(s, ":");
    s = take_digits(s, 2, &tm.tm_sec);
    if (s && *s == '.') {
        long unit = 100000000; /* nanoseconds that the next digit counts */

        for (s++; *s >= '0' && *s <= '9'; s++, unit /= 10)
            nsec += (*s - '0') * unit; /* digits beyond the ninth count nothing */
    }
    s = take_text(s, "Z");
    if (!s || *s)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    if (!to_time(&tm, &sec))
        return false;
    *t = (struct timespec){.tv_sec = sec, .tv_nsec = nsec};
    return true;
}

/*
 * The message is composed in a local buffer first: an argument may well be the
 * old err->message. What does not fit is cut at the end, but never the errno's
 * text of ou_error_set(): it says why, the rest only says where.
 */
#include "base/error.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Appends at @at as much of @s as fits; returns the new end. */
static size_t put(char *out, size_t size, size_t at, const char *s)
{
    size_t len = strlen(s);

    if (len > size - 1 - at)
        len = size - 1 - at;
    memcpy(out + at, s, len);
    out[at + len] = '\0';
    return at + len;
}

/* A message cut within a UTF-8 character would be no text any more. */
static void trim_partial_utf8(char *s)
{
    size_t len = strlen(s);
    size_t back = 0;

    while (back < 4 && back < len && ((unsigned char)s[len - 1 - back] & 0xc0) == 0x80)
        back++;
    if (back < len) {
        unsigned char lead = (unsigned char)s[len - 1 - back];
        size_t want = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;

        if (want > back)
            s[len - 1 - back] = '\0';
    }
}

static void set_local(struct ou_error *err, int errnum, const char *message)
{
    assert(errnum > 0);
    err->errnum = errnum;
    err->http_status = 0;
    err->code[0] = '\0';
    err->request_id[0] = '\0';
    err->wait_ms = 0;
    (void)put(err->message, sizeof(err->message), 0, message);
    trim_partial_utf8(err->message);
}

int ou_error_set(struct ou_error *err, int errnum, const char *fmt, ...)
{
    char message[sizeof(err->message)];
    char why_buf[128];
    const char *why = strerror_r(errnum, why_buf, sizeof(why_buf));
    size_t room = sizeof(message) - strlen(why) - 2; /* 2: ": " */
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(message, room, fmt, ap);
    va_end(ap);
    trim_partial_utf8(message);

    size_t at = put(message, sizeof(message), strlen(message), ": ");
    (void)put(message, sizeof(message), at, why);
    set_local(err, errnum, message);
    return -errnum;
}

int ou_error_say(struct ou_error *err, int errnum, const char *fmt, ...)
{
    char message[sizeof(err->message)];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    set_local(err, errnum, message);
    return -errnum;
}

int ou_error_prefix(struct ou_error *err, const char *fmt, ...)
{
    char message[sizeof(err->message)];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);

    size_t at = put(message, sizeof(message), strlen(message), ": ");
    (void)put(message, sizeof(message), at, err->message);
    (void)put(err->message, sizeof(err->message), 0, message);
    trim_partial_utf8(err->message);
    return -err->errnum;
}

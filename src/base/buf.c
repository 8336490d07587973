/*
 * Invariants: data == NULL implies len == cap == 0; otherwise len < cap and
 * data[len] == '\0'. An append either fits whole or changes nothing but .failed.
 */
#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAP_MIN 64 /* bytes; saves the first few reallocations of a typical line */

void ou_buf_fini(struct ou_buf *b)
{
    if (!b)
        return;
    free(b->data);
    b->data = NULL;
    b->len = 0;
    b->cap = 0;
    b->failed = 0;
}

void ou_buf_clear(struct ou_buf *b)
{
    b->len = 0;
    b->failed = 0;
    if (b->data)
        b->data[0] = '\0';
}

/* Makes room for @more bytes and the NUL after them. */
static bool reserve(struct ou_buf *b, size_t more)
{
    size_t need, cap;
    char *data;

    if (b->failed)
        return false;
    if (__builtin_add_overflow(b->len, more, &need) || (b->max && need > b->max) ||
        need >= SIZE_MAX / 2) {
        b->failed = EMSGSIZE;
        return false;
    }
    if (need < b->cap)
        return true;

    cap = b->cap ? b->cap : CAP_MIN;
    while (cap <= need)
        cap *= 2;
    data = realloc(b->data, cap);
    if (!data) {
        b->failed = ENOMEM;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

void ou_buf_add(struct ou_buf *b, const void *data, size_t len)
{
    if (len == 0 || !reserve(b, len))
        return;
    memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void ou_buf_adds(struct ou_buf *b, const char *s)
{
    ou_buf_add(b, s, strlen(s));
}

void ou_buf_addf(struct ou_buf *b, const char *fmt, ...)
{
    va_list ap;
    int len;

    va_start(ap, fmt);
    len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (len < 0) {
        if (!b->failed)
            b->failed = ENOMEM;
        return;
    }
    if (!reserve(b, (size_t)len))
        return;

    va_start(ap, fmt);
    (void)vsnprintf(b->data + b->len, (size_t)len + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)len;
}

int ou_buf_check(const struct ou_buf *b, struct ou_error *err)
{
    if (b->failed == EMSGSIZE)
        return ou_error_say(err, EMSGSIZE, "text of more than %zu bytes", b->max);
    if (b->failed)
        return ou_error_set(err, ENOMEM, "text of %zu bytes and more", b->len);
    return 0;
}

const char *ou_buf_str(const struct ou_buf *b)
{
    return b->data ? b->data : "";
}

char *ou_buf_take(struct ou_buf *b)
{
    char *data;

    if (b->failed)
        return NULL;
    data = b->data ? b->data : calloc(1, 1);
    if (data) {
        b->data = NULL;
        b->len = 0;
        b->cap = 0;
    }
    return data;
}

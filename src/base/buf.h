/*
 * Growable byte buffer with a bound. Zeroed memory is an empty buffer.
 *
 * A failed append sets .failed and leaves the content as it was; later appends
 * do nothing, so that a builder checks once, at its end (ou_buf_check()).
 * data is NUL-terminated beyond .len whenever it is not NULL. Not thread-safe.
 */
#ifndef OSSUP_BASE_BUF_H
#define OSSUP_BASE_BUF_H

#include "base/error.h"

#include <stddef.h>

struct ou_buf {
    char *data; /* NULL while empty */
    size_t len;
    size_t cap;
    size_t max; /* bytes at most; 0: no bound but memory */
    int failed; /* 0, or the errno of the first append that did not fit */
};

void ou_buf_fini(struct ou_buf *b);
void ou_buf_clear(struct ou_buf *b); /* keeps the memory, forgets a failure */
/* @data, @s and the arguments must not point into the buffer itself. */
void ou_buf_add(struct ou_buf *b, const void *data, size_t len);
void ou_buf_adds(struct ou_buf *b, const char *s);
void ou_buf_addf(struct ou_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** ou_buf_check() - 0, or -ENOMEM / -EMSGSIZE when an append had failed. */
int ou_buf_check(const struct ou_buf *b, struct ou_error *err);
/** ou_buf_str() - the content as a string ("" when empty), owned by the buffer. */
const char *ou_buf_str(const struct ou_buf *b);
/**
 * ou_buf_take() - the content, malloc'ed, for the caller to free; the buffer is empty then
 *
 * Return: NULL when there is no memory or an append had failed; the buffer is as it was.
 */
char *ou_buf_take(struct ou_buf *b);

#endif

/*
 * Memory, growing strings, and lists of name/value pairs.
 *
 * A test server without memory has nothing better to do than to say so: the
 * allocators here abort instead of returning NULL, and nobody checks them.
 * Nothing here locks; an object belongs to one thread at a time.
 */
#ifndef SRV_BUF_H
#define SRV_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

void *srv_xcalloc(size_t count, size_t size);
void *srv_xrealloc(void *old, size_t size);
char *srv_xstrdup(const char *s); /* NULL gives NULL */
char *srv_xstrndup(const char *s, size_t len);
char *srv_xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

static inline void srv_freep(void *p)
{
    free(*(void **)p);
}
#define srv_autofree __attribute__((cleanup(srv_freep)))

static inline bool srv_streq(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static inline bool srv_starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* A byte string that grows. .data is NULL or NUL-terminated at .len. */
struct srv_buf {
    char *data;
    size_t len;
    size_t cap;
};

void srv_buf_fini(struct srv_buf *b);
#define srv_autobuf __attribute__((cleanup(srv_buf_fini)))

void srv_buf_add(struct srv_buf *b, const void *data, size_t len);
void srv_buf_puts(struct srv_buf *b, const char *s);
void srv_buf_printf(struct srv_buf *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* srv_buf_str() - the content as a C string, "" if nothing was added; borrowed */
const char *srv_buf_str(const struct srv_buf *b);
/* srv_buf_take() - hands the content over (never NULL, the caller frees) and leaves @b empty */
char *srv_buf_take(struct srv_buf *b);

/* Ordered, names may repeat. A NULL value is a bare name (`?acl`). */
struct srv_pair {
    char *name;
    char *value;
};

struct srv_pairs {
    struct srv_pair *items;
    size_t count;
    size_t cap;
};

void srv_pairs_fini(struct srv_pairs *p);
#define srv_autopairs __attribute__((cleanup(srv_pairs_fini)))

void srv_pairs_add(struct srv_pairs *p, const char *name, const char *value);
void srv_pairs_copy(struct srv_pairs *to, const struct srv_pairs *from);
/* srv_pairs_find() - the first pair of that exact name, or NULL; borrowed */
const struct srv_pair *srv_pairs_find(const struct srv_pairs *p, const char *name);
/* srv_pairs_get() - its value, "" if the name is bare, NULL if it is not there */
const char *srv_pairs_get(const struct srv_pairs *p, const char *name);

#endif

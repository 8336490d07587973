#include "server/buf.h"

#include <stdarg.h>
#include <stdio.h>

static void *checked(void *p)
{
    if (p == NULL) {
        (void)fputs("oss-local-server: out of memory\n", stderr);
        abort();
    }
    return p;
}

void *srv_xcalloc(size_t count, size_t size)
{
    return checked(calloc(count > 0 ? count : 1, size > 0 ? size : 1));
}

void *srv_xrealloc(void *old, size_t size)
{
    return checked(realloc(old, size > 0 ? size : 1));
}

char *srv_xstrdup(const char *s)
{
    return s == NULL ? NULL : checked(strdup(s));
}

char *srv_xstrndup(const char *s, size_t len)
{
    return checked(strndup(s, len));
}

char *srv_xasprintf(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    int n;

    va_start(args, format);
    n = vasprintf(&text, format, args);
    va_end(args);
    return checked(n < 0 ? NULL : text);
}

void srv_buf_fini(struct srv_buf *b)
{
    free(b->data);
    *b = (struct srv_buf){0};
}

static void reserve(struct srv_buf *b, size_t more)
{
    size_t need = b->len + more + 1;

    if (need <= b->cap)
        return;
    b->cap = need < 256 ? 256 : need + need / 2;
    b->data = srv_xrealloc(b->data, b->cap);
}

void srv_buf_add(struct srv_buf *b, const void *data, size_t len)
{
    reserve(b, len);
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void srv_buf_puts(struct srv_buf *b, const char *s)
{
    srv_buf_add(b, s, strlen(s));
}

void srv_buf_printf(struct srv_buf *b, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        return;
    reserve(b, (size_t)n);
    va_start(args, format);
    (void)vsnprintf(b->data + b->len, (size_t)n + 1, format, args);
    va_end(args);
    b->len += (size_t)n;
}

const char *srv_buf_str(const struct srv_buf *b)
{
    return b->data == NULL ? "" : b->data;
}

char *srv_buf_take(struct srv_buf *b)
{
    char *data = b->data == NULL ? srv_xstrdup("") : b->data;

    *b = (struct srv_buf){0};
    return data;
}

void srv_pairs_fini(struct srv_pairs *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->items[i].name);
        free(p->items[i].value);
    }
    free(p->items);
    *p = (struct srv_pairs){0};
}

void srv_pairs_add(struct srv_pairs *p, const char *name, const char *value)
{
    if (p->count == p->cap) {
        p->cap = p->cap == 0 ? 8 : p->cap * 2;
        p->items = srv_xrealloc(p->items, p->cap * sizeof(*p->items));
    }
    p->items[p->count].name = srv_xstrdup(name);
    p->items[p->count].value = srv_xstrdup(value);
    p->count++;
}

void srv_pairs_copy(struct srv_pairs *to, const struct srv_pairs *from)
{
    for (size_t i = 0; i < from->count; i++)
        srv_pairs_add(to, from->items[i].name, from->items[i].value);
}

const struct srv_pair *srv_pairs_find(const struct srv_pairs *p, const char *name)
{
    for (size_t i = 0; i < p->count; i++)
        if (srv_streq(p->items[i].name, name))
            return &p->items[i];
    return NULL;
}

const char *srv_pairs_get(const struct srv_pairs *p, const char *name)
{
    const struct srv_pair *pair = srv_pairs_find(p, name);

    if (pair == NULL)
        return NULL;
    return pair->value == NULL ? "" : pair->value;
}

/*
 * Sorted headers and digests, see oss/sign_parts.h.
 *
 * A header list is sorted by (lower-case name, place in the input), so that all values of one
 * name are neighbours and in order.
 */
#include "oss/sign_parts.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

void *oss_sign_array(size_t count, size_t size)
{
    return calloc(count + 1, size);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static int by_name(const void *pa, const void *pb)
{
    const struct oss_sign_header *a = pa, *b = pb;
    int order = strcmp(a->name, b->name);

    if (order != 0)
        return order;
    return a->index < b->index ? -1 : a->index > b->index;
}

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

static void lower_copy(char *to, const char *from)
{
    do
        *to++ = lower(*from);
    while (*from++);
}

int oss_sign_headers_init(struct oss_sign_headers *h, const struct oss_sign_input *in,
                          struct ou_error *err)
{
    size_t size = 0;
    char *name;

    *h = (struct oss_sign_headers){0};
    for (size_t i = 0; i < in->header_count; i++)
        size += strlen(in->headers[i].name) + 1;
    h->list = calloc(in->header_count + 1, sizeof(*h->list));
    h->names = malloc(size + 1);
    if (!h->list || !h->names) {
        oss_sign_headers_fini(h);
        return ou_error_set(err, ENOMEM, "sign %zu headers", in->header_count);
    }

    name = h->names;
    for (size_t i = 0; i < in->header_count; i++) {
        const char *value = in->headers[i].value ? in->headers[i].value : "";
        size_t len;

        while (is_blank(*value))
            value++;
        len = strlen(value);
        while (len > 0 && is_blank(value[len - 1]))
            len--;
        if (memchr(value, '\n', len) || memchr(value, '\r', len)) {
            oss_sign_headers_fini(h);
            return ou_error_say(err, EINVAL, "header %s: a line break in its value",
                                in->headers[i].name);
        }
        lower_copy(name, in->headers[i].name);
        h->list[i] =
            (struct oss_sign_header){.name = name, .value = value, .value_len = len, .index = i};
        name += strlen(name) + 1;
    }
    h->count = in->header_count;
    qsort(h->list, h->count, sizeof(*h->list), by_name);
    return 0;
}

void oss_sign_headers_fini(struct oss_sign_headers *h)
{
    free(h->list);
    free(h->names);
    *h = (struct oss_sign_headers){0};
}

const struct oss_sign_header *oss_sign_headers_find(const struct oss_sign_headers *h,
                                                    const char *name)
{
    for (size_t i = 0; i < h->count; i++) {
        if (strcmp(h->list[i].name, name) == 0)
            return &h->list[i];
    }
    return NULL;
}

/* Adds the values of the headers from @first on that have its name. Returns the one behind them. */
static size_t add_joined(const struct oss_sign_headers *h, size_t first, struct ou_buf *out)
{
    size_t i = first;

    do {
        if (i > first)
            ou_buf_adds(out, ",");
        ou_buf_add(out, h->list[i].value, h->list[i].value_len);
        i++;
    } while (i < h->count && strcmp(h->list[i].name, h->list[first].name) == 0);
    return i;
}

void oss_sign_headers_add(const struct oss_sign_headers *h, const char *name, struct ou_buf *out)
{
    const struct oss_sign_header *found = oss_sign_headers_find(h, name);

    if (found)
        (void)add_joined(h, (size_t)(found - h->list), out);
}

void oss_sign_headers_lines(const struct oss_sign_headers *h,
                            bool (*wanted)(const char *name, const void *ctx), const void *ctx,
                            struct ou_buf *out)
{
    size_t i = 0;

    while (i < h->count) {
        if (!wanted(h->list[i].name, ctx)) {
            i++;
            continue;
        }
        ou_buf_adds(out, h->list[i].name);
        ou_buf_adds(out, ":");
        i = add_joined(h, i, out);
        ou_buf_adds(out, "\n");
    }
}

bool oss_sign_is_oss_name(const char *name)
{
    return strncmp(name, "x-oss-", 6) == 0;
}

int oss_sign_hmac(const char *digest, const void *key, size_t key_len, const void *data, size_t len,
                  unsigned char *out, struct ou_error *err)
{
    const EVP_MD *md = strcmp(digest, "SHA1") == 0 ? EVP_sha1() : EVP_sha256();
    unsigned out_len = 0;

    if (key_len > INT32_MAX)
        return ou_error_set(err, EINVAL, "HMAC-%s", digest);
    if (!HMAC(md, key, (int)key_len, data, len, out, &out_len))
        return ou_error_set(err, EIO, "HMAC-%s", digest);
    return 0;
}

void oss_sign_add_hex(struct ou_buf *out, const unsigned char *data, size_t len)
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        char two[2] = {hex[data[i] >> 4], hex[data[i] & 15]};

        ou_buf_add(out, two, sizeof(two));
    }
}

void oss_sign_result_fini(struct oss_sign_result *r)
{
    ou_buf_fini(&r->string_to_sign);
    ou_buf_fini(&r->signature);
    ou_buf_fini(&r->scope);
    ou_buf_fini(&r->additional);
}

/*
 * What users write and what goes over the wire as text. Digits are counted with
 * overflow checks; nothing here looks at the locale.
 */
#include "base/text.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads digits up to another character; false: none, or too many for 64 bits. */
static bool take_u64(const char **s, uint64_t *value)
{
    const char *p = *s;
    uint64_t v = 0;

    if (!is_digit(*p))
        return false;
    for (; is_digit(*p); p++)
        if (__builtin_mul_overflow(v, UINT64_C(10), &v) ||
            __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
            return false;
    *s = p;
    *value = v;
    return true;
}

bool ou_parse_u64(const char *s, uint64_t *value)
{
    uint64_t v;

    if (!take_u64(&s, &v) || *s)
        return false;
    *value = v;
    return true;
}

int ou_parse_size(const char *s, uint64_t *bytes, struct ou_error *err)
{
    static const char units[] = "KMGT";
    const char *p = s;
    const char *unit;
    uint64_t v;

    if (!take_u64(&p, &v))
        goto bad;
    /* strchr would find the NUL at the end of units as well */
    unit = *p ? strchr(units, *p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p) : NULL;
    if (unit) {
        if (__builtin_mul_overflow(v, UINT64_C(1) << (10 * (unit - units + 1)), &v))
            goto bad;
        p++;
        if (*p && strcasecmp(p, "B") != 0 && strcasecmp(p, "iB") != 0)
            goto bad;
    } else if (*p && strcasecmp(p, "B") != 0) {
        goto bad;
    }
    *bytes = v;
    return 0;

bad:
    return ou_error_say(err, EINVAL, "\"%s\" is no size: write bytes, or 100K, 8M, 5G, 1T", s);
}

int ou_parse_duration(const char *s, uint64_t *ms, struct ou_error *err)
{
    static const struct {
        char name[4];
        uint64_t ms;
    } units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    const char *p = s;
    uint64_t v;

    if (take_u64(&p, &v)) {
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
            if (strcmp(p, units[i].name) != 0)
                continue;
            if (__builtin_mul_overflow(v, units[i].ms, &v))
                break;
            *ms = v;
            return 0;
        }
    }
    return ou_error_say(err, EINVAL, "\"%s\" is no duration: write 500ms, 30s, 5m, 2h or 7d", s);
}

static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void ou_percent_encode(struct ou_buf *out, const char *s, size_t len, const char *keep)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];

        if (is_unreserved(s[i]) || (c && keep && strchr(keep, c)))
            ou_buf_add(out, s + i, 1);
        else
            ou_buf_add(out, (char[]){'%', hex[c >> 4], hex[c & 15]}, 3);
    }
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

size_t ou_percent_decode(char *s, size_t len, bool plus_is_space)
{
    size_t out = 0;

    for (size_t i = 0; i < len; i++) {
        char c = s[i];

        if (c == '%' && len - i > 2 && hex_value(s[i + 1]) >= 0 && hex_value(s[i + 2]) >= 0) {
            c = (char)(hex_value(s[i + 1]) << 4 | hex_value(s[i + 2]));
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        s[out++] = c;
    }
    return out;
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void ou_base64_encode(struct ou_buf *out, const void *data, size_t len)
{
    const unsigned char *p = data;

    for (; len > 0;) {
        size_t n = len < 3 ? len : 3;
        unsigned bits = (unsigned)p[0] << 16;
        char four[4];

        if (n > 1)
            bits |= (unsigned)p[1] << 8;
        if (n > 2)
            bits |= p[2];
        for (int i = 0; i < 4; i++)
            four[i] = base64_digits[bits >> (18 - 6 * i) & 63];
        if (n < 3)
            four[3] = '=';
        if (n < 2)
            four[2] = '=';
        ou_buf_add(out, four, 4);
        p += n;
        len -= n;
    }
}

static int base64_value(char c)
{
    const char *p = c ? strchr(base64_digits, c) : NULL;

    return p ? (int)(p - base64_digits) : -1;
}

/* One group of four digits; returns the bytes it holds, or 0 if it is none. */
static size_t decode_four(const char *s, bool last, unsigned char out[3])
{
    size_t pad = !last || s[3] != '=' ? 0 : s[2] != '=' ? 1 : 2;
    unsigned bits = 0;

    for (size_t i = 0; i < 4; i++) {
        int v = i >= 4 - pad ? 0 : base64_value(s[i]);

        if (v < 0)
            return 0;
        bits = bits << 6 | (unsigned)v;
    }
    if (bits & ((1u << (8 * pad)) - 1))
        return 0; /* bits that belong to no byte: there is one way to write it */
    out[0] = (unsigned char)(bits >> 16);
    out[1] = (unsigned char)(bits >> 8);
    out[2] = (unsigned char)bits;
    return 3 - pad;
}

bool ou_base64_decode(struct ou_buf *out, const char *s, size_t len)
{
    size_t before = out->len;

    if (len % 4)
        return false;
    for (size_t i = 0; i < len; i += 4) {
        unsigned char three[3];
        size_t n = decode_four(s + i, i + 4 == len, three);

        if (n == 0) {
            out->len = before;
            if (out->data)
                out->data[before] = '\0';
            return false;
        }
        ou_buf_add(out, three, n);
    }
    return true;
}

size_t ou_utf8_char(const char *s, size_t len)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t need;

    if (len == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    need = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || len < need)
        return 0; /* a lone continuation, an overlong form, beyond U+10FFFF, or cut short */
    for (size_t i = 1; i < need; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90))
        return 0; /* overlong */
    if ((p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0; /* a surrogate; beyond U+10FFFF */
    return need;
}

bool ou_utf8_valid(const char *s, size_t len)
{
    while (len > 0) {
        size_t n = ou_utf8_char(s, len);

        if (n == 0)
            return false;
        s += n;
        len -= n;
    }
    return true;
}

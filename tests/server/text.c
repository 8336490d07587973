#include "server/text.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>

#define KEY_BYTES_MAX    1023u
#define BUCKET_BYTES_MIN 3u
#define BUCKET_BYTES_MAX 63u

static bool unreserved(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void srv_percent_encode(struct srv_buf *out, const char *s, bool keep_slash)
{
    static const char digits[] = "0123456789ABCDEF";

    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;

        if (unreserved(c) || (keep_slash && c == '/')) {
            srv_buf_add(out, s, 1);
        } else {
            char escape[3] = {'%', digits[c >> 4], digits[c & 15]};

            srv_buf_add(out, escape, sizeof(escape));
        }
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

char *srv_percent_decode(const char *s, size_t len)
{
    srv_autofree char *out = srv_xcalloc(len + 1, 1);
    size_t n = 0;
    char *done;

    for (size_t i = 0; i < len; i++) {
        int hi, lo;

        if (s[i] != '%') {
            out[n++] = s[i];
            continue;
        }
        if (len - i < 3)
            return NULL;
        hi = hex_value(s[i + 1]);
        lo = hex_value(s[i + 2]);
        if (hi < 0 || lo < 0 || (hi == 0 && lo == 0))
            return NULL;
        out[n++] = (char)(unsigned char)(hi * 16 + lo);
        i += 2;
    }
    done = out;
    out = NULL;
    return done;
}

void srv_hex(char *out, const uint8_t *data, size_t len, bool upper)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[data[i] >> 4];
        out[2 * i + 1] = digits[data[i] & 15];
    }
    out[2 * len] = '\0';
}

char *srv_base64(const void *data, size_t len)
{
    char *out = srv_xcalloc(4 * ((len + 2) / 3) + 1, 1);

    (void)EVP_EncodeBlock((unsigned char *)out, data, (int)len);
    return out;
}

int64_t srv_base64_decode(const char *s, uint8_t **out)
{
    size_t len = strlen(s);
    size_t digits = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    size_t padding = strspn(s + digits, "=");
    srv_autofree uint8_t *bytes = srv_xcalloc(len / 4 * 3 + 1, 1);
    int n;

    if (len == 0 || len % 4 != 0 || len > INT32_MAX || padding > 2 || digits + padding != len)
        return -1;
    n = EVP_DecodeBlock(bytes, (const unsigned char *)s, (int)len);
    if (n < 0)
        return -1;
    *out = bytes;
    bytes = NULL;
    return n - (int64_t)padding;
}

/* Length of the UTF-8 sequence at @s, 0 if it is none (overlong forms and surrogates are none). */
static size_t utf8_sequence(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xC2 && s[0] <= 0xDF)
        return (s[1] & 0xC0) == 0x80 ? 2 : 0;
    if (s[0] >= 0xE0 && s[0] <= 0xEF) {
        unsigned char low = s[0] == 0xE0 ? 0xA0 : 0x80;
        unsigned char high = s[0] == 0xED ? 0x9F : 0xBF;

        return s[1] >= low && s[1] <= high && (s[2] & 0xC0) == 0x80 ? 3 : 0;
    }
    if (s[0] >= 0xF0 && s[0] <= 0xF4) {
        unsigned char low = s[0] == 0xF0 ? 0x90 : 0x80;
        unsigned char high = s[0] == 0xF4 ? 0x8F : 0xBF;

        return s[1] >= low && s[1] <= high && (s[2] & 0xC0) == 0x80 && (s[3] & 0xC0) == 0x80 ? 4
                                                                                             : 0;
    }
    return 0;
}

bool srv_is_utf8(const char *s)
{
    const unsigned char *p = (const unsigned char *)s;

    while (*p != '\0') {
        size_t n = utf8_sequence(p);

        if (n == 0)
            return false;
        p += n;
    }
    return true;
}

void srv_json_string(struct srv_buf *out, const char *s)
{
    srv_buf_puts(out, "\"");
    if (!srv_is_utf8(s)) {
        srv_percent_encode(out, s, true);
        srv_buf_puts(out, "\"");
        return;
    }
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;

        if (c == '"' || c == '\\')
            srv_buf_printf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7F)
            srv_buf_printf(out, "\\u%04x", c);
        else
            srv_buf_add(out, s, 1);
    }
    srv_buf_puts(out, "\"");
}

bool srv_parse_u64(const char *s, uint64_t *value)
{
    char *end = NULL;
    uint64_t v;

    if (*s < '0' || *s > '9')
        return false;
    errno = 0;
    v = strtoull(s, &end, 10);
    if (errno != 0 || *end != '\0')
        return false;
    *value = v;
    return true;
}

bool srv_bucket_name_valid(const char *name)
{
    size_t len = strlen(name);

    return len >= BUCKET_BYTES_MIN && len <= BUCKET_BYTES_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len && name[0] != '-' &&
           name[len - 1] != '-';
}

bool srv_key_valid(const char *key)
{
    size_t len = strlen(key);

    return len >= 1 && len <= KEY_BYTES_MAX && key[0] != '/' && key[0] != '\\' && srv_is_utf8(key);
}

/*
 * A `struct ou_json *` is json-c's `struct json_object *` under another name; JSON's
 * null is NULL, as in json-c. Nothing is converted: a number in a string is a string.
 *
 * Bytes in JSON. Keys and symlink targets are byte strings, JSON text is Unicode.
 * A byte 0xXX that is no part of well-formed UTF-8 is written as U+10FFXX, which
 * is "\udbff\udfXX". Well-formed characters U+10FF80..U+10FFFF would be read back
 * as such a byte, so each of their four bytes is written that way, too; then the
 * coding is one-to-one.
 */
#include "base/json.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <json.h>
#include <limits.h>
#include <string.h>

static struct json_object *theirs(const struct ou_json *value)
{
    return (struct json_object *)value;
}

static struct ou_json *ours(struct json_object *value)
{
    return (struct ou_json *)value;
}

static void tokener_free_at(struct json_tokener **tok)
{
    if (*tok)
        json_tokener_free(*tok);
}

static bool only_blanks(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (s[i] != ' ' && s[i] != '\t' && s[i] != '\n' && s[i] != '\r')
            return false;
    return true;
}

int ou_json_parse(const char *text, size_t len, struct ou_json **root, struct ou_error *err)
{
    /* json-c counts the value at the bottom as a level of its own. */
    ou_auto(tokener_free_at) struct json_tokener *tok = json_tokener_new_ex(OU_JSON_DEPTH_MAX + 1);
    struct json_object *value;
    enum json_tokener_error problem;
    size_t end = len;

    if (!tok)
        return ou_error_set(err, ENOMEM, "read JSON");
    if (len > INT_MAX)
        return ou_error_set(err, EFBIG, "read JSON");
    if (!ou_utf8_valid(text, len)) /* json-c's own check lets surrogates and overlong forms pass */
        return ou_error_say(err, EBADMSG, "JSON: not UTF-8");
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS);
    value = json_tokener_parse_ex(tok, text, (int)len);
    problem = json_tokener_get_error(tok);
    if (problem == json_tokener_continue) /* a bare number ends only with what follows it */
        value = json_tokener_parse_ex(tok, "", 1);
    else
        end = json_tokener_get_parse_end(tok);

    problem = json_tokener_get_error(tok);
    if (problem == json_tokener_success && !only_blanks(text + end, len - end)) {
        json_object_put(value);
        return ou_error_say(err, EBADMSG, "JSON: something follows at byte %zu", end);
    }
    if (problem != json_tokener_success)
        return ou_error_say(err, EBADMSG, "JSON: %s at byte %zu", json_tokener_error_desc(problem),
                            json_tokener_get_parse_end(tok));
    *root = ours(value);
    return 0;
}

void ou_json_free(struct ou_json *root)
{
    if (root)
        (void)json_object_put(theirs(root));
}

void ou_json_free_at(struct ou_json **root)
{
    ou_json_free(*root);
}

struct ou_json *ou_json_get(const struct ou_json *object, const char *name)
{
    struct json_object *value;

    if (!json_object_is_type(theirs(object), json_type_object) ||
        !json_object_object_get_ex(theirs(object), name, &value))
        return NULL;
    return ours(value);
}

const char *ou_json_value_string(const struct ou_json *value)
{
    const char *s;

    if (!json_object_is_type(theirs(value), json_type_string))
        return NULL;
    s = json_object_get_string(theirs(value));
    /* With a NUL inside, a C string would be another text than the one that was sent. */
    return strlen(s) == (size_t)json_object_get_string_len(theirs(value)) ? s : NULL;
}

bool ou_json_value_u64(const struct ou_json *value, uint64_t *out)
{
    if (!json_object_is_type(theirs(value), json_type_int) ||
        json_object_get_int64(theirs(value)) < 0)
        return false;
    *out = json_object_get_uint64(theirs(value));
    return true;
}

bool ou_json_value_i64(const struct ou_json *value, int64_t *out)
{
    struct json_object *v = theirs(value);

    /* get_uint64 of a negative number is 0, get_int64 of a larger one INT64_MAX */
    if (!json_object_is_type(v, json_type_int) || json_object_get_uint64(v) > INT64_MAX)
        return false;
    *out = json_object_get_int64(v);
    return true;
}

const char *ou_json_string(const struct ou_json *object, const char *name)
{
    return ou_json_value_string(ou_json_get(object, name));
}

bool ou_json_u64(const struct ou_json *object, const char *name, uint64_t *value)
{
    return ou_json_value_u64(ou_json_get(object, name), value);
}

bool ou_json_i64(const struct ou_json *object, const char *name, int64_t *value)
{
    return ou_json_value_i64(ou_json_get(object, name), value);
}

bool ou_json_bool(const struct ou_json *object, const char *name, bool *value)
{
    struct json_object *v = theirs(ou_json_get(object, name));

    if (!json_object_is_type(v, json_type_boolean))
        return false;
    *value = json_object_get_boolean(v);
    return true;
}

size_t ou_json_length(const struct ou_json *array)
{
    if (!json_object_is_type(theirs(array), json_type_array))
        return 0;
    return json_object_array_length(theirs(array));
}

struct ou_json *ou_json_at(const struct ou_json *array, size_t index)
{
    if (index >= ou_json_length(array))
        return NULL;
    return ours(json_object_array_get_idx(theirs(array), index));
}

void ou_json_each(const struct ou_json *object,
                  void (*fn)(const char *name, const struct ou_json *value, void *ctx), void *ctx)
{
    struct json_object_iterator at, end;

    if (!json_object_is_type(theirs(object), json_type_object))
        return;
    at = json_object_iter_begin(theirs(object));
    end = json_object_iter_end(theirs(object));
    for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at))
        fn(json_object_iter_peek_name(&at), ours(json_object_iter_peek_value(&at)), ctx);
}

/* One well-formed character of @len bytes, escaped where JSON or a terminal wants it. */
static void quote_char(struct ou_buf *out, const char *s, size_t len)
{
    unsigned char c = (unsigned char)s[0];

    if (c == '"' || c == '\\')
        ou_buf_add(out, (char[]){'\\', s[0]}, 2);
    else if (c < 0x20 || c == 0x7f)
        ou_buf_addf(out, "\\u%04x", c);
    else
        ou_buf_add(out, s, len);
}

void ou_json_quote(struct ou_buf *out, const char *s)
{
    size_t len = strlen(s);

    ou_buf_adds(out, "\"");
    while (len > 0) {
        size_t n = ou_utf8_char(s, len);

        if (n > 0) {
            quote_char(out, s, n);
        } else {
            ou_buf_adds(out, "\xef\xbf\xbd"); /* U+FFFD */
            n = 1;
        }
        s += n;
        len -= n;
    }
    ou_buf_adds(out, "\"");
}

/* The byte that the character at @s stands for, or -1: U+10FF80..U+10FFFF. */
static int byte_of_char(const char *s, size_t len)
{
    const unsigned char *p = (const unsigned char *)s;

    if (len != 4 || p[0] != 0xf4 || p[1] != 0x8f || p[2] < 0xbe)
        return -1;
    return (p[2] & 3) << 6 | (p[3] & 0x3f);
}

void ou_json_quote_bytes(struct ou_buf *out, const char *s, size_t len)
{
    ou_buf_adds(out, "\"");
    while (len > 0) {
        size_t n = ou_utf8_char(s, len);

        if (n > 0 && byte_of_char(s, n) < 0) {
            quote_char(out, s, n);
        } else {
            ou_buf_addf(out, "\\udbff\\udf%02x", (unsigned char)s[0]);
            n = 1; /* the bytes after a lead byte are no characters themselves */
        }
        s += n;
        len -= n;
    }
    ou_buf_adds(out, "\"");
}

char *ou_json_bytes(const struct ou_json *object, const char *name, size_t *len)
{
    struct json_object *value = theirs(ou_json_get(object, name));
    const char *s;
    size_t left, at = 0;
    char *out;

    if (!json_object_is_type(value, json_type_string))
        return NULL;
    s = json_object_get_string(value);
    left = (size_t)json_object_get_string_len(value);
    out = malloc(left + 1);
    if (!out)
        return NULL;

    while (left > 0) {
        size_t n = ou_utf8_char(s, left);
        int byte;

        if (n == 0)
            n = 1; /* the parser let none through; if it had, the byte stays as it is */
        byte = byte_of_char(s, n);
        if (byte >= 0) {
            out[at++] = (char)byte;
        } else {
            memcpy(out + at, s, n);
            at += n;
        }
        s += n;
        left -= n;
    }
    out[at] = '\0';
    *len = at;
    return out;
}

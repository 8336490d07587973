/*
 * JSON: the one place that knows json-c. Values live as long as their root.
 *
 * Reading is for bytes from outside: bounded size and depth, never trusts a type.
 * Writing builds text in an ou_buf. Not thread-safe per object; any thread.
 */
#ifndef OSSUP_BASE_JSON_H
#define OSSUP_BASE_JSON_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OU_JSON_DEPTH_MAX 16

struct ou_json; /* any JSON value */

/**
 * ou_json_parse() - one whole JSON value, nothing after it but blanks
 * @len:  bytes; the caller has bounded them
 * @root: for the caller to free; NULL is JSON's null, here and wherever a value is returned
 *
 * A container that lies in OU_JSON_DEPTH_MAX others is refused unless it is empty. Integers
 * beyond 64 bits read as the nearest value that 64 bits hold.
 *
 * Return: 0, or -EBADMSG (it is no JSON, not UTF-8, or too deep), -EFBIG, -ENOMEM.
 */
int ou_json_parse(const char *text, size_t len, struct ou_json **root, struct ou_error *err);
void ou_json_free(struct ou_json *root);
void ou_json_free_at(struct ou_json **root); /* for ou_auto() */

/* Members of an object: NULL / false when absent or of another type. Strings are borrowed. */
struct ou_json *ou_json_get(const struct ou_json *object, const char *name);
const char *ou_json_string(const struct ou_json *object, const char *name);
bool ou_json_u64(const struct ou_json *object, const char *name, uint64_t *value);
bool ou_json_i64(const struct ou_json *object, const char *name, int64_t *value);
bool ou_json_bool(const struct ou_json *object, const char *name, bool *value);
/* Arrays (NULL is an empty one). */
size_t ou_json_length(const struct ou_json *array);
struct ou_json *ou_json_at(const struct ou_json *array, size_t index);
bool ou_json_value_u64(const struct ou_json *value, uint64_t *out);
bool ou_json_value_i64(const struct ou_json *value, int64_t *out);
const char *ou_json_value_string(const struct ou_json *value);
/** ou_json_each() - calls @fn for each member of an object in order. */
void ou_json_each(const struct ou_json *object,
                  void (*fn)(const char *name, const struct ou_json *value, void *ctx), void *ctx);

/** ou_json_quote() - append @s as a JSON string; bytes that are no UTF-8 become U+FFFD. */
void ou_json_quote(struct ou_buf *out, const char *s);
/*
 * Text that must come back byte by byte (keys, targets) is written with ou_json_quote_bytes()
 * and read with ou_json_bytes(): invalid UTF-8 is kept as U+10FFXX escapes (private plane 16).
 */
void ou_json_quote_bytes(struct ou_buf *out, const char *s, size_t len);
/** ou_json_bytes() - malloc'ed, NUL-terminated, length in @len; NULL: absent or no memory. */
char *ou_json_bytes(const struct ou_json *object, const char *name, size_t *len);

#endif

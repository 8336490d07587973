/*
 * Text: sizes and durations as users write them, percent- and base64-coding. Pure; any thread.
 */
#ifndef OSSUP_BASE_TEXT_H
#define OSSUP_BASE_TEXT_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Both return 0, or -EINVAL with a sentence that quotes @s and shows what would do. */
/** ou_parse_size() - "8M", "100K", "5G", "1T" (powers of 1024, an optional B or iB), or bytes. */
int ou_parse_size(const char *s, uint64_t *bytes, struct ou_error *err);
/** ou_parse_duration() - "500ms", "30s", "5m", "2h", "7d"; a bare number is seconds. */
int ou_parse_duration(const char *s, uint64_t *ms, struct ou_error *err);
/** ou_parse_u64() - decimal digits only, nothing before or after. */
bool ou_parse_u64(const char *s, uint64_t *value);

/** ou_percent_encode() - all but A-Z a-z 0-9 - . _ ~ and the bytes in @keep ("/" for a path). */
void ou_percent_encode(struct ou_buf *out, const char *s, size_t len, const char *keep);
/** ou_percent_decode() - in place. Return: the new length; malformed escapes stay as they are. */
size_t ou_percent_decode(char *s, size_t len, bool plus_is_space);
void ou_base64_encode(struct ou_buf *out, const void *data, size_t len);
/** ou_base64_decode() - padded, no blanks. false: not base64, @out is as it was. */
bool ou_base64_decode(struct ou_buf *out, const char *s, size_t len);
/** ou_utf8_char() - bytes of the character that @s begins with; 0: it begins with none. */
size_t ou_utf8_char(const char *s, size_t len);
/** ou_utf8_valid() - well-formed UTF-8, no surrogates, no overlong forms. */
bool ou_utf8_valid(const char *s, size_t len);

#endif

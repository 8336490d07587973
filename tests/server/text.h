/*
 * Text on the wire: percent-encoding, hex, base64, UTF-8, JSON strings, numbers,
 * and the names OSS allows. Pure functions, callable from any thread.
 */
#ifndef SRV_TEXT_H
#define SRV_TEXT_H

#include "server/buf.h"

#include <stdint.h>

/*
 * srv_percent_encode() - all but A-Z a-z 0-9 - . _ ~ become %XX, in uppercase
 * @keep_slash: leave '/' as it is (paths); queries and listings encode it too
 */
void srv_percent_encode(struct srv_buf *out, const char *s, bool keep_slash);

/*
 * srv_percent_decode() - once; '+' stays a plus
 *
 * Return: the decoded string (the caller frees), or NULL if an escape is
 * malformed or decodes to NUL, which no OSS name holds.
 */
char *srv_percent_decode(const char *s, size_t len);

/* srv_hex() - 2 * @len digits and a NUL into @out */
void srv_hex(char *out, const uint8_t *data, size_t len, bool upper);

/* srv_base64() - the caller frees */
char *srv_base64(const void *data, size_t len);
/* srv_base64_decode() - -1 if @s is no base64, else the number of bytes; the caller frees *@out */
int64_t srv_base64_decode(const char *s, uint8_t **out);

bool srv_is_utf8(const char *s);

/* srv_json_string() - @s in quotes; what is no UTF-8 comes percent-encoded */
void srv_json_string(struct srv_buf *out, const char *s);

/* srv_parse_u64() - digits only, no sign, no blanks; false if it is anything else or too large */
bool srv_parse_u64(const char *s, uint64_t *value);

/* 3..63 of [a-z0-9-], not beginning or ending with '-' */
bool srv_bucket_name_valid(const char *name);
/* 1..1023 bytes of UTF-8, not beginning with '/' or '\' */
bool srv_key_valid(const char *key);

#endif

/*
 * What both signature versions are made of: sorted headers, digests. Private to oss/sign*.c.
 *
 * Pure; any thread. Names of headers are lower-cased, values trimmed, several headers of one
 * name joined by ',' in the order given. Source: oss-protocol section 3.
 */
#ifndef OSSUP_OSS_SIGN_PARTS_H
#define OSSUP_OSS_SIGN_PARTS_H

#include "oss/sign.h"

#include <stdbool.h>

#define OSS_SIGN_SHA256_SIZE 32

struct oss_sign_header {
    const char *name; /* lower case */
    const char *value;
    size_t value_len; /* trimmed */
    size_t index;     /* place in the input: joined values keep their order */
};

struct oss_sign_headers {
    struct oss_sign_header *list; /* sorted by name */
    size_t count;
    char *names;
};

/** oss_sign_headers_init() - -EINVAL: a line break in a value, which would forge a header. */
int oss_sign_headers_init(struct oss_sign_headers *h, const struct oss_sign_input *in,
                          struct ou_error *err);
void oss_sign_headers_fini(struct oss_sign_headers *h);
/** oss_sign_headers_find() - the first header called @name (lower case), or NULL. */
const struct oss_sign_header *oss_sign_headers_find(const struct oss_sign_headers *h,
                                                    const char *name);
/** oss_sign_headers_add() - the value of @name, joined; nothing when there is none. */
void oss_sign_headers_add(const struct oss_sign_headers *h, const char *name, struct ou_buf *out);
/** oss_sign_headers_lines() - "name:value LF" for each name that @wanted accepts. */
void oss_sign_headers_lines(const struct oss_sign_headers *h,
                            bool (*wanted)(const char *name, const void *ctx), const void *ctx,
                            struct ou_buf *out);
/** oss_sign_is_oss_name() - @name (lower case) begins with "x-oss-". */
bool oss_sign_is_oss_name(const char *name);

/** oss_sign_array() - zeroed room for @count things, never none; NULL: no memory. The caller frees. */
void *oss_sign_array(size_t count, size_t size);
/** oss_sign_hmac() - HMAC with "SHA1" or "SHA256"; @out has room for its 20 or 32 bytes. */
int oss_sign_hmac(const char *digest, const void *key, size_t key_len, const void *data, size_t len,
                  unsigned char *out, struct ou_error *err);
void oss_sign_add_hex(struct ou_buf *out, const unsigned char *data, size_t len);

/* One signature version: the string to sign of @in, and its signature as it is written. */
struct oss_sign_result {
    struct ou_buf string_to_sign;
    struct ou_buf signature;
    struct ou_buf scope;      /* V4 */
    struct ou_buf additional; /* V4: "a;b", empty if none */
};
void oss_sign_result_fini(struct oss_sign_result *r);

/** oss_sign_v1() - @date_line: what stands in the place of the date (Expires in a presigned URL). */
int oss_sign_v1(const struct oss_sign_input *in, const char *secret, const char *date_line,
                struct oss_sign_result *out, struct ou_error *err);
/** oss_sign_v1_date() - x-oss-date, else Date; -EINVAL: neither. */
int oss_sign_v1_date(const struct oss_sign_input *in, struct ou_buf *out, struct ou_error *err);

/** oss_sign_v4() - @when: "YYYYMMDDTHHMMSSZ". */
int oss_sign_v4(const struct oss_sign_input *in, const char *secret, const char *when,
                struct oss_sign_result *out, struct ou_error *err);
/** oss_sign_v4_prepare() - only .scope and .additional, which a presigned URL holds as parameters. */
int oss_sign_v4_prepare(const struct oss_sign_input *in, const char *when,
                        struct oss_sign_result *out, struct ou_error *err);
/** oss_sign_v4_when() - the x-oss-date header. -EINVAL: absent or of another form. */
int oss_sign_v4_when(const struct oss_sign_input *in, struct ou_buf *out, struct ou_error *err);

#endif

/*
 * The two signature versions of OSS, as pure functions from a request to text.
 *
 * Written from the protocol description alone; src/oss has a signer of its own,
 * so that one mistake cannot hide in both. Callable from any thread.
 */
#ifndef SRV_SIGN_H
#define SRV_SIGN_H

#include "server/buf.h"

#include <stdint.h>

/* What is signed of a request. @bucket and @key are decoded, NULL if absent. */
struct srv_sign_input {
    const char *method;
    const char *bucket;
    const char *key;
    const struct srv_pairs *query;   /* decoded, in any order */
    const struct srv_pairs *headers; /* names in lower case, values trimmed, each name once */
};

#define SRV_V1_SIGNATURE_MAX 29 /* base64 of 20 bytes, and a NUL */
#define SRV_V4_SIGNATURE_MAX 65 /* hex of 32 bytes, and a NUL */
#define SRV_V4_ALGORITHM     "OSS4-HMAC-SHA256"
#define SRV_V4_PAYLOAD       "UNSIGNED-PAYLOAD"

/* srv_v1_signs_query() - is a query parameter of this name part of V1's CanonicalizedResource? */
bool srv_v1_signs_query(const char *name);

/* @date: x-oss-date or Date of a signed request, Expires of a presigned URL */
void srv_v1_string_to_sign(const struct srv_sign_input *in, const char *date, struct srv_buf *out);
void srv_v1_signature(const char *secret, const char *string_to_sign,
                      char signature[SRV_V1_SIGNATURE_MAX]);

/*
 * @additional: names of the additional headers as the client listed them ("host;range"), or ""
 * The query parameter x-oss-signature is left out: it is what a presigned URL ends in.
 */
void srv_v4_canonical_request(const struct srv_sign_input *in, const char *additional,
                              struct srv_buf *out);
/* @time: YYYYMMDDTHHMMSSZ; @scope: date/region/product/aliyun_v4_request */
void srv_v4_string_to_sign(const char *time, const char *scope, const char *canonical_request,
                           struct srv_buf *out);
void srv_v4_signature(const char *secret, const char *date8, const char *region,
                      const char *product, const char *string_to_sign,
                      char signature[SRV_V4_SIGNATURE_MAX]);

#endif

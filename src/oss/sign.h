/*
 * Request signing, V1 and V4. Pure; any thread. Source: oss-protocol section 3.
 */
#ifndef OSSUP_OSS_SIGN_H
#define OSSUP_OSS_SIGN_H

#include "base/buf.h"
#include "base/error.h"
#include "oss/credentials.h"

#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Names and values decoded; value NULL: the bare name. */
struct oss_param {
    const char *name;
    const char *value;
};

enum oss_sign_version { OSS_SIGN_V1 = 1, OSS_SIGN_V4 = 4 };

struct oss_sign_input {
    const char *method;
    const char *bucket; /* NULL: the service */
    const char *key;    /* NULL: the bucket; raw, not encoded */
    const struct oss_param *query;
    size_t query_count;
    const struct oss_param *headers; /* all that are sent, x-oss-date and token included */
    size_t header_count;
    const char *region;                    /* V4 */
    const char *product;                   /* V4; NULL: "oss" */
    const char *const *additional_headers; /* V4; NULL: none */
    size_t additional_count;
};

/**
 * oss_sign_authorization() - the value of the Authorization header
 * @string_to_sign: if not NULL, receives the string (for tests and for explaining a refusal)
 *
 * V4 takes its time from the x-oss-date header, V1 from x-oss-date or else Date.
 */
int oss_sign_authorization(enum oss_sign_version version, const struct oss_sign_input *in,
                           const char *access_key_id, const char *access_key_secret,
                           struct ou_buf *authorization, struct ou_buf *string_to_sign,
                           struct ou_error *err);
/**
 * oss_sign_presign() - the query string of a URL that carries its own signature
 * @in:    query and headers as the later request will have them; no signing parameters
 * @life_s: seconds from @now; V4: 1..604800
 *
 * For whoever lifts this client out, and for the tests of the local server, which must refuse
 * what OSS refuses: the mount itself signs headers only. The result is a secret until it expires.
 */
int oss_sign_presign(enum oss_sign_version version, const struct oss_sign_input *in,
                     const struct oss_credentials *cred, time_t now, uint32_t life_s,
                     struct ou_buf *query, struct ou_buf *string_to_sign, struct ou_error *err);
/** oss_sign_query() - the canonical (encoded, sorted) query string, also fit for the wire. */
void oss_sign_query(const struct oss_param *query, size_t count, struct ou_buf *out);

#endif

/*
 * The face of signing: Authorization headers, presigned queries, the canonical query.
 *
 * The two versions are oss/sign_v1.c and oss/sign_v4.c; what they share is oss/sign_parts.c.
 */
#include "oss/sign.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "oss/sign_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- the canonical query: sorted by the encoded name, then the encoded value -- */

struct piece {
    const char *name; /* in one buffer of encoded text */
    const char *value;
    size_t name_len, value_len;
};

static int compare_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t shorter = a_len < b_len ? a_len : b_len;
    int order = shorter > 0 ? memcmp(a, b, shorter) : 0;

    if (order != 0)
        return order;
    return a_len < b_len ? -1 : a_len > b_len;
}

static int by_encoded(const void *pa, const void *pb)
{
    const struct piece *a = pa, *b = pb;
    int order = compare_bytes(a->name, a->name_len, b->name, b->name_len);

    return order != 0 ? order : compare_bytes(a->value, a->value_len, b->value, b->value_len);
}

/* The encoded text is built first and pointed into afterwards: it moves while it grows. */
static bool encode_pieces(const struct oss_param *query, size_t count, struct ou_buf *text,
                          struct piece *pieces)
{
    const char *at;

    for (size_t i = 0; i < count; i++) {
        size_t start = text->len;

        ou_percent_encode(text, query[i].name, strlen(query[i].name), "");
        pieces[i].name_len = text->len - start;
        start = text->len;
        if (query[i].value)
            ou_percent_encode(text, query[i].value, strlen(query[i].value), "");
        pieces[i].value_len = text->len - start;
    }
    if (text->failed)
        return false;
    at = ou_buf_str(text);
    for (size_t i = 0; i < count; i++) {
        pieces[i].name = at;
        pieces[i].value = at + pieces[i].name_len;
        at += pieces[i].name_len + pieces[i].value_len;
    }
    return true;
}

void oss_sign_query(const struct oss_param *query, size_t count, struct ou_buf *out)
{
    ou_auto(ou_buf_fini) struct ou_buf text = {0};
    ou_autofree struct piece *pieces = oss_sign_array(count, sizeof(*pieces));

    if (!pieces || !encode_pieces(query, count, &text, pieces)) {
        out->failed = true;
        return;
    }
    qsort(pieces, count, sizeof(*pieces), by_encoded);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            ou_buf_adds(out, "&");
        ou_buf_add(out, pieces[i].name, pieces[i].name_len);
        if (pieces[i].value_len > 0) {
            ou_buf_adds(out, "=");
            ou_buf_add(out, pieces[i].value, pieces[i].value_len);
        }
    }
}

/* -- the Authorization header -- */

int oss_sign_authorization(enum oss_sign_version version, const struct oss_sign_input *in,
                           const char *access_key_id, const char *access_key_secret,
                           struct ou_buf *authorization, struct ou_buf *string_to_sign,
                           struct ou_error *err)
{
    ou_auto(oss_sign_result_fini) struct oss_sign_result result = {0};
    ou_auto(ou_buf_fini) struct ou_buf date = {0};
    int r;

    if (version == OSS_SIGN_V4) {
        r = oss_sign_v4_when(in, &date, err);
        if (r == 0)
            r = oss_sign_v4(in, access_key_secret, ou_buf_str(&date), &result, err);
    } else {
        r = oss_sign_v1_date(in, &date, err);
        if (r == 0)
            r = oss_sign_v1(in, access_key_secret, ou_buf_str(&date), &result, err);
    }
    if (r < 0)
        return r;

    if (version == OSS_SIGN_V4) {
        ou_buf_adds(authorization, "OSS4-HMAC-SHA256 Credential=");
        ou_buf_adds(authorization, access_key_id);
        ou_buf_adds(authorization, "/");
        ou_buf_adds(authorization, ou_buf_str(&result.scope));
        if (result.additional.len > 0) {
            ou_buf_adds(authorization, ",AdditionalHeaders=");
            ou_buf_adds(authorization, ou_buf_str(&result.additional));
        }
        ou_buf_adds(authorization, ",Signature=");
    } else {
        ou_buf_adds(authorization, "OSS ");
        ou_buf_adds(authorization, access_key_id);
        ou_buf_adds(authorization, ":");
    }
    ou_buf_adds(authorization, ou_buf_str(&result.signature));
    if (string_to_sign) {
        ou_buf_adds(string_to_sign, ou_buf_str(&result.string_to_sign));
        r = ou_buf_check(string_to_sign, err);
        if (r < 0)
            return r;
    }
    return ou_buf_check(authorization, err);
}

/* -- presigned URLs -- */

#define PRESIGN_PARAMS_MAX  7 /* that signing adds to the caller's */
#define PRESIGN_V4_LIFE_MAX 604800u

struct presign {
    struct oss_sign_input in; /* .query is .params */
    struct oss_param *params; /* the caller's, then ours */
};

static void presign_add(struct presign *p, const char *name, const char *value)
{
    p->params[p->in.query_count++] = (struct oss_param){.name = name, .value = value};
}

static int presign_v1(struct presign *p, const struct oss_credentials *cred, time_t now,
                      uint32_t life_s, struct oss_sign_result *result, struct ou_buf *query,
                      struct ou_error *err)
{
    char expires[24];
    int r;

    (void)snprintf(expires, sizeof(expires), "%" PRId64, (int64_t)now + life_s);
    if (cred->security_token)
        presign_add(p, "security-token", cred->security_token);
    r = oss_sign_v1(&p->in, cred->access_key_secret, expires, result, err);
    if (r < 0)
        return r;
    presign_add(p, "OSSAccessKeyId", cred->access_key_id);
    presign_add(p, "Expires", expires);
    presign_add(p, "Signature", ou_buf_str(&result->signature));
    oss_sign_query(p->params, p->in.query_count, query);
    return ou_buf_check(query, err);
}

static int presign_v4(struct presign *p, const struct oss_credentials *cred, time_t now,
                      uint32_t life_s, struct oss_sign_result *result, struct ou_buf *query,
                      struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf credential = {0};
    ou_auto(ou_buf_fini) struct ou_buf additional = {0};
    char when[OU_ISO_BASIC_SIZE], life[16];
    int r;

    if (life_s == 0 || life_s > PRESIGN_V4_LIFE_MAX)
        return ou_error_say(err, EINVAL, "a V4 URL lives 1 to %u seconds", PRESIGN_V4_LIFE_MAX);
    ou_format_iso_basic(now, when);
    (void)snprintf(life, sizeof(life), "%" PRIu32, life_s);
    r = oss_sign_v4_prepare(&p->in, when, result, err);
    if (r < 0)
        return r;
    ou_buf_adds(&credential, cred->access_key_id);
    ou_buf_adds(&credential, "/");
    ou_buf_adds(&credential, ou_buf_str(&result->scope));
    ou_buf_adds(&additional, ou_buf_str(&result->additional));
    r = ou_buf_check(&credential, err);
    if (r == 0)
        r = ou_buf_check(&additional, err);
    if (r < 0)
        return r;

    presign_add(p, "x-oss-signature-version", "OSS4-HMAC-SHA256");
    presign_add(p, "x-oss-credential", ou_buf_str(&credential));
    presign_add(p, "x-oss-date", when);
    presign_add(p, "x-oss-expires", life);
    if (cred->security_token)
        presign_add(p, "x-oss-security-token", cred->security_token);
    if (additional.len > 0)
        presign_add(p, "x-oss-additional-headers", ou_buf_str(&additional));
    r = oss_sign_v4(&p->in, cred->access_key_secret, when, result, err);
    if (r < 0)
        return r;
    presign_add(p, "x-oss-signature", ou_buf_str(&result->signature));
    oss_sign_query(p->params, p->in.query_count, query);
    return ou_buf_check(query, err);
}

int oss_sign_presign(enum oss_sign_version version, const struct oss_sign_input *in,
                     const struct oss_credentials *cred, time_t now, uint32_t life_s,
                     struct ou_buf *query, struct ou_buf *string_to_sign, struct ou_error *err)
{
    ou_auto(oss_sign_result_fini) struct oss_sign_result result = {0};
    ou_autofree struct oss_param *params =
        oss_sign_array(in->query_count + PRESIGN_PARAMS_MAX, sizeof(*params));
    struct presign p = {.in = *in, .params = params};
    int r;

    if (!params)
        return ou_error_set(err, ENOMEM, "presign a URL");
    if (in->query_count > 0)
        memcpy(params, in->query, in->query_count * sizeof(*params));
    p.in.query = params;
    r = version == OSS_SIGN_V4 ? presign_v4(&p, cred, now, life_s, &result, query, err)
                               : presign_v1(&p, cred, now, life_s, &result, query, err);
    if (r < 0)
        return r;
    if (string_to_sign) {
        ou_buf_adds(string_to_sign, ou_buf_str(&result.string_to_sign));
        return ou_buf_check(string_to_sign, err);
    }
    return 0;
}

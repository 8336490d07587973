/*
 * Signature V4 (OSS4-HMAC-SHA256): canonical request -> string to sign -> derived key -> hex.
 *
 * The derived key is not cached: four HMACs cost a few microseconds, a cache would hold secrets
 * and need a lock. Source: oss-protocol section 3.2.
 */
#include "oss/sign_parts.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#define UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD" /* the only value the service takes */
#define ISO_BASIC_LEN    16u                /* "YYYYMMDDTHHMMSSZ" */
#define DATE_LEN         8u

static void headers_fini(struct oss_sign_headers *h)
{
    oss_sign_headers_fini(h);
}

static bool signed_by_default(const char *name)
{
    return strcmp(name, "content-type") == 0 || strcmp(name, "content-md5") == 0 ||
           oss_sign_is_oss_name(name);
}

/* -- additional headers: sorted, lower case, sent, not signed anyway, each once -- */

static bool named_additionally(const struct oss_sign_input *in, const char *name)
{
    for (size_t i = 0; i < in->additional_count; i++) {
        if (strcasecmp(in->additional_headers[i], name) == 0)
            return true;
    }
    return false;
}

static void add_additional(const struct oss_sign_input *in, const struct oss_sign_headers *headers,
                           struct ou_buf *out)
{
    for (size_t i = 0; i < headers->count; i++) {
        const char *name = headers->list[i].name;

        if (i > 0 && strcmp(name, headers->list[i - 1].name) == 0)
            continue;
        if (signed_by_default(name) || !named_additionally(in, name))
            continue;
        if (out->len > 0)
            ou_buf_adds(out, ";");
        ou_buf_adds(out, name);
    }
}

static bool wants_v4(const char *name, const void *ctx)
{
    return signed_by_default(name) || named_additionally(ctx, name);
}

/* -- the steps -- */

static void add_canonical_request(const struct oss_sign_input *in,
                                  const struct oss_sign_headers *headers, const char *additional,
                                  struct ou_buf *out)
{
    ou_buf_adds(out, in->method);
    ou_buf_adds(out, "\n/");
    if (in->bucket) {
        ou_percent_encode(out, in->bucket, strlen(in->bucket), "/");
        ou_buf_adds(out, "/");
    }
    if (in->key)
        ou_percent_encode(out, in->key, strlen(in->key), "/");
    ou_buf_adds(out, "\n");
    oss_sign_query(in->query, in->query_count, out);
    ou_buf_adds(out, "\n");
    oss_sign_headers_lines(headers, wants_v4, in, out);
    ou_buf_adds(out, "\n");
    ou_buf_adds(out, additional);
    ou_buf_adds(out, "\n");
    if (oss_sign_headers_find(headers, "x-oss-content-sha256"))
        oss_sign_headers_add(headers, "x-oss-content-sha256", out);
    else
        ou_buf_adds(out, UNSIGNED_PAYLOAD);
}

static const char *product_of(const struct oss_sign_input *in)
{
    return in->product ? in->product : "oss";
}

static int derive_key(const struct oss_sign_input *in, const char *secret, const char *when,
                      unsigned char key[OSS_SIGN_SHA256_SIZE], struct ou_error *err)
{
    static const char prefix[] = "aliyun_v4";
    const char *const steps[] = {in->region, product_of(in), "aliyun_v4_request"};
    size_t size = sizeof(prefix) - 1 + strlen(secret);
    char *first = malloc(size + 1);
    int r;

    if (!first)
        return ou_error_set(err, ENOMEM, "derive the signing key");
    memcpy(first, prefix, sizeof(prefix) - 1);
    memcpy(first + sizeof(prefix) - 1, secret, strlen(secret) + 1);
    r = oss_sign_hmac("SHA256", first, size, when, DATE_LEN, key, err);
    OPENSSL_cleanse(first, size);
    free(first);

    for (size_t i = 0; r == 0 && i < sizeof(steps) / sizeof(steps[0]); i++) {
        unsigned char next[OSS_SIGN_SHA256_SIZE];

        r = oss_sign_hmac("SHA256", key, sizeof(next), steps[i], strlen(steps[i]), next, err);
        if (r == 0)
            memcpy(key, next, sizeof(next));
        OPENSSL_cleanse(next, sizeof(next));
    }
    return r;
}

static bool is_iso_basic(const char *s, size_t len)
{
    if (len != ISO_BASIC_LEN)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (i == DATE_LEN ? s[i] != 'T' : i == len - 1 ? s[i] != 'Z' : s[i] < '0' || s[i] > '9')
            return false;
    }
    return true;
}

int oss_sign_v4_when(const struct oss_sign_input *in, struct ou_buf *out, struct ou_error *err)
{
    ou_auto(headers_fini) struct oss_sign_headers headers = {0};
    const struct oss_sign_header *date;
    int r = oss_sign_headers_init(&headers, in, err);

    if (r < 0)
        return r;
    date = oss_sign_headers_find(&headers, "x-oss-date");
    if (!date || !is_iso_basic(date->value, date->value_len))
        return ou_error_say(err, EINVAL, "signature V4: x-oss-date must be YYYYMMDDTHHMMSSZ");
    ou_buf_add(out, date->value, date->value_len);
    return ou_buf_check(out, err);
}

static int prepare(const struct oss_sign_input *in, const struct oss_sign_headers *headers,
                   const char *when, struct oss_sign_result *out, struct ou_error *err)
{
    int r;

    if (!in->region || *in->region == '\0')
        return ou_error_say(err, EINVAL, "signature V4 needs the region (region=)");
    ou_buf_clear(&out->scope);
    ou_buf_clear(&out->additional);
    ou_buf_addf(&out->scope, "%.*s/%s/%s/aliyun_v4_request", (int)DATE_LEN, when, in->region,
                product_of(in));
    add_additional(in, headers, &out->additional);
    r = ou_buf_check(&out->scope, err);
    return r < 0 ? r : ou_buf_check(&out->additional, err);
}

int oss_sign_v4_prepare(const struct oss_sign_input *in, const char *when,
                        struct oss_sign_result *out, struct ou_error *err)
{
    ou_auto(headers_fini) struct oss_sign_headers headers = {0};
    int r = oss_sign_headers_init(&headers, in, err);

    return r < 0 ? r : prepare(in, &headers, when, out, err);
}

int oss_sign_v4(const struct oss_sign_input *in, const char *secret, const char *when,
                struct oss_sign_result *out, struct ou_error *err)
{
    ou_auto(headers_fini) struct oss_sign_headers headers = {0};
    ou_auto(ou_buf_fini) struct ou_buf request = {0};
    struct ou_buf *text = &out->string_to_sign;
    unsigned char hash[OSS_SIGN_SHA256_SIZE], key[OSS_SIGN_SHA256_SIZE];
    int r = oss_sign_headers_init(&headers, in, err);

    if (r < 0)
        return r;
    r = prepare(in, &headers, when, out, err);
    if (r < 0)
        return r;
    add_canonical_request(in, &headers, ou_buf_str(&out->additional), &request);
    r = ou_buf_check(&request, err);
    if (r < 0)
        return r;

    if (EVP_Digest(request.data, request.len, hash, NULL, EVP_sha256(), NULL) != 1)
        return ou_error_set(err, EIO, "SHA-256");
    ou_buf_addf(text, "OSS4-HMAC-SHA256\n%s\n%s\n", when, ou_buf_str(&out->scope));
    oss_sign_add_hex(text, hash, sizeof(hash));
    r = ou_buf_check(text, err);
    if (r < 0)
        return r;

    r = derive_key(in, secret, when, key, err);
    if (r == 0)
        r = oss_sign_hmac("SHA256", key, sizeof(key), text->data, text->len, hash, err);
    OPENSSL_cleanse(key, sizeof(key));
    if (r < 0)
        return r;
    oss_sign_add_hex(&out->signature, hash, sizeof(hash));
    return ou_buf_check(&out->signature, err);
}

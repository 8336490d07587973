#include "server/auth.h"

#include "server/clock.h"
#include "server/sign.h"
#include "server/text.h"

#include <inttypes.h>
#include <stdio.h>

#define SKEW_MAX_SECONDS    900
#define EXPIRES_MAX         604800u
#define SCOPE_PRODUCT       "oss"
#define SCOPE_TERMINATOR    "aliyun_v4_request"
#define CREDENTIAL_MAX      256
#define EC_REGION           "0002-00000226"
#define EC_PRODUCT          "0002-00000227"
#define EC_PAYLOAD          "0002-00000214"
#define EC_EXPIRES          "0002-00000232"
#define EC_NO_DATE          "0002-00000503"
#define EC_EMPTY_ADDITIONAL "0002-00000209"
#define EC_ADDITIONAL       "0002-00000210"

/* A V4 signature, taken apart. */
struct v4 {
    char credential[CREDENTIAL_MAX]; /* cut into the five below */
    const char *key_id, *date, *region, *product, *terminator;
    char *additional; /* "" if none; the caller frees */
    char *signature;  /* the caller frees */
};

#define V4_EMPTY                                                                                   \
    {                                                                                              \
        .key_id = "", .date = "", .region = "", .product = "", .terminator = ""                    \
    }

static void v4_fini(struct v4 *v)
{
    free(v->additional);
    free(v->signature);
}

static struct srv_sign_input sign_input(const struct srv_request *r)
{
    return (struct srv_sign_input){r->method, r->bucket, r->key, &r->query, &r->headers};
}

static int mismatch(struct srv_request *r, const char *key_id, const char *provided,
                    const char *string_to_sign, const char *canonical_request)
{
    srv_autobuf struct srv_buf bytes = {0};

    (void)srv_fail(&r->error, "SignatureDoesNotMatch",
                   "The request signature we calculated does not match the signature you provided. "
                   "Check your key and signing method.");
    for (const char *p = string_to_sign; *p != '\0'; p++)
        srv_buf_printf(&bytes, "%02X ", (unsigned)(unsigned char)*p);
    srv_error_detail(&r->error, "OSSAccessKeyId", key_id);
    srv_error_detail(&r->error, "SignatureProvided", provided);
    srv_error_detail(&r->error, "StringToSign", string_to_sign);
    srv_error_detail(&r->error, "StringToSignBytes", srv_buf_str(&bytes));
    if (canonical_request != NULL)
        srv_error_detail(&r->error, "CanonicalRequest", canonical_request);
    return -1;
}

static int check_skew(struct srv_request *r, int64_t when)
{
    int64_t now = srv_clock_ms() / 1000;
    char text[SRV_TIME_TEXT_MAX];

    if (now - when <= SKEW_MAX_SECONDS && when - now <= SKEW_MAX_SECONDS)
        return 0;
    (void)srv_fail(&r->error, "RequestTimeTooSkewed",
                   "The difference between the request time and the current time is too large.");
    srv_error_detail(&r->error, "MaxAllowedSkewMilliseconds", "900000");
    srv_time_xml(when, text);
    srv_error_detail(&r->error, "RequestTime", text);
    srv_time_xml(now, text);
    srv_error_detail(&r->error, "ServerTime", text);
    return -1;
}

/* The request's time by header. @text: the header as sent, which is what V1 signs. */
static int request_time(struct srv_request *r, const char **text, int64_t *when)
{
    *text = srv_header(r, "x-oss-date");
    if (*text == NULL)
        *text = srv_header(r, "date");
    if (*text == NULL)
        return srv_fail_ec(&r->error, "AccessDenied", EC_NO_DATE,
                           "OSS authentication requires a valid Date.");
    if (!srv_time_parse_http(*text, when) && !srv_time_parse_basic(*text, when))
        return srv_fail(&r->error, "InvalidArgument", "The date \"%s\" is of no known form.",
                        *text);
    return 0;
}

static int expired(struct srv_request *r)
{
    (void)srv_fail(&r->error, "AccessDenied", "Request has expired.");
    return -1;
}

/* --- V1 --- */

static int v1_check(struct srv_request *r, const char *key_id, const char *secret,
                    const char *provided, const char *date)
{
    struct srv_sign_input in = sign_input(r);
    srv_autobuf struct srv_buf text = {0};
    char signature[SRV_V1_SIGNATURE_MAX];

    srv_v1_string_to_sign(&in, date, &text);
    srv_v1_signature(secret, srv_buf_str(&text), signature);
    if (srv_streq(signature, provided))
        return 0;
    return mismatch(r, key_id, provided, srv_buf_str(&text), NULL);
}

static int v1_header(struct srv_request *r, const char *authorization)
{
    const char *pair = authorization + strlen("OSS ");
    const char *colon = strchr(pair, ':');
    srv_autofree char *key_id = NULL;
    srv_autofree char *secret = NULL;
    const char *date = NULL;
    int64_t when = 0;

    if (colon == NULL || colon == pair || colon[1] == '\0')
        return srv_fail(&r->error, "InvalidArgument", "Authorization header is invalid.");
    key_id = srv_xstrndup(pair, (size_t)(colon - pair));
    secret =
        srv_credentials_secret(r->srv->credentials, key_id, srv_header(r, "x-oss-security-token"),
                               srv_clock_ms() / 1000, &r->error);
    if (secret == NULL || request_time(r, &date, &when) < 0 || check_skew(r, when) < 0)
        return -1;
    return v1_check(r, key_id, secret, colon + 1, date);
}

static int v1_url(struct srv_request *r)
{
    const char *key_id = srv_query(r, "OSSAccessKeyId");
    const char *expires = srv_query(r, "Expires");
    const char *signature = srv_query(r, "Signature");
    srv_autofree char *secret = NULL;
    uint64_t until = 0;

    if (key_id == NULL || expires == NULL || signature == NULL)
        return srv_fail(&r->error, "AccessDenied",
                        "A signed URL needs OSSAccessKeyId, Expires and Signature.");
    if (!srv_parse_u64(expires, &until))
        return srv_fail(&r->error, "AccessDenied", "Invalid date (should be seconds since epoch).");
    secret = srv_credentials_secret(r->srv->credentials, key_id, srv_query(r, "security-token"),
                                    srv_clock_ms() / 1000, &r->error);
    if (secret == NULL)
        return -1;
    if ((int64_t)until < srv_clock_ms() / 1000)
        return expired(r);
    return v1_check(r, key_id, secret, signature, expires);
}

/* --- V4 --- */

static int malformed(struct srv_request *r, const char *what)
{
    (void)srv_fail(&r->error, "InvalidArgument", "The V4 signature is malformed: %s.", what);
    return -1;
}

/* AK/date/region/product/aliyun_v4_request */
static int split_credential(struct srv_request *r, const char *credential, struct v4 *v)
{
    const char **fields[] = {&v->key_id, &v->date, &v->region, &v->product, &v->terminator};
    char *rest = v->credential;

    if (strlen(credential) >= sizeof(v->credential))
        return malformed(r, "Credential is too long");
    (void)snprintf(v->credential, sizeof(v->credential), "%s", credential);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (rest == NULL)
            return malformed(r, "Credential has less than five parts");
        *fields[i] = strsep(&rest, "/");
    }
    if (rest != NULL || !srv_streq(v->terminator, SCOPE_TERMINATOR) || v->key_id[0] == '\0')
        return malformed(r, "Credential is not AK/date/region/product/" SCOPE_TERMINATOR);
    if (!srv_streq(v->region, r->srv->region))
        return srv_fail_ec(&r->error, "InvalidArgument", EC_REGION,
                           "Invalid signing region in Authorization header: %s, this is %s.",
                           v->region, r->srv->region);
    if (!srv_streq(v->product, SCOPE_PRODUCT))
        return srv_fail_ec(&r->error, "InvalidArgument", EC_PRODUCT,
                           "Invalid signing product in Authorization header.");
    return 0;
}

static int check_additional(struct srv_request *r, const char *additional)
{
    srv_autofree char *copy = srv_xstrdup(additional);
    char *rest = copy;

    if (additional[0] == '\0')
        return srv_fail_ec(&r->error, "InvalidArgument", EC_EMPTY_ADDITIONAL,
                           "AdditionalHeaders is empty.");
    while (rest != NULL) {
        const char *name = strsep(&rest, ";");

        if (name[0] == '\0' || srv_header(r, name) == NULL)
            return srv_fail_ec(&r->error, "InvalidArgument", EC_ADDITIONAL,
                               "AdditionalHeaders names \"%s\", which is not in the request.",
                               name);
    }
    return 0;
}

static int parse_v4_header(struct srv_request *r, const char *fields, struct v4 *v)
{
    srv_autofree char *copy = srv_xstrdup(fields);
    srv_autofree char *credential = NULL;
    char *rest = copy;

    while (rest != NULL) {
        char *field = strsep(&rest, ",");
        const char *value;

        field += strspn(field, " ");
        value = strchr(field, '=');
        if (value == NULL)
            return malformed(r, "a part without '='");
        value++;
        if (srv_starts_with(field, "Credential=") && credential == NULL)
            credential = srv_xstrdup(value);
        else if (srv_starts_with(field, "Signature=") && v->signature == NULL)
            v->signature = srv_xstrdup(value);
        else if (srv_starts_with(field, "AdditionalHeaders=") && v->additional == NULL)
            v->additional = srv_xstrdup(value);
        else
            return malformed(r, "an unknown or repeated part");
    }
    if (credential == NULL || v->signature == NULL)
        return malformed(r, "Credential or Signature is missing");
    if (v->additional != NULL && check_additional(r, v->additional) < 0)
        return -1;
    return split_credential(r, credential, v);
}

static int v4_check(struct srv_request *r, const struct v4 *v, const char *secret, int64_t when)
{
    struct srv_sign_input in = sign_input(r);
    const char *additional = v->additional == NULL ? "" : v->additional;
    srv_autobuf struct srv_buf canonical = {0};
    srv_autobuf struct srv_buf text = {0};
    srv_autofree char *scope = NULL;
    char time[SRV_TIME_TEXT_MAX];
    char signature[SRV_V4_SIGNATURE_MAX];

    srv_time_basic(when, time);
    if (strlen(v->date) != 8 || strncmp(v->date, time, 8) != 0)
        return malformed(r, "the date of Credential is not that of the request");
    scope = srv_xasprintf("%s/%s/%s/%s", v->date, v->region, v->product, v->terminator);
    srv_v4_canonical_request(&in, additional, &canonical);
    srv_v4_string_to_sign(time, scope, srv_buf_str(&canonical), &text);
    srv_v4_signature(secret, v->date, v->region, v->product, srv_buf_str(&text), signature);
    if (srv_streq(signature, v->signature))
        return 0;
    return mismatch(r, v->key_id, v->signature, srv_buf_str(&text), srv_buf_str(&canonical));
}

static int v4_header(struct srv_request *r, const char *authorization)
{
    __attribute__((cleanup(v4_fini))) struct v4 v = V4_EMPTY;
    const char *payload = srv_header(r, "x-oss-content-sha256");
    srv_autofree char *secret = NULL;
    const char *date = NULL;
    int64_t when = 0;

    if (parse_v4_header(r, authorization + strlen(SRV_V4_ALGORITHM " "), &v) < 0)
        return -1;
    if (payload == NULL || !srv_streq(payload, SRV_V4_PAYLOAD))
        return srv_fail_ec(&r->error, "InvalidArgument", EC_PAYLOAD,
                           "x-oss-content-sha256 must be " SRV_V4_PAYLOAD ".");
    secret =
        srv_credentials_secret(r->srv->credentials, v.key_id, srv_header(r, "x-oss-security-token"),
                               srv_clock_ms() / 1000, &r->error);
    if (secret == NULL || request_time(r, &date, &when) < 0)
        return -1;
    if (srv_header(r, "x-oss-date") == NULL)
        return srv_fail_ec(&r->error, "AccessDenied", EC_NO_DATE,
                           "A V4 signature needs the header x-oss-date.");
    if (check_skew(r, when) < 0)
        return -1;
    return v4_check(r, &v, secret, when);
}

static int parse_v4_url(struct srv_request *r, struct v4 *v, int64_t *when, uint64_t *expires)
{
    const char *version = srv_query(r, "x-oss-signature-version");
    const char *credential = srv_query(r, "x-oss-credential");
    const char *date = srv_query(r, "x-oss-date");
    const char *lifetime = srv_query(r, "x-oss-expires");
    const char *signature = srv_query(r, "x-oss-signature");
    const char *additional = srv_query(r, "x-oss-additional-headers");

    if (version == NULL || !srv_streq(version, SRV_V4_ALGORITHM))
        return malformed(r, "x-oss-signature-version must be " SRV_V4_ALGORITHM);
    if (credential == NULL || date == NULL || lifetime == NULL || signature == NULL)
        return malformed(r, "a query parameter of the signature is missing");
    if (!srv_parse_u64(lifetime, expires) || *expires < 1 || *expires > EXPIRES_MAX)
        return srv_fail_ec(&r->error, "InvalidArgument", EC_EXPIRES,
                           "x-oss-expires must be between 1 and 604800.");
    if (!srv_time_parse_basic(date, when))
        return malformed(r, "x-oss-date must be YYYYMMDDTHHMMSSZ");
    v->signature = srv_xstrdup(signature);
    v->additional = srv_xstrdup(additional);
    if (additional != NULL && check_additional(r, additional) < 0)
        return -1;
    return split_credential(r, credential, v);
}

static int v4_url(struct srv_request *r)
{
    __attribute__((cleanup(v4_fini))) struct v4 v = V4_EMPTY;
    srv_autofree char *secret = NULL;
    int64_t now = srv_clock_ms() / 1000;
    uint64_t expires = 0;
    int64_t when = 0;

    if (parse_v4_url(r, &v, &when, &expires) < 0)
        return -1;
    secret = srv_credentials_secret(r->srv->credentials, v.key_id,
                                    srv_query(r, "x-oss-security-token"), now, &r->error);
    if (secret == NULL)
        return -1;
    if (when > now && check_skew(r, when) < 0)
        return -1;
    if (when + (int64_t)expires < now)
        return expired(r);
    return v4_check(r, &v, secret, when);
}

int srv_authenticate(struct srv_request *r)
{
    const char *authorization = srv_header(r, "authorization");

    if (r->s3)
        return 0;
    if (authorization != NULL) {
        if (srv_starts_with(authorization, SRV_V4_ALGORITHM " "))
            return v4_header(r, authorization);
        if (srv_starts_with(authorization, "OSS "))
            return v1_header(r, authorization);
        return srv_fail(&r->error, "InvalidArgument", "Authorization header is invalid.");
    }
    if (srv_query(r, "x-oss-signature-version") != NULL || srv_query(r, "x-oss-signature") != NULL)
        return v4_url(r);
    if (srv_query(r, "OSSAccessKeyId") != NULL || srv_query(r, "Signature") != NULL)
        return v1_url(r);
    r->anonymous = true;
    return 0;
}

static bool acl_allows(const char *acl, enum srv_access access)
{
    if (access == SRV_ACCESS_READ)
        return srv_starts_with(acl, "public-read");
    return access == SRV_ACCESS_WRITE && srv_streq(acl, "public-read-write");
}

/* An object's own ACL goes before the bucket's. */
static bool anonymous_allowed(struct srv_request *r, const char *bucket_acl)
{
    struct srv_error ignored = {0};
    srv_autoobject struct srv_object *o = NULL;
    bool allowed;

    if (r->key != NULL)
        o = srv_store_get(r->srv->store, r->bucket, r->key, &ignored);
    srv_error_fini(&ignored);
    if (o != NULL && !srv_streq(o->attrs.acl, "default"))
        allowed = acl_allows(o->attrs.acl, r->op->access);
    else
        allowed = acl_allows(bucket_acl, r->op->access);
    return allowed;
}

int srv_authorize(struct srv_request *r)
{
    struct srv_bucket_info info = {0};
    bool allowed;

    if (r->op->access == SRV_ACCESS_OPEN)
        return 0;
    if (r->bucket == NULL)
        return r->anonymous ? srv_fail(&r->error, "AccessDenied", "Anonymous access is forbidden.")
                            : 0;
    if (srv_streq(r->op->name, "PutBucket") && !r->anonymous)
        return 0;
    if (srv_store_bucket_info(r->srv->store, r->bucket, &info, &r->error) < 0)
        return -1;
    r->bucket_hns = info.hns;
    allowed = !r->anonymous || anonymous_allowed(r, info.acl);
    srv_bucket_info_fini(&info);
    if (!allowed)
        return srv_fail(&r->error, "AccessDenied",
                        "You have no right to access this object because of bucket acl.");
    if ((r->op->hns_only && !r->bucket_hns) || (r->op->no_hns && r->bucket_hns))
        return srv_fail(&r->error, "OperationNotSupported",
                        "The operation is not supported by this bucket.");
    return 0;
}

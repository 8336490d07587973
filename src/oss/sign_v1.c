/*
 * Signature V1: HMAC-SHA1 over method, MD5, type, date, x-oss-* headers and resource.
 *
 * Which query parameters belong to the resource is a fact of the service: a name that it signs
 * and we do not (or the reverse) is refused as SignatureDoesNotMatch. The key goes in raw, the
 * values decoded. Source: oss-protocol section 3.1.
 */
#include "oss/sign_parts.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SHA1_SIZE 20

/* clang-format off */
static const char *const signed_names[] = { /* in byte order */
    "accessPoint", "accessPointPolicy", "acl", "append", "asyncFetch", "bucketArchiveDirectRead",
    "bucketInfo", "callback", "callback-var", "cloudboxes", "cname", "comp",
    "continuation-token", "cors", "delete", "encryption", "endTime", "group", "httpsConfig",
    "img", "inventory", "inventoryId", "lifecycle", "link", "live", "location", "logging",
    "metaQuery", "objectInfo", "objectMeta", "partNumber", "policy", "policyStatus", "position",
    "processConfiguration", "publicAccessBlock", "qos", "qosInfo", "qosRequester",
    "redundancyTransition", "referer", "regionList", "replication", "replicationLocation",
    "replicationProgress", "requestPayment", "requesterQosInfo", "resourceGroup", "resourcePool",
    "resourcePoolBuckets", "resourcePoolInfo", "response-cache-control",
    "response-content-disposition", "response-content-encoding", "response-content-language",
    "response-content-type", "response-expires", "responseHeader", "restore", "rtc", "seal",
    "security-token", "sequential", "startTime", "stat", "status", "style", "styleName",
    "symlink", "tagging", "transferAcceleration", "udf", "udfApplication", "udfApplicationLog",
    "udfId", "udfImage", "udfImageDesc", "udfName", "uploadId", "uploads", "versionId",
    "versioning", "versions", "vip", "vod", "vpcip", "website", "withHashContext", "worm",
    "wormExtend", "wormId",
};
/* clang-format on */

static int by_string(const void *key, const void *element)
{
    return strcmp(key, *(const char *const *)element);
}

static bool is_signed(const char *name)
{
    return oss_sign_is_oss_name(name) ||
           bsearch(name, signed_names, sizeof(signed_names) / sizeof(signed_names[0]),
                   sizeof(signed_names[0]), by_string) != NULL;
}

static const char *value_of(const struct oss_param *p)
{
    return p->value ? p->value : "";
}

static int by_param(const void *pa, const void *pb)
{
    const struct oss_param *a = pa, *b = pb;
    int order = strcmp(a->name, b->name);

    return order != 0 ? order : strcmp(value_of(a), value_of(b));
}

static int add_resource(const struct oss_sign_input *in, struct ou_buf *out, struct ou_error *err)
{
    ou_autofree struct oss_param *sorted = oss_sign_array(in->query_count, sizeof(*sorted));
    size_t count = 0;

    if (!sorted)
        return ou_error_set(err, ENOMEM, "sign %zu parameters", in->query_count);
    ou_buf_adds(out, "/");
    if (in->bucket) {
        ou_buf_adds(out, in->bucket);
        ou_buf_adds(out, "/");
    }
    if (in->key)
        ou_buf_adds(out, in->key);

    for (size_t i = 0; i < in->query_count; i++) {
        if (is_signed(in->query[i].name))
            sorted[count++] = in->query[i];
    }
    qsort(sorted, count, sizeof(*sorted), by_param);
    for (size_t i = 0; i < count; i++) {
        ou_buf_adds(out, i == 0 ? "?" : "&");
        ou_buf_adds(out, sorted[i].name);
        if (*value_of(&sorted[i]) != '\0') {
            ou_buf_adds(out, "=");
            ou_buf_adds(out, sorted[i].value);
        }
    }
    return 0;
}

static bool wants_oss(const char *name, const void *ctx)
{
    (void)ctx;
    return oss_sign_is_oss_name(name);
}

static void headers_fini(struct oss_sign_headers *h)
{
    oss_sign_headers_fini(h);
}

int oss_sign_v1_date(const struct oss_sign_input *in, struct ou_buf *out, struct ou_error *err)
{
    ou_auto(headers_fini) struct oss_sign_headers headers = {0};
    int r = oss_sign_headers_init(&headers, in, err);

    if (r < 0)
        return r;
    if (oss_sign_headers_find(&headers, "x-oss-date"))
        oss_sign_headers_add(&headers, "x-oss-date", out);
    else
        oss_sign_headers_add(&headers, "date", out);
    if (out->len == 0 && !out->failed)
        return ou_error_say(err, EINVAL, "signature V1: neither x-oss-date nor Date is sent");
    return ou_buf_check(out, err);
}

int oss_sign_v1(const struct oss_sign_input *in, const char *secret, const char *date_line,
                struct oss_sign_result *out, struct ou_error *err)
{
    ou_auto(headers_fini) struct oss_sign_headers headers = {0};
    struct ou_buf *text = &out->string_to_sign;
    unsigned char mac[SHA1_SIZE];
    int r = oss_sign_headers_init(&headers, in, err);

    if (r < 0)
        return r;
    ou_buf_adds(text, in->method);
    ou_buf_adds(text, "\n");
    oss_sign_headers_add(&headers, "content-md5", text);
    ou_buf_adds(text, "\n");
    oss_sign_headers_add(&headers, "content-type", text);
    ou_buf_adds(text, "\n");
    ou_buf_adds(text, date_line);
    ou_buf_adds(text, "\n");
    oss_sign_headers_lines(&headers, wants_oss, NULL, text);
    r = add_resource(in, text, err);
    if (r < 0)
        return r;
    r = ou_buf_check(text, err);
    if (r < 0)
        return r;

    r = oss_sign_hmac("SHA1", secret, strlen(secret), text->data, text->len, mac, err);
    if (r < 0)
        return r;
    ou_base64_encode(&out->signature, mac, sizeof(mac));
    return ou_buf_check(&out->signature, err);
}

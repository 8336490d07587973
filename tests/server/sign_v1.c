#include "server/sign.h"

#include "server/digest.h"
#include "server/text.h"

#include <stdio.h>

/* Sorted bytewise: the union of what the SDKs sign. Names that begin with x-oss- are signed too. */
static const char *const signed_names[] = {
    "accessPoint",
    "accessPointPolicy",
    "acl",
    "append",
    "asyncFetch",
    "bucketArchiveDirectRead",
    "bucketInfo",
    "callback",
    "callback-var",
    "cloudboxes",
    "cname",
    "comp",
    "continuation-token",
    "cors",
    "delete",
    "encryption",
    "endTime",
    "group",
    "httpsConfig",
    "img",
    "inventory",
    "inventoryId",
    "lifecycle",
    "link",
    "live",
    "location",
    "logging",
    "metaQuery",
    "objectInfo",
    "objectMeta",
    "partNumber",
    "policy",
    "policyStatus",
    "position",
    "processConfiguration",
    "publicAccessBlock",
    "qos",
    "qosInfo",
    "qosRequester",
    "redundancyTransition",
    "referer",
    "regionList",
    "replication",
    "replicationLocation",
    "replicationProgress",
    "requestPayment",
    "requesterQosInfo",
    "resourceGroup",
    "resourcePool",
    "resourcePoolBuckets",
    "resourcePoolInfo",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "responseHeader",
    "restore",
    "rtc",
    "seal",
    "security-token",
    "sequential",
    "startTime",
    "stat",
    "status",
    "style",
    "styleName",
    "symlink",
    "tagging",
    "transferAcceleration",
    "udf",
    "udfApplication",
    "udfApplicationLog",
    "udfId",
    "udfImage",
    "udfImageDesc",
    "udfName",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "vip",
    "vod",
    "vpcip",
    "website",
    "withHashContext",
    "worm",
    "wormExtend",
    "wormId",
};

static int compare_names(const void *name, const void *entry)
{
    return strcmp(name, *(const char *const *)entry);
}

bool srv_v1_signs_query(const char *name)
{
    if (srv_starts_with(name, "x-oss-"))
        return true;
    return bsearch(name, signed_names, sizeof(signed_names) / sizeof(signed_names[0]),
                   sizeof(signed_names[0]), compare_names) != NULL;
}

static int compare_pairs(const void *a, const void *b)
{
    const struct srv_pair *left = *(const struct srv_pair *const *)a;
    const struct srv_pair *right = *(const struct srv_pair *const *)b;
    int order = strcmp(left->name, right->name);

    return order != 0 ? order
                      : (left > right) - (left < right); /* repeated names keep their order */
}

static const char *header(const struct srv_sign_input *in, const char *name)
{
    const char *value = srv_pairs_get(in->headers, name);

    return value == NULL ? "" : value;
}

static void add_headers(const struct srv_sign_input *in, const struct srv_pair **sorted,
                        struct srv_buf *out)
{
    size_t n = 0;

    for (size_t i = 0; i < in->headers->count; i++)
        if (srv_starts_with(in->headers->items[i].name, "x-oss-"))
            sorted[n++] = &in->headers->items[i];
    qsort(sorted, n, sizeof(const struct srv_pair *), compare_pairs);
    for (size_t i = 0; i < n; i++)
        srv_buf_printf(out, "%s:%s\n", sorted[i]->name, sorted[i]->value);
}

static void add_resource(const struct srv_sign_input *in, const struct srv_pair **sorted,
                         struct srv_buf *out)
{
    size_t n = 0;

    srv_buf_puts(out, "/");
    if (in->bucket != NULL)
        srv_buf_printf(out, "%s/%s", in->bucket, in->key == NULL ? "" : in->key);
    for (size_t i = 0; i < in->query->count; i++)
        if (srv_v1_signs_query(in->query->items[i].name))
            sorted[n++] = &in->query->items[i];
    qsort(sorted, n, sizeof(const struct srv_pair *), compare_pairs);
    for (size_t i = 0; i < n; i++) {
        srv_buf_printf(out, "%s%s", i == 0 ? "?" : "&", sorted[i]->name);
        if (sorted[i]->value != NULL && sorted[i]->value[0] != '\0')
            srv_buf_printf(out, "=%s", sorted[i]->value);
    }
}

void srv_v1_string_to_sign(const struct srv_sign_input *in, const char *date, struct srv_buf *out)
{
    srv_autofree const struct srv_pair **sorted =
        srv_xcalloc(in->headers->count + in->query->count, sizeof(const struct srv_pair *));

    srv_buf_printf(out, "%s\n%s\n%s\n%s\n", in->method, header(in, "content-md5"),
                   header(in, "content-type"), date);
    add_headers(in, sorted, out);
    add_resource(in, sorted, out);
}

void srv_v1_signature(const char *secret, const char *string_to_sign,
                      char signature[SRV_V1_SIGNATURE_MAX])
{
    uint8_t mac[SRV_SHA1_BYTES];
    srv_autofree char *text = NULL;

    srv_hmac_sha1(secret, strlen(secret), string_to_sign, strlen(string_to_sign), mac);
    text = srv_base64(mac, sizeof(mac));
    (void)snprintf(signature, SRV_V1_SIGNATURE_MAX, "%s", text);
}

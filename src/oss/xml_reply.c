/*
 * The small documents: errors, single results, the bucket, what a batch deleted.
 */
#include "base/cleanup.h"
#include "base/text.h"
#include "oss/xml.h"

#include <errno.h>
#include <string.h>

/* -- <Error> -- */

static void keep(char *out, size_t size, const char *text)
{
    size_t len = strlen(text) < size ? strlen(text) : size - 1;

    memcpy(out, text, len); /* for people: the beginning is better than nothing */
    out[len] = '\0';
}

static int close_error(void *ctx, const struct oss_xml_element *e, struct ou_error *err)
{
    struct oss_refusal *out = ctx;

    (void)err;
    if (e->depth != 1)
        return 0;
    if (!strcmp(e->name, "Code"))
        keep(out->code, sizeof(out->code), e->text);
    else if (!strcmp(e->name, "Message"))
        keep(out->message, sizeof(out->message), e->text);
    else if (!strcmp(e->name, "RequestId"))
        keep(out->request_id, sizeof(out->request_id), e->text);
    else if (!strcmp(e->name, "EC"))
        keep(out->ec, sizeof(out->ec), e->text);
    else if (!strcmp(e->name, "Endpoint"))
        keep(out->endpoint, sizeof(out->endpoint), e->text);
    else if (!strcmp(e->name, "ServerTime"))
        keep(out->server_time, sizeof(out->server_time), e->text);
    return 0;
}

bool oss_xml_error(const void *data, size_t len, struct oss_refusal *out)
{
    struct oss_refusal found = {0};
    struct ou_error err;

    if (oss_xml_parse(data, len, "Error", close_error, &found, &err) < 0 || !found.code[0])
        return false;
    *out = found;
    return true;
}

/* -- one value -- */

struct one {
    const char *parent, *name;
    char *out;
    size_t size;
    bool etag, bad;
};

static int close_one(void *ctx, const struct oss_xml_element *e, struct ou_error *err)
{
    struct one *one = ctx;

    (void)err;
    if (!oss_xml_is(e, one->parent, one->name))
        return 0;
    one->bad =
        one->etag ? !oss_xml_etag(one->out, e->text) : !oss_xml_copy(one->out, one->size, e->text);
    return 0;
}

static int parse_one(const void *data, size_t len, struct one *one, struct ou_error *err)
{
    int r;

    one->out[0] = '\0';
    r = oss_xml_parse(data, len, one->parent, close_one, one, err);
    if (r >= 0 && (one->bad || !one->out[0]))
        r = oss_xml_bad(err, "no usable <%s>", one->name);
    if (r < 0)
        one->out[0] = '\0';
    return r;
}

int oss_xml_initiate(const void *data, size_t len, char upload_id[OSS_UPLOAD_ID_SIZE],
                     struct ou_error *err)
{
    struct one one = {.parent = "InitiateMultipartUploadResult",
                      .name = "UploadId",
                      .out = upload_id,
                      .size = OSS_UPLOAD_ID_SIZE};

    return parse_one(data, len, &one, err);
}

int oss_xml_result_etag(const void *data, size_t len, const char *root, char etag[OSS_ETAG_SIZE],
                        struct ou_error *err)
{
    struct one one = {.parent = root, .name = "ETag", .out = etag, .etag = true};

    return parse_one(data, len, &one, err);
}

/* -- <DeleteResult> -- */

struct deleted {
    void (*deleted)(void *ctx, const char *key, size_t key_len);
    void *ctx;
    bool encoded;
};

static int close_deleted(void *ctx, const struct oss_xml_element *e, struct ou_error *err)
{
    struct deleted *d = ctx;

    (void)err;
    if (oss_xml_is(e, "DeleteResult", "EncodingType"))
        d->encoded = !strcmp(e->text, "url");
    else if (oss_xml_is(e, "Deleted", "Key") && e->depth == 2 && d->deleted)
        d->deleted(d->ctx, e->whole, oss_xml_key(e->whole, d->encoded));
    return 0;
}

int oss_xml_deleted(const void *data, size_t len,
                    void (*deleted)(void *ctx, const char *key, size_t key_len), void *ctx,
                    struct ou_error *err)
{
    struct deleted d = {.ctx = ctx};
    int r;

    if (!len)
        return 0;
    /* EncodingType may stand behind the keys: once to learn it, once for the keys. */
    r = oss_xml_parse(data, len, "DeleteResult", close_deleted, &d, err);
    if (r < 0)
        return r;
    d.deleted = deleted;
    return oss_xml_parse(data, len, "DeleteResult", close_deleted, &d, err);
}

/* -- <BucketInfo> -- */

static int close_bucket(void *ctx, const struct oss_xml_element *e, struct ou_error *err)
{
    struct oss_bucket_info *out = ctx;
    const char *location = e->text;

    (void)err;
    if (e->depth != 2 || strcmp(e->parent, "Bucket") != 0)
        return 0;
    if (!strcmp(e->name, "Location")) {
        if (!strncmp(location, "oss-", 4))
            location += 4;
        (void)oss_xml_copy(out->location, sizeof(out->location), location);
    } else if (!strcmp(e->name, "StorageClass")) {
        (void)oss_xml_copy(out->storage_class, sizeof(out->storage_class), e->text);
    } else if (!strcmp(e->name, "Versioning")) {
        out->versioning = !strcmp(e->text, "Enabled") || !strcmp(e->text, "Suspended");
    } else if (!strcmp(e->name, "HierarchicalNamespace")) {
        out->hierarchical = !strcmp(e->text, "Enabled");
    }
    return 0;
}

int oss_xml_bucket_info(const void *data, size_t len, struct oss_bucket_info *out,
                        struct ou_error *err)
{
    struct oss_bucket_info info = {.location = ""};
    int r = oss_xml_parse(data, len, "BucketInfo", close_bucket, &info, err);

    if (r < 0)
        return r;
    *out = info;
    return 0;
}

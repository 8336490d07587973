/*
 * Headers that operations share.
 */
#include "oss/fields.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define META "x-oss-meta-"

/* -- out -- */

static int add_meta(struct oss_request *rq, const struct oss_object_headers *h,
                    struct ou_error *err)
{
    size_t total = 0;

    for (size_t i = 0; i < h->meta_count; i++) {
        const struct oss_meta *m = &h->meta[i];
        char name[160];

        if (!*m->name ||
            strspn(m->name, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(m->name) ||
            strlen(m->name) + sizeof(META) > sizeof(name))
            return ou_error_say(err, EINVAL, "metadata %.80s: a name has a-z, 0-9 and - only",
                                m->name);
        total += strlen(m->name) + strlen(m->value);
        if (total > OSS_META_MAX)
            return ou_error_say(err, E2BIG, "metadata: OSS takes %u bytes of it", OSS_META_MAX);
        (void)snprintf(name, sizeof(name), META "%s", m->name);
        oss_headers_add(&rq->headers, name, m->value);
    }
    return 0;
}

static const struct oss_object_headers none;

void oss_fields_storage(const struct oss_client *c, struct oss_request *rq,
                        const struct oss_object_headers *h)
{
    struct oss_header_list *list = &rq->headers;

    if (!h)
        h = &none;
    oss_headers_add(list, "x-oss-storage-class",
                    h->storage_class ? h->storage_class : c->config.storage_class);
    oss_headers_add(list, "x-oss-server-side-encryption", h->sse ? h->sse : c->config.sse);
    oss_headers_add(list, "x-oss-server-side-encryption-key-id",
                    h->sse ? h->sse_key_id : c->config.sse_key_id);
}

int oss_fields_add(const struct oss_client *c, struct oss_request *rq,
                   const struct oss_object_headers *h, struct ou_error *err)
{
    struct oss_header_list *list = &rq->headers;
    int r;

    if (!h)
        h = &none;
    oss_headers_add(list, "Content-Type",
                    h->content_type ? h->content_type : "application/octet-stream");
    oss_headers_add(list, "Cache-Control", h->cache_control);
    oss_headers_add(list, "Content-Disposition", h->content_disposition);
    oss_headers_add(list, "Content-Encoding", h->content_encoding);
    oss_headers_add(list, "Expires", h->expires);
    oss_fields_storage(c, rq, h);
    r = add_meta(rq, h, err);
    if (r < 0)
        return ou_error_prefix(err, "%s", rq->what);
    if (h->forbid_overwrite) {
        oss_headers_add(list, "x-oss-forbid-overwrite", "true");
        rq->repeat =
            OSS_REPEAT_THROTTLED; /* a lost success would look like somebody else's object */
    }
    return 0;
}

void oss_fields_traffic(const struct oss_client *c, struct oss_request *rq)
{
    if (c->config.traffic_limit)
        oss_headers_addf(&rq->headers, "x-oss-traffic-limit", "%" PRIu64, c->config.traffic_limit);
}

void oss_fields_source(const struct oss_client *c, struct oss_request *rq, const char *source_key,
                       const char *if_match)
{
    ou_auto(ou_buf_fini) struct ou_buf source = {0};
    char etag[OSS_ETAG_SIZE + 2];

    ou_buf_addf(&source, "/%s/", c->config.bucket);
    ou_percent_encode(&source, source_key, strlen(source_key), "/");
    if (source.failed)
        rq->headers.text.failed = true; /* found by its check */
    oss_headers_add(&rq->headers, "x-oss-copy-source", ou_buf_str(&source));
    if (!if_match)
        return;
    (void)snprintf(etag, sizeof(etag), "\"%.*s\"", (int)OSS_ETAG_SIZE - 1, if_match);
    oss_headers_add(&rq->headers, "x-oss-copy-source-if-match", etag);
}

/* -- in -- */

static void get(const struct oss_http_reply *reply, const char *name, char *out, size_t size)
{
    const char *value = oss_http_header(reply, name);

    (void)oss_xml_copy(out, size, value ? value : "");
}

static bool get_crc64(const struct oss_http_reply *reply, uint64_t *crc64)
{
    const char *value = oss_http_header(reply, "x-oss-hash-crc64ecma");

    return value && ou_parse_u64(value, crc64);
}

void oss_fields_written(const struct oss_http_reply *reply, struct oss_written *out)
{
    const char *etag = oss_http_header(reply, "etag");
    const char *date = oss_http_header(reply, "date");
    time_t when;

    *out = (struct oss_written){.etag = ""};
    if (etag)
        (void)oss_xml_etag(out->etag, etag);
    if (date && ou_parse_http_date(date, &when))
        out->date_s = when;
    out->has_crc64 = get_crc64(reply, &out->crc64);
    get(reply, "x-oss-version-id", out->version_id, sizeof(out->version_id));
    get(reply, "x-oss-request-id", out->request_id, sizeof(out->request_id));
}

int oss_fields_result(const struct oss_reply *reply, const char *root, struct oss_written *out,
                      struct ou_error *err)
{
    char etag[OSS_ETAG_SIZE];
    int r;

    oss_fields_written(&reply->http, out);
    if (!reply->body.len && out->etag[0])
        return 0;
    r = oss_xml_result_etag(reply->body.data, reply->body.len, root, etag, err);
    if (r == 0)
        memcpy(out->etag, etag, sizeof(etag));
    return r;
}

int oss_fields_accept_written(struct oss_request *rq, struct oss_reply *reply, struct ou_error *err)
{
    struct oss_written *out = rq->ctx;

    oss_fields_written(&reply->http, out);
    return out->etag[0] ? 0 : oss_xml_bad(err, "a write without an ETag");
}

static bool keep(const struct oss_http_reply *reply, const char *name, char **out)
{
    const char *value = oss_http_header(reply, name);

    *out = value ? strdup(value) : NULL;
    return !value || *out;
}

static const char *next_header(const char *at)
{
    at += strlen(at) + 1;
    return at + strlen(at) + 1;
}

static bool keep_meta(const struct oss_http_reply *reply, struct oss_object *out)
{
    const char *begin = ou_buf_str(&reply->headers), *end = begin + reply->headers.len;
    size_t count = 0, prefix = strlen(META);

    for (const char *at = begin; at < end; at = next_header(at))
        count += !strncmp(at, META, prefix);
    if (!count)
        return true;
    out->meta = calloc(count, sizeof(*out->meta));
    if (!out->meta)
        return false;
    for (const char *at = begin; at < end; at = next_header(at)) {
        struct oss_meta *m = &out->meta[out->meta_count];

        if (strncmp(at, META, prefix) != 0)
            continue;
        out->meta_count++; /* also a half-filled one is freed */
        m->name = strdup(at + prefix);
        m->value = strdup(at + strlen(at) + 1);
        if (!m->name || !m->value)
            return false;
    }
    return true;
}

/* The size of the whole object: in Content-Range for a range, else Content-Length. */
static bool get_size(const struct oss_http_reply *reply, uint64_t *size)
{
    const char *range = oss_http_header(reply, "content-range");
    const char *value = oss_http_header(reply, "content-length");

    if (range && reply->status == 206) {
        value = strrchr(range, '/');
        value = value ? value + 1 : NULL;
    }
    return value && ou_parse_u64(value, size);
}

int oss_fields_object(const struct oss_http_reply *reply, struct oss_object *out,
                      struct ou_error *err)
{
    struct oss_object o = {.size = 0};
    const char *etag = oss_http_header(reply, "etag");
    const char *modified = oss_http_header(reply, "last-modified");

    if (!get_size(reply, &o.size))
        return oss_xml_bad(err, "it does not tell the object's size");
    if (!etag || !oss_xml_etag(o.etag, etag))
        return oss_xml_bad(err, "an object without a usable ETag");
    o.has_crc64 = get_crc64(reply, &o.crc64);
    if (modified)
        (void)ou_parse_http_date(modified, &o.last_modified.tv_sec);
    get(reply, "content-type", o.content_type, sizeof(o.content_type));
    get(reply, "x-oss-object-type", o.type, sizeof(o.type));
    get(reply, "x-oss-storage-class", o.storage_class, sizeof(o.storage_class));
    get(reply, "x-oss-restore", o.restore, sizeof(o.restore));
    get(reply, "x-oss-version-id", o.version_id, sizeof(o.version_id));
    if (!keep(reply, "cache-control", &o.cache_control) ||
        !keep(reply, "content-disposition", &o.content_disposition) ||
        !keep(reply, "content-encoding", &o.content_encoding) ||
        !keep(reply, "expires", &o.expires) || !keep_meta(reply, &o)) {
        oss_object_fini(&o);
        return ou_error_set(err, ENOMEM, "read a reply");
    }
    *out = o;
    return 0;
}

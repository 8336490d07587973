#include "server/ops.h"

#include "server/attrs.h"
#include "server/clock.h"
#include "server/hns.h"
#include "server/range.h"
#include "server/segments.h"
#include "server/text.h"
#include "server/xml.h"

#include <inttypes.h>
#include <stdio.h>

/* Across buckets the manual promises 1 GB; within one it names no limit. */
#define COPY_ACROSS_MAX (UINT64_C(1) << 30)
/*
 * A part that is copied out of more bytes than this has an ETag made from its CRC-64, which costs
 * no reading. That ETag is promised to be nothing but a name of the content, and an MD5 would take
 * longer than all else: it can be put together from nothing that is known.
 */
#define COPIED_MD5_MAX (UINT64_C(16) << 20)

/* x-oss-copy-source: /BUCKET/percent-encoded key, with ?versionId=V if one wants */
struct source {
    char *bucket;
    char *key;
};

static void source_fini(struct source *s)
{
    free(s->bucket);
    free(s->key);
}

static int parse_source(struct srv_request *r, struct source *s)
{
    const char *text = srv_header(r, "x-oss-copy-source");
    size_t len = strcspn(text, "?");
    const char *slash = text[0] == '/' ? memchr(text + 1, '/', len - 1) : NULL;

    if (slash != NULL) {
        s->bucket = srv_xstrndup(text + 1, (size_t)(slash - text - 1));
        s->key = srv_percent_decode(slash + 1, len - (size_t)(slash + 1 - text));
    }
    if (slash == NULL || s->key == NULL || !srv_bucket_name_valid(s->bucket) ||
        !srv_key_valid(s->key)) {
        (void)srv_fail(&r->error, "InvalidArgument",
                       "Copy source must mention the source bucket and key: "
                       "/sourcebucket/sourcekey.");
        srv_error_detail(&r->error, "ArgumentName", "x-oss-copy-source");
        srv_error_detail(&r->error, "ArgumentValue", text);
        return -1;
    }
    if (text[len] == '?' && !srv_streq(text + len, "?versionId=null"))
        return srv_fail(&r->error, "NoSuchVersion", "The specified version does not exist.");
    return 0;
}

/* The source object, if the conditions hold and it may be read. */
static struct srv_object *open_source(struct srv_request *r, const struct source *s)
{
    srv_autoobject struct srv_object *o =
        srv_store_get(r->srv->store, s->bucket, s->key, &r->error);
    struct srv_object *found;
    int status;

    if (o == NULL)
        return NULL;
    status = srv_condition_status(&r->headers, "x-oss-copy-source-", o->etag, o->mtime_ms / 1000);
    if (status == 304)
        (void)srv_fail(&r->error, "NotModified", "Not Modified");
    else if (status != 0)
        (void)srv_fail(&r->error, "PreconditionFailed",
                       "At least one of the pre-conditions you specified did not hold.");
    else if (srv_storage_class_archive(o->attrs.storage_class) &&
             (o->restore_ready_ms == 0 || o->restore_ready_ms > srv_clock_ms()))
        (void)srv_fail(&r->error, "InvalidObjectState",
                       "The operation is not valid for the object's state.");
    else if (o->type == SRV_DIRECTORY)
        (void)srv_fail(&r->error, "OperationNotSupported", "A directory cannot be copied.");
    if (r->error.code != NULL)
        return NULL;
    found = o;
    o = NULL;
    return found;
}

static int check_size(struct srv_request *r, const struct srv_object *source, bool same_bucket,
                      bool self)
{
    uint64_t limit = r->srv->switches.copy_size_limit;

    if (limit == 0)
        limit = same_bucket ? UINT64_MAX : COPY_ACROSS_MAX;
    if (self || source->segments.size <= limit)
        return 0;
    return srv_fail(&r->error, "EntityTooLarge",
                    "Source object Length exceeds %" PRIu64 ", use UploadPartCopy.", limit);
}

static bool is_encryption(const char *name)
{
    return srv_starts_with(name, "x-oss-server-side-");
}

/* COPY: headers of the source, without its encryption; ACL, class and encryption of the request. */
static void inherit_headers(const struct srv_object *source, struct srv_attrs *to)
{
    struct srv_pairs merged = {0};

    for (size_t i = 0; i < source->attrs.headers.count; i++)
        if (!is_encryption(source->attrs.headers.items[i].name))
            srv_pairs_add(&merged, source->attrs.headers.items[i].name,
                          source->attrs.headers.items[i].value);
    for (size_t i = 0; i < to->headers.count; i++)
        if (is_encryption(to->headers.items[i].name))
            srv_pairs_add(&merged, to->headers.items[i].name, to->headers.items[i].value);
    srv_pairs_fini(&to->headers);
    to->headers = merged;
}

static bool directive(struct srv_request *r, const char *name, const char *copy,
                      const char *replace, bool *replaces)
{
    const char *value = srv_header(r, name);

    *replaces = value != NULL && strcasecmp(value, replace) == 0;
    if (value == NULL || *replaces || strcasecmp(value, copy) == 0)
        return true;
    (void)srv_fail(&r->error, "InvalidArgument", "%s must be %s or %s.", name, copy, replace);
    srv_error_detail(&r->error, "ArgumentName", name);
    srv_error_detail(&r->error, "ArgumentValue", value);
    return false;
}

static int copy_attrs(struct srv_request *r, const struct srv_object *source, bool self,
                      struct srv_object *o)
{
    bool replace_headers = false, replace_tags = false;

    if (!directive(r, "x-oss-metadata-directive", "COPY", "REPLACE", &replace_headers) ||
        !directive(r, "x-oss-tagging-directive", "Copy", "Replace", &replace_tags) ||
        srv_request_attrs(r) < 0)
        return -1;
    srv_attrs_fini(&o->attrs);
    srv_attrs_copy(&o->attrs, &r->attrs);
    if (!replace_headers && !self)
        inherit_headers(source, &o->attrs);
    if (!replace_tags) {
        free(o->attrs.tags);
        o->attrs.tags = srv_xstrdup(source->attrs.tags);
    }
    return 0;
}

/*
 * A multipart or appendable object that is copied elsewhere becomes Normal and gets an ETag of
 * another form, so that clients do not come to rely on it. Onto itself only metadata changes.
 */
static void become_normal(struct srv_object *o)
{
    uint8_t md5[SRV_MD5_BYTES];

    if (o->type != SRV_MULTIPART && o->type != SRV_APPENDABLE)
        return;
    o->type = SRV_NORMAL;
    o->sealed = false;
    srv_md5(o->etag, strlen(o->etag), md5);
    srv_etag_simple(md5, o->etag);
}

int srv_copy_object_finish(struct srv_request *r)
{
    __attribute__((cleanup(source_fini))) struct source from = {0};
    srv_autoobject struct srv_object *source = NULL;
    srv_autoobject struct srv_object *o = NULL;
    struct srv_buf *xml;
    bool same_bucket, self;

    if (parse_source(r, &from) < 0)
        return -1;
    source = open_source(r, &from);
    if (source == NULL)
        return -1;
    same_bucket = srv_streq(from.bucket, r->bucket);
    self = same_bucket && srv_streq(from.key, r->key);
    o = srv_object_copy(source);
    if (check_size(r, source, same_bucket, self) < 0 || copy_attrs(r, source, self, o) < 0 ||
        srv_hns_before_write(r) < 0)
        return -1;
    o->mtime_ms = srv_clock_ms();
    if (!self)
        become_normal(o);
    if (srv_store_put(r->srv->store, r->bucket, r->key, o, srv_forbid_overwrite(r), &r->error) < 0)
        return -1;
    srv_reply_header(r, "ETag", "\"%s\"", o->etag);
    if (o->has_crc)
        srv_reply_header(r, "x-oss-hash-crc64ecma", "%" PRIu64, o->crc);
    xml = srv_reply_xml(r);
    srv_buf_puts(xml, "<CopyObjectResult>");
    srv_xml_etag(xml, o->etag);
    srv_xml_time(xml, "LastModified", o->mtime_ms);
    srv_buf_puts(xml, "</CopyObjectResult>\n");
    return 0;
}

/* What of the source becomes the part: a range that does not fit copies everything. */
static void choose_bytes(struct srv_request *r, const struct srv_object *source, uint64_t *first,
                         uint64_t *length)
{
    const char *range = srv_header(r, "x-oss-copy-source-range");
    uint64_t size = source->segments.size, last = 0;

    if (srv_range_parse(range, false, size, first, &last) == SRV_RANGE_PARTIAL) {
        *length = last - *first + 1;
    } else {
        *first = 0;
        *length = size;
    }
}

/* CRC-64 and ETag of the part's segments. */
static int part_sums(struct srv_request *r, struct srv_part *part)
{
    uint64_t most = r->srv->switches.no_md5 ? 0 : COPIED_MD5_MAX;
    uint8_t md5[SRV_MD5_BYTES] = {0};
    int has_md5 = srv_segments_md5(&part->segments, most, md5);

    if (has_md5 < 0 || srv_segments_crc(&part->segments, &part->crc) < 0)
        return srv_fail(&r->error, "InternalError", "The source cannot be read.");
    srv_etag_of(part->crc, has_md5 > 0, md5, part->etag);
    return 0;
}

int srv_upload_part_copy_finish(struct srv_request *r)
{
    __attribute__((cleanup(source_fini))) struct source from = {0};
    srv_autoobject struct srv_object *source = NULL;
    struct srv_part part = {.number = (unsigned)r->part_number};
    const char *id = srv_query(r, "uploadId");
    uint64_t first = 0, length = 0, mtime_ms = (uint64_t)srv_clock_ms();
    char etag[SRV_ETAG_MAX];
    struct srv_buf *xml;
    int done = -1;

    if (parse_source(r, &from) < 0)
        return -1;
    source = open_source(r, &from);
    if (source == NULL)
        return -1;
    choose_bytes(r, source, &first, &length);
    if (length > SRV_OBJECT_PUT_MAX)
        return srv_fail(&r->error, "EntityTooLarge", "A part has at most 5 GB.");
    srv_segments_slice(&part.segments, &source->segments, first, length);
    if (part_sums(r, &part) == 0) {
        memcpy(etag, part.etag, sizeof(etag));
        part.has_crc = !r->srv->switches.copied_part_without_crc;
        part.mtime_ms = (int64_t)mtime_ms;
        done = srv_store_part_put(r->srv->store, r->bucket, r->key, id, &part, &r->error);
    }
    srv_part_fini(&part);
    if (done < 0)
        return -1;
    srv_reply_header(r, "ETag", "\"%s\"", etag);
    if (length > 0)
        srv_reply_header(r, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first,
                         first + length - 1, source->segments.size);
    xml = srv_reply_xml(r);
    srv_buf_printf(xml, "<CopyPartResult xmlns=\"%s\">", SRV_XML_NAMESPACE);
    srv_xml_time(xml, "LastModified", (int64_t)mtime_ms);
    srv_xml_etag(xml, etag);
    srv_buf_puts(xml, "</CopyPartResult>\n");
    return 0;
}

#include "server/ops.h"

#include "server/attrs.h"
#include "server/clock.h"
#include "server/hns.h"
#include "server/params.h"
#include "server/text.h"
#include "server/xml.h"

#include <inttypes.h>

#define PART_NUMBER_MAX 10000u
#define PAGE_MAX        1000u
#define EC_COMPLETE_ALL "0042-00000216"

static void open_result(struct srv_buf *xml, const char *root)
{
    srv_buf_printf(xml, "<%s xmlns=\"%s\">", root, SRV_XML_NAMESPACE);
}

int srv_initiate_finish(struct srv_request *r)
{
    srv_autofree char *id = NULL;
    struct srv_buf *xml;
    bool url = false;

    if (srv_param_url(r, &url) < 0 || srv_request_attrs(r) < 0 || srv_hns_before_write(r) < 0 ||
        srv_store_upload_new(r->srv->store, r->bucket, r->key, &r->attrs,
                             srv_query(r, "sequential") != NULL, &id, &r->error) < 0)
        return -1;
    xml = srv_reply_xml(r);
    open_result(xml, "InitiateMultipartUploadResult");
    if (url)
        srv_xml_text(xml, "EncodingType", "url");
    srv_xml_text(xml, "Bucket", r->bucket);
    srv_xml_key(xml, "Key", r->key, url);
    srv_xml_text(xml, "UploadId", id);
    srv_buf_puts(xml, "</InitiateMultipartUploadResult>\n");
    return 0;
}

int srv_upload_part_begin(struct srv_request *r)
{
    const char *number = srv_query(r, "partNumber");
    bool sequential = false;
    unsigned next = 0;

    if (number == NULL || !srv_parse_u64(number, &r->part_number) || r->part_number < 1 ||
        r->part_number > PART_NUMBER_MAX) {
        (void)srv_fail(&r->error, "InvalidArgument",
                       "Part number must be an integer between 1 and 10000, inclusive.");
        srv_error_detail(&r->error, "ArgumentName", "partNumber");
        srv_error_detail(&r->error, "ArgumentValue", number == NULL ? "" : number);
        return -1;
    }
    for (size_t i = 0; i < r->headers.count; i++)
        if (srv_starts_with(r->headers.items[i].name, "x-oss-server-side-"))
            return srv_fail(&r->error, "InvalidArgument",
                            "Encryption belongs to InitiateMultipartUpload, not to a part.");
    if (srv_store_upload_check(r->srv->store, r->bucket, r->key, srv_query(r, "uploadId"),
                               &sequential, &next, &r->error) < 0)
        return -1;
    if (sequential && r->part_number != next)
        return srv_fail(&r->error, "PartNotSequential", "The next part has to be number %u.", next);
    return 0;
}

int srv_upload_part_finish(struct srv_request *r)
{
    struct srv_datafile *file = srv_writer_finish(&r->writer);
    struct srv_part part = {.number = (unsigned)r->part_number,
                            .has_crc = true,
                            .crc = file->crc,
                            .mtime_ms = srv_clock_ms()};
    srv_autofree char *md5 = srv_base64(file->md5, sizeof(file->md5));
    int done;

    srv_segments_add(&part.segments, file, 0, file->size);
    srv_etag_of(file->crc, file->has_md5, file->md5, part.etag);
    srv_reply_header(r, "ETag", "\"%s\"", part.etag);
    srv_reply_header(r, "x-oss-hash-crc64ecma", "%" PRIu64, file->crc);
    if (file->has_md5)
        srv_reply_header(r, "Content-MD5", "%s", md5);
    done = srv_store_part_put(r->srv->store, r->bucket, r->key, srv_query(r, "uploadId"), &part,
                              &r->error);
    srv_part_fini(&part);
    srv_datafile_unref(file);
    return done;
}

int srv_complete_begin(struct srv_request *r)
{
    if (srv_header(r, "x-oss-complete-all") != NULL &&
        (!srv_header_is(r, "x-oss-complete-all", "yes") || r->content_length > 0))
        return srv_fail_ec(&r->error, "InvalidArgument", EC_COMPLETE_ALL,
                           "x-oss-complete-all: yes comes without a body.");
    return 0;
}

static void reply_completed(struct srv_request *r, const struct srv_object *o, bool url)
{
    const char *host = srv_header(r, "host");
    struct srv_buf *xml;

    srv_reply_header(r, "ETag", "\"%s\"", o->etag);
    if (o->has_crc)
        srv_reply_header(r, "x-oss-hash-crc64ecma", "%" PRIu64, o->crc);
    xml = srv_reply_xml(r);
    open_result(xml, "CompleteMultipartUploadResult");
    if (url)
        srv_xml_text(xml, "EncodingType", "url");
    srv_buf_printf(xml, "<Location>%s://%s/", r->srv->tls ? "https" : "http",
                   host == NULL ? "" : host);
    srv_percent_encode(xml, r->key, true);
    srv_buf_puts(xml, "</Location>");
    srv_xml_text(xml, "Bucket", r->bucket);
    srv_xml_key(xml, "Key", r->key, url);
    srv_xml_etag(xml, o->etag);
    srv_buf_puts(xml, "</CompleteMultipartUploadResult>\n");
}

int srv_complete_finish(struct srv_request *r)
{
    bool all = srv_header(r, "x-oss-complete-all") != NULL;
    const char *id = srv_query(r, "uploadId");
    srv_autopairs struct srv_pairs wanted = {0};
    srv_autoobject struct srv_object *o = NULL;
    bool url = false;

    if (srv_param_url(r, &url) < 0 ||
        srv_store_upload_check(r->srv->store, r->bucket, r->key, id, NULL, NULL, &r->error) < 0)
        return -1;
    if (!all && srv_xml_parse_complete(srv_buf_str(&r->text), r->text.len, &wanted) < 0)
        return srv_fail(&r->error, "MalformedXML",
                        "The XML you provided was not well-formed or did not validate against our "
                        "published schema.");
    if (srv_hns_before_write(r) < 0 ||
        srv_store_complete(r->srv->store, r->bucket, r->key, id, all ? NULL : &wanted,
                           srv_forbid_overwrite(r), &o, &r->error) < 0)
        return -1;
    reply_completed(r, o, url);
    return 0;
}

int srv_abort_finish(struct srv_request *r)
{
    r->reply.status = 204;
    return srv_store_abort(r->srv->store, r->bucket, r->key, srv_query(r, "uploadId"), &r->error);
}

int srv_list_parts_finish(struct srv_request *r)
{
    const char *id = srv_query(r, "uploadId");
    struct srv_upload_view view = {0};
    uint64_t max = PAGE_MAX, marker = 0;
    struct srv_buf *xml;
    bool url = false;

    if (srv_param_url(r, &url) < 0 || srv_param_max(r, "max-parts", &max) < 0)
        return -1;
    if (srv_query(r, "part-number-marker") != NULL &&
        (!srv_parse_u64(srv_query(r, "part-number-marker"), &marker) || marker > PART_NUMBER_MAX))
        return srv_param_invalid(r, "part-number-marker");
    if (srv_store_parts(r->srv->store, r->bucket, r->key, id, (unsigned)marker,
                        srv_page_limit(r, max), &view, &r->error) < 0)
        return -1;
    xml = srv_reply_xml(r);
    open_result(xml, "ListPartsResult");
    if (url)
        srv_xml_text(xml, "EncodingType", "url");
    srv_xml_text(xml, "Bucket", r->bucket);
    srv_xml_key(xml, "Key", r->key, url);
    srv_xml_text(xml, "UploadId", id);
    srv_xml_text(xml, "StorageClass", view.storage_class);
    srv_buf_printf(xml, "<PartNumberMarker>%" PRIu64 "</PartNumberMarker>", marker);
    if (view.count > 0)
        srv_buf_printf(xml, "<NextPartNumberMarker>%u</NextPartNumberMarker>",
                       view.parts[view.count - 1].number);
    else
        srv_buf_puts(xml, "<NextPartNumberMarker></NextPartNumberMarker>");
    srv_buf_printf(xml, "<MaxParts>%" PRIu64 "</MaxParts><IsTruncated>%s</IsTruncated>", max,
                   view.truncated ? "true" : "false");
    for (size_t i = 0; i < view.count; i++) {
        const struct srv_part *p = &view.parts[i];

        srv_buf_printf(xml, "<Part><PartNumber>%u</PartNumber>", p->number);
        srv_xml_time(xml, "LastModified", p->mtime_ms);
        srv_xml_etag(xml, p->etag);
        srv_buf_printf(xml, "<Size>%" PRIu64 "</Size>", p->segments.size);
        if (p->has_crc)
            srv_buf_printf(xml, "<HashCrc64ecma>%" PRIu64 "</HashCrc64ecma>", p->crc);
        srv_buf_puts(xml, "</Part>");
    }
    srv_buf_puts(xml, "</ListPartsResult>\n");
    srv_upload_view_fini(&view);
    return 0;
}

static void add_upload_entries(struct srv_buf *xml, const struct srv_upload_page *page, bool url)
{
    for (size_t i = 0; i < page->count; i++) {
        const struct srv_upload_entry *e = &page->entries[i];

        if (e->id == NULL) {
            srv_buf_puts(xml, "<CommonPrefixes>");
            srv_xml_key(xml, "Prefix", e->key, url);
            srv_buf_puts(xml, "</CommonPrefixes>");
            continue;
        }
        srv_buf_puts(xml, "<Upload>");
        srv_xml_key(xml, "Key", e->key, url);
        srv_xml_text(xml, "UploadId", e->id);
        srv_xml_text(xml, "StorageClass", e->storage_class);
        srv_xml_time(xml, "Initiated", e->initiated_ms);
        srv_buf_puts(xml, "</Upload>");
    }
}

int srv_list_uploads_finish(struct srv_request *r)
{
    const char *prefix = srv_param_text(r, "prefix");
    const char *delimiter = srv_param_text(r, "delimiter");
    const char *key_marker = srv_param_text(r, "key-marker");
    const char *id_marker = srv_param_text(r, "upload-id-marker");
    struct srv_upload_page page = {0};
    const char *next_key = "", *next_id = "";
    uint64_t max = PAGE_MAX;
    struct srv_buf *xml;
    bool url = false;

    if (r->error.code != NULL || srv_param_url(r, &url) < 0 ||
        srv_param_max(r, "max-uploads", &max) < 0 ||
        srv_store_uploads(r->srv->store, r->bucket, prefix, delimiter, key_marker, id_marker,
                          srv_page_limit(r, max), &page, &r->error) < 0)
        return -1;
    if (page.count > 0) {
        const struct srv_upload_entry *last = &page.entries[page.count - 1];

        next_key = last->key;
        next_id = last->id != NULL ? last->id : "";
    }
    xml = srv_reply_xml(r);
    open_result(xml, "ListMultipartUploadsResult");
    if (url)
        srv_xml_text(xml, "EncodingType", "url");
    srv_xml_text(xml, "Bucket", r->bucket);
    srv_xml_key(xml, "KeyMarker", key_marker, url);
    srv_xml_text(xml, "UploadIdMarker", id_marker);
    srv_xml_key(xml, "NextKeyMarker", next_key, url);
    srv_xml_text(xml, "NextUploadIdMarker", next_id);
    srv_xml_key(xml, "Delimiter", delimiter, url);
    srv_xml_key(xml, "Prefix", prefix, url);
    srv_buf_printf(xml, "<MaxUploads>%" PRIu64 "</MaxUploads><IsTruncated>%s</IsTruncated>", max,
                   page.truncated ? "true" : "false");
    add_upload_entries(xml, &page, url);
    srv_buf_puts(xml, "</ListMultipartUploadsResult>\n");
    srv_upload_page_fini(&page);
    return 0;
}

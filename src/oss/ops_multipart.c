/*
 * Multipart uploads. What may be repeated:
 *
 *   initiate      only if OSS surely made no id
 *   part, copy    always: the same number replaces
 *   complete      never by itself after an answer was lost: it may have taken effect
 *   abort, lists  always
 */
#include "base/cleanup.h"
#include "base/crc64.h"
#include "oss/fields.h"
#include "oss/range.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int accept_initiate(struct oss_request *rq, struct oss_reply *reply, struct ou_error *err)
{
    return oss_xml_initiate(reply->body.data, reply->body.len, rq->ctx, err);
}

int oss_initiate_upload(struct oss_client *c, const struct oss_call *call, const char *key,
                        const struct oss_object_headers *headers,
                        char upload_id[OSS_UPLOAD_ID_SIZE], struct ou_error *err)
{
    ou_auto(oss_request_fini) struct oss_request rq;
    ou_auto(oss_reply_fini) struct oss_reply reply = {.crc64 = 0};
    char id[OSS_UPLOAD_ID_SIZE];
    int r = oss_request_init(&rq, "initiate upload of", "POST", key, 0, err);

    if (r < 0)
        return r;
    oss_request_query(&rq, "uploads", NULL);
    rq.has_body = true;
    rq.accept = accept_initiate;
    rq.ctx = id;
    r = oss_fields_add(c, &rq, headers, err);
    if (r < 0)
        return r;
    rq.repeat = OSS_REPEAT_REFUSED;
    r = oss_request_run(c, call, &rq, &reply, err);
    if (r == 0)
        memcpy(upload_id, id, sizeof(id));
    return r;
}

static int init_part(struct oss_request *rq, const char *op, const char *key, const char *upload_id,
                     unsigned number, char text[16], struct ou_error *err)
{
    int r = oss_request_init(rq, op, "PUT", key, number, err);

    if (r < 0)
        return r;
    if (!number || number > OSS_PART_NUMBER_MAX)
        return ou_error_set(err, EINVAL, "%s: part number %u", rq->what, number);
    (void)snprintf(text, 16, "%u", number);
    oss_request_query(rq, "partNumber", text);
    oss_request_query(rq, "uploadId", upload_id);
    rq->has_body = true;
    oss_headers_add(&rq->headers, "Content-Type", "application/octet-stream");
    return 0;
}

int oss_upload_part(struct oss_client *c, const struct oss_call *call, const char *key,
                    const char *upload_id, unsigned number, const struct oss_body *body,
                    struct oss_written *out, struct ou_error *err)
{
    ou_auto(oss_request_fini) struct oss_request rq = {.op = ""};
    ou_auto(oss_reply_fini) struct oss_reply reply = {.crc64 = 0};
    struct oss_written written;
    char text[16];
    int r = init_part(&rq, "upload part", key, upload_id, number, text, err);

    if (r < 0)
        return r;
    if (body && body->size > OSS_PART_SIZE_MAX)
        return ou_error_set(err, EFBIG, "%s", rq.what);
    rq.body = body;
    rq.check_crc = true;
    rq.accept = oss_fields_accept_written;
    rq.ctx = &written;
    oss_fields_traffic(c, &rq);
    r = oss_request_run(c, call, &rq, &reply, err);
    if (r == 0 && out)
        *out = written;
    return r;
}

struct part_copy {
    uint64_t offset, size;
    struct oss_written written;
};

/* A range that does not fit copies everything: Content-Range tells what was copied. */
static int accept_part_copy(struct oss_request *rq, struct oss_reply *reply, struct ou_error *err)
{
    struct part_copy *p = rq->ctx;
    const char *range = oss_http_header(&reply->http, "content-range");
    int r = oss_fields_result(reply, "CopyPartResult", &p->written, err);

    if (r == 0 && range)
        r = oss_range_check(206, range, NULL, p->offset, p->size, err);
    return r;
}

int oss_upload_part_copy(struct oss_client *c, const struct oss_call *call, const char *key,
                         const char *upload_id, unsigned number, const char *source_key,
                         uint64_t offset, uint64_t size, const char *if_match,
                         struct oss_written *out, struct ou_error *err)
{
    ou_auto(oss_request_fini) struct oss_request rq = {.op = ""};
    ou_auto(oss_reply_fini) struct oss_reply reply = {.crc64 = 0};
    struct part_copy p = {.offset = offset, .size = size};
    char text[16];
    int r = init_part(&rq, "copy part", key, upload_id, number, text, err);

    if (r == 0)
        r = oss_key_check(source_key, err);
    if (r < 0)
        return r;
    if (!size || size > OSS_PART_SIZE_MAX || offset + size < offset)
        return ou_error_set(err, EINVAL, "%s: %" PRIu64 " bytes at %" PRIu64, rq.what, size,
                            offset);
    oss_fields_source(c, &rq, source_key, if_match);
    oss_headers_addf(&rq.headers, "x-oss-copy-source-range", "bytes=%" PRIu64 "-%" PRIu64, offset,
                     offset + size - 1);
    oss_fields_traffic(c, &rq);
    rq.slow = true;
    rq.accept = accept_part_copy;
    rq.ctx = &p;
    r = oss_request_run(c, call, &rq, &reply, err);
    if (r == 0 && out)
        *out = p.written;
    return r;
}

/* -- complete -- */

static ssize_t read_text(void *ctx, void *buf, size_t len, uint64_t offset, struct ou_error *err)
{
    const struct ou_buf *text = ctx;

    (void)err;
    memcpy(buf, text->data + offset, len);
    return (ssize_t)len;
}

static int write_parts(const struct oss_part *parts, size_t count, struct ou_buf *out,
                       struct ou_error *err)
{
    unsigned last = 0;

    ou_buf_adds(out, "<CompleteMultipartUpload>");
    for (size_t i = 0; i < count; i++) {
        if (parts[i].number <= last || parts[i].number > OSS_PART_NUMBER_MAX || !parts[i].etag[0])
            return ou_error_say(err, EINVAL, "part %u: numbers ascend, each part has an ETag",
                                parts[i].number);
        last = parts[i].number;
        ou_buf_addf(out, "<Part><PartNumber>%u</PartNumber><ETag>\"", last);
        for (const char *e = parts[i].etag; *e; e++)
            if (*e != '<' && *e != '&' && *e != '>')
                ou_buf_add(out, e, 1);
        ou_buf_adds(out, "\"</ETag></Part>");
    }
    ou_buf_adds(out, "</CompleteMultipartUpload>");
    return ou_buf_check(out, err);
}

static int accept_complete(struct oss_request *rq, struct oss_reply *reply, struct ou_error *err)
{
    return oss_fields_result(reply, "CompleteMultipartUploadResult", rq->ctx, err);
}

int oss_complete_upload(struct oss_client *c, const struct oss_call *call, const char *key,
                        const char *upload_id, const struct oss_part *parts, size_t count,
                        bool forbid_overwrite, struct oss_written *out, struct ou_error *err)
{
    ou_auto(oss_request_fini) struct oss_request rq;
    ou_auto(oss_reply_fini) struct oss_reply reply = {.crc64 = 0};
    ou_auto(ou_buf_fini) struct ou_buf text = {0};
    struct oss_body body = {.read = read_text, .ctx = &text};
    struct oss_written written;
    int r = oss_request_init(&rq, "complete", "POST", key, 0, err);

    if (r < 0)
        return r;
    r = write_parts(parts, count, &text, err);
    if (r < 0)
        return ou_error_prefix(err, "%s", rq.what);
    body.size = text.len;
    oss_request_query(&rq, "uploadId", upload_id);
    oss_headers_add(&rq.headers, "Content-Type", "application/xml");
    if (forbid_overwrite)
        oss_headers_add(&rq.headers, "x-oss-forbid-overwrite", "true");
    rq.has_body = true;
    rq.body = &body;
    rq.slow = true;
    rq.repeat = OSS_REPEAT_THROTTLED;
    rq.accept = accept_complete;
    rq.ctx = &written;
    r = oss_request_run(c, call, &rq, &reply, err);
    if (r == 0 && out)
        *out = written;
    return r;
}

int oss_abort_upload(struct oss_client *c, const struct oss_call *call, const char *key,
                     const char *upload_id, struct ou_error *err)
{
    ou_auto(oss_request_fini) struct oss_request rq;
    ou_auto(oss_reply_fini) struct oss_reply reply = {.crc64 = 0};
    struct ou_error why = OU_ERROR_INIT;
    int r = oss_request_init(&rq, "abort upload of", "DELETE", key, 0, err);

    if (r < 0)
        return r;
    oss_request_query(&rq, "uploadId", upload_id);
    r = oss_request_run(c, call, &rq, &reply, &why);
    if (r == 0 || oss_error_is(&why, "NoSuchUpload"))
        return 0;
    *err = why;
    return r;
}

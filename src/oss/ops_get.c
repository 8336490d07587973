/*
 * GetObject: a range, checked before its first byte is passed on, continued after a cut.
 *
 * OSS answers a range that does not fit with 200 and everything, unless it is told
 * x-oss-range-behavior: standard; the reply is checked all the same. .at is how many bytes
 * the sink has; each attempt asks for the rest, pinned to the ETag of the first reply, so
 * versions never mix. A whole object is checked by its CRC-64.
 */
#include "base/cleanup.h"
#include "base/crc64.h"
#include "base/text.h"
#include "oss/fields.h"
#include "oss/range.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct get {
    struct oss_client *c;
    struct oss_request *rq;
    const struct oss_sink *sink;
    uint64_t offset, size; /* wanted */
    uint64_t at;           /* bytes of it that the sink has */
    uint64_t crc64;        /* of those */
    char etag[OSS_ETAG_SIZE];
    struct oss_object object; /* of the last good reply */
};

static int prepare(struct oss_request *rq, struct ou_error *err)
{
    struct get *g = rq->ctx;

    (void)err;
    oss_headers_fini(&rq->headers);
    oss_headers_addf(&rq->headers, "Range", "bytes=%" PRIu64 "-%" PRIu64, g->offset + g->at,
                     g->offset + g->size - 1);
    oss_headers_add(&rq->headers, "x-oss-range-behavior", "standard");
    if (g->etag[0])
        oss_headers_addf(&rq->headers, "If-Match", "\"%s\"", g->etag);
    oss_fields_traffic(g->c, rq);
    return 0;
}

static int head(void *ctx, const struct oss_http_reply *http, struct ou_error *err)
{
    struct get *g = ctx;
    struct oss_object o;
    int r = oss_range_check(http->status, oss_http_header(http, "content-range"),
                            oss_http_header(http, "content-length"), g->offset + g->at,
                            g->size - g->at, err);

    if (r < 0)
        return ou_error_prefix(err, "%s", g->rq->what);
    r = oss_fields_object(http, &o, err);
    if (r < 0)
        return r;
    if (g->etag[0] && strcasecmp(o.etag, g->etag) != 0) {
        oss_object_fini(&o);
        return ou_error_set(err, ESTALE, "%s: it is another version now", g->rq->what);
    }
    memcpy(g->etag, o.etag, sizeof(g->etag));
    oss_object_fini(&g->object);
    g->object = o;
    return 0;
}

static int write_on(void *ctx, const void *data, size_t len, struct ou_error *err)
{
    struct get *g = ctx;
    int r;

    if (len > g->size - g->at)
        return oss_xml_bad(err, "more bytes than asked for");
    r = g->sink->write(g->sink->ctx, data, len, g->at, err);
    if (r < 0)
        return r;
    if (!g->offset)
        g->crc64 = ou_crc64(g->crc64, data, len);
    g->at += len;
    g->rq->progress += len;
    return 0;
}

static int finish(struct oss_request *rq, struct oss_reply *reply, struct ou_error *err)
{
    const struct get *g = rq->ctx;

    (void)reply;
    if (g->at != g->size)
        return oss_error_here(err, 0, "ConnectionLost", NULL,
                              "%" PRIu64 " of %" PRIu64 " bytes came", g->at, g->size);
    return 0;
}

/* Too late to ask again: the sink has the bytes. */
static int check_whole(const struct get *g, struct ou_error *err)
{
    const struct oss_object *o = &g->object;

    if (g->offset || g->size != o->size || !o->has_crc64 || !strcmp(o->type, "Appendable") ||
        o->crc64 == g->crc64)
        return 0;
    return oss_error_here(err, 0, OSS_CODE_CRC_MISMATCH, NULL,
                          "%s: OSS has CRC-64 %" PRIu64 ", what came has %" PRIu64, g->rq->what,
                          o->crc64, g->crc64);
}

int oss_get_object(struct oss_client *c, const struct oss_call *call, const char *key,
                   uint64_t offset, uint64_t size, const char *if_match,
                   const struct oss_sink *sink, struct oss_object *out, struct ou_error *err)
{
    ou_auto(oss_request_fini) struct oss_request rq;
    ou_auto(oss_reply_fini) struct oss_reply reply = {.crc64 = 0};
    struct get g = {.c = c, .rq = &rq, .sink = sink, .offset = offset, .size = size};
    int r = oss_request_init(&rq, "get", "GET", key, 0, err);

    if (r < 0)
        return r;
    if (offset + size < offset)
        return ou_error_set(err, EINVAL, "%s", rq.what);
    if (!size) {
        if (out)
            memset(out, 0, sizeof(*out));
        return 0;
    }
    if (if_match && !oss_xml_etag(g.etag, if_match))
        return ou_error_set(err, EINVAL, "%s: if-match", rq.what);
    rq.prepare = prepare;
    rq.head = head;
    rq.write = write_on;
    rq.accept = finish;
    rq.reply_size = size;
    rq.ctx = &g;
    r = oss_request_run(c, call, &rq, &reply, err);
    if (r == 0)
        r = check_whole(&g, err);
    if (r < 0 && oss_error_is(err, "InvalidRange")) { /* the object must hold the range, and did */
        (void)ou_error_prefix(err, "the object is shorter now");
        err->errnum = ESTALE;
        r = -ESTALE;
    }
    if (r == 0 && out) {
        *out = g.object;
        g.object = (struct oss_object){.size = 0};
    }
    oss_object_fini(&g.object);
    return r;
}

#include "server/ops.h"

#include "server/attrs.h"
#include "server/clock.h"
#include "server/hns.h"
#include "server/range.h"
#include "server/text.h"

#include <inttypes.h>
#include <stdio.h>

/* Query parameters that replace a reply header for this one answer. */
static const struct {
    const char *query;
    const char *header;
} overrides[] = {
    {"response-content-type", "content-type"},
    {"response-content-language", "content-language"},
    {"response-expires", "expires"},
    {"response-cache-control", "cache-control"},
    {"response-content-disposition", "content-disposition"},
    {"response-content-encoding", "content-encoding"},
};

#define OVERRIDE_COUNT (sizeof(overrides) / sizeof(overrides[0]))

static const char *override_of(const struct srv_request *r, const char *header)
{
    for (size_t i = 0; i < OVERRIDE_COUNT; i++)
        if (srv_streq(overrides[i].header, header))
            return srv_query(r, overrides[i].query);
    return NULL;
}

static int check_version(struct srv_request *r)
{
    const char *version = srv_query(r, "versionId");

    if (version == NULL || srv_streq(version, "null"))
        return 0;
    return srv_fail(&r->error, "NoSuchVersion", "The specified version does not exist.");
}

static int check_overrides(struct srv_request *r)
{
    for (size_t i = 0; r->anonymous && i < OVERRIDE_COUNT; i++)
        if (srv_query(r, overrides[i].query) != NULL)
            return srv_fail(&r->error, "InvalidRequest",
                            "Anonymous requests cannot override response headers.");
    return 0;
}

/* GET and HEAD follow a link once. @data is what the bytes come from. */
static int follow(struct srv_request *r, struct srv_object *o, struct srv_object **data)
{
    struct srv_error missing = {0};

    if (o->type != SRV_SYMLINK) {
        *data = srv_object_ref(o);
        return 0;
    }
    *data = srv_store_get(r->srv->store, r->bucket, o->target, &missing);
    srv_error_fini(&missing);
    if (*data == NULL)
        return srv_fail(&r->error, "SymlinkTargetNotExist",
                        "The target of the symlink does not exist.");
    if ((*data)->type == SRV_SYMLINK)
        return srv_fail(&r->error, "InvalidTargetType", "The target of the symlink is a symlink.");
    return 0;
}

static bool restored(const struct srv_object *o)
{
    return o->restore_ready_ms != 0 && o->restore_ready_ms <= srv_clock_ms();
}

static int check_archived(struct srv_request *r, const struct srv_object *o)
{
    if (srv_streq(r->method, "HEAD") || !srv_storage_class_archive(o->attrs.storage_class) ||
        restored(o))
        return 0;
    return srv_fail(&r->error, "InvalidObjectState",
                    "The operation is not valid for the object's state.");
}

static size_t tag_count(const char *tags)
{
    size_t n = tags[0] == '\0' ? 0 : 1;

    for (; *tags != '\0'; tags++)
        n += *tags == '&';
    return n;
}

static void add_restore(struct srv_request *r, const struct srv_object *o)
{
    char when[SRV_TIME_TEXT_MAX];

    if (o->restore_ready_ms == 0)
        return;
    if (!restored(o)) {
        srv_reply_header(r, "x-oss-restore", "ongoing-request=\"true\"");
        return;
    }
    srv_time_http(o->restore_ready_ms / 1000 + 86400, when);
    srv_reply_header(r, "x-oss-restore", "ongoing-request=\"false\", expiry-date=\"%s\"", when);
}

/* Headers that the link and its target share out, 8.2 of the protocol notes. */
static void add_object_headers(struct srv_request *r, const struct srv_object *o,
                               const struct srv_object *data)
{
    srv_autofree char *md5 = srv_base64(data->md5, sizeof(data->md5));
    int64_t mtime_ms = data->mtime_ms > o->mtime_ms ? data->mtime_ms : o->mtime_ms;
    char when[SRV_TIME_TEXT_MAX];

    srv_time_http(mtime_ms / 1000, when);
    srv_reply_header(r, "ETag", "\"%s\"", data->etag);
    srv_reply_header(r, "Last-Modified", "%s", when);
    srv_reply_header(r, "Accept-Ranges", "bytes");
    srv_reply_header(r, "x-oss-object-type", "%s", srv_object_type_name(o->type));
    srv_reply_header(r, "x-oss-storage-class", "%s", o->attrs.storage_class);
    if (data->has_crc)
        srv_reply_header(r, "x-oss-hash-crc64ecma", "%" PRIu64, data->crc);
    if (data->has_md5 && data->type == SRV_NORMAL)
        srv_reply_header(r, "Content-MD5", "%s", md5);
    if (tag_count(o->attrs.tags) > 0)
        srv_reply_header(r, "x-oss-tagging-count", "%zu", tag_count(o->attrs.tags));
    if (o->type == SRV_APPENDABLE)
        srv_reply_header(r, "x-oss-next-append-position", "%" PRIu64, o->segments.size);
    add_restore(r, o);
    for (size_t i = 0; i < o->attrs.headers.count; i++) {
        const struct srv_pair *h = &o->attrs.headers.items[i];

        if (override_of(r, h->name) == NULL)
            srv_reply_header(r, h->name, "%s", h->value);
    }
    for (size_t i = 0; i < OVERRIDE_COUNT; i++) {
        const char *value = srv_query(r, overrides[i].query);

        if (value != NULL)
            srv_reply_header(r, overrides[i].header, "%s", value);
    }
}

static int choose_bytes(struct srv_request *r, struct srv_object *data)
{
    const char *range = srv_header(r, "range");
    uint64_t first = 0, last = 0;

    r->reply.object = srv_object_ref(data);
    r->reply.first = 0;
    r->reply.length = data->segments.size;
    if (r->plan.ignore_range)
        range = NULL;
    switch (srv_range_parse(range, srv_header_is(r, "x-oss-range-behavior", "standard"),
                            data->segments.size, &first, &last)) {
    case SRV_RANGE_WHOLE:
        break;
    case SRV_RANGE_UNSATISFIABLE:
        return srv_fail(&r->error, "InvalidRange", "The requested range cannot be satisfied.");
    case SRV_RANGE_PARTIAL:
        r->reply.status = 206;
        r->reply.first = first;
        r->reply.length = last - first + 1;
        srv_reply_header(r, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first, last,
                         data->segments.size);
    }
    return 0;
}

static int not_modified(struct srv_request *r, const struct srv_object *data)
{
    srv_autofree char *etag = srv_xasprintf("\"%s\"", data->etag);
    char when[SRV_TIME_TEXT_MAX];

    srv_time_http(data->mtime_ms / 1000, when);
    srv_pairs_add(&r->error.headers, "ETag", etag);
    srv_pairs_add(&r->error.headers, "Last-Modified", when);
    return srv_fail(&r->error, "NotModified", "Not Modified");
}

int srv_get_object_finish(struct srv_request *r)
{
    srv_autoobject struct srv_object *o = NULL;
    srv_autoobject struct srv_object *data = NULL;
    int status;

    if (check_version(r) < 0 || check_overrides(r) < 0)
        return -1;
    o = srv_hns_get(r);
    if (o == NULL || follow(r, o, &data) < 0)
        return -1;
    status = srv_condition_status(&r->headers, "", data->etag, data->mtime_ms / 1000);
    if (status == 304)
        return not_modified(r, data);
    if (status == 412)
        return srv_fail(&r->error, "PreconditionFailed",
                        "At least one of the pre-conditions you specified did not hold.");
    if (check_archived(r, data) < 0 || choose_bytes(r, data) < 0)
        return -1;
    add_object_headers(r, o, data);
    return 0;
}

int srv_get_object_meta_finish(struct srv_request *r)
{
    srv_autoobject struct srv_object *o = NULL;
    char when[SRV_TIME_TEXT_MAX];

    if (check_version(r) < 0)
        return -1;
    o = srv_hns_get(r);
    if (o == NULL)
        return -1;
    srv_time_http(o->mtime_ms / 1000, when);
    srv_reply_header(r, "ETag", "\"%s\"", o->etag);
    srv_reply_header(r, "Last-Modified", "%s", when);
    srv_reply_header(r, "x-oss-object-type", "%s", srv_object_type_name(o->type));
    if (o->has_crc)
        srv_reply_header(r, "x-oss-hash-crc64ecma", "%" PRIu64, o->crc);
    if (srv_streq(r->method, "HEAD")) {
        r->reply.length = srv_object_size(o);
        r->reply.object = srv_object_ref(o);
    }
    return 0;
}

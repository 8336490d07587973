#include "server/ops.h"

#include "server/attrs.h"
#include "server/clock.h"
#include "server/hns.h"
#include "server/text.h"

#include <inttypes.h>
#include <stdio.h>

int srv_put_object_begin(struct srv_request *r)
{
    if (srv_refuse_conditions(r) < 0)
        return -1;
    return srv_request_attrs(r);
}

static void reply_checksums(struct srv_request *r, const struct srv_object *o)
{
    srv_autofree char *md5 = srv_base64(o->md5, sizeof(o->md5));

    srv_reply_header(r, "ETag", "\"%s\"", o->etag);
    srv_reply_header(r, "x-oss-hash-crc64ecma", "%" PRIu64, o->crc);
    if (o->has_md5)
        srv_reply_header(r, "Content-MD5", "%s", md5);
}

int srv_put_object_finish(struct srv_request *r)
{
    srv_autoobject struct srv_object *o = srv_object_new(SRV_NORMAL);
    struct srv_datafile *file = srv_writer_finish(&r->writer);

    srv_attrs_copy(&o->attrs, &r->attrs);
    srv_segments_add(&o->segments, file, 0, file->size);
    srv_set_checksums(o, file->crc, file->has_md5, file->md5);
    srv_datafile_unref(file);
    o->mtime_ms = srv_clock_ms();
    if (srv_hns_before_write(r) < 0 ||
        srv_store_put(r->srv->store, r->bucket, r->key, o, srv_forbid_overwrite(r), &r->error) < 0)
        return -1;
    reply_checksums(r, o);
    return 0;
}

int srv_append_object_begin(struct srv_request *r)
{
    const char *position = srv_query(r, "position");

    if (position == NULL) {
        (void)srv_fail(&r->error, "MissingArgument", "Missing Some Required Arguments.");
        srv_error_detail(&r->error, "ArgumentName", "position");
        return -1;
    }
    if (!srv_parse_u64(position, &r->position))
        return srv_fail(&r->error, "InvalidArgument", "position must be a number.");
    if (srv_request_attrs(r) < 0)
        return -1;
    if (srv_storage_class_archive(r->attrs.storage_class))
        return srv_fail(&r->error, "OperationNotSupported",
                        "Objects of archive classes are not appendable.");
    return 0;
}

static int check_position(struct srv_request *r, const struct srv_object *old)
{
    uint64_t size = old == NULL ? 0 : old->segments.size;
    char text[24];

    if (old != NULL && (old->type != SRV_APPENDABLE || old->sealed))
        return srv_fail(&r->error, "ObjectNotAppendable", "The object is not appendable.");
    if (r->position != size) {
        (void)snprintf(text, sizeof(text), "%" PRIu64, size);
        srv_pairs_add(&r->error.headers, "x-oss-next-append-position", text);
        return srv_fail(&r->error, "PositionNotEqualToLength",
                        "Position is not equal to file length");
    }
    return 0;
}

static struct srv_object *current_object(struct srv_request *r)
{
    struct srv_error missing = {0};
    struct srv_object *o = srv_store_get(r->srv->store, r->bucket, r->key, &missing);

    srv_error_fini(&missing);
    return o;
}

/* The object with @file behind what it holds. An Appendable's ETag is no MD5: it ends in zeros. */
static struct srv_object *appended(const struct srv_request *r, const struct srv_object *old,
                                   struct srv_datafile *file)
{
    struct srv_object *o = old == NULL ? srv_object_new(SRV_APPENDABLE) : srv_object_copy(old);

    if (old == NULL)
        srv_attrs_copy(&o->attrs, &r->attrs);
    srv_segments_add(&o->segments, file, 0, file->size);
    o->crc = srv_crc64_combine(o->crc, file->crc, file->size);
    o->has_crc = true;
    o->mtime_ms = srv_clock_ms();
    (void)snprintf(o->etag, sizeof(o->etag), "%016" PRIX64 "%016d", o->crc, 0);
    return o;
}

int srv_append_object_finish(struct srv_request *r)
{
    struct srv_datafile *file = srv_writer_finish(&r->writer);
    srv_autoobject struct srv_object *o = NULL;
    int done = 0;

    while (done == 0) { /* until nobody came in between */
        srv_autoobject struct srv_object *old = current_object(r);

        if (check_position(r, old) < 0 || file->size + r->position > SRV_OBJECT_PUT_MAX) {
            (void)srv_fail(&r->error, "EntityTooLarge", "An appendable object has at most 5 GB.");
            done = -1;
            break;
        }
        srv_object_unref(o);
        o = appended(r, old, file);
        done = srv_store_replace(r->srv->store, r->bucket, r->key, old, o, &r->error);
    }
    srv_datafile_unref(file);
    if (done < 0)
        return -1;
    reply_checksums(r, o);
    srv_reply_header(r, "x-oss-next-append-position", "%" PRIu64, o->segments.size);
    return 0;
}

int srv_seal_object_finish(struct srv_request *r)
{
    srv_autoobject struct srv_object *old = NULL;
    srv_autoobject struct srv_object *o = NULL;
    const char *position = srv_query(r, "position");

    old = srv_store_get(r->srv->store, r->bucket, r->key, &r->error);
    if (old == NULL)
        return -1;
    if (position == NULL || !srv_parse_u64(position, &r->position))
        return srv_fail(&r->error, "MissingArgument", "Missing Some Required Arguments.");
    o = srv_object_copy(old);
    o->sealed = true;
    if (!old->sealed && check_position(r, old) < 0)
        return -1;
    return srv_store_replace(r->srv->store, r->bucket, r->key, old, o, &r->error) < 0 ? -1 : 0;
}

int srv_delete_object_finish(struct srv_request *r)
{
    r->reply.status = 204;
    if (srv_hns_before_delete(r) < 0)
        return -1;
    return srv_store_delete(r->srv->store, r->bucket, r->key, &r->error);
}

int srv_put_symlink_finish(struct srv_request *r)
{
    const char *header = srv_header(r, "x-oss-symlink-target");
    srv_autofree char *target = header == NULL ? NULL : srv_percent_decode(header, strlen(header));
    srv_autoobject struct srv_object *o = srv_object_new(SRV_SYMLINK);
    uint8_t md5[SRV_MD5_BYTES];

    if (header == NULL)
        return srv_fail(&r->error, "MissingArgument", "x-oss-symlink-target is missing.");
    if (target == NULL || !srv_key_valid(target))
        return srv_fail(&r->error, "InvalidArgument", "x-oss-symlink-target is no object name.");
    if (srv_request_attrs(r) < 0)
        return -1;
    srv_attrs_copy(&o->attrs, &r->attrs);
    o->target = srv_xstrdup(target);
    o->mtime_ms = srv_clock_ms();
    srv_md5(target, strlen(target), md5);
    srv_etag_simple(md5, o->etag);
    if (srv_store_put(r->srv->store, r->bucket, r->key, o, srv_forbid_overwrite(r), &r->error) < 0)
        return -1;
    srv_reply_header(r, "ETag", "\"%s\"", o->etag);
    return 0;
}

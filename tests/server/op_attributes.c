#include "server/ops.h"

#include "server/attrs.h"
#include "server/clock.h"
#include "server/text.h"
#include "server/xml.h"

/*
 * Tags, ACL and restore change an object without touching its ETag or Last-Modified:
 * copy, change, and put the copy where the original still is, else try again.
 */
typedef int change_fn(struct srv_request *r, struct srv_object *copy, void *arg);

static int change_object(struct srv_request *r, change_fn *change, void *arg)
{
    int done = 0;

    while (done == 0) {
        srv_autoobject struct srv_object *old =
            srv_store_get(r->srv->store, r->bucket, r->key, &r->error);
        srv_autoobject struct srv_object *copy = old == NULL ? NULL : srv_object_copy(old);

        if (copy == NULL || change(r, copy, arg) < 0)
            return -1;
        done = srv_store_replace(r->srv->store, r->bucket, r->key, old, copy, &r->error);
    }
    return done < 0 ? -1 : 0;
}

static int set_tags(struct srv_request *r, struct srv_object *copy, void *arg)
{
    (void)r;
    free(copy->attrs.tags);
    copy->attrs.tags = srv_xstrdup(arg);
    return 0;
}

int srv_put_tagging_finish(struct srv_request *r)
{
    srv_autopairs struct srv_pairs tags = {0};
    srv_autofree char *text = NULL;

    if (srv_xml_parse_tagging(srv_buf_str(&r->text), r->text.len, &tags) < 0)
        return srv_fail(&r->error, "MalformedXML", "The XML you provided was not well-formed.");
    if (srv_tags_check(&tags, &r->error) < 0)
        return -1;
    text = srv_tags_join(&tags);
    return change_object(r, set_tags, text);
}

int srv_delete_tagging_finish(struct srv_request *r)
{
    char none[] = "";

    r->reply.status = 204;
    return change_object(r, set_tags, none);
}

int srv_get_tagging_finish(struct srv_request *r)
{
    srv_autoobject struct srv_object *o =
        srv_store_get(r->srv->store, r->bucket, r->key, &r->error);
    srv_autopairs struct srv_pairs tags = {0};
    struct srv_buf *xml;

    if (o == NULL || srv_tags_split(o->attrs.tags, &tags, &r->error) < 0)
        return -1;
    xml = srv_reply_xml(r);
    srv_buf_puts(xml, "<Tagging><TagSet>");
    for (size_t i = 0; i < tags.count; i++) {
        srv_buf_puts(xml, "<Tag>");
        srv_xml_text(xml, "Key", tags.items[i].name);
        srv_xml_text(xml, "Value", tags.items[i].value == NULL ? "" : tags.items[i].value);
        srv_buf_puts(xml, "</Tag>");
    }
    srv_buf_puts(xml, "</TagSet></Tagging>\n");
    return 0;
}

static int set_acl(struct srv_request *r, struct srv_object *copy, void *arg)
{
    (void)r;
    free(copy->attrs.acl);
    copy->attrs.acl = srv_xstrdup(arg);
    return 0;
}

int srv_put_object_acl_finish(struct srv_request *r)
{
    const char *header = srv_header(r, "x-oss-object-acl");
    srv_autofree char *acl = srv_xstrdup(header == NULL ? "" : header);

    if (!srv_object_acl_valid(acl))
        return srv_fail(&r->error, "InvalidArgument", "no such object access control exists");
    return change_object(r, set_acl, acl);
}

int srv_get_object_acl_finish(struct srv_request *r)
{
    srv_autoobject struct srv_object *o =
        srv_store_get(r->srv->store, r->bucket, r->key, &r->error);
    struct srv_buf *xml;

    if (o == NULL)
        return -1;
    xml = srv_reply_xml(r);
    srv_buf_puts(xml, "<AccessControlPolicy><Owner><ID>1234567890</ID><DisplayName>1234567890"
                      "</DisplayName></Owner><AccessControlList>");
    srv_xml_text(xml, "Grant", o->attrs.acl);
    srv_buf_puts(xml, "</AccessControlList></AccessControlPolicy>\n");
    return 0;
}

int srv_get_symlink_finish(struct srv_request *r)
{
    srv_autoobject struct srv_object *o =
        srv_store_get(r->srv->store, r->bucket, r->key, &r->error);
    srv_autobuf struct srv_buf target = {0};
    char when[SRV_TIME_TEXT_MAX];

    if (o == NULL)
        return -1;
    if (o->type != SRV_SYMLINK)
        return srv_fail(&r->error, "NotSymlink", "The object you specified is not a symlink.");
    srv_percent_encode(&target, o->target, false);
    srv_time_http(o->mtime_ms / 1000, when);
    srv_reply_header(r, "x-oss-symlink-target", "%s", srv_buf_str(&target));
    srv_reply_header(r, "ETag", "\"%s\"", o->etag);
    srv_reply_header(r, "Last-Modified", "%s", when);
    return 0;
}

static int start_restore(struct srv_request *r, struct srv_object *copy, void *arg)
{
    int64_t now = srv_clock_ms();

    (void)arg;
    if (!srv_storage_class_archive(copy->attrs.storage_class))
        return srv_fail(&r->error, "OperationNotSupported",
                        "The operation is not supported for this resource.");
    if (copy->restore_ready_ms > now)
        return srv_fail(&r->error, "RestoreAlreadyInProgress",
                        "The restore operation is in progress.");
    r->reply.status = copy->restore_ready_ms == 0 ? 202 : 200;
    copy->restore_ready_ms = now + (int64_t)r->srv->switches.restore_ms;
    return 0;
}

int srv_restore_finish(struct srv_request *r)
{
    return change_object(r, start_restore, NULL);
}

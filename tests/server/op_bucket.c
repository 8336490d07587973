#include "server/ops.h"

#include "server/attrs.h"
#include "server/clock.h"
#include "server/xml.h"

#include <inttypes.h>

#define OWNER_ID "1234567890"

static void add_owner(struct srv_buf *xml)
{
    srv_buf_puts(xml,
                 "<Owner><ID>" OWNER_ID "</ID><DisplayName>" OWNER_ID "</DisplayName></Owner>");
}

static void add_acl(struct srv_buf *xml, const char *acl)
{
    srv_buf_puts(xml, "<AccessControlList>");
    srv_xml_text(xml, "Grant", acl);
    srv_buf_puts(xml, "</AccessControlList>");
}

static void add_endpoints(struct srv_request *r, struct srv_buf *xml)
{
    srv_buf_printf(xml,
                   "<ExtranetEndpoint>oss-%s.aliyuncs.com</ExtranetEndpoint>"
                   "<IntranetEndpoint>oss-%s-internal.aliyuncs.com</IntranetEndpoint>"
                   "<Location>oss-%s</Location>",
                   r->srv->region, r->srv->region, r->srv->region);
}

static bool bucket_acl_valid(const char *acl)
{
    return srv_object_acl_valid(acl) && !srv_streq(acl, "default");
}

static int bad_acl(struct srv_request *r, const char *acl)
{
    (void)srv_fail(&r->error, "InvalidArgument", "no such bucket access control exists");
    srv_error_detail(&r->error, "ArgumentName", "x-oss-acl");
    srv_error_detail(&r->error, "ArgumentValue", acl);
    return -1;
}

int srv_list_buckets_finish(struct srv_request *r)
{
    srv_autopairs struct srv_pairs names = {0};
    struct srv_buf *xml = srv_reply_xml(r);

    srv_store_bucket_names(r->srv->store, &names);
    srv_buf_puts(xml, "<ListAllMyBucketsResult>");
    add_owner(xml);
    srv_buf_puts(xml, "<Buckets>");
    for (size_t i = 0; i < names.count; i++) {
        struct srv_bucket_info info = {0};
        struct srv_error gone = {0};

        if (srv_store_bucket_info(r->srv->store, names.items[i].name, &info, &gone) == 0) {
            srv_buf_puts(xml, "<Bucket>");
            srv_xml_text(xml, "Name", info.name);
            srv_xml_time(xml, "CreationDate", info.created_ms);
            add_endpoints(r, xml);
            srv_xml_text(xml, "Region", r->srv->region);
            srv_xml_text(xml, "StorageClass", info.storage_class);
            srv_buf_puts(xml, "</Bucket>");
        }
        srv_bucket_info_fini(&info);
        srv_error_fini(&gone);
    }
    srv_buf_puts(xml, "</Buckets></ListAllMyBucketsResult>\n");
    return 0;
}

int srv_put_bucket_finish(struct srv_request *r)
{
    const char *acl = srv_header(r, "x-oss-acl");
    srv_autofree char *storage_class = NULL;
    struct srv_bucket_info there = {0};
    struct srv_bucket_info info = {0};
    struct srv_error missing = {0};
    int done;

    if (acl != NULL && !bucket_acl_valid(acl))
        return bad_acl(r, acl);
    if (r->text.len > 0 &&
        srv_xml_parse_bucket(srv_buf_str(&r->text), r->text.len, &storage_class) < 0)
        return srv_fail(&r->error, "MalformedXML", "The XML you provided was not well-formed.");
    if (storage_class != NULL && !srv_storage_class_valid(storage_class))
        return srv_fail(&r->error, "InvalidArgument", "The storage class is not valid.");
    done = srv_store_bucket_info(r->srv->store, r->bucket, &there, &missing);
    srv_error_fini(&missing);
    info = (struct srv_bucket_info){
        .name = srv_xstrdup(r->bucket),
        .acl = srv_xstrdup(acl != NULL ? acl
                           : done == 0 ? there.acl
                                       : "private"),
        .storage_class = srv_xstrdup(storage_class != NULL ? storage_class
                                     : done == 0           ? there.storage_class
                                                           : SRV_STANDARD_CLASS),
        .hns = r->srv->hns,
        .created_ms = srv_clock_ms(),
    };
    if (done == 0 && storage_class != NULL && !srv_streq(storage_class, there.storage_class))
        done = srv_fail(&r->error, "BucketAlreadyExists",
                        "The requested bucket name is not available.");
    else
        done = srv_store_bucket_put(r->srv->store, &info, &r->error);
    srv_bucket_info_fini(&there);
    srv_bucket_info_fini(&info);
    srv_reply_header(r, "Location", "/%s", r->bucket);
    return done;
}

int srv_put_bucket_acl_finish(struct srv_request *r)
{
    const char *acl = srv_header(r, "x-oss-acl");
    struct srv_bucket_info info = {0};
    int done;

    if (acl == NULL || !bucket_acl_valid(acl))
        return bad_acl(r, acl == NULL ? "" : acl);
    if (srv_store_bucket_info(r->srv->store, r->bucket, &info, &r->error) < 0)
        return -1;
    free(info.acl);
    info.acl = srv_xstrdup(acl);
    done = srv_store_bucket_put(r->srv->store, &info, &r->error);
    srv_bucket_info_fini(&info);
    return done;
}

int srv_delete_bucket_finish(struct srv_request *r)
{
    r->reply.status = 204;
    return srv_store_bucket_delete(r->srv->store, r->bucket, &r->error);
}

int srv_bucket_info_finish(struct srv_request *r)
{
    struct srv_bucket_info info = {0};
    struct srv_buf *xml;

    if (srv_store_bucket_info(r->srv->store, r->bucket, &info, &r->error) < 0)
        return -1;
    xml = srv_reply_xml(r);
    srv_buf_puts(xml, "<BucketInfo><Bucket>");
    srv_xml_time(xml, "CreationDate", info.created_ms);
    add_endpoints(r, xml);
    srv_xml_text(xml, "Name", info.name);
    add_owner(xml);
    add_acl(xml, info.acl);
    srv_xml_text(xml, "StorageClass", info.storage_class);
    srv_xml_text(xml, "DataRedundancyType", "LRS");
    if (info.hns)
        srv_xml_text(xml, "HierarchicalNamespace", "Enabled");
    srv_buf_puts(xml, "<ServerSideEncryptionRule><SSEAlgorithm>None</SSEAlgorithm>"
                      "</ServerSideEncryptionRule><TransferAcceleration>Disabled"
                      "</TransferAcceleration><CrossRegionReplication>Disabled"
                      "</CrossRegionReplication><Comment></Comment>");
    srv_buf_puts(xml, "</Bucket></BucketInfo>\n");
    srv_bucket_info_fini(&info);
    return 0;
}

int srv_bucket_location_finish(struct srv_request *r)
{
    srv_buf_printf(srv_reply_xml(r), "<LocationConstraint>oss-%s</LocationConstraint>\n",
                   r->srv->region);
    return 0;
}

int srv_bucket_acl_finish(struct srv_request *r)
{
    struct srv_bucket_info info = {0};
    struct srv_buf *xml;

    if (srv_store_bucket_info(r->srv->store, r->bucket, &info, &r->error) < 0)
        return -1;
    xml = srv_reply_xml(r);
    srv_buf_puts(xml, "<AccessControlPolicy>");
    add_owner(xml);
    add_acl(xml, info.acl);
    srv_buf_puts(xml, "</AccessControlPolicy>\n");
    srv_bucket_info_fini(&info);
    return 0;
}

int srv_bucket_stat_finish(struct srv_request *r)
{
    struct srv_bucket_info info = {0};
    struct srv_buf *xml;

    if (srv_store_bucket_info(r->srv->store, r->bucket, &info, &r->error) < 0)
        return -1;
    xml = srv_reply_xml(r);
    srv_buf_printf(xml,
                   "<BucketStat><Storage>%" PRIu64 "</Storage><ObjectCount>%" PRIu64
                   "</ObjectCount><MultipartUploadCount>%" PRIu64
                   "</MultipartUploadCount><LastModifiedTime>%" PRId64
                   "</LastModifiedTime></BucketStat>\n",
                   info.bytes, info.object_count, info.upload_count, srv_clock_ms() / 1000);
    srv_bucket_info_fini(&info);
    return 0;
}

int srv_bucket_versioning_finish(struct srv_request *r)
{
    srv_buf_puts(srv_reply_xml(r), "<VersioningConfiguration></VersioningConfiguration>\n");
    return 0;
}

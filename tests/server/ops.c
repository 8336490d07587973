#include "server/ops.h"

#include "server/attrs.h"
#include "server/clock.h"

enum level {
    SERVICE,
    BUCKET,
    OBJECT,
};

static int not_implemented(struct srv_request *r)
{
    (void)srv_fail(&r->error, "NotImplemented",
                   "A header or query you provided implies functionality that is not implemented.");
    return -1;
}

static int method_not_allowed(struct srv_request *r)
{
    (void)srv_fail(&r->error, "MethodNotAllowed",
                   "The specified method is not allowed against this resource.");
    srv_error_detail(&r->error, "Method", r->method);
    return -1;
}

/*
 * The first row that fits is the operation. @query has to be there ("" asks for
 * nothing); @header likewise. Rows without a query stand behind those with one.
 */
static const struct route {
    enum level level;
    const char *method;
    const char *query;
    const char *header;
    struct srv_operation op;
} routes[] = {
#define READ  SRV_ACCESS_READ
#define WRITE SRV_ACCESS_WRITE
#define OWNER SRV_ACCESS_OWNER
#define NONE  SRV_BODY_DISCARD
#define TEXT  SRV_BODY_MEMORY
#define DATA  SRV_BODY_DATA
    {SERVICE, "GET", "", "", {"ListBuckets", OWNER, NONE, NULL, srv_list_buckets_finish, 0, 0}},

    {BUCKET,
     "GET",
     "bucketInfo",
     "",
     {"GetBucketInfo", OWNER, NONE, NULL, srv_bucket_info_finish, 0, 0}},
    {BUCKET,
     "GET",
     "location",
     "",
     {"GetBucketLocation", OWNER, NONE, NULL, srv_bucket_location_finish, 0, 0}},
    {BUCKET, "GET", "acl", "", {"GetBucketAcl", OWNER, NONE, NULL, srv_bucket_acl_finish, 0, 0}},
    {BUCKET, "GET", "stat", "", {"GetBucketStat", OWNER, NONE, NULL, srv_bucket_stat_finish, 0, 0}},
    {BUCKET,
     "GET",
     "versioning",
     "",
     {"GetBucketVersioning", OWNER, NONE, NULL, srv_bucket_versioning_finish, 0, 0}},
    {BUCKET,
     "GET",
     "uploads",
     "",
     {"ListMultipartUploads", READ, NONE, NULL, srv_list_uploads_finish, 0, 0}},
    {BUCKET,
     "GET",
     "list-type",
     "",
     {"ListObjectsV2", READ, NONE, NULL, srv_list_objects_v2_finish, 0, 0}},
    {BUCKET, "GET", "", "", {"ListObjects", READ, NONE, NULL, srv_list_objects_finish, 0, 0}},
    {BUCKET,
     "PUT",
     "acl",
     "",
     {"PutBucketAcl", OWNER, NONE, NULL, srv_put_bucket_acl_finish, 0, 0}},
    {BUCKET,
     "PUT",
     "",
     "content-length",
     {"PutBucket", OWNER, TEXT, NULL, srv_put_bucket_finish, 0, 0}},
    {BUCKET, "PUT", "", "", {"PutBucket", OWNER, NONE, NULL, srv_put_bucket_finish, 0, 0}},
    {BUCKET,
     "POST",
     "delete",
     "",
     {"DeleteMultipleObjects", WRITE, TEXT, srv_delete_multiple_begin, srv_delete_multiple_finish,
      0, 1}},
    {BUCKET, "DELETE", "", "", {"DeleteBucket", OWNER, NONE, NULL, srv_delete_bucket_finish, 0, 0}},

    {OBJECT, "GET", "uploadId", "", {"ListParts", READ, NONE, NULL, srv_list_parts_finish, 0, 0}},
    {OBJECT, "GET", "symlink", "", {"GetSymlink", READ, NONE, NULL, srv_get_symlink_finish, 0, 1}},
    {OBJECT,
     "GET",
     "tagging",
     "",
     {"GetObjectTagging", READ, NONE, NULL, srv_get_tagging_finish, 0, 0}},
    {OBJECT,
     "GET",
     "acl",
     "",
     {"GetObjectAcl", OWNER, NONE, NULL, srv_get_object_acl_finish, 0, 0}},
    {OBJECT,
     "GET",
     "objectMeta",
     "",
     {"GetObjectMeta", READ, NONE, NULL, srv_get_object_meta_finish, 0, 0}},
    {OBJECT, "GET", "", "", {"GetObject", READ, NONE, NULL, srv_get_object_finish, 0, 0}},
    {OBJECT,
     "HEAD",
     "objectMeta",
     "",
     {"GetObjectMeta", READ, NONE, NULL, srv_get_object_meta_finish, 0, 0}},
    {OBJECT, "HEAD", "", "", {"HeadObject", READ, NONE, NULL, srv_get_object_finish, 0, 0}},

    {OBJECT,
     "PUT",
     "uploadId",
     "x-oss-copy-source",
     {"UploadPartCopy", WRITE, NONE, srv_upload_part_begin, srv_upload_part_copy_finish, 0, 0}},
    {OBJECT,
     "PUT",
     "uploadId",
     "",
     {"UploadPart", WRITE, DATA, srv_upload_part_begin, srv_upload_part_finish, 0, 0}},
    {OBJECT, "PUT", "symlink", "", {"PutSymlink", WRITE, NONE, NULL, srv_put_symlink_finish, 0, 1}},
    {OBJECT,
     "PUT",
     "tagging",
     "",
     {"PutObjectTagging", WRITE, TEXT, NULL, srv_put_tagging_finish, 0, 0}},
    {OBJECT,
     "PUT",
     "acl",
     "",
     {"PutObjectAcl", OWNER, NONE, NULL, srv_put_object_acl_finish, 0, 0}},
    {OBJECT,
     "PUT",
     "",
     "x-oss-copy-source",
     {"CopyObject", WRITE, NONE, NULL, srv_copy_object_finish, 0, 0}},
    {OBJECT,
     "PUT",
     "",
     "",
     {"PutObject", WRITE, DATA, srv_put_object_begin, srv_put_object_finish, 0, 0}},

    {OBJECT,
     "POST",
     "uploads",
     "",
     {"InitiateMultipartUpload", WRITE, NONE, NULL, srv_initiate_finish, 0, 0}},
    {OBJECT,
     "POST",
     "uploadId",
     "x-oss-complete-all",
     {"CompleteMultipartUpload", WRITE, NONE, srv_complete_begin, srv_complete_finish, 0, 0}},
    {OBJECT,
     "POST",
     "uploadId",
     "",
     {"CompleteMultipartUpload", WRITE, TEXT, srv_complete_begin, srv_complete_finish, 0, 0}},
    {OBJECT,
     "POST",
     "append",
     "",
     {"AppendObject", WRITE, DATA, srv_append_object_begin, srv_append_object_finish, 0, 1}},
    {OBJECT,
     "POST",
     "seal",
     "",
     {"SealAppendObject", WRITE, NONE, NULL, srv_seal_object_finish, 0, 1}},
    {OBJECT, "POST", "restore", "", {"RestoreObject", WRITE, NONE, NULL, srv_restore_finish, 0, 1}},
    {OBJECT,
     "POST",
     "x-oss-rename",
     "",
     {"RenameObject", WRITE, NONE, NULL, srv_rename_finish, 1, 0}},
    {OBJECT,
     "POST",
     "x-oss-dir",
     "",
     {"CreateDirectory", WRITE, NONE, NULL, srv_create_directory_finish, 1, 0}},
    {OBJECT,
     "POST",
     "x-oss-delete",
     "",
     {"DeleteDirectory", WRITE, NONE, NULL, srv_delete_directory_finish, 1, 0}},

    {OBJECT,
     "DELETE",
     "uploadId",
     "",
     {"AbortMultipartUpload", WRITE, NONE, NULL, srv_abort_finish, 0, 0}},
    {OBJECT,
     "DELETE",
     "tagging",
     "",
     {"DeleteObjectTagging", WRITE, NONE, NULL, srv_delete_tagging_finish, 0, 0}},
    {OBJECT, "DELETE", "", "", {"DeleteObject", WRITE, NONE, NULL, srv_delete_object_finish, 0, 0}},
#undef READ
#undef WRITE
#undef OWNER
#undef NONE
#undef TEXT
#undef DATA
};

#define ROUTE_COUNT (sizeof(routes) / sizeof(routes[0]))

static const struct srv_operation op_control = {
    "Control", SRV_ACCESS_OPEN, SRV_BODY_MEMORY, srv_control_begin, srv_control_finish, 0, 0};
static const struct srv_operation op_control_get = {
    "Control", SRV_ACCESS_OPEN, SRV_BODY_DISCARD, srv_control_begin, srv_control_finish, 0, 0};
static const struct srv_operation op_unknown = {
    "Unknown", SRV_ACCESS_OWNER, SRV_BODY_DISCARD, method_not_allowed, NULL, 0, 0};
static const struct srv_operation op_not_implemented = {
    "NotImplemented", SRV_ACCESS_OWNER, SRV_BODY_DISCARD, not_implemented, NULL, 0, 0};

/* Bucket settings that exist in OSS and not here: else they would be taken for a listing. */
static bool is_unsupported(const struct srv_request *r)
{
    static const char *const names[] = {
        "cors",    "encryption",  "inventory",      "lifecycle",     "logging",
        "policy",  "referer",     "replication",    "versions",      "website",
        "worm",    "tagging",     "requestPayment", "metaQuery",     "transferAcceleration",
        "qosInfo", "accessPoint", "resourceGroup",  "accessMonitor",
    };

    for (size_t i = 0; r->key == NULL && i < sizeof(names) / sizeof(names[0]); i++)
        if (srv_pairs_find(&r->query, names[i]) != NULL)
            return true;
    return false;
}

static bool fits(const struct srv_request *r, const struct route *route, enum level level)
{
    return route->level == level && srv_streq(route->method, r->method) &&
           (route->query[0] == '\0' || srv_query(r, route->query) != NULL) &&
           (route->header[0] == '\0' || srv_header(r, route->header) != NULL);
}

const struct srv_operation *srv_route(const struct srv_request *r)
{
    enum level level = r->bucket == NULL ? SERVICE : r->key == NULL ? BUCKET : OBJECT;

    if (srv_starts_with(r->target, SRV_CONTROL_PREFIX))
        return r->has_body ? &op_control : &op_control_get;
    if (is_unsupported(r))
        return &op_not_implemented;
    for (size_t i = 0; i < ROUTE_COUNT; i++)
        if (fits(r, &routes[i], level))
            return &routes[i].op;
    return &op_unknown;
}

/* Rows of one name share a counter: the place of the first of them. */
size_t srv_op_number(const struct srv_operation *op)
{
    _Static_assert(ROUTE_COUNT < SRV_OPERATION_COUNT, "room for all counters");

    for (size_t i = 0; i < ROUTE_COUNT; i++)
        if (srv_streq(routes[i].op.name, op->name))
            return i;
    return ROUTE_COUNT;
}

static void replace_object(struct srv_request *r)
{
    struct srv_error ignored = {0};
    struct srv_pairs no_headers = {0};
    srv_autoobject struct srv_object *o = NULL;

    o = srv_object_from_memory(r->srv, &no_headers, r->plan.replace_body,
                               strlen(r->plan.replace_body));
    if (o != NULL)
        (void)srv_store_put(r->srv->store, r->bucket, r->key, o, false, &ignored);
    srv_error_fini(&ignored);
}

void srv_ops_before(struct srv_request *r)
{
    const char *id = srv_query(r, "uploadId");
    struct srv_error ignored = {0};

    if (r->bucket == NULL || r->key == NULL)
        return;
    if (r->plan.abort_upload && id != NULL)
        (void)srv_store_abort(r->srv->store, r->bucket, r->key, id, &ignored);
    if (r->plan.replace_body != NULL)
        replace_object(r);
    srv_error_fini(&ignored);
}

/*
 * All operations, and which one a request is. One .c file a subject:
 *
 *   op_read.c       GetObject, HeadObject, GetObjectMeta
 *   op_write.c      PutObject, AppendObject, DeleteObject, PutSymlink
 *   op_copy.c       CopyObject, UploadPartCopy
 *   op_multipart.c  Initiate, UploadPart, Complete, Abort, ListParts, ListMultipartUploads
 *   op_list.c       ListObjects, ListObjectsV2
 *   op_delete.c     DeleteMultipleObjects
 *   op_bucket.c     everything about buckets
 *   op_attributes.c ACL, tagging, symlink targets, restore
 *   op_hns.c        rename and directories of hierarchical buckets
 *   control.c       the control path
 *
 * Names follow srv_NAME_begin (head is read, body is not) and srv_NAME_finish.
 */
#ifndef SRV_OPS_H
#define SRV_OPS_H

#include "server/request.h"

#define SRV_CONTROL_PREFIX "/-/control/"

/* srv_route() - never NULL: what is no operation is "Unknown", which refuses */
const struct srv_operation *srv_route(const struct srv_request *r);
/* srv_op_number() - 0..SRV_OPERATION_COUNT-1, the place of its counter */
size_t srv_op_number(const struct srv_operation *op);
/* srv_ops_before() - the plan's changes behind the client's back */
void srv_ops_before(struct srv_request *r);

int srv_get_object_finish(struct srv_request *r);
int srv_get_object_meta_finish(struct srv_request *r);

int srv_put_object_begin(struct srv_request *r);
int srv_put_object_finish(struct srv_request *r);
int srv_append_object_begin(struct srv_request *r);
int srv_append_object_finish(struct srv_request *r);
int srv_seal_object_finish(struct srv_request *r);
int srv_delete_object_finish(struct srv_request *r);
int srv_put_symlink_finish(struct srv_request *r);
int srv_delete_multiple_begin(struct srv_request *r);
int srv_delete_multiple_finish(struct srv_request *r);

int srv_copy_object_finish(struct srv_request *r);
int srv_upload_part_copy_finish(struct srv_request *r);

int srv_initiate_finish(struct srv_request *r);
int srv_upload_part_begin(struct srv_request *r);
int srv_upload_part_finish(struct srv_request *r);
int srv_complete_begin(struct srv_request *r);
int srv_complete_finish(struct srv_request *r);
int srv_abort_finish(struct srv_request *r);
int srv_list_parts_finish(struct srv_request *r);
int srv_list_uploads_finish(struct srv_request *r);

int srv_list_objects_finish(struct srv_request *r);
int srv_list_objects_v2_finish(struct srv_request *r);

int srv_list_buckets_finish(struct srv_request *r);
int srv_put_bucket_finish(struct srv_request *r);
int srv_put_bucket_acl_finish(struct srv_request *r);
int srv_delete_bucket_finish(struct srv_request *r);
int srv_bucket_info_finish(struct srv_request *r);
int srv_bucket_location_finish(struct srv_request *r);
int srv_bucket_acl_finish(struct srv_request *r);
int srv_bucket_stat_finish(struct srv_request *r);
int srv_bucket_versioning_finish(struct srv_request *r);

int srv_get_object_acl_finish(struct srv_request *r);
int srv_put_object_acl_finish(struct srv_request *r);
int srv_get_tagging_finish(struct srv_request *r);
int srv_put_tagging_finish(struct srv_request *r);
int srv_delete_tagging_finish(struct srv_request *r);
int srv_get_symlink_finish(struct srv_request *r);
int srv_restore_finish(struct srv_request *r);

int srv_rename_finish(struct srv_request *r);
int srv_create_directory_finish(struct srv_request *r);
int srv_delete_directory_finish(struct srv_request *r);

int srv_control_begin(struct srv_request *r);
int srv_control_finish(struct srv_request *r);

#endif

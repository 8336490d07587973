/*
 * The S3 dialect (--s3): as OSS's S3-compatible endpoint, for programs that speak nothing else.
 *
 * A request signed with AWS4-HMAC-SHA256 is checked, and its x-amz-* headers become x-oss-*; the
 * reply's headers go back the other way. Operations, query and XML are the same on both sides as far
 * as s3fs and rclone use them. The body is not compared with x-amz-content-sha256.
 */
#ifndef SRV_DIALECT_S3_H
#define SRV_DIALECT_S3_H

#include "server/request.h"

/* srv_s3_translate() - after the head was read, before it is routed; 0 (also: it is OSS's), or -1 */
int srv_s3_translate(struct srv_request *r);
/* srv_s3_reply() - the headers of a finished reply, if the request was S3's */
void srv_s3_reply(struct srv_request *r);

#endif

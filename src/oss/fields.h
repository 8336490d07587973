/*
 * Headers that operations share: what is stored with an object, what replies tell about it.
 * Private to src/oss. Pure; any thread. Source: oss-protocol section 4.
 */
#ifndef OSSUP_OSS_FIELDS_H
#define OSSUP_OSS_FIELDS_H

#include "oss/request.h"

/**
 * oss_fields_add() - the user headers of a write, with the client's defaults
 * @h: NULL: the defaults only
 *
 * Return: 0; -EINVAL a name or value that OSS refuses; -E2BIG metadata over OSS_META_MAX.
 */
int oss_fields_add(const struct oss_client *c, struct oss_request *rq,
                   const struct oss_object_headers *h, struct ou_error *err);
/** oss_fields_storage() - of these only what is never inherited: class and encryption; @h as above. */
void oss_fields_storage(const struct oss_client *c, struct oss_request *rq,
                        const struct oss_object_headers *h);
/** oss_fields_traffic() - x-oss-traffic-limit, where the operation knows it and the client has one. */
void oss_fields_traffic(const struct oss_client *c, struct oss_request *rq);
/** oss_fields_source() - x-oss-copy-source of a key of this bucket, and if-match (NULL: none). */
void oss_fields_source(const struct oss_client *c, struct oss_request *rq, const char *source_key,
                       const char *if_match);

/** oss_fields_object() - what a HEAD or GET reply tells; @out is filled only on success. */
int oss_fields_object(const struct oss_http_reply *reply, struct oss_object *out,
                      struct ou_error *err);
/** oss_fields_accept_written() - an .accept for writes: what was stored has an ETag. @rq->ctx: struct oss_written. */
int oss_fields_accept_written(struct oss_request *rq, struct oss_reply *reply,
                              struct ou_error *err);
/**
 * oss_fields_result() - what the reply of a write with a document tells
 * @root: of the document, which holds an ETag; without a document the headers must
 */
int oss_fields_result(const struct oss_reply *reply, const char *root, struct oss_written *out,
                      struct ou_error *err);
/** oss_fields_written() - what a write's reply tells. */
void oss_fields_written(const struct oss_http_reply *reply, struct oss_written *out);

#endif

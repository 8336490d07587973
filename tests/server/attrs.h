/*
 * User headers: reading and checking what a request fixes for an object, and
 * making objects from it.
 */
#ifndef SRV_ATTRS_H
#define SRV_ATTRS_H

#include "server/request.h"

#define SRV_STANDARD_CLASS "Standard"

/*
 * srv_attrs_parse() - the user headers of a request
 * @default_class: storage class if the request names none
 * Return: 0, or -1 after InvalidArgument, InvalidEncryptionAlgorithmError;
 * @attrs then is to be freed all the same.
 */
int srv_attrs_parse(const struct srv_pairs *headers, const char *default_class,
                    struct srv_attrs *attrs, struct srv_error *err);

/* srv_request_attrs() - the same for @r, into r->attrs, with its bucket's storage class */
int srv_request_attrs(struct srv_request *r);

/* srv_tags_check() - at most 10 tags, sizes and characters as OSS wants; 0 or -1 */
int srv_tags_check(const struct srv_pairs *tags, struct srv_error *err);
/* srv_tags_join() - "k=v&k2=v2", percent-encoded; the caller frees */
char *srv_tags_join(const struct srv_pairs *tags);
int srv_tags_split(const char *text, struct srv_pairs *tags, struct srv_error *err);

bool srv_storage_class_valid(const char *name);
bool srv_storage_class_archive(const char *name);
bool srv_object_acl_valid(const char *name);

/* srv_refuse_conditions() - writes have no If-Match and brothers: 0, or -1 after NotImplemented */
int srv_refuse_conditions(struct srv_request *r);

/* srv_forbid_overwrite() - is x-oss-forbid-overwrite: true there? */
bool srv_forbid_overwrite(const struct srv_request *r);

/* srv_set_checksums() - crc, MD5 and the simple ETag of @object, from a digest or a data file */
void srv_set_checksums(struct srv_object *object, uint64_t crc, bool has_md5,
                       const uint8_t md5[SRV_MD5_BYTES]);
/* srv_etag_of() - uppercase hex of the MD5; without one, of the CRC (switch no_md5) */
void srv_etag_of(uint64_t crc, bool has_md5, const uint8_t md5[SRV_MD5_BYTES],
                 char etag[SRV_ETAG_MAX]);

/* srv_object_from_memory() - a Normal object; NULL if the disk is full or a header bad */
struct srv_object *srv_object_from_memory(struct srv_server *srv, const struct srv_pairs *headers,
                                          const void *data, size_t len);

#endif

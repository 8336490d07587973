/*
 * One function an operation. Plain arguments in, a result struct and an error out.
 *
 * All block, all are thread-safe, all obey @call (NULL: as zeroed). Results are
 * filled only on success; the caller finis them. Errors are negative errnos by the
 * table in oss/errors.c; those a caller acts on are named here. What may be
 * repeated blindly is repeated by the operation within call->deadline_ms; for the
 * others see each. Source: oss-protocol sections 4 to 7.
 */
#ifndef OSSUP_OSS_OPS_H
#define OSSUP_OSS_OPS_H

#include "oss/client.h"
#include "oss/types.h"

#include <sys/types.h>

/*
 * A body that is pulled while it is sent. read() fills up to @len bytes at @offset of the body
 * and returns how many (> 0; fewer than asked for is fine), or a negative errno, which ends the
 * request unsent and is returned by the operation. A repetition starts again at offset 0.
 * Called on the operation's thread. The CRC-64 of what was sent is compared with the answer's
 * x-oss-hash-crc64ecma: a difference is -EIO, code "CrcMismatch", verdict OSS_RETRY.
 */
struct oss_body {
    uint64_t size;
    ssize_t (*read)(void *ctx, void *buf, size_t len, uint64_t offset, struct ou_error *err);
    void *ctx;
};

/*
 * A sink that is pushed to as bytes arrive; @offset counts from the start of the wanted range.
 * A negative return ends the request and is returned. After a cut connection the operation
 * goes on with the rest of the range (If-Match), so offsets never go back.
 */
struct oss_sink {
    int (*write)(void *ctx, const void *data, size_t len, uint64_t offset, struct ou_error *err);
    void *ctx;
};

/* -- objects -- */
int oss_put_object(struct oss_client *c, const struct oss_call *call, const char *key,
                   const struct oss_object_headers *headers, const struct oss_body *body,
                   struct oss_written *out, struct ou_error *err);
/** oss_head_object() - Return: 1 found (@out is filled), 0 no such key, negative errno. */
int oss_head_object(struct oss_client *c, const struct oss_call *call, const char *key,
                    struct oss_object *out, struct ou_error *err);
/**
 * oss_get_object() - bytes [@offset, @offset + @size) of the object, which must hold them
 * @if_match: ETag the object must have (NULL: any); it changed: -ESTALE
 * @out:      may be NULL
 *
 * A 200 to a range, a wrong Content-Range or a wrong length never reaches the sink. An object that
 * ends before the range does is -ESTALE, too. A whole object (@offset 0, @size all of it) is compared
 * with its CRC-64 once it has passed: -EIO, code "CrcMismatch".
 */
int oss_get_object(struct oss_client *c, const struct oss_call *call, const char *key,
                   uint64_t offset, uint64_t size, const char *if_match,
                   const struct oss_sink *sink, struct oss_object *out, struct ou_error *err);
/** oss_delete_object() - also 0 when there was none. -ENOTEMPTY: a directory of a hierarchical bucket. */
int oss_delete_object(struct oss_client *c, const struct oss_call *call, const char *key,
                      struct ou_error *err);
/**
 * oss_delete_objects() - one batch
 * @keys:    1..OSS_LIST_MAX keys (those XML cannot spell are deleted singly)
 * @deleted: @count flags, set for each key that is gone; also filled on failure
 *
 * A hierarchical bucket knows no batches: singly, what is in a directory before the directory; one
 * that is not empty is left out.
 *
 * Return: the number of keys deleted (a key OSS left out of its answer is not), or negative errno.
 */
int oss_delete_objects(struct oss_client *c, const struct oss_call *call, const char *const *keys,
                       size_t count, bool *deleted, struct ou_error *err);
/**
 * oss_copy_object() - server-side copy within the bucket
 * @if_match: the source's ETag (NULL: any); it changed: -ESTALE
 * @headers:  NULL, or .of_source: the source's metadata; else these replace it (a copy onto itself
 *            sets metadata). Class and encryption are never inherited: here, else the defaults.
 *
 * -EFBIG: too large for one request, use parts. -ENOENT: no source.
 */
int oss_copy_object(struct oss_client *c, const struct oss_call *call, const char *source_key,
                    const char *if_match, const char *key, const struct oss_object_headers *headers,
                    struct oss_written *out, struct ou_error *err);

/* -- multipart -- */
/** oss_initiate_upload() - not repeated after a lost answer (it may have made an id): OSS_RETRY is the caller's. */
int oss_initiate_upload(struct oss_client *c, const struct oss_call *call, const char *key,
                        const struct oss_object_headers *headers,
                        char upload_id[OSS_UPLOAD_ID_SIZE], struct ou_error *err);
int oss_upload_part(struct oss_client *c, const struct oss_call *call, const char *key,
                    const char *upload_id, unsigned number, const struct oss_body *body,
                    struct oss_written *out, struct ou_error *err);
/** oss_upload_part_copy() - Content-Range is checked; out->has_crc64 only if OSS told one. */
int oss_upload_part_copy(struct oss_client *c, const struct oss_call *call, const char *key,
                         const char *upload_id, unsigned number, const char *source_key,
                         uint64_t offset, uint64_t size, const char *if_match,
                         struct oss_written *out, struct ou_error *err);
/**
 * oss_complete_upload() - not repeated after a lost answer; NoSuchUpload is -ENOENT with that code
 * @parts: ascending numbers, with etags
 */
int oss_complete_upload(struct oss_client *c, const struct oss_call *call, const char *key,
                        const char *upload_id, const struct oss_part *parts, size_t count,
                        bool forbid_overwrite, struct oss_written *out, struct ou_error *err);
/** oss_abort_upload() - also 0 when there is no such upload. */
int oss_abort_upload(struct oss_client *c, const struct oss_call *call, const char *key,
                     const char *upload_id, struct ou_error *err);
/** oss_list_parts() - all pages. Return: 1, or 0 when there is no such upload, or negative errno. */
int oss_list_parts(struct oss_client *c, const struct oss_call *call, const char *key,
                   const char *upload_id, struct oss_part_list *out, struct ou_error *err);
/** oss_list_uploads() - one page; markers NULL to begin. */
int oss_list_uploads(struct oss_client *c, const struct oss_call *call, const char *prefix,
                     const char *key_marker, const char *upload_id_marker,
                     struct oss_upload_list *out, struct ou_error *err);

/* -- listings and the bucket -- */
/**
 * oss_list_objects() - one page of ListObjectsV2
 * @delimiter: "/" or NULL; @token: from the page before, NULL for the first;
 * @start_after: keys after this one (NULL: all), first page only; @max_keys: 1..OSS_LIST_MAX
 */
int oss_list_objects(struct oss_client *c, const struct oss_call *call, const char *prefix,
                     const char *delimiter, const char *start_after, const char *token,
                     unsigned max_keys, struct oss_list_page *out, struct ou_error *err);
int oss_bucket_info(struct oss_client *c, const struct oss_call *call, struct oss_bucket_info *out,
                    struct ou_error *err);

/* -- the rest of the client (issue: completeness) -- */
int oss_append_object(struct oss_client *c, const struct oss_call *call, const char *key,
                      uint64_t position, const struct oss_object_headers *headers,
                      const struct oss_body *body, uint64_t *next_position, struct oss_written *out,
                      struct ou_error *err);
int oss_put_symlink(struct oss_client *c, const struct oss_call *call, const char *key,
                    const char *target_key, const struct oss_object_headers *headers,
                    struct ou_error *err);
/** oss_get_symlink() - the target key into @target (bytes, NUL-terminated, the caller frees). */
int oss_get_symlink(struct oss_client *c, const struct oss_call *call, const char *key,
                    char **target, struct ou_error *err);

/* -- hierarchical buckets only (ops_hns.c): keys of directories with or without the "/" -- */
/** oss_create_directory() - and what is missing above it; also 0 when it is there. @out: may be NULL. */
int oss_create_directory(struct oss_client *c, const struct oss_call *call, const char *key,
                         struct oss_written *out, struct ou_error *err);
/** oss_delete_directory() - also 0 when there was none. -ENOTEMPTY. */
int oss_delete_directory(struct oss_client *c, const struct oss_call *call, const char *key,
                         struct ou_error *err);
/**
 * oss_rename_object() - an object, or a directory with all that is in it
 *
 * @key must not exist (-EEXIST), the directory that it is in must (-ENOENT, as without a source).
 * Not repeated after a lost answer: OSS_RETRY is the caller's, who looks what has become of it.
 */
int oss_rename_object(struct oss_client *c, const struct oss_call *call, const char *source_key,
                      const char *key, struct ou_error *err);

#endif

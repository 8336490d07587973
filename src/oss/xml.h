/*
 * XML of OSS: from reply bodies to structs. Private to src/oss; libxml2 is known to xml.c only.
 *
 * Bytes from outside: at most OSS_XML_MAX of them, nested at most OSS_XML_DEPTH_MAX deep, no
 * DOCTYPE, no entities but the five, no network. Names are compared without their namespace,
 * unknown elements are skipped, children come in any order, values are trimmed, keys are decoded
 * where <EncodingType> says so and taken as they are where it does not. Pure; any thread.
 *
 * Each oss_xml_X() returns 0, -ENOMEM, or the error of code BadReply: not well-formed, another root
 * element, or something that must be there is not. On failure @out is empty.
 */
#ifndef OSSUP_OSS_XML_H
#define OSSUP_OSS_XML_H

#include "base/error.h"
#include "oss/errors.h"
#include "oss/types.h"

#include <stdbool.h>
#include <stddef.h>

#define OSS_XML_MAX         (UINT32_C(8) << 20)
#define OSS_XML_DEPTH_MAX   32u
#define OSS_XML_ENTRIES_MAX 10000u /* of one page; OSS sends at most 1000 */

/* An element that was closed. */
struct oss_xml_element {
    unsigned depth;     /* 0: the root */
    const char *parent; /* "" for the root */
    const char *name;
    char *text; /* trimmed, NUL-terminated, may be changed in place; "" when there are children */
    size_t len;
    char *whole; /* .text before it was trimmed: blanks are a part of a key that is not encoded */
};

/**
 * oss_xml_parse() - call @close for each element of the document, children first
 * @root:  the name the root element must have
 * @close: returns 0 to go on, negative (with @err set) to stop
 */
int oss_xml_parse(const void *data, size_t len, const char *root,
                  int (*close)(void *ctx, const struct oss_xml_element *e, struct ou_error *err),
                  void *ctx, struct ou_error *err);

/** oss_xml_bad() - the error for a reply that cannot be used. */
int oss_xml_bad(struct ou_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** oss_xml_is() - @e is called @name and stands in @parent. */
bool oss_xml_is(const struct oss_xml_element *e, const char *parent, const char *name);
/** oss_xml_copy() - into a field of fixed size. false: does not fit, the field is "". */
bool oss_xml_copy(char *out, size_t size, const char *text);
/** oss_xml_etag() - likewise without the quotes. */
bool oss_xml_etag(char out[OSS_ETAG_SIZE], const char *text);
/** oss_xml_key() - an element's .whole to the key's bytes, in place; @encoded: <EncodingType> says url. */
size_t oss_xml_key(char *text, bool encoded);

/** oss_xml_error() - Return: true when @data is an <Error> document with a <Code>. */
bool oss_xml_error(const void *data, size_t len, struct oss_refusal *out);

/** oss_xml_list() - ListObjects V1 and V2; @next_marker (V1): taken by the caller, NULL if none. */
int oss_xml_list(const void *data, size_t len, struct oss_list_page *out, char **next_marker,
                 struct ou_error *err);

int oss_xml_initiate(const void *data, size_t len, char upload_id[OSS_UPLOAD_ID_SIZE],
                     struct ou_error *err);
/** oss_xml_result_etag() - the ETag of a document with root @root (Complete, copies). */
int oss_xml_result_etag(const void *data, size_t len, const char *root, char etag[OSS_ETAG_SIZE],
                        struct ou_error *err);
/** oss_xml_parts() - appends one page to @out. */
int oss_xml_parts(const void *data, size_t len, struct oss_part_list *out, bool *truncated,
                  unsigned *next_marker, struct ou_error *err);
int oss_xml_uploads(const void *data, size_t len, struct oss_upload_list *out,
                    struct ou_error *err);

/** oss_xml_deleted() - calls @deleted for each key of a DeleteResult; an empty body has none. */
int oss_xml_deleted(const void *data, size_t len,
                    void (*deleted)(void *ctx, const char *key, size_t key_len), void *ctx,
                    struct ou_error *err);
int oss_xml_bucket_info(const void *data, size_t len, struct oss_bucket_info *out,
                        struct ou_error *err);

#endif

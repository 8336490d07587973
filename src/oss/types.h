/*
 * The nouns of OSS: what operations take and give back. No locks.
 *
 * Strings in inputs are borrowed for the call. Results own their strings; each
 * has its _fini, which takes zeroed memory too. Sizes are bytes. ETags are kept
 * without their quotes. Protocol facts: oss-protocol sections 4 to 6.
 */
#ifndef OSSUP_OSS_TYPES_H
#define OSSUP_OSS_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define OSS_KEY_MAX         1023u /* bytes of UTF-8 */
#define OSS_META_MAX        8192u /* user metadata: names and values together */
#define OSS_LIST_MAX        1000u /* entries of a listing page, of a delete batch */
#define OSS_PART_NUMBER_MAX 10000u
#define OSS_PART_SIZE_MIN   (UINT64_C(100) << 10) /* the last part may be smaller */
#define OSS_PART_SIZE_MAX   (UINT64_C(5) << 30)
#define OSS_PUT_MAX         (UINT64_C(5) << 30)
#define OSS_COPY_OBJECT_SAFE                                                                       \
    (UINT64_C(1) << 30) /* above: UploadPartCopy (a copy onto itself has no limit) */
#define OSS_STORAGE_CLASSES                                                                        \
    "Standard", "IA", "Archive", "ColdArchive", "DeepColdArchive" /* numbered from 1 */
#define OSS_ETAG_SIZE      80
#define OSS_UPLOAD_ID_SIZE 128

/* x-oss-meta-NAME: value. Names lower case without the prefix; values as on the wire. */
struct oss_meta {
    const char *name;
    const char *value;
};

/* What PutObject, Initiate, Append and Copy with REPLACE store with an object ("user headers"). */
struct oss_object_headers {
    const char *content_type; /* NULL: application/octet-stream */
    const char *cache_control, *content_disposition, *content_encoding, *expires; /* NULL: none */
    const struct oss_meta *meta;
    size_t meta_count;
    const char *storage_class;    /* NULL: the client's default, else the bucket's */
    const char *sse, *sse_key_id; /* NULL: the client's default */
    bool forbid_overwrite;
    bool of_source; /* of a copy: metadata are the source's, only class and encryption count here */
};

/** oss_storage_class_of() - its number in OSS_STORAGE_CLASSES; 0: @name is NULL or none of them. */
unsigned char oss_storage_class_of(const char *name);
/** oss_storage_class_name() - NULL for 0. */
const char *oss_storage_class_name(unsigned char number);

/* What a HEAD or GET tells. */
struct oss_object {
    uint64_t size;
    char etag[OSS_ETAG_SIZE];
    uint64_t crc64;
    bool has_crc64;
    struct timespec last_modified;
    char content_type[512];
    char type[16];          /* Normal, Multipart, Appendable, Symlink; "" unknown */
    char storage_class[24]; /* "" unknown */
    char restore[96];       /* x-oss-restore, "" if absent */
    char version_id[128];   /* "" outside versioned buckets */
    char *cache_control, *content_disposition, *content_encoding, *expires; /* NULL: none */
    struct oss_meta *meta;                                                  /* owned strings */
    size_t meta_count;
};
void oss_object_fini(struct oss_object *o);
/** oss_object_meta() - the value of x-oss-meta-@name, or NULL. */
const char *oss_object_meta(const struct oss_object *o, const char *name);

/* What a write answers. */
struct oss_written {
    char etag[OSS_ETAG_SIZE];
    uint64_t crc64;
    bool has_crc64;
    int64_t date_s; /* the server's clock at that moment; 0: not told */
    char version_id[128];
    char request_id[48];
};

struct oss_list_entry {
    char *key; /* decoded bytes */
    size_t key_len;
    bool is_prefix; /* CommonPrefixes: key ends in the delimiter; the rest is zero */
    uint64_t size;
    char etag[OSS_ETAG_SIZE];
    struct timespec last_modified;
    char type[16];
    char storage_class[24];
};

/* One page; contents and common prefixes merged in byte order. */
struct oss_list_page {
    struct oss_list_entry *entries;
    size_t count;
    bool truncated;
    char *next_token; /* continuation token; NULL on the last page */
};
void oss_list_page_fini(struct oss_list_page *p);

struct oss_part {
    unsigned number; /* 1..OSS_PART_NUMBER_MAX */
    bool has_crc64;
    uint64_t size;
    uint64_t crc64;
    char etag[OSS_ETAG_SIZE];
};
struct oss_part_list {
    struct oss_part *parts;
    size_t count;
};
void oss_part_list_fini(struct oss_part_list *l);

struct oss_upload_entry {
    char *key;
    char upload_id[OSS_UPLOAD_ID_SIZE];
    struct timespec initiated;
};
struct oss_upload_list {
    struct oss_upload_entry *uploads;
    size_t count;
    bool truncated;
    char *next_key, *next_upload_id;
};
void oss_upload_list_fini(struct oss_upload_list *l);

struct oss_bucket_info {
    char location[64]; /* without the prefix "oss-": the signing region */
    char storage_class[24];
    bool versioning; /* enabled or suspended */
    bool hierarchical;
};

#endif

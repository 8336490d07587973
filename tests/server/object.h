/*
 * What lies in a bucket: data files, segments of them, objects, parts, uploads.
 *
 * A *data file* is written once and never changes. An object or a part is a list
 * of *segments*, each a stretch of a data file; so Complete, CopyObject and
 * UploadPartCopy move no bytes, they share data files. A data file goes away with
 * its last user.
 *
 * An object never changes once it is in the store: an update is a new object
 * that takes its place. So whoever holds a reference may read it without a lock.
 */
#ifndef SRV_OBJECT_H
#define SRV_OBJECT_H

#include "server/buf.h"
#include "server/digest.h"

#include <stdatomic.h>
#include <stdint.h>

struct srv_datadir;

/* A file keeps the CRC-64 up to each multiple of so many bytes: see segments.h. */
#define SRV_MARK_BYTES (UINT64_C(1) << 20)

struct srv_datafile {
    atomic_uint refs;
    struct srv_datadir *dir;
    uint64_t id;
    uint64_t size;
    uint64_t crc; /* of the whole file */
    bool has_md5;
    uint8_t md5[SRV_MD5_BYTES]; /* of the whole file */
    uint64_t *marks;   /* [i]: CRC-64 of the first (i + 1) * SRV_MARK_BYTES; in memory only */
    size_t mark_count; /* all that fit in .size, or 0: the file is from before a restart */
};

struct srv_datafile *srv_datafile_ref(struct srv_datafile *f);
void srv_datafile_unref(struct srv_datafile *f); /* NULL is fine; the last one deletes the file */

struct srv_segment {
    struct srv_datafile *file; /* a reference */
    uint64_t offset;
    uint64_t length; /* at least 1 */
};

struct srv_segments {
    struct srv_segment *items;
    size_t count;
    size_t cap;
    uint64_t size; /* sum of the lengths */
};

void srv_segments_fini(struct srv_segments *s);
/* srv_segments_add() - appends a stretch, with a reference of its own; length 0 adds nothing */
void srv_segments_add(struct srv_segments *s, struct srv_datafile *file, uint64_t offset,
                      uint64_t length);
/* srv_segments_slice() - appends bytes first..first+length-1 of @from, which has them */
void srv_segments_slice(struct srv_segments *to, const struct srv_segments *from, uint64_t first,
                        uint64_t length);

/* The user headers: what Put, Initiate, Append and Copy with REPLACE fix for an object. */
struct srv_attrs {
    struct srv_pairs headers; /* as they are returned; names in lower case */
    char *storage_class;      /* never NULL once filled */
    char *acl;                /* "default", "private", ... */
    char *tags;               /* "k1=v1&k2=v2", percent-encoded; "" if none */
};

void srv_attrs_fini(struct srv_attrs *a);
void srv_attrs_copy(struct srv_attrs *to, const struct srv_attrs *from);

enum srv_object_type {
    SRV_NORMAL,
    SRV_MULTIPART,
    SRV_APPENDABLE,
    SRV_SYMLINK,
    SRV_DIRECTORY, /* hierarchical namespace only */
};

const char *srv_object_type_name(enum srv_object_type type);

struct srv_object {
    atomic_uint refs;
    enum srv_object_type type;
    bool sealed;  /* Appendable that may not grow any more */
    bool has_crc; /* copied parts may lack one, then the object does */
    bool has_md5; /* Normal objects answer Content-MD5 */
    uint64_t crc;
    uint8_t md5[SRV_MD5_BYTES];
    char etag[SRV_ETAG_MAX]; /* without quotes */
    int64_t mtime_ms;
    int64_t restore_ready_ms; /* archive classes: when the restore is (was) done; 0: none asked */
    char *target;             /* Symlink: the key it leads to; else NULL */
    struct srv_attrs attrs;
    struct srv_segments segments;
};

struct srv_object *srv_object_new(enum srv_object_type type);
struct srv_object *srv_object_ref(struct srv_object *o);
void srv_object_unref(struct srv_object *o); /* NULL is fine */
/* srv_object_copy() - a new object equal to @o, to be changed before it is stored */
struct srv_object *srv_object_copy(const struct srv_object *o);
uint64_t srv_object_size(const struct srv_object *o);

static inline void srv_object_unrefp(struct srv_object **o)
{
    srv_object_unref(*o);
}
#define srv_autoobject __attribute__((cleanup(srv_object_unrefp)))

struct srv_part {
    unsigned number;
    bool has_crc;
    uint64_t crc;
    char etag[SRV_ETAG_MAX];
    int64_t mtime_ms;
    struct srv_segments segments;
};

void srv_part_fini(struct srv_part *p);

struct srv_upload {
    char *key;
    char *id;
    int64_t initiated_ms;
    bool sequential;
    struct srv_attrs attrs;
    struct srv_part *parts; /* ascending by number */
    size_t part_count;
    size_t part_cap;
};

void srv_upload_free(struct srv_upload *u);
/* srv_upload_set_part() - takes the content of @part and leaves it empty; replaces its number */
void srv_upload_set_part(struct srv_upload *u, struct srv_part *part);
const struct srv_part *srv_upload_part(const struct srv_upload *u, unsigned number);

#endif

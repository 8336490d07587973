/*
 * The store: buckets, objects and uploads, in memory and in the journal.
 *
 * Everything is held in sorted indexes in memory; ROOT/journal holds one JSON
 * line a change, appended by one write() before the change is made in memory.
 * So each change is atomic, also Complete, which takes an upload away and puts
 * an object there. At start the journal is replayed and rewritten without what
 * is gone; a torn last line (killed while writing) is dropped.
 *
 * Threads: every function may be called by any thread; one lock, held inside
 * only, and never across the reading or writing of a body.
 *
 * Errors: functions with a struct srv_error return 0 or -1 and refuse with the
 * code the client is to hear (NoSuchBucket, NoSuchKey, NoSuchUpload, ...).
 */
#ifndef SRV_STORE_H
#define SRV_STORE_H

#include "server/datadir.h"
#include "server/error.h"
#include "server/object.h"

struct srv_store;

/* srv_store_open() - NULL after a message on stderr; makes @root if it is not there */
struct srv_store *srv_store_open(const char *root);
void srv_store_free(struct srv_store *s);
struct srv_datadir *srv_store_datadir(struct srv_store *s);

/* --- buckets --- */

struct srv_bucket_info {
    char *name;
    char *acl;           /* "private", "public-read", "public-read-write" */
    char *storage_class; /* "Standard", ... */
    bool hns;            /* hierarchical namespace */
    int64_t created_ms;
    uint64_t object_count;
    uint64_t upload_count;
    uint64_t part_count;
    uint64_t bytes; /* of objects */
};

void srv_bucket_info_fini(struct srv_bucket_info *info);

/* srv_store_bucket_put() - creates it, or changes its ACL and class; HNS stays what it was */
int srv_store_bucket_put(struct srv_store *s, const struct srv_bucket_info *info,
                         struct srv_error *err);
int srv_store_bucket_delete(struct srv_store *s, const char *bucket, struct srv_error *err);
int srv_store_bucket_info(struct srv_store *s, const char *bucket, struct srv_bucket_info *info,
                          struct srv_error *err);
/* srv_store_bucket_names() - names in order; the caller frees the list */
void srv_store_bucket_names(struct srv_store *s, struct srv_pairs *names);

/* --- objects --- */

/* srv_store_get() - a reference (the caller unrefs), or NULL after NoSuchBucket/NoSuchKey */
struct srv_object *srv_store_get(struct srv_store *s, const char *bucket, const char *key,
                                 struct srv_error *err);

/*
 * srv_store_put() - @object becomes what lies at @key; the store takes a reference of its own
 * @forbid_overwrite: refuse with FileAlreadyExists if something lies there;
 *                    decided here, under the lock, so of several writers one wins
 */
int srv_store_put(struct srv_store *s, const char *bucket, const char *key,
                  struct srv_object *object, bool forbid_overwrite, struct srv_error *err);

/*
 * srv_store_replace() - put, if @old still is what lies at @key (NULL: nothing)
 * Return: 1 done, 0 something else lies there by now (try again), -1 refused.
 */
int srv_store_replace(struct srv_store *s, const char *bucket, const char *key,
                      const struct srv_object *old, struct srv_object *object,
                      struct srv_error *err);

/* srv_store_delete() - 0 also if nothing lay there */
int srv_store_delete(struct srv_store *s, const char *bucket, const char *key,
                     struct srv_error *err);

/*
 * srv_store_rename() - hierarchical namespace: moves @from and, if it is a directory
 * (key ends in '/'), all below it; one journal line. The caller has checked both ends.
 */
int srv_store_rename(struct srv_store *s, const char *bucket, const char *from, const char *to,
                     struct srv_error *err);

/* --- listings --- */

struct srv_list_entry {
    char *name;                /* key or common prefix */
    struct srv_object *object; /* a reference; NULL for a common prefix */
};

struct srv_list_page {
    struct srv_list_entry *entries;
    size_t count;
    bool truncated; /* there is more behind the last entry */
};

void srv_list_page_fini(struct srv_list_page *page);

/* srv_store_list() - see listing.h for the meaning of the arguments */
int srv_store_list(struct srv_store *s, const char *bucket, const char *prefix,
                   const char *delimiter, const char *after, size_t max, struct srv_list_page *page,
                   struct srv_error *err);

/* --- multipart uploads --- */

/* srv_store_upload_new() - *@id is new and unique; the caller frees it */
int srv_store_upload_new(struct srv_store *s, const char *bucket, const char *key,
                         const struct srv_attrs *attrs, bool sequential, char **id,
                         struct srv_error *err);

/*
 * srv_store_upload_check() - is there such an upload of this key?
 * @sequential: may be NULL; @next_part: may be NULL; last part number there + 1
 */
int srv_store_upload_check(struct srv_store *s, const char *bucket, const char *key, const char *id,
                           bool *sequential, unsigned *next_part, struct srv_error *err);

/* srv_store_part_put() - takes @part's content; replaces a part of the same number */
int srv_store_part_put(struct srv_store *s, const char *bucket, const char *key, const char *id,
                       struct srv_part *part, struct srv_error *err);

/*
 * srv_store_complete() - the upload becomes an object
 * @wanted: names are part numbers, values ETags; NULL: all parts there are
 * @object: a reference to the new object (the caller unrefs)
 * On failure the upload stays as it was.
 */
int srv_store_complete(struct srv_store *s, const char *bucket, const char *key, const char *id,
                       const struct srv_pairs *wanted, bool forbid_overwrite,
                       struct srv_object **object, struct srv_error *err);

int srv_store_abort(struct srv_store *s, const char *bucket, const char *key, const char *id,
                    struct srv_error *err);

/* What ListParts shows: a copy without the data. */
struct srv_upload_view {
    char *storage_class;
    struct srv_part *parts; /* segments: size only */
    size_t count;
    bool truncated;
};

void srv_upload_view_fini(struct srv_upload_view *view);
int srv_store_parts(struct srv_store *s, const char *bucket, const char *key, const char *id,
                    unsigned after, size_t max, struct srv_upload_view *view,
                    struct srv_error *err);

/* What ListMultipartUploads shows. */
struct srv_upload_entry {
    char *key; /* or common prefix */
    char *id;  /* NULL for a common prefix */
    char *storage_class;
    int64_t initiated_ms;
};

struct srv_upload_page {
    struct srv_upload_entry *entries;
    size_t count;
    bool truncated;
};

void srv_upload_page_fini(struct srv_upload_page *page);
/* @id_after counts only if @key_after is not empty */
int srv_store_uploads(struct srv_store *s, const char *bucket, const char *prefix,
                      const char *delimiter, const char *key_after, const char *id_after,
                      size_t max, struct srv_upload_page *page, struct srv_error *err);

#endif

/*
 * Inside the store: its state, and the changes themselves without lock, check or
 * journal line. The public functions check, write the line, then call these; the
 * replay at start calls them for each line. For store*.c and journal.c only.
 *
 * All but the first group want the lock held (or the start's single thread).
 */
#ifndef SRV_STORE_IMPL_H
#define SRV_STORE_IMPL_H

#include "server/index.h"
#include "server/lock.h"
#include "server/record.h"
#include "server/store.h"

#include <pthread.h>

struct srv_bucket {
    struct srv_bucket_info info; /* counts are filled in when asked */
    uint64_t bytes;
    struct srv_index objects; /* key -> struct srv_object, a reference */
    struct srv_index uploads; /* key, NUL, upload id -> struct srv_upload, owned */
};

struct srv_store {
    char *root;              /* constant */
    int lock_fd;             /* constant: flock()ed, one server at a time holds a root */
    struct srv_datadir data; /* has its own rules */
    uint64_t id_seed;        /* constant: upload ids differ between runs */
    pthread_mutex_t lock;    /* guards all below; taken after no other lock */
    int journal_fd;          /* O_APPEND */
    uint64_t upload_counter;
    struct srv_index buckets; /* name -> struct srv_bucket, owned */
};

/* srv_store_bucket_locked() - NULL after NoSuchBucket */
struct srv_bucket *srv_store_bucket_locked(struct srv_store *s, const char *bucket,
                                           struct srv_error *err);
struct srv_object *srv_bucket_object(const struct srv_bucket *b, const char *key);
struct srv_upload *srv_bucket_upload(const struct srv_bucket *b, const char *key, const char *id);

struct srv_bucket *srv_apply_bucket(struct srv_store *s, const struct srv_bucket_info *info);
void srv_apply_bucket_gone(struct srv_store *s, const char *bucket);
/* @object: the bucket takes the reference; NULL removes what is there */
void srv_apply_object(struct srv_bucket *b, const char *key, struct srv_object *object);
void srv_apply_upload(struct srv_bucket *b, struct srv_upload *upload); /* takes it */
void srv_apply_upload_gone(struct srv_bucket *b, const char *key, const char *id);
void srv_apply_rename(struct srv_bucket *b, const char *from, const char *to);

/* srv_journal_entry() - {"op":@op,"b":@bucket,"k":@key}; @key may be NULL */
struct json_object *srv_journal_entry(const char *op, const char *bucket, const char *key);
struct json_object *srv_journal_bucket(const struct srv_bucket_info *info);
struct json_object *srv_journal_upload(const char *bucket, const struct srv_upload *upload);
/* srv_journal_append_locked() - takes @entry; -1 with InternalError if it could not be written */
int srv_journal_append_locked(struct srv_store *s, struct json_object *entry,
                              struct srv_error *err);
/* srv_journal_load() - replays, removes data files nobody uses, rewrites; -1 after a message */
int srv_journal_load(struct srv_store *s);

#endif

#include "server/store_impl.h"

#include "server/clock.h"
#include "server/listing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static void free_bucket(struct srv_bucket *b)
{
    struct srv_index_node *node;

    for (node = srv_index_seek(&b->objects, NULL, 0); node != NULL; node = srv_index_next(node))
        srv_object_unref(node->value);
    for (node = srv_index_seek(&b->uploads, NULL, 0); node != NULL; node = srv_index_next(node))
        srv_upload_free(node->value);
    srv_index_fini(&b->objects);
    srv_index_fini(&b->uploads);
    srv_bucket_info_fini(&b->info);
    free(b);
}

/* One server at a time: two would mix their journals. */
static int lock_root(struct srv_store *s)
{
    srv_autofree char *path = srv_xasprintf("%s/lock", s->root);

    if (mkdir(s->root, 0700) < 0 && errno != EEXIST) {
        (void)fprintf(stderr, "oss-local-server: create %s: %s\n", s->root, strerror(errno));
        return -1;
    }
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0 || flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        (void)fprintf(stderr, "oss-local-server: lock %s: %s\n", path,
                      errno == EWOULDBLOCK ? "another server uses this root" : strerror(errno));
        return -1;
    }
    return 0;
}

struct srv_store *srv_store_open(const char *root)
{
    struct srv_store *s = srv_xcalloc(1, sizeof(*s));

    s->root = srv_xstrdup(root);
    s->lock_fd = s->journal_fd = s->data.fd = -1;
    s->id_seed = (uint64_t)srv_clock_ms() << 16 ^ (uint64_t)getpid();
    (void)pthread_mutex_init(&s->lock, NULL);
    if (lock_root(s) < 0 || srv_datadir_open(&s->data, root) < 0 || srv_journal_load(s) < 0) {
        srv_store_free(s);
        return NULL;
    }
    return s;
}

void srv_store_free(struct srv_store *s)
{
    const struct srv_index_node *node;

    if (s == NULL)
        return;
    atomic_store(&s->data.closing, true);
    for (node = srv_index_seek(&s->buckets, NULL, 0); node != NULL; node = srv_index_next(node))
        free_bucket(node->value);
    srv_index_fini(&s->buckets);
    srv_datadir_fini(&s->data);
    if (s->journal_fd >= 0)
        (void)close(s->journal_fd);
    if (s->lock_fd >= 0)
        (void)close(s->lock_fd);
    (void)pthread_mutex_destroy(&s->lock);
    free(s->root);
    free(s);
}

struct srv_datadir *srv_store_datadir(struct srv_store *s)
{
    return &s->data;
}

/* --- the changes themselves --- */

struct srv_bucket *srv_store_bucket_locked(struct srv_store *s, const char *bucket,
                                           struct srv_error *err)
{
    struct srv_bucket *b = srv_index_get(&s->buckets, bucket, strlen(bucket));

    if (b == NULL) {
        (void)srv_fail(err, "NoSuchBucket", "The specified bucket does not exist.");
        srv_error_detail(err, "BucketName", bucket);
    }
    return b;
}

struct srv_object *srv_bucket_object(const struct srv_bucket *b, const char *key)
{
    return srv_index_get(&b->objects, key, strlen(key));
}

struct srv_bucket *srv_apply_bucket(struct srv_store *s, const struct srv_bucket_info *info)
{
    struct srv_bucket *b = srv_index_get(&s->buckets, info->name, strlen(info->name));

    if (b == NULL) {
        b = srv_xcalloc(1, sizeof(*b));
        (void)srv_index_set(&s->buckets, info->name, strlen(info->name), b);
        b->info.name = srv_xstrdup(info->name);
        b->info.hns = info->hns;
        b->info.created_ms = info->created_ms;
    }
    free(b->info.acl);
    free(b->info.storage_class);
    b->info.acl = srv_xstrdup(info->acl);
    b->info.storage_class = srv_xstrdup(info->storage_class);
    return b;
}

void srv_apply_bucket_gone(struct srv_store *s, const char *bucket)
{
    struct srv_bucket *b = srv_index_remove(&s->buckets, bucket, strlen(bucket));

    if (b != NULL)
        free_bucket(b);
}

void srv_apply_object(struct srv_bucket *b, const char *key, struct srv_object *object)
{
    struct srv_object *old;

    if (object == NULL) {
        old = srv_index_remove(&b->objects, key, strlen(key));
    } else {
        b->bytes += srv_object_size(object);
        old = srv_index_set(&b->objects, key, strlen(key), object);
    }
    if (old != NULL)
        b->bytes -= srv_object_size(old);
    srv_object_unref(old);
}

void srv_apply_rename(struct srv_bucket *b, const char *from, const char *to)
{
    size_t len = strlen(from);
    bool directory = len > 0 && from[len - 1] == '/';
    struct srv_index_node *node = srv_index_seek(&b->objects, from, len);

    while (node != NULL && srv_starts_with(node->key, from)) {
        srv_autofree char *old = srv_xstrdup(node->key);
        srv_autofree char *new = srv_xasprintf("%s%s", to, node->key + len);
        struct srv_object *o = srv_object_ref(node->value);

        if (!directory && !srv_streq(old, from)) {
            srv_object_unref(o);
            break;
        }
        srv_apply_object(b, old, NULL);
        srv_apply_object(b, new, o);
        node = srv_index_seek(&b->objects, from, len);
    }
}

/* --- buckets --- */

void srv_bucket_info_fini(struct srv_bucket_info *info)
{
    free(info->name);
    free(info->acl);
    free(info->storage_class);
    *info = (struct srv_bucket_info){0};
}

int srv_store_bucket_put(struct srv_store *s, const struct srv_bucket_info *info,
                         struct srv_error *err)
{
    srv_lock_scope(&s->lock);

    if (srv_journal_append_locked(s, srv_journal_bucket(info), err) < 0)
        return -1;
    (void)srv_apply_bucket(s, info);
    return 0;
}

int srv_store_bucket_delete(struct srv_store *s, const char *bucket, struct srv_error *err)
{
    struct srv_bucket *b;

    srv_lock_scope(&s->lock);
    b = srv_store_bucket_locked(s, bucket, err);
    if (b == NULL)
        return -1;
    if (b->objects.count > 0 || b->uploads.count > 0) {
        (void)srv_fail(err, "BucketNotEmpty", "The bucket has objects or multipart uploads.");
        srv_error_detail(err, "BucketName", bucket);
        return -1;
    }
    if (srv_journal_append_locked(s, srv_journal_entry("bucket-gone", bucket, NULL), err) < 0)
        return -1;
    srv_apply_bucket_gone(s, bucket);
    return 0;
}

int srv_store_bucket_info(struct srv_store *s, const char *bucket, struct srv_bucket_info *info,
                          struct srv_error *err)
{
    const struct srv_index_node *node;
    const struct srv_bucket *b;

    srv_lock_scope(&s->lock);
    b = srv_store_bucket_locked(s, bucket, err);
    if (b == NULL)
        return -1;
    *info = b->info;
    info->name = srv_xstrdup(b->info.name);
    info->acl = srv_xstrdup(b->info.acl);
    info->storage_class = srv_xstrdup(b->info.storage_class);
    info->object_count = b->objects.count;
    info->upload_count = b->uploads.count;
    info->bytes = b->bytes;
    info->part_count = 0;
    for (node = srv_index_seek(&b->uploads, NULL, 0); node != NULL; node = srv_index_next(node))
        info->part_count += ((const struct srv_upload *)node->value)->part_count;
    return 0;
}

void srv_store_bucket_names(struct srv_store *s, struct srv_pairs *names)
{
    const struct srv_index_node *node;

    srv_lock_scope(&s->lock);
    for (node = srv_index_seek(&s->buckets, NULL, 0); node != NULL; node = srv_index_next(node))
        srv_pairs_add(names, node->key, NULL);
}

/* --- objects --- */

struct srv_object *srv_store_get(struct srv_store *s, const char *bucket, const char *key,
                                 struct srv_error *err)
{
    const struct srv_bucket *b;
    struct srv_object *o;

    srv_lock_scope(&s->lock);
    b = srv_store_bucket_locked(s, bucket, err);
    if (b == NULL)
        return NULL;
    o = srv_bucket_object(b, key);
    if (o != NULL)
        return srv_object_ref(o);
    (void)srv_fail(err, "NoSuchKey", "The specified key does not exist.");
    srv_error_detail(err, "Key", key);
    return NULL;
}

static struct json_object *put_entry(const char *bucket, const char *key,
                                     const struct srv_object *object)
{
    struct json_object *entry = srv_journal_entry("put", bucket, key);

    (void)json_object_object_add(entry, "o", srv_record_object(object));
    return entry;
}

int srv_store_put(struct srv_store *s, const char *bucket, const char *key,
                  struct srv_object *object, bool forbid_overwrite, struct srv_error *err)
{
    struct json_object *entry = put_entry(bucket, key, object);
    struct srv_bucket *b;

    srv_lock_scope(&s->lock);
    b = srv_store_bucket_locked(s, bucket, err);
    if (b == NULL) {
        (void)json_object_put(entry);
        return -1;
    }
    if (forbid_overwrite && srv_bucket_object(b, key) != NULL) {
        (void)json_object_put(entry);
        return srv_fail(err, "FileAlreadyExists",
                        "The object you specified already exists and can not be overwritten.");
    }
    if (srv_journal_append_locked(s, entry, err) < 0)
        return -1;
    srv_apply_object(b, key, srv_object_ref(object));
    return 0;
}

int srv_store_replace(struct srv_store *s, const char *bucket, const char *key,
                      const struct srv_object *old, struct srv_object *object,
                      struct srv_error *err)
{
    struct json_object *entry = put_entry(bucket, key, object);
    struct srv_bucket *b;

    srv_lock_scope(&s->lock);
    b = srv_store_bucket_locked(s, bucket, err);
    if (b == NULL || srv_bucket_object(b, key) != old) {
        (void)json_object_put(entry);
        return b == NULL ? -1 : 0;
    }
    if (srv_journal_append_locked(s, entry, err) < 0)
        return -1;
    srv_apply_object(b, key, srv_object_ref(object));
    return 1;
}

int srv_store_delete(struct srv_store *s, const char *bucket, const char *key,
                     struct srv_error *err)
{
    struct srv_bucket *b;

    srv_lock_scope(&s->lock);
    b = srv_store_bucket_locked(s, bucket, err);
    if (b == NULL)
        return -1;
    if (srv_bucket_object(b, key) == NULL)
        return 0;
    if (srv_journal_append_locked(s, srv_journal_entry("delete", bucket, key), err) < 0)
        return -1;
    srv_apply_object(b, key, NULL);
    return 0;
}

int srv_store_rename(struct srv_store *s, const char *bucket, const char *from, const char *to,
                     struct srv_error *err)
{
    struct json_object *entry = srv_journal_entry("rename", bucket, from);
    struct srv_bucket *b;

    (void)json_object_object_add(entry, "to", json_object_new_string(to));
    srv_lock_scope(&s->lock);
    b = srv_store_bucket_locked(s, bucket, err);
    if (b == NULL) {
        (void)json_object_put(entry);
        return -1;
    }
    if (srv_journal_append_locked(s, entry, err) < 0)
        return -1;
    srv_apply_rename(b, from, to);
    return 0;
}

/* --- listings --- */

void srv_list_page_fini(struct srv_list_page *page)
{
    for (size_t i = 0; i < page->count; i++) {
        free(page->entries[i].name);
        srv_object_unref(page->entries[i].object);
    }
    free(page->entries);
    *page = (struct srv_list_page){0};
}

static void add_entry(void *arg, const char *name, const struct srv_index_node *node)
{
    struct srv_list_page *page = arg;

    page->entries[page->count++] = (struct srv_list_entry){
        srv_xstrdup(name), node == NULL ? NULL : srv_object_ref(node->value)};
}

int srv_store_list(struct srv_store *s, const char *bucket, const char *prefix,
                   const char *delimiter, const char *after, size_t max, struct srv_list_page *page,
                   struct srv_error *err)
{
    const struct srv_bucket *b;

    srv_lock_scope(&s->lock);
    b = srv_store_bucket_locked(s, bucket, err);
    if (b == NULL)
        return -1;
    *page = (struct srv_list_page){.entries = srv_xcalloc(max, sizeof(*page->entries))};
    page->truncated = srv_listing_page(&b->objects, prefix, delimiter, after, max, add_entry, page);
    return 0;
}

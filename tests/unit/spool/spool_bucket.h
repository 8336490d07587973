/*
 * A spool on a bucket in memory: unit/transfer/fake_bucket.h, and what else the spool asks of
 * src/oss (reads, deletes, the client's names), by -Wl,--wrap; SPOOL_WRAP in extra.cmake lists it.
 *
 * Header only. A crash is made by copying the spool's directory while the spool is open, and
 * opening the copy: what kill -9 leaves is exactly what the files hold at that moment.
 */
#ifndef OSSUP_TESTS_SPOOL_BUCKET_H
#define OSSUP_TESTS_SPOOL_BUCKET_H

/*
 * Its copy knows no If-Match and no missing source, its lists are not freed when their answer is
 * lost: ours, below, do and are.
 */
#define __wrap_oss_copy_object  fake_copy_object
#define __wrap_oss_list_parts   fake_list_parts
#define __wrap_oss_list_uploads fake_list_uploads
#include "unit/transfer/fake_bucket.h"
#undef __wrap_oss_copy_object
#undef __wrap_oss_list_parts
#undef __wrap_oss_list_uploads

#include "base/cleanup.h"
#include "base/log.h"
#include "spool/file.h"
#include "spool/spool.h"

#include <dirent.h>

#define KIB UINT64_C(1024)

static struct {
    atomic_uint deletes, delete_requests, gets, published, refused;
    _Atomic bool hold_deletes; /* deletes wait until this is false */
    _Atomic bool refuse_deletes;
    atomic_uint leave_out;    /* so many batches to come delete nothing and do not say why */
    atomic_uint fail_deletes; /* so many deletes of one key to come fail */
    char boot[SPOOL_BOOT_SIZE];
} world;

/* -- the client -- */

const char *__wrap_oss_client_bucket(const struct oss_client *client);
const char *__wrap_oss_client_bucket(const struct oss_client *client)
{
    (void)client;
    return "bucket";
}

const char *__wrap_oss_client_endpoint(const struct oss_client *client);
const char *__wrap_oss_client_endpoint(const struct oss_client *client)
{
    (void)client;
    return "http://127.0.0.1:1";
}

void __wrap_spool_read_boot_id(char boot[SPOOL_BOOT_SIZE]);
void __wrap_spool_read_boot_id(char boot[SPOOL_BOOT_SIZE])
{
    (void)snprintf(boot, SPOOL_BOOT_SIZE, "%s", world.boot);
}

int __wrap_oss_get_object(struct oss_client *c, const struct oss_call *call, const char *key,
                          uint64_t offset, uint64_t size, const char *if_match,
                          const struct oss_sink *sink, struct oss_object *out,
                          struct ou_error *err);
int __wrap_oss_get_object(struct oss_client *c, const struct oss_call *call, const char *key,
                          uint64_t offset, uint64_t size, const char *if_match,
                          const struct oss_sink *sink, struct oss_object *out, struct ou_error *err)
{
    ou_autofree unsigned char *data = malloc(size + 1);
    struct bucket_object *o;
    int r = 0;

    (void)c;
    (void)call;
    (void)out;
    atomic_fetch_add(&world.gets, 1);
    if (bucket.down)
        return bucket_error(err, EIO, 0, "ConnectionLost");
    ou_mutex_lock(&bucket.lock);
    o = bucket_find(key);
    if (!o)
        r = bucket_error(err, ENOENT, 404, "NoSuchKey");
    else if (if_match && strcmp(if_match, o->bytes.etag) != 0) {
        r = bucket_error(err, ESTALE, 412, "PreconditionFailed");
    } else if (offset + size > o->bytes.size)
        r = bucket_error(err, EINVAL, 416, "InvalidRange");
    else
        memcpy(data, o->bytes.data + offset, size);
    ou_mutex_unlock(&bucket.lock);
    return r < 0 ? r : sink->write(sink->ctx, data, size, 0, err);
}

int __wrap_oss_delete_object(struct oss_client *c, const struct oss_call *call, const char *key,
                             struct ou_error *err);
int __wrap_oss_delete_object(struct oss_client *c, const struct oss_call *call, const char *key,
                             struct ou_error *err)
{
    struct bucket_object *o;

    (void)c;
    atomic_fetch_add(&world.delete_requests, 1);
    while (world.hold_deletes && !ou_cancel_triggered(call->cancel))
        (void)sched_yield();
    if (ou_cancel_triggered(call->cancel))
        return ou_error_set(err, EINTR, "delete");
    if (world.refuse_deletes)
        return bucket_error(err, EACCES, 403, "AccessDenied");
    if (world.fail_deletes) {
        atomic_fetch_sub(&world.fail_deletes, 1);
        return bucket_error(err, EIO, 503, "ServiceUnavailable");
    }
    if (bucket.down)
        return bucket_error(err, EIO, 0, "ConnectionLost");
    ou_lock_scope(&bucket.lock);
    o = bucket_find(key);
    if (o)
        o->exists = false;
    atomic_fetch_add(&world.deletes, 1);
    return 0;
}

int __wrap_oss_delete_objects(struct oss_client *c, const struct oss_call *call,
                              const char *const *keys, size_t count, bool *deleted,
                              struct ou_error *err);
int __wrap_oss_delete_objects(struct oss_client *c, const struct oss_call *call,
                              const char *const *keys, size_t count, bool *deleted,
                              struct ou_error *err)
{
    int gone = 0;

    if (world.leave_out) {
        atomic_fetch_sub(&world.leave_out, 1);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        int r = __wrap_oss_delete_object(c, call, keys[i], err);

        if (r == 0)
            gone++;
        else if (r != -EACCES)
            return r;
        deleted[i] = r == 0;
    }
    atomic_fetch_sub(&world.delete_requests, (unsigned)count - 1);
    return gone;
}

int __wrap_oss_copy_object(struct oss_client *c, const struct oss_call *call,
                           const char *source_key, const char *if_match, const char *key,
                           const struct oss_object_headers *headers, struct oss_written *out,
                           struct ou_error *err);
int __wrap_oss_copy_object(struct oss_client *c, const struct oss_call *call,
                           const char *source_key, const char *if_match, const char *key,
                           const struct oss_object_headers *headers, struct oss_written *out,
                           struct ou_error *err)
{
    enum bucket_fault fault = bucket_begin(OP_COPY, 0);
    int r = bucket_refuse(fault, call, err);
    struct bucket_object *o;

    (void)c;
    (void)headers;
    ou_mutex_lock(&bucket.lock);
    o = bucket_find(source_key);
    if (r == 0 && !o)
        r = bucket_error(err, ENOENT, 404, "NoSuchKey");
    else if (r == 0 && if_match && strcmp(if_match, o->bytes.etag) != 0) {
        r = bucket_error(err, ESTALE, 412, "PreconditionFailed");
    }
    if (r == 0 && strcmp(source_key, key) != 0) {
        bucket_put(key, o->bytes.data, o->bytes.size);
        o = bucket_find(key);
    }
    if (r == 0)
        bucket_answer(&o->bytes, out);
    ou_mutex_unlock(&bucket.lock);
    return bucket_end(OP_COPY, 0, fault, r, err);
}

int __wrap_oss_list_parts(struct oss_client *c, const struct oss_call *call, const char *key,
                          const char *upload_id, struct oss_part_list *out, struct ou_error *err);
int __wrap_oss_list_parts(struct oss_client *c, const struct oss_call *call, const char *key,
                          const char *upload_id, struct oss_part_list *out, struct ou_error *err)
{
    struct oss_part_list list = {0};
    int r = fake_list_parts(c, call, key, upload_id, &list, err);

    if (r < 0)
        oss_part_list_fini(&list);
    else
        *out = list;
    return r;
}

int __wrap_oss_list_uploads(struct oss_client *c, const struct oss_call *call, const char *prefix,
                            const char *key_marker, const char *upload_id_marker,
                            struct oss_upload_list *out, struct ou_error *err);
int __wrap_oss_list_uploads(struct oss_client *c, const struct oss_call *call, const char *prefix,
                            const char *key_marker, const char *upload_id_marker,
                            struct oss_upload_list *out, struct ou_error *err)
{
    struct oss_upload_list list = {0};
    int r = fake_list_uploads(c, call, prefix, key_marker, upload_id_marker, &list, err);

    if (r < 0)
        oss_upload_list_fini(&list);
    else
        *out = list;
    return r;
}

/* The bucket in memory has room for BUCKET_UPLOADS: those that have ended make room for others. */
static inline void world_forget_ended_uploads(void)
{
    unsigned kept = 0;

    ou_lock_scope(&bucket.lock);
    for (unsigned i = 0; i < bucket.upload_count; i++) {
        struct bucket_upload *u = &bucket.uploads[i];

        for (size_t p = 0; !u->open && p < BUCKET_PARTS; p++)
            bucket_bytes_fini(&u->parts[p]);
        if (!u->open)
            continue;
        if (kept != i) {
            bucket.uploads[kept] = *u;
            *u = (struct bucket_upload){0};
        }
        kept++;
    }
    bucket.upload_count = kept;
}

/* -- the spool -- */

static inline void on_published(void *ctx, struct spool_file *file,
                                const struct oss_written *written)
{
    (void)ctx;
    (void)file;
    (void)written;
    atomic_fetch_add(&world.published, 1);
}

static inline void on_refused(void *ctx, const char *key, const struct ou_error *err)
{
    (void)ctx;
    (void)key;
    (void)err;
    atomic_fetch_add(&world.refused, 1);
}

static inline void world_reset(void)
{
    bucket_reset();
    world.deletes = world.delete_requests = world.gets = world.published = world.refused = 0;
    world.hold_deletes = world.refuse_deletes = false;
    world.leave_out = world.fail_deletes = 0;
    (void)snprintf(world.boot, sizeof(world.boot), "boot-1");
}

static inline struct spool_config world_config(const char *dir)
{
    return (struct spool_config){.dir = dir,
                                 .client = (struct oss_client *)&world,
                                 .prefix = "",
                                 .part_size = 100 * KIB,
                                 .put_threshold = 100 * KIB,
                                 .threads = 2,
                                 .connections = 4,
                                 .settle_ms = 1,
                                 .open_flush_ms = 3600000,
                                 .defaults = {.umask = 022}};
}

static inline struct spool *world_open(const struct spool_config *config)
{
    const struct spool_events events = {.published = on_published, .delete_refused = on_refused};
    struct ou_error err = OU_ERROR_INIT;
    struct spool *spool = NULL;

    if (spool_open(config, &events, NULL, &spool, &err) < 0)
        fail_msg("spool_open: %s", err.message);
    return spool;
}

static inline struct spool *world_spool(const char *dir)
{
    struct spool_config config = world_config(dir);

    return world_open(&config);
}

static inline struct spool_attr world_attr(void)
{
    return (struct spool_attr){.mode = S_IFREG | 0644, .mtime = {.tv_sec = 1000000000}};
}

static inline struct spool_file *world_create(struct spool *spool, const char *key)
{
    struct spool_attr attr = world_attr();
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *f = NULL;

    if (spool_create(spool, key, &attr, true, &f, &err) < 0)
        fail_msg("spool_create: %s", err.message);
    spool_file_open(f, true);
    return f;
}

/* A handle on an object of the bucket. */
static inline struct spool_file *world_stage(struct spool *spool, const char *key)
{
    struct spool_attr attr = world_attr();
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *f = NULL;
    struct oss_object object = {0};
    struct bucket_object *o;

    ou_mutex_lock(&bucket.lock);
    o = bucket_find(key);
    assert_non_null(o);
    object.size = o->bytes.size;
    (void)snprintf(object.etag, sizeof(object.etag), "%s", o->bytes.etag);
    ou_mutex_unlock(&bucket.lock);
    assert_int_equal(spool_stage(spool, key, &object, &attr, &f, &err), 0);
    return f;
}

static inline struct spool_file *world_find(struct spool *spool, const char *key)
{
    struct spool_file *f = NULL;

    assert_int_equal(spool_find(spool, key, &f), 1);
    return f;
}

static inline void world_write(struct spool_file *f, const void *data, size_t len, uint64_t offset)
{
    struct ou_error err = OU_ERROR_INIT;

    if (spool_file_write(f, data, len, offset, NULL, &err) != (ssize_t)len)
        fail_msg("spool_file_write: %s", err.message);
}

static inline void world_close(struct spool_file *f)
{
    struct ou_error err = OU_ERROR_INIT;

    if (spool_file_flush(f, &err) < 0 || spool_file_close(f, true, &err) < 0)
        fail_msg("close: %s", err.message);
    spool_file_unref(f);
}

static inline void world_put(struct spool *spool, const char *key, const void *data, size_t len)
{
    struct spool_file *f = world_create(spool, key);

    if (len)
        world_write(f, data, len, 0);
    world_close(f);
}

static inline void world_sync(struct spool *spool)
{
    struct ou_error err = OU_ERROR_INIT;

    if (spool_sync(spool, "", ou_now_ms() + 60000, NULL, &err) < 0)
        fail_msg("spool_sync: %s", err.message);
}

static inline void world_assert_file(struct spool_file *f, const void *data, uint64_t size)
{
    ou_autofree unsigned char *got = malloc(size + 1);
    struct spool_attr attr;
    struct ou_error err = OU_ERROR_INIT;
    uint64_t have = 0;
    ssize_t n;

    spool_file_times(f, &attr, &have);
    assert_int_equal(have, size);
    n = spool_file_read(f, got, size + 1, 0, NULL, &err);
    if (n < 0)
        fail_msg("spool_file_read: %s", err.message);
    assert_int_equal(n, size);
    assert_memory_equal(got, data, size);
}

static inline void world_assert_object(const char *key, const void *data, uint64_t size)
{
    struct bucket_object *o;

    ou_lock_scope(&bucket.lock);
    o = bucket_find(key);
    assert_non_null(o);
    assert_int_equal(o->bytes.size, size);
    assert_memory_equal(o->bytes.data, data, size);
}

static inline bool world_has_object(const char *key)
{
    ou_lock_scope(&bucket.lock);
    return bucket_find(key) != NULL;
}

/* Files of the spool's directory whose name ends in @suffix. */
static inline unsigned world_count_files(const char *spool_directory, const char *suffix)
{
    DIR *dir = opendir(spool_directory);
    unsigned count = 0;
    struct dirent *e;

    assert_non_null(dir);
    while ((e = readdir(dir)) != NULL) {
        size_t len = strlen(e->d_name);

        count += len > strlen(suffix) && !strcmp(e->d_name + len - strlen(suffix), suffix);
    }
    (void)closedir(dir);
    return count;
}

static inline void world_assert_spool_empty(struct spool *spool)
{
    struct spool_pending p;

    spool_pending(spool, "", &p);
    assert_int_equal(p.files, 0);
    assert_int_equal(p.deletes, 0);
    assert_int_equal(world_count_files(spool_dir(spool), ".ckpt"), 0);
    assert_int_equal(world_count_files(spool_dir(spool), ".data"), 0);
    assert_int_equal(world_count_files(spool_dir(spool), ".alt"), 0);
}

static inline void world_assert_nothing_left(struct spool *spool)
{
    world_assert_spool_empty(spool);
    assert_int_equal(bucket_open_uploads(), 0);
}

static inline void world_copy_file(int from_dir, const char *name, int to_dir)
{
    ou_auto(ou_buf_fini) struct ou_buf content = {0};
    ou_autoclose int fd = openat(to_dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct ou_error err = OU_ERROR_INIT;

    assert_true(fd >= 0);
    assert_int_equal(ou_read_file(from_dir, name, 1 << 30, &content, &err), 0);
    assert_int_equal(ou_write_all(fd, content.data, content.len, &err), 0);
}

/* What kill -9 leaves now: a copy under @root/@name; the caller frees its path. */
static inline char *world_crash(struct spool *spool, const char *root, const char *name)
{
    char *copy = malloc(4096);
    char to[8192];
    DIR *dir = opendir(spool_dir(spool));
    ou_autoclose int to_fd = -1;
    struct ou_error err = OU_ERROR_INIT;
    struct dirent *e;

    assert_non_null(dir);
    (void)snprintf(copy, 4096, "%s/%s", root, name);
    (void)snprintf(to, sizeof(to), "%s%s", copy, strrchr(spool_dir(spool), '/'));
    assert_int_equal(ou_mkdirs(to, 0700, &err), 0);
    to_fd = unit_open_dir(to);
    while ((e = readdir(dir)) != NULL) {
        if (*e->d_name != '.' && strcmp(e->d_name, "lock") != 0)
            world_copy_file(dirfd(dir), e->d_name, to_fd);
    }
    (void)closedir(dir);
    return copy;
}

#endif

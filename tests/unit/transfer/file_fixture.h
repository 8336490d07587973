/*
 * A local file, the fake bucket, and runs of its upload: each run is a process of its own as far as
 * the checkpoint can tell (an engine, a struct xfer_file, nothing kept in memory).
 */
#ifndef OSSUP_TESTS_FILE_FIXTURE_H
#define OSSUP_TESTS_FILE_FIXTURE_H

#include "unit/transfer/fake_bucket.h"

#include "base/cleanup.h"
#include "transfer/checkpoint.h"
#include "transfer/file_upload.h"

#include <dirent.h>

#define PART_SIZE ((uint64_t)OSS_PART_SIZE_MIN)
#define KEY       "key"

struct fixture {
    struct oss_cred_chain *chain;
    struct oss_client *client;
    char dir[4096], path[4200];
    int dirfd;
    unsigned char *data; /* what the file holds */
    uint64_t size;

    /* For the next run. */
    uint64_t part_size, deadline_ms;
    const char *key, *checkpoint_dir;
    struct oss_object_headers headers;
    unsigned threads;
    void (*at_part)(struct fixture *x, unsigned number);

    /* Of the last run. */
    struct ou_mutex lock;
    pthread_cond_t change;
    bool done, crashed;
    struct xfer_result result;
    struct ou_error err; /* errnum 0: success */
    struct xfer_file_progress progress;
    unsigned parts_told, parts_compared;
};

static struct fixture *fixture_here; /* for hooks of the bucket */

static inline int fixture_setup(void **state)
{
    const struct oss_cred_config cred = {.access_key_id = "id", .access_key_secret = "secret"};
    const struct oss_config config = {.endpoint = "http://127.0.0.1:1", .bucket = "bucket"};
    struct fixture *x = calloc(1, sizeof(*x));
    struct ou_error err = OU_ERROR_INIT;
    void *dir = NULL;

    if (!x || unit_dir_setup(&dir) != 0 || oss_cred_chain_new(&cred, &x->chain, &err) < 0 ||
        oss_client_new(&config, x->chain, &x->client, &err) < 0)
        return -1;
    (void)snprintf(x->dir, sizeof(x->dir), "%s", (char *)dir);
    free(dir);
    (void)snprintf(x->path, sizeof(x->path), "%s/file", x->dir);
    x->dirfd = unit_open_dir(x->dir);
    ou_mutex_init(&x->lock, OU_RANK_CLI);
    ou_cond_init(&x->change);
    bucket_reset();
    x->key = KEY;
    x->part_size = PART_SIZE;
    x->threads = 3;
    fixture_here = x;
    *state = x;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *x = *state;
    void *dir = strdup(x->dir);

    bucket_reset();
    (void)close(x->dirfd);
    free(x->data);
    oss_client_free(x->client);
    oss_cred_chain_free(x->chain);
    (void)pthread_cond_destroy(&x->change);
    ou_mutex_fini(&x->lock);
    free(x);
    return unit_dir_teardown(&dir);
}

#define fixture_test(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

/* -- the file -- */

static inline void fixture_store(struct fixture *x)
{
    ou_autoclose int fd = open(x->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    struct ou_error err = OU_ERROR_INIT;

    assert_true(fd >= 0);
    assert_int_equal(ou_write_all(fd, x->data, x->size, &err), 0);
}

/* New content of @size bytes; another one each time. */
static inline void fixture_file(struct fixture *x, uint64_t size)
{
    static uint64_t seed;
    struct unit_random random = {.state = ++seed};

    free(x->data);
    x->data = malloc(size + 1);
    x->size = size;
    unit_random_bytes(&random, x->data, size);
    fixture_store(x);
}

/* One byte of file and truth, by pwrite(2). */
static inline void fixture_write(struct fixture *x, uint64_t offset)
{
    ou_autoclose int fd = open(x->path, O_WRONLY | O_CLOEXEC);

    x->data[offset] ^= 1;
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, x->data + offset, 1, (off_t)offset), 1);
}

static inline struct timespec fixture_mtime(struct fixture *x)
{
    struct stat st;

    assert_int_equal(stat(x->path, &st), 0);
    return st.st_mtim;
}

static inline void fixture_set_mtime(struct fixture *x, struct timespec mtime)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, mtime};

    assert_int_equal(utimensat(AT_FDCWD, x->path, times, 0), 0);
}

/* Checkpoints in @dirfd; @name (may be NULL): of one of them. */
static inline unsigned fixture_checkpoints(int dirfd, char name[NAME_MAX + 1])
{
    DIR *dir = fdopendir(dup(dirfd));
    unsigned count = 0;

    assert_non_null(dir);
    rewinddir(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        if (!xfer_checkpoint_is_name(e->d_name))
            continue;
        count++;
        if (name)
            (void)snprintf(name, NAME_MAX + 1, "%s", e->d_name);
    }
    (void)closedir(dir);
    return count;
}

/* -- a run -- */

static inline void fixture_on_progress(void *ctx, const struct xfer_file_progress *progress)
{
    struct fixture *x = ctx;

    ou_lock_scope(&x->lock);
    x->progress = *progress;
}

static inline void fixture_on_part(void *ctx, const struct xfer_file_part *part)
{
    struct fixture *x = ctx;

    ou_mutex_lock(&x->lock);
    x->parts_told++;
    x->parts_compared += part->resumed;
    ou_mutex_unlock(&x->lock);
    if (x->at_part)
        x->at_part(x, part->number);
}

static inline void fixture_on_done(void *ctx, const struct xfer_result *result,
                                   const struct ou_error *err)
{
    struct fixture *x = ctx;

    ou_lock_scope(&x->lock);
    assert_false(x->done);
    x->done = true;
    x->result = *result;
    if (err)
        x->err = *err;
    (void)pthread_cond_broadcast(&x->change);
}

static const struct xfer_file_ops fixture_ops = {
    .progress = fixture_on_progress, .part = fixture_on_part, .done = fixture_on_done};

static inline void fixture_wait(struct fixture *x)
{
    for (;;) {
        ou_lock_scope(&x->lock);
        x->crashed = bucket.down;
        if (x->done || x->crashed)
            return;
        (void)ou_cond_wait_until(&x->change, &x->lock, ou_now_ms() + 1);
    }
}

/* Until done() or until the bucket goes down (the process dies). Return: what the start said. */
static inline int fixture_run_fd(struct fixture *x, int fd)
{
    const struct xfer_engine_config config = {.workers = 4, .threads = x->threads};
    struct xfer_engine *engine = NULL;
    struct xfer_file *file = NULL;
    struct xfer_file_spec spec = {.client = x->client,
                                  .path = fd < 0 ? x->path : NULL,
                                  .fd = fd,
                                  .key = x->key,
                                  .part_size = x->part_size,
                                  .checkpoint_dir = x->checkpoint_dir,
                                  .headers = &x->headers,
                                  .deadline_ms = x->deadline_ms,
                                  .ops = &fixture_ops,
                                  .ctx = x};
    int r;

    x->done = x->crashed = false;
    x->err = (struct ou_error)OU_ERROR_INIT;
    x->result = (struct xfer_result){0};
    x->progress = (struct xfer_file_progress){0};
    x->parts_told = x->parts_compared = 0;
    assert_int_equal(xfer_engine_new(&config, &engine, &x->err), 0);
    spec.engine = engine;
    r = xfer_file_start(&spec, &file, &x->err);
    if (r == 0)
        fixture_wait(x);
    xfer_engine_stop(engine);
    xfer_file_free(file);
    xfer_engine_free(engine);
    return r;
}

static inline int fixture_run(struct fixture *x)
{
    return fixture_run_fd(x, -1);
}

/* -- what must hold -- */

static inline void assert_nothing_left(struct fixture *x)
{
    assert_int_equal(bucket_open_uploads(), 0);
    assert_int_equal(fixture_checkpoints(x->dirfd, NULL), 0);
}

static inline void assert_uploaded(struct fixture *x)
{
    struct bucket_object *object = bucket_find(x->key);

    assert_string_equal(x->err.message, "");
    assert_true(x->done);
    assert_non_null(object);
    assert_int_equal(object->bytes.size, x->size);
    assert_memory_equal(object->bytes.data, x->data, x->size);
    assert_nothing_left(x);
}

static inline void assert_run_uploads(struct fixture *x)
{
    assert_int_equal(fixture_run(x), 0);
    assert_uploaded(x);
}

static inline unsigned fixture_parts_sent(void)
{
    unsigned sum = 0;

    for (unsigned i = 1; i <= BUCKET_PARTS; i++)
        sum += bucket.part_sent[i];
    return sum;
}

/* -- an interruption -- */

static unsigned fixture_crash_parts;
static enum bucket_op fixture_crash_op;

static inline void fixture_crash_hook(enum bucket_op op, unsigned number, enum bucket_moment moment)
{
    (void)number;
    if (op != fixture_crash_op || moment != MOMENT_BEGIN)
        return;
    ou_lock_scope(&bucket.lock);
    if (bucket.op_count[OP_PART] >= fixture_crash_parts)
        bucket.down = true;
}

/* Sends @parts parts and dies before a request of kind @op, with nothing in flight. */
static inline void fixture_interrupt_at(struct fixture *x, enum bucket_op op, unsigned parts)
{
    fixture_crash_op = op;
    fixture_crash_parts = parts;
    bucket.hook = fixture_crash_hook;
    x->threads = 1;
    assert_int_equal(fixture_run(x), 0);
    assert_true(x->crashed);
    x->threads = 3;
    bucket.hook = NULL;
    bucket.down = false;
    memset(bucket.op_count, 0, sizeof(bucket.op_count));
    memset(bucket.part_sent, 0, sizeof(bucket.part_sent));
}

static inline void fixture_interrupt(struct fixture *x, unsigned parts)
{
    fixture_interrupt_at(x, OP_PART, parts);
    assert_int_equal(bucket_open_uploads(), 1);
    assert_int_equal(fixture_checkpoints(x->dirfd, NULL), 1);
}

#endif

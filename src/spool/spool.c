/*
 * The spool as a whole: opening and closing, the table of names.
 */
#include "spool/file.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/crc64.h"
#include "base/file.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTIONS_DEFAULT 16u
#define THREADS_DEFAULT     3u

/* -- configuration -- */

static int copy_config(struct spool *spool, const struct spool_config *from, struct ou_error *err)
{
    struct spool_config *c = &spool->config;

    *c = *from;
    c->dir = strdup(from->dir);
    c->prefix = strdup(from->prefix ? from->prefix : "");
    if (!c->dir || !c->prefix)
        return ou_error_set(err, ENOMEM, "open the spool");
    if (!c->part_size)
        c->part_size = XFER_PART_SIZE_DEFAULT;
    if (!c->put_threshold)
        c->put_threshold = c->part_size;
    if (!c->threads)
        c->threads = THREADS_DEFAULT;
    if (!c->connections)
        c->connections = CONNECTIONS_DEFAULT;
    if (!c->open_flush_ms)
        c->open_flush_ms = SPOOL_OPEN_FLUSH_MS;
    spool->client = from->client;
    return 0;
}

/* The bucket's name for the reader; what else tells two mounts apart as a number. */
char *spool_bucket_dir(const struct spool_config *config)
{
    ou_auto(ou_buf_fini) struct ou_buf path = {0};
    const char *endpoint = oss_client_endpoint(config->client);

    ou_buf_addf(&path, "%s/%s@%08" PRIx64, config->dir, oss_client_bucket(config->client),
                ou_crc64(0, endpoint, strlen(endpoint)) & UINT32_MAX);
    if (config->prefix && *config->prefix)
        ou_buf_addf(&path, "+%08" PRIx64,
                    ou_crc64(0, config->prefix, strlen(config->prefix)) & UINT32_MAX);
    return ou_buf_take(&path);
}

static int open_dir(struct spool *spool, struct ou_error *err)
{
    int r;

    spool->dir = spool_bucket_dir(&spool->config);
    if (!spool->dir)
        return ou_error_set(err, ENOMEM, "open the spool");
    r = ou_mkdirs(spool->dir, 0700, err);
    if (r < 0)
        return ou_error_prefix(err, "the spool cannot be written, choose another with spool=");
    spool->dirfd = open(spool->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (spool->dirfd < 0)
        return ou_error_set(err, errno, "open the spool %s", spool->dir);
    if (faccessat(spool->dirfd, ".", W_OK | X_OK, AT_EACCESS) < 0)
        return ou_error_set(
            err, errno, "the spool %s cannot be written, choose another with spool=", spool->dir);
    return spool_lock_take(spool, err);
}

static int make_engine(struct spool *spool, struct ou_error *err)
{
    const struct xfer_engine_config engine = {.client = spool->client,
                                              .workers = spool->config.connections,
                                              .threads = spool->config.threads};
    int r;

    spool->cancel = ou_cancel_new();
    if (!spool->cancel)
        return ou_error_set(err, ENOMEM, "open the spool");
    r = spool_reading_open(spool, err);
    return r < 0 ? r : xfer_engine_new(&engine, &spool->engine, err);
}

static void init_locks(struct spool *spool)
{
    ou_mutex_init(&spool->lock, SPOOL_RANK_TABLE);
    ou_cond_init(&spool->changed);
    ou_mutex_init(&spool->deletes.lock, SPOOL_RANK_DELETES);
    ou_cond_init(&spool->deletes.wake);
    ou_cond_init(&spool->deletes.done);
    ou_mutex_init(&spool->moves.lock, SPOOL_RANK_MOVES);
    ou_mutex_init(&spool->left_behind.lock, SPOOL_RANK_LEFT_BEHIND);
    TAILQ_INIT(&spool->left_behind.files);
    ou_mutex_init(&spool->timer.lock, SPOOL_RANK_TIMER);
    ou_cond_init(&spool->timer.wake);
    ou_mutex_init(&spool->space.lock, SPOOL_RANK_SPACE);
    ou_cond_init(&spool->space.freed);
    ou_mutex_init(&spool->sleep_lock, SPOOL_RANK_SLEEP);
    ou_cond_init(&spool->sleep);
}

int spool_open(const struct spool_config *config, const struct spool_events *events, void *ctx,
               struct spool **out, struct ou_error *err)
{
    struct spool *spool = calloc(1, sizeof(*spool));
    int r;

    if (!spool)
        return ou_error_set(err, ENOMEM, "open the spool");
    spool->dirfd = spool->lock_fd = -1;
    spool->deletes.locked.journal.fd = -1;
    if (events)
        spool->events = *events;
    spool->ctx = ctx;
    atomic_init(&spool->seq, 1);
    init_locks(spool);
    spool_read_boot_id(spool->boot);
    if ((r = copy_config(spool, config, err)) < 0 || (r = open_dir(spool, err)) < 0 ||
        (r = make_engine(spool, err)) < 0 || (r = spool_deletes_open(spool, err)) < 0 ||
        (r = spool_recover(spool, err)) < 0) {
        spool_close(spool);
        return r;
    }
    *out = spool;
    return 0;
}

void spool_start(struct spool *spool)
{
    struct ou_error err = OU_ERROR_INIT;

    atomic_store(&spool->started, true);
    if (spool_timer_start(spool, &err) < 0 || spool_deletes_start(spool, &err) < 0 ||
        spool_keeper_start(spool, &err) < 0)
        ou_log_error(OU_LOG_SPOOL, &err, "nothing is uploaded until the next mount spool=%s",
                     spool->dir);
}

/* What is left in memory; on disk it stays for the next spool_open(). */
static void free_files(struct spool *spool)
{
    for (;;) {
        struct spool_node *n;
        struct spool_file *f;

        ou_mutex_lock(&spool->lock);
        n = spool_table_next(&spool->locked.files, NULL);
        f = n ? spool_container(n, struct spool_file, node) : NULL;
        if (f) {
            spool_table_remove(&spool->locked.files, n);
            f->named = false;
        }
        ou_mutex_unlock(&spool->lock);
        if (!f)
            break;
        spool_file_free(f);
    }
    spool_table_fini(&spool->locked.files);
}

void spool_close(struct spool *spool)
{
    if (!spool)
        return;
    ou_cancel_trigger(spool->cancel);
    ou_mutex_lock(&spool->space.lock);
    spool->space.locked.stopping = true;
    (void)pthread_cond_broadcast(&spool->space.freed);
    ou_mutex_unlock(&spool->space.lock);
    spool_timer_stop(spool);
    spool_deletes_stop(spool);
    if (spool->engine)
        xfer_engine_stop(spool->engine);
    spool_keeper_stop(spool); /* after the engine: what it wrote is synced, too */
    spool_uploads_drop(spool);
    xfer_engine_free(spool->engine);
    spool_timer_fini(spool);
    free_files(spool);
    if (spool->deletes.locked.journal.fd >= 0)
        spool_deletes_close(spool);
    spool_reading_close(spool);
    ou_cancel_unref(spool->cancel);
    if (spool->lock_fd >= 0)
        (void)close(spool->lock_fd);
    if (spool->dirfd >= 0)
        (void)close(spool->dirfd);
    (void)pthread_cond_destroy(&spool->changed);
    (void)pthread_cond_destroy(&spool->deletes.wake);
    (void)pthread_cond_destroy(&spool->deletes.done);
    (void)pthread_cond_destroy(&spool->timer.wake);
    (void)pthread_cond_destroy(&spool->space.freed);
    (void)pthread_cond_destroy(&spool->sleep);
    ou_mutex_fini(&spool->lock);
    ou_mutex_fini(&spool->deletes.lock);
    ou_mutex_fini(&spool->moves.lock);
    ou_mutex_fini(&spool->left_behind.lock);
    ou_mutex_fini(&spool->timer.lock);
    ou_mutex_fini(&spool->space.lock);
    ou_mutex_fini(&spool->sleep_lock);
    free((char *)spool->config.dir);
    free((char *)spool->config.prefix);
    free(spool->dir);
    free(spool);
}

const char *spool_dir(const struct spool *spool)
{
    return spool->dir;
}

uint64_t spool_next_seq(struct spool *spool)
{
    return atomic_fetch_add(&spool->seq, 1);
}

/* -- the table -- */

static struct spool_file *find_locked(struct spool *spool, const char *key)
{
    struct spool_node *n = spool_table_find(&spool->locked.files, key);

    return n ? spool_container(n, struct spool_file, node) : NULL;
}

int spool_find(struct spool *spool, const char *key, struct spool_file **file)
{
    struct spool_file *f;

    ou_lock_scope(&spool->lock);
    f = find_locked(spool, key);
    if (f)
        *file = spool_file_ref(f);
    return f != NULL;
}

int spool_collect(struct spool *spool, const char *prefix, bool (*want)(struct spool_file *file),
                  struct spool_file ***files, size_t *count, struct ou_error *err)
{
    struct spool_node *n = NULL;
    size_t len = strlen(prefix);

    *count = 0;
    ou_lock_scope(&spool->lock);
    *files = calloc(2 * spool->locked.files.count + 1, sizeof(struct spool_file *));
    if (!*files)
        return ou_error_set(err, ENOMEM, "look through the spool");
    while ((n = spool_table_next(&spool->locked.files, n)) != NULL) {
        struct spool_file *f = spool_container(n, struct spool_file, node);

        if (len && strncmp(n->key, prefix, len) != 0)
            continue;
        for (; f; f = f->replaced) {
            if (!want || want(f))
                (*files)[(*count)++] = spool_file_ref(f);
        }
    }
    return 0;
}

void spool_each(struct spool *spool, void (*fn)(void *ctx, struct spool_file *file), void *ctx)
{
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file **files = NULL;
    size_t count = 0;

    if (spool_collect(spool, "", spool_file_pending, &files, &count, &err) < 0) {
        ou_log_error(OU_LOG_SPOOL, &err, "staged files are not shown");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        fn(ctx, files[i]);
        spool_file_unref(files[i]);
    }
    free(files);
}

bool spool_upload_on(struct spool *spool, const char *key)
{
    if (spool_left_behind_on(spool, key))
        return true;
    ou_lock_scope(&spool->lock);
    for (struct spool_upload *up = spool->locked.uploads; up; up = spool_upload_next(up)) {
        if (!strcmp(spool_upload_key(up), key) && !spool_upload_is_ahead(up))
            return true;
    }
    return false;
}

static bool needs_locked(const struct spool_file *f, const char *key)
{
    if (f->unlinked || !strcmp(f->s.key, key))
        return false;
    return (f->s.base.present && !strcmp(f->s.base.key, key)) ||
           (f->live_base.present && !strcmp(f->live_base.key, key));
}

bool spool_base_needed(struct spool *spool, const char *key, const struct spool_file *but)
{
    struct spool_node *n = NULL;
    bool needed = false;

    if (!atomic_load(&spool->foreign_bases))
        return false;
    ou_lock_scope(&spool->lock);
    while ((n = spool_table_next(&spool->locked.files, n)) != NULL) {
        struct spool_file *f = spool_container(n, struct spool_file, node);

        if (f == but)
            continue;
        for (; f; f = f->replaced) {
            ou_mutex_lock(&f->lock);
            if (f != but && needs_locked(f, key)) {
                needed = true;
                f->hurry = true;
                spool_file_plan_locked(f);
            }
            ou_mutex_unlock(&f->lock);
        }
    }
    return needed;
}

bool spool_base_in_place(struct spool *spool, const char *key)
{
    struct spool_file *f;
    bool in_place = false;

    ou_lock_scope(&spool->lock);
    for (f = find_locked(spool, key); f && !in_place; f = f->replaced) {
        ou_lock_scope(&f->lock);
        in_place =
            (f->kept || f->displaced) && ((f->s.base.present && !strcmp(f->s.base.key, key)) ||
                                          (f->live_base.present && !strcmp(f->live_base.key, key)));
    }
    return in_place;
}

/* A file that is all in the bucket gives its name to what follows. */
static bool is_idle(struct spool_file *f)
{
    ou_lock_scope(&f->lock);
    return !f->kept && !f->opens && !f->up && !f->unlinked;
}

static void insert_locked(struct spool *spool, struct spool_file *f)
{
    struct spool_file *old = find_locked(spool, f->s.key);

    if (old) {
        spool_table_remove(&spool->locked.files, &old->node);
        old->named = false;
    }
    spool_table_insert(&spool->locked.files, &f->node, f->s.key);
    f->named = true;
}

int spool_create(struct spool *spool, const char *key, const struct spool_attr *attr, bool absent,
                 struct spool_file **file, struct ou_error *err)
{
    struct spool_file *f = spool_file_new(spool, spool_next_seq(spool), key, err), *old;
    int r;

    if (!f)
        return -ENOMEM;
    r = spool_attr_copy(&f->attr, attr, err);
    if (r == 0)
        r = spool_attr_copy(&f->s.attr, attr, err);
    if (r < 0) {
        spool_file_free(f);
        return r;
    }
    f->s.attr_number = f->attr_number = 1;
    f->s.absent = absent && !spool_deletes_known(spool, key);
    ou_mutex_lock(&spool->lock);
    old = find_locked(spool, key);
    if (old && !is_idle(old)) {
        r = ou_error_set(err, EEXIST, "create %s", key);
    } else {
        insert_locked(spool, f);
        ou_mutex_lock(&f->lock);
        spool_file_keep_locked(f);
        ou_mutex_unlock(&f->lock);
    }
    ou_mutex_unlock(&spool->lock);
    if (r < 0) {
        spool_file_free(f);
        return r;
    }
    *file = f;
    return 0;
}

static int fill_from_object(struct spool_file *f, const char *key, const struct oss_object *object,
                            const struct spool_attr *attr, struct ou_error *err)
{
    struct spool_base base = {.present = true, .size = object->size, .key = (char *)key};
    int r;

    memcpy(base.etag, object->etag, sizeof(base.etag));
    r = spool_base_copy(&f->s.base, &base, err);
    if (r == 0)
        r = spool_attr_copy(&f->attr, attr, err);
    if (r == 0)
        r = spool_attr_copy(&f->s.attr, attr, err);
    f->s.attr_number = f->attr_number = f->s.attr_published = 1;
    f->s.size = f->s.base_limit = object->size;
    f->size = f->base_limit = f->low = object->size;
    return r;
}

int spool_stage(struct spool *spool, const char *key, const struct oss_object *object,
                const struct spool_attr *attr, struct spool_file **file, struct ou_error *err)
{
    struct spool_file *f = spool_file_new(spool, spool_next_seq(spool), key, err), *old;
    int r;

    if (!f)
        return -ENOMEM;
    r = fill_from_object(f, key, object, attr, err);
    if (r < 0) {
        spool_file_free(f);
        return r;
    }
    ou_mutex_lock(&spool->lock);
    old = find_locked(spool, key);
    /* An idle one may be of an older version of the object. */
    if (old && (!is_idle(old) || spool_base_same(&old->s.base, &f->s.base))) {
        *file = spool_file_ref(old);
    } else {
        insert_locked(spool, f);
        *file = f;
        f = NULL;
    }
    ou_mutex_unlock(&spool->lock);
    if (f)
        spool_file_free(f);
    return 0;
}

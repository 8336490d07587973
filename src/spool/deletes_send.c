/*
 * Deletes on their way: batches, what becomes of their answers, and the call that waits for its own.
 */
#include "spool/deletes.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "oss/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define HELD_MS UINT64_C(100) /* until a key that is in use is looked at again */

struct batch {
    struct spool_delete_entry *entries[SPOOL_DELETE_BATCH];
    const char *keys[SPOOL_DELETE_BATCH];
    bool deleted[SPOOL_DELETE_BATCH];
    size_t count;
    struct spool_delete_entry *left[SPOOL_DELETE_BATCH]; /* not deleted: to be told why */
};

/* Waits for a batch to be due and takes it. Return: false when the spool is being closed. */
static bool take_batch(struct spool_deletes *d, struct batch *b)
{
    ou_lock_scope(&d->lock);
    b->count = 0;
    while (!d->locked.stopping && !b->count) {
        struct spool_node *at = NULL;
        uint64_t now = ou_now_ms(), next = 0;
        bool due = d->locked.due_ms && d->locked.due_ms <= now;

        if (!due && d->locked.ready < SPOOL_DELETE_BATCH) {
            if (d->locked.due_ms)
                (void)ou_cond_wait_until(&d->wake, &d->lock, d->locked.due_ms);
            else
                ou_cond_wait(&d->wake, &d->lock);
            continue;
        }
        while (b->count < SPOOL_DELETE_BATCH &&
               (at = spool_table_next(&d->locked.entries, at)) != NULL) {
            struct spool_delete_entry *e = spool_delete_entry_of(at);

            if (e->sending)
                continue;
            if (e->not_before_ms > now) {
                next = !next || e->not_before_ms < next ? e->not_before_ms : next;
                continue;
            }
            spool_delete_sending_locked(d, e);
            b->entries[b->count] = e;
            b->deleted[b->count] = false;
            b->keys[b->count++] = e->key;
        }
        if (b->count < SPOOL_DELETE_BATCH)
            d->locked.due_ms = next;
        else if (d->locked.entries.count == b->count)
            d->locked.due_ms = 0;
        /* else: what is left goes in its time */
    }
    return !d->locked.stopping;
}

/* Back into the queue. */
static void put_back_locked(struct spool_deletes *d, struct spool_delete_entry *e,
                            uint64_t delay_ms)
{
    uint64_t due = ou_now_ms() + delay_ms;

    e->sending = false;
    e->again = false;
    e->not_before_ms = due;
    if (!d->locked.due_ms || due < d->locked.due_ms)
        d->locked.due_ms = due;
    (void)pthread_cond_broadcast(&d->done);
}

/*
 * Keys whose object somebody still needs, or an upload is about to replace, wait. So does one
 * whose own file still shows its bytes: the renaming that the delete belongs to has not taken
 * effect, or never will, and then the file's upload drops it.
 */
static void hold_back(struct spool *spool, struct batch *b)
{
    struct spool_deletes *d = &spool->deletes;
    size_t kept = 0;

    for (size_t i = 0; i < b->count; i++) {
        struct spool_delete_entry *e = b->entries[i];

        if (spool_upload_on(spool, e->key) || spool_base_needed(spool, e->key, NULL) ||
            spool_base_in_place(spool, e->key)) {
            ou_lock_scope(&d->lock);
            put_back_locked(d, e, HELD_MS);
            continue;
        }
        b->entries[kept] = e;
        b->keys[kept++] = e->key;
    }
    b->count = kept;
}

static uint64_t backoff_ms(unsigned attempt, const struct ou_error *why)
{
    uint32_t random = 0;

    (void)getrandom(&random, sizeof(random), GRND_NONBLOCK);
    return 50 + oss_error_delay_ms(why, attempt, random);
}

/* OSS says no: the name exists again. @e is still ours. */
static void refuse(struct spool *spool, struct spool_delete_entry *e, const struct ou_error *why)
{
    struct spool_deletes *d = &spool->deletes;
    ou_autofree char *key = strdup(e->key);

    ou_log_error(OU_LOG_SPOOL, why, "delete refused key=%s", e->key);
    ou_mutex_lock(&d->lock);
    spool_delete_finish_locked(d, &e, 1);
    ou_mutex_unlock(&d->lock);
    if (key && spool->events.delete_refused)
        spool->events.delete_refused(spool->ctx, key, why);
}

/* A directory that is not empty is about to be, if something below it is being deleted, too. */
static bool is_emptied(struct spool_deletes *d, const struct spool_delete_entry *dir)
{
    size_t len = strlen(dir->key);
    struct spool_node *at = NULL;

    if (!len || dir->key[len - 1] != '/')
        return false;
    ou_lock_scope(&d->lock);
    while ((at = spool_table_next(&d->locked.entries, at)) != NULL)
        if (strncmp(at->key, dir->key, len) == 0 && at->key[len])
            return true;
    return false;
}

/* A key the batch did not delete: ask again for it alone, to learn why. */
static void delete_one(struct spool *spool, struct spool_delete_entry *e)
{
    struct spool_deletes *d = &spool->deletes;
    struct oss_call call = {.deadline_ms = OSS_ONE_ATTEMPT, .cancel = spool->cancel};
    struct ou_error err = OU_ERROR_INIT;
    int r;

    if (is_emptied(d, e)) {
        ou_lock_scope(&d->lock);
        put_back_locked(d, e, HELD_MS);
        return;
    }
    r = oss_delete_object(spool->client, &call, e->key, &err);
    if (r < 0 && r != -EINTR && oss_error_verdict(&err) == OSS_FINAL) {
        refuse(spool, e, &err);
        return;
    }
    ou_lock_scope(&d->lock);
    if (r == 0 && !e->again)
        spool_delete_finish_locked(d, &e, 1);
    else
        put_back_locked(d, e, r < 0 ? backoff_ms(d->locked.attempts++, &err) : 0);
}

/*
 * It is the batch that is refused, not the keys: where there are no batches (a hierarchical
 * bucket, a server that has not got them), or one key of it cannot be read, each goes alone.
 */
static bool is_batch_refused(const struct ou_error *err)
{
    return err->http_status == 400 || err->http_status == 405 || err->http_status == 501;
}

static void settle_batch(struct spool *spool, struct batch *b, int r, const struct ou_error *err)
{
    struct spool_deletes *d = &spool->deletes;
    bool final = r < 0 && r != -EINTR && oss_error_verdict(err) == OSS_FINAL;
    uint64_t delay = 0;
    size_t done = 0, left = 0;

    ou_mutex_lock(&d->lock);
    if (r < 0 && !final)
        delay = backoff_ms(d->locked.attempts++, err);
    else
        d->locked.attempts = 0;
    for (size_t i = 0; i < b->count; i++) {
        struct spool_delete_entry *e = b->entries[i];

        if (b->deleted[i] && !e->again)
            b->entries[done++] = e; /* done <= i */
        else if (b->deleted[i])
            put_back_locked(d, e, 0);
        else if (r < 0 && !final)
            put_back_locked(d, e, delay);
        else
            b->left[left++] = e; /* dealt with below, without the lock */
    }
    spool_delete_finish_locked(d, b->entries, done);
    ou_mutex_unlock(&d->lock);
    for (size_t i = 0; i < left; i++) {
        if (final && !is_batch_refused(err))
            refuse(spool, b->left[i], err);
        else
            delete_one(spool, b->left[i]);
    }
    if (delay && d->locked.attempts == 1)
        ou_log_warn(OU_LOG_SPOOL, err, "deletes are tried again count=%zu", b->count);
}

static void *run(void *arg)
{
    struct spool *spool = arg;
    struct batch *b = malloc(sizeof(*b));

    while (b && take_batch(&spool->deletes, b)) {
        struct oss_call call = {.cancel = spool->cancel, .background = true};
        struct ou_error err = OU_ERROR_INIT;
        int r;

        hold_back(spool, b);
        if (!b->count)
            continue;
        r = oss_delete_objects(spool->client, &call, b->keys, b->count, b->deleted, &err);
        settle_batch(spool, b, r, &err);
    }
    free(b);
    return NULL;
}

int spool_deletes_start(struct spool *spool, struct ou_error *err)
{
    int r = ou_thread_start(&spool->deletes.thread, "spool-eraser", run, spool, err);

    spool->deletes.running = r == 0;
    return r;
}

void spool_deletes_stop(struct spool *spool)
{
    struct spool_deletes *d = &spool->deletes;

    if (!d->running)
        return;
    ou_mutex_lock(&d->lock);
    d->locked.stopping = true;
    (void)pthread_cond_broadcast(&d->wake);
    ou_mutex_unlock(&d->lock);
    (void)pthread_join(d->thread, NULL);
    d->running = false;
}

/* -- the call -- */

/* delete=sync: one request, awaited. The entry keeps uploads of the key waiting meanwhile. */
static int delete_now(struct spool *spool, const char *key, struct ou_cancel *cancel,
                      struct ou_error *err)
{
    struct spool_deletes *d = &spool->deletes;
    struct oss_call call = {.cancel = cancel};
    struct spool_delete_entry *e;
    bool busy;
    int r;

    ou_mutex_lock(&d->lock);
    e = spool_delete_find_locked(d, key);
    busy = e && e->sending;
    if (!e)
        e = spool_delete_insert_locked(d, key, err);
    if (e && !busy) {
        e->seq = spool_next_seq(spool);
        spool_delete_sending_locked(d, e);
    }
    ou_mutex_unlock(&d->lock);
    if (!e)
        return -ENOMEM;
    if (busy) /* somebody is at it: queue behind */
        return spool_deletes_add(spool, key, NULL, err);

    r = oss_delete_object(spool->client, &call, key, err);
    ou_mutex_lock(&d->lock);
    if (e->again) {
        put_back_locked(d, e, 0);
        (void)pthread_cond_signal(&d->wake);
    } else {
        spool_delete_finish_locked(d, &e, 1);
    }
    ou_mutex_unlock(&d->lock);
    return r;
}

int spool_delete(struct spool *spool, const char *key, struct ou_cancel *cancel,
                 struct ou_error *err)
{
    if (spool->config.delete_sync && !spool_base_needed(spool, key, NULL))
        return delete_now(spool, key, cancel, err);
    return spool_deletes_add(spool, key, NULL, err);
}

bool spool_delete_waits(const struct spool *spool)
{
    return spool->config.delete_sync;
}

int spool_delete_later(struct spool *spool, const char *key, struct ou_error *err)
{
    return spool_deletes_add(spool, key, NULL, err);
}

bool spool_is_deleted(struct spool *spool, const char *key)
{
    return spool_deletes_known(spool, key);
}

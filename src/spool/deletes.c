/*
 * Deletes: journalled when the name goes, sent in batches, never before what they would overtake.
 *
 * deletes.journal, by "type":
 *   delete   seq, key K, moved (id; only if the delete belongs to the renaming of that file: void
 *            while the file's own sidecar still says `key`)
 *   done     items [{key K, seq}...]: confirmed, refused, or superseded by an upload
 *
 * An entry is QUEUED until a batch takes it, SENDING until its answer. A batch goes when it is full,
 * or when the settle time of its first entry is over; while one is being sent the next one fills.
 * An upload of the same key drops a queued entry and waits for one that is being sent. An entry
 * stays queued while another staged file still reads the object (a copy inside the bucket that was
 * not made yet).
 */
#include "spool/deletes.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COMPACT_SIZE (UINT64_C(1) << 20)   /* of the journal */
#define RESERVE_SIZE (UINT64_C(256) << 10) /* set aside for lines to come */
#define LINE_GUESS   128u                  /* bytes of a line, roughly */

struct spool_delete_entry *spool_delete_entry_of(struct spool_node *n)
{
    return n ? spool_container(n, struct spool_delete_entry, node) : NULL;
}

struct spool_delete_entry *spool_delete_find_locked(const struct spool_deletes *d, const char *key)
{
    return spool_delete_entry_of(spool_table_find(&d->locked.entries, key));
}

struct spool_delete_entry *spool_delete_insert_locked(struct spool_deletes *d, const char *key,
                                                      struct ou_error *err)
{
    struct spool_delete_entry *e = calloc(1, sizeof(*e));

    if (e)
        e->key = strdup(key);
    if (!e || !e->key) {
        free(e);
        (void)ou_error_set(err, ENOMEM, "delete %s", key);
        return NULL;
    }
    spool_table_insert(&d->locked.entries, &e->node, e->key);
    d->locked.ready++;
    return e;
}

static bool is_ready(const struct spool_delete_entry *e)
{
    return !e->sending && !e->not_before_ms;
}

void spool_delete_sending_locked(struct spool_deletes *d, struct spool_delete_entry *e)
{
    d->locked.ready -= is_ready(e);
    e->not_before_ms = 0;
    e->sending = true;
}

static void remove_locked(struct spool_deletes *d, struct spool_delete_entry *e)
{
    d->locked.ready -= is_ready(e);
    spool_table_remove(&d->locked.entries, &e->node);
    free(e->key);
    free(e);
    (void)pthread_cond_broadcast(&d->done);
}

/* -- the journal -- */

/*
 * Deleting must work on a full disk: it is how room is made. So the next lines' room is set aside
 * while there is some; where the file system cannot, nothing is lost by trying.
 */
static void set_room_aside_locked(struct spool_deletes *d)
{
    const struct ou_journal *j = &d->locked.journal;

    if (j->size + RESERVE_SIZE / 2 < d->locked.set_aside)
        return;
    if (fallocate(j->fd, FALLOC_FL_KEEP_SIZE, (off_t)j->size, (off_t)RESERVE_SIZE) == 0)
        d->locked.set_aside = j->size + RESERVE_SIZE;
}

static int replay(const struct ou_json *line, void *ctx, struct ou_error *err)
{
    struct spool_deletes *d = ctx;
    const char *type = ou_json_string(line, "type");
    const char *moved = ou_json_string(line, "moved");
    const struct ou_json *items = ou_json_get(line, "items");
    ou_autofree char *key = NULL;
    uint64_t seq = 0;
    size_t len;

    if (type && !strcmp(type, "done")) {
        for (size_t i = 0, n = ou_json_length(items); i < n; i++) {
            ou_autofree char *done = ou_json_bytes(ou_json_at(items, i), "key", &len);
            struct spool_delete_entry *e = done ? spool_delete_find_locked(d, done) : NULL;

            if (e && ou_json_u64(ou_json_at(items, i), "seq", &seq) && e->seq <= seq)
                remove_locked(d, e);
        }
        d->locked.dead_lines++;
        return 0;
    }
    key = ou_json_bytes(line, "key", &len);
    if (!type || strcmp(type, "delete") != 0 || !key || strlen(key) != len ||
        !ou_json_u64(line, "seq", &seq) || (moved && strlen(moved) >= SPOOL_ID_SIZE))
        return ou_error_say(err, EBADMSG, "a line of " SPOOL_DELETES_NAME " of no known shape");
    struct spool_delete_entry *e = spool_delete_find_locked(d, key);
    if (!e)
        e = spool_delete_insert_locked(d, key, err);
    if (!e)
        return -ENOMEM;
    e->seq = seq;
    e->moved[0] = '\0';
    if (moved)
        memcpy(e->moved, moved, strlen(moved) + 1);
    return 0;
}

static void put_delete(struct ou_buf *out, const struct spool_delete_entry *e)
{
    ou_buf_addf(out, "{\"type\":\"delete\",\"seq\":%" PRIu64 ",\"key\":", e->seq);
    ou_json_quote_bytes(out, e->key, strlen(e->key));
    if (*e->moved)
        ou_buf_addf(out, ",\"moved\":\"%s\"", e->moved);
    ou_buf_adds(out, "}");
}

static void compact_locked(struct spool_deletes *d)
{
    size_t count = d->locked.entries.count, n = 0;
    struct ou_error err = OU_ERROR_INIT;
    struct spool_node *at = NULL;
    struct ou_buf *lines;

    if (d->locked.journal.size < COMPACT_SIZE ||
        d->locked.journal.size / LINE_GUESS < 4 * (uint64_t)count)
        return;
    lines = calloc(count + 1, sizeof(*lines));
    if (!lines)
        return;
    while ((at = spool_table_next(&d->locked.entries, at)) != NULL)
        put_delete(&lines[n++], spool_delete_entry_of(at));
    if (ou_journal_rewrite(&d->locked.journal, lines, n, &err) < 0)
        ou_log_warn(OU_LOG_SPOOL, &err, "journal of deletes stays long");
    for (size_t i = 0; i < n; i++)
        ou_buf_fini(&lines[i]);
    free(lines);
    d->locked.set_aside = 0; /* it is another file */
    set_room_aside_locked(d);
}

/* The entries are over; they are removed. A line that cannot be written means a second request. */
void spool_delete_finish_locked(struct spool_deletes *d, struct spool_delete_entry *const *entries,
                                size_t count)
{
    ou_auto(ou_buf_fini) struct ou_buf line = {0};
    struct ou_error err = OU_ERROR_INIT;

    if (!count)
        return;
    ou_buf_adds(&line, "{\"type\":\"done\",\"items\":[");
    for (size_t i = 0; i < count; i++) {
        ou_buf_adds(&line, i ? ",{\"key\":" : "{\"key\":");
        ou_json_quote_bytes(&line, entries[i]->key, strlen(entries[i]->key));
        ou_buf_addf(&line, ",\"seq\":%" PRIu64 "}", entries[i]->seq);
    }
    ou_buf_adds(&line, "]}");
    if (ou_buf_check(&line, &err) < 0 ||
        ou_journal_append(&d->locked.journal, line.data, line.len, false, &err) < 0)
        ou_log_warn(OU_LOG_SPOOL, &err, "deletes may be sent again count=%zu", count);
    for (size_t i = 0; i < count; i++)
        remove_locked(d, entries[i]);
    compact_locked(d);
}

int spool_deletes_open(struct spool *spool, struct ou_error *err)
{
    struct spool_deletes *d = &spool->deletes;
    struct spool_node *at = NULL;
    int r;

    ou_mutex_lock(&d->lock);
    r = ou_journal_open(&d->locked.journal, spool->dirfd, SPOOL_DELETES_NAME, true, replay, d, err);
    while (r == 0 && (at = spool_table_next(&d->locked.entries, at)) != NULL) {
        if (spool_delete_entry_of(at)->seq >= atomic_load(&spool->seq))
            atomic_store(&spool->seq, spool_delete_entry_of(at)->seq + 1);
        d->locked.due_ms = 1;
    }
    if (r == 0)
        set_room_aside_locked(d);
    ou_mutex_unlock(&d->lock);
    return r;
}

void spool_deletes_close(struct spool *spool)
{
    struct spool_deletes *d = &spool->deletes;
    struct spool_node *n;

    ou_mutex_lock(&d->lock);
    while ((n = spool_table_next(&d->locked.entries, NULL)) != NULL)
        remove_locked(d, spool_delete_entry_of(n));
    spool_table_fini(&d->locked.entries);
    ou_journal_close(&d->locked.journal);
    ou_mutex_unlock(&d->lock);
}

int spool_deletes_add_at(struct spool *spool, const char *key, const char *moved_id, uint64_t seq,
                         struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf line = {0};
    struct spool_deletes *d = &spool->deletes;
    struct spool_delete_entry *e;
    bool fresh;
    int r;

    ou_lock_scope(&d->lock);
    e = spool_delete_find_locked(d, key);
    fresh = !e;
    if (fresh)
        e = spool_delete_insert_locked(d, key, err);
    if (!e)
        return -ENOMEM;
    if (!fresh && e->seq >= seq)
        return 0;
    e->seq = seq;
    e->moved[0] = '\0';
    if (moved_id)
        memcpy(e->moved, moved_id, strlen(moved_id) + 1);
    e->again = e->sending;
    put_delete(&line, e);
    r = ou_buf_check(&line, err);
    if (r == 0)
        r = ou_journal_append(&d->locked.journal, line.data, line.len, false, err);
    if (r < 0) {
        if (fresh)
            remove_locked(d, e);
        return ou_error_prefix(err, "delete %s", key);
    }
    set_room_aside_locked(d);
    if (d->locked.due_ms && d->locked.ready < SPOOL_DELETE_BATCH)
        return 0;
    if (!d->locked.due_ms)
        d->locked.due_ms = ou_now_ms() + spool->config.settle_ms;
    (void)pthread_cond_signal(&d->wake);
    return 0;
}

int spool_deletes_add(struct spool *spool, const char *key, const char *moved_id,
                      struct ou_error *err)
{
    return spool_deletes_add_at(spool, key, moved_id, spool_next_seq(spool), err);
}

/* -- what others ask -- */

enum spool_claim spool_deletes_claim(struct spool *spool, const char *key)
{
    struct spool_deletes *d = &spool->deletes;
    struct spool_delete_entry *e;

    ou_lock_scope(&d->lock);
    e = spool_delete_find_locked(d, key);
    if (!e)
        return SPOOL_CLAIM_NONE;
    if (e->sending)
        return SPOOL_CLAIM_WAIT;
    spool_delete_finish_locked(d, &e, 1);
    return SPOOL_CLAIM_DROPPED;
}

bool spool_deletes_known(struct spool *spool, const char *key)
{
    ou_lock_scope(&spool->deletes.lock);
    return spool_delete_find_locked(&spool->deletes, key) != NULL;
}

void spool_deletes_settle(struct spool *spool, const char *key, uint64_t seq, const char *id,
                          bool *dead)
{
    struct spool_deletes *d = &spool->deletes;
    struct spool_delete_entry *e;

    ou_lock_scope(&d->lock);
    e = spool_delete_find_locked(d, key);
    *dead = false;
    if (!e)
        return;
    if (!strcmp(e->moved, id))
        spool_delete_finish_locked(d, &e, 1); /* the file was not renamed after all */
    else
        *dead = !*e->moved && e->seq > seq;
}

static uint64_t count_locked(const struct spool_deletes *d, const char *prefix)
{
    struct spool_node *at = NULL;
    uint64_t count = 0;

    if (!*prefix)
        return d->locked.entries.count;
    while ((at = spool_table_next(&d->locked.entries, at)) != NULL)
        count += !strncmp(at->key, prefix, strlen(prefix));
    return count;
}

uint64_t spool_deletes_count(struct spool *spool, const char *prefix)
{
    ou_lock_scope(&spool->deletes.lock);
    return count_locked(&spool->deletes, prefix);
}

void spool_deletes_flush(struct spool *spool)
{
    struct spool_deletes *d = &spool->deletes;

    ou_lock_scope(&d->lock);
    if (d->locked.entries.count)
        d->locked.due_ms = 1;
    (void)pthread_cond_signal(&d->wake);
}

static void wake_waiter(void *arg)
{
    struct spool_deletes *d = arg;

    ou_mutex_lock(&d->lock);
    (void)pthread_cond_broadcast(&d->done);
    ou_mutex_unlock(&d->lock);
}

int spool_deletes_await(struct spool *spool, const char *prefix, uint64_t deadline_ms,
                        struct ou_cancel *cancel, struct ou_error *err)
{
    struct spool_deletes *d = &spool->deletes;
    struct ou_cancel_hook hook;
    int r = 0;

    ou_cancel_attach(cancel, &hook, wake_waiter, d);
    ou_mutex_lock(&d->lock);
    while (r == 0 && count_locked(d, prefix)) {
        if (ou_cancel_triggered(cancel))
            r = ou_error_set(err, EINTR, "wait for deletes");
        else if (ou_cond_wait_until(&d->done, &d->lock, deadline_ms))
            r = ou_error_set(err, ETIMEDOUT, "wait for deletes");
    }
    ou_mutex_unlock(&d->lock);
    ou_cancel_detach(cancel, &hook);
    return r;
}

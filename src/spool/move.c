/*
 * Told in spool/move.h.
 *
 * While a move lasts, no upload of a file below it begins or is published, so that no request with
 * an old name overtakes the one that changes the names. Exempt is what the move waits for: a
 * version that may have been published already, and a file whose base is another object, which
 * could not be told afterwards where that is.
 */
#include "spool/move.h"

#include "base/clock.h"
#include "spool/early.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_AGAIN_MS UINT64_C(100)

static bool is_below(const char *name, const char *key)
{
    size_t len = strlen(name);

    return strncmp(key, name, len) == 0 && (!key[len] || (len && name[len - 1] == '/'));
}

void spool_move_begin(struct spool *spool, struct spool_move *move)
{
    ou_lock_scope(&spool->moves.lock);
    move->next = spool->moves.first;
    spool->moves.first = move;
    (void)atomic_fetch_add(&spool->moves.count, 1);
    (void)atomic_fetch_add(&spool->moves.begun, 1);
}

unsigned spool_moves_begun(struct spool *spool)
{
    return atomic_load(&spool->moves.begun);
}

/* Its name without the "/", too: that is how it is looked up. */
static bool covers(const char *name, const char *key)
{
    size_t len = strlen(name);

    return is_below(name, key) ||
           (len && name[len - 1] == '/' && strlen(key) == len - 1 && !strncmp(key, name, len - 1));
}

bool spool_is_moving(struct spool *spool, const char *key)
{
    if (!atomic_load(&spool->moves.count))
        return false;
    ou_lock_scope(&spool->moves.lock);
    for (const struct spool_move *m = spool->moves.first; m; m = m->next)
        if (covers(m->from, key) || covers(m->to, key))
            return true;
    return false;
}

bool spool_move_blocks_locked(const struct spool_file *f)
{
    ou_mutex_assert_held(&f->lock);
    return !f->s.upload.publishing && !f->foreign && spool_is_moving(f->spool, f->s.key);
}

/* -- what is under way -- */

static void hurry_locked(struct spool_file *f)
{
    f->hurry = true;
    spool_file_plan_locked(f);
}

/* A file that needs an object below @from under the name that it has now. */
static bool needs_below_locked(const struct spool_file *f, const char *from)
{
    const struct spool_base *bases[2] = {&f->s.base, &f->live_base};

    for (int i = 0; i < 2; i++)
        if (bases[i]->present && is_below(from, bases[i]->key) &&
            strcmp(bases[i]->key, f->s.key) != 0)
            return true;
    return f->s.upload.key && is_below(from, f->s.upload.key) &&
           strcmp(f->s.upload.key, f->s.key) != 0;
}

/* 1: to be waited for, 0: not, -EBUSY: in vain. */
static int look_locked(struct spool_file *f, const char *from, struct ou_error *err)
{
    bool below = is_below(from, f->s.key);
    bool needs = needs_below_locked(f, from);

    if (below && f->replaced) /* its upload goes on, and it is in no table */
        return ou_error_set(err, EBUSY, "%s has replaced another file", f->s.key);
    if (below && spool_is_released(f))
        return ou_error_set(err, EBUSY, "%s is in its unfinished upload only", f->s.key);
    if (needs || (below && f->s.upload.publishing)) {
        if (f->retry_ms && f->s.failed.errnum && !f->up)
            return ou_error_set(err, EBUSY, "%s waits for its upload", f->s.key);
        hurry_locked(f);
        return 1;
    }
    return below && f->up && (f->up->let_out || f->up->uses_base || f->up->abort_only);
}

static int look(struct spool *spool, const char *from, struct ou_error *err)
{
    struct spool_node *n = NULL;
    int busy = 0;

    ou_lock_scope(&spool->lock);
    while ((n = spool_table_next(&spool->locked.files, n)) != NULL) {
        struct spool_file *f = spool_container(n, struct spool_file, node);
        int r;

        ou_mutex_lock(&f->lock);
        r = look_locked(f, from, err);
        ou_mutex_unlock(&f->lock);
        if (r < 0)
            return r;
        busy = busy || r;
    }
    for (struct spool_upload *up = spool->locked.uploads; up; up = spool_upload_next(up))
        busy = busy || (spool_upload_doomed(up) && is_below(from, spool_upload_key(up)));
    return busy;
}

/* Uploads that read objects below begin again afterwards; those that were just beginning have begun. */
static int stop_uploads(struct spool *spool, const char *from, struct ou_error *err)
{
    struct spool_file **files = NULL;
    size_t count = 0;
    int r = spool_collect(spool, from, NULL, &files, &count, err);

    for (size_t i = 0; i < count; i++) {
        struct spool_file *f = files[i];

        ou_mutex_lock(&f->io);
        if (f->up && f->up->uses_base && !f->foreign && !f->s.upload.publishing)
            spool_upload_restart(f);
        ou_mutex_unlock(&f->io);
        spool_file_unref(f);
    }
    free(files);
    return r;
}

static int await_deletes(struct spool *spool, const char *name, uint64_t deadline_ms,
                         struct ou_cancel *cancel, struct ou_error *err)
{
    if (!spool_deletes_count(spool, name))
        return 0;
    spool_deletes_flush(spool);
    return spool_deletes_await(spool, name, deadline_ms, cancel, err);
}

int spool_move_await(struct spool *spool, const struct spool_move *move, uint64_t deadline_ms,
                     struct ou_cancel *cancel, struct ou_error *err)
{
    int r = stop_uploads(spool, move->from, err);

    while (r == 0 && (r = look(spool, move->from, err)) > 0) {
        if (ou_cancel_triggered(cancel))
            return ou_error_set(err, EINTR, "wait for uploads below %s", move->from);
        if (deadline_ms && ou_now_ms() >= deadline_ms)
            return ou_error_set(err, ETIMEDOUT, "wait for uploads below %s", move->from);
        ou_lock_scope(&spool->lock);
        (void)ou_cond_wait_until(&spool->changed, &spool->lock, ou_now_ms() + LOOK_AGAIN_MS);
        r = 0;
    }
    if (r == 0)
        r = await_deletes(spool, move->from, deadline_ms, cancel, err);
    if (r == 0) /* or what comes there would be deleted */
        r = await_deletes(spool, move->to, deadline_ms, cancel, err);
    return r;
}

/* -- afterwards -- */

static void go_on(struct spool *spool, const char *name)
{
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file **files = NULL;
    size_t count = 0;

    if (spool_collect(spool, name, NULL, &files, &count, &err) < 0)
        return; /* out of memory: they are looked at when they change */
    for (size_t i = 0; i < count; i++) {
        ou_mutex_lock(&files[i]->lock);
        spool_file_plan_locked(files[i]);
        ou_mutex_unlock(&files[i]->lock);
        spool_upload_kick(files[i]);
        spool_file_unref(files[i]);
    }
    free(files);
}

void spool_move_end(struct spool *spool, struct spool_move *move)
{
    struct spool_move **at = &spool->moves.first;

    ou_mutex_lock(&spool->moves.lock);
    while (*at != move)
        at = &(*at)->next;
    *at = move->next;
    (void)atomic_fetch_sub(&spool->moves.count, 1);
    ou_mutex_unlock(&spool->moves.lock);
    go_on(spool, move->from);
    go_on(spool, move->to);
}

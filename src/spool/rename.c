/*
 * A name changes.
 *
 * The delete of the old object is journalled first, bound to the file's id, so that it is void as
 * long as the sidecar has not been renamed; then the sidecar's `rename` line takes effect. A crash
 * between the two leaves the old name. If the new name had a staged file, there may be two sidecars
 * of one key after a crash: the higher sequence number wins.
 */
#include "spool/early.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>

#define LOOK_AGAIN_MS UINT64_C(100) /* while something else uses the new name */

/* The base lies under the old name, which is about to be deleted, and its bytes are needed. */
static bool base_must_move(const struct spool_file *f)
{
    struct extent_map const *maps[2] = {&f->s.map, &f->live};
    uint64_t limits[2] = {f->s.base_limit, f->base_limit};

    if (!f->s.base.present || strcmp(f->s.base.key, f->s.key) != 0)
        return false;
    for (int i = 0; i < 2; i++) {
        for (uint64_t at = 0; at < limits[i];) {
            struct extent e = extent_map_at(maps[i], at);

            if (e.slot == EXTENT_NONE)
                return true;
            at += e.size;
        }
    }
    return false;
}

/* -- the base's move -- */

static void hold(struct spool_file *f)
{
    ou_lock_scope(&f->io);
    ou_mutex_lock(&f->lock);
    f->held++;
    spool_file_plan_locked(f);
    ou_mutex_unlock(&f->lock);
    spool_upload_restart(f);
}

/*
 * Likewise for the file that is renamed. If a version of it may have been published already, that
 * comes first: only then is known what its base is. Return: 1 held, 0 not yet, negative: parked.
 */
static int hold_settled(struct spool_file *f, struct ou_error *err)
{
    int r = 1;

    ou_mutex_lock(&f->io);
    ou_mutex_lock(&f->lock);
    if (!f->s.upload.publishing) {
        f->held++;
    } else if (f->retry_ms && f->s.failed.errnum && !f->up) {
        *err = f->s.failed;
        r = -err->errnum;
    } else {
        f->hurry = true;
        r = 0;
    }
    spool_file_plan_locked(f);
    ou_mutex_unlock(&f->lock);
    if (r == 1)
        spool_upload_restart(f);
    ou_mutex_unlock(&f->io);
    return r;
}

static void let_go(struct spool_file *f)
{
    ou_lock_scope(&f->lock);
    f->held--;
    spool_file_plan_locked(f);
}

static bool has_upload(struct spool_file *f)
{
    ou_lock_scope(&f->lock);
    return f->up != NULL;
}

/* How long the caller waits for what is under way. */
struct patience {
    uint64_t deadline_ms; /* 0: for ever */
    struct ou_cancel *cancel;
};

static int wait_a_moment(struct spool *spool, const struct patience *patience, struct ou_error *err)
{
    if (ou_cancel_triggered(patience->cancel))
        return ou_error_set(err, EINTR, "wait for an upload");
    if (patience->deadline_ms && ou_now_ms() >= patience->deadline_ms)
        return ou_error_set(err, ETIMEDOUT, "wait for an upload");
    ou_lock_scope(&spool->lock);
    (void)ou_cond_wait_until(&spool->changed, &spool->lock, ou_now_ms() + LOOK_AGAIN_MS);
    return 0;
}

/*
 * Until nothing under way can touch the two objects: the file's own upload, which may have
 * replaced its base by the time it ends; uploads, deletes and readers of the object @key.
 */
static int await_both(struct spool_file *f, const char *key, bool *undeleted,
                      const struct patience *patience, struct ou_error *err)
{
    struct spool *spool = f->spool;
    int r = 0;

    while (r == 0) {
        enum spool_claim claim = SPOOL_CLAIM_WAIT;

        if (!has_upload(f) && !spool_base_needed(spool, key, f) && !spool_upload_on(spool, key))
            claim = spool_deletes_claim(spool, key);
        *undeleted = *undeleted || claim == SPOOL_CLAIM_DROPPED;
        if (claim != SPOOL_CLAIM_WAIT)
            return 0;
        r = wait_a_moment(spool, patience, err);
    }
    return r;
}

/*
 * The base's object gets the name @key, too. Both files are held. @from, @to: the base as it is
 * now, and what lies at @key then; not filled when it need not be moved any more.
 */
static int move_base(struct spool_file *f, const char *key, struct spool_base *from,
                     struct spool_base *to, const struct patience *patience, struct ou_error *err)
{
    struct ou_error ignored = OU_ERROR_INIT;
    bool undeleted = false;
    int r = await_both(f, key, &undeleted, patience, err);

    spool_base_fini(from);
    spool_base_fini(to);
    if (r == 0) {
        ou_lock_scope(&f->io);
        if (base_must_move(f))
            r = spool_base_copy(from, &f->s.base, err);
    }
    if (r == 0 && from->present)
        r = spool_copy_base(f, from, key, patience->deadline_ms, patience->cancel, to, err);
    if (!to->present && undeleted && spool_deletes_add(f->spool, key, NULL, &ignored) < 0)
        ou_log_error(OU_LOG_SPOOL, &ignored, "deleted object is back key=%s", key);
    return r;
}

/* Both tables: the one in memory now, the one on disk has been written. */
static void switch_name(struct spool_file *f, const struct ou_buf *line, struct ou_error *err)
{
    struct spool *spool = f->spool;
    struct spool_base_reader *old[2];

    ou_mutex_lock(&spool->lock);
    if (f->named)
        spool_table_remove(&spool->locked.files, &f->node);
    ou_mutex_lock(&f->lock);
    if (spool_file_apply_locked(f, line, err) < 0)
        ou_log_error(OU_LOG_SPOOL, err, "renamed on disk only id=%s", f->id);
    spool_file_take_readers_locked(f, old);
    f->published_version = f->published_attr = 0; /* that was under the old name */
    if (f->up)
        f->up->renamed = true;
    f->changed_ms = ou_now_ms();
    spool_file_plan_locked(f);
    ou_mutex_unlock(&f->lock);
    spool_table_insert(&spool->locked.files, &f->node, f->s.key);
    f->named = true;
    ou_mutex_unlock(&spool->lock);
    spool_base_reader_drop(old[0]);
    spool_base_reader_drop(old[1]);
}

/* @over: the staged file that has the new name so far, its .io held too; or NULL. */
static int rename_both(struct spool_file *f, struct spool_file *over, const char *key,
                       const struct spool_base *base, bool *drop_over, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf line = {0};
    bool absent = over ? !spool_file_may_exist(over) : false;
    bool outlives = over && over->s.synced_version && spool_sidecar_pending(&over->s);
    int r = 0;

    /* A power cut must not take the old version, which was on the disk, with the new one. */
    if (outlives)
        r = spool_file_make_synced(f, err);
    if (r == 0 && spool_file_may_exist(f))
        r = spool_deletes_add(f->spool, f->s.key, f->id, err);
    if (r < 0)
        return r;
    spool_record_rename(&line, spool_next_seq(f->spool), key, absent && !base->present,
                        base->present ? base : NULL);
    /* A base that nothing shows through would only keep its old name in use. */
    if (!base->present && f->s.base.present && !strcmp(f->s.base.key, f->s.key)) {
        ou_buf_adds(&line, "\n");
        spool_record_word(&line, "baseless");
    }
    /* It must last before the base's old name is deleted, and before the replaced file goes. */
    if (spool_sidecar_exists(&f->s) || f->has_sidecar)
        r = spool_file_journal(f, &line, base->present || outlives, err);
    if (r < 0) {
        (void)spool_deletes_claim(f->spool, f->s.key);
        return r;
    }
    /* Whatever its upload may have left there, the copy of the base has replaced it. */
    if (over && base->present && over->s.upload.publishing &&
        spool_file_word(over, "unpublished", false, err) < 0)
        ou_log_warn(OU_LOG_SPOOL, err, "journal key=%s", key);
    *drop_over = over && spool_file_take_name(over);
    spool_upload_restart(f);
    switch_name(f, &line, err);
    return 0;
}

static void lock_both(struct spool_file *f, struct spool_file *over)
{
    struct spool_file *first = over && over->s.seq < f->s.seq ? over : f;
    struct spool_file *second = first == f ? over : f;

    ou_mutex_lock(&first->io);
    if (second)
        ou_mutex_lock_second(&second->io);
}

/*
 * One attempt. Return: 0 done, 1 the base must be moved first, -EAGAIN: what was sent of it ahead
 * of its close must be published first, negative errno. @from, @to: the
 * base as it was when it was moved, and where to.
 */
static int try_rename(struct spool_file *f, struct spool_file *over, const char *key,
                      const struct spool_base *from, const struct spool_base *to,
                      struct ou_error *err)
{
    static const struct spool_base none;
    bool drop_over = false, moved;
    int r;

    lock_both(f, over);
    moved = to->present && spool_base_same(from, &f->s.base);
    if (f->unlinked)
        r = ou_error_set(err, ENOENT, "rename to %s", key);
    else if (spool_is_released(f))
        r = -EAGAIN;
    else if (!moved && base_must_move(f))
        r = 1; /* or an upload ended meanwhile, and the base is another now */
    else
        r = rename_both(f, over, key, moved ? to : &none, &drop_over, err);
    if (over)
        ou_mutex_unlock(&over->io);
    ou_mutex_unlock(&f->io);
    if (drop_over)
        spool_file_unref(over);
    return r;
}

/* Both files, once nothing of them is only in an upload that holding would end. */
static int hold_both(struct spool_file *f, struct spool_file *over, const struct patience *patience,
                     struct ou_error *err)
{
    int r = over ? spool_release_await_all(over, patience->deadline_ms, patience->cancel, err) : 0;

    if (r < 0)
        return r;
    while ((r = hold_settled(f, err)) == 0 && (r = wait_a_moment(f->spool, patience, err)) == 0)
        continue;
    if (r < 0)
        return r;
    if (over)
        hold(over);
    return 0;
}

static int rename_over(struct spool_file *f, struct spool_file *over, const char *key,
                       const struct patience *patience, struct ou_error *err)
{
    struct spool_base from = {0}, to = {0};
    bool held = false;
    int r = 0;

    /* Two files, each waiting for the object that the other reads, would wait for ever. */
    while (r == 0 && spool_base_needed(f->spool, key, f))
        r = wait_a_moment(f->spool, patience, err);
    while (r == 0) {
        r = try_rename(f, over, key, &from, &to, err);
        if (r == -EAGAIN) {
            r = spool_release_await_all(f, patience->deadline_ms, patience->cancel, err);
            continue;
        }
        if (r <= 0)
            break;
        r = held ? 0 : hold_both(f, over, patience, err);
        if (r < 0)
            break;
        held = true;
        r = move_base(f, key, &from, &to, patience, err);
    }
    if (held) {
        let_go(f);
        if (over)
            let_go(over);
    }
    spool_base_fini(&from);
    spool_base_fini(&to);
    return r;
}

int spool_file_rename(struct spool_file *f, const char *key, uint64_t deadline_ms,
                      struct ou_cancel *cancel, struct ou_error *err)
{
    const struct patience patience = {.deadline_ms = deadline_ms, .cancel = cancel};
    struct spool_file *over = NULL;
    int r = 0;

    (void)spool_find(f->spool, key, &over);
    if (over != f)
        r = rename_over(f, over, key, &patience, err);
    spool_file_unref(over);
    return r < 0 ? ou_error_prefix(err, "rename to %s", key) : 0;
}

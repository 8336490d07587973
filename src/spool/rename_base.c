/*
 * A rename needs the bytes of an object that lies under the old name: it is copied on the server.
 *
 * Meanwhile no upload of what is renamed, or of what has the new name so far, may run: its end would
 * change what is copied, or replace the copy.
 */
#include "spool/rename.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>

#define LOOK_AGAIN_MS UINT64_C(100) /* while something else uses the new name */

bool spool_base_must_move(const struct spool_file *f)
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

/* -- holding -- */

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

int spool_rename_wait(const struct spool_renaming *n, struct ou_error *err)
{
    struct spool *spool = n->file->spool;

    if (ou_cancel_triggered(n->cancel))
        return ou_error_set(err, EINTR, "wait for an upload");
    if (n->deadline_ms && ou_now_ms() >= n->deadline_ms)
        return ou_error_set(err, ETIMEDOUT, "wait for an upload");
    ou_lock_scope(&spool->lock);
    (void)ou_cond_wait_until(&spool->changed, &spool->lock, ou_now_ms() + LOOK_AGAIN_MS);
    return 0;
}

/* Nothing of them may be only in an upload that holding would end. */
int spool_rename_hold(const struct spool_renaming *n, struct ou_error *err)
{
    int r = n->over ? spool_release_await_all(n->over, n->deadline_ms, n->cancel, err) : 0;

    if (r < 0)
        return r;
    while ((r = hold_settled(n->lead, err)) == 0 && (r = spool_rename_wait(n, err)) == 0)
        continue;
    if (r < 0)
        return r;
    if (n->over)
        hold(n->over);
    return 0;
}

void spool_rename_let_go(const struct spool_renaming *n)
{
    let_go(n->lead);
    if (n->over)
        let_go(n->over);
}

/* -- the move -- */

/*
 * Until nothing under way can touch the two objects: the file's own upload, which may have
 * replaced its base by the time it ends; uploads, deletes and readers of the object with the new
 * name.
 */
static int await_both(const struct spool_renaming *n, bool *undeleted, struct ou_error *err)
{
    struct spool *spool = n->file->spool;
    int r = 0;

    while (r == 0) {
        enum spool_claim claim = SPOOL_CLAIM_WAIT;

        if (!has_upload(n->lead) && !spool_base_needed(spool, n->key, n->file) &&
            !spool_upload_on(spool, n->key))
            claim = spool_deletes_claim(spool, n->key);
        *undeleted = *undeleted || claim == SPOOL_CLAIM_DROPPED;
        if (claim != SPOOL_CLAIM_WAIT)
            return 0;
        r = spool_rename_wait(n, err);
    }
    return r;
}

int spool_rename_move_base(const struct spool_renaming *n, struct spool_base *from,
                           struct spool_base *to, struct ou_error *err)
{
    struct spool_file *lead = n->lead;
    struct ou_error ignored = OU_ERROR_INIT;
    bool undeleted = false;
    int r = await_both(n, &undeleted, err);

    spool_base_fini(from);
    spool_base_fini(to);
    if (r == 0) {
        ou_lock_scope(&lead->io);
        if (spool_base_must_move(lead))
            r = spool_base_copy(from, &lead->s.base, err);
    }
    if (r == 0 && from->present)
        r = spool_copy_base(lead, from, n->key, n->deadline_ms, n->cancel, to, err);
    if (!to->present && undeleted && spool_deletes_add(lead->spool, n->key, NULL, &ignored) < 0)
        ou_log_error(OU_LOG_SPOOL, &ignored, "deleted object is back key=%s", n->key);
    return r;
}

/*
 * A file that was never closed takes the name of one that was.
 *
 * Such a file has no stable version: kill -9 forgets it. What it replaces by a rename must not go
 * with it, so that stays, *displaced*, until the new file has a stable version of its own:
 *
 *   - on disk it keeps its sidecar and its data. The new file's sidecar says the same key with a
 *     higher sequence number, but no stable version, so that a recovery shows the old file;
 *   - in memory it is in no table, and the new file's .replaced. It takes no new stable version
 *     (who has it open writes to a file without a name), but its upload goes on: the bucket, too,
 *     has the last version that was closed under this name;
 *   - its key is that of the new file: a rename takes both along (rename.c), an unlink both away;
 *   - of what the bucket has, and nothing is pending of, the displaced file is a handle: it costs
 *     no disk, and a later rename moves the object.
 *
 * Once the new file has a stable version, the timer's thread drops the old one; until that is
 * done nothing of the new file is published. After a crash in between, the higher sequence number
 * wins.
 *
 * Not chosen: to make the new file's bytes of the moment of the rename stable, as file systems do
 * that flush on such a rename. They may be half of a version, and what is stable may be published.
 */
#include "spool/file.h"

#include "base/log.h"

#include <assert.h>
#include <string.h>

#define FILES_MAX 3u /* locked at once */

void spool_files_lock(struct spool_file *const *files, size_t count)
{
    struct spool_file *order[FILES_MAX];
    size_t n = 0;

    assert(count <= FILES_MAX);
    for (size_t i = 0; i < count; i++) {
        size_t at = n;

        if (!files[i])
            continue;
        for (; at > 0 && strcmp(order[at - 1]->id, files[i]->id) > 0; at--)
            order[at] = order[at - 1];
        order[at] = files[i];
        n++;
    }
    for (size_t i = 0; i < n; i++) {
        if (i == 0)
            ou_mutex_lock(&order[i]->io);
        else
            ou_mutex_lock_second(&order[i]->io);
    }
}

void spool_files_unlock(struct spool_file *const *files, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (files[i])
            ou_mutex_unlock(&files[i]->io);
    }
}

struct spool_file *spool_replaced_of(struct spool_file *f)
{
    ou_lock_scope(&f->lock);
    return f->replaced ? spool_file_ref(f->replaced) : NULL;
}

/* .io held. */
static void set_replaced(struct spool_file *f, struct spool_file *replaced)
{
    ou_mutex_assert_held(&f->io);
    ou_mutex_lock(&f->spool->lock);
    ou_mutex_lock(&f->lock);
    f->replaced = replaced;
    ou_mutex_unlock(&f->lock);
    ou_mutex_unlock(&f->spool->lock);
}

void spool_replaced_keep(struct spool_file *f, struct spool_file *over)
{
    struct spool *spool = f->spool;

    ou_mutex_assert_held(&over->io);
    assert(!f->replaced && !over->replaced && !over->displaced);
    ou_mutex_lock(&spool->lock);
    if (over->named)
        spool_table_remove(&spool->locked.files, &over->node);
    over->named = false;
    ou_mutex_lock(&over->lock);
    over->displaced = true;
    over->publishable = over->s.version; /* whoever has it open */
    spool_file_plan_locked(over);
    ou_mutex_unlock(&over->lock);
    ou_mutex_unlock(&spool->lock);
    if (over->early.on) /* of a version that will never be */
        spool_upload_restart(over);
    set_replaced(f, spool_file_ref(over));
}

void spool_replaced_inherit(struct spool_file *f, struct spool_file *replaced)
{
    assert(!f->replaced && replaced->displaced);
    set_replaced(f, replaced);
}

struct spool_file *spool_replaced_take(struct spool_file *f)
{
    struct spool_file *replaced = f->replaced;

    if (replaced)
        set_replaced(f, NULL);
    return replaced;
}

void spool_replaced_drop(struct spool_file *replaced)
{
    bool drop;

    if (!replaced)
        return;
    ou_mutex_lock(&replaced->io);
    drop = spool_file_take_name(replaced, true);
    ou_mutex_unlock(&replaced->io);
    if (drop)
        spool_file_unref(replaced);
    spool_file_unref(replaced);
}

bool spool_replaced_outlives(struct spool_file *replaced)
{
    ou_lock_scope(&replaced->lock);
    return replaced->s.synced_version && spool_file_pending_locked(replaced);
}

int spool_replaced_settle(struct spool_file *f, struct ou_error *err)
{
    struct spool_file *replaced = NULL;
    int r = 0;

    ou_mutex_lock(&f->io);
    if (f->replaced && spool_sidecar_exists(&f->s)) {
        if (spool_replaced_outlives(f->replaced))
            r = spool_file_make_synced(f, err);
        if (r == 0)
            replaced = spool_replaced_take(f);
    }
    ou_mutex_unlock(&f->io);
    spool_replaced_drop(replaced);
    return r;
}

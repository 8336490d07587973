/*
 * A name goes.
 *
 * The delete of the object is journalled first (its sequence number is above the file's, which
 * makes the sidecar void), then the sidecar says `unlinked`, then the data goes, then, once no
 * upload is left to be ended, the sidecar.
 */
#include "spool/file.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* The object may exist in the bucket under the file's name. */
bool spool_file_may_exist(const struct spool_file *f)
{
    return !f->s.absent || f->s.upload.publishing || f->published_version ||
           (f->s.base.present && !strcmp(f->s.base.key, f->s.key));
}

/* The data files have no names any more: when nobody needs their bytes, the room is free. */
static void give_room(struct spool_file *f)
{
    uint64_t bytes = 0;

    ou_mutex_lock(&f->lock);
    if (!f->up && !f->opens && !f->busy) {
        for (int i = 0; i < SPOOL_SLOTS; i++) {
            if (f->fd[i] >= 0)
                (void)close(f->fd[i]);
            f->fd[i] = -1;
        }
        bytes = f->disk_bytes;
        f->disk_bytes = 0;
    }
    if (bytes) /* one step with .disk_bytes: see room_will_come() */
        spool_space_settle(f->spool, 0, -(int64_t)bytes);
    ou_mutex_unlock(&f->lock);
}

void spool_file_finish_unlink(struct spool_file *f)
{
    struct ou_error err = OU_ERROR_INIT;
    bool last;

    ou_mutex_assert_held(&f->io);
    ou_mutex_lock(&f->lock);
    last = !f->up && !f->s.upload.key;
    ou_mutex_unlock(&f->lock);
    if (last && f->has_sidecar && spool_file_remove_sidecar(f, &err) < 0)
        ou_log_warn(OU_LOG_SPOOL, &err, "sidecar of a file without a name id=%s", f->id);
    give_room(f);
}

bool spool_file_take_name(struct spool_file *f, bool replaced)
{
    ou_auto(ou_buf_fini) struct ou_buf line = {0};
    struct spool *spool = f->spool;
    struct ou_error err = OU_ERROR_INIT;
    bool drop;

    ou_mutex_assert_held(&f->io);
    ou_mutex_lock(&spool->lock);
    if (f->named)
        spool_table_remove(&spool->locked.files, &f->node);
    f->named = false;
    ou_mutex_lock(&f->lock);
    /* Readers and writers that are left need the data files, which lose their names now. */
    for (int i = 0; i < 2; i++)
        (void)spool_file_fd_locked(f, (enum extent_slot)i, false, &err);
    f->unlinked = true;
    f->s.unlinked = true;
    f->s.replaced = replaced;
    spool_file_foreign_locked(f);
    spool_file_plan_locked(f);
    drop = f->kept;
    f->kept = false;
    (void)pthread_cond_broadcast(&f->changed);
    (void)pthread_cond_broadcast(&spool->changed);
    ou_mutex_unlock(&f->lock);
    ou_mutex_unlock(&spool->lock);

    spool_record_unlinked(&line, replaced);
    if (f->has_sidecar && spool_file_record(f, &line, false, &err) < 0)
        ou_log_warn(OU_LOG_SPOOL, &err, "unlink key=%s", f->s.key);
    spool_upload_cancel(f);
    spool_file_remove_data(f);
    spool_file_finish_unlink(f);
    return drop;
}

/* .io of both held; the delete is what a recovery knows it by that the replaced file is gone, too. */
static int unlink_both(struct spool_file *f, struct spool_file *replaced, bool drop[2],
                       struct ou_error *err)
{
    if (f->unlinked || f->displaced)
        return 0;
    if (replaced || spool_file_may_exist(f)) {
        int r = spool_deletes_add(f->spool, f->s.key, NULL, err);

        if (r < 0)
            return r;
    }
    if (replaced) {
        spool_file_unref(spool_replaced_take(f)); /* the caller has one more */
        drop[1] = spool_file_take_name(replaced, false);
    }
    drop[0] = spool_file_take_name(f, false);
    return 0;
}

int spool_file_unlink(struct spool_file *f, struct ou_error *err)
{
    bool drop[2] = {false, false}, again;
    int r = 0;

    do {
        struct spool_file *both[2] = {f, spool_replaced_of(f)};

        spool_files_lock(both, 2);
        again = f->replaced != both[1]; /* dropped, or made, a moment ago */
        if (!again)
            r = unlink_both(f, both[1], drop, err);
        spool_files_unlock(both, 2);
        if (drop[1])
            spool_file_unref(both[1]);
        spool_file_unref(both[1]);
    } while (again);
    if (drop[0])
        spool_file_unref(f);
    return r;
}

/*
 * Handles, and what makes a version count: close, flush, fsync, waiting for the bucket.
 */
#include "spool/early.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void spool_file_open(struct spool_file *f, bool writer)
{
    ou_lock_scope(&f->lock);
    f->opens++;
    if (writer) {
        f->writers++;
        f->flushed_ms = 0;
        f->publishable = SPOOL_NO_VERSION;
        spool_file_plan_locked(f);
    }
}

/* The error of an upload that failed since the last call; told once. */
static int told_locked(struct spool_file *f, struct ou_error *err)
{
    if (!f->tell || !f->s.failed.errnum)
        return 0;
    f->tell = false;
    *err = f->s.failed;
    return -err->errnum;
}

static void enter(struct spool_file *f)
{
    ou_mutex_lock(&f->lock);
    spool_file_enter_locked(f);
    ou_mutex_unlock(&f->lock);
}

int spool_file_close(struct spool_file *f, bool writer, struct ou_error *err)
{
    bool last_writer, drop;
    int r = 0;

    ou_mutex_lock(&f->io);
    enter(f);
    ou_mutex_lock(&f->lock);
    f->opens--;
    if (writer) {
        f->writers--;
        f->flushed_ms = 0;
    }
    last_writer = writer && !f->writers;
    ou_mutex_unlock(&f->lock);

    if (last_writer) {
        spool_early_take_times(f);
        r = spool_file_make_stable(f, false, err);
        if (r < 0)
            ou_log_error(OU_LOG_SPOOL, err, "closed file is not taken over key=%s", f->s.key);
        ou_mutex_lock(&f->lock);
        if (r < 0 || spool_file_pending_locked(f)) /* after a failure the keeper tries again */
            f->changed_ms = ou_now_ms();
        spool_file_plan_locked(f);
        ou_mutex_unlock(&f->lock);
        spool_upload_kick(f);
        spool_tell_changed(f->spool);
    }
    spool_file_leave(f);
    drop = spool_file_settle_down(f);
    ou_mutex_unlock(&f->io);
    if (drop)
        spool_file_unref(f);
    return r;
}

int spool_file_flush(struct spool_file *f, struct ou_error *err)
{
    int r;

    ou_lock_scope(&f->io);
    enter(f);
    spool_early_take_times(f);
    r = spool_file_make_stable(f, false, err);
    spool_file_leave(f);
    if (r == 0) {
        ou_mutex_lock(&f->lock);
        f->flushed_ms = f->writers ? ou_now_ms() : 0;
        r = told_locked(f, err);
        ou_mutex_unlock(&f->lock);
    }
    return r;
}

/* Most of the data, with no lock held: writers of the same file go on meanwhile. */
static void presync(struct spool_file *f)
{
    int fd[SPOOL_SLOTS];

    ou_mutex_lock(&f->lock);
    spool_file_enter_locked(f);
    memcpy(fd, f->fd, sizeof(fd));
    ou_mutex_unlock(&f->lock);
    for (int i = 0; i < SPOOL_SLOTS; i++) {
        if (fd[i] >= 0)
            (void)fdatasync(fd[i]); /* an error is met again under the lock */
    }
    ou_mutex_lock(&f->lock);
    spool_file_leave_locked(f);
    ou_mutex_unlock(&f->lock);
}

int spool_file_sync(struct spool_file *f, struct ou_error *err)
{
    int r;

    presync(f);
    ou_lock_scope(&f->io);
    enter(f);
    r = spool_file_make_stable(f, true, err);
    spool_file_leave(f);
    ou_mutex_lock(&f->lock);
    if (r == 0) {
        f->publishable = f->s.version;
        spool_file_plan_locked(f);
        r = told_locked(f, err);
    }
    ou_mutex_unlock(&f->lock);
    spool_upload_kick(f); /* its gate may have asked already */
    return r;
}

/* -- waiting for the bucket -- */

static void wake_waiter(void *arg)
{
    struct spool_file *f = arg;

    ou_mutex_lock(&f->lock);
    (void)pthread_cond_broadcast(&f->changed);
    ou_mutex_unlock(&f->lock);
}

/* Until version @version with attributes @attr is in the bucket, or the upload is parked. */
static int await_locked(struct spool_file *f, uint64_t version, uint64_t attr, unsigned parked,
                        uint64_t deadline_ms, struct ou_cancel *cancel, struct ou_error *err)
{
    while (spool_file_pending_locked(f) &&
           (f->published_version < version || f->published_attr < attr || !f->s.base.present)) {
        if (f->retry_ms && f->s.failed.errnum && f->parked != parked) {
            f->tell = false;
            *err = f->s.failed;
            return -err->errnum;
        }
        if (ou_cancel_triggered(cancel))
            return ou_error_set(err, EINTR, "wait for the upload of %s", f->s.key);
        if (ou_cond_wait_until(&f->changed, &f->lock, deadline_ms))
            return ou_error_set(err, ETIMEDOUT, "wait for the upload of %s", f->s.key);
    }
    return 0;
}

int spool_file_upload(struct spool_file *f, uint64_t deadline_ms, struct ou_cancel *cancel,
                      struct ou_error *err)
{
    struct ou_cancel_hook hook;
    unsigned parked = 0;
    int r;

    ou_mutex_lock(&f->io);
    enter(f);
    r = spool_file_make_stable(f, false, err);
    spool_file_leave(f);
    ou_mutex_lock(&f->lock);
    if (r == 0) {
        f->publishable = f->s.version;
        f->open_publish_ms = 0;
        f->hurry = true;
        f->hurry_version = f->s.version;
        parked = f->parked;
        f->retry_ms = 0; /* try again now; only a new failure is an answer */
        spool_file_plan_locked(f);
    }
    ou_mutex_unlock(&f->lock);
    ou_mutex_unlock(&f->io);
    if (r < 0)
        return r;
    spool_upload_kick(f);

    ou_cancel_attach(cancel, &hook, wake_waiter, f);
    ou_mutex_lock(&f->lock);
    r = await_locked(f, f->s.version, f->s.attr_number, parked, deadline_ms, cancel, err);
    ou_mutex_unlock(&f->lock);
    ou_cancel_detach(cancel, &hook);
    return r;
}

/*
 * How uploads end: published, to be begun again, canceled, parked.
 *
 * A parked file is kept and shown, its error is told to the next flush or fsync, and it is tried
 * again: after 30 seconds, then at doubling intervals up to 5 minutes, after spool_reload(), and
 * at the next mount.
 */
#include "spool/early.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define PARK_MIN_MS UINT64_C(30000)
#define PARK_MAX_MS UINT64_C(300000)

static void park(struct spool_file *f, const struct ou_error *why)
{
    ou_auto(ou_buf_fini) struct ou_buf line = {0};
    struct ou_error err = OU_ERROR_INIT;
    uint64_t delay = PARK_MIN_MS;

    ou_mutex_assert_held(&f->io);
    ou_log_error(OU_LOG_SPOOL, why, "upload parked key=%s id=%s", f->s.key, f->id);
    spool_record_failed(&line, why, ou_wall().tv_sec);
    if (spool_file_record(f, &line, false, &err) < 0)
        ou_log_warn(OU_LOG_SPOOL, &err, "journal key=%s", f->s.key);
    ou_lock_scope(&f->lock);
    f->s.failed = *why; /* also when it could not be journalled */
    f->tell = true;
    for (unsigned i = 0; i < f->parked && delay < PARK_MAX_MS; i++)
        delay *= 2;
    f->parked++;
    f->retry_ms = ou_now_ms() + (delay < PARK_MAX_MS ? delay : PARK_MAX_MS);
    f->hurry = false;
}

static void journal_published(struct spool_upload *up, const struct xfer_result *result)
{
    struct spool_file *f = up->file;
    ou_auto(ou_buf_fini) struct ou_buf line = {0};
    struct ou_error err = OU_ERROR_INIT;
    struct spool_base_reader *old[2];

    spool_record_published(&line, result->written.etag, up->size, up->version, up->attr);
    if (spool_file_journal(f, &line, up->uses_base, &err) < 0) /* after a crash it is looked for */
        ou_log_warn(OU_LOG_SPOOL, &err, "journal key=%s", up->key);
    ou_mutex_lock(&f->lock);
    if (spool_file_apply_locked(f, &line, &err) < 0)
        ou_log_error(OU_LOG_SPOOL, &err, "published, but not remembered key=%s", up->key);
    if (spool_sent_to_base(&f->live, &f->base_limit, &err) < 0)
        ou_log_error(OU_LOG_SPOOL, &err, "published, but not to be read key=%s", up->key);
    spool_file_take_readers_locked(f, old);
    f->published_version = up->version;
    f->published_attr = up->attr;
    f->retry_ms = 0;
    f->parked = 0;
    f->tell = false;
    /* Who waits for this version waits for its attributes, too, which are another request. */
    f->hurry = f->hurry && (up->version < f->hurry_version ||
                            (up->version == f->s.version && spool_file_pending_locked(f)));
    ou_mutex_unlock(&f->lock);
    spool_base_reader_drop(old[0]);
    spool_base_reader_drop(old[1]);
}

/* The old name may have the object now: it goes, unless a file of that name takes its place. */
static void delete_old(struct spool *spool, const char *key)
{
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *other = NULL;

    if (spool_find(spool, key, &other)) {
        bool pending = spool_file_pending(other);

        spool_file_unref(other);
        if (pending)
            return;
    }
    if (spool_deletes_add(spool, key, NULL, &err) < 0)
        ou_log_error(OU_LOG_SPOOL, &err, "object stays under a name that is gone key=%s", key);
}

/*
 * Does it end under another name than it began? Also if the file was renamed and is back: its first
 * name is among the deletes since.
 */
static bool is_left_behind(const struct spool_upload *up)
{
    return up->renamed || strcmp(up->key, up->file->s.key) != 0;
}

/* Another file has its name: it replaces what there is, or has done so already. */
static bool is_replaced(const struct spool_upload *up)
{
    return up->file->unlinked && up->file->s.replaced && !is_left_behind(up);
}

/* It ended, and the file has nothing of it under the name that it has now. */
static void canceled(struct spool_upload *up, bool maybe_published)
{
    struct spool_file *f = up->file;
    struct ou_error err = OU_ERROR_INIT;
    bool left_behind = f->unlinked || f->abandoned || is_left_behind(up);
    bool in_doubt = !left_behind && maybe_published;

    /* What is remembered tells the next upload whether the object is already ours. */
    if (in_doubt && !up->abort_only && !f->early.on)
        return;
    if (left_behind && maybe_published && !is_replaced(up))
        delete_old(f->spool, up->key);
    /* The doubt stays, without the upload id. */
    in_doubt = in_doubt && f->s.upload.publishing;
    if (spool_file_word(f, in_doubt ? "forget" : "canceled", false, &err) < 0)
        ou_log_warn(OU_LOG_SPOOL, &err, "journal key=%s", up->key);
}

static bool is_base_gone(const struct ou_error *err)
{
    return err->errnum == ESTALE || err->errnum == EREMCHG || oss_error_is(err, "NoSuchKey");
}

static void failed(struct spool_upload *up, const struct xfer_result *result,
                   const struct ou_error *why)
{
    struct spool_file *f = up->file;
    struct ou_error err = *why, ignored = OU_ERROR_INIT;

    if (why->errnum == EINTR && ou_cancel_triggered(f->spool->cancel))
        return; /* the spool is being closed: it goes on with the next mount */
    if (spool_upload_is_ending(up) || why->errnum == ECANCELED) {
        canceled(up, result->maybe_published);
        return;
    }
    if (f->early.on) {
        spool_early_failed(f, why);
        return;
    }
    if (f->s.upload.publishing && !result->maybe_published &&
        spool_file_word(f, "unpublished", false, &ignored) < 0)
        ou_log_warn(OU_LOG_SPOOL, &ignored, "journal key=%s", up->key);
    if (up->uses_base && is_base_gone(why) && spool_conflict_base_gone(f, &err) == 1)
        return;
    park(f, &err);
}

static void detach(struct spool_upload *up)
{
    struct spool_file *f = up->file;

    ou_mutex_lock(&f->lock);
    f->up = NULL;
    spool_early_ended_locked(f);
    spool_file_plan_locked(f);
    spool_file_enter_locked(f);
    spool_file_leave_locked(f); /* closes what nobody has open */
    (void)pthread_cond_broadcast(&f->changed);
    ou_mutex_unlock(&f->lock);
    spool_file_rest(f);
}

void spool_upload_done(void *ctx, const struct xfer_result *result, const struct ou_error *why)
{
    struct spool_upload *up = ctx;
    struct spool_file *f = up->file;
    struct spool *spool = f->spool;
    bool published, drop;

    ou_mutex_lock(&f->io);
    ou_mutex_lock(&f->lock);
    f->ending = true;
    ou_mutex_unlock(&f->lock);
    published = !why && !f->unlinked && !is_left_behind(up);
    if (published)
        journal_published(up, result);
    else if (!why)
        canceled(up, true); /* published under a name that the file had when it began */
    else
        failed(up, result, why);
    detach(up);
    ou_mutex_unlock(&f->io);

    if (published) {
        ou_log_info(OU_LOG_SPOOL, "published key=%s version=%" PRIu64 " bytes_sent=%" PRIu64,
                    up->key, up->version, result->bytes_sent);
        if (spool->events.published)
            spool->events.published(spool->ctx, f, &result->written);
    }
    ou_mutex_lock(&f->io);
    spool_clean_let_go_of(f);
    drop = spool_file_settle_down(f);
    ou_mutex_lock(&f->lock);
    f->ending = false;
    ou_mutex_unlock(&f->lock);
    ou_mutex_unlock(&f->io);
    spool_upload_unlist(up);
    spool_tell_changed(spool);
    spool_space_look_again(spool);
    spool_upload_free(up);
    if (drop)
        spool_file_unref(f);
    spool_file_unref(f);
}

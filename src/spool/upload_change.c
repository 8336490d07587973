/*
 * What changes for an upload under way: a newer stable version, a name that goes.
 */
#include "spool/early.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>

#define TOUCH_MAX 1000u /* ranges told one by one; more are told as one */

static bool overlaps(const struct extent_map *delta, uint64_t cut, uint64_t offset, uint64_t size)
{
    struct extent e;

    if (offset + size > cut)
        return true;
    return extent_map_next(delta, offset, &e) && e.offset < offset + size;
}

void spool_upload_mark_locked(struct spool_file *f, const struct extent_map *delta, uint64_t cut)
{
    struct spool_upload *up = f->up;

    ou_mutex_assert_held(&f->lock);
    if (!up)
        return;
    if (up->let_out && !up->is_frozen && up->size && overlaps(delta, cut, 0, up->size))
        up->broken = true;
}

static void touch_all(struct spool_upload *up, const struct extent_map *delta, uint64_t cut,
                      uint64_t end)
{
    struct extent e, first = {0};
    uint64_t at = 0, last = 0;
    bool many = delta->count > TOUCH_MAX;

    while (extent_map_next(delta, at, &e)) {
        at = e.offset + e.size;
        if (!first.size)
            first = e;
        last = at;
        if (!many)
            xfer_upload_touch(up->handle, e.offset, e.size);
    }
    if (many)
        xfer_upload_touch(up->handle, first.offset, last - first.offset);
    if (cut < end)
        xfer_upload_touch(up->handle, cut, end - cut);
}

int spool_upload_replan(struct spool_upload *up, struct ou_error *err)
{
    struct spool_file *f = up->file;
    ou_auto(xfer_plan_fini) struct xfer_plan plan = {0};
    enum xfer_plan_kind kind;
    bool uses_base = false;
    int r;

    ou_mutex_assert_held(&f->io);
    r = spool_upload_plan(f, &plan, &uses_base, err);
    kind = plan.kind;
    if (r == 0)
        r = xfer_upload_replan(up->handle, &plan, err);
    if (r < 0)
        return r;
    ou_lock_scope(&f->lock);
    up->version = f->s.version;
    up->size = f->s.size;
    up->kind = kind;
    up->uses_base = uses_base;
    return 0;
}

/* An open file whose upload is not done after so long is not going to pause for it. */
static bool must_freeze(struct spool_file *f, bool sync)
{
    const struct spool_upload *up = f->up;

    return sync && !f->early.on && spool_file_has_writers(f) && !up->is_frozen && !up->let_out &&
           up->version == f->s.version &&
           ou_now_ms() >= up->started_ms + f->spool->config.open_flush_ms;
}

/* An upload that has bytes which nobody else has must not be canceled: the newer version takes it over. */
static void begin_again(struct spool_file *f, const struct ou_error *why)
{
    ou_log_warn(OU_LOG_SPOOL, why, "upload begins again key=%s", f->up->key);
    if (!spool_is_released(f)) {
        spool_upload_restart(f);
        return;
    }
    ou_lock_scope(&f->lock);
    f->up->is_frozen = false; /* the gate plans again if it has to */
    extent_map_fini(&f->up->frozen);
}

void spool_upload_prepare(struct spool_file *f, const struct extent_map *delta, uint64_t cut,
                          bool sync)
{
    struct ou_error err = OU_ERROR_INIT;
    int r = 0;

    ou_mutex_assert_held(&f->io);
    if (!f->up || spool_upload_is_ending(f->up))
        return;
    if (must_freeze(f, sync))
        r = spool_freeze(f->up, &err);
    if (r == 0 && f->up->is_frozen)
        r = spool_frozen_keep(f->up, delta, cut, &err);
    if (r < 0) /* the newer version matters more */
        begin_again(f, &err);
}

void spool_upload_changed(struct spool_file *f, const struct extent_map *delta, uint64_t cut,
                          uint64_t end, bool base_changed)
{
    struct spool_upload *up = f->up;
    struct ou_error err = OU_ERROR_INIT;
    int r;

    ou_mutex_assert_held(&f->io);
    if (!up || up->canceled)
        return;
    if (base_changed) { /* the engine has the old one */
        spool_upload_restart(f);
        return;
    }
    if (up->is_frozen || f->early.on)
        return; /* not what is sent */
    /* A Put that is out and whose bytes are all as they were (a log that grew) may end well. */
    if (up->let_out && up->kind == XFER_PLAN_PUT && !up->broken)
        return;
    touch_all(up, delta, cut, end);
    if (up->let_out)
        return; /* unpublished() or done() sees to the newer version */
    r = spool_upload_replan(up, &err);
    if (r < 0 && r != -EBUSY) /* -EBUSY: it is ending, and then begins again */
        begin_again(f, &err);
}

void spool_upload_restart(struct spool_file *f)
{
    ou_mutex_assert_held(&f->io);
    if (!f->up)
        return;
    ou_mutex_lock(&f->lock);
    f->up->restart = true;
    ou_mutex_unlock(&f->lock);
    xfer_upload_cancel(f->up->handle);
}

void spool_upload_kick(struct spool_file *f)
{
    ou_lock_scope(&f->lock);
    if (f->up && f->up->handle)
        xfer_upload_kick(f->up->handle);
}

void spool_upload_cancel(struct spool_file *f)
{
    ou_mutex_assert_held(&f->io);
    if (!f->up || f->up->canceled)
        return;
    ou_mutex_lock(&f->lock);
    f->up->canceled = true;
    ou_mutex_unlock(&f->lock);
    xfer_upload_cancel(f->up->handle);
}

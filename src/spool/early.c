/* Told in spool/early.h. */
#include "spool/early.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "spool/temporary.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#define BEHIND_PARTS                                                                               \
    UINT64_C(2) /* a part goes when so many part sizes lie between it and the writer */
#define BEGIN_PARTS UINT64_C(3) /* a file is begun with when it has so many part sizes */
#define BASE_PARTS                                                                                 \
    UINT64_C(4900) /* of a file with a base: parts are as large as they begin so far */

static uint64_t first_in(const struct extent_map *set, uint64_t end)
{
    struct extent e;

    return extent_map_next(set, 0, &e) && e.offset < end ? e.offset : end;
}

/* So many bytes, from the beginning on, are those of the base. */
static uint64_t base_prefix(const struct spool_file *f)
{
    uint64_t end = f->low < f->s.base.size ? f->low : f->s.base.size;

    if (!f->s.base.present || f->live_base.present || f->s.upload.moved.count)
        return 0;
    return first_in(&f->dirty, first_in(&f->s.changed, end));
}

/* Written without a gap from @at to there; holes and zeroed ranges end it. */
static uint64_t written_to(const struct spool_file *f, uint64_t at)
{
    while (at < f->size) {
        struct extent e = extent_map_at(&f->live, at);

        if (e.slot != EXTENT_A && e.slot != EXTENT_B)
            break;
        at += e.size;
    }
    return at;
}

/* Of the stable version, what is not the base's, or perhaps not: its size from @at on. */
static uint64_t stable_change(const struct spool_file *f, uint64_t at)
{
    struct extent changed = extent_map_at(&f->s.changed, at);
    struct extent moved = extent_map_at(&f->s.upload.moved, at);

    if (changed.slot != EXTENT_NONE)
        return changed.size;
    return moved.slot != EXTENT_NONE ? moved.size : 0;
}

/* What is not the base's, without a gap from @at to there. */
static uint64_t changed_to(const struct spool_file *f, uint64_t at)
{
    while (at < f->s.base.size && at < f->size) {
        struct extent dirty = extent_map_at(&f->dirty, at);
        uint64_t run = dirty.slot != EXTENT_NONE ? dirty.size : stable_change(f, at);

        if (!run)
            return at;
        at += run;
    }
    return f->size;
}

/* Likewise from the beginning, or from the end of what is kept of the base. */
static uint64_t follow_prefix(const struct spool_file *f, bool based)
{
    uint64_t at = f->early.prefix < f->size ? f->early.prefix : f->size;
    uint64_t end, changed;

    if (!based)
        return written_to(f, at);
    if (!f->early.on)
        at = f->early.kept;
    end = written_to(f, at);
    changed = changed_to(f, at);
    return changed < end ? changed : end;
}

/*
 * Likewise of a file that has a base: what is kept of it is copied, parts go from there on. The
 * plan of the whole file must have them where they are: above BASE_PARTS it may have other sizes,
 * and the last of them may be cut otherwise where bytes of the base follow.
 */
static uint64_t may_go_after(const struct spool_file *f, uint64_t kept)
{
    uint64_t size = f->spool->config.part_size;
    uint64_t whole = f->early.prefix > kept ? (f->early.prefix - kept) / size : 0;

    if (kept &&
        kept < OSS_PART_SIZE_MIN) /* too little to be copied: sent again, with what follows */
        return 0;
    if (whole < 2 || f->early.prefix > BASE_PARTS * size)
        return 0;
    return kept + (whole - 1) * size;
}

/* The end of the last part that may go out now. */
static uint64_t may_go(const struct spool_file *f)
{
    const struct spool_config *c = &f->spool->config;
    uint64_t behind = f->early.pressed ? 0 : BEHIND_PARTS * c->part_size;
    uint64_t least = f->early.pressed ? c->part_size : BEGIN_PARTS * c->part_size;

    if (!f->early.pressed && c->put_threshold >= least)
        least = c->put_threshold + 1;
    if (f->early.prefix < least || f->early.prefix < behind)
        return 0;
    return xfer_growing_end(c->part_size, f->early.prefix - behind);
}

/* What was kept of the last stable version may be in the bucket already: it would be copied there. */
static bool shares_with_base(const struct spool_file *f)
{
    uint64_t kept = f->low < f->s.base.size ? f->low : f->s.base.size;
    uint64_t at = 0, run;

    if (!f->s.base.present)
        return false;
    while (at < kept && (run = stable_change(f, at)) > 0)
        at += run;
    return f->base_limit || at < kept;
}

/*
 * Whether an upload of live bytes may begin: nothing of the file is with the engine, nor is there
 * something left of an upload of the closed version, which could go on once the file is closed; or
 * somebody waits for room.
 */
static bool may_begin(struct spool_file *f)
{
    if (f->up || f->early.off || f->unlinked || f->displaced || f->poisoned ||
        f->live_base.present || !S_ISREG(f->attr.mode) || !atomic_load(&f->spool->started))
        return false;
    if (f->s.upload.key && (!f->early.pressed || spool_is_released(f)))
        return false;
    if (!f->early.pressed && spool_name_is_temporary(f->s.key))
        return false;
    ou_lock_scope(&f->lock);
    return f->writers && !f->held && !f->retry_ms;
}

static int plan_ahead(const struct spool_file *f, uint64_t end, struct xfer_plan *plan,
                      struct ou_error *err)
{
    const struct xfer_range kept = {.size = f->early.kept};
    const struct xfer_plan_input in = {.size = end,
                                       .part_size = f->spool->config.part_size,
                                       .growing = true,
                                       .base_size = f->early.kept,
                                       .base_is_target = true,
                                       .base = &kept,
                                       .base_count = f->early.kept > 0};

    return xfer_plan_make(&in, plan, err);
}

static void go_on(struct spool_file *f, uint64_t end)
{
    ou_auto(xfer_plan_fini) struct xfer_plan plan = {0};
    struct ou_error err = OU_ERROR_INIT;
    uint64_t parts = 0;
    bool begin = !f->early.on;
    int r = begin ? spool_upload_end_left(f, &err) : 0;

    if (r == 1) /* first; then it may begin */
        return;
    if (r == 0)
        r = plan_ahead(f, end, &plan, &err);
    if (r == 0) {
        parts = plan.count;
        r = begin ? spool_upload_ahead(f, &plan, &err)
                  : xfer_upload_replan(f->up->handle, &plan, &err);
    }
    if (r < 0) { /* -EBUSY: it is ending; else of memory, and the next write tries again */
        ou_log_debug(OU_LOG_SPOOL, "no part is sent ahead key=%s error=\"%s\"", f->s.key,
                     err.message);
        return;
    }
    if (begin)
        ou_log_info(OU_LOG_SPOOL, "upload starts before the close key=%s", f->s.key);
    ou_lock_scope(&f->lock);
    f->early.planned = end;
    f->early.parts = parts;
}

void spool_early_written(struct spool_file *f)
{
    uint64_t end;
    bool based;

    ou_mutex_assert_held(&f->io);
    if (!f->spool->config.early)
        return;
    based = shares_with_base(f);
    if (based && !f->early.pressed)
        return;
    if (!f->early.on)
        f->early.kept = based ? base_prefix(f) : 0;
    f->early.prefix = follow_prefix(f, based);
    end = based ? may_go_after(f, f->early.kept) : may_go(f);
    if (end > f->early.planned && !f->early.held &&
        (f->early.on ? !spool_upload_is_ending(f->up) : may_begin(f)))
        go_on(f, end);
}

/* -- changes of what was sent -- */

static void forget_sent_locked(struct spool_file *f, uint64_t begin, uint64_t end)
{
    size_t kept = 0;

    for (size_t i = 0; i < f->early.sent_count; i++) {
        const struct spool_part *p = &f->early.sent[i];

        if (p->offset >= end || p->offset + p->part.size <= begin)
            f->early.sent[kept++] = *p;
    }
    f->early.sent_count = kept;
}

static void touch(struct spool_file *f, uint64_t offset, uint64_t size)
{
    ou_mutex_lock(&f->lock);
    forget_sent_locked(f, offset, offset + size);
    ou_mutex_unlock(&f->lock);
    xfer_upload_touch(f->up->handle, offset, size);
}

void spool_early_touch(struct spool_file *f, uint64_t offset, uint64_t size)
{
    ou_mutex_assert_held(&f->io);
    if (!f->early.on || offset >= f->early.planned)
        return;
    touch(f, offset, size);
    if (f->early.held)
        return;
    xfer_upload_hold(f->up->handle, true);
    ou_lock_scope(&f->lock);
    f->early.held = true;
}

static void reset_locked(struct spool_file *f)
{
    f->early.off = f->early.pressed = f->early.told = false;
    f->early.prefix = 0;
}

void spool_early_drop(struct spool_file *f)
{
    ou_mutex_assert_held(&f->io);
    if (f->early.on)
        spool_upload_cancel(f);
    ou_lock_scope(&f->lock);
    reset_locked(f);
}

int spool_early_part(struct spool_file *f, const struct spool_part *part, struct ou_error *err)
{
    struct spool_early *e = &f->early;

    ou_mutex_assert_held(&f->io);
    ou_mutex_lock(&f->lock);
    if (e->sent_count == e->sent_room) {
        size_t room = e->sent_room ? 2 * e->sent_room : 16;
        struct spool_part *sent = reallocarray(e->sent, room, sizeof(*sent));

        if (sent) {
            e->sent = sent;
            e->sent_room = room;
        }
    }
    if (e->sent_count <
        e->sent_room) /* else it is compared once more after a crash, and kept here */
        e->sent[e->sent_count++] = *part;
    ou_mutex_unlock(&f->lock);
    return spool_release_some(f, err);
}

/* -- its end -- */

void spool_early_failed(struct spool_file *f, const struct ou_error *why)
{
    ou_mutex_assert_held(&f->io);
    ou_log_warn(OU_LOG_SPOOL, why, "nothing more is sent before the close key=%s", f->s.key);
    ou_lock_scope(&f->lock);
    f->early.off = true;
    if (!spool_is_released(f) || f->poisoned)
        return;
    f->poisoned = true; /* what of it is gone cannot be had again */
    f->poison_error = *why;
}

void spool_early_ended_locked(struct spool_file *f)
{
    ou_mutex_assert_held(&f->lock);
    f->early.on = f->early.held = f->early.has_times = false;
    f->early.planned = f->early.parts = 0;
    f->early.sent_count = 0;
    f->gate_ms = 0;
}

uint64_t spool_early_due_locked(const struct spool_file *f)
{
    const struct spool_config *c = &f->spool->config;
    uint64_t due = f->changed_ms + c->settle_ms;

    if (f->poisoned || !spool_file_pending_locked(f))
        return 0;
    if (!f->writers)
        return spool_file_unstable_locked(f) ? 0 : 1;
    if (f->publishable != f->s.version || !spool_sidecar_dirty(&f->s)) /* attributes wait */
        return 0;
    if (f->hurry) /* somebody waits: for a flush or fsync until it is there, or for sync */
        return 1;
    if (spool_is_released(f))
        return 0;
    if (f->open_publish_ms && due < f->open_publish_ms + c->open_flush_ms)
        return f->open_publish_ms + c->open_flush_ms;
    return due;
}

/* The live bytes that the stable version has not. */
static void touch_unstable(struct spool_file *f)
{
    struct extent e;
    uint64_t at = 0;

    while (extent_map_next(&f->dirty, at, &e)) {
        at = e.offset + e.size;
        touch(f, e.offset, e.size);
    }
    if (f->low < f->early.planned)
        touch(f, f->low, f->early.planned - f->low);
}

/* What arrived so far belongs to the stable version now. */
static int journal_sent(struct spool_file *f, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf lines = {0};

    for (size_t i = 0; i < f->early.sent_count; i++) {
        if (f->early.sent[i].released)
            continue;
        spool_record_part(&lines, &f->early.sent[i]);
        ou_buf_adds(&lines, "\n");
    }
    return spool_file_record(f, &lines, false, err);
}

/* From here on read() reads the stable version; that is one step with what the plan says. */
static int switch_over(struct spool_file *f, struct ou_error *err)
{
    struct spool_upload *up = f->up;
    uint64_t planned = f->early.planned;
    int r;

    ou_mutex_lock(&f->lock);
    f->early.on = false;
    up->version = f->s.version;
    ou_mutex_unlock(&f->lock);
    if (spool_file_unstable_locked(f))
        touch_unstable(f);
    r = spool_upload_replan(up, err);
    if (r == 0) {
        xfer_upload_hold(up->handle, false);
        return 0;
    }
    ou_mutex_lock(&f->lock);
    f->early.on = true;
    up->version = SPOOL_NO_VERSION;
    ou_mutex_unlock(&f->lock);
    if (spool_file_unstable_locked(f))
        touch(f, 0, planned);
    return r;
}

/* From here on it is the upload of the stable version; @freeze: whatever becomes of the file. */
static int settle(struct spool_file *f, bool freeze, struct ou_error *err)
{
    int r = switch_over(f, err);

    if (r == 0)
        r = journal_sent(f, err);
    if (r == 0 && freeze)
        r = spool_freeze(f->up, err);
    ou_lock_scope(&f->lock);
    if (!f->early.on)
        f->early.sent_count = 0;
    if (r == 0 && f->writers)
        f->open_publish_ms = ou_now_ms();
    return r == -EBUSY ? 0 : r;
}

int spool_early_finish(struct spool_file *f, struct ou_error *err)
{
    uint64_t due;
    bool freeze;

    ou_mutex_assert_held(&f->io);
    if (!f->early.on || spool_upload_is_ending(f->up))
        return 0;
    ou_mutex_lock(&f->lock);
    due = spool_early_due_locked(f);
    freeze = f->writers || spool_is_released(f);
    ou_mutex_unlock(&f->lock);
    if (!due || due > ou_now_ms()) {
        ou_lock_scope(&f->lock);
        spool_file_plan_locked(f);
        return 0;
    }
    return settle(f, freeze, err);
}

int spool_early_spare(struct spool_file *f, struct ou_error *err)
{
    ou_mutex_assert_held(&f->io);
    if (!f->early.on || spool_upload_is_ending(f->up) || !spool_sidecar_pending(&f->s) ||
        !extent_map_has(&f->s.map, EXTENT_SENT, 0, UINT64_MAX))
        return 0;
    return settle(f, true, err);
}

/* -- times -- */

void spool_early_headers_locked(struct spool_file *f)
{
    ou_mutex_assert_held(&f->lock);
    f->early.has_times = true;
    f->early.attr = f->attr_number;
    f->early.mtime = f->attr.mtime;
    f->early.ctime = f->attr.ctime;
    f->early.has_ctime = f->attr.has_ctime;
    f->early.attr_sets = f->attr_sets;
}

void spool_early_take_times(struct spool_file *f)
{
    ou_mutex_assert_held(&f->io);
    ou_lock_scope(&f->lock);
    if (!f->early.on || !f->early.has_times || f->early.attr_sets != f->attr_sets ||
        f->writers > 1 || f->attr_number == f->early.attr)
        return;
    f->attr.mtime = f->early.mtime;
    f->attr.ctime = f->early.ctime;
    f->attr.has_ctime = f->early.has_ctime;
    f->attr_number = f->early.attr;
}

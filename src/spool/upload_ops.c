/*
 * What the engine asks while it sends a stable version. Its threads; none of its locks is held.
 */
#include "spool/early.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>

/* A run of the stable version, or of the live one. Return: bytes, -EAGAIN: look again. */
static ssize_t read_run(struct spool_upload *up, void *buf, size_t len, uint64_t offset,
                        struct ou_error *err)
{
    struct spool_file *f = up->file;
    struct extent e;
    uint64_t size;
    ssize_t n = spool_frozen_read(up, buf, &len, offset, err);
    if (n)
        return n;
    ou_mutex_lock(&f->lock);
    if (spool_frozen_has(up, offset, len)) { /* copied away just now */
        ou_mutex_unlock(&f->lock);
        return -EAGAIN;
    }
    size = f->early.on ? f->size : f->s.size;
    if (offset >= size) { /* a newer version is shorter */
        ou_mutex_unlock(&f->lock);
        return ou_error_set(err, ESTALE, "read %s", up->key);
    }
    if (len > size - offset)
        len = (size_t)(size - offset);
    e = extent_map_at(f->early.on ? &f->live : &f->s.map, offset);
    if (len > e.size)
        len = (size_t)e.size;
    if (e.slot == EXTENT_A || e.slot == EXTENT_B) {
        n = spool_file_read_slot_locked(f, e.slot, buf, len, offset, err);
    } else if (e.slot == EXTENT_SENT) {
        n = spool_release_lost(f, err);
    } else if (e.slot == EXTENT_NONE && !f->early.on && offset < f->s.base_limit) {
        if (len > f->s.base_limit - offset)
            len = (size_t)(f->s.base_limit - offset);
        ou_mutex_unlock(&f->lock);
        n = spool_file_read_base(f, true, buf, len, offset, f->spool->cancel, err);
        ou_mutex_lock(&f->lock);
    } else {
        memset(buf, 0, len);
        n = (ssize_t)len;
    }
    if (n > 0 && spool_frozen_has(up, offset, (uint64_t)n))
        n = -EAGAIN; /* and perhaps overwritten, while it was read */
    ou_mutex_unlock(&f->lock);
    return n;
}

static ssize_t op_read(void *ctx, void *buf, size_t len, uint64_t offset, struct ou_error *err)
{
    struct spool_upload *up = ctx;
    struct spool_file *f = up->file;
    bool broken, of_base;
    ssize_t n;

    do {
        n = read_run(up, buf, len, offset, err);
    } while (n == -EAGAIN);
    /* Looked at after the bytes were read: so a byte of a newer version never leaves. */
    ou_mutex_lock(&f->lock);
    broken = up->let_out && up->broken;
    of_base = n == -ESTALE && offset < f->s.size;
    ou_mutex_unlock(&f->lock);
    if (broken)
        return ou_error_set(err, ESTALE, "read %s", up->key);
    if (of_base) /* for the engine the word ESTALE means "touched" */
        return ou_error_say(err, EREMCHG, "%s changed in the bucket while a change of it waited",
                            up->key);
    return n;
}

static int op_headers(void *ctx, struct oss_object_headers *out, struct ou_error *err)
{
    struct spool_upload *up = ctx;
    struct spool_file *f = up->file;
    int r;

    if (up->has_headers)
        spool_headers_fini(&up->headers);
    up->has_headers = false;
    ou_lock_scope(&f->lock);
    r = spool_headers_init(&up->headers, f->early.on ? &f->attr : &f->s.attr, err);
    if (r < 0)
        return r;
    up->has_headers = true;
    up->headers_attr = f->early.on ? f->attr_number : f->s.attr_number;
    if (f->early.on)
        spool_early_headers_locked(f);
    if (up->kind != XFER_PLAN_MULTIPART)
        up->attr = f->s.attr_number;
    *out = up->headers.headers;
    out->forbid_overwrite =
        f->spool->config.conflict != SPOOL_CONFLICT_OVERWRITE && !f->s.base.present && f->s.absent;
    return 0;
}

/* Under .io, under which bytes and stable points are made and told: see xfer_event_stale(). */
static int record_part(struct spool_upload *up, const struct xfer_event *event,
                       struct ou_error *err)
{
    struct spool_file *f = up->file;
    struct spool_part part = {
        .part = *event->part, .offset = event->where->offset, .copy = event->where->copy};
    ou_auto(ou_buf_fini) struct ou_buf line = {0};

    ou_mutex_assert_held(&f->io);
    if (xfer_event_stale(event))
        return 0;
    if (f->early.on)
        return spool_early_part(f, &part, err);
    ou_mutex_lock(&f->lock);
    part.stale = spool_frozen_has(up, part.offset, part.part.size);
    ou_mutex_unlock(&f->lock);
    spool_record_part(&line, &part);
    return spool_file_record(f, &line, false, err);
}

static int op_record(void *ctx, const struct xfer_event *event, struct ou_error *err)
{
    struct spool_upload *up = ctx;
    struct spool_file *f = up->file;
    ou_auto(ou_buf_fini) struct ou_buf line = {0};

    ou_lock_scope(&f->io);
    switch (event->kind) {
    case XFER_EVENT_INITIATING:
        spool_record_initiating(&line, up->key, 0, ou_wall());
        break;
    case XFER_EVENT_UPLOAD_ID:
        ou_mutex_lock(&f->lock);
        up->attr = up->headers_attr;
        ou_mutex_unlock(&f->lock);
        spool_record_upload(&line, event->upload_id, up->attr);
        break;
    case XFER_EVENT_PART:
        return record_part(up, event, err);
    case XFER_EVENT_PUBLISHING:
        return 0; /* may_publish() has */
    case XFER_EVENT_FORGET:
        if (spool_is_released(f))
            return spool_release_lost(f, err);
        spool_record_word(&line, "forget");
        break;
    }
    /*
     * Not synced: what a power cut takes of these lines costs requests only. A lost part is sent
     * again, a lost upload id is found by its initiating record or left to gc.
     */
    return spool_file_record(f, &line, false, err);
}

/* Whether this version may become visible now. 1, 0: not now, negative: not at all. */
static int let_out(struct spool_upload *up, struct ou_error *err)
{
    struct spool_file *f = up->file;
    ou_auto(ou_buf_fini) struct ou_buf line = {0};
    bool held;
    int r;

    ou_mutex_assert_held(&f->io);
    ou_mutex_lock(&f->lock);
    held =
        spool_upload_is_ending(up) || f->unlinked || f->replaced || strcmp(up->key, f->s.key) != 0;
    if (!up->is_frozen)
        held = held || f->poisoned || (f->writers && f->publishable != f->s.version);
    held = held || spool_move_blocks_locked(f);
    ou_mutex_unlock(&f->lock);
    if (held || f->early.on || !spool_upload_claim(up))
        return 0;
    if (f->s.version != up->version && !up->is_frozen) { /* it came while nobody could be told */
        r = spool_upload_replan(up, err);
        return r == -EBUSY ? 0 : r;
    }
    ou_mutex_lock(&f->lock);
    if (up->kind != XFER_PLAN_MULTIPART)
        up->attr = f->s.attr_number;
    spool_record_publishing(&line, up->key, up->version, up->size, up->attr);
    ou_mutex_unlock(&f->lock);
    /* With a base it must last: without it the object could not be told from a stranger's. */
    r = spool_file_record(f, &line, up->uses_base, err);
    if (r < 0)
        return r;
    ou_lock_scope(&f->lock);
    up->let_out = true;
    up->broken = false;
    if (f->writers)
        f->open_publish_ms = ou_now_ms();
    return 1;
}

static int op_may_publish(void *ctx, struct ou_error *err)
{
    struct spool_upload *up = ctx;
    struct spool_file *f = up->file;
    bool needs_base, early;
    int r;

    ou_mutex_lock(&f->lock);
    early = f->early.on;
    ou_mutex_unlock(&f->lock);
    if (early)
        return 0;
    if (f->spool->config.conflict != SPOOL_CONFLICT_OVERWRITE) {
        r = spool_conflict_check(up, err);
        if (r < 0)
            return r;
    }
    ou_mutex_lock(&f->lock);
    needs_base = up->kind == XFER_PLAN_PUT && up->uses_base;
    ou_mutex_unlock(&f->lock);
    if (needs_base) {
        r = spool_fetch_base(up, err);
        if (r < 0)
            return r;
    }
    ou_lock_scope(&f->io);
    return let_out(up, err);
}

/* Parts that were right for the version that was let out, and are not for the stable one. */
static void touch_stale(struct spool_upload *up)
{
    const struct spool_upload_state *u = &up->file->s.upload;

    for (size_t i = 0; i < u->part_count; i++) {
        if (u->parts[i].stale)
            xfer_upload_touch(up->handle, u->parts[i].offset, u->parts[i].part.size);
    }
}

static void op_unpublished(void *ctx, bool maybe)
{
    struct spool_upload *up = ctx;
    struct spool_file *f = up->file;
    struct ou_error err = OU_ERROR_INIT;

    ou_lock_scope(&f->io);
    ou_mutex_lock(&f->lock);
    up->let_out = false;
    up->broken = false;
    ou_mutex_unlock(&f->lock);
    if (!up->is_frozen)
        touch_stale(up);
    if (!maybe && spool_file_word(f, "unpublished", false, &err) < 0)
        ou_log_warn(OU_LOG_SPOOL, &err, "journal key=%s", up->key);
    if (f->s.version != up->version && !up->is_frozen && !spool_upload_is_ending(up) &&
        spool_upload_replan(up, &err) < 0 && err.errnum != EBUSY)
        ou_log_warn(OU_LOG_SPOOL, &err, "plan again key=%s", up->key); /* the gate asks again */
    ou_lock_scope(&f->lock);
    (void)pthread_cond_broadcast(&f->changed);
}

const struct xfer_upload_ops spool_upload_ops = {.read = op_read,
                                                 .headers = op_headers,
                                                 .record = op_record,
                                                 .may_publish = op_may_publish,
                                                 .unpublished = op_unpublished,
                                                 .done = spool_upload_done};

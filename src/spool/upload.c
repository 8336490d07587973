/*
 * Uploads begin here: when, with which plan, and what a newer version means for one under way.
 */
#include "spool/upload.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUSY_MS                                                                                    \
    UINT64_C(100)          /* until an upload that something stands in the way of is tried again */
#define TOUCH_MAX    1000u /* ranges told one by one; more are told as one */
#define NO_MEMORY_MS UINT64_C(1000)

struct xfer_upload *spool_upload_handle(struct spool_upload *up)
{
    return up->handle;
}

const char *spool_upload_key(const struct spool_upload *up)
{
    return up->key;
}

struct spool_upload *spool_upload_next(const struct spool_upload *up)
{
    return up->next;
}

struct spool_file *spool_upload_file(const struct spool_upload *up)
{
    return up->file;
}

bool spool_upload_doomed(const struct spool_upload *up)
{
    ou_lock_scope(&up->file->lock);
    return up->file->unlinked || strcmp(up->key, up->file->s.key) != 0;
}

void spool_upload_free(struct spool_upload *up)
{
    if (!up)
        return;
    if (up->has_headers)
        spool_headers_fini(&up->headers);
    extent_map_fini(&up->frozen);
    if (up->frozen_fd >= 0)
        (void)close(up->frozen_fd);
    free(up->key);
    free(up);
}

void spool_upload_unlist(struct spool_upload *up)
{
    struct spool *spool = up->file->spool;

    ou_mutex_lock(&spool->lock);
    if (up->prev) {
        *up->prev = up->next;
        if (up->next)
            up->next->prev = up->prev;
        up->prev = NULL;
        up->next = NULL;
    }
    ou_mutex_unlock(&spool->lock);
    spool_timer_uploads(spool, -1);
}

static void list(struct spool_upload *up)
{
    struct spool *spool = up->file->spool;

    ou_mutex_lock(&spool->lock);
    up->next = spool->locked.uploads;
    up->prev = &spool->locked.uploads;
    if (up->next)
        up->next->prev = &up->next;
    spool->locked.uploads = up;
    ou_mutex_unlock(&spool->lock);
    spool_timer_uploads(spool, 1);
}

void spool_uploads_drop(struct spool *spool)
{
    for (;;) {
        struct spool_upload *up;
        struct spool_file *f;

        ou_mutex_lock(&spool->lock);
        up = spool->locked.uploads;
        ou_mutex_unlock(&spool->lock);
        if (!up)
            return;
        f = up->file;
        spool_upload_unlist(up);
        ou_mutex_lock(&f->io);
        ou_mutex_lock(&f->lock);
        f->up = NULL;
        ou_mutex_unlock(&f->lock);
        ou_mutex_unlock(&f->io);
        spool_upload_free(up);
        spool_file_unref(f);
    }
}

/* -- the plan -- */

/* The ranges of the stable version that equal the base: the complement of what changed. */
static int unchanged_ranges(const struct spool_file *f, struct xfer_range **ranges, size_t *count,
                            struct ou_error *err)
{
    ou_auto(extent_map_fini) struct extent_map changed = {0};
    uint64_t end = f->s.size < f->s.base.size ? f->s.size : f->s.base.size;
    uint64_t at = 0;
    struct extent e;
    int r = spool_sidecar_all_changed(&f->s, &changed, err);

    if (r < 0)
        return r;
    *count = 0;
    *ranges = calloc(changed.count + 1, sizeof(**ranges));
    if (!*ranges)
        return ou_error_set(err, ENOMEM, "plan the upload of %s", f->s.key);
    while (at < end) {
        uint64_t stop = end;
        bool more = extent_map_next(&changed, at, &e);

        if (more && e.offset < end)
            stop = e.offset;
        if (stop > at)
            (*ranges)[(*count)++] = (struct xfer_range){.offset = at, .size = stop - at};
        at = more && e.offset < end ? e.offset + e.size : end;
    }
    return 0;
}

int spool_upload_plan(struct spool_file *f, struct xfer_plan *plan, bool *uses_base,
                      struct ou_error *err)
{
    const struct spool_config *c = &f->spool->config;
    ou_autofree struct xfer_range *ranges = NULL;
    struct xfer_plan_input in = {
        .size = f->s.size, .part_size = c->part_size, .put_threshold = c->put_threshold};
    int r = 0;

    ou_mutex_assert_held(&f->io);
    if (f->s.base.present) {
        in.base_size = f->s.base.size;
        in.base_is_target = !strcmp(f->s.base.key, f->s.key);
        r = unchanged_ranges(f, &ranges, &in.base_count, err);
        in.base = ranges;
    }
    if (r == 0)
        r = xfer_plan_make(&in, plan, err);
    if (r == 0)
        *uses_base = plan->kind == XFER_PLAN_COPY || in.base_count > 0;
    return r;
}

/* -- a newer version -- */

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

static bool has_writers(struct spool_file *f)
{
    ou_lock_scope(&f->lock);
    return f->writers > 0;
}

/* An open file whose upload is not done after so long is not going to pause for it. */
static bool must_freeze(struct spool_file *f, bool sync)
{
    const struct spool_upload *up = f->up;

    return sync && has_writers(f) && !up->is_frozen && !up->let_out &&
           up->version == f->s.version &&
           ou_now_ms() >= up->started_ms + f->spool->config.open_flush_ms;
}

void spool_upload_prepare(struct spool_file *f, const struct extent_map *delta, uint64_t cut,
                          bool sync)
{
    struct ou_error err = OU_ERROR_INIT;
    int r = 0;

    ou_mutex_assert_held(&f->io);
    if (!f->up || f->up->canceled || f->up->restart)
        return;
    if (must_freeze(f, sync))
        r = spool_freeze(f->up, &err);
    if (r == 0 && f->up->is_frozen)
        r = spool_frozen_keep(f->up, delta, cut, &err);
    if (r < 0) { /* the newer version matters more */
        ou_log_warn(OU_LOG_SPOOL, &err, "upload begins again key=%s", f->up->key);
        spool_upload_restart(f);
    }
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
    if (up->is_frozen)
        return;
    /* A Put that is out and whose bytes are all as they were (a log that grew) may end well. */
    if (up->let_out && up->kind == XFER_PLAN_PUT && !up->broken)
        return;
    touch_all(up, delta, cut, end);
    if (up->let_out)
        return; /* unpublished() or done() sees to the newer version */
    r = spool_upload_replan(up, &err);
    if (r < 0 && r != -EBUSY) { /* -EBUSY: it is ending, and then begins again */
        ou_log_warn(OU_LOG_SPOOL, &err, "upload begins again key=%s", up->key);
        spool_upload_restart(f);
    }
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

/* -- the start -- */

/* Whether it may begin; false: the timer is set for when to look again. */
static bool may_start(struct spool_file *f)
{
    bool due;

    ou_lock_scope(&f->lock);
    due = !f->up && !f->unlinked && !f->poisoned && !f->held && spool_file_pending_locked(f) &&
          (!f->writers || f->publishable == f->s.version);
    if (due && f->retry_ms > ou_now_ms() && !f->hurry)
        due = false;
    if (due && !f->hurry && !f->retry_ms &&
        ou_now_ms() < f->changed_ms + f->spool->config.settle_ms)
        due = false;
    if (!due)
        spool_file_plan_locked(f);
    return due;
}

static void later(struct spool_file *f, uint64_t ms)
{
    ou_lock_scope(&f->lock);
    spool_timer_set(f, ou_now_ms() + ms);
}

/* Deletes and uploads of the same key, and files that still read what lies under it, go first. */
static bool key_is_free(struct spool_file *f)
{
    struct spool *spool = f->spool;
    enum spool_claim claim;

    if (spool_upload_on(spool, f->s.key) || spool_base_needed(spool, f->s.key, f))
        return false;
    claim = spool_deletes_claim(spool, f->s.key);
    if (claim == SPOOL_CLAIM_DROPPED) {
        ou_mutex_lock(&f->lock);
        f->s.absent = false;
        ou_mutex_unlock(&f->lock);
    }
    return claim != SPOOL_CLAIM_WAIT;
}

static struct xfer_plan_part plan_part(const struct spool_part *p)
{
    return (struct xfer_plan_part){
        .number = p->part.number, .copy = p->copy, .offset = p->offset, .size = p->part.size};
}

static void fill_resume(const struct spool_file *f, bool with_stale, struct xfer_resume *resume,
                        struct oss_part **parts, struct xfer_plan_part **where)
{
    const struct spool_upload_state *u = &f->s.upload;

    *resume = (struct xfer_resume){.upload_id = *u->upload_id ? u->upload_id : NULL,
                                   .initiating = u->initiating,
                                   .publishing = u->publishing,
                                   .initiated = u->initiated};
    *parts = calloc(u->part_count + 1, sizeof(**parts));
    *where = calloc(u->part_count + 1, sizeof(**where));
    if (!*parts || !*where)
        return; /* without them the local bytes are compared with the server's list */
    for (size_t i = 0; i < u->part_count; i++) {
        if (u->parts[i].stale && !with_stale)
            continue;
        (*parts)[resume->part_count] = u->parts[i].part;
        (*where)[resume->part_count++] = plan_part(&u->parts[i]);
    }
    resume->parts = *parts;
    resume->where = *where;
}

static int by_number(const void *a, const void *b)
{
    const struct xfer_plan_part *x = a, *y = b;

    return x->number < y->number ? -1 : x->number > y->number;
}

/*
 * A version was being completed when the daemon died, and there is a newer one already. Which of
 * the two the bucket has decides what the newer one differs from, so that is asked first: with
 * the plan of the older one, which its recorded parts still tell. Return: 1 there it is, 0 no.
 */
static int plan_of_published(const struct spool_file *f, struct xfer_plan *plan,
                             struct ou_error *err)
{
    const struct spool_upload_state *u = &f->s.upload;
    uint64_t at = 0;

    if (!u->publishing || !*u->upload_id || u->version == f->s.version || !u->part_count ||
        strcmp(u->key, f->s.key) != 0)
        return 0;
    plan->parts = calloc(u->part_count, sizeof(*plan->parts));
    if (!plan->parts)
        return ou_error_set(err, ENOMEM, "resume the upload of %s", u->key);
    for (size_t i = 0; i < u->part_count; i++)
        plan->parts[i] = plan_part(&u->parts[i]);
    qsort(plan->parts, u->part_count, sizeof(*plan->parts), by_number);
    for (size_t i = 0; i < u->part_count; i++) {
        if (plan->parts[i].number != i + 1 || plan->parts[i].offset != at ||
            (plan->parts[i].copy && !f->s.base.present))
            break;
        at += plan->parts[i].size;
    }
    if (at != u->size) {
        xfer_plan_fini(plan);
        return 0;
    }
    plan->kind = XFER_PLAN_MULTIPART;
    plan->size = u->size;
    plan->part_size = plan->parts[0].size;
    plan->count = u->part_count;
    return 1;
}

static struct spool_upload *new_upload(struct spool_file *f, const char *key, struct ou_error *err)
{
    struct spool_upload *up = calloc(1, sizeof(*up));

    if (up)
        up->key = strdup(key);
    if (!up || !up->key) {
        free(up);
        (void)ou_error_set(err, ENOMEM, "upload %s", key);
        return NULL;
    }
    up->file = f;
    up->frozen_fd = -1;
    up->started_ms = ou_now_ms();
    up->version = f->s.version;
    up->size = f->s.size;
    up->attr = f->s.upload.attr; /* of an upload id that is gone on with */
    up->abort_only = strcmp(key, f->s.key) != 0 || f->unlinked;
    up->canceled = up->abort_only;
    return up;
}

/* .io is held to the end, so that done() cannot come before .up is set. */
static int start(struct spool_file *f, const char *key, struct ou_error *err)
{
    ou_autofree struct oss_part *parts = NULL;
    ou_autofree struct xfer_plan_part *where = NULL;
    struct xfer_plan plan = {0};
    struct xfer_resume resume;
    struct xfer_upload_spec spec = {.plan = &plan, .ops = &spool_upload_ops};
    struct spool_upload *up = new_upload(f, key, err);
    struct xfer_upload *handle;
    bool older;
    int r;

    if (!up)
        return -ENOMEM;
    r = plan_of_published(f, &plan, err);
    older = r == 1;
    if (older) {
        up->version = f->s.upload.version;
        up->size = f->s.upload.size;
        up->uses_base = up->broken = true; /* its bytes may not be here any more */
    } else if (r == 0) {
        r = spool_upload_plan(f, &plan, &up->uses_base, err);
    }
    if (r < 0) {
        spool_upload_free(up);
        return r;
    }
    up->kind = plan.kind;
    fill_resume(f, older, &resume, &parts, &where);
    /* The engine counts an upload id that was being completed as published until it knows better. */
    up->let_out = resume.publishing && resume.upload_id && plan.kind == XFER_PLAN_MULTIPART;
    spec.key = key;
    spec.resume = f->s.upload.key ? &resume : NULL;
    spec.ctx = up;
    if (f->s.base.present) {
        spec.base_key = f->s.base.key;
        spec.base_etag = f->s.base.etag;
    }
    if (has_writers(f) && !older && !up->abort_only) {
        r = spool_freeze(up, err);
        if (r < 0) {
            xfer_plan_fini(&plan);
            spool_upload_free(up);
            return r;
        }
        ou_mutex_lock(&f->lock);
        f->open_publish_ms = ou_now_ms();
        ou_mutex_unlock(&f->lock);
    }
    (void)spool_file_ref(f);
    list(up);
    ou_mutex_lock(&f->lock);
    f->up = up;
    ou_mutex_unlock(&f->lock);
    r = xfer_upload_start(f->spool->engine, &spec, &handle, err);
    if (r == 0) {
        ou_mutex_lock(&f->lock);
        up->handle = handle;
        ou_mutex_unlock(&f->lock);
        if (up->abort_only)
            xfer_upload_cancel(handle);
        return 0;
    }
    ou_mutex_lock(&f->lock);
    f->up = NULL;
    ou_mutex_unlock(&f->lock);
    spool_upload_unlist(up);
    spool_upload_free(up);
    xfer_plan_fini(&plan);
    spool_file_unref(f);
    return r;
}

void spool_upload_due(struct spool_file *f)
{
    struct ou_error err = OU_ERROR_INIT;
    ou_autofree char *key = NULL;
    bool drop = false;
    bool left_behind;
    int r;

    ou_mutex_lock(&f->io);
    ou_mutex_lock(&f->lock);
    left_behind = !f->up && spool_file_left_behind_locked(f);
    ou_mutex_unlock(&f->lock);
    if (left_behind) { /* what an earlier upload left is ended first */
        key = strdup(f->s.upload.key);
        r = key ? start(f, key, &err) : -ENOMEM;
    } else if (!may_start(f)) {
        drop = spool_file_settle_down(f);
        r = 0;
    } else if (!key_is_free(f)) {
        later(f, BUSY_MS);
        r = 0;
    } else {
        r = start(f, f->s.key, &err);
        if (r == 0)
            ou_log_info(OU_LOG_SPOOL, "upload starts key=%s version=%llu", f->s.key,
                        (unsigned long long)f->s.version);
    }
    if (r < 0) {
        ou_log_warn(OU_LOG_SPOOL, &err, "upload cannot start key=%s", f->s.key);
        later(f, NO_MEMORY_MS);
    }
    ou_mutex_unlock(&f->io);
    if (drop)
        spool_file_unref(f);
}

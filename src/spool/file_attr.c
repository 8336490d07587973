/*
 * What a staged file is called and says of itself.
 */
#include "spool/file.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "spool/move.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

char *spool_file_key(struct spool_file *f)
{
    ou_lock_scope(&f->lock);
    return f->unlinked || f->displaced ? NULL : strdup(f->s.key);
}

int spool_file_stat(struct spool_file *f, struct spool_attr *attr, uint64_t *size,
                    struct ou_error *err)
{
    ou_lock_scope(&f->lock);
    *size = f->size;
    return spool_attr_copy(attr, &f->attr, err);
}

void spool_file_times(struct spool_file *f, struct spool_attr *attr, uint64_t *size)
{
    ou_lock_scope(&f->lock);
    *size = f->size;
    *attr = (struct spool_attr){.mode = f->attr.mode,
                                .uid = f->attr.uid,
                                .gid = f->attr.gid,
                                .mtime = f->attr.mtime,
                                .atime = f->attr.atime,
                                .ctime = f->attr.ctime,
                                .has_atime = f->attr.has_atime,
                                .has_ctime = f->attr.has_ctime};
}

bool spool_file_has_version(struct spool_file *f)
{
    ou_lock_scope(&f->lock);
    return spool_sidecar_exists(&f->s);
}

bool spool_file_pending(struct spool_file *f)
{
    ou_lock_scope(&f->lock);
    return !f->unlinked && (spool_file_pending_locked(f) || spool_file_unstable_locked(f));
}

static void take_over(struct spool_attr *to, const struct spool_attr *from, unsigned which)
{
    if (which & SPOOL_SET_MODE)
        to->mode = from->mode;
    if (which & SPOOL_SET_UID)
        to->uid = from->uid;
    if (which & SPOOL_SET_GID)
        to->gid = from->gid;
    if (which & SPOOL_SET_MTIME)
        to->mtime = from->mtime;
    if (which & SPOOL_SET_ATIME) {
        to->atime = from->atime;
        to->has_atime = true;
    }
    if (which & SPOOL_SET_CTIME) {
        to->ctime = from->ctime;
        to->has_ctime = true;
    }
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_attr(const struct spool_attr *a, const struct spool_attr *b)
{
    const char *x = a->xattr ? a->xattr : "", *y = b->xattr ? b->xattr : "";

    return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
           same_time(a->mtime, b->mtime) && a->has_atime == b->has_atime &&
           a->has_ctime == b->has_ctime && (!a->has_atime || same_time(a->atime, b->atime)) &&
           (!a->has_ctime || same_time(a->ctime, b->ctime)) && !strcmp(x, y);
}

/* Journalled at once where there is something to lose: not before a new file's first flush. */
static int journal_attr(struct spool_file *f, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf line = {0};

    if (!spool_sidecar_exists(&f->s) || f->unlinked || f->displaced)
        return 0;
    spool_record_attr(&line, &f->attr, f->attr_number);
    return spool_file_record(f, &line, false, err);
}

int spool_file_set_attr(struct spool_file *f, const struct spool_attr *attr, unsigned which,
                        struct ou_error *err)
{
    struct spool_attr before;
    char *xattr = NULL;
    bool same;
    int r;

    if ((which & SPOOL_SET_XATTR) && attr->xattr) {
        xattr = strdup(attr->xattr);
        if (!xattr)
            return ou_error_set(err, ENOMEM, "set attributes of %s", f->id);
    }
    ou_lock_scope(&f->io);
    ou_mutex_lock(&f->lock);
    before = f->attr;
    take_over(&f->attr, attr, which);
    if (which & SPOOL_SET_XATTR)
        f->attr.xattr = xattr;
    same = same_attr(&before, &f->attr);
    if (!same) {
        f->attr_number = spool_file_next_attr_locked(f);
        f->attr_sets++;
        f->changed_ms = ou_now_ms();
    }
    if (which & SPOOL_SET_XATTR)
        free(before.xattr);
    ou_mutex_unlock(&f->lock);
    if (same)
        return 0;

    r = journal_attr(f, err);
    ou_mutex_lock(&f->lock);
    spool_file_keep_locked(f);
    spool_file_plan_locked(f);
    ou_mutex_unlock(&f->lock);
    return r;
}

/* -- clone -- */

static bool clone_source_locked(struct spool_file *from)
{
    return !from->unlinked && from->s.base.present && !spool_sidecar_dirty(&from->s) &&
           !from->dirty.count && from->low == from->s.size && from->size == from->s.size &&
           !from->live_base.present;
}

int spool_file_clone(struct spool_file *from, struct spool_file *to, struct ou_error *err)
{
    struct spool_base base = {0};
    struct spool_base_reader *old[2] = {NULL, NULL};
    bool empty;
    int r = 0;

    if (from == to)
        return 0;
    ou_mutex_lock(&from->lock);
    if (clone_source_locked(from))
        r = spool_base_copy(&base, &from->s.base, err);
    ou_mutex_unlock(&from->lock);
    if (r < 0 || !base.present)
        return r;

    ou_mutex_lock(&to->io);
    ou_mutex_lock(&to->lock);
    empty = to->size == 0 && !to->unlinked && !to->poisoned &&
            !spool_is_moving(to->spool, base.key); /* it would be sought under its old name */
    if (empty) {
        spool_file_take_readers_locked(to, old);
        to->low = 0;
        to->size = to->base_limit = base.size;
        spool_base_fini(&to->live_base);
        to->live_base = base;
        base = (struct spool_base){0};
        to->attr.mtime = ou_wall();
        to->attr_number = to->s.attr_number + 1;
        to->changed_ms = ou_now_ms();
        spool_file_foreign_locked(to);
        spool_file_keep_locked(to);
        spool_file_plan_locked(to);
    }
    ou_mutex_unlock(&to->lock);
    ou_mutex_unlock(&to->io);
    spool_base_reader_drop(old[0]);
    spool_base_reader_drop(old[1]);
    spool_base_fini(&base);
    return empty;
}

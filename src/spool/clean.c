/*
 * Clean bytes: those of an open file that equal the object it has become.
 *
 * A file that is published while it stays open (fsync, a close of another handle, open_flush)
 * keeps its bytes, so that reading them costs no request. When there is no room they go first:
 * the record `clean`, then the maps, which show the base there, then the holes.
 *
 * Where the file was cut off or written since, only the stable version still has them. Those go
 * also while an upload of live bytes is under way; what that one may read does not.
 */
#include "spool/early.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Nothing that was begun with the base or the stable version needs them as they are. */
static bool is_settled(const struct spool_file *f)
{
    if (f->early.on)
        return !f->s.upload.publishing && !f->s.upload.moved.count &&
               !extent_map_has(&f->s.map, EXTENT_SENT, 0, UINT64_MAX);
    return !f->up && !f->s.upload.key && !spool_is_released(f);
}

/* What of the stable version may equal its base; 0: nothing. Reads under .io or .lock. */
static uint64_t clean_end(const struct spool_file *f)
{
    if (!f->s.base.present || strcmp(f->s.base.key, f->s.key) != 0 || f->live_base.present ||
        f->unlinked || f->poisoned || !f->has_sidecar || !is_settled(f))
        return 0;
    return f->s.size < f->s.base.size ? f->s.size : f->s.base.size;
}

static bool may_have_clean(struct spool_file *f)
{
    ou_lock_scope(&f->lock);
    return f->disk_bytes && f->opens && clean_end(f) > 0;
}

static uint64_t next_in(const struct extent_map *set, uint64_t at, uint64_t end)
{
    struct extent e;

    return extent_map_next(set, at, &e) && e.offset < end ? e.offset : end;
}

/* Whether @set has @at; *@stop is cut to where that changes. */
static bool is_in(const struct extent_map *set, uint64_t at, uint64_t *stop)
{
    struct extent e = extent_map_at(set, at);

    if (e.slot == EXTENT_NONE)
        *stop = next_in(set, at, *stop);
    else if (e.size < *stop - at)
        *stop = at + e.size;
    return e.slot != EXTENT_NONE;
}

/* The end of the run that begins at @at, whether it is clean, and whether it is live. */
static uint64_t run_of(const struct spool_file *f, uint64_t at, uint64_t end, bool *clean,
                       bool *live)
{
    struct extent stable = extent_map_at(&f->s.map, at);
    uint64_t stop = stable.size < end - at ? at + stable.size : end;
    bool changed = is_in(&f->s.changed, at, &stop);

    *live = !is_in(&f->dirty, at, &stop) && at < f->low;
    if (at < f->low && stop > f->low)
        stop = f->low;
    *clean =
        (stable.slot == EXTENT_A || stable.slot == EXTENT_B) && !changed && !(*live && f->early.on);
    return stop;
}

/* The maps show the base in the clean ranges, which @lines tell. */
static int switch_maps_locked(struct spool_file *f, const struct ou_buf *lines,
                              struct spool_base_reader *old[2], struct ou_error *err)
{
    uint64_t end = clean_end(f);
    int r = 0;

    for (uint64_t at = 0; r == 0 && at < end;) {
        bool clean, live;
        uint64_t stop = run_of(f, at, end, &clean, &live);

        if (clean && live)
            r = extent_map_set(&f->live, at, stop - at, EXTENT_SENT, err);
        at = stop;
    }
    if (r == 0 && !f->early.on)
        r = spool_sent_to_base(&f->live, &f->base_limit, err);
    if (r == 0)
        r = spool_file_apply_locked(f, lines, err);
    spool_file_take_readers_locked(f, old); /* they expect less of the base */
    return r;
}

static int let_go(struct spool_file *f, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf lines = {0};
    struct spool_base_reader *old[2] = {NULL, NULL};
    uint64_t end = clean_end(f), bytes = 0;
    int r;

    ou_mutex_assert_held(&f->io);
    for (uint64_t at = 0; at < end;) {
        bool clean, live;
        uint64_t stop = run_of(f, at, end, &clean, &live);

        if (clean) {
            spool_record_clean(&lines, at, stop - at);
            ou_buf_adds(&lines, "\n");
            bytes += stop - at;
        }
        at = stop;
    }
    if (!bytes)
        return 0;
    r = spool_file_journal(f, &lines, true, err); /* before the holes, whatever happens */
    if (r < 0)
        return r;
    ou_mutex_lock(&f->lock);
    r = switch_maps_locked(f, &lines, old, err);
    ou_mutex_unlock(&f->lock);
    spool_base_reader_drop(old[0]);
    spool_base_reader_drop(old[1]);
    if (r == 0)
        spool_file_reclaim(f);
    ou_log_debug(OU_LOG_SPOOL, "clean bytes let go key=%s bytes=%" PRIu64, f->s.key, bytes);
    return r;
}

void spool_clean_let_go_of(struct spool_file *f)
{
    struct ou_error err = OU_ERROR_INIT;

    ou_mutex_assert_held(&f->io);
    if (!atomic_load(&f->spool->cannot_punch) && spool_space_wanted(f->spool) &&
        let_go(f, &err) < 0)
        ou_log_warn(OU_LOG_SPOOL, &err, "clean bytes stay key=%s", f->s.key);
}

void spool_clean_let_go(struct spool *spool)
{
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file **files = NULL;
    size_t count = 0;

    if (spool_collect(spool, "", may_have_clean, &files, &count, &err) < 0)
        return;
    for (size_t i = 0; i < count; i++) {
        ou_mutex_lock(&files[i]->io);
        spool_clean_let_go_of(files[i]);
        ou_mutex_unlock(&files[i]->io);
        spool_file_unref(files[i]);
    }
    free(files);
}

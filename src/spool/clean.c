/*
 * Clean bytes: those of an open file that equal the object it has become.
 *
 * A file that is published while it stays open (fsync, a close of another handle, open_flush)
 * keeps its bytes, so that reading them costs no request. When there is no room they go first:
 * the record `clean`, then the maps, which show the base there, then the holes.
 */
#include "spool/early.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What of the file may equal its base; 0: nothing. Reads under .io or .lock. */
static uint64_t clean_end(const struct spool_file *f)
{
    uint64_t end = f->s.size < f->low ? f->s.size : f->low;

    if (!f->s.base.present || strcmp(f->s.base.key, f->s.key) != 0 || f->live_base.present ||
        f->up || f->s.upload.key || f->unlinked || f->poisoned || !f->has_sidecar ||
        spool_is_released(f))
        return 0;
    return end < f->s.base.size ? end : f->s.base.size;
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

/* The end of the run that begins at @at, and whether it is clean. */
static uint64_t run_of(const struct spool_file *f, uint64_t at, uint64_t end, bool *clean)
{
    const struct extent_map *changes[2] = {&f->s.changed, &f->dirty};
    struct extent stable = extent_map_at(&f->s.map, at);
    uint64_t stop = stable.size < end - at ? at + stable.size : end;

    *clean = stable.slot == EXTENT_A || stable.slot == EXTENT_B;
    for (int i = 0; i < 2; i++) {
        struct extent e = extent_map_at(changes[i], at);

        if (e.slot != EXTENT_NONE) {
            *clean = false;
            stop = e.size < stop - at ? at + e.size : stop;
        } else {
            stop = next_in(changes[i], at, stop);
        }
    }
    return stop;
}

/* Both maps show the base in the clean ranges, which @lines tell. */
static int switch_maps_locked(struct spool_file *f, const struct ou_buf *lines,
                              struct spool_base_reader *old[2], struct ou_error *err)
{
    uint64_t end = clean_end(f);
    int r = 0;

    for (uint64_t at = 0; r == 0 && at < end;) {
        bool clean;
        uint64_t stop = run_of(f, at, end, &clean);

        if (clean)
            r = extent_map_set(&f->live, at, stop - at, EXTENT_SENT, err);
        at = stop;
    }
    if (r == 0)
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
        bool clean;
        uint64_t stop = run_of(f, at, end, &clean);

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

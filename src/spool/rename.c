/*
 * A name changes.
 *
 * The delete of the old object is journalled first, bound to the file's id, so that it is void as
 * long as the sidecar has not been renamed; then the sidecar's `rename` line takes effect. A crash
 * between the two leaves the old name. If the new name had a staged file, there may be two sidecars
 * of one key after a crash: the higher sequence number wins.
 *
 * A file that has no stable version keeps what it has replaced (replaced.c). When it is renamed
 * again, that comes along: it leads, as its version is the one that counts on disk and in the
 * bucket.
 */
#include "spool/rename.h"
#include "spool/move.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>

enum { MOVE_BASE = 1, LOOK_ANEW }; /* what an attempt may end with, beside 0 and an error */

/* The one in memory; the one on disk has been written. */
static void switch_name(struct spool_file *f, const struct ou_buf *line, struct ou_error *err)
{
    struct spool *spool = f->spool;
    struct spool_base_reader *old[2];

    ou_mutex_lock(&spool->lock);
    if (f->named)
        spool_table_remove(&spool->locked.files, &f->node);
    ou_mutex_lock(&f->lock);
    if (spool_file_apply_locked(f, line, err) < 0)
        ou_log_error(OU_LOG_SPOOL, err, "renamed on disk only id=%s", f->id);
    spool_file_take_readers_locked(f, old);
    f->published_version = f->published_attr = 0; /* that was under the old name */
    if (f->up)
        f->up->renamed = true;
    f->changed_ms = ou_now_ms();
    spool_file_plan_locked(f);
    ou_mutex_unlock(&f->lock);
    f->named = !f->displaced;
    if (f->named)
        spool_table_insert(&spool->locked.files, &f->node, f->s.key);
    ou_mutex_unlock(&spool->lock);
    spool_base_reader_drop(old[0]);
    spool_base_reader_drop(old[1]);
}

/* What becomes of .over: references to be dropped, once nothing is locked any more. */
struct leftover {
    struct spool_file *over, *replaced, *lead;
};

/*
 * Appends the lines of both. The file's own comes first: as long as it was never closed, it means
 * nothing after a crash, and it is cut off again if the other cannot be written.
 */
static int journal_both(const struct spool_renaming *n, const struct ou_buf *line,
                        const struct ou_buf *lead_line, bool sync, struct ou_error *err)
{
    struct spool_file *f = n->file, *lead = n->lead;
    uint64_t before = f->journal.size;
    int r = 0;

    if (lead != f && f->has_sidecar)
        r = spool_file_journal(f, line, false, err);
    if (r == 0 && (spool_sidecar_exists(&lead->s) || lead->has_sidecar))
        r = spool_file_journal(lead, lead_line, sync, err);
    if (r < 0)
        f->journal.size = before;
    return r;
}

static void take_over(const struct spool_renaming *n, const struct spool_base *base,
                      struct leftover *left, struct ou_error *err)
{
    struct spool_file *over = n->over;

    /* Whatever its upload may have left there, the copy of the base has replaced it. */
    if (base->present && over->s.upload.publishing &&
        spool_file_word(over, "unpublished", false, err) < 0)
        ou_log_warn(OU_LOG_SPOOL, err, "journal key=%s", n->key);
    left->replaced = spool_replaced_take(over);
    if (spool_file_take_name(over, true))
        left->over = over;
}

/* All three .io are held. @base: of .lead, under the new name; or absent. */
static int rename_all(const struct spool_renaming *n, const struct spool_base *base,
                      struct leftover *left, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf line = {0}, lead_line = {0};
    struct spool_file *f = n->file, *lead = n->lead, *over = n->over;
    bool absent = over ? !spool_file_may_exist(over) && !over->replaced : false;
    bool keeps = over && !spool_sidecar_exists(&lead->s) && spool_sidecar_exists(&over->s);
    bool outlives = over && !keeps &&
                    (spool_replaced_outlives(over) ||
                     (over->replaced && spool_replaced_outlives(over->replaced)));
    int r = 0;

    /* A power cut must not take the old version, which was on the disk, with the new one. */
    if (outlives)
        r = spool_file_make_synced(lead, err);
    if (r == 0 && spool_file_may_exist(lead))
        r = spool_deletes_add(f->spool, f->s.key, lead->id, err);
    if (r < 0)
        return r;
    spool_record_rename(&lead_line, spool_next_seq(f->spool), n->key,
                        absent && !base->present && !keeps, base->present ? base : NULL);
    /* A base that nothing shows through would only keep its old name in use. */
    if (!base->present && lead->s.base.present && !strcmp(lead->s.base.key, lead->s.key)) {
        ou_buf_adds(&lead_line, "\n");
        spool_record_word(&lead_line, "baseless");
    }
    spool_record_rename(&line, spool_next_seq(f->spool), n->key, false, NULL);
    /* It must last before the base's old name is deleted, and before the replaced file goes. */
    r = journal_both(n, &line, &lead_line, base->present || outlives, err);
    if (r < 0) {
        (void)spool_deletes_claim(f->spool, f->s.key);
        return r;
    }
    if (keeps)
        spool_replaced_keep(f, over);
    else if (over)
        take_over(n, base, left, err);
    spool_upload_restart(lead);
    switch_name(lead, &lead_line, err);
    if (lead != f) {
        spool_upload_restart(f);
        switch_name(f, &line, err);
        if (spool_file_settle_down(lead))
            left->lead = lead;
    } else if (!keeps && !spool_sidecar_exists(&f->s) && left->replaced) {
        spool_replaced_inherit(f, left->replaced); /* neither had a stable version */
        left->replaced = NULL;
    }
    return 0;
}

/* What cannot be renamed now. Return: 0 it can, -EAGAIN, AGAIN, negative errno. */
static int check_all(const struct spool_renaming *n, struct ou_error *err)
{
    struct spool_file *f = n->file, *over = n->over;

    if (f->unlinked || f->displaced)
        return ou_error_set(err, ENOENT, "rename to %s", n->key);
    if (f->replaced != (n->lead == f ? NULL : n->lead) ||
        (f->replaced && spool_sidecar_exists(&f->s)))
        return LOOK_ANEW;
    if (over &&
        (over->unlinked || over->displaced || (over->replaced && spool_sidecar_exists(&over->s))))
        return LOOK_ANEW;
    if (spool_is_released(f) || spool_is_released(n->lead))
        return -EAGAIN;
    /* Else its unfinished upload, which has the bytes, would be ended. */
    if (over && over->early.on && !spool_sidecar_exists(&f->s) &&
        extent_map_has(&over->s.map, EXTENT_SENT, 0, UINT64_MAX))
        return ou_error_say(err, EBUSY,
                            "%s is larger than the spool and still being written: part of it was "
                            "sent and let go",
                            n->key);
    return 0;
}

/*
 * One attempt. Return: 0 done, MOVE_BASE, LOOK_ANEW, -EAGAIN: what was sent of it ahead
 * of its close must be published first, negative errno. @from, @to: the
 * base as it was when it was moved, and where to.
 */
static int try_rename(const struct spool_renaming *n, const struct spool_base *from,
                      const struct spool_base *to, struct ou_error *err)
{
    static const struct spool_base none;
    struct spool_file *all[3] = {n->file, n->over, n->lead == n->file ? NULL : n->lead};
    struct leftover left = {NULL, NULL, NULL};
    bool moved;
    int r;

    spool_files_lock(all, 3);
    moved = to->present && spool_base_same(from, &n->lead->s.base);
    r = check_all(n, err);
    if (r == 0 && !moved && spool_base_must_move(n->lead))
        r = MOVE_BASE; /* or an upload ended meanwhile, and the base is another now */
    if (r == 0)
        r = rename_all(n, moved ? to : &none, &left, err);
    spool_files_unlock(all, 3);
    spool_replaced_drop(left.replaced);
    spool_file_unref(left.over);
    spool_file_unref(left.lead);
    return r;
}

static int rename_over(const struct spool_renaming *n, struct ou_error *err)
{
    struct spool_base from = {0}, to = {0};
    bool held = false;
    int r = 0;

    /* Two files, each waiting for the object that the other reads, would wait for ever. */
    while (r == 0 && spool_base_needed(n->file->spool, n->key, n->file))
        r = spool_rename_wait(n, err);
    while (r == 0) {
        r = try_rename(n, &from, &to, err);
        if (r == -EAGAIN) {
            r = spool_release_await_all(n->lead, n->deadline_ms, n->cancel, err);
            if (r == 0 && n->lead != n->file)
                r = spool_release_await_all(n->file, n->deadline_ms, n->cancel, err);
            continue;
        }
        if (r != MOVE_BASE)
            break;
        r = held ? 0 : spool_rename_hold(n, err);
        if (r < 0)
            break;
        held = true;
        r = spool_rename_move_base(n, &from, &to, err);
    }
    if (held)
        spool_rename_let_go(n);
    spool_base_fini(&from);
    spool_base_fini(&to);
    return r;
}

/* With these three as they are now. Return: LOOK_ANEW: they were not, when it came to it. */
static int rename_now(struct spool_renaming *n, struct ou_error *err)
{
    struct spool_file *replaced;
    int r = spool_replaced_settle(n->file, err);

    if (r < 0)
        return r;
    n->over = NULL;
    (void)spool_find(n->file->spool, n->key, &n->over);
    if (n->over && n->over != n->file)
        r = spool_replaced_settle(n->over, err);
    replaced = spool_replaced_of(n->file);
    n->lead = replaced ? replaced : n->file;
    if (r == 0 && n->over != n->file)
        r = rename_over(n, err);
    spool_file_unref(replaced);
    spool_file_unref(n->over);
    return r;
}

int spool_file_rename(struct spool_file *f, const char *key, uint64_t deadline_ms,
                      struct ou_cancel *cancel, struct ou_error *err)
{
    struct spool_renaming n = {.file = f, .key = key, .deadline_ms = deadline_ms, .cancel = cancel};
    int r;

    do {
        r = rename_now(&n, err);
    } while (r == LOOK_ANEW);
    return r < 0 ? ou_error_prefix(err, "rename to %s", key) : 0;
}

/* -- with its object -- */

/* .io held. */
static int move_one(struct spool_file *f, const char *key, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf line = {0};
    bool has_base = f->s.base.present && !strcmp(f->s.base.key, f->s.key);
    struct spool_base base = {0};
    int r = 0;

    if (has_base) {
        base = f->s.base; /* but for its key */
        base.key = (char *)key;
    }
    spool_record_rename(&line, spool_next_seq(f->spool), key, f->s.absent, has_base ? &base : NULL);
    if (spool_sidecar_exists(&f->s) || f->has_sidecar)
        r = spool_file_journal(f, &line, has_base, err);
    if (r < 0)
        return r;
    spool_upload_restart(f);
    switch_name(f, &line, err);
    return 0;
}

static int try_move(struct spool_file *f, struct spool_file *replaced, const char *key,
                    struct ou_error *err)
{
    struct spool_file *both[2] = {f, replaced};
    int r = 0;

    spool_files_lock(both, 2);
    if (f->unlinked || f->displaced)
        r = ou_error_set(err, ENOENT, "rename to %s", key);
    else if (f->replaced != replaced)
        r = LOOK_ANEW;
    else if (replaced) /* first: the other has a higher sequence number */
        r = move_one(replaced, key, err);
    if (r == 0)
        r = move_one(f, key, err);
    spool_files_unlock(both, 2);
    return r;
}

int spool_move_file(struct spool_file *f, const char *key, struct ou_error *err)
{
    struct spool_file *over = NULL, *replaced;
    int r;

    if (spool_find(f->spool, key, &over)) {
        spool_file_unref(over);
        return over == f ? 0 : ou_error_set(err, EEXIST, "rename to %s", key);
    }
    do {
        replaced = spool_replaced_of(f);
        r = try_move(f, replaced, key, err);
        spool_file_unref(replaced);
    } while (r == LOOK_ANEW);
    return r < 0 ? ou_error_prefix(err, "rename to %s", key) : 0;
}

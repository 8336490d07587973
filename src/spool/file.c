/*
 * Life and bookkeeping of a staged file: references, descriptors, what it takes on disk, when
 * something is to be done for it next.
 *
 * References: callers of the spool, the timer, an upload, and the spool itself while .kept. The
 * last one out takes the file off the table, so a clean file is found for as long as anybody
 * knows it, and costs no disk.
 */
#include "spool/early.h"

#include "base/clock.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const slot_suffix[SPOOL_SLOTS] = {".data", ".alt"};

struct spool_file *spool_file_new(struct spool *spool, uint64_t seq, const char *key,
                                  struct ou_error *err)
{
    struct spool_file *f = calloc(1, sizeof(*f));

    if (f)
        f->s.key = strdup(key);
    if (!f || !f->s.key) {
        free(f);
        (void)ou_error_set(err, ENOMEM, "stage %s", key);
        return NULL;
    }
    f->spool = spool;
    (void)snprintf(f->id, sizeof(f->id), "%016" PRIx64, seq);
    memcpy(f->s.id, f->id, sizeof(f->id));
    f->s.seq = seq;
    f->s.begun = true;
    f->s.created = ou_wall().tv_sec;
    f->s.time = f->s.created;
    atomic_init(&f->refs, 1);
    ou_mutex_init(&f->io, SPOOL_RANK_IO);
    ou_mutex_init(&f->lock, SPOOL_RANK_FILE);
    ou_cond_init(&f->changed);
    f->journal.fd = -1;
    f->fd[EXTENT_A] = f->fd[EXTENT_B] = -1;
    f->publishable = SPOOL_NO_VERSION;
    f->changed_ms = ou_now_ms();
    return f;
}

void spool_file_free(struct spool_file *f)
{
    if (f->replaced)
        spool_file_free(f->replaced);
    for (int i = 0; i < SPOOL_SLOTS; i++) {
        if (f->fd[i] >= 0)
            (void)close(f->fd[i]);
        extent_map_fini(&f->stored[i]);
    }
    spool_left_behind_forget(f);
    if (f->foreign)
        (void)atomic_fetch_sub(&f->spool->foreign_bases, 1);
    if (f->disk_bytes)
        spool_space_settle(f->spool, 0, -(int64_t)f->disk_bytes);
    ou_journal_close(&f->journal);
    spool_base_reader_drop(f->reader[0]);
    spool_base_reader_drop(f->reader[1]);
    spool_sidecar_fini(&f->s);
    extent_map_fini(&f->live);
    extent_map_fini(&f->dirty);
    extent_map_fini(&f->poison);
    spool_base_fini(&f->live_base);
    spool_attr_fini(&f->attr);
    free(f->early.sent);
    (void)pthread_cond_destroy(&f->changed);
    ou_mutex_fini(&f->lock);
    ou_mutex_fini(&f->io);
    free(f);
}

struct spool_file *spool_file_ref(struct spool_file *f)
{
    (void)atomic_fetch_add(&f->refs, 1);
    return f;
}

void spool_file_unref(struct spool_file *f)
{
    struct spool *spool;
    unsigned refs;

    if (!f)
        return;
    /* Not the last one: no lock. The last one goes under the table's, where finders take theirs. */
    refs = atomic_load(&f->refs);
    while (refs > 1) {
        if (atomic_compare_exchange_weak(&f->refs, &refs, refs - 1))
            return;
    }
    spool = f->spool;
    ou_mutex_lock(&spool->lock);
    refs = atomic_fetch_sub(&f->refs, 1);
    if (refs == 1 && f->named) {
        spool_table_remove(&spool->locked.files, &f->node);
        f->named = false;
    }
    ou_mutex_unlock(&spool->lock);
    if (refs == 1)
        spool_file_free(f);
}

void spool_file_keep_locked(struct spool_file *f)
{
    if (f->kept || f->unlinked)
        return;
    f->kept = true;
    (void)spool_file_ref(f);
}

/* -- descriptors -- */

static void slot_name(const struct spool_file *f, enum extent_slot slot, char name[32])
{
    (void)snprintf(name, 32, "%s%s", f->id, slot_suffix[slot]);
}

int spool_file_fd_locked(struct spool_file *f, enum extent_slot slot, bool create,
                         struct ou_error *err)
{
    char name[32];
    int fd;

    ou_mutex_assert_held(&f->lock);
    if (f->fd[slot] >= 0)
        return f->fd[slot];
    slot_name(f, slot, name);
    fd = openat(f->spool->dirfd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | (create ? O_CREAT : 0),
                0600);
    if (fd < 0)
        return ou_error_set(err, errno, "open %s", name);
    if (f->unlinked)
        (void)unlinkat(f->spool->dirfd, name, 0);
    f->fd[slot] = fd;
    return fd;
}

void spool_file_enter_locked(struct spool_file *f)
{
    ou_mutex_assert_held(&f->lock);
    f->busy++;
}

void spool_file_leave_locked(struct spool_file *f)
{
    ou_mutex_assert_held(&f->lock);
    f->busy--;
    if (f->busy || f->opens || f->up || f->unlinked)
        return;
    for (int i = 0; i < SPOOL_SLOTS; i++) {
        if (f->fd[i] >= 0)
            (void)close(f->fd[i]);
        f->fd[i] = -1;
    }
}

void spool_file_rest(struct spool_file *f)
{
    bool idle;

    ou_mutex_assert_held(&f->io);
    ou_mutex_lock(&f->lock);
    idle = !f->busy && !f->opens && !f->up;
    ou_mutex_unlock(&f->lock);
    if (idle)
        ou_journal_close(&f->journal);
}

void spool_file_leave(struct spool_file *f)
{
    ou_mutex_lock(&f->lock);
    spool_file_leave_locked(f);
    ou_mutex_unlock(&f->lock);
    spool_file_rest(f);
}

/* -- disk -- */

void spool_file_disk(struct spool_file *f, uint64_t reserved)
{
    uint64_t bytes = 0;
    int64_t grown;

    ou_mutex_lock(&f->lock);
    for (int i = 0; i < SPOOL_SLOTS; i++) {
        struct stat st;
        char name[32];

        slot_name(f, (enum extent_slot)i, name);
        if ((f->fd[i] >= 0 ? fstat(f->fd[i], &st)
                           : fstatat(f->spool->dirfd, name, &st, AT_SYMLINK_NOFOLLOW)) == 0)
            bytes += (uint64_t)st.st_blocks * 512;
    }
    grown = (int64_t)bytes - (int64_t)f->disk_bytes;
    f->disk_bytes = bytes;
    spool_space_settle(f->spool, reserved, grown); /* one step: see room_will_come() */
    ou_mutex_unlock(&f->lock);
}

void spool_file_remove_data(struct spool_file *f)
{
    ou_mutex_assert_held(&f->io);
    for (int i = 0; i < SPOOL_SLOTS; i++) {
        char name[32];

        slot_name(f, (enum extent_slot)i, name);
        (void)unlinkat(f->spool->dirfd, name, 0);
    }
}

int spool_file_remove_sidecar(struct spool_file *f, struct ou_error *err)
{
    char name[32];

    ou_mutex_assert_held(&f->io);
    ou_journal_close(&f->journal);
    (void)snprintf(name, sizeof(name), "%s" SPOOL_SIDECAR_SUFFIX, f->id);
    if (unlinkat(f->spool->dirfd, name, 0) < 0 && errno != ENOENT)
        return ou_error_set(err, errno, "remove %s", name);
    ou_mutex_lock(&f->lock);
    f->has_sidecar = false;
    ou_mutex_unlock(&f->lock);
    f->dir_synced = false;
    return 0;
}

/* All of it is in the bucket: from here on it is what spool_stage() makes. */
static void reset_to_base_locked(struct spool_file *f)
{
    for (int i = 0; i < SPOOL_SLOTS; i++) {
        if (f->fd[i] >= 0)
            (void)close(f->fd[i]);
        f->fd[i] = -1;
        extent_map_fini(&f->stored[i]);
    }
    extent_map_fini(&f->s.map);
    extent_map_fini(&f->s.changed);
    extent_map_fini(&f->s.unsynced);
    extent_map_fini(&f->live);
    extent_map_fini(&f->dirty);
    f->s.synced_version = 0;
    f->s.size = f->s.base_limit = f->s.base.size;
    f->size = f->base_limit = f->low = f->s.base.size;
    f->garbage = false;
    f->dir_synced = false;
}

bool spool_file_settle_down(struct spool_file *f)
{
    struct ou_error err = OU_ERROR_INIT;
    bool unlinked, idle;

    ou_mutex_assert_held(&f->io);
    ou_mutex_lock(&f->lock);
    unlinked = f->unlinked;
    idle = !unlinked && f->kept && !f->opens && !f->busy && !f->up && !f->poisoned &&
           !spool_file_pending_locked(f) && !spool_file_unstable_locked(f) && f->s.base.present &&
           !f->s.upload.key;
    if (idle) { /* in one step with the check: who opens it from here on reads the bucket */
        reset_to_base_locked(f);
        f->kept = false;
    }
    ou_mutex_unlock(&f->lock);
    if (unlinked)
        spool_file_finish_unlink(f);
    if (!idle)
        return false;

    /* The data first: a sidecar alone is told from a loss by its last record, published. */
    spool_file_remove_data(f);
    if (f->has_sidecar && spool_file_remove_sidecar(f, &err) < 0)
        ou_log_warn(OU_LOG_SPOOL, &err, "published file stays listed key=%s", f->s.key);
    spool_file_disk(f, 0);
    return true;
}

/* -- what is to be done -- */

bool spool_file_has_writers(struct spool_file *f)
{
    ou_lock_scope(&f->lock);
    return f->writers > 0;
}

bool spool_file_pending_locked(const struct spool_file *f)
{
    return !f->unlinked && spool_sidecar_pending(&f->s);
}

bool spool_file_awaits_writers_locked(const struct spool_file *f)
{
    if (!f->writers || f->publishable == f->s.version)
        return false;
    if (f->up)
        return !f->up->is_frozen;
    return !extent_map_has(&f->s.map, EXTENT_SENT, 0, UINT64_MAX); /* frozen from the start */
}

bool spool_file_unstable_locked(const struct spool_file *f)
{
    if (f->displaced) /* what is written to it is nobody's */
        return false;
    return f->dirty.count || f->low != f->s.size || f->size != f->s.size || f->live_base.present ||
           !spool_sidecar_exists(&f->s) || f->attr_number != f->s.attr_number;
}

uint64_t spool_file_next_attr_locked(const struct spool_file *f)
{
    uint64_t taken[] = {f->s.attr_number, f->s.attr_published, f->s.upload.attr, f->early.attr};
    uint64_t most = 0;

    for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++)
        most = taken[i] > most ? taken[i] : most;
    return most + 1;
}

/* When an upload of it may begin, or go on; 0: not for now. */
static uint64_t due_of_locked(const struct spool_file *f)
{
    const struct spool_config *c = &f->spool->config;
    bool free_now = !spool_file_awaits_writers_locked(f);
    uint64_t due = f->changed_ms + c->settle_ms;

    if (f->replaced && spool_sidecar_exists(&f->s))
        return 1;
    if (f->up && f->early.on)
        return spool_early_due_locked(f);
    if (f->up && f->gate_ms)
        return f->hurry ? 1 : f->gate_ms;
    if (f->up) /* its end plans again */
        return 0;
    if (spool_file_left_behind_locked(f)) /* before anybody else uploads to that key */
        return 1;
    if (!spool_file_pending_locked(f) || f->poisoned || f->held || !free_now ||
        spool_move_blocks_locked(f))
        return 0;
    if (f->retry_ms)
        return f->retry_ms;
    if (f->hurry)
        return 1;
    if (f->writers && f->open_publish_ms && due < f->open_publish_ms + c->open_flush_ms)
        return f->open_publish_ms + c->open_flush_ms;
    return due;
}

void spool_file_plan_locked(struct spool_file *f)
{
    ou_mutex_assert_held(&f->lock);
    spool_left_behind_note_locked(f);
    spool_timer_set(f, due_of_locked(f));
}

void spool_file_foreign_locked(struct spool_file *f)
{
    bool foreign =
        !f->unlinked && ((f->s.base.present && strcmp(f->s.base.key, f->s.key) != 0) ||
                         (f->live_base.present && strcmp(f->live_base.key, f->s.key) != 0));

    if (foreign == f->foreign)
        return;
    f->foreign = foreign;
    if (foreign)
        (void)atomic_fetch_add(&f->spool->foreign_bases, 1);
    else
        (void)atomic_fetch_sub(&f->spool->foreign_bases, 1);
}

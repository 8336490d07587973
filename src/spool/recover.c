/*
 * What an earlier run left: every ID.ckpt is replayed.
 *
 *   a stable version     goes on as if nothing had happened, under its name
 *   none (was open)      kept and listed, not uploaded, not shown
 *   all published        the crash came before it was removed: it is removed now
 *   unlinked             likewise, after what is left on the server was ended
 *   cannot be read, or its data is not there: left alone and listed
 *   data, no sidecar     left alone and listed
 *
 * Two sidecars of one key (a crash between the two steps of a rename over it): the one with the
 * higher sequence number is the file, the other was replaced. Only what has a stable version counts:
 * a file that was open does not replace one that was closed (replaced.c).
 */
#include "spool/file.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIDECAR_MAX ((size_t)1 << 30) /* bytes: far above what compaction lets it grow to */

bool spool_id_of(const char *name, const char *suffix, char id[SPOOL_ID_SIZE])
{
    size_t len = strspn(name, "0123456789abcdef");

    if (len != SPOOL_ID_SIZE - 1 || strcmp(name + len, suffix) != 0)
        return false;
    memcpy(id, name, len);
    id[len] = '\0';
    return true;
}

static int survey(const struct ou_json *line, void *ctx, struct ou_error *err)
{
    return spool_sidecar_survey(ctx, line, err);
}

struct replay {
    struct spool_sidecar *s;
    const struct spool_sidecar_trust *trust;
};

static int apply(const struct ou_json *line, void *ctx, struct ou_error *err)
{
    struct replay *p = ctx;

    return spool_sidecar_apply(p->s, line, p->trust, err);
}

/* Whether @line, without its LF, is whole: the sum is recomputed by sealing its body again. */
static bool is_sealed(const char *line, size_t len)
{
    static const char tail[] = ",\"sum\":\"0123456789abcdef\"}";
    const size_t tail_len = sizeof(tail) - 1;
    ou_auto(ou_buf_fini) struct ou_buf body = {0}, sealed = {0};
    struct ou_error err = OU_ERROR_INIT;

    if (len <= tail_len)
        return false;
    ou_buf_add(&body, line, len - tail_len);
    ou_buf_adds(&body, "}");
    return ou_buf_check(&body, &err) == 0 &&
           ou_journal_seal(&sealed, body.data, body.len, &err) == 0 && sealed.len == len + 1 &&
           !memcmp(sealed.data, line, len);
}

/*
 * A crash of the daemon leaves at most the beginning of one line, a power cut may leave rubbish
 * from the last sync on. Anything else that follows the last good line means that a line in the
 * middle was damaged: what comes before it is an older version, of which bytes may have been
 * overwritten since.
 */
static int check_tail(const struct ou_journal *j, bool power_was_cut, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf all = {0};
    const char *line, *lf;
    int r = ou_read_file(j->dirfd, j->name, SIDECAR_MAX, &all, err);

    if (r < 0)
        return r;
    if (all.len <= j->size)
        return 0;
    for (line = all.data + j->size; (lf = strchr(line, '\n')) != NULL; line = lf + 1) {
        if (!power_was_cut || is_sealed(line, (size_t)(lf - line)))
            return ou_error_say(err, EBADMSG, "%s is damaged at byte %" PRIu64, j->name, j->size);
    }
    return 0;
}

int spool_sidecar_load(int dirfd, const char *name, const char *boot, struct spool_sidecar *s,
                       struct ou_journal *journal, struct ou_error *err)
{
    struct spool_sidecar_trust trust = {0};
    struct replay p = {.s = s, .trust = &trust};
    struct ou_journal j = {.fd = -1};
    int r;

    (void)strncat(trust.boot, boot, sizeof(trust.boot) - 1);
    r = ou_journal_open(&j, dirfd, name, false, survey, &trust, err);
    ou_journal_close(&j);
    if (r == 0)
        r = ou_journal_open(&j, dirfd, name, false, apply, &p, err);
    if (r < 0)
        return r;
    r = check_tail(&j, trust.others, err);
    if (r == 0 && !s->begun)
        r = ou_error_say(err, EBADMSG, "%s has no beginning", name);
    if (journal && r == 0)
        *journal = j;
    else
        ou_journal_close(&j);
    return r;
}

static uint64_t size_of(int dirfd, const char *id, const char *suffix)
{
    ou_auto(ou_buf_fini) struct ou_buf name = {0};
    struct stat st;

    ou_buf_addf(&name, "%s%s", id, suffix);
    return fstatat(dirfd, ou_buf_str(&name), &st, AT_SYMLINK_NOFOLLOW) == 0 ? (uint64_t)st.st_size
                                                                            : 0;
}

bool spool_data_intact(int dirfd, const struct spool_sidecar *s)
{
    uint64_t size[2] = {size_of(dirfd, s->id, ".data"), size_of(dirfd, s->id, ".alt")};
    struct extent e;
    uint64_t at = 0;

    if (!spool_sidecar_pending(s)) /* it may have ended between their removal and the sidecar's */
        return true;
    while (extent_map_next(&s->map, at, &e)) {
        at = e.offset + e.size;
        if ((e.slot == EXTENT_A || e.slot == EXTENT_B) && at > size[e.slot])
            return false;
    }
    return true;
}

/* -- from a sidecar to a file -- */

/* The live version begins as the stable one. */
static int make_live(struct spool_file *f, struct ou_error *err)
{
    int r = extent_map_copy(&f->live, &f->s.map, err);

    if (r == 0)
        r = spool_attr_copy(&f->attr, &f->s.attr, err);
    for (int i = 0; r == 0 && i < SPOOL_SLOTS; i++) {
        uint64_t size = size_of(f->spool->dirfd, f->id, i ? ".alt" : ".data");

        if (size)
            r = extent_map_set(&f->stored[i], 0, size, EXTENT_A, err);
    }
    f->attr_number = f->s.attr_number;
    f->size = f->low = f->s.size;
    f->base_limit = f->s.base_limit;
    f->garbage = true; /* whatever was written after the stable point */
    return r;
}

static struct spool_file *adopt(struct spool *spool, struct spool_sidecar *s,
                                const struct ou_journal *journal, struct ou_error *err)
{
    struct spool_file *f = spool_file_new(spool, s->seq, s->key, err);

    if (!f)
        return NULL;
    spool_sidecar_fini(&f->s);
    f->s = *s;
    *s = (struct spool_sidecar){0};
    memcpy(f->id, f->s.id, sizeof(f->id));
    f->journal = *journal;
    f->journal_compact = f->journal.size;
    f->has_sidecar = true;
    f->journal_dirty = true;
    f->kept = true; /* the reference of spool_file_new() is the spool's */
    if (make_live(f, err) < 0) {
        spool_file_free(f);
        return NULL;
    }
    f->changed_ms = ou_now_ms();
    if (f->s.failed.errnum) /* a mount is a reason to try again */
        ou_log_info(OU_LOG_SPOOL, "parked file is tried again key=%s", f->s.key);
    return f;
}

static struct spool_file *named(struct spool *spool, const char *key)
{
    struct spool_node *n = spool_table_find(&spool->locked.files, key);

    return n ? spool_container(n, struct spool_file, node) : NULL;
}

/*
 * The file has lost its name (or never got it back). Ends what is left on the server: under a name
 * that another file has it is that file's, be it in the spool or published since.
 */
static void give_up(struct spool_file *f, bool replaced)
{
    ou_auto(ou_buf_fini) struct ou_buf line = {0};
    struct ou_error err = OU_ERROR_INIT;

    ou_mutex_lock(&f->io);
    f->s.replaced = f->s.replaced || replaced;
    /* The sidecar stays for a while: it must not pass for a file if nobody else is left to tell. */
    spool_record_unlinked(&line, f->s.replaced);
    if (f->s.upload.key && !f->s.unlinked && spool_file_record(f, &line, false, &err) < 0)
        ou_log_warn(OU_LOG_SPOOL, &err, "sidecar of a file without a name id=%s", f->id);
    if (f->s.upload.publishing && !f->s.replaced &&
        spool_deletes_add_at(f->spool, f->s.upload.key, NULL, f->s.seq, &err) < 0)
        ou_log_warn(OU_LOG_SPOOL, &err, "object may stay under a name that is gone key=%s",
                    f->s.upload.key);
    ou_mutex_lock(&f->lock);
    f->unlinked = true;
    f->s.unlinked = true;
    f->kept = false;
    spool_file_plan_locked(f); /* holds a reference while there is something to abort */
    ou_mutex_unlock(&f->lock);
    spool_file_remove_data(f);
    spool_file_finish_unlink(f);
    ou_mutex_unlock(&f->io);
    spool_file_unref(f);
}

static void insert(struct spool *spool, struct spool_file *f)
{
    struct spool_file *other = named(spool, f->s.key);

    if (other && other->s.seq > f->s.seq) {
        give_up(f, true);
        return;
    }
    if (other) {
        spool_table_remove(&spool->locked.files, &other->node);
        other->named = false;
        give_up(other, true);
    }
    spool_table_insert(&spool->locked.files, &f->node, f->s.key);
    f->named = true;
}

/* Written to, and never closed or fsynced since it was created or staged. */
bool spool_was_open(int dirfd, const struct spool_sidecar *s)
{
    if (s->unlinked || s->version || spool_sidecar_pending(s))
        return false;
    return !s->base.present || size_of(dirfd, s->id, ".data");
}

static bool is_fragment(const struct spool_sidecar *s)
{
    for (size_t i = 0; i < s->upload.part_count; i++) {
        if (s->upload.parts[i].released)
            return true;
    }
    return false;
}

/*
 * It was being written, and parts of it were sent already. The upload is ended; the bytes are kept
 * like those of any file that was open, unless some of them were in these parts only.
 */
static void end_upload_of_open(struct spool *spool, struct spool_sidecar *s,
                               struct ou_journal *journal)
{
    struct ou_error err = OU_ERROR_INIT;
    bool fragment = is_fragment(s);
    struct spool_file *f = adopt(spool, s, journal, &err);

    if (!f) {
        ou_log_warn(OU_LOG_SPOOL, &err, "upload of a file that was open is not ended id=%s", s->id);
        ou_journal_close(journal);
        spool_sidecar_fini(s);
        return;
    }
    spool_file_disk(f, 0);
    if (fragment) {
        ou_log(OU_LOG_SPOOL, OU_LOG_WARN,
               "fragment of a file that was larger than the spool, and never closed, is removed "
               "key=%s id=%s",
               f->s.key, f->id);
        give_up(f, false);
        return;
    }
    ou_log_info(OU_LOG_SPOOL, "file that was open is kept, not uploaded key=%s id=%s", f->s.key,
                f->id);
    ou_journal_close(&f->journal);
    ou_mutex_lock(&f->lock);
    f->abandoned = true;
    f->kept = false;
    spool_file_plan_locked(f); /* holds a reference until the upload has ended */
    ou_mutex_unlock(&f->lock);
    spool_file_unref(f);
}

/* It is all in the bucket, or its name is gone. */
static bool is_over(struct spool *spool, const struct spool_sidecar *s)
{
    bool dead = false;

    spool_deletes_settle(spool, s->key, s->seq, s->id, &dead);
    return dead || s->unlinked || !spool_sidecar_pending(s);
}

static void note_seq(struct spool *spool, uint64_t seq)
{
    if (seq >= atomic_load(&spool->seq))
        atomic_store(&spool->seq, seq + 1);
}

static void leave_alone(struct spool *spool, const char *name, const char *why)
{
    spool->locked.damaged++;
    ou_log(OU_LOG_SPOOL, OU_LOG_ERROR,
           "staged file is left alone, see ossfs-up spool list file=%s/%s reason=\"%s\"",
           spool->dir, name, why);
}

/* What was left out must not be met again: the next version will have its number. */
static int go_back(struct spool_file *f, struct ou_error *err)
{
    int r;

    ou_log(OU_LOG_SPOOL, OU_LOG_WARN,
           "power was cut before the last version reached the disk, the one before it goes on "
           "key=%s",
           f->s.key);
    f->s.doubtful = false;
    ou_mutex_lock(&f->io);
    r = spool_file_compact(f, true, err);
    ou_mutex_unlock(&f->io);
    return r;
}

static void recover_one(struct spool *spool, const char *name, const char *id)
{
    struct spool_sidecar s = {0};
    struct ou_journal journal = {.fd = -1};
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *f;
    bool doubtful;

    if (spool_sidecar_load(spool->dirfd, name, spool->boot, &s, &journal, &err) < 0) {
        leave_alone(spool, name, err.message);
        goto out;
    }
    note_seq(spool, s.seq);
    doubtful = s.doubtful;
    if (strcmp(s.id, id) != 0 || (doubtful && !spool_sidecar_exists(&s)) ||
        (!s.unlinked && !spool_data_intact(spool->dirfd, &s))) {
        leave_alone(spool, name, "its data did not survive");
        goto out;
    }
    if (spool_was_open(spool->dirfd, &s) && s.upload.key) {
        end_upload_of_open(spool, &s, &journal);
        return;
    }
    if (spool_was_open(spool->dirfd, &s)) {
        ou_log_info(OU_LOG_SPOOL, "file that was open is kept, not uploaded key=%s id=%s", s.key,
                    id);
        goto out;
    }
    f = adopt(spool, &s, &journal, &err);
    if (!f) {
        leave_alone(spool, name, err.message);
        goto out;
    }
    journal.fd = -1;
    spool_file_disk(f, 0);
    if (is_over(spool, &f->s)) {
        give_up(f, false);
        return;
    }
    if (doubtful && go_back(f, &err) < 0) {
        leave_alone(spool, name, err.message);
        spool_file_free(f);
        return;
    }
    ou_journal_close(&f->journal); /* thousands may wait: no descriptor each */
    insert(spool, f);
    return;
out:
    ou_journal_close(&journal);
    spool_sidecar_fini(&s);
}

/* -- the directory -- */

static bool has_sidecar(const struct spool *spool, const char *id)
{
    char name[SPOOL_ID_SIZE + sizeof(SPOOL_SIDECAR_SUFFIX)];

    (void)snprintf(name, sizeof(name), "%s" SPOOL_SIDECAR_SUFFIX, id);
    return faccessat(spool->dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void look_at(struct spool *spool, const char *name)
{
    char id[SPOOL_ID_SIZE];

    if (spool_id_of(name, SPOOL_SIDECAR_SUFFIX, id)) {
        note_seq(spool, strtoull(id, NULL, 16));
        recover_one(spool, name, id);
    } else if (spool_id_of(name, ".data", id) || spool_id_of(name, ".alt", id)) {
        note_seq(spool, strtoull(id, NULL, 16));
        if (!has_sidecar(spool, id)) {
            spool->locked.orphans++;
            ou_log(OU_LOG_SPOOL, OU_LOG_WARN, "data without a sidecar is left alone file=%s/%s",
                   spool->dir, name);
        }
    } else if (spool_id_of(name, SPOOL_SIDECAR_SUFFIX ".tmp", id)) {
        (void)unlinkat(spool->dirfd, name, 0); /* of a rewriting that did not end */
    }
}

static void plan_all(struct spool *spool)
{
    struct spool_node *n = NULL;

    while ((n = spool_table_next(&spool->locked.files, n)) != NULL) {
        struct spool_file *f = spool_container(n, struct spool_file, node);

        ou_mutex_lock(&f->lock);
        spool_file_foreign_locked(f);
        spool_file_plan_locked(f);
        ou_mutex_unlock(&f->lock);
    }
}

int spool_recover(struct spool *spool, struct ou_error *err)
{
    int fd = openat(spool->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *e;

    if (!dir) {
        int r = ou_error_set(err, errno, "read the spool %s", spool->dir);

        if (fd >= 0)
            (void)close(fd);
        return r;
    }
    while (errno = 0, (e = readdir(dir)) != NULL)
        look_at(spool, e->d_name);
    if (errno) {
        int r = ou_error_set(err, errno, "read the spool %s", spool->dir);

        (void)closedir(dir);
        return r;
    }
    (void)closedir(dir);
    plan_all(spool);
    return 0;
}

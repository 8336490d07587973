/*
 * A file's journal: records are appended first and applied then, by the code that replays them.
 * A file without a name writes none; its state changes all the same.
 */
#include "spool/file.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMPACT_SIZE   (UINT64_C(64) << 10) /* below it nothing is gained */
#define COMPACT_FACTOR 4u                   /* times the size after the last rewriting */

/* The next line of @lines from *@at on; records are separated by LF. */
static bool next_line(const struct ou_buf *lines, size_t *at, const char **line, size_t *len)
{
    const char *end;

    while (*at < lines->len && lines->data[*at] == '\n')
        ++*at;
    if (*at >= lines->len)
        return false;
    *line = lines->data + *at;
    end = memchr(*line, '\n', lines->len - *at);
    *len = end ? (size_t)(end - *line) : lines->len - *at;
    *at += *len;
    return true;
}

static int append_lines(struct spool_file *f, const struct ou_buf *lines, bool sync,
                        struct ou_error *err)
{
    uint64_t before = f->journal.size;
    const char *line;
    size_t at = 0, len;
    int r = 0;

    while (r == 0 && next_line(lines, &at, &line, &len))
        r = ou_journal_append(&f->journal, line, len, false, err);
    if (r == 0 && sync)
        r = ou_journal_sync(&f->journal, err);
    if (r < 0)
        f->journal.size = before; /* all of them or none: the next append cuts here */
    f->journal_dirty = !sync;
    return r;
}

/* Made by hand: ou_journal_open() would sync the directory, which is for fsync to do. */
static int create_sidecar(struct spool_file *f, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf head = {0};
    char name[32];
    int fd, r;

    (void)snprintf(name, sizeof(name), "%s" SPOOL_SIDECAR_SUFFIX, f->id);
    fd = openat(f->spool->dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return ou_error_set(err, errno, "create %s", name);
    (void)close(fd);
    spool_record_file(&head, &f->s);
    r = ou_buf_check(&head, err);
    if (r == 0)
        r = ou_journal_open(&f->journal, f->spool->dirfd, name, false, NULL, NULL, err);
    if (r == 0)
        r = append_lines(f, &head, false, err);
    if (r < 0) {
        ou_journal_close(&f->journal);
        (void)unlinkat(f->spool->dirfd, name, 0);
        return r;
    }
    ou_mutex_lock(&f->lock);
    f->has_sidecar = true;
    spool_file_keep_locked(f);
    ou_mutex_unlock(&f->lock);
    f->journal_compact = f->journal.size;
    return 0;
}

/* The descriptor may have been closed while the file was idle; what is known of it stays. */
static int open_sidecar(struct spool_file *f, struct ou_error *err)
{
    if (!f->has_sidecar)
        return create_sidecar(f, err);
    if (f->journal.fd >= 0)
        return 0;
    f->journal.fd = openat(f->spool->dirfd, f->journal.name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (f->journal.fd < 0)
        return ou_error_set(err, errno, "open %s", f->journal.name);
    return 0;
}

int spool_file_journal(struct spool_file *f, const struct ou_buf *lines, bool sync,
                       struct ou_error *err)
{
    int r;

    ou_mutex_assert_held(&f->io);
    r = ou_buf_check(lines, err);
    if (r < 0 || (f->unlinked && !f->has_sidecar))
        return r;
    r = open_sidecar(f, err);
    if (r == 0)
        r = append_lines(f, lines, sync, err);
    spool_file_rest(f);
    return r < 0 ? ou_error_prefix(err, "journal of %s", f->s.key) : 0;
}

int spool_file_apply_locked(struct spool_file *f, const struct ou_buf *lines, struct ou_error *err)
{
    const char *line;
    size_t at = 0, len;

    ou_mutex_assert_held(&f->lock);
    while (next_line(lines, &at, &line, &len)) {
        ou_auto(ou_json_free_at) struct ou_json *json = NULL;
        int r = ou_json_parse(line, len, &json, err);

        if (r == 0)
            r = spool_sidecar_apply(&f->s, json, NULL, err);
        if (r < 0) { /* of memory; what is on disk is right, what is in memory is not */
            f->poisoned = true;
            if (!f->poison_error.errnum)
                f->poison_error = *err;
            return r;
        }
    }
    spool_file_foreign_locked(f);
    return 0;
}

int spool_file_record(struct spool_file *f, const struct ou_buf *lines, bool sync,
                      struct ou_error *err)
{
    int r = spool_file_journal(f, lines, sync, err);

    if (r < 0)
        return r;
    ou_mutex_lock(&f->lock);
    r = spool_file_apply_locked(f, lines, err);
    ou_mutex_unlock(&f->lock);
    return r;
}

int spool_file_word(struct spool_file *f, const char *type, bool sync, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf line = {0};

    spool_record_word(&line, type);
    return spool_file_record(f, &line, sync, err);
}

/* @all as one buffer a line. Return: how many, or -ENOMEM; *@objects is the caller's either way. */
static ssize_t split_lines(const struct ou_buf *all, struct ou_buf **objects, struct ou_error *err)
{
    const char *line;
    size_t at = 0, len, count = 0;

    while (next_line(all, &at, &line, &len))
        count++;
    *objects = calloc(count + 1, sizeof(**objects));
    if (!*objects)
        return ou_error_set(err, ENOMEM, "rewrite a sidecar");
    count = 0;
    at = 0;
    while (next_line(all, &at, &line, &len))
        ou_buf_add(&(*objects)[count++], line, len);
    return (ssize_t)count;
}

static int rewrite(struct spool_file *f, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf all = {0};
    struct ou_buf *objects = NULL;
    ssize_t count;
    int r = spool_record_all(&all, &f->s, f->spool->boot, err);

    if (r == 0)
        r = open_sidecar(f, err);
    if (r < 0)
        return r;
    count = split_lines(&all, &objects, err);
    for (ssize_t i = 0; r == 0 && i < count; i++)
        r = ou_buf_check(&objects[i], err);
    if (r == 0)
        r = count < 0 ? (int)count : ou_journal_rewrite(&f->journal, objects, (size_t)count, err);
    for (ssize_t i = 0; i < count; i++)
        ou_buf_fini(&objects[i]);
    free(objects);
    return r;
}

/*
 * Rewriting forgets the last synced version, so it must not be needed: the stable version is
 * that one, or there is none.
 */
int spool_file_compact(struct spool_file *f, bool now, struct ou_error *err)
{
    int r;

    ou_mutex_assert_held(&f->io);
    if (!f->has_sidecar || (f->s.synced_version && f->s.synced_version != f->s.version) ||
        (!now &&
         (f->journal.size < COMPACT_SIZE || f->journal.size < COMPACT_FACTOR * f->journal_compact)))
        return 0;
    r = rewrite(f, err);
    f->journal_compact = f->journal.size; /* also after a failure: not at once again */
    if (r < 0)
        return r;
    f->dir_synced = true;
    f->journal_dirty = false;
    return 0;
}

void spool_file_tidy(struct spool_file *f)
{
    struct ou_error err = OU_ERROR_INIT;

    if (spool_file_compact(f, false, &err) < 0)
        ou_log_warn(OU_LOG_SPOOL, &err, "sidecar stays long key=%s", f->s.key);
}

/*
 * Told in fs/attrs_file.h and fs/attrs_file_impl.h: opening, and appending what is new.
 *
 * A thread appends in batches, a second after a record is new: the filesystem's lock is held for
 * a batch's serialising and never for its writing. From when it has been serialised until its
 * line is written the index says FS_ATTRS_WRITING: an older line is not to be read meanwhile.
 */
#include "fs/attrs_file.h"

#include "base/log.h"
#include "fs/attrs_file_impl.h"
#include "fs/attrs_record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH       256u
#define PAUSE_MS    1000u
#define LINES_SPARE 10000u /* superseded lines that are left alone */
#define YOUNG_S     3 /* a record reaches the disk within two seconds, the time is cut to one */

/* -- writing -- */

struct batch {
    struct ou_buf objects; /* NUL-separated */
    size_t count;
    struct {
        uint64_t hash, offset;
    } lines[BATCH];
};

static void take_batch(struct fs_attrs_file *f, struct batch *b)
{
    struct fs_attrs *attrs = &f->fs->tree.attrs;

    ou_buf_clear(&b->objects);
    ou_lock_scope(&f->fs->lock);
    for (b->count = 0; b->count < BATCH && attrs->unsaved.oldest; b->count++) {
        struct fs_record *record = attrs->unsaved.oldest;

        fs_record_write(&b->objects, record);
        ou_buf_add(&b->objects, "", 1);
        b->lines[b->count].hash = record->link.hash;
        fs_attrs_index_set(&attrs->disk, record->link.hash, FS_ATTRS_WRITING);
        fs_attrs_saved(attrs, record);
    }
}

/* Those that were written can be read from now on, unless they have been forgotten meanwhile. */
static void batch_written(struct fs_attrs_file *f, const struct batch *b, size_t written)
{
    struct fs_attrs_index *disk = &f->fs->tree.attrs.disk;

    ou_lock_scope(&f->fs->lock);
    for (size_t i = 0; i < b->count; i++) {
        uint64_t offset, hash = b->lines[i].hash;

        if (!fs_attrs_index_get(disk, hash, &offset) || offset != FS_ATTRS_WRITING)
            continue;
        if (i < written)
            fs_attrs_index_set(disk, hash, b->lines[i].offset);
        else
            fs_attrs_index_remove(disk, hash);
    }
}

static bool append(struct fs_attrs_file *f, const char *object)
{
    struct ou_error err;

    if (ou_journal_append(&f->journal, object, strlen(object), false, &err) == 0) {
        f->lines++;
        return true;
    }
    ou_log_warn(OU_LOG_FS, &err, "attributes are not kept for the next mount");
    return false;
}

static void append_new(struct fs_attrs_file *f)
{
    ou_autofree struct batch *b = calloc(1, sizeof(*b));
    struct ou_error err;
    size_t written;

    if (!b)
        return;
    do {
        const char *at;

        take_batch(f, b);
        at = ou_buf_str(&b->objects);
        written = 0;
        while (ou_buf_check(&b->objects, &err) == 0 && written < b->count) {
            b->lines[written].offset = f->journal.size;
            if (!append(f, at))
                break;
            at += strlen(at) + 1;
            written++;
        }
        batch_written(f, b, written);
    } while (written == BATCH);
    ou_buf_fini(&b->objects);
}

static void rewrite_if_due(struct fs_attrs_file *f)
{
    struct ou_error err;
    size_t count;

    {
        ou_lock_scope(&f->fs->lock);
        count = f->fs->tree.attrs.disk.count;
    }
    if (f->lines < f->rewrite_at ||
        (count <= f->fs->config.attrs_max && f->lines <= 2 * count + LINES_SPARE))
        return;
    if (fs_attrs_rewrite(f, &err) < 0)
        ou_log_warn(OU_LOG_FS, &err, "attribute cache is not made smaller");
    f->rewrite_at = f->lines + LINES_SPARE / 10;
}

static void *write_behind(void *arg)
{
    struct fs_attrs_file *f = arg;
    bool stopping = false;

    while (!stopping) {
        {
            ou_lock_scope(&f->lock);
            if (!f->stopping)
                (void)ou_cond_wait_until(&f->wake, &f->lock, ou_now_ms() + PAUSE_MS);
            stopping = f->stopping;
        }
        append_new(f);
        if (!stopping)
            rewrite_if_due(f);
    }
    (void)append(f, FS_ATTRS_ENDED);
    return NULL;
}

/* Not saved, they would be lost when they have to make room. If it is not asleep, it is at it. */
void fs_attrs_hurry_locked(struct fs *fs)
{
    if (fs->attrs_file && fs->tree.attrs.unsaved.count > FS_ATTRS_MAX / 2)
        (void)pthread_cond_signal(&fs->attrs_file->wake);
}

/* -- opening: nobody else knows the cache yet -- */

struct load {
    struct fs_attrs_file *file;
    bool ended; /* so says the last line */
    int64_t newest_s;
    struct ou_buf gone; /* lines to be written, NUL-separated */
    size_t gone_count;
};

static int take_line(const char *line, size_t len, uint64_t offset, void *ctx, struct ou_error *err)
{
    struct load *load = ctx;
    struct fs_attrs_index *disk = &load->file->fs->tree.attrs.disk;
    struct fs_attrs_line l = fs_attrs_line(line, len);

    (void)err;
    load->file->lines++;
    load->ended = l.what == FS_LINE_ENDED;
    if (l.what == FS_LINE_GONE)
        fs_attrs_index_remove(disk, l.hash);
    if (l.what != FS_LINE_RECORD)
        return 0;
    fs_attrs_index_set(disk, l.hash, offset);
    if (!l.implied && l.modified_s > load->newest_s)
        load->newest_s = l.modified_s;
    return 0;
}

/*
 * The mount was killed: the youngest are forgotten. OSS tells times by the second. A change of the
 * last seconds may be missing here, and the record before it may show the same ETag, size and time.
 */
static int distrust_line(const char *line, size_t len, uint64_t offset, void *ctx,
                         struct ou_error *err)
{
    struct load *load = ctx;
    struct fs_attrs_index *disk = &load->file->fs->tree.attrs.disk;
    struct fs_attrs_line l = fs_attrs_line(line, len);
    uint64_t last;

    (void)err;
    if (l.what != FS_LINE_RECORD || l.implied || !fs_attrs_index_get(disk, l.hash, &last) ||
        last != offset)
        return 0;
    if (l.modified_s != FS_MODIFIED_UNKNOWN && l.modified_s < load->newest_s - YOUNG_S)
        return 0;
    fs_attrs_index_remove(disk, l.hash);
    ou_buf_adds(&load->gone, "{\"k\":");
    ou_buf_add(&load->gone, line + strlen("{\"k\":"), l.key_len);
    ou_buf_adds(&load->gone, ",\"gone\":true}");
    ou_buf_add(&load->gone, "", 1);
    load->gone_count++;
    return 0;
}

static int distrust(struct load *load, struct ou_error *err)
{
    int r = ou_journal_lines(&load->file->journal, distrust_line, load, err);
    const char *at = ou_buf_str(&load->gone);

    if (r == 0)
        r = ou_buf_check(&load->gone, err);
    for (size_t i = 0; r == 0 && i < load->gone_count; i++, at += strlen(at) + 1)
        if (!append(load->file, at))
            break;
    return r;
}

static int load(struct fs_attrs_file *f, struct ou_error *err)
{
    struct load load = {.file = f, .ended = true, .newest_s = INT64_MIN};
    int r = ou_journal_open_lines(&f->journal, f->dirfd, FS_ATTRS_FILE_NAME, true, take_line, &load,
                                  err);

    if (r == 0 && !load.ended)
        r = distrust(&load, err);
    ou_buf_fini(&load.gone);
    if (r == 0)
        (void)append(f, FS_ATTRS_BEGUN);
    return r;
}

/* -- life -- */

int fs_attrs_file_open(struct fs *fs, const char *dir, struct fs_attrs_file **file,
                       struct ou_error *err)
{
    struct fs_attrs_file *f = calloc(1, sizeof(*f));
    int r;

    if (!f)
        return ou_error_set(err, ENOMEM, FS_ATTRS_FILE_NAME);
    f->fs = fs;
    f->journal.fd = -1;
    ou_mutex_init(&f->lock, OU_RANK_FS + 45);
    ou_cond_init(&f->wake);
    f->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = f->dirfd < 0 ? ou_error_set(err, errno, "%s", dir) : load(f, err);
    if (r == 0)
        r = ou_thread_start(&f->thread, "attrs", write_behind, f, err);
    if (r < 0) {
        fs_attrs_file_close(f);
        return r;
    }
    f->running = true;
    *file = f;
    return 0;
}

void fs_attrs_file_close(struct fs_attrs_file *f)
{
    if (!f)
        return;
    if (f->running) {
        {
            ou_lock_scope(&f->lock);
            f->stopping = true;
            (void)pthread_cond_signal(&f->wake);
        }
        (void)pthread_join(f->thread, NULL);
    }
    ou_journal_close(&f->journal);
    if (f->dirfd >= 0)
        (void)close(f->dirfd);
    (void)pthread_cond_destroy(&f->wake);
    ou_mutex_fini(&f->lock);
    free(f);
}

/*
 * Told in fs/attrs_file.h. A journal (base/journal.h) whose lines are records
 * (fs/attrs_record.h); a later line of a key supersedes earlier ones.
 *
 * A thread appends what is new, in batches, a second after it is: the filesystem's lock is held
 * for a batch's serialising and never for its writing. The file is rewritten at opening
 * when most of it is superseded.
 *
 * A line {"mount":"begun"} stands before the lines of a mount, {"mount":"ended"} behind them, if it
 * was not killed: then what it wrote last may be missing.
 */
#include "fs/attrs_file.h"

#include "base/file.h"
#include "base/journal.h"
#include "base/log.h"
#include "fs/attrs_record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_NAME   "attrs.cache"
#define MOUNT       "mount"
#define BEGUN       "{\"" MOUNT "\":\"begun\"}"
#define ENDED       "{\"" MOUNT "\":\"ended\"}"
#define BATCH       256u
#define PAUSE_MS    1000u
#define LINES_SPARE 10000u /* superseded lines that are left alone */

struct fs_attrs_file {
    struct fs *fs;
    int dirfd;
    struct ou_journal journal;
    size_t lines;
    bool ended; /* so says the last mount's last line */
    pthread_t thread;
    bool running;
    struct ou_mutex lock; /* rank OU_RANK_FS + 45 */
    pthread_cond_t wake;
    bool stopping; /* .lock */
};

static int take_line(const struct ou_json *line, void *ctx, struct ou_error *err)
{
    struct fs_attrs_file *f = ctx;

    const char *mount = ou_json_string(line, MOUNT);

    f->lines++;
    f->ended = mount && strcmp(mount, "ended") == 0;
    return mount ? 0 : fs_record_read(&f->fs->tree.attrs, line, err);
}

/* -- writing -- */

/* The next records that are not on disk, as NUL-separated objects. */
static void batch(struct fs_attrs_file *f, struct ou_buf *objects)
{
    struct fs_attrs *attrs = &f->fs->tree.attrs;

    ou_lock_scope(&f->fs->lock);
    for (size_t i = 0; i < BATCH && attrs->unsaved; i++) {
        fs_record_write(objects, attrs->unsaved);
        ou_buf_add(objects, "", 1);
        fs_attrs_saved(attrs->unsaved);
    }
}

static bool append(struct fs_attrs_file *f, const char *object)
{
    struct ou_error err;

    if (ou_journal_append(&f->journal, object, strlen(object), false, &err) == 0)
        return true;
    ou_log_warn(OU_LOG_FS, &err, "attributes are not kept for the next mount");
    return false;
}

static void append_new(struct fs_attrs_file *f)
{
    ou_auto(ou_buf_fini) struct ou_buf objects = {.data = NULL};
    struct ou_error err;

    for (;;) {
        const char *at, *end;

        ou_buf_clear(&objects);
        batch(f, &objects);
        if (ou_buf_check(&objects, &err) < 0 || objects.len == 0)
            return;
        end = objects.data + objects.len;
        for (at = objects.data; at < end; at += strlen(at) + 1)
            if (!append(f, at))
                return;
    }
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
    }
    (void)append(f, ENDED);
    return NULL;
}

/* Called before anybody else knows the cache. */
static int rewrite(struct fs_attrs_file *f, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf lines = {.data = NULL}, object = {.data = NULL};
    int r = 0;

    ou_journal_close(&f->journal);
    for (const struct fs_record *record = f->fs->tree.attrs.oldest; record && r == 0;
         record = record->newer) {
        ou_buf_clear(&object);
        fs_record_write(&object, record);
        r = ou_buf_check(&object, err);
        if (r == 0)
            r = ou_journal_seal(&lines, object.data, object.len, err);
    }
    if (r == 0)
        r = ou_buf_check(&lines, err);
    if (r == 0)
        r = ou_file_replace(f->dirfd, FILE_NAME, ou_buf_str(&lines), lines.len, err);
    return r < 0 ? r : ou_journal_open(&f->journal, f->dirfd, FILE_NAME, true, NULL, NULL, err);
}

/* -- life -- */

static int load(struct fs_attrs_file *f, struct ou_error *err)
{
    struct fs_attrs *attrs = &f->fs->tree.attrs;
    int r = ou_journal_open(&f->journal, f->dirfd, FILE_NAME, true, take_line, f, err);

    if (r == -EBADMSG) { /* not ours: nothing is lost but requests */
        ou_log_warn(OU_LOG_FS, err, "attribute cache begins anew");
        (void)unlinkat(f->dirfd, FILE_NAME, 0);
        r = ou_journal_open(&f->journal, f->dirfd, FILE_NAME, true, NULL, NULL, err);
    }
    while (attrs->unsaved)
        fs_attrs_saved(attrs->unsaved);
    if (!f->ended)
        fs_attrs_distrust(attrs);
    if (r == 0 && f->lines > 2 * attrs->table.count + LINES_SPARE)
        r = rewrite(f, err);
    if (r == 0)
        (void)append(f, BEGUN);
    return r;
}

int fs_attrs_file_open(struct fs *fs, const char *dir, struct fs_attrs_file **file,
                       struct ou_error *err)
{
    struct fs_attrs_file *f = calloc(1, sizeof(*f));
    int r;

    if (!f)
        return ou_error_set(err, ENOMEM, FILE_NAME);
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

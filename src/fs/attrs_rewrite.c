/*
 * Writing attrs.cache anew, told in fs/attrs_file_impl.h, while it is in use.
 *
 * By the thread that appends, so nothing is appended meanwhile. Lines are looked at in portions:
 * those that the index points to are copied, and an index of the copies is made, which takes the
 * place of the other in the end.
 */
#include "fs/attrs_file_impl.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TMP     FS_ATTRS_FILE_NAME ".tmp"
#define PORTION 1024u
#define SHARE   8u /* of too many, one of so many of the limit is dropped beyond it */

struct rewrite {
    struct fs_attrs_file *file;
    int fd;
    uint64_t size; /* of the new file */
    size_t lines;
    size_t drop; /* the oldest records: too many */
    struct fs_attrs_index index;
    struct ou_buf text; /* of the portion's lines */
    size_t count;
    struct {
        uint64_t hash, offset;
        size_t at, len; /* in .text */
        bool live;
    } portion[PORTION];
};

static int write_portion(struct rewrite *w, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf out = {.data = NULL};
    int r = ou_buf_check(&w->text, err);

    {
        ou_lock_scope(&w->file->fs->lock);
        for (size_t i = 0; i < w->count; i++) {
            uint64_t offset;

            w->portion[i].live =
                fs_attrs_index_get(&w->file->fs->tree.attrs.disk, w->portion[i].hash, &offset) &&
                offset == w->portion[i].offset;
        }
    }
    for (size_t i = 0; i < w->count; i++) {
        if (!w->portion[i].live)
            continue;
        if (w->drop > 0) {
            w->drop--;
            continue;
        }
        fs_attrs_index_set(&w->index, w->portion[i].hash, w->size + out.len);
        ou_buf_add(&out, w->text.data + w->portion[i].at, w->portion[i].len);
        w->lines++;
    }
    if (r == 0)
        r = ou_buf_check(&out, err);
    if (r == 0)
        r = ou_write_all(w->fd, ou_buf_str(&out), out.len, err);
    w->size += out.len;
    w->count = 0;
    ou_buf_clear(&w->text);
    return r;
}

static int take_line(const char *line, size_t len, uint64_t offset, void *ctx, struct ou_error *err)
{
    struct rewrite *w = ctx;
    struct fs_attrs_line l = fs_attrs_line(line, len);

    if (l.what != FS_LINE_RECORD)
        return 0;
    w->portion[w->count].hash = l.hash;
    w->portion[w->count].offset = offset;
    w->portion[w->count].at = w->text.len;
    w->portion[w->count].len = len + 1;
    w->count++;
    ou_buf_add(&w->text, line, len);
    ou_buf_add(&w->text, "\n", 1);
    return w->count == PORTION ? write_portion(w, err) : 0;
}

static int write_begun(struct rewrite *w, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf begun = {.data = NULL};
    int r = ou_journal_seal(&begun, FS_ATTRS_BEGUN, strlen(FS_ATTRS_BEGUN), err);

    if (r == 0)
        r = ou_write_all(w->fd, begun.data, begun.len, err);
    w->size = begun.len;
    w->lines = 1;
    return r;
}

static void begin(struct rewrite *w)
{
    struct fs *fs = w->file->fs;
    size_t max = fs->config.attrs_max;

    ou_lock_scope(&fs->lock);
    fs_attrs_index_watch(&fs->tree.attrs.disk);
    if (fs->tree.attrs.disk.count > max)
        w->drop = fs->tree.attrs.disk.count - max + max / SHARE;
}

static void give_up(struct rewrite *w)
{
    (void)close(w->fd);
    (void)unlinkat(w->file->dirfd, TMP, 0);
    ou_lock_scope(&w->file->fs->lock);
    fs_attrs_index_unwatch(&w->file->fs->tree.attrs.disk);
}

/* The new file has the name: it is the one that is read from now on. */
static void replace(struct rewrite *w)
{
    struct fs_attrs_file *f = w->file;
    struct fs_attrs_index *disk = &f->fs->tree.attrs.disk;

    ou_lock_scope(&f->fs->lock);
    ou_lock_scope(&f->lock);
    (void)close(f->journal.fd);
    f->journal.fd = w->fd;
    f->journal.size = w->size;
    f->lines = w->lines;
    w->fd = -1;
    if (!fs_attrs_index_replace(disk, &w->index))
        fs_attrs_index_fini(disk); /* of what is on disk nothing is known until the next mount */
}

static int copy_lines(struct rewrite *w, struct ou_error *err)
{
    int r = write_begun(w, err);

    if (r == 0)
        r = ou_journal_lines(&w->file->journal, take_line, w, err);
    if (r == 0)
        r = write_portion(w, err);
    if (r == 0 && renameat(w->file->dirfd, TMP, w->file->dirfd, FS_ATTRS_FILE_NAME) < 0)
        r = ou_error_set(err, errno, "rename %s", TMP);
    return r;
}

int fs_attrs_rewrite(struct fs_attrs_file *f, struct ou_error *err)
{
    ou_autofree struct rewrite *w = calloc(1, sizeof(*w));
    int r;

    if (!w)
        return ou_error_set(err, ENOMEM, "rewrite %s", FS_ATTRS_FILE_NAME);
    w->file = f;
    w->fd = openat(f->dirfd, TMP, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (w->fd < 0)
        return ou_error_set(err, errno, "create %s", TMP);
    begin(w);
    r = copy_lines(w, err);
    if (r == 0)
        replace(w);
    else
        give_up(w);
    fs_attrs_index_fini(&w->index);
    ou_buf_fini(&w->text);
    return r < 0 ? ou_error_prefix(err, "rewrite %s", FS_ATTRS_FILE_NAME) : 0;
}

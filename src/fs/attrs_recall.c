/*
 * Reading records back from attrs.cache, told in fs/attrs_file.h.
 *
 * Where they lie is looked up with the filesystem's lock, they are read without it, and what was
 * read counts if the index still says the same. The file may have been written anew in between:
 * then another line, or none, is where it was.
 */
#include "base/file.h"
#include "fs/attrs_file_impl.h"
#include "fs/attrs_record.h"
#include "fs/names.h"

#include <stdlib.h>
#include <string.h>

#define PORTION 64u

struct wanted {
    char *key;
    uint64_t hash, offset;
    struct ou_json *line;
};

static uint64_t hash_of(const char *key)
{
    return fs_hash(key, strlen(key), 0);
}

/* Only those are left that are on disk and not in memory. */
static size_t look_up(struct fs *fs, struct wanted *w, size_t count)
{
    size_t left = 0;

    ou_lock_scope(&fs->lock);
    for (size_t i = 0; i < count; i++) {
        w[i].hash = hash_of(w[i].key);
        if (fs_attrs_on_disk(&fs->tree.attrs, w[i].key) &&
            fs_attrs_index_get(&fs->tree.attrs.disk, w[i].hash, &w[i].offset))
            w[left++] = w[i];
        else
            free(w[i].key);
    }
    return left;
}

static void read_lines(struct fs_attrs_file *f, struct wanted *w, size_t count)
{
    struct ou_error err;

    ou_lock_scope(&f->lock);
    for (size_t i = 0; i < count; i++)
        if (ou_journal_read(&f->journal, w[i].offset, &w[i].line, &err) < 0)
            w[i].line = NULL;
}

static bool is_of(const struct ou_json *line, const char *key)
{
    size_t len;
    ou_autofree char *told = line ? ou_json_bytes(line, "k", &len) : NULL;

    return told && strcmp(told, key) == 0;
}

static void take_in_locked(struct fs *fs, const struct wanted *w)
{
    struct fs_attrs *attrs = &fs->tree.attrs;
    struct fs_record *record;
    struct ou_error err;
    uint64_t offset;

    if (!fs_attrs_on_disk(attrs, w->key) || !fs_attrs_index_get(&attrs->disk, w->hash, &offset) ||
        offset != w->offset)
        return;
    if (is_of(w->line, w->key) && fs_record_read(attrs, w->line, &err) == 0 &&
        (record = fs_attrs_get(attrs, w->key)) != NULL)
        fs_attrs_saved(attrs, record);
    else
        fs_attrs_index_remove(&attrs->disk, w->hash); /* of another key, or damaged */
}

/* Takes the keys. */
static void recall(struct fs *fs, struct wanted *w, size_t count)
{
    count = look_up(fs, w, count);
    if (count == 0)
        return;
    read_lines(fs->attrs_file, w, count);
    {
        ou_lock_scope(&fs->lock);
        for (size_t i = 0; i < count; i++)
            take_in_locked(fs, &w[i]);
    }
    for (size_t i = 0; i < count; i++) {
        ou_json_free(w[i].line);
        free(w[i].key);
    }
}

void fs_attrs_recall(struct fs *fs, const char *key)
{
    struct wanted w = {.key = strdup(key)};

    if (w.key && fs->attrs_file)
        recall(fs, &w, 1);
    else
        free(w.key);
}

void fs_attrs_recall_page(struct fs *fs, const char *dir_key, const struct fs_segment *segment)
{
    for (size_t at = 0; fs->attrs_file && at < segment->count;) {
        struct wanted w[PORTION] = {{.key = NULL}};
        size_t count = 0;

        for (; at < segment->count && count < PORTION; at++) {
            w[count].key = fs_key_join(dir_key, segment->entries[at].position, false);
            if (w[count].key)
                count++;
        }
        recall(fs, w, count);
    }
}

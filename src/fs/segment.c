/* Segments: the answer of one LIST request, kept as a sorted array. Told in fs/listing.h. */
#include "fs/listing.h"

#include "base/cleanup.h"
#include "fs/names.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void segment_free(struct fs_segment *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->entries[i].position);
    free(s->entries);
    free(s->after);
    free(s->prefix);
    free(s->last);
    free(s);
}

struct fs_segment *fs_segment_ref(struct fs_segment *s)
{
    s->refs++;
    return s;
}

void fs_segment_unref(struct fs_segment *s)
{
    if (s && --s->refs == 0)
        segment_free(s);
}

/* Names no path can express do not become entries; see design section 6. */
static bool position_shown(const char *position)
{
    size_t len = strlen(position);

    if (len == 0)
        return true; /* the directory's own marker */
    if (position[len - 1] == '/')
        len--;
    return fs_name_shown(position, len);
}

static int take_entries(struct fs_segment *s, const struct oss_list_page *page, size_t dir_len,
                        const char *after)
{
    for (size_t i = 0; i < page->count; i++) {
        const struct oss_list_entry *entry = &page->entries[i];
        const char *position = entry->key + (entry->key_len < dir_len ? entry->key_len : dir_len);
        struct fs_entry *e = &s->entries[s->count];

        if (after && strcmp(position, after) <= 0)
            continue; /* a group that start_after lies in may be told once more */
        if (!position_shown(position)) {
            s->hidden++;
            continue;
        }
        e->position = strdup(position);
        if (!e->position)
            return -ENOMEM;
        if (!entry->is_prefix)
            e->version = fs_version_of_entry(entry);
        s->count++;
    }
    return 0;
}

static int take_range(struct fs_segment *s, const struct oss_list_page *page, size_t dir_len,
                      const char *after, const char *prefix)
{
    s->from_start = !after && !prefix;
    if (after) {
        s->after = strdup(after);
        if (!s->after)
            return -ENOMEM;
    }
    if (prefix) {
        s->prefix = strdup(prefix);
        if (!s->prefix)
            return -ENOMEM;
    }
    if (page->truncated) {
        const char *last = page->count ? page->entries[page->count - 1].key + dir_len : "";

        s->last = strdup(page->count || !after ? last : after);
        if (!s->last)
            return -ENOMEM;
    }
    return 0;
}

/* Objects that a directory of the same name hides. */
static void count_hidden(struct fs_segment *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const char *position = s->entries[i].position;
        char name[FS_NAME_MAX + 1];
        size_t len = strlen(position);

        if (len < 2 || position[len - 1] != '/')
            continue;
        memcpy(name, position, len - 1); /* shown, so it fits */
        name[len - 1] = '\0';
        if (fs_segment_at(s, name))
            s->hidden++;
    }
}

struct fs_segment *fs_segment_new(const struct oss_list_page *page, const char *dir_key,
                                  const char *after, const char *prefix, uint64_t begun_ms,
                                  uint64_t until_ms, struct ou_error *err)
{
    size_t dir_len = strlen(dir_key);
    struct fs_segment *s = calloc(1, sizeof(*s));

    if (s) {
        s->refs = 1;
        s->begun_ms = begun_ms;
        s->until_ms = until_ms;
        s->entries = calloc(page->count ? page->count : 1, sizeof(*s->entries));
    }
    if (!s || !s->entries || take_range(s, page, dir_len, after, prefix) < 0 ||
        take_entries(s, page, dir_len, after) < 0) {
        if (s)
            segment_free(s);
        (void)ou_error_set(err, ENOMEM, "listing of %s", dir_key);
        return NULL;
    }
    count_hidden(s);
    return s;
}

bool fs_segment_covers(const struct fs_segment *s, const char *position)
{
    if (s->prefix && strncmp(position, s->prefix, strlen(s->prefix)) != 0)
        return false;
    if (s->after && strcmp(position, s->after) <= 0)
        return false;
    return !s->last || strcmp(position, s->last) <= 0;
}

size_t fs_segment_find(const struct fs_segment *s, const char *position)
{
    size_t low = 0, high = s->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(s->entries[middle].position, position) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct fs_entry *fs_segment_at(const struct fs_segment *s, const char *position)
{
    size_t i = fs_segment_find(s, position);

    return i < s->count && strcmp(s->entries[i].position, position) == 0 ? &s->entries[i] : NULL;
}

bool fs_segment_trusted(const struct fs_segment *s, uint64_t now_ms, uint64_t since_ms)
{
    return now_ms < s->until_ms || s->begun_ms >= since_ms;
}

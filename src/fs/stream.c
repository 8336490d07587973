/*
 * Told in fs/stream.h: a stream's life, and its entries from the pages that are held.
 *
 * An entry is told if its name is there now, whatever the page said when it was loaded.
 */
#include "fs/stream_impl.h"

#include "fs/resolve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- life -- */

void fs_stream_forget_told_locked(struct fs_stream *s)
{
    for (size_t i = 0; i < s->told_count; i++)
        free(s->told[i]);
    free(s->told);
    s->told = NULL;
    s->told_count = 0;
}

static void reset(struct fs_stream *s)
{
    fs_stream_forget_pages_locked(s);
    fs_stream_forget_told_locked(s);
    s->read = false;
    s->highest = s->wanted = 0;
    s->epoch++;
}

void fs_stream_rewind_locked(struct fs_stream *s)
{
    if (s->read)
        reset(s);
}

int fs_stream_open(struct fs *fs, uint64_t dir_id, struct fs_stream **stream, struct ou_error *err)
{
    struct fs_inode *dir;
    struct fs_stream *s;
    int r = fs_inode_get(fs, dir_id, &dir, err);

    if (r < 0)
        return r;
    s = dir->dir ? calloc(1, sizeof(*s)) : NULL;
    if (s)
        s->cancel = ou_cancel_new();
    if (!s || !s->cancel) {
        r = ou_error_set(err, dir->dir ? ENOMEM : ENOTDIR, "opendir");
        fs_unuse(fs, dir);
        free(s);
        return r;
    }
    s->dir = dir;
    s->refs = 1;
    (void)snprintf(s->flight, sizeof(s->flight), "D %p", (void *)s);
    ou_lock_scope(&fs->lock);
    fs->open_dirs++;
    s->next = fs->streams;
    s->prev = &fs->streams;
    if (s->next)
        s->next->prev = &s->next;
    fs->streams = s;
    *stream = s;
    return 0;
}

void fs_stream_unref(struct fs *fs, struct fs_stream *s)
{
    {
        ou_lock_scope(&fs->lock);
        if (--s->refs)
            return;
        reset(s);
        fs->open_dirs--;
        fs_inode_unuse(&fs->tree, s->dir);
    }
    ou_cancel_unref(s->cancel);
    free(s);
}

void fs_stream_close(struct fs *fs, struct fs_stream *s)
{
    {
        ou_lock_scope(&fs->lock);
        s->closed = true;
        fs_remover_closed_locked(fs, s);
        *s->prev = s->next;
        if (s->next)
            s->next->prev = s->prev;
    }
    ou_cancel_trigger(s->cancel);
    fs_stream_unref(fs, s);
}

void fs_streams_end(struct fs *fs)
{
    for (;;) {
        struct fs_stream *s;

        {
            ou_lock_scope(&fs->lock);
            s = fs->streams;
        }
        if (!s)
            return;
        fs_stream_close(fs, s);
    }
}

struct fs_inode *fs_stream_dir(const struct fs_stream *s)
{
    return s->dir;
}

/* -- entries -- */

static bool told_before(const struct fs_stream *s, const char *name)
{
    for (size_t i = 0; i < s->told_count; i++)
        if (strcmp(s->told[i], name) == 0)
            return true;
    return false;
}

/* An object's name was told while "name/" lies beyond the page: not to be told again there. */
static void remember_told(struct fs_stream *s, const struct fs_stream_page *p, const char *name)
{
    char below[FS_NAME_MAX + 2];
    char **grown;
    size_t kept = 0;

    (void)snprintf(below, sizeof(below), "%s/", name);
    if (p->end || !p->last || strcmp(below, p->last) <= 0 || told_before(s, name))
        return;
    for (size_t i = 0; i < s->told_count; i++) { /* those whose directory was passed by now go */
        char passed[FS_NAME_MAX + 2];

        (void)snprintf(passed, sizeof(passed), "%s/", s->told[i]);
        if (p->count && strcmp(passed, p->items[0].position) < 0)
            free(s->told[i]);
        else
            s->told[kept++] = s->told[i];
    }
    s->told_count = kept;
    grown = realloc(s->told, (kept + 1) * sizeof(*grown));
    if (!grown)
        return;
    s->told = grown;
    s->told[kept] = strdup(name);
    s->told_count += s->told[kept] != NULL;
}

static bool page_holds(const struct fs_stream_page *p, const char *position)
{
    size_t low = 0, high = p->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(p->items[middle].position, position);

        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* Is it there, and is this the place to tell it? */
static bool tell_locked(struct fs *fs, struct fs_stream *s, const struct fs_stream_page *p,
                        const struct fs_stream_item *item, const char *name, bool is_dir)
{
    struct fs_listing *l = &s->dir->dir->listing;
    struct fs_inode *child = fs_inode_child(&fs->tree, s->dir, name);
    struct fs_change *change = fs_listing_changed(l, name);
    bool remote = item->version || fs_segment_at(p->segment, item->position);
    char below[FS_NAME_MAX + 2];

    if (child && child->pins)
        return (child->dir != NULL) == is_dir;
    if (is_dir && told_before(s, name))
        return false;
    if (change && change->state == FS_ABSENT && change->changed_ms >= p->segment->begun_ms)
        return false;
    if (!remote && (!change || change->state != (is_dir ? FS_DIR : FS_FILE)))
        return false; /* it was staged when reading began */
    if (is_dir)
        return true;
    (void)snprintf(below, sizeof(below), "%s/", name);
    return !page_holds(p, below); /* the directory hides the object */
}

static int entry_locked(struct fs *fs, struct fs_stream *s, const struct fs_stream_page *p,
                        uint64_t place, struct fs_name *out)
{
    const struct fs_stream_item *item = &p->items[place - p->first];
    size_t len = strlen(item->position);
    bool is_dir = item->position[len - 1] == '/';

    len -= is_dir;
    if (len > FS_NAME_MAX)
        return 0;
    *out = (struct fs_name){
        .is_dir = is_dir,
        .version = item->version,
        .until_ms = p->segment->until_ms,
        .begun_ms = p->segment->begun_ms,
        .cookie = place + FS_COOKIE_FIRST,
    };
    memcpy(out->name, item->position, len);
    if (!tell_locked(fs, s, p, item, out->name, is_dir))
        return 0;
    fs_remover_told_locked(fs, s, out->name, is_dir);
    if (!is_dir)
        remember_told(s, p, out->name);
    return 1;
}

int fs_stream_next_locked(struct fs *fs, struct fs_stream *s, uint64_t cookie, struct fs_name *out)
{
    uint64_t place = cookie < FS_COOKIE_FIRST ? 0 : cookie - FS_COOKIE_FIRST + 1;

    for (;;) {
        const struct fs_stream_page *p = NULL;

        for (size_t i = 0; i < s->page_count; i++)
            if (place >= s->pages[i].first && place < s->pages[i].first + s->pages[i].count)
                p = &s->pages[i];
        if (!p) {
            const struct fs_stream_page *last = fs_stream_newest_locked(s);

            if (last && last->end && place >= last->first + last->count)
                return 0;
            s->wanted = place;
            return FS_STREAM_LOAD;
        }
        s->read = true;
        if (place > s->highest)
            s->highest = place;
        fs_stream_load_ahead_locked(fs, s);
        if (entry_locked(fs, s, p, place, out))
            return 1;
        place++;
    }
}

/*
 * Told in fs/stream.h.
 *
 * .pages is a ring of what is held, oldest first, each page following the one before without
 * a gap. .marks remembers where each page of the whole directory began. .locals is what was
 * staged when reading began, sorted; a name that is staged later is told by its page if it is
 * published by then, and not otherwise.
 */
#include "fs/stream.h"

#include "fs/fetch.h"
#include "fs/names.h"
#include "fs/resolve.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGES_HELD 4u

struct item {
    const char *position; /* of .segment's, or of a local */
    const struct fs_version *version;
};

struct page {
    struct fs_segment *segment;
    struct item *items;
    size_t count;
    uint64_t first; /* place of items[0] in the directory */
    bool end;
    char *token; /* of the next page; NULL: by .last */
    char *last;  /* position that it reaches; NULL at the end */
};

struct mark {
    uint64_t first;
    char *after; /* NULL: from the start */
};

struct fs_stream {
    struct fs_inode *dir; /* in use */
    char flight[32];
    struct ou_cancel *cancel;       /* ends a prefetch */
    struct fs_stream *next, **prev; /* filesystem's lock, all below; fs->streams, till closed */
    unsigned refs;
    bool closed;
    bool started;   /* .locals have been taken */
    bool read;      /* an entry has been told */
    unsigned epoch; /* counts rewinds: a load that began before one is thrown away */
    char **locals;
    size_t local_count;
    struct page pages[PAGES_HELD];
    size_t page_count;
    struct mark *marks;
    size_t mark_count, mark_room;
    uint64_t wanted; /* place that a load is for */
    char **told;     /* names of objects told whose directory may still come */
    size_t told_count;
    uint64_t highest; /* place of the furthest entry asked for */
};

/* -- life -- */

static void page_fini(struct page *p)
{
    fs_segment_unref(p->segment);
    free(p->items);
    free(p->token);
    free(p->last);
    *p = (struct page){.segment = NULL};
}

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

static void drop_pages(struct fs_stream *s)
{
    for (size_t i = 0; i < s->page_count; i++)
        page_fini(&s->pages[i]);
    s->page_count = 0;
}

static void forget_told(struct fs_stream *s)
{
    free_names(s->told, s->told_count);
    s->told = NULL;
    s->told_count = 0;
}

static void reset(struct fs_stream *s)
{
    drop_pages(s);
    forget_told(s);
    for (size_t i = 0; i < s->mark_count; i++)
        free(s->marks[i].after);
    s->mark_count = 0;
    free_names(s->locals, s->local_count);
    s->locals = NULL;
    s->local_count = 0;
    s->started = s->read = false;
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

static void stream_unref(struct fs *fs, struct fs_stream *s)
{
    {
        ou_lock_scope(&fs->lock);
        if (--s->refs)
            return;
        reset(s);
        fs->open_dirs--;
        fs_inode_unuse(&fs->tree, s->dir);
    }
    free(s->marks);
    ou_cancel_unref(s->cancel);
    free(s);
}

void fs_stream_close(struct fs *fs, struct fs_stream *s)
{
    {
        ou_lock_scope(&fs->lock);
        s->closed = true;
        *s->prev = s->next;
        if (s->next)
            s->next->prev = s->prev;
    }
    ou_cancel_trigger(s->cancel);
    stream_unref(fs, s);
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

/* -- what is here -- */

static int by_position(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_local(struct fs_stream *s, size_t *room, const char *name, bool is_dir)
{
    if (s->local_count == *room) {
        size_t more = *room ? 2 * *room : 16;
        char **grown = realloc(s->locals, more * sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        s->locals = grown;
        *room = more;
    }
    s->locals[s->local_count] = fs_key_join("", name, is_dir);
    return s->locals[s->local_count] ? (s->local_count++, 0) : -ENOMEM;
}

static int take_locals_locked(struct fs_stream *s)
{
    size_t room = 0, kept = 0;

    for (struct fs_inode *i = s->dir->children; i; i = i->sibling)
        if (i->pins && add_local(s, &room, i->name, i->dir != NULL) < 0)
            return -ENOMEM;
    for (struct fs_change *c = s->dir->dir->listing.oldest_change; c; c = c->newer)
        if (c->state != FS_ABSENT && add_local(s, &room, c->name, c->state == FS_DIR) < 0)
            return -ENOMEM;
    if (s->local_count)
        qsort(s->locals, s->local_count, sizeof(*s->locals), by_position);
    for (size_t i = 0; i < s->local_count; i++) {
        if (kept && strcmp(s->locals[kept - 1], s->locals[i]) == 0)
            free(s->locals[i]);
        else
            s->locals[kept++] = s->locals[i];
    }
    s->local_count = kept;
    s->started = true;
    return 0;
}

/* The first local behind @after (NULL: from the start). */
static size_t local_after(const struct fs_stream *s, const char *after)
{
    size_t low = 0, high = s->local_count;

    while (after && low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(s->locals[middle], after) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* -- pages -- */

static int mark_page(struct fs_stream *s, uint64_t first, const char *after)
{
    struct mark m = {.first = first};

    if (s->mark_count && s->marks[s->mark_count - 1].first >= first)
        return 0; /* read again after going back */
    if (s->mark_count == s->mark_room) {
        size_t room = s->mark_room ? 2 * s->mark_room : 16;
        struct mark *grown = realloc(s->marks, room * sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        s->marks = grown;
        s->mark_room = room;
    }
    if (after) {
        m.after = strdup(after);
        if (!m.after)
            return -ENOMEM;
    }
    s->marks[s->mark_count++] = m;
    return 0;
}

/* Items of @segment and locals behind @after, up to what the segment reaches. */
static int merge(const struct fs_stream *s, const struct fs_segment *segment, const char *after,
                 struct page *p)
{
    size_t l = local_after(s, after), r = after ? fs_segment_find(segment, after) : 0;
    size_t room = segment->count + (s->local_count - l);

    p->items = calloc(room ? room : 1, sizeof(*p->items));
    if (!p->items)
        return -ENOMEM;
    while (r < segment->count && (segment->entries[r].position[0] == '\0' ||
                                  (after && strcmp(segment->entries[r].position, after) <= 0)))
        r++; /* the marker is no name */
    for (;;) {
        const char *remote = r < segment->count ? segment->entries[r].position : NULL;
        const char *local = l < s->local_count ? s->locals[l] : NULL;
        int order;

        if (local && segment->last && strcmp(local, segment->last) > 0)
            local = NULL;
        if (!remote && !local)
            return 0;
        order = !remote ? 1 : !local ? -1 : strcmp(remote, local);
        if (order <= 0) {
            bool is_object = remote[strlen(remote) - 1] != '/';

            p->items[p->count++] = (struct item){
                .position = remote,
                .version = is_object ? &segment->entries[r].version : NULL,
            };
            r++;
            l += order == 0;
        } else {
            p->items[p->count++] = (struct item){.position = local};
            l++;
        }
    }
}

static const struct page *newest(const struct fs_stream *s)
{
    return s->page_count ? &s->pages[s->page_count - 1] : NULL;
}

/* Takes over a reference of @segment, and @token. */
static int append_locked(struct fs_stream *s, struct fs_segment *segment, char *token,
                         const char *after, uint64_t first)
{
    struct page p = {.segment = segment, .token = token, .first = first, .end = !segment->last};
    const struct page *before = newest(s);

    if (before && (!after || !before->last || strcmp(before->last, after) != 0)) {
        page_fini(&p); /* another load was quicker */
        return 0;
    }
    if (segment->last)
        p.last = strdup(segment->last);
    if ((segment->last && !p.last) || mark_page(s, first, after) < 0 ||
        merge(s, segment, after, &p) < 0) {
        page_fini(&p);
        return -ENOMEM;
    }
    if (s->page_count == PAGES_HELD) {
        page_fini(&s->pages[0]);
        memmove(&s->pages[0], &s->pages[1], (PAGES_HELD - 1) * sizeof(s->pages[0]));
        s->page_count--;
    }
    s->pages[s->page_count++] = p;
    return 0;
}

/* Where to go on loading, so that place .wanted will be reached. */
static void next_load_locked(struct fs_stream *s, const char **after, const char **token,
                             uint64_t *first)
{
    const struct page *last = newest(s);

    if (last && s->wanted < s->pages[0].first) { /* far back: begin at the mark before it */
        drop_pages(s);
        forget_told(s);
        last = NULL;
    }
    *after = *token = NULL;
    *first = 0;
    if (last) {
        *after = last->last;
        *token = last->token;
        *first = last->first + last->count;
        return;
    }
    for (size_t i = 0; i < s->mark_count && s->marks[i].first <= s->wanted; i++) {
        *after = s->marks[i].after;
        *first = s->marks[i].first;
    }
}

/* A segment that is still trusted and holds what follows @after. */
static struct fs_segment *cached_locked(const struct fs_stream *s, const char *after)
{
    const struct fs_listing *l = &s->dir->dir->listing;
    uint64_t now_ms = ou_now_ms();

    for (struct fs_segment *g = l->segments; g; g = g->next) {
        if (g->prefix || !fs_segment_trusted(g, now_ms, UINT64_MAX))
            continue;
        if (after ? (g->from_start || strcmp(g->after, after) <= 0) &&
                        (!g->last || strcmp(g->last, after) > 0)
                  : g->from_start)
            return fs_segment_ref(g);
    }
    return NULL;
}

/* A directory that has never been in the bucket, or is complete by our own changes. */
static struct fs_segment *born_locked(const struct fs_stream *s)
{
    const struct fs_listing *l = &s->dir->dir->listing;
    const struct oss_list_page empty = {.entries = NULL};
    struct ou_error err;

    if (!l->born || ou_now_ms() >= l->born_until_ms)
        return NULL;
    return fs_segment_new(&empty, "", NULL, NULL, ou_now_ms(), l->born_until_ms, &err);
}

static int load(struct fs *fs, struct fs_stream *s, const struct fs_call *call,
                struct ou_error *err)
{
    ou_autofree char *after = NULL, *token = NULL;
    struct fs_segment *segment;
    char *next = NULL;
    uint64_t first;
    unsigned epoch;
    int r = 0;

    {
        const char *a, *t;

        ou_lock_scope(&fs->lock);
        if (!s->started && take_locals_locked(s) < 0)
            return ou_error_set(err, ENOMEM, "readdir");
        next_load_locked(s, &a, &t, &first);
        after = a ? strdup(a) : NULL;
        token = t ? strdup(t) : NULL;
        if ((a && !after) || (t && !token))
            return ou_error_set(err, ENOMEM, "readdir");
        epoch = s->epoch;
        segment = a ? NULL : born_locked(s);
        if (!segment)
            segment = cached_locked(s, after);
    }
    if (!segment) {
        if (!call->may_wait)
            return FS_MUST_WAIT;
        r = fs_fetch_page(fs, s->dir, after, token, call, &segment, &next, err);
    }
    if (r < 0)
        return r;
    ou_lock_scope(&fs->lock);
    if (epoch != s->epoch) {
        fs_segment_unref(segment);
        free(next);
        return 0;
    }
    return append_locked(s, segment, next, after, first) < 0 ? ou_error_set(err, ENOMEM, "readdir")
                                                             : 0;
}

int fs_stream_load(struct fs *fs, struct fs_stream *s, const struct fs_call *call,
                   struct ou_error *err)
{
    int r;

    if (!call->may_wait) /* a prefetch may be at it; with what is known nobody has to wait */
        return load(fs, s, call, err);
    {
        ou_lock_scope(&fs->lock);
        r = fs_flight_begin(&fs->flights, &fs->lock, s->flight, call->deadline_ms, call->cancel,
                            err);
    }
    if (r <= 0)
        return r;
    r = load(fs, s, call, err);
    {
        ou_lock_scope(&fs->lock);
        fs_flight_land(&fs->flights, s->flight);
    }
    return r;
}

/* -- the next page in flight -- */

struct ahead {
    struct fs_task task;
    struct fs *fs;
    struct fs_stream *stream;
};

static void load_ahead(struct fs_task *task)
{
    struct ahead *a = fs_container(task, struct ahead, task);
    struct fs_call call = fs_call_own(a->fs);
    struct ou_error err = OU_ERROR_INIT;
    bool fly, closed;

    call.cancel = a->stream->cancel;
    {
        ou_lock_scope(&a->fs->lock);
        fly = fs_flight_take_off(&a->fs->flights, a->stream->flight);
        closed = a->stream->closed;
    }
    if (fly) {
        if (!closed)
            (void)load(a->fs, a->stream, &call, &err); /* whoever needs it meets the error again */
        ou_lock_scope(&a->fs->lock);
        fs_flight_land(&a->fs->flights, a->stream->flight);
    }
    stream_unref(a->fs, a->stream);
    free(a);
}

static void start_ahead_locked(struct fs *fs, struct fs_stream *s)
{
    const struct page *last = newest(s);
    struct ahead *a;

    if (!last || last->end || s->highest < last->first || s->wanted >= last->first + last->count)
        return;
    a = calloc(1, sizeof(*a));
    if (!a || !fs_flight_queue(&fs->flights, s->flight)) {
        free(a);
        return;
    }
    s->wanted = last->first + last->count;
    s->refs++;
    *a = (struct ahead){.task = {.run = load_ahead}, .fs = fs, .stream = s};
    fs_pool_add(fs->requests, &a->task);
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
static void remember_told(struct fs_stream *s, const struct page *p, const char *name)
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

static bool page_holds(const struct page *p, const char *position)
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
static bool tell_locked(struct fs *fs, struct fs_stream *s, const struct page *p,
                        const struct item *item, const char *name, bool is_dir)
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

static int entry_locked(struct fs *fs, struct fs_stream *s, const struct page *p, uint64_t place,
                        struct fs_name *out)
{
    const struct item *item = &p->items[place - p->first];
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
    if (!is_dir)
        remember_told(s, p, out->name);
    return 1;
}

int fs_stream_next_locked(struct fs *fs, struct fs_stream *s, uint64_t cookie, struct fs_name *out)
{
    uint64_t place = cookie < FS_COOKIE_FIRST ? 0 : cookie - FS_COOKIE_FIRST + 1;

    for (;;) {
        const struct page *p = NULL;

        for (size_t i = 0; i < s->page_count; i++)
            if (place >= s->pages[i].first && place < s->pages[i].first + s->pages[i].count)
                p = &s->pages[i];
        if (!p) {
            const struct page *last = newest(s);

            if (last && last->end && place >= last->first + last->count)
                return 0;
            s->wanted = place;
            return FS_STREAM_LOAD;
        }
        s->read = true;
        if (place > s->highest)
            s->highest = place;
        start_ahead_locked(fs, s);
        if (entry_locked(fs, s, p, place, out))
            return 1;
        place++;
    }
}

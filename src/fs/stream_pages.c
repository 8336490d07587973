/*
 * The pages of a stream: from the listing and what is staged here to items in their order.
 *
 * A page is a segment of the listing (still trusted, or asked for now) merged with the locals
 * up to where the segment reaches. Who needs a page that is not held loads it; when the newest
 * one begins to be read, the one behind it is put in flight. Both are one flight, so that no
 * page is asked for twice; a load that a rewind has overtaken (.epoch) is thrown away.
 */
#include "fs/stream_impl.h"

#include "fs/fetch.h"
#include "fs/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* -- what is held -- */

static void page_fini(struct fs_stream_page *p)
{
    fs_segment_unref(p->segment);
    free(p->items);
    free(p->token);
    free(p->last);
    *p = (struct fs_stream_page){.segment = NULL};
}

static void drop_pages(struct fs_stream *s)
{
    for (size_t i = 0; i < s->page_count; i++)
        page_fini(&s->pages[i]);
    s->page_count = 0;
}

void fs_stream_forget_pages_locked(struct fs_stream *s)
{
    drop_pages(s);
    for (size_t i = 0; i < s->mark_count; i++)
        free(s->marks[i].after);
    free(s->marks);
    s->marks = NULL;
    s->mark_count = s->mark_room = 0;
    for (size_t i = 0; i < s->local_count; i++)
        free(s->locals[i]);
    free(s->locals);
    s->locals = NULL;
    s->local_count = 0;
    s->started = false;
}

const struct fs_stream_page *fs_stream_newest_locked(const struct fs_stream *s)
{
    return s->page_count ? &s->pages[s->page_count - 1] : NULL;
}

/* -- what is staged here -- */

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
    struct fs_stream_mark m = {.first = first};

    if (s->mark_count && s->marks[s->mark_count - 1].first >= first)
        return 0; /* read again after going back */
    if (s->mark_count == s->mark_room) {
        size_t room = s->mark_room ? 2 * s->mark_room : 16;
        struct fs_stream_mark *grown = realloc(s->marks, room * sizeof(*grown));

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
                 struct fs_stream_page *p)
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

            p->items[p->count++] = (struct fs_stream_item){
                .position = remote,
                .version = is_object ? &segment->entries[r].version : NULL,
            };
            r++;
            l += order == 0;
        } else {
            p->items[p->count++] = (struct fs_stream_item){.position = local};
            l++;
        }
    }
}

/* Takes over a reference of @segment, and @token. */
static int append_locked(struct fs_stream *s, struct fs_segment *segment, char *token,
                         const char *after, uint64_t first)
{
    struct fs_stream_page p = {
        .segment = segment, .token = token, .first = first, .end = !segment->last};
    const struct fs_stream_page *before = fs_stream_newest_locked(s);

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
    if (s->page_count == FS_STREAM_PAGES) {
        page_fini(&s->pages[0]);
        memmove(&s->pages[0], &s->pages[1], (FS_STREAM_PAGES - 1) * sizeof(s->pages[0]));
        s->page_count--;
    }
    s->pages[s->page_count++] = p;
    return 0;
}

/* Where to go on loading, so that place .wanted will be reached. */
static void next_load_locked(struct fs_stream *s, const char **after, const char **token,
                             uint64_t *first)
{
    const struct fs_stream_page *last = fs_stream_newest_locked(s);

    if (last && s->wanted < s->pages[0].first) { /* far back: begin at the mark before it */
        drop_pages(s);
        fs_stream_forget_told_locked(s);
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
    fs_stream_unref(a->fs, a->stream);
    free(a);
}

void fs_stream_load_ahead_locked(struct fs *fs, struct fs_stream *s)
{
    const struct fs_stream_page *last = fs_stream_newest_locked(s);
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

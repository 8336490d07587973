/*
 * The rules of fs/listing.h.
 *
 * Invariants: .segments is sorted by .begun_ms, newest first, and each has .owner set;
 * .names is the sum of their counts; a name has one change at most; the list of changes
 * is sorted by .changed_ms.
 */
#include "fs/listing.h"

#include "fs/names.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fs_listing_init(struct fs_listing *l, struct fs_listings *all)
{
    *l = (struct fs_listing){.all = all};
}

/* -- segments -- */

static void segment_out(struct fs_segment *s)
{
    struct fs_listing *l = s->owner;
    struct fs_segment **at = &l->segments;

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    l->names -= s->count;
    l->all->names -= s->count;
    *(s->newer ? &s->newer->older : &l->all->newest) = s->older;
    *(s->older ? &s->older->newer : &l->all->oldest) = s->newer;
    s->owner = NULL;
    s->next = s->older = s->newer = NULL;
    fs_segment_unref(s);
}

void fs_listing_drop(struct fs_listing *l)
{
    while (l->segments)
        segment_out(l->segments);
}

/* Is each position of @inner in @outer? May say no where the truth is yes. */
static bool range_inside(const struct fs_segment *inner, const struct fs_segment *outer)
{
    if (outer->prefix)
        return inner->prefix && strncmp(inner->prefix, outer->prefix, strlen(outer->prefix)) == 0 &&
               !outer->last;
    if (outer->after) {
        const char *from = inner->prefix ? inner->prefix : inner->after;

        if (!from || strcmp(from, outer->after) < 0 ||
            (inner->prefix && strcmp(from, outer->after) == 0))
            return false;
    }
    if (!outer->last)
        return true;
    if (inner->prefix && !inner->last) /* all with this prefix sort before, or not */
        return strcmp(inner->prefix, outer->last) < 0 &&
               strncmp(inner->prefix, outer->last, strlen(inner->prefix)) != 0;
    return inner->last && strcmp(inner->last, outer->last) <= 0;
}

static bool same_start(const struct fs_segment *a, const struct fs_segment *b)
{
    if (a->prefix || b->prefix)
        return false;
    return a->after && b->after ? strcmp(a->after, b->after) == 0 : a->from_start && b->from_start;
}

#define SEGMENTS_MAX 64 /* of one directory: a lookup passes through all of them */

static void trim(struct fs_listing *l)
{
    unsigned count = 0;
    struct fs_segment *last = NULL;

    for (struct fs_segment *s = l->segments; s; s = s->next) {
        last = s;
        count++;
    }
    while (last && last != l->segments &&
           (count > SEGMENTS_MAX || l->names > FS_LISTING_NAMES_MAX)) {
        struct fs_segment *before = l->segments;

        while (before->next != last)
            before = before->next;
        segment_out(last);
        last = before;
        count--;
    }
    while (l->all->names > FS_LISTINGS_NAMES_MAX && l->all->oldest != l->all->newest)
        segment_out(l->all->oldest);
}

void fs_listing_install(struct fs_listing *l, struct fs_segment *s)
{
    struct fs_segment **at = &l->segments;
    struct fs_listings *all = l->all;

    assert(!s->owner);
    if (s->begun_ms < l->floor_ms) { /* a change it may contradict has been forgotten */
        fs_segment_unref(s);
        return;
    }
    while (*at) {
        struct fs_segment *other = *at;

        if (other->begun_ms <= s->begun_ms && (range_inside(other, s) || same_start(other, s)))
            segment_out(other);
        else
            at = &other->next;
    }
    at = &l->segments;
    while (*at && (*at)->begun_ms > s->begun_ms)
        at = &(*at)->next;
    s->next = *at;
    *at = s;
    s->owner = l;
    s->older = all->newest;
    *(all->newest ? &all->newest->newer : &all->oldest) = s;
    all->newest = s;
    l->names += s->count;
    all->names += s->count;
    trim(l);
}

struct fs_segment *fs_listing_covering(const struct fs_listing *l, const char *position,
                                       uint64_t now_ms, uint64_t since_ms)
{
    for (struct fs_segment *s = l->segments; s; s = s->next)
        if (fs_segment_trusted(s, now_ms, since_ms) && fs_segment_covers(s, position))
            return s;
    return NULL;
}

const char *fs_listing_page_start(const struct fs_listing *l, const char *position,
                                  uint64_t before_ms)
{
    const struct fs_segment *before = NULL;

    for (const struct fs_segment *s = l->segments; s; s = s->next) {
        if (s->prefix)
            continue;
        if (fs_segment_covers(s, position)) {
            if (s->begun_ms < before_ms)
                return s->from_start ? "" : s->after;
            continue;
        }
        if (s->last && strcmp(s->last, position) < 0 &&
            (!before || strcmp(s->last, before->last) > 0))
            before = s;
    }
    return before && before->begun_ms < before_ms ? before->last : NULL;
}

/* -- changes -- */

struct fs_change *fs_listing_changed(const struct fs_listing *l, const char *name)
{
    struct fs_link *link = fs_table_find(&l->changes, fs_hash(name, strlen(name), 0));

    for (; link; link = fs_table_next(link)) {
        struct fs_change *c = fs_container(link, struct fs_change, link);

        if (strcmp(c->name, name) == 0)
            return c;
    }
    return NULL;
}

static void order_out(struct fs_listing *l, struct fs_change *c)
{
    *(c->newer ? &c->newer->older : &l->newest_change) = c->older;
    *(c->older ? &c->older->newer : &l->oldest_change) = c->newer;
    c->older = c->newer = NULL;
}

static void order_in(struct fs_listing *l, struct fs_change *c)
{
    c->older = l->newest_change;
    c->newer = NULL;
    *(l->newest_change ? &l->newest_change->newer : &l->oldest_change) = c;
    l->newest_change = c;
}

static void change_free(struct fs_listing *l, struct fs_change *c)
{
    order_out(l, c);
    fs_table_remove(&l->changes, &c->link);
    free(c);
}

static void born_ends(struct fs_listing *l)
{
    l->born = false;
}

/* Segments begun before @c cannot be judged any more. */
static void change_dropped(struct fs_listing *l, const struct fs_change *c)
{
    struct fs_segment *s = l->segments;

    if (c->changed_ms + 1 > l->floor_ms)
        l->floor_ms = c->changed_ms + 1;
    born_ends(l);
    while (s) {
        struct fs_segment *next = s->next;

        if (s->begun_ms < l->floor_ms)
            segment_out(s);
        s = next;
    }
}

void fs_listing_forget(struct fs_listing *l, const char *name)
{
    struct fs_change *c = fs_listing_changed(l, name);

    if (c)
        change_free(l, c);
    born_ends(l);
    fs_listing_drop(l);
}

void fs_listing_moved(struct fs_listing *l)
{
    struct fs_change *c = l->oldest_change;

    fs_listing_drop(l);
    while (c) {
        struct fs_change *newer = c->newer;

        if (c->state == FS_FILE) {
            change_free(l, c);
            born_ends(l);
        }
        c = newer;
    }
}

void fs_listing_change(struct fs_listing *l, const char *name, enum fs_known state,
                       const struct fs_version *version, uint64_t now_ms, uint64_t until_ms)
{
    struct fs_change *c = fs_listing_changed(l, name);
    size_t len = strlen(name);

    if (c) {
        order_out(l, c);
    } else {
        c = calloc(1, sizeof(*c) + len + 1);
        if (!c) {
            l->floor_ms = now_ms + 1;
            born_ends(l);
            fs_listing_drop(l);
            return;
        }
        memcpy(c->name, name, len + 1);
        fs_table_add(&l->changes, &c->link, fs_hash(name, len, 0));
    }
    order_in(l, c);
    c->state = state;
    c->changed_ms = now_ms;
    c->until_ms = until_ms;
    c->version = version ? *version : (struct fs_version){.size = 0};
    while (l->changes.count > FS_LISTING_CHANGES_MAX) {
        change_dropped(l, l->oldest_change);
        change_free(l, l->oldest_change);
    }
}

void fs_listing_fini(struct fs_listing *l)
{
    fs_listing_drop(l);
    while (l->oldest_change)
        change_free(l, l->oldest_change);
    fs_table_fini(&l->changes);
}

/* -- what is known -- */

/* What is known about one position: by a segment, or by a change that is newer than it. */
struct told {
    enum { UNTOLD, NOT_THERE, THERE } state;
    uint64_t until_ms;
    struct fs_segment *segment; /* NULL: the change has told */
    size_t index;
};

static struct told ask_segments(const struct fs_listing *l, const char *position, uint64_t now_ms,
                                uint64_t since_ms)
{
    struct told t = {.segment = fs_listing_covering(l, position, now_ms, since_ms)};

    if (!t.segment)
        return t;
    t.index = fs_segment_find(t.segment, position);
    t.state =
        t.index < t.segment->count && strcmp(t.segment->entries[t.index].position, position) == 0
            ? THERE
            : NOT_THERE;
    t.until_ms = t.segment->until_ms;
    return t;
}

static struct told ask(const struct fs_listing *l, const struct fs_change *c, const char *position,
                       enum fs_known kind, uint64_t now_ms, uint64_t since_ms)
{
    struct told t = ask_segments(l, position, now_ms, since_ms);

    if (!c || (t.segment && t.segment->begun_ms > c->changed_ms))
        return t;
    if (!t.segment && now_ms >= c->until_ms && c->changed_ms < since_ms)
        return t; /* too long ago to be told by the change alone */
    t.state = c->state == kind ? THERE : NOT_THERE;
    t.until_ms = c->until_ms > t.until_ms ? c->until_ms : t.until_ms;
    t.segment = NULL;
    return t;
}

static enum fs_known answer(const struct told *t, enum fs_known state, uint64_t until_ms,
                            const struct fs_change *c, struct fs_found *out)
{
    *out = (struct fs_found){.until_ms = until_ms, .segment = t->segment, .index = t->index};
    if (state == FS_FILE)
        out->version = t->segment ? &t->segment->entries[t->index].version : &c->version;
    return state;
}

enum fs_known fs_listing_find(const struct fs_listing *l, const char *name, uint64_t now_ms,
                              uint64_t since_ms, struct fs_found *out)
{
    const struct fs_change *c = fs_listing_changed(l, name);
    char below[FS_NAME_MAX + 2];
    struct told file, dir;
    uint64_t until_ms;

    *out = (struct fs_found){.until_ms = 0};
    if (l->born && now_ms < l->born_until_ms) {
        *out = (struct fs_found){.until_ms = l->born_until_ms};
        if (c && c->state == FS_FILE)
            out->version = &c->version;
        return c ? c->state : FS_ABSENT;
    }
    if (strlen(name) > FS_NAME_MAX)
        return FS_ABSENT;
    (void)snprintf(below, sizeof(below), "%s/", name);
    file = ask(l, c, name, FS_FILE, now_ms, since_ms);
    dir = ask(l, c, below, FS_DIR, now_ms, since_ms);
    until_ms = file.until_ms < dir.until_ms ? file.until_ms : dir.until_ms;
    if (dir.state == THERE)
        return answer(&dir, FS_DIR, dir.until_ms, c, out);
    if (dir.state == UNTOLD || file.state == UNTOLD)
        return FS_UNKNOWN;
    return answer(&file, file.state == THERE ? FS_FILE : FS_ABSENT, until_ms, c, out);
}

enum fs_known fs_listing_marker(const struct fs_listing *l, uint64_t now_ms, uint64_t since_ms,
                                struct fs_found *out)
{
    struct fs_segment *s = l->segments;

    *out = (struct fs_found){.until_ms = 0};
    while (s && !(s->from_start && fs_segment_trusted(s, now_ms, since_ms)))
        s = s->next;
    if (!s)
        return FS_UNKNOWN;
    *out = (struct fs_found){.until_ms = s->until_ms, .segment = s};
    if (s->count == 0 || s->entries[0].position[0] != '\0')
        return FS_ABSENT;
    out->version = &s->entries[0].version;
    return FS_FILE;
}

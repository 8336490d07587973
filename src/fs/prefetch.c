/*
 * Order is seen by place in a segment: a lookup is in order when it is a little behind the last
 * one, or behind the last one that was sent ahead (programs skip directories, and names whose
 * attributes the kernel has got from readdirplus by then). The order goes on from the end of one
 * page to the start of the next.
 */
#include "fs/prefetch.h"

#include "fs/fetch.h"
#include "fs/names.h"
#include "fs/resolve.h"

#include <stdlib.h>
#include <string.h>

#define SKIP_MAX   8u              /* names that a program in order may leave out */
#define STREAK_MIN 2u              /* lookups in order before anything is sent ahead */
#define STRAYS_MAX 2u              /* lookups in another order that are taken for an accident */
#define READ_MS    UINT64_C(60000) /* who asks within it has read the names before */
#define IN_AIR_MAX 64u             /* HEADs ahead, queued or under way, of all directories */

unsigned fs_prefetch_window(unsigned streak)
{
    unsigned window = 1;

    if (streak < STREAK_MIN)
        return 0;
    for (unsigned i = STREAK_MIN; i < streak && window < FS_PREFETCH_WINDOW_MAX; i++)
        window *= 4;
    return window < FS_PREFETCH_WINDOW_MAX ? window : FS_PREFETCH_WINDOW_MAX;
}

/* -- the decision -- */

static void set_name(char **at, const char *name)
{
    free(*at);
    *at = name ? strdup(name) : NULL;
}

void fs_order_fini(struct fs_order *o)
{
    set_name(&o->asked, NULL);
    set_name(&o->sent, NULL);
}

void fs_order_read(struct fs_order *o, uint64_t now_ms)
{
    fs_order_fini(o);
    *o = (struct fs_order){.read_ms = now_ms};
}

/* The first entry that was not sent ahead; 0 where nothing of this segment was. */
static size_t unsent(const struct fs_order *o, const struct fs_segment *segment)
{
    size_t at = o->sent ? fs_segment_find(segment, o->sent) : 0;

    return at < segment->count && o->sent && strcmp(segment->entries[at].position, o->sent) == 0
               ? at + 1
               : at;
}

static bool in_order(const struct fs_order *o, const struct fs_segment *segment, size_t index)
{
    size_t last, sent = unsent(o, segment);

    if (!o->asked)
        return false;
    if (!fs_segment_covers(segment, o->asked) && index <= SKIP_MAX)
        return o->streak > 0 && strcmp(o->asked, segment->entries[index].position) < 0;
    last = fs_segment_find(segment, o->asked);
    return index > last && index <= (last > sent ? last : sent) + SKIP_MAX;
}

void fs_order_ask(struct fs_order *o, const struct fs_segment *segment, size_t index, bool all,
                  uint64_t now_ms, size_t *from, size_t *end)
{
    const char *name = segment->entries[index].position;
    bool read = o->read_ms && now_ms - o->read_ms < READ_MS;

    if (read)
        o->read_ms = now_ms;
    if (all && !o->all) { /* what was left out is wanted now */
        o->all = true;
        set_name(&o->sent, NULL);
    }
    if (!o->asked || strcmp(o->asked, name) != 0) {
        o->asks++;
        if (in_order(o, segment, index)) {
            o->streak++;
        } else {
            o->streak = 0;
            o->strays += o->asked != NULL;
            if (!read || o->strays <= STRAYS_MAX)
                set_name(&o->sent, NULL);
        }
        set_name(&o->asked, name);
    }
    *from = unsent(o, segment);
    if (read && o->strays > STRAYS_MAX) {
        if (*from == segment->count && !o->again) { /* the sweep may have begun anywhere */
            o->again = true;
            *from = 0;
        }
        *end = *from + (o->asks < FS_PREFETCH_WINDOW_MAX ? o->asks : FS_PREFETCH_WINDOW_MAX);
    } else {
        if (*from <= index)
            *from = index + 1;
        *end = index + 1 + fs_prefetch_window(o->streak);
    }
    if (*end > segment->count)
        *end = segment->count;
}

void fs_order_sent(struct fs_order *o, const struct fs_segment *segment, size_t end)
{
    if (end > 0)
        set_name(&o->sent, segment->entries[end - 1].position);
}

/* -- the requests -- */

struct ahead {
    struct fs_task task;
    struct fs *fs;
    struct fs_inode *parent; /* in use */
    struct fs_version seen;
    char *key, *flight;
    char name[];
};

static void ahead_free(struct ahead *a)
{
    free(a->key);
    free(a->flight);
    free(a);
}

static void fly(struct fs_task *task)
{
    struct ahead *a = fs_container(task, struct ahead, task);
    struct fs *fs = a->fs;
    struct fs_call call = fs_call_own(fs);
    struct ou_error err = OU_ERROR_INIT;
    bool mine;

    {
        ou_lock_scope(&fs->lock);
        mine = fs_flight_take_off(&fs->flights, a->flight);
    }
    if (mine)
        (void)fs_fetch_head(fs, a->parent, a->name, a->key, &a->seen, &call, &err);
    {
        ou_lock_scope(&fs->lock);
        if (mine)
            fs_flight_land(&fs->flights, a->flight);
        fs->heads_ahead--;
        fs_inode_unuse(&fs->tree, a->parent);
    }
    ahead_free(a);
}

/* Is a HEAD needed before somebody can be told of the entry? */
static bool worth_it_locked(const struct fs_inode *parent, const struct fs_entry *entry, bool all)
{
    size_t len = strlen(entry->position);

    return len > 0 && entry->position[len - 1] != '/' &&
           (all || entry->version.size <= FS_LINK_MAX || entry->version.link) &&
           !fs_listing_changed(&parent->dir->listing, entry->position);
}

static void send_ahead_locked(struct fs *fs, struct fs_inode *parent, const struct fs_entry *entry)
{
    size_t len = strlen(entry->position);
    struct ahead *a = NULL;
    struct ou_error err;
    char *key = NULL;

    if (fs_child_key(&fs->tree, parent, entry->position, false, &key, &err) < 0)
        return;
    if (!fs_attrs_match(&fs->tree.attrs, key, &entry->version) &&
        !fs_attrs_on_disk(&fs->tree.attrs, key))
        a = calloc(1, sizeof(*a) + len + 1);
    if (!a) {
        free(key);
        return;
    }
    a->task.run = fly;
    a->fs = fs;
    a->key = key;
    a->seen = entry->version;
    memcpy(a->name, entry->position, len + 1);
    a->flight = fs_fetch_flight(FS_FETCH_HEAD, key);
    if (!a->flight || !fs_flight_queue(&fs->flights, a->flight)) {
        ahead_free(a);
        return;
    }
    a->parent = fs_inode_use(parent);
    fs->heads_ahead++;
    fs_pool_add(fs->requests, &a->task);
}

/* The newest page that holds @position, also one that is not trusted any more: order does not age. */
static struct fs_segment *page_with(const struct fs_listing *l, const char *position, size_t *index)
{
    struct fs_segment *s = l->segments;

    while (s && (s->prefix || !fs_segment_at(s, position)))
        s = s->next;
    if (s)
        *index = fs_segment_find(s, position);
    return s;
}

void fs_prefetch_read_locked(struct fs_inode *dir)
{
    fs_order_read(&dir->dir->order, ou_now_ms());
}

void fs_prefetch_note_locked(struct fs *fs, struct fs_inode *parent, const char *name, bool all)
{
    struct fs_order *o = &parent->dir->order;
    size_t index, at, end;
    const struct fs_segment *segment = page_with(&parent->dir->listing, name, &index);

    if (!segment || fs->config.attrs_from_list)
        return;
    fs_order_ask(o, segment, index, all, ou_now_ms(), &at, &end);
    if (at >= end)
        return;
    for (; at < end && fs->heads_ahead < IN_AIR_MAX; at++)
        if (worth_it_locked(parent, &segment->entries[at], o->all))
            send_ahead_locked(fs, parent, &segment->entries[at]);
    fs_order_sent(o, segment, at);
}

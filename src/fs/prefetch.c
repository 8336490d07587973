/*
 * Order is seen by index in a segment: a lookup is in order when it is a little behind the
 * last one (programs skip directories, or names that the kernel still knows). The order
 * goes on from the end of one page to the start of the next.
 */
#include "fs/prefetch.h"

#include "fs/fetch.h"
#include "fs/names.h"
#include "fs/resolve.h"

#include <stdlib.h>
#include <string.h>

#define SKIP_MAX   8u  /* names that a program in order may leave out */
#define STREAK_MIN 2u  /* lookups in order before anything is sent ahead */
#define IN_AIR_MAX 64u /* HEADs ahead, queued or under way, of all directories */

unsigned fs_prefetch_window(unsigned streak)
{
    unsigned window = 1;

    if (streak < STREAK_MIN)
        return 0;
    for (unsigned i = STREAK_MIN; i < streak && window < FS_PREFETCH_WINDOW_MAX; i++)
        window *= 4;
    return window < FS_PREFETCH_WINDOW_MAX ? window : FS_PREFETCH_WINDOW_MAX;
}

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
        (void)fs_fetch_head_flying(fs, a->parent, a->name, a->key, &a->seen, a->flight, &call,
                                   &err);
    {
        ou_lock_scope(&fs->lock);
        fs->heads_ahead--;
        fs_inode_unuse(&fs->tree, a->parent);
    }
    ahead_free(a);
}

static void send_ahead_locked(struct fs *fs, struct fs_inode *parent, const struct fs_entry *entry)
{
    size_t len = strlen(entry->position);
    struct ahead *a;
    struct ou_error err;
    char *key = NULL;

    if (len == 0 || entry->position[len - 1] == '/')
        return;
    if (fs_child_key(&fs->tree, parent, entry->position, false, &key, &err) < 0)
        return;
    a = fs_attrs_match(&fs->tree.attrs, key, &entry->version) ? NULL
                                                              : calloc(1, sizeof(*a) + len + 1);
    if (!a) {
        free(key);
        return;
    }
    a->task.run = fly;
    a->fs = fs;
    a->key = key;
    a->seen = entry->version;
    memcpy(a->name, entry->position, len + 1);
    a->flight = fs_fetch_head_flight(key);
    if (!a->flight || !fs_flight_queue(&fs->flights, a->flight)) {
        ahead_free(a);
        return;
    }
    a->parent = fs_inode_use(parent);
    fs->heads_ahead++;
    fs_pool_add(fs->requests, &a->task);
}

/* Does index @index of @segment come after the last one asked for, as a program in order would go on? */
static bool in_order(const struct fs_dir *d, const struct fs_segment *segment, size_t index)
{
    if (segment->begun_ms != d->order.begun_ms) /* the page is turned */
        return d->order.streak > 0 && index <= SKIP_MAX;
    return index > d->order.index && index <= d->order.index + SKIP_MAX;
}

void fs_prefetch_note_locked(struct fs *fs, struct fs_inode *parent, const struct fs_found *found)
{
    const struct fs_segment *segment = found->segment;
    struct fs_dir *d = parent->dir;
    size_t index = found->index, end;
    bool same_page;

    if (!segment || segment->prefix || fs->config.attrs_from_list)
        return;
    same_page = segment->begun_ms == d->order.begun_ms;
    if (in_order(d, segment, index))
        d->order.streak++;
    else if (!same_page || index != d->order.index)
        d->order.streak = 0;
    if (!same_page)
        d->order.ahead = 0;
    d->order.begun_ms = segment->begun_ms;
    d->order.index = index;

    end = index + 1 + fs_prefetch_window(d->order.streak);
    if (end > segment->count)
        end = segment->count;
    if (d->order.ahead <= index)
        d->order.ahead = index + 1;
    for (; d->order.ahead < end && fs->heads_ahead < IN_AIR_MAX; d->order.ahead++)
        send_ahead_locked(fs, parent, &segment->entries[d->order.ahead]);
}

/* Told in fs/hide.h. */
#include "fs/hide.h"

#include "base/clock.h"
#include "fs/names.h"
#include "fs/remove.h"
#include "oss/ops.h"
#include "spool/deleted.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool fs_hide_needed(struct fs *fs, const char *dir_key)
{
    {
        ou_lock_scope(&fs->lock);
        if (fs->doomed)
            return true;
    }
    return spool_deleted_below(fs->spool, dir_key);
}

bool fs_hidden_locked(struct fs *fs, const char *key, uint64_t begun_ms)
{
    struct fs_gone_key *gone = fs_gone_find(&fs->gone, key);
    bool deleting = spool_is_deleted(fs->spool, key) || fs_doomed_locked(fs, key);

    return gone ? fs_gone_hides(gone, deleting, begun_ms, ou_now_ms()) : deleting;
}

/* -- directories -- */

enum shown { SHOWN, HIDDEN, DOUBTED };

static enum shown dir_shown_locked(struct fs *fs, const char *key, uint64_t begun_ms)
{
    struct fs_gone_key *gone = fs_gone_find_dir(&fs->gone, key);
    bool deleting;

    if (!gone)
        return SHOWN;
    deleting = !gone->confirmed_ms &&
               (spool_deleted_below(fs->spool, key) || fs_doomed_below_locked(fs, key));
    if (!fs_gone_hides(gone, deleting, begun_ms, ou_now_ms())) {
        gone->remade = false; /* nothing old is left below */
        return SHOWN;
    }
    if (gone->removed)
        return HIDDEN;
    return fs_gone_remade(&fs->gone, key) ? DOUBTED : SHOWN;
}

/* Is there an object below @key that is not being deleted? 1, 0, negative errno. */
static int alive_below(struct fs *fs, const char *key, const struct fs_call *call,
                       struct ou_error *err)
{
    struct oss_call oss = fs_oss_call(call);
    ou_autofree char *token = NULL;
    uint64_t begun_ms = ou_now_ms();

    for (;;) {
        ou_auto(oss_list_page_fini) struct oss_list_page page = {.entries = NULL};
        int r =
            oss_list_objects(fs->client, &oss, key, NULL, NULL, token, OSS_LIST_MAX, &page, err);

        if (r < 0)
            return ou_error_prefix(err, "list %s", key);
        {
            ou_lock_scope(&fs->lock);
            for (size_t i = 0; i < page.count; i++)
                if (!fs_hidden_locked(fs, page.entries[i].key, begun_ms))
                    return 1;
        }
        if (!page.truncated || !page.next_token)
            return 0;
        free(token);
        token = page.next_token;
        page.next_token = NULL;
    }
}

/* -- a page -- */

/* What the tree knows for certain outweighs the page anyhow. */
static bool told_otherwise_locked(struct fs *fs, struct fs_inode *dir, const char *position,
                                  uint64_t begun_ms)
{
    char name[FS_NAME_MAX + 1];
    size_t len = strlen(position) - 1;
    struct fs_change *change;
    struct fs_inode *child;

    if (len > FS_NAME_MAX)
        return false;
    memcpy(name, position, len);
    name[len] = '\0';
    child = fs_inode_child(&fs->tree, dir, name);
    change = fs_listing_changed(&dir->dir->listing, name);
    return (child && child->pins) || (change && change->changed_ms >= begun_ms);
}

static enum shown entry_shown(struct fs *fs, struct fs_inode *dir, const char *key,
                              const char *position, uint64_t begun_ms)
{
    ou_lock_scope(&fs->lock);
    if (position[strlen(position) - 1] != '/')
        return fs_hidden_locked(fs, key, begun_ms) ? HIDDEN : SHOWN;
    if (told_otherwise_locked(fs, dir, position, begun_ms))
        return SHOWN;
    return dir_shown_locked(fs, key, begun_ms);
}

int fs_hide_deleted(struct fs *fs, struct fs_inode *dir, const char *dir_key,
                    struct fs_segment *segment, const struct fs_call *call, struct ou_error *err)
{
    size_t kept = 0, i = 0;
    int r = 0;

    for (; i < segment->count && r >= 0; i++) {
        char *position = segment->entries[i].position;
        ou_autofree char *key = *position ? fs_key_join(dir_key, position, false) : NULL;
        enum shown shown = SHOWN;

        if (*position && !key)
            r = ou_error_set(err, ENOMEM, "%s", dir_key);
        if (key)
            shown = entry_shown(fs, dir, key, position, segment->begun_ms);
        if (shown == DOUBTED) {
            r = alive_below(fs, key, call, err);
            shown = r == 0 ? HIDDEN : SHOWN;
        }
        if (shown == HIDDEN)
            free(position);
        else
            segment->entries[kept++] = segment->entries[i];
    }
    for (; i < segment->count; i++)
        segment->entries[kept++] = segment->entries[i];
    segment->count = kept;
    return r < 0 ? r : 0;
}

/* -- at mount -- */

static void load_one(void *ctx, const char *key)
{
    struct fs *fs = ctx;

    fs_gone_add(&fs->gone, key, ou_now_ms());
}

void fs_hide_load(struct fs *fs)
{
    ou_lock_scope(&fs->lock);
    spool_each_deleted(fs->spool, load_one, fs);
    for (struct fs_gone_key *k = fs->gone.dirs.oldest; k; k = k->newer)
        k->remade = true; /* or only a file was removed there: that is not known any more */
}

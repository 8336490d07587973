/* Told in fs/remove.h. */
#include "fs/remove.h"

#include "base/log.h"
#include "fs/fetch.h"
#include "fs/names.h"
#include "fs/resolve.h"
#include "fs/stage.h"
#include "fs/stat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* -- doomed objects -- */

void fs_doom_locked(struct fs *fs, struct fs_inode *inode, char *key)
{
    inode->doomed = key;
    inode->next_doomed = fs->doomed;
    fs->doomed = inode;
}

static void undoom_locked(struct fs *fs, struct fs_inode *inode)
{
    struct fs_inode **at = &fs->doomed;

    while (*at && *at != inode)
        at = &(*at)->next_doomed;
    if (*at)
        *at = inode->next_doomed;
    inode->next_doomed = NULL;
    free(inode->doomed);
    inode->doomed = NULL;
}

bool fs_doomed_locked(const struct fs *fs, const char *key)
{
    const struct fs_inode *i = fs->doomed;

    while (i && (i->replaced || strcmp(i->doomed, key) != 0))
        i = i->next_doomed;
    return i != NULL;
}

struct fs_inode *fs_doomed_inode_locked(const struct fs *fs, const char *key)
{
    struct fs_inode *i = fs->doomed;

    while (i && (i->replaced || strcmp(i->doomed, key) != 0))
        i = i->next_doomed;
    return i;
}

bool fs_doomed_below_locked(const struct fs *fs, const char *dir_key)
{
    const struct fs_inode *i = fs->doomed;

    while (i && (i->replaced || strncmp(i->doomed, dir_key, strlen(dir_key)) != 0))
        i = i->next_doomed;
    return i != NULL;
}

bool fs_replaced_locked(struct fs *fs, const char *key)
{
    bool any = false;

    for (struct fs_inode *i = fs->doomed; i; i = i->next_doomed)
        if (strcmp(i->doomed, key) == 0)
            any = i->replaced = true;
    return any;
}

bool fs_replacing(struct fs *fs, const char *key)
{
    ou_lock_scope(&fs->lock);
    return fs_replaced_locked(fs, key);
}

void fs_replacing_failed(struct fs *fs, const char *key)
{
    struct ou_error err = OU_ERROR_INIT;
    bool read = false;

    {
        ou_lock_scope(&fs->lock);
        for (struct fs_inode *i = fs->doomed; i; i = i->next_doomed) {
            if (strcmp(i->doomed, key) != 0)
                continue;
            i->replaced = false;
            read = true;
        }
    }
    /* If all who read it have closed it meanwhile, they left it alone. */
    if (!read && spool_delete_later(fs->spool, key, &err) < 0)
        ou_log_warn(OU_LOG_FS, &err, "unlinked object stays key=%s", key);
}

/* Is @inode the last one that reads the object? */
static bool last_reader_locked(const struct fs *fs, const struct fs_inode *inode)
{
    const struct fs_inode *i = fs->doomed;

    while (i && (i == inode || i->replaced || strcmp(i->doomed, inode->doomed) != 0))
        i = i->next_doomed;
    return i == NULL && !inode->replaced;
}

int fs_delete_doomed(struct fs *fs, struct fs_inode *inode, struct ou_error *err)
{
    ou_autofree char *key = NULL;
    int r;

    {
        ou_lock_scope(&fs->lock);
        if (!inode->doomed || inode->handles)
            return 0;
        if (!last_reader_locked(fs, inode)) {
            undoom_locked(fs, inode);
            return 0;
        }
        key = strdup(inode->doomed);
    }
    r = key ? spool_delete_later(fs->spool, key, err) : ou_error_set(err, ENOMEM, "delete");
    ou_lock_scope(&fs->lock); /* doomed until now: a LIST meanwhile does not show the name again */
    if (r == 0)
        fs_gone_add(&fs->gone, key, ou_now_ms());
    undoom_locked(fs, inode);
    return r;
}

/* -- unlink -- */

/* What stands under @name now, in use. */
static int victim(struct fs *fs, uint64_t parent_id, const char *name, const struct fs_call *call,
                  struct fs_inode **parent, struct fs_inode **inode, struct ou_error *err)
{
    uint64_t until_ms;
    int r = fs_inode_get(fs, parent_id, parent, err);

    *inode = NULL;
    if (r < 0)
        return r;
    {
        ou_lock_scope(&fs->lock);
        *inode = fs_inode_child(&fs->tree, *parent, name);
        if (*inode)
            (void)fs_inode_use(*inode);
    }
    if (!*inode)
        r = fs_resolve(fs, parent_id, name, false, call, inode, &until_ms, err);
    if (r == 0 && !*inode)
        r = ou_error_set(err, ENOENT, "%s", name);
    if (r != 0) {
        fs_unuse(fs, *parent);
        *parent = NULL;
    }
    return r;
}

/* The name is gone from the tree; listings that still show it are not believed. */
static void gone_locked(struct fs *fs, struct fs_inode *parent, struct fs_inode *inode,
                        const char *key)
{
    fs_listing_change(&parent->dir->listing, inode->name, FS_ABSENT, NULL, ou_now_ms(),
                      fs_trust_until(fs));
    if (inode->dir)
        fs_gone_add_dir(&fs->gone, key, ou_now_ms());
    else
        fs_gone_add(&fs->gone, key, ou_now_ms());
    fs_attrs_remove(&fs->tree.attrs, key);
    fs_touch_locked(parent);
    fs_inode_unlink(&fs->tree, inode);
}

/*
 * The object is deleted, the name goes. What has been staged meanwhile, because somebody has opened
 * it for writing, is unlinked, too: it would be uploaded under that name. @file: held then, and for
 * the caller to give back.
 */
static int gone_with_staged(struct fs *fs, struct fs_inode *parent, struct fs_inode *inode,
                            const char *key, struct spool_file **file, struct ou_error *err)
{
    for (;;) {
        int r;

        {
            ou_lock_scope(&fs->lock);
            if (!inode->staged || inode->staged == *file) {
                gone_locked(fs, parent, inode, key);
                return 0;
            }
        }
        if (!*file && fs_stage_held(fs, inode, file)) {
            r = spool_file_unlink(*file, err);
            if (r < 0)
                return r;
        }
    }
}

/* Take @inode out of the bucket, or see to it that somebody will. */
static int remove_object(struct fs *fs, struct fs_inode *parent, struct fs_inode *inode,
                         const struct fs_call *call, struct ou_error *err)
{
    struct spool_file *file = NULL, *idle = NULL;
    ou_autofree char *key = NULL;
    bool doom, held;
    int r;

    {
        ou_lock_scope(&fs->lock);
        r = fs_inode_key(&fs->tree, inode, &key, err);
        if (r < 0)
            return r;
        doom = !inode->staged && !inode->dir && inode->handles > 0;
        if (doom) {
            char *copy = strdup(key);

            if (!copy)
                return ou_error_set(err, ENOMEM, "unlink %s", key);
            gone_locked(fs, parent, inode, key);
            fs_doom_locked(fs, inode, copy);
            return 0;
        }
    }
    held = fs_stage_held(fs, inode, &file);
    if (held || spool_find(fs->spool, key, &idle)) /* it may have been unstaged a moment ago */
        r = spool_file_unlink(held ? file : idle, err);
    else if (!inode->dir || inode->has_remote || !inode->dir->marker_known ||
             inode->dir->has_marker)
        r = spool_delete(fs->spool, key, call->cancel, err);
    if (r == 0)
        r = gone_with_staged(fs, parent, inode, key, &file, err);
    if (file)
        fs_stage_done(fs, inode, file);
    spool_file_unref(idle);
    return r;
}

int fs_keep_dir(struct fs *fs, struct fs_inode *dir, struct ou_error *err)
{
    struct fs_found found;

    {
        ou_lock_scope(&fs->lock);
        struct fs_inode *child = dir->children;
        unsigned looks = 16; /* no more: this is asked at each unlink */

        if (dir->staged || dir == fs->tree.root || !dir->parent || !dir->dir->marker_known ||
            dir->dir->has_marker)
            return 0;
        for (; child && looks; child = child->sibling, looks--)
            if (child->has_remote && !child->staged &&
                fs_listing_find(&dir->dir->listing, child->name, ou_now_ms(), UINT64_MAX, &found) ==
                    FS_FILE)
                return 0; /* something else is in it for certain */
    }
    return fs_make_marker(fs, dir, err);
}

int fs_unlink(struct fs *fs, uint64_t parent_id, const char *name, const struct fs_call *call,
              struct ou_error *err)
{
    struct fs_inode *parent, *inode;
    int r;

    if (spool_delete_waits(fs->spool) && !call->may_wait)
        return FS_MUST_WAIT;
    r = victim(fs, parent_id, name, call, &parent, &inode, err);
    if (r != 0)
        return r;
    if (inode->dir)
        r = ou_error_set(err, EISDIR, "unlink %s", name);
    else
        r = remove_object(fs, parent, inode, call, err);
    if (r == 0 && fs_keep_dir(fs, parent, err) < 0)
        ou_log_warn(OU_LOG_FS, err, "directory may vanish with its last name name=%s", name);
    fs_unuse(fs, inode);
    fs_unuse(fs, parent);
    return r;
}

/* -- rmdir -- */

/* Is the listed entry one that is still there for the user? */
static bool entry_alive_locked(struct fs_inode *dir, const char *position, uint64_t begun_ms)
{
    char name[FS_NAME_MAX + 1];
    size_t len = strlen(position);
    struct fs_change *change;

    if (len == 0)
        return false; /* the marker */
    len -= position[len - 1] == '/';
    memcpy(name, position, len);
    name[len] = '\0';
    change = fs_listing_changed(&dir->dir->listing, name);
    return !change || change->state != FS_ABSENT || change->changed_ms < begun_ms;
}

static bool segment_empty_locked(struct fs_inode *dir, const struct fs_segment *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (entry_alive_locked(dir, s->entries[i].position, s->begun_ms))
            return false;
    return s->hidden == 0;
}

/* From memory: 1, 0, or 2: not known. Segments may be old: a delete of the marker harms nobody. */
static int empty_locked(struct fs_inode *dir)
{
    struct fs_listing *l = &dir->dir->listing;
    struct fs_segment *s;
    const char *at = NULL;
    bool born;

    if (dir->pins > (dir->staged ? 1u : 0u))
        return 0;
    born = l->born && ou_now_ms() < l->born_until_ms;
    for (struct fs_change *c = l->oldest_change; c; c = c->newer)
        if (c->state != FS_ABSENT)
            return born || ou_now_ms() < c->until_ms ? 0 : FS_DIR_MUST_WAIT;
    if (born)
        return 1;
    for (;;) {
        for (s = l->segments; s; s = s->next)
            if (!s->prefix &&
                (at ? s->after && strcmp(s->after, at) <= 0 && (!s->last || strcmp(s->last, at) > 0)
                    : s->from_start))
                break;
        if (!s)
            return FS_DIR_MUST_WAIT;
        if (!segment_empty_locked(dir, s))
            return ou_now_ms() < s->until_ms ? 0 : FS_DIR_MUST_WAIT;
        if (!s->last)
            return 1;
        at = s->last;
    }
}

int fs_dir_empty(struct fs *fs, struct fs_inode *dir, const struct fs_call *call,
                 struct ou_error *err)
{
    ou_autofree char *after = NULL, *token = NULL;
    int r;

    {
        ou_lock_scope(&fs->lock);
        r = empty_locked(dir);
    }
    if (r != FS_DIR_MUST_WAIT || !call->may_wait)
        return r;
    for (;;) {
        struct fs_segment *s = NULL;
        char *next = NULL;

        r = fs_fetch_page(fs, dir, after, token, call, &s, &next, err);
        if (r < 0)
            return r;
        free(token);
        token = next;
        ou_lock_scope(&fs->lock);
        r = segment_empty_locked(dir, s);
        free(after);
        after = s->last ? strdup(s->last) : NULL;
        fs_segment_unref(s);
        if (!r || !after)
            return r;
    }
}

int fs_rmdir(struct fs *fs, uint64_t parent_id, const char *name, const struct fs_call *call,
             struct ou_error *err)
{
    struct fs_inode *parent, *inode;
    int r;

    if (spool_delete_waits(fs->spool) && !call->may_wait)
        return FS_MUST_WAIT;
    r = victim(fs, parent_id, name, call, &parent, &inode, err);
    if (r != 0)
        return r;
    if (!inode->dir)
        r = ou_error_set(err, ENOTDIR, "rmdir %s", name);
    else
        r = fs_dir_empty(fs, inode, call, err);
    if (r == FS_DIR_MUST_WAIT) {
        r = FS_MUST_WAIT;
    } else if (r >= 0) {
        r = r ? remove_object(fs, parent, inode, call, err)
              : ou_error_set(err, ENOTEMPTY, "rmdir %s", name);
        if (r == 0 && fs_keep_dir(fs, parent, err) < 0)
            ou_log_warn(OU_LOG_FS, err, "directory may vanish with its last name name=%s", name);
    }
    fs_unuse(fs, inode);
    fs_unuse(fs, parent);
    return r;
}

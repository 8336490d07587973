/* What is known, in the order that fs/resolve.h tells. */
#include "fs/look.h"

#include "fs/fetch.h"
#include "fs/names.h"
#include "fs/prefetch.h"
#include "fs/resolve.h"
#include "fs/stat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MISS_WINDOW_MS   UINT64_C(1000)  /* two unknown names within it: list the directory */
#define LISTED_WINDOW_MS UINT64_C(60000) /* a directory listed within it is listed again at once */

/* -- inodes follow what is known -- */

static void vanish_locked(struct fs *fs, struct fs_inode *parent, const char *name)
{
    struct fs_inode *child = fs_inode_child(&fs->tree, parent, name);

    if (child)
        fs_inode_unlink(&fs->tree, child);
}

/* The inode called @name, if its type is right; else a new one takes the name. */
static struct fs_inode *child_of_type_locked(struct fs *fs, struct fs_inode *parent,
                                             const char *name, mode_t type)
{
    struct fs_inode *child = fs_inode_child(&fs->tree, parent, name);

    if (child && child->type != (type & S_IFMT)) {
        fs_inode_unlink(&fs->tree, child);
        child = NULL;
    }
    return child ? child : fs_inode_new(&fs->tree, parent, name, type);
}

/* -- directories -- */

bool fs_look_fresh_locked(const struct fs_inode *i, uint64_t now_ms, const struct fs_call *call)
{
    return i->attr_known && (now_ms < i->until_ms || i->checked_ms >= call->begun_ms);
}

/* @dir exists. Where do its attributes come from? */
static int dir_step_locked(struct fs *fs, struct fs_inode *dir, const struct fs_call *call,
                           struct fs_step *step, struct ou_error *err)
{
    uint64_t now_ms = ou_now_ms();
    ou_autofree char *key = NULL;
    struct fs_record *record;
    struct fs_found found;
    enum fs_known marker;
    bool known;
    int r;

    step->inode = dir;
    if (dir->staged || fs_look_fresh_locked(dir, now_ms, call))
        return 0;
    if (fs->config.attrs_from_list) {
        bool told = dir->dir->marker_known, has = dir->dir->has_marker;

        fs_apply_implied_locked(fs, dir, step->until_ms, now_ms);
        dir->dir->marker_known = told; /* a listing of it tells, or nothing does */
        dir->dir->has_marker = has;
        return 0;
    }
    r = fs_inode_key(&fs->tree, dir, &key, err);
    if (r < 0)
        return r;
    marker = fs_listing_marker(&dir->dir->listing, now_ms, call->begun_ms, &found);
    if (marker == FS_FILE && spool_is_deleted(fs->spool, key))
        marker = FS_ABSENT;
    known = fs_attrs_known(&fs->tree.attrs, key);
    if (marker == FS_ABSENT) {
        (void)fs_attrs_put_implied(&fs->tree.attrs, key, err);
        fs_apply_implied_locked(fs, dir, found.until_ms, found.segment->begun_ms);
    } else if (marker == FS_FILE && fs_attrs_match(&fs->tree.attrs, key, found.version)) {
        record = fs_attrs_get(&fs->tree.attrs, key);
        fs_apply_record_locked(fs, dir, record, found.until_ms, found.segment->begun_ms);
    } else if (marker == FS_FILE && fs_attrs_on_disk(&fs->tree.attrs, key)) {
        step->need = FS_NEED_RECALL;
        step->key = key;
        key = NULL;
    } else if (marker == FS_UNKNOWN && (known || step->removes)) {
        step->need = FS_NEED_LIST_OF_DIR;
    } else if (!step->removes || call->uid != 0) { /* root may remove whatever they are */
        step->need = FS_NEED_MARKER;
    }
    return 0;
}

/* It is here because something below it is staged; what the bucket says cannot change that. */
static int pinned_step_locked(struct fs *fs, struct fs_inode *child, const struct fs_call *call,
                              struct fs_step *step, struct ou_error *err)
{
    uint64_t now_ms = ou_now_ms();
    int r;

    step->inode = child;
    step->until_ms = fs_trust_until(fs);
    if (child->staged || !child->dir)
        return 0;
    r = dir_step_locked(fs, child, call, step, err);
    if (r == 0 && step->need != FS_ANSWERED) {
        step->optional = true;
        if (now_ms < fs->offline_until_ms)
            step->need = FS_ANSWERED;
    }
    return r;
}

/* -- files -- */

/* Not a directory; what else it is may be told to who removes it, and to nobody else. */
static int unknown_file_locked(struct fs *fs, struct fs_inode *parent, const char *name,
                               const struct fs_version *version, struct fs_step *step,
                               struct ou_error *err)
{
    struct fs_inode *child = fs_inode_child(&fs->tree, parent, name);

    if (!child || child->dir) {
        child = child_of_type_locked(fs, parent, name, S_IFREG);
        if (!child)
            return ou_error_set(err, ENOMEM, "inode of %s", name);
        fs_apply_listed_locked(fs, child, version, 0, 0);
    }
    step->inode = child;
    step->until_ms = 0;
    return 0;
}

static int file_step_locked(struct fs *fs, struct fs_inode *parent, const char *name, bool attr,
                            char **key, const struct fs_found *found, struct fs_step *step,
                            struct ou_error *err)
{
    struct fs_inode *child = fs_inode_child(&fs->tree, parent, name);
    const struct fs_version *version = found->version;
    uint64_t checked_ms = found->segment ? found->segment->begun_ms : ou_now_ms();
    struct fs_record *record = fs_attrs_match(&fs->tree.attrs, *key, version);
    struct fs_record listed = {.object = *version};

    if (!step->removes && (attr || version->size <= FS_LINK_MAX || version->link))
        fs_prefetch_note_locked(fs, parent, name, attr);
    step->until_ms = found->until_ms;
    if (child && !child->dir && child->has_remote && child->attr_known &&
        fs_version_same(fs_inode_seen(child), version)) {
        fs_version_adopt(fs_inode_seen(child), version);
        child->until_ms = found->until_ms;
        child->checked_ms = checked_ms;
        step->inode = child;
        return 0;
    }
    if (!record && fs->config.attrs_from_list) {
        const struct oss_list_entry entry = {
            .key = *key,
            .key_len = strlen(*key),
            .size = version->size,
            .last_modified = {.tv_sec = (time_t)version->modified_s}};

        spool_attr_from_listing(&entry, &fs->config.defaults, &listed.attr);
        record = &listed;
    }
    if (!record && !attr && version->size > FS_LINK_MAX && !version->link) {
        child = child_of_type_locked(fs, parent, name, S_IFREG);
        if (!child)
            return ou_error_set(err, ENOMEM, "inode of %s", name);
        fs_apply_listed_locked(fs, child, version, found->until_ms, checked_ms);
        step->inode = child;
        return 0;
    }
    if (!record && step->removes)
        return unknown_file_locked(fs, parent, name, version, step, err);
    if (!record) {
        step->need = fs_attrs_on_disk(&fs->tree.attrs, *key) ? FS_NEED_RECALL : FS_NEED_HEAD;
        step->key = *key;
        step->seen = *version;
        step->has_seen = true;
        *key = NULL;
        return 0;
    }
    child = child_of_type_locked(fs, parent, name, record->attr.mode);
    if (!child)
        return ou_error_set(err, ENOMEM, "inode of %s", name);
    fs_apply_record_locked(fs, child, record, found->until_ms, checked_ms);
    if (record == &listed)
        spool_attr_fini(&listed.attr);
    step->inode = child;
    return 0;
}

/* -- unknown names -- */

/* Names of a huge directory that come in any order (rm sorts by inode): page by page as it was read. */
static bool page_again_locked(const struct fs_listing *l, const char *name,
                              const struct fs_call *call, struct fs_step *step)
{
    const char *after = fs_listing_page_start(l, name, call->begun_ms);

    if (!after)
        return false;
    step->need = *after ? FS_NEED_PAGE : FS_NEED_START;
    if (*after)
        step->key = strdup(after); /* without memory: a page from the name on */
    return true;
}

static void unknown_step_locked(struct fs *fs, struct fs_inode *parent, const char *name,
                                const char *key, const struct fs_call *call, struct fs_step *step)
{
    struct fs_dir *d = parent->dir;
    uint64_t now_ms = ou_now_ms();
    bool listed = d->listed_ms && now_ms - d->listed_ms < LISTED_WINDOW_MS;
    bool missed = d->missed_ms && now_ms - d->missed_ms < MISS_WINDOW_MS;
    bool onwards = d->missed && strcmp(name, d->missed) > 0;

    if (fs_listing_covering(&d->listing, name, now_ms, call->begun_ms)) {
        step->need = FS_NEED_BELOW; /* the page ended between "name" and "name/" */
        return;
    }
    if (fs->config.attr_timeout_ms == 0)
        step->need = FS_NEED_NAME; /* nothing is remembered: ask for no more than is wanted */
    else if (listed && d->huge && missed && page_again_locked(&d->listing, name, call, step))
        return;
    else if (listed && d->listed_ms >= call->begun_ms)
        step->need = missed && onwards ? FS_NEED_PAGE : FS_NEED_NAME;
    else if (listed ? !d->huge : missed || fs_attrs_known(&fs->tree.attrs, key))
        step->need = FS_NEED_START; /* a name known from before: its neighbours are wanted, too */
    else
        step->need = listed && missed && onwards ? FS_NEED_PAGE : FS_NEED_NAME;
}

/* -- one look at everything known -- */

int fs_look_locked(struct fs *fs, struct fs_inode *parent, const char *name, bool attr,
                   const struct fs_call *call, struct fs_step *step, struct ou_error *err)
{
    static const struct fs_version unlisted = {.modified_s = FS_MODIFIED_UNKNOWN};
    struct fs_listing *l = &parent->dir->listing;
    struct fs_inode *child = fs_inode_child(&fs->tree, parent, name);
    uint64_t now_ms = ou_now_ms();
    ou_autofree char *key = NULL;
    struct fs_found found;
    enum fs_known known = FS_UNKNOWN;
    int r;

    *step = (struct fs_step){.need = FS_ANSWERED,
                             .removes = !attr && fs_removes_in_locked(fs, call, parent)};
    if (child && child->pins)
        return pinned_step_locked(fs, child, call, step, err);
    r = fs_child_key(&fs->tree, parent, name, false, &key, err);
    if (r < 0)
        return r;
    if (step->removes) { /* the word of a listing will do that is not trusted any more */
        known = fs_listing_find(l, name, now_ms, 0, &found);
        if (known == FS_UNKNOWN && fs_remover_read_file_locked(fs, call, parent, name))
            return unknown_file_locked(fs, parent, name, &unlisted, step, err);
    }
    if (known != FS_FILE && known != FS_DIR)
        known = fs_listing_find(l, name, now_ms, call->begun_ms, &found);
    step->until_ms = found.until_ms;
    switch (known) {
    case FS_ABSENT:
        vanish_locked(fs, parent, name);
        return 0;
    case FS_FILE:
        return file_step_locked(fs, parent, name, attr, &key, &found, step, err);
    case FS_DIR:
        child = child_of_type_locked(fs, parent, name, S_IFDIR);
        if (!child)
            return ou_error_set(err, ENOMEM, "inode of %s", name);
        return dir_step_locked(fs, child, call, step, err);
    case FS_UNKNOWN:
    default:
        if (child && fs_look_fresh_locked(child, now_ms, call)) {
            step->inode = child; /* told by something else: its marker, its own upload */
            step->until_ms = child->until_ms;
        } else {
            unknown_step_locked(fs, parent, name, key, call, step);
        }
        return 0;
    }
}

/* The lookup policy, told in fs/resolve.h. */
#include "fs/resolve.h"

#include "fs/fetch.h"
#include "fs/names.h"
#include "fs/prefetch.h"
#include "fs/stat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MISS_WINDOW_MS     UINT64_C(1000)  /* two unknown names within it: list the directory */
#define LISTED_WINDOW_MS   UINT64_C(60000) /* a directory listed within it is listed again at once */
#define PINNED_PATIENCE_MS 3000u           /* for attributes of a directory that is here anyhow */
#define STEPS_MAX          12 /* requests for one name; more means that it keeps changing */

enum need {
    ANSWERED,
    NEED_NAME,
    NEED_BELOW,
    NEED_START,
    NEED_PAGE,
    NEED_HEAD,
    NEED_MARKER,
    NEED_LIST_OF_DIR
};

struct step {
    enum need need;
    struct fs_inode
        *inode;    /* ANSWERED: what was found, or NULL; NEED_MARKER, NEED_LIST_OF_DIR: of which */
    bool optional; /* without it, defaults will do */
    uint64_t until_ms;
    char *key;              /* NEED_HEAD: of the object; NEED_PAGE: after which name, NULL: just
                               before this one; malloc'ed */
    struct fs_version seen; /* NEED_HEAD */
    bool has_seen;
};

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

static bool fresh_locked(const struct fs_inode *i, uint64_t now_ms, const struct fs_call *call)
{
    return i->attr_known && (now_ms < i->until_ms || i->checked_ms >= call->begun_ms);
}

/* @dir exists. Where do its attributes come from? */
static int dir_step_locked(struct fs *fs, struct fs_inode *dir, const struct fs_call *call,
                           struct step *step, struct ou_error *err)
{
    uint64_t now_ms = ou_now_ms();
    struct fs_record *record;
    struct fs_found found;
    enum fs_known marker;
    char *key = NULL;
    int r;

    step->inode = dir;
    if (dir->staged || fresh_locked(dir, now_ms, call))
        return 0;
    if (fs->config.attrs_from_list) {
        bool known = dir->dir->marker_known, has = dir->dir->has_marker;

        fs_apply_implied_locked(fs, dir, step->until_ms, now_ms);
        dir->dir->marker_known = known; /* a listing of it tells, or nothing does */
        dir->dir->has_marker = has;
        return 0;
    }
    r = fs_inode_key(&fs->tree, dir, &key, err);
    if (r < 0)
        return r;
    marker = fs_listing_marker(&dir->dir->listing, now_ms, call->begun_ms, &found);
    if (marker == FS_FILE && spool_is_deleted(fs->spool, key))
        marker = FS_ABSENT;
    record = fs_attrs_get(&fs->tree.attrs, key);
    if (marker == FS_ABSENT) {
        (void)fs_attrs_put_implied(&fs->tree.attrs, key, err);
        fs_apply_implied_locked(fs, dir, found.until_ms, found.segment->begun_ms);
    } else if (marker == FS_FILE && fs_attrs_match(&fs->tree.attrs, key, found.version)) {
        record = fs_attrs_get(&fs->tree.attrs, key);
        fs_apply_record_locked(fs, dir, record, found.until_ms, found.segment->begun_ms);
    } else {
        step->need = marker == FS_UNKNOWN && record ? NEED_LIST_OF_DIR : NEED_MARKER;
    }
    free(key);
    return 0;
}

/* It is here because something below it is staged; what the bucket says cannot change that. */
static int pinned_step_locked(struct fs *fs, struct fs_inode *child, const struct fs_call *call,
                              struct step *step, struct ou_error *err)
{
    uint64_t now_ms = ou_now_ms();
    int r;

    step->inode = child;
    step->until_ms = fs_trust_until(fs);
    if (child->staged || !child->dir)
        return 0;
    r = dir_step_locked(fs, child, call, step, err);
    if (r == 0 && step->need != ANSWERED) {
        step->optional = true;
        if (now_ms < fs->offline_until_ms)
            step->need = ANSWERED;
    }
    return r;
}

/* -- files -- */

static int file_step_locked(struct fs *fs, struct fs_inode *parent, const char *name, bool attr,
                            char **key, const struct fs_found *found, struct step *step,
                            struct ou_error *err)
{
    struct fs_inode *child = fs_inode_child(&fs->tree, parent, name);
    const struct fs_version *version = found->version;
    uint64_t checked_ms = found->segment ? found->segment->begun_ms : ou_now_ms();
    struct fs_record *record = fs_attrs_match(&fs->tree.attrs, *key, version);
    struct fs_record listed = {.seen = *version, .object = *version};

    if (attr || version->size <= FS_LINK_MAX || version->link)
        fs_prefetch_note_locked(fs, parent, name, attr);
    step->until_ms = found->until_ms;
    if (child && !child->dir && child->has_remote && child->attr_known &&
        fs_version_same(&child->seen, version)) {
        fs_version_adopt(&child->seen, version);
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
    if (!record) {
        step->need = NEED_HEAD;
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
                              const struct fs_call *call, struct step *step)
{
    const char *after = fs_listing_page_start(l, name, call->begun_ms);

    if (!after)
        return false;
    step->need = *after ? NEED_PAGE : NEED_START;
    if (*after)
        step->key = strdup(after); /* without memory: a page from the name on */
    return true;
}

static void unknown_step_locked(struct fs *fs, struct fs_inode *parent, const char *name,
                                const char *key, const struct fs_call *call, struct step *step)
{
    struct fs_dir *d = parent->dir;
    uint64_t now_ms = ou_now_ms();
    bool listed = d->listed_ms && now_ms - d->listed_ms < LISTED_WINDOW_MS;
    bool missed = d->missed_ms && now_ms - d->missed_ms < MISS_WINDOW_MS;
    bool onwards = d->missed && strcmp(name, d->missed) > 0;

    if (fs_listing_covering(&d->listing, name, now_ms, call->begun_ms)) {
        step->need = NEED_BELOW; /* the page ended between "name" and "name/" */
        return;
    }
    if (fs->config.attr_timeout_ms == 0)
        step->need = NEED_NAME; /* nothing is remembered: ask for no more than is wanted */
    else if (listed && d->huge && missed && page_again_locked(&d->listing, name, call, step))
        return;
    else if (listed && d->listed_ms >= call->begun_ms)
        step->need = missed && onwards ? NEED_PAGE : NEED_NAME;
    else if (listed ? !d->huge : missed || fs_attrs_get(&fs->tree.attrs, key) != NULL)
        step->need = NEED_START; /* a name known from before: its neighbours are wanted, too */
    else
        step->need = listed && missed && onwards ? NEED_PAGE : NEED_NAME;
}

static void note_miss_locked(struct fs_inode *parent, const char *name)
{
    struct fs_dir *d = parent->dir;

    d->missed_ms = ou_now_ms();
    free(d->missed);
    d->missed = strdup(name);
}

/* -- one look at everything known -- */

static int look_locked(struct fs *fs, struct fs_inode *parent, const char *name, bool attr,
                       const struct fs_call *call, struct step *step, struct ou_error *err)
{
    struct fs_listing *l = &parent->dir->listing;
    struct fs_inode *child = fs_inode_child(&fs->tree, parent, name);
    uint64_t now_ms = ou_now_ms();
    ou_autofree char *key = NULL;
    struct fs_found found;
    enum fs_known known;
    int r;

    *step = (struct step){.need = ANSWERED};
    if (child && child->pins)
        return pinned_step_locked(fs, child, call, step, err);
    r = fs_child_key(&fs->tree, parent, name, false, &key, err);
    if (r < 0)
        return r;
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
        if (child && fresh_locked(child, now_ms, call)) {
            step->inode = child; /* told by something else: its marker, its own upload */
            step->until_ms = child->until_ms;
        } else {
            unknown_step_locked(fs, parent, name, key, call, step);
        }
        return 0;
    }
}

/* -- and the requests it leads to -- */

static int step_request(struct fs *fs, struct fs_inode *parent, const char *name,
                        const struct fs_call *call, const struct step *step, struct ou_error *err)
{
    char before[FS_NAME_BEFORE_SIZE];
    struct fs_call short_call = *call;
    int r;

    switch (step->need) {
    case NEED_NAME:
        return fs_fetch_name(fs, parent, name, call, err);
    case NEED_BELOW:
        return fs_fetch_below(fs, parent, name, call, err);
    case NEED_START:
        return fs_fetch_start(fs, parent, call, err);
    case NEED_PAGE:
        fs_name_before(name, before);
        return fs_fetch_page(fs, parent, step->key ? step->key : before, NULL, call, NULL, NULL,
                             err);
    case NEED_HEAD:
        r = fs_fetch_head(fs, parent, name, step->key, step->has_seen ? &step->seen : NULL, call,
                          err);
        return r < 0 ? r : 0;
    case NEED_MARKER:
    case NEED_LIST_OF_DIR:
        if (step->optional && ou_now_ms() + PINNED_PATIENCE_MS < call->deadline_ms)
            short_call.deadline_ms = ou_now_ms() + PINNED_PATIENCE_MS;
        return step->need == NEED_MARKER ? fs_fetch_marker(fs, step->inode, &short_call, err)
                                         : fs_fetch_start(fs, step->inode, &short_call, err);
    case ANSWERED:
    default:
        return 0;
    }
}

static bool network_failed(const struct ou_error *err)
{
    return err->http_status == 0 && err->errnum != EINTR && err->errnum != ENOMEM;
}

static int resolve_in(struct fs *fs, struct fs_inode *parent, const char *name, bool attr,
                      const struct fs_call *call, struct fs_inode **inode, uint64_t *until_ms,
                      struct ou_error *err)
{
    struct fs_inode *kept = NULL; /* a directory keeps what was fetched into it while in use */
    int r = ou_error_set(err, EIO, "%s: it changes all the time", name);

    for (int steps = 0; steps < STEPS_MAX; steps++) {
        struct step step;
        bool answered;

        {
            ou_lock_scope(&fs->lock);
            r = look_locked(fs, parent, name, attr, call, &step, err);
            fs_inode_unuse(&fs->tree, r < 0 || step.inode != kept ? kept : NULL);
            if (r < 0)
                return r;
            if (step.inode && step.inode != kept)
                (void)fs_inode_use(step.inode);
            kept = step.inode;
            if (call->may_wait && (step.need == NEED_NAME || step.need == NEED_PAGE))
                note_miss_locked(parent, name);
        }
        if (step.need == ANSWERED)
            r = 0;
        else if (!call->may_wait)
            r = FS_MUST_WAIT;
        else
            r = step_request(fs, parent, name, call, &step, err);
        free(step.key);
        answered = step.need == ANSWERED || (r < 0 && step.optional && network_failed(err));
        if (answered) {
            *inode = step.inode;
            *until_ms = step.until_ms;
            return 0;
        }
        if (r != 0)
            break;
        r = ou_error_set(err, EIO, "%s: it changes all the time", name);
    }
    fs_unuse(fs, kept);
    return r;
}

int fs_resolve(struct fs *fs, uint64_t parent_id, const char *name, bool attr,
               const struct fs_call *call, struct fs_inode **inode, uint64_t *until_ms,
               struct ou_error *err)
{
    struct fs_inode *parent;
    ou_autofree char *dir = NULL;
    int r = fs_inode_get(fs, parent_id, &parent, err);

    *inode = NULL;
    if (r < 0)
        return r;
    if (!parent->dir) {
        r = ou_error_set(err, ENOTDIR, "%s", name);
        goto out;
    }
    {
        ou_lock_scope(&fs->lock);
        r = fs_inode_key(&fs->tree, parent, &dir, err);
    }
    if (r == 0)
        r = fs_name_check(dir, name, false, err);
    if (r == -EILSEQ) { /* no key has such a name */
        *until_ms = fs_trust_until(fs);
        r = 0;
        goto out;
    }
    if (r == 0)
        r = resolve_in(fs, parent, name, attr, call, inode, until_ms, err);
out:
    fs_unuse(fs, parent);
    return r;
}

/* The root is there whatever the bucket says; a mounted prefix may have a marker. */
static int refresh_root(struct fs *fs, const struct fs_call *call, struct ou_error *err)
{
    struct fs_call short_call = *call;

    if (fs->prefix[0] == '\0' || fs->config.attrs_from_list)
        return 0;
    if (!call->may_wait)
        return FS_MUST_WAIT;
    if (ou_now_ms() + PINNED_PATIENCE_MS < call->deadline_ms)
        short_call.deadline_ms = ou_now_ms() + PINNED_PATIENCE_MS;
    return fs_fetch_marker(fs, fs->tree.root, &short_call, err) == -EINTR ? -EINTR : 0;
}

int fs_refresh(struct fs *fs, struct fs_inode *inode, const struct fs_call *call,
               struct ou_error *err)
{
    ou_autofree char *name = NULL;
    struct fs_inode *found = NULL;
    uint64_t parent_id = 0, until_ms;
    int r;

    {
        ou_lock_scope(&fs->lock);
        if (inode->staged || fresh_locked(inode, ou_now_ms(), call))
            return 0;
        if (!inode->parent && inode != fs->tree.root)
            return 0; /* unlinked, and in use: what was known last */
        if (inode->parent) {
            parent_id = inode->parent->id;
            name = strdup(inode->name);
        }
    }
    if (inode == fs->tree.root)
        return refresh_root(fs, call, err);
    if (!name)
        return ou_error_set(err, ENOMEM, "look up again");
    r = fs_resolve(fs, parent_id, name, true, call, &found, &until_ms, err);
    if (r != 0)
        return r;
    if (found != inode)
        r = ou_error_set(err, found ? ESTALE : ENOENT, "%s", name);
    if (found)
        fs_unuse(fs, found);
    return r;
}

int fs_need_attr(struct fs *fs, struct fs_inode *inode, const struct fs_call *call,
                 struct ou_error *err)
{
    {
        ou_lock_scope(&fs->lock);
        if (inode->staged || inode->attr_known)
            return 0;
    }
    return fs_refresh(fs, inode, call, err);
}

int fs_inode_get(struct fs *fs, uint64_t id, struct fs_inode **inode, struct ou_error *err)
{
    ou_lock_scope(&fs->lock);
    *inode = fs_inode_find(&fs->tree, id);
    if (!*inode)
        return ou_error_set(err, ESTALE, "inode %llu", (unsigned long long)id);
    (void)fs_inode_use(*inode);
    return 0;
}

void fs_unuse(struct fs *fs, struct fs_inode *inode)
{
    ou_lock_scope(&fs->lock);
    fs_inode_unuse(&fs->tree, inode);
}

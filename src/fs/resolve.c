/* The lookup policy, told in fs/resolve.h: the requests that a look (fs/look.h) leads to. */
#include "fs/resolve.h"

#include "fs/attrs_file.h"
#include "fs/fetch.h"
#include "fs/look.h"
#include "fs/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PINNED_PATIENCE_MS 3000u /* for attributes of a directory that is here anyhow */
#define STEPS_MAX          12    /* requests for one name; more means that it keeps changing */

static struct fs_call call_of_step(const struct fs_call *call, const struct fs_step *step)
{
    struct fs_call own = *call;

    if (step->optional && ou_now_ms() + PINNED_PATIENCE_MS < own.deadline_ms)
        own.deadline_ms = ou_now_ms() + PINNED_PATIENCE_MS;
    return own;
}

/*
 * With the lock that was held when the step was found to be needed. Return: 1: send the request, by
 * @flight (malloc'ed; NULL: it needs none); 0: another call's has been waited for, look again;
 * -EINTR, -ETIMEDOUT, -ENOMEM.
 */
static int take_off_locked(struct fs *fs, struct fs_inode *parent, const char *name,
                           const struct fs_call *call, const struct fs_step *step, char **flight,
                           struct ou_error *err)
{
    struct fs_call own = call_of_step(call, step);
    ou_autofree char *key = NULL;
    enum fs_fetch what = FS_FETCH_HEAD;
    int r = 0;

    switch (step->need) {
    case FS_NEED_NAME:
    case FS_NEED_BELOW:
        what = step->need == FS_NEED_NAME ? FS_FETCH_NAME : FS_FETCH_BELOW;
        r = fs_child_key(&fs->tree, parent, name, false, &key, err);
        break;
    case FS_NEED_START:
    case FS_NEED_LIST_OF_DIR:
        what = FS_FETCH_START;
        r = fs_inode_key(&fs->tree, step->need == FS_NEED_START ? parent : step->inode, &key, err);
        break;
    case FS_NEED_HEAD:
        key = strdup(step->key);
        r = key ? 0 : ou_error_set(err, ENOMEM, "%s", name);
        break;
    case FS_NEED_MARKER:
        r = fs_inode_key(&fs->tree, step->inode, &key, err);
        break;
    case FS_NEED_PAGE: /* from one name on: hardly ever the same for two calls */
    case FS_NEED_RECALL:
    case FS_ANSWERED:
    default:
        return 1;
    }
    if (r < 0)
        return r;
    *flight = fs_fetch_flight(what, key);
    if (!*flight)
        return ou_error_set(err, ENOMEM, "%s", key);
    r = fs_flight_begin(&fs->flights, &fs->lock, *flight, own.deadline_ms, own.cancel, err);
    if (r != 1) {
        free(*flight);
        *flight = NULL;
    }
    return r;
}

static int step_request(struct fs *fs, struct fs_inode *parent, const char *name,
                        const struct fs_call *call, const struct fs_step *step,
                        struct ou_error *err)
{
    struct fs_call own = call_of_step(call, step);
    char before[FS_NAME_BEFORE_SIZE];
    int r;

    switch (step->need) {
    case FS_NEED_NAME:
        return fs_fetch_name(fs, parent, name, &own, err);
    case FS_NEED_BELOW:
        return fs_fetch_below(fs, parent, name, &own, err);
    case FS_NEED_START:
        return fs_fetch_start(fs, parent, &own, err);
    case FS_NEED_PAGE:
        fs_name_before(name, before);
        return fs_fetch_page(fs, parent, step->key ? step->key : before, NULL, &own, NULL, NULL,
                             err);
    case FS_NEED_HEAD:
        r = fs_fetch_head(fs, parent, name, step->key, step->has_seen ? &step->seen : NULL, &own,
                          err);
        return r < 0 ? r : 0;
    case FS_NEED_RECALL:
        fs_attrs_recall(fs, step->key);
        return 0;
    case FS_NEED_MARKER:
        return fs_fetch_marker(fs, step->inode, &own, err);
    case FS_NEED_LIST_OF_DIR:
        return fs_fetch_start(fs, step->inode, &own, err);
    case FS_ANSWERED:
    default:
        return 0;
    }
}

/* The request, and the end of its flight. */
static int fly(struct fs *fs, struct fs_inode *parent, const char *name, const struct fs_call *call,
               const struct fs_step *step, const char *flight, struct ou_error *err)
{
    int r = step_request(fs, parent, name, call, step, err);

    if (flight) {
        ou_lock_scope(&fs->lock);
        fs_flight_land(&fs->flights, flight);
    }
    return r;
}

static bool network_failed(const struct ou_error *err)
{
    return err->http_status == 0 && err->errnum != EINTR && err->errnum != ENOMEM;
}

static void note_miss_locked(struct fs_inode *parent, const char *name)
{
    struct fs_dir *d = parent->dir;

    d->missed_ms = ou_now_ms();
    free(d->missed);
    d->missed = strdup(name);
}

static int resolve_in(struct fs *fs, struct fs_inode *parent, const char *name, bool attr,
                      const struct fs_call *call, struct fs_inode **inode, uint64_t *until_ms,
                      struct ou_error *err)
{
    struct fs_inode *kept = NULL; /* a directory keeps what was fetched into it while in use */
    int r = ou_error_set(err, EIO, "%s: it changes all the time", name);

    for (int steps = 0; steps < STEPS_MAX; steps++) {
        ou_autofree char *flight = NULL;
        struct fs_step step;
        bool answered, mine = false;

        {
            ou_lock_scope(&fs->lock);
            r = fs_look_locked(fs, parent, name, attr, call, &step, err);
            fs_inode_unuse(&fs->tree, r < 0 || step.inode != kept ? kept : NULL);
            if (r < 0)
                return r;
            if (step.inode && step.inode != kept)
                (void)fs_inode_use(step.inode);
            kept = step.inode;
            if (call->may_wait && (step.need == FS_NEED_NAME || step.need == FS_NEED_PAGE))
                note_miss_locked(parent, name);
            if (step.need != FS_ANSWERED && call->may_wait) {
                r = take_off_locked(fs, parent, name, call, &step, &flight, err);
                mine = r == 1;
            } else if (step.need != FS_ANSWERED) {
                r = FS_MUST_WAIT;
            }
        }
        if (mine)
            r = fly(fs, parent, name, call, &step, flight, err);
        free(step.key);
        answered = step.need == FS_ANSWERED || (r < 0 && step.optional && network_failed(err));
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
    struct fs_inode *root = fs->tree.root;
    ou_autofree char *flight = NULL;
    struct fs_step step = {.need = FS_NEED_MARKER, .inode = root, .optional = true};
    int r;

    if (fs->prefix[0] == '\0' || fs->config.attrs_from_list)
        return 0;
    if (!call->may_wait)
        return FS_MUST_WAIT;
    {
        ou_lock_scope(&fs->lock);
        r = fs_look_fresh_locked(root, ou_now_ms(), call)
                ? 0
                : take_off_locked(fs, NULL, NULL, call, &step, &flight, err);
    }
    if (r == 1)
        r = fly(fs, NULL, NULL, call, &step, flight, err);
    return r == -EINTR ? -EINTR : 0;
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
        if (inode->staged || fs_look_fresh_locked(inode, ou_now_ms(), call))
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

/*
 * Rename of a directory.
 *
 *   1  journal "begin"
 *   2  what is staged below: renamed in the spool; from now on nothing below stops being staged
 *   3  all other objects below: copied on the server, many at once (rename_copy.c)
 *   4  what has been staged meanwhile, as 2; then, in the same moment, the inode moves
 *   5  what has been unlinked or replaced below since 1: once more, at the new place
 *   6  the copied objects' old keys: deleted by batches
 *   7  journal "end"
 *
 * In a hierarchical bucket one request stands for 3 and 6, and comes before 2 and 4, in which the
 * staged files only follow it; what happens if it cannot be had is the above.
 *
 * An error up to 4 leaves the old name; what was copied by then is taken back. After a crash
 * 2, 3, 6 and 7 are done again by the next mount (fs_finish_renames()), while it is in use: what
 * has been made under a new name since is newer, and stays.
 */
#include "fs/rename.h"

#include "base/log.h"
#include "fs/remove.h"
#include "fs/rename_impl.h"
#include "fs/rename_journal.h"
#include "fs/rename_whole.h"
#include "fs/stage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

char *fs_mover_new_key(const struct fs_mover *m, const char *key)
{
    size_t rest = strlen(key) - strlen(m->from), to = strlen(m->to);
    char *new_key = malloc(to + rest + 1);

    if (!new_key)
        return NULL;
    memcpy(new_key, m->to, to);
    memcpy(new_key + to, key + strlen(m->from), rest + 1);
    return new_key;
}

void fs_mover_keys_add(struct fs_mover_keys *k, const char *key)
{
    ou_buf_add(&k->text, key, strlen(key) + 1);
}

/* -- staged files -- */

bool fs_mover_made_since(struct fs *fs, const char *key)
{
    struct spool_file *file;

    bool pending;

    if (!spool_find(fs->spool, key, &file))
        return false;
    pending = spool_file_pending(file); /* else it is there because somebody still looks at it */
    spool_file_unref(file);
    return pending;
}

int fs_mover_rename_staged(struct fs_mover *m, struct fs_inode *inode, struct spool_file *file,
                           struct ou_error *err)
{
    ou_autofree char *key = spool_file_key(file), *new_key = NULL;
    bool doomed;
    int r;

    if (!key || strncmp(key, m->from, strlen(m->from)) != 0)
        return 0; /* unlinked, or there already */
    new_key = fs_mover_new_key(m, key);
    if (!new_key)
        return ou_error_set(err, ENOMEM, "rename %s", key);
    if (strlen(new_key) > OSS_KEY_MAX)
        return ou_error_set(err, ENAMETOOLONG, "%s under %s", key, m->to);
    if (m->finishing && fs_mover_made_since(m->fs, new_key))
        return 0;
    doomed = fs_replacing(m->fs, new_key);
    r = m->along ? spool_move_file(file, new_key, err)
                 : fs_rename_file(file, new_key, m->call, err);
    if (r < 0 && doomed)
        fs_replacing_failed(m->fs, new_key);
    if (r < 0 || !inode)
        return r;
    ou_lock_scope(&m->fs->lock);
    fs_gone_add(&m->fs->gone, key, ou_now_ms());
    fs_gone_made(&m->fs->gone, new_key);
    if (!m->along && inode->has_remote && !spool_file_pending(file))
        inode->lost = true;
    inode->own_changes++;
    return 0;
}

/* The next inode below @top that is staged and has not been renamed, held by fs_stage()'s rules. */
static struct fs_inode *next_staged_locked(struct fs_inode *top)
{
    for (struct fs_inode *i = top; i; i = fs_tree_next(i, top))
        if (i->staged && !i->moved)
            return i;
    return NULL;
}

static int rename_staged_below(struct fs_mover *m, struct fs_inode *top, struct ou_error *err)
{
    for (;;) {
        struct spool_file *file;
        struct fs_inode *inode;
        int r;

        {
            ou_lock_scope(&m->fs->lock);
            inode = next_staged_locked(top);
            if (!inode)
                return 0;
            inode->moved = true;
            inode->staged_uses++;
            file = spool_file_ref(inode->staged);
            (void)fs_inode_use(inode);
        }
        r = fs_mover_rename_staged(m, inode, file, err);
        fs_stage_done(m->fs, inode, file);
        {
            ou_lock_scope(&m->fs->lock);
            if (r < 0)
                inode->moved = false;
            fs_inode_unuse(&m->fs->tree, inode);
        }
        if (r < 0)
            return r;
    }
}

/* -- the tree -- */

/* Nothing of the directory or below has ever been in the bucket. */
static bool never_published_locked(const struct fs_inode *top)
{
    for (const struct fs_inode *i = top; i; i = fs_tree_next((struct fs_inode *)i, top)) {
        if (i->has_remote || !i->staged)
            return false;
        if (!i->dir)
            continue;
        if (!i->dir->listing.born || i->dir->listing.born_until_ms != UINT64_MAX)
            return false;
        for (const struct fs_change *c = i->dir->listing.oldest_change; c; c = c->newer)
            if (c->state != FS_ABSENT)
                return false;
    }
    return true;
}

/* What is known about the object under its old key holds for the new one. */
static void went_along_locked(struct fs_mover *m, struct fs_inode *i)
{
    ou_autofree char *new_key = NULL, *key = NULL;
    struct fs_mover back = {.from = m->to, .to = m->from};
    const struct spool_attr *known = i->attr_known ? &i->attr : NULL;
    struct spool_attr attr = {.mode = 0};
    struct fs_record *record;
    struct ou_error err;

    i->own_changes++;
    if (!i->has_remote || fs_inode_key(&m->fs->tree, i, &new_key, &err) < 0)
        return;
    key = fs_mover_new_key(&back, new_key);
    record = key ? fs_attrs_match(&m->fs->tree.attrs, key, fs_inode_seen(i)) : NULL;
    if (record)
        known = &record->attr;
    if (known && spool_attr_copy(&attr, known, &err) == 0) {
        (void)fs_attrs_put(&m->fs->tree.attrs, new_key, fs_inode_seen(i), &i->remote, &attr, &err);
        spool_attr_fini(&attr);
    }
}

/* Objects that were copied have versions of their own; about others the bucket must be asked. */
static void versions_locked(struct fs_mover *m, struct fs_inode *top)
{
    for (struct fs_inode *i = top; i; i = fs_tree_next(i, top)) {
        i->moved = false;
        if (i->dir)
            fs_listing_moved(&i->dir->listing);
        if (m->along) {
            went_along_locked(m, i);
        } else if (!i->staged && i->moved_to) {
            fs_inode_set_remote(i, i->moved_to, i->moved_to);
            i->own_changes++;
        } else if (!i->staged && i->has_remote) {
            i->has_remote = i->attr_known = false;
            i->until_ms = 0;
        }
        free(i->moved_to);
        i->moved_to = NULL;
    }
}

/* What was deleted below since the copies began: to be deleted at the new place, too. A name that the
 * tree still has was renamed in the spool: that is no delete. */
static void collect_gone_locked(struct fs_mover *m, struct fs_mover_keys *gone)
{
    const struct fs_gone_key *k = m->fs->gone.keys.newest;
    size_t len = strlen(m->from);

    for (; k && k->added_ms >= m->begun_ms; k = k->older) {
        ou_autofree char *new_key =
            strncmp(k->key, m->from, len) == 0 && !fs_walk_locked(m->fs, k->key)
                ? fs_mover_new_key(m, k->key)
                : NULL;

        if (new_key)
            fs_mover_keys_add(gone, new_key);
    }
}

static int move_tree(struct fs_mover *m, struct fs_move *move, struct fs_mover_keys *gone,
                     struct ou_error *err)
{
    for (;;) {
        int r = rename_staged_below(m, move->inode, err);

        if (r < 0)
            return r;
        ou_lock_scope(&m->fs->lock);
        if (next_staged_locked(move->inode))
            continue;
        collect_gone_locked(m, gone);
        r = fs_move_locked(m->fs, move, NULL, err);
        if (r < 0)
            return r;
        versions_locked(m, move->inode);
        move->inode->dir->renaming = false;
        return 0;
    }
}

static void delete_keys(struct fs *fs, const struct fs_mover_keys *k)
{
    const char *key = ou_buf_str(&k->text), *end = key + k->text.len;
    struct ou_error err = OU_ERROR_INIT;

    for (; key < end; key += strlen(key) + 1) {
        if (fs_mover_made_since(fs, key))
            continue;
        if (spool_delete(fs->spool, key, NULL, &err) < 0)
            ou_log_warn(OU_LOG_FS, &err, "renamed, but the old name stays key=%s", key);
        ou_lock_scope(&fs->lock);
        fs_gone_add(&fs->gone, key, ou_now_ms());
    }
}

/* -- by copies -- */

static void undo(struct fs_mover *m, struct fs_inode *top)
{
    struct fs_call call = fs_call_own(m->fs);
    struct fs_mover back = {.fs = m->fs, .call = &call, .from = m->to, .to = m->from};
    struct fs_dir *dir = top->dir;
    struct ou_error err;

    call.deadline_ms = 0;
    {
        ou_lock_scope(&m->fs->lock);
        for (struct fs_inode *i = top; i; i = fs_tree_next(i, top)) {
            i->moved = false;
            free(i->moved_to);
            i->moved_to = NULL;
        }
    }
    if (rename_staged_below(&back, top, &err) < 0)
        ou_log_error(OU_LOG_FS, &err, "a rename that failed is not taken back wholly from=%s to=%s",
                     m->from, m->to);
    {
        ou_lock_scope(&m->fs->lock);
        dir->renaming = false;
        for (struct fs_inode *i = top; i; i = fs_tree_next(i, top))
            i->moved = false;
    }
    delete_keys(m->fs, &m->placed);
    ou_lock_scope(&m->fs->lock);
    fs_gone_add_dir(&m->fs->gone, m->to, ou_now_ms());
}

static int run(struct fs_mover *m, struct fs_move *move, bool remote, struct ou_error *err)
{
    struct fs_mover_keys gone = {.text = {.data = NULL}};
    int r = rename_staged_below(m, move->inode, err);

    if (r == 0 && remote)
        r = fs_mover_copy_all(m, err);
    if (r == 0)
        r = move_tree(m, move, &gone, err);
    if (r < 0) {
        undo(m, move->inode);
    } else {
        delete_keys(m->fs, &gone);
        delete_keys(m->fs, &m->copied);
    }
    ou_buf_fini(&gone.text);
    return r;
}

/* -- in one request -- */

static void take_back_whole(struct fs_mover *m, struct fs_inode *top)
{
    struct fs_call call = fs_call_own(m->fs);
    struct fs_mover back = {
        .fs = m->fs, .call = &call, .from = m->to, .to = m->from, .along = true};
    struct ou_error err = OU_ERROR_INIT;
    bool unknown;
    int r = fs_whole_request(m->fs, m->to, m->from, &call, &unknown, &err);

    {
        ou_lock_scope(&m->fs->lock);
        for (struct fs_inode *i = top; i; i = fs_tree_next(i, top))
            i->moved = false;
    }
    if (r == 1 && rename_staged_below(&back, top, &err) == 0)
        return;
    ou_log_error(OU_LOG_FS, &err, "a rename that failed is not taken back wholly from=%s to=%s",
                 m->from, m->to);
}

/* Return: 1 done, 0 not to be had so, negative errno. *@unknown: it is for the next mount to learn. */
static int run_whole(struct fs_mover *m, struct fs_move *move, bool *unknown, struct ou_error *err)
{
    struct spool_move along = {.from = m->from, .to = m->to};
    struct fs_mover_keys gone = {.text = {.data = NULL}};
    int r = fs_whole_begin(m->fs, &along, m->call, err);

    if (r != 1)
        return r;
    r = fs_whole_request(m->fs, m->from, m->to, m->call, unknown, err);
    if (r == 1) {
        m->along = true;
        r = move_tree(m, move, &gone, err);
        if (r < 0)
            take_back_whole(m, move->inode);
        else
            r = 1;
    }
    spool_move_end(m->fs->spool, &along);
    if (r == 1)
        delete_keys(m->fs, &gone);
    ou_buf_fini(&gone.text);
    return r;
}

static int rename_whole(struct fs_mover *m, struct fs_move *move, struct ou_error *err)
{
    struct fs *fs = m->fs;
    bool unknown = false;
    uint64_t id;
    int r;

    if (!oss_client_hierarchical(fs->client))
        return 0;
    r = fs_renames_begin(fs->renames, m->from, m->to, FS_RENAME_WHOLE, &id, err);
    if (r < 0)
        return r;
    r = run_whole(m, move, &unknown, err);
    if (unknown)
        ou_log_error(OU_LOG_FS, err, "not known whether it was renamed from=%s to=%s", m->from,
                     m->to);
    else
        fs_renames_end(fs->renames, id);
    return r;
}

static int rename_copying(struct fs_mover *m, struct fs_move *move, bool remote,
                          struct ou_error *err)
{
    uint64_t id;
    int r = fs_renames_begin(m->fs->renames, m->from, m->to, "", &id, err);

    if (r < 0)
        return r;
    r = run(m, move, remote, err);
    fs_renames_end(m->fs->renames, id);
    return r;
}

int fs_rename_dir(struct fs *fs, struct fs_move *move, const struct fs_call *call,
                  struct ou_error *err)
{
    struct fs_call patient = *call;
    struct fs_mover m;
    bool remote;
    int r;

    if (!call->may_wait)
        return FS_MUST_WAIT;
    patient.deadline_ms = 0;
    r = fs_mover_init(&m, fs, move->key, move->new_key, &patient, err);
    if (r < 0)
        return r;
    {
        ou_lock_scope(&fs->lock);
        remote = !never_published_locked(move->inode);
        move->inode->dir->renaming = true;
    }
    r = remote ? rename_whole(&m, move, err) : 0;
    if (r == 0)
        r = rename_copying(&m, move, remote, err);
    {
        ou_lock_scope(&fs->lock);
        move->inode->dir->renaming = false;
    }
    fs_mover_fini(&m);
    return r < 0 ? r : 0;
}

/* -- after a crash -- */

struct left {
    struct fs_mover *mover;
    int r;
    struct ou_error *err;
};

static void finish_staged(void *ctx, struct spool_file *file)
{
    struct left *left = ctx;

    if (left->r == 0)
        left->r = fs_mover_rename_staged(left->mover, NULL, file, left->err);
    if (left->r == 0)
        fs_stage_again(left->mover->fs, file);
}

int fs_finish_rename_dir(struct fs *fs, const char *from, const char *to, struct ou_error *err)
{
    struct fs_call call = fs_call_own(fs);
    struct left left = {.err = err};
    struct fs_mover m;
    int r;

    call.deadline_ms = 0; /* each request has one; all of them may take long */
    r = fs_mover_init(&m, fs, from, to, &call, err);
    if (r < 0)
        return r;
    left.mover = &m;
    m.finishing = true;
    spool_each(fs->spool, finish_staged, &left);
    r = left.r < 0 ? left.r : fs_mover_copy_all(&m, err);
    fs_mover_fini(&m);
    return r;
}

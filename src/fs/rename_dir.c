/*
 * Rename of a directory.
 *
 *   1  journal "begin"
 *   2  what is staged below: renamed in the spool; from now on nothing below stops being staged
 *   3  all other objects below: copied on the server, COPIERS at once
 *   4  what has been staged meanwhile, as 2; then, in the same moment, the inode moves
 *   5  what has been unlinked or replaced below since 1: once more, at the new place
 *   6  the copied objects' old keys: deleted by batches
 *   7  journal "end"
 *
 * An error up to 4 leaves the old name; what was copied by then is taken back. After a crash
 * 2, 3, 6 and 7 are done again by the next mount (fs_finish_renames()), while it is in use: what
 * has been made under a new name since is newer, and stays.
 */
#include "fs/rename.h"

#include "base/log.h"
#include "fs/fetch.h"
#include "fs/remove.h"
#include "fs/rename_journal.h"
#include "fs/resolve.h"
#include "fs/stage.h"
#include "oss/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define COPIERS    32u
#define QUEUED_MAX 2000u /* copies waiting for a copier: what the memory of this is bounded by */

struct keys { /* NUL-separated */
    struct ou_buf text;
};

struct mover {
    struct fs *fs;
    const struct fs_call
        *call;             /* each request has the client's deadline; all of them may take long */
    const char *from, *to; /* keys; both end in "/" */
    uint64_t begun_ms;
    bool finishing; /* after a crash: the tree has both names, and nothing moves in it */
    struct fs_pool *copiers;
    pthread_cond_t landed; /* with the filesystem's lock: a copy ended */
    size_t flying;         /* filesystem's lock, all below */
    int failed;            /* the first error */
    struct ou_error error;
    struct keys copied, placed; /* old keys to delete; new keys to take back on failure */
};

static char *new_key_of(const struct mover *m, const char *key)
{
    size_t rest = strlen(key) - strlen(m->from), to = strlen(m->to);
    char *new_key = malloc(to + rest + 1);

    if (!new_key)
        return NULL;
    memcpy(new_key, m->to, to);
    memcpy(new_key + to, key + strlen(m->from), rest + 1);
    return new_key;
}

static void keys_add(struct keys *k, const char *key)
{
    ou_buf_add(&k->text, key, strlen(key) + 1);
}

/* -- objects -- */

struct copy {
    struct fs_task task;
    struct mover *mover;
    struct fs_version version;
    char key[];
};

/* What is known about the object under its old key holds for the copy. */
static void copied_locked(struct mover *m, const struct copy *c, const char *new_key,
                          const struct fs_version *version)
{
    struct fs *fs = m->fs;
    struct fs_record *record = fs_attrs_match(&fs->tree.attrs, c->key, &c->version);
    struct fs_inode *inode = fs_walk_locked(fs, c->key);
    struct spool_attr attr = {.mode = 0};
    struct ou_error err;

    if (record && spool_attr_copy(&attr, &record->attr, &err) == 0) {
        (void)fs_attrs_put(&fs->tree.attrs, new_key, version, version, &attr, &err);
        spool_attr_fini(&attr);
    }
    if (!inode || inode->staged || !inode->has_remote ||
        strcmp(inode->remote.etag, c->version.etag) != 0)
        return;
    if (!inode->moved_to)
        inode->moved_to = malloc(sizeof(*inode->moved_to));
    if (inode->moved_to)
        *inode->moved_to = *version;
}

static void copy_one(struct fs_task *task);

static bool ours_to_copy(struct fs *fs, const char *key)
{
    struct spool_file *file;

    if (spool_is_deleted(fs->spool, key))
        return false;
    if (spool_find(fs->spool, key, &file)) {
        bool pending = spool_file_pending(file);

        spool_file_unref(file);
        if (pending)
            return false; /* renamed in the spool */
    }
    ou_lock_scope(&fs->lock);
    return !fs_doomed_locked(fs, key);
}

static int start_copy(struct mover *m, const struct oss_list_entry *entry, struct ou_error *err)
{
    struct copy *c;

    if (!ours_to_copy(m->fs, entry->key))
        return 0;
    if (strlen(m->to) + entry->key_len - strlen(m->from) > OSS_KEY_MAX)
        return ou_error_set(err, ENAMETOOLONG, "%s under %s", entry->key, m->to);
    c = calloc(1, sizeof(*c) + entry->key_len + 1);
    if (!c)
        return ou_error_set(err, ENOMEM, "rename %s", entry->key);
    c->task.run = copy_one;
    c->mover = m;
    c->version = fs_version_of_entry(entry);
    memcpy(c->key, entry->key, entry->key_len);
    ou_lock_scope(&m->fs->lock);
    while (m->flying >= QUEUED_MAX)
        ou_cond_wait(&m->landed, &m->fs->lock);
    if (m->failed) {
        free(c);
        *err = m->error;
        return m->failed;
    }
    m->flying++;
    fs_pool_add(m->copiers, &c->task);
    return 0;
}

static int copy_page(struct mover *m, const char *token, struct oss_list_page *page,
                     struct ou_error *err)
{
    struct oss_call oss = fs_oss_call(m->call);
    int r =
        oss_list_objects(m->fs->client, &oss, m->from, NULL, NULL, token, OSS_LIST_MAX, page, err);

    for (size_t i = 0; r == 0 && i < page->count; i++)
        r = start_copy(m, &page->entries[i], err);
    return r;
}

/* Waits for all that fly, whatever happens. */
static int copy_all(struct mover *m, struct ou_error *err)
{
    ou_autofree char *token = NULL;
    bool more = true;
    int r = 0;

    while (r == 0 && more) {
        ou_auto(oss_list_page_fini) struct oss_list_page page = {.entries = NULL};

        r = copy_page(m, token, &page, err);
        more = r == 0 && page.truncated && page.next_token;
        free(token);
        token = page.next_token;
        page.next_token = NULL;
    }
    ou_lock_scope(&m->fs->lock);
    while (m->flying)
        ou_cond_wait(&m->landed, &m->fs->lock);
    if (r == 0 && m->failed) {
        *err = m->error;
        r = m->failed;
    }
    return r;
}

/* -- staged files -- */

static bool made_since(struct fs *fs, const char *key)
{
    struct spool_file *file;

    if (!spool_find(fs->spool, key, &file))
        return false;
    spool_file_unref(file);
    return true;
}

static int rename_one_staged(struct mover *m, struct fs_inode *inode, struct spool_file *file,
                             struct ou_error *err)
{
    ou_autofree char *key = spool_file_key(file), *new_key = NULL;
    bool doomed;
    int r;

    if (!key || strncmp(key, m->from, strlen(m->from)) != 0)
        return 0; /* unlinked, or there already */
    new_key = new_key_of(m, key);
    if (!new_key)
        return ou_error_set(err, ENOMEM, "rename %s", key);
    if (strlen(new_key) > OSS_KEY_MAX)
        return ou_error_set(err, ENAMETOOLONG, "%s under %s", key, m->to);
    if (m->finishing && made_since(m->fs, new_key))
        return 0;
    doomed = fs_replacing(m->fs, new_key);
    r = fs_rename_file(file, new_key, m->call, err);
    if (r < 0 && doomed)
        fs_replacing_failed(m->fs, new_key);
    if (r < 0 || !inode)
        return r;
    ou_lock_scope(&m->fs->lock);
    fs_gone_add(&m->fs->gone, key, ou_now_ms());
    fs_gone_made(&m->fs->gone, new_key);
    if (inode->has_remote && !spool_file_pending(file))
        inode->lost = true;
    inode->own_changes++;
    return 0;
}

/* An object that one CopyObject cannot move: as if it had been staged before. */
static int rename_by_spool(struct mover *m, const char *key, struct ou_error *err)
{
    struct spool_file *file;
    struct fs_inode *inode;
    int r = fs_stage_object(m->fs, key, m->call, &inode, &file, err);

    if (r < 0)
        return r;
    if (inode) {
        ou_lock_scope(&m->fs->lock);
        inode->moved = true;
    }
    r = rename_one_staged(m, inode, file, err);
    if (r == 0 && m->finishing)
        fs_stage_again(m->fs, file);
    if (!inode) {
        spool_file_unref(file);
        return r;
    }
    fs_stage_done(m->fs, inode, file);
    fs_unuse(m->fs, inode);
    return r;
}

/* Return: 1 copied, and its version; 0 the spool has renamed it; negative errno. */
static int make_copy(struct mover *m, const struct copy *c, const char *new_key,
                     struct fs_version *version, struct ou_error *err)
{
    bool doomed = fs_replacing(m->fs, new_key);
    int r = fs_copy_object(m->fs, c->key, &c->version, new_key, m->call, version, err);

    if (r == 0)
        r = rename_by_spool(m, c->key, err);
    if (r < 0 && doomed)
        fs_replacing_failed(m->fs, new_key);
    return r;
}

/* Likewise, after a crash. -ENOENT: it is left under its old name. */
static int finish_copy(struct mover *m, const struct copy *c, const char *new_key,
                       struct fs_version *version, struct ou_error *err)
{
    int r = fs_rename_target(m->fs, c->key, new_key, m->call, err);

    if (r == FS_TARGET_FREE)
        return make_copy(m, c, new_key, version, err);
    if (r != FS_TARGET_TAKEN)
        return r < 0 ? r : 1;
    ou_log(OU_LOG_FS, OU_LOG_WARN, "left under its old name, the new one is in use key=%s to=%s",
           c->key, new_key);
    return ou_error_set(err, ENOENT, "rename %s", c->key);
}

/* After a crash the old name is in use, too: it goes only if it is still what was copied. */
static void finish_delete(struct mover *m, const struct copy *c)
{
    ou_auto(oss_object_fini) struct oss_object object = {.size = 0};
    struct oss_call oss = fs_oss_call(m->call);
    struct ou_error err = OU_ERROR_INIT;
    int r = oss_head_object(m->fs->client, &oss, c->key, &object, &err);

    if (r == 0 ||
        (r == 1 && (strcmp(object.etag, c->version.etag) != 0 || made_since(m->fs, c->key))))
        return;
    if (r == 1)
        r = spool_delete(m->fs->spool, c->key, NULL, &err);
    if (r < 0)
        ou_log_warn(OU_LOG_FS, &err, "renamed, but the old name stays key=%s", c->key);
    ou_lock_scope(&m->fs->lock);
    if (r == 0)
        fs_gone_add(&m->fs->gone, c->key, ou_now_ms());
}

static void copy_one(struct fs_task *task)
{
    struct copy *c = fs_container(task, struct copy, task);
    struct mover *m = c->mover;
    ou_autofree char *new_key = new_key_of(m, c->key);
    struct ou_error err = OU_ERROR_INIT;
    struct fs_version version = c->version;
    int r;

    if (ou_cancel_triggered(m->call->cancel))
        r = ou_error_set(&err, EINTR, "rename %s", m->from);
    else if (!new_key)
        r = ou_error_set(&err, ENOMEM, "rename %s", m->from);
    else
        r = m->finishing ? finish_copy(m, c, new_key, &version, &err)
                         : make_copy(m, c, new_key, &version, &err);
    if (r == 1 && m->finishing)
        finish_delete(m, c);
    {
        ou_lock_scope(&m->fs->lock);
        if (r == 1)
            fs_gone_made(&m->fs->gone, new_key);
        if (r == 1 && !m->finishing) {
            copied_locked(m, c, new_key, &version);
            keys_add(&m->copied, c->key);
            keys_add(&m->placed, new_key);
        } else if (r < 0 && r != -ENOENT && !m->failed) { /* ENOENT: deleted meanwhile */
            m->failed = r;
            m->error = err;
        }
        m->flying--;
        (void)pthread_cond_broadcast(&m->landed);
    }
    free(c);
}

/* The next inode below @top that is staged and has not been renamed, held by fs_stage()'s rules. */
static struct fs_inode *next_staged_locked(struct fs_inode *top)
{
    for (struct fs_inode *i = top; i; i = fs_tree_next(i, top))
        if (i->staged && !i->moved)
            return i;
    return NULL;
}

static int rename_staged_below(struct mover *m, struct fs_inode *top, struct ou_error *err)
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
        r = rename_one_staged(m, inode, file, err);
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

/* Objects that were copied have versions of their own; about others the bucket must be asked. */
static void versions_locked(struct fs_inode *top)
{
    for (struct fs_inode *i = top; i; i = fs_tree_next(i, top)) {
        i->moved = false;
        if (i->dir)
            fs_listing_moved(&i->dir->listing);
        if (!i->staged && i->moved_to) {
            i->remote = i->seen = *i->moved_to;
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
static void collect_gone_locked(struct mover *m, struct keys *gone)
{
    const struct fs_gone_key *k = m->fs->gone.keys.newest;
    size_t len = strlen(m->from);

    for (; k && k->added_ms >= m->begun_ms; k = k->older) {
        ou_autofree char *new_key =
            strncmp(k->key, m->from, len) == 0 && !fs_walk_locked(m->fs, k->key)
                ? new_key_of(m, k->key)
                : NULL;

        if (new_key)
            keys_add(gone, new_key);
    }
}

static int move_tree(struct mover *m, struct fs_move *move, struct keys *gone, struct ou_error *err)
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
        versions_locked(move->inode);
        move->inode->dir->renaming = false;
        return 0;
    }
}

static void delete_keys(struct fs *fs, const struct keys *k)
{
    const char *key = ou_buf_str(&k->text), *end = key + k->text.len;
    struct ou_error err = OU_ERROR_INIT;

    for (; key < end; key += strlen(key) + 1) {
        struct spool_file *file;

        if (spool_find(fs->spool, key, &file)) { /* made anew since */
            spool_file_unref(file);
            continue;
        }
        if (spool_delete(fs->spool, key, NULL, &err) < 0)
            ou_log_warn(OU_LOG_FS, &err, "renamed, but the old name stays key=%s", key);
        ou_lock_scope(&fs->lock);
        fs_gone_add(&fs->gone, key, ou_now_ms());
    }
}

/* -- all of it -- */

static int mover_init(struct mover *m, struct fs *fs, const char *from, const char *to,
                      const struct fs_call *call, struct ou_error *err)
{
    *m = (struct mover){.fs = fs, .call = call, .from = from, .to = to, .begun_ms = ou_now_ms()};
    ou_cond_init(&m->landed);
    return fs_pool_new("rename", COPIERS, &m->copiers, err);
}

static void mover_fini(struct mover *m)
{
    fs_pool_free(m->copiers);
    (void)pthread_cond_destroy(&m->landed);
    ou_buf_fini(&m->copied.text);
    ou_buf_fini(&m->placed.text);
}

static void undo(struct mover *m, struct fs_inode *top)
{
    struct fs_call call = fs_call_own(m->fs);
    struct mover back = {.fs = m->fs, .call = &call, .from = m->to, .to = m->from};
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

static int run(struct mover *m, struct fs_move *move, bool remote, struct ou_error *err)
{
    struct keys gone = {.text = {.data = NULL}};
    int r = rename_staged_below(m, move->inode, err);

    if (r == 0 && remote)
        r = copy_all(m, err);
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

int fs_rename_dir(struct fs *fs, struct fs_move *move, const struct fs_call *call,
                  struct ou_error *err)
{
    struct fs_call patient = *call;
    struct mover m;
    uint64_t id;
    bool remote;
    int r;

    if (!call->may_wait)
        return FS_MUST_WAIT;
    patient.deadline_ms = 0;
    r = fs_renames_begin(fs->renames, move->key, move->new_key, "", &id, err);
    if (r < 0)
        return r;
    r = mover_init(&m, fs, move->key, move->new_key, &patient, err);
    if (r == 0) {
        {
            ou_lock_scope(&fs->lock);
            remote = !never_published_locked(move->inode);
            move->inode->dir->renaming = true;
        }
        r = run(&m, move, remote, err);
        mover_fini(&m);
    }
    fs_renames_end(fs->renames, id);
    return r;
}

/* -- after a crash -- */

struct left {
    struct mover *mover;
    int r;
    struct ou_error *err;
};

static void finish_staged(void *ctx, struct spool_file *file)
{
    struct left *left = ctx;

    if (left->r == 0)
        left->r = rename_one_staged(left->mover, NULL, file, left->err);
    if (left->r == 0)
        fs_stage_again(left->mover->fs, file);
}

int fs_finish_rename_dir(struct fs *fs, const char *from, const char *to, struct ou_error *err)
{
    struct fs_call call = fs_call_own(fs);
    struct left left = {.err = err};
    struct mover m;
    int r;

    call.deadline_ms = 0; /* each request has one; all of them may take long */
    r = mover_init(&m, fs, from, to, &call, err);
    if (r < 0)
        return r;
    left.mover = &m;
    m.finishing = true;
    spool_each(fs->spool, finish_staged, &left);
    r = left.r < 0 ? left.r : copy_all(&m, err);
    mover_fini(&m);
    return r;
}

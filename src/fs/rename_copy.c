/*
 * The objects below a directory that is renamed: each copied on the server under its new name.
 *
 * The listing of the old name goes by pages to the copiers, which copy many at once. What has
 * been staged since is passed over, the spool renames it; what one CopyObject cannot move is
 * staged and renamed so. The first error ends it.
 */
#include "fs/rename_impl.h"

#include "base/log.h"
#include "fs/attrs_file.h"
#include "fs/remove.h"
#include "fs/rename.h"
#include "fs/resolve.h"
#include "fs/stage.h"
#include "oss/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COPIERS    32u
#define QUEUED_MAX 2000u /* copies waiting for a copier: what the memory of this is bounded by */

/* -- the mover -- */

int fs_mover_init(struct fs_mover *m, struct fs *fs, const char *from, const char *to,
                  const struct fs_call *call, struct ou_error *err)
{
    *m = (struct fs_mover){.fs = fs, .call = call, .from = from, .to = to, .begun_ms = ou_now_ms()};
    ou_cond_init(&m->landed);
    return fs_pool_new("rename", COPIERS, &m->copiers, err);
}

void fs_mover_fini(struct fs_mover *m)
{
    fs_pool_free(m->copiers);
    (void)pthread_cond_destroy(&m->landed);
    ou_buf_fini(&m->copied.text);
    ou_buf_fini(&m->placed.text);
}

/* -- one object, by a copier -- */

struct copy {
    struct fs_task task;
    struct fs_mover *mover;
    struct fs_version version;
    char key[];
};

/* What is known about the object under its old key holds for the copy. */
static void copied_locked(struct fs_mover *m, const struct copy *c, const char *new_key,
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

/* An object that one CopyObject cannot move: as if it had been staged before. */
static int rename_by_spool(struct fs_mover *m, const char *key, struct ou_error *err)
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
    r = fs_mover_rename_staged(m, inode, file, err);
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
static int make_copy(struct fs_mover *m, const struct copy *c, const char *new_key,
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
static int finish_copy(struct fs_mover *m, const struct copy *c, const char *new_key,
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
static void finish_delete(struct fs_mover *m, const struct copy *c)
{
    ou_auto(oss_object_fini) struct oss_object object = {.size = 0};
    struct oss_call oss = fs_oss_call(m->call);
    struct ou_error err = OU_ERROR_INIT;
    int r = oss_head_object(m->fs->client, &oss, c->key, &object, &err);

    if (r == 0 || (r == 1 && (strcmp(object.etag, c->version.etag) != 0 ||
                              fs_mover_made_since(m->fs, c->key))))
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
    struct fs_mover *m = c->mover;
    ou_autofree char *new_key = fs_mover_new_key(m, c->key);
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
    if (r == 1)
        fs_attrs_recall(m->fs, c->key);
    {
        ou_lock_scope(&m->fs->lock);
        if (r == 1)
            fs_gone_made(&m->fs->gone, new_key);
        if (r == 1 && !m->finishing) {
            copied_locked(m, c, new_key, &version);
            fs_mover_keys_add(&m->copied, c->key);
            fs_mover_keys_add(&m->placed, new_key);
        } else if (r < 0 && r != -ENOENT && !m->failed) { /* ENOENT: deleted meanwhile */
            m->failed = r;
            m->error = err;
        }
        m->flying--;
        (void)pthread_cond_broadcast(&m->landed);
    }
    free(c);
}

/* -- all of them -- */

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

static int start_copy(struct fs_mover *m, const struct oss_list_entry *entry, struct ou_error *err)
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

static int copy_page(struct fs_mover *m, const char *token, struct oss_list_page *page,
                     struct ou_error *err)
{
    struct oss_call oss = fs_oss_call(m->call);
    int r =
        oss_list_objects(m->fs->client, &oss, m->from, NULL, NULL, token, OSS_LIST_MAX, page, err);

    for (size_t i = 0; r == 0 && i < page->count; i++)
        r = start_copy(m, &page->entries[i], err);
    return r;
}

int fs_mover_copy_all(struct fs_mover *m, struct ou_error *err)
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

/* Rename of one file, and what all renames check; told in fs/rename.h. */
#include "fs/rename.h"

#include "base/log.h"
#include "fs/fetch.h"
#include "fs/keep.h"
#include "fs/names.h"
#include "fs/remove.h"
#include "fs/rename_journal.h"
#include "fs/rename_whole.h"
#include "fs/resolve.h"
#include "fs/stage.h"
#include "fs/stat.h"
#include "oss/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* -- the tree follows -- */

int fs_move_locked(struct fs *fs, struct fs_move *m, const struct fs_version *version,
                   struct ou_error *err)
{
    struct fs_inode *inode = m->inode;
    enum fs_known kind = inode->dir ? FS_DIR : FS_FILE;
    struct fs_inode *taken = fs_inode_child(&fs->tree, m->new_parent, m->new_name);
    uint64_t now_ms = ou_now_ms(), until_ms = fs_trust_until(fs);
    ou_autofree char *old_name = strdup(inode->name);
    int r;

    if (!old_name)
        return ou_error_set(err, ENOMEM, "rename %s", m->key);
    if (taken && taken != inode)
        fs_evict_locked(fs, taken);
    r = fs_inode_move(&fs->tree, inode, m->new_parent, m->new_name, err);
    if (r < 0)
        return r;
    fs_listing_change(&m->parent->dir->listing, old_name, FS_ABSENT, NULL, now_ms, until_ms);
    if (!inode->staged)
        fs_listing_change(&m->new_parent->dir->listing, m->new_name, kind, version, now_ms,
                          until_ms);
    if (inode->dir)
        fs_gone_add_dir(&fs->gone, m->key, now_ms);
    else
        fs_gone_add(&fs->gone, m->key, now_ms);
    fs_gone_made(&fs->gone, m->new_key);
    (void)fs_replaced_locked(fs, m->new_key);
    fs_attrs_remove(&fs->tree.attrs, m->key);
    fs_attrs_remove(&fs->tree.attrs, m->new_key);
    fs_touch_locked(m->parent);
    fs_touch_locked(m->new_parent);
    return 0;
}

/* -- a staged file: the spool renames it -- */

int fs_rename_file(struct spool_file *file, const char *new_key, const struct fs_call *call,
                   struct ou_error *err)
{
    struct ou_error ignored;
    int r = spool_file_rename(file, new_key, call->deadline_ms, call->cancel, err);

    /* A file that has nothing pending leaves the spool when a handle on it closes, not before. */
    if (r == 0 && !spool_file_pending(file)) {
        spool_file_open(file, false);
        (void)spool_file_close(file, false, &ignored);
    }
    return r;
}

static int rename_held(struct fs *fs, struct fs_move *m, struct spool_file *file,
                       const struct fs_call *call, struct ou_error *err)
{
    int r = fs_rename_file(file, m->new_key, call, err);

    if (r == -EINTR && !call->may_wait)
        return FS_MUST_WAIT;
    if (r < 0)
        return r;
    ou_lock_scope(&fs->lock);
    if (m->inode->has_remote && !spool_file_pending(file))
        m->inode->lost = true; /* copied under the new key; its ETag there is the spool's secret */
    m->inode->own_changes++;
    return fs_move_locked(fs, m, NULL, err);
}

/* What a file that was never closed replaces is kept by the spool, so it has to know of it. */
static int rename_staged(struct fs *fs, struct fs_move *m, struct spool_file *file,
                         const struct fs_call *call, struct ou_error *err)
{
    struct spool_file *over = NULL;
    int r = 0;

    if (m->over && !spool_file_has_version(file))
        r = fs_stage(fs, m->over, call, &over, err);
    if (r != 0 && r != -ENOENT)
        return r;
    r = rename_held(fs, m, file, call, err);
    if (over)
        fs_stage_done(fs, m->over, over);
    return r;
}

/* -- an object -- */

static bool spool_knows(struct fs *fs, const char *key)
{
    struct spool_file *file;

    if (spool_is_deleted(fs->spool, key))
        return true;
    if (!spool_find(fs->spool, key, &file))
        return false;
    spool_file_unref(file);
    return true;
}

int fs_copy_object(struct fs *fs, const char *key, const struct fs_version *version,
                   const char *new_key, const struct fs_call *call, struct fs_version *copy,
                   struct ou_error *err)
{
    struct oss_call oss = fs_oss_call(call);
    struct oss_written written = {.has_crc64 = false};
    const struct oss_object_headers headers = {
        .storage_class = oss_storage_class_name(version->storage_class), .of_source = true};
    const char *etag = version->etag[0] && !version->link ? version->etag : NULL;
    int r;

    if (version->size > OSS_COPY_OBJECT_SAFE || spool_knows(fs, new_key))
        return 0;
    r = oss_copy_object(fs->client, &oss, key, etag, new_key, &headers, &written, err);
    if (r == -ESTALE)
        r = oss_copy_object(fs->client, &oss, key, NULL, new_key, &headers, &written, err);
    if (r == -EFBIG)
        return 0;
    if (r < 0)
        return r;
    *copy = fs_version_written(&written, version->size, ou_wall().tv_sec);
    copy->link = version->link;
    copy->storage_class = version->storage_class;
    if (!copy->has_crc64) {
        copy->crc64 = version->crc64;
        copy->has_crc64 = version->has_crc64;
    }
    return 1;
}

/* Staged, it is the spool's to rename; its readers stay with the bytes. */
static int rename_by_spool(struct fs *fs, struct fs_move *m, const struct fs_call *call,
                           struct ou_error *err)
{
    struct spool_file *file;
    int r = fs_stage(fs, m->inode, call, &file, err);

    if (r != 0)
        return r;
    r = rename_staged(fs, m, file, call, err);
    fs_stage_done(fs, m->inode, file);
    return r;
}

/*
 * The object has been copied, now the tree follows. Return: 1 it has; 0: what has been staged
 * meanwhile, of either name, is for the spool to rename.
 */
static int follow_copy(struct fs *fs, struct fs_move *m, const struct fs_version *copy,
                       struct ou_error *err)
{
    struct fs_inode *inode = m->inode;
    int r;

    ou_lock_scope(&fs->lock);
    if (inode->staged || (m->over && m->over->staged))
        return 0;
    fs_inode_set_remote(inode, copy, copy);
    inode->own_changes++;
    r = fs_move_locked(fs, m, copy, err);
    if (r < 0)
        return r;
    (void)fs_attrs_put(&fs->tree.attrs, m->new_key, copy, copy, &inode->attr, err);
    return 1;
}

static int rename_object(struct fs *fs, struct fs_move *m, const struct fs_call *call,
                         struct ou_error *err)
{
    struct fs_version version, copy;
    int r;

    if (!call->may_wait)
        return FS_MUST_WAIT;
    {
        ou_lock_scope(&fs->lock);
        version = m->inode->remote;
    }
    r = spool_knows(fs, m->new_key) ? 0 : fs_whole_object(fs, m, call, err);
    if (r != 0)
        return r < 0 ? r : 0;
    r = fs_copy_object(fs, m->key, &version, m->new_key, call, &copy, err);
    if (r == 1)
        r = follow_copy(fs, m, &copy, err);
    if (r == 0)
        return rename_by_spool(fs, m, call, err);
    if (r == 1 && spool_delete(fs->spool, m->key, call->cancel, err) < 0)
        ou_log_warn(OU_LOG_FS, err, "renamed, but the old name stays key=%s", m->key);
    return r < 0 ? r : 0;
}

static int move_file(struct fs *fs, struct fs_move *m, const struct fs_call *call,
                     struct ou_error *err)
{
    struct spool_file *file;
    int r;

    if (!fs_stage_held(fs, m->inode, &file)) {
        r = fs_need_attr(fs, m->inode, call, err);
        return r == 0 ? rename_object(fs, m, call, err) : r;
    }
    r = rename_staged(fs, m, file, call, err);
    fs_stage_done(fs, m->inode, file);
    return r;
}

static int rename_file(struct fs *fs, struct fs_move *m, const struct fs_call *patient,
                       struct ou_error *err)
{
    struct fs_call call = *patient;
    bool doomed = fs_replacing(fs, m->new_key);
    int r;

    if (!call.deadline_ms) /* that is for directories, which may take long */
        call.deadline_ms = ou_now_ms() + fs->config.request_timeout_ms;
    r = move_file(fs, m, &call, err);
    if (r != 0 && doomed)
        fs_replacing_failed(fs, m->new_key);
    return r;
}

/* What has an object in the bucket may be renamed by a copy and a delete: one of them may be cut off. */
static int rename_journalled(struct fs *fs, struct fs_move *m, const struct fs_call *call,
                             struct ou_error *err)
{
    char etag[OSS_ETAG_SIZE] = "";
    uint64_t id;
    int r;

    {
        ou_lock_scope(&fs->lock);
        if (m->inode->has_remote && !m->inode->lost)
            memcpy(etag, m->inode->remote.etag, sizeof(etag));
    }
    if (!*etag)
        return rename_file(fs, m, call, err);
    if (!call->may_wait)
        return FS_MUST_WAIT;
    r = fs_renames_begin(fs->renames, m->key, m->new_key, etag, &id, err);
    if (r < 0)
        return r;
    r = rename_file(fs, m, call, err);
    fs_renames_end(fs->renames, id);
    return r;
}

/* -- what is allowed -- */

static int check_target(struct fs *fs, struct fs_move *m, unsigned flags,
                        const struct fs_call *call, struct ou_error *err)
{
    int r;

    if (!m->over)
        return 0;
    if (flags & RENAME_NOREPLACE)
        return ou_error_set(err, EEXIST, "%s", m->new_name);
    if (!m->inode->dir)
        return m->over->dir ? ou_error_set(err, EISDIR, "%s", m->new_name) : 0;
    if (!m->over->dir)
        return ou_error_set(err, ENOTDIR, "%s", m->new_name);
    r = fs_dir_empty(fs, m->over, call, err);
    if (r == FS_DIR_MUST_WAIT)
        return FS_MUST_WAIT;
    return r == 0 ? ou_error_set(err, ENOTEMPTY, "%s", m->new_name) : r < 0 ? r : 0;
}

static int names_of(struct fs *fs, struct fs_move *m, struct ou_error *err)
{
    ou_autofree char *dir = NULL;
    bool is_dir = m->inode->dir != NULL;
    int r;

    ou_lock_scope(&fs->lock);
    if (!m->new_parent->dir)
        return ou_error_set(err, ENOTDIR, "%s", m->new_name);
    if (fs_inode_under(m->new_parent, m->inode))
        return ou_error_set(err, EINVAL, "a directory into itself");
    r = fs_inode_key(&fs->tree, m->new_parent, &dir, err);
    if (r == 0)
        r = fs_name_check(dir, m->new_name, is_dir, err);
    if (r == 0)
        r = fs_inode_key(&fs->tree, m->inode, &m->key, err);
    if (r < 0)
        return r;
    m->new_key = fs_key_join(dir, m->new_name, is_dir);
    return m->new_key ? 0 : ou_error_set(err, ENOMEM, "rename");
}

/* Those who read what is renamed over keep their bytes. */
static int keep_over(struct fs *fs, struct fs_move *m, const struct fs_call *call)
{
    {
        ou_lock_scope(&fs->lock);
        if (!fs_keep_wanted_locked(m->over))
            return 0;
    }
    if (!call->may_wait)
        return FS_MUST_WAIT;
    fs_keep(fs, m->over, call);
    return 0;
}

static int move(struct fs *fs, struct fs_move *m, unsigned flags, const struct fs_call *call,
                struct ou_error *err)
{
    uint64_t until_ms;
    int r = names_of(fs, m, err);

    if (r == 0)
        r = fs_resolve(fs, m->new_parent->id, m->new_name, false, call, &m->over, &until_ms, err);
    if (r != 0 || m->over == m->inode)
        return r;
    r = check_target(fs, m, flags, call, err);
    if (r != 0)
        return r;
    if (m->over && !m->over->dir) {
        r = keep_over(fs, m, call);
        if (r != 0)
            return r;
    }
    if (m->inode->dir && m->over) {
        if (!call->may_wait)
            return FS_MUST_WAIT;
        r = fs_rmdir(fs, m->new_parent->id, m->new_name, call, err);
        if (r < 0)
            return r;
    }
    r = m->inode->dir ? fs_rename_dir(fs, m, call, err) : rename_journalled(fs, m, call, err);
    if (r == 0 && m->parent != m->new_parent && fs_keep_dir(fs, m->parent, err) < 0)
        ou_log_warn(OU_LOG_FS, err, "directory may vanish with its last name key=%s", m->key);
    return r;
}

int fs_rename(struct fs *fs, uint64_t parent_id, const char *name, uint64_t new_parent_id,
              const char *new_name, unsigned flags, const struct fs_call *call,
              struct ou_error *err)
{
    struct fs_move m = {.new_name = new_name};
    uint64_t until_ms;
    int r;

    if (flags & ~(unsigned)RENAME_NOREPLACE)
        return ou_error_set(err, EINVAL, "rename: flags %#x", flags);
    r = fs_inode_get(fs, parent_id, &m.parent, err);
    if (r == 0)
        r = fs_inode_get(fs, new_parent_id, &m.new_parent, err);
    if (r == 0)
        r = fs_resolve(fs, parent_id, name, false, call, &m.inode, &until_ms, err);
    if (r == 0)
        r = m.inode ? move(fs, &m, flags, call, err) : ou_error_set(err, ENOENT, "%s", name);
    fs_unuse(fs, m.over);
    fs_unuse(fs, m.inode);
    fs_unuse(fs, m.new_parent);
    fs_unuse(fs, m.parent);
    free(m.key);
    free(m.new_key);
    return r;
}

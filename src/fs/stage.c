/* Told in fs/stage.h. */
#include "fs/stage.h"

#include "base/log.h"
#include "fs/fetch.h"
#include "fs/giveback.h"
#include "fs/names.h"
#include "fs/resolve.h"
#include "fs/stat.h"
#include "oss/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* -- staging -- */

static struct oss_object base_of(const struct fs_inode *inode)
{
    struct oss_object base = {
        .size = inode->remote.size,
        .crc64 = inode->remote.crc64,
        .has_crc64 = inode->remote.has_crc64,
    };

    memcpy(base.etag, inode->remote.etag, sizeof(base.etag));
    if (inode->remote.modified_s != FS_MODIFIED_UNKNOWN)
        base.last_modified.tv_sec = (time_t)inode->remote.modified_s;
    return base;
}

/* Return: 1 when a new staged file was made, which nothing has made stable yet. */
static int stage_locked(struct fs *fs, struct fs_inode *inode, struct spool_file **file,
                        struct ou_error *err)
{
    ou_autofree char *key = NULL;
    bool made = false;
    int r = 0;

    if (!inode->staged) {
        r = fs_inode_key(&fs->tree, inode, &key, err);
        if (r < 0)
            return r;
        if (key[0] == '\0')
            return ou_error_set(err, EPERM, "the bucket itself has no object");
        if (inode->has_remote) {
            struct oss_object base = base_of(inode);

            r = spool_stage(fs->spool, key, &base, &inode->attr, file, err);
        } else {
            made = true;
            r = spool_create(fs->spool, key, &inode->attr,
                             inode->dir->marker_known && !inode->dir->has_marker, file, err);
        }
        if (r < 0)
            return r;
        (void)fs_inode_stage(&fs->tree, inode, *file);
    }
    *file = spool_file_ref(inode->staged);
    inode->staged_uses++;
    return made ? 1 : 0;
}

/* What was made by spool_create() counts from its first close on. */
static int make_stable(struct spool_file *file, struct ou_error *err)
{
    spool_file_open(file, true);
    return spool_file_close(file, true, err);
}

int fs_stage(struct fs *fs, struct fs_inode *inode, const struct fs_call *call,
             struct spool_file **file, struct ou_error *err)
{
    int r = fs_need_attr(fs, inode, call, err);

    if (r != 0)
        return r;
    {
        ou_lock_scope(&fs->lock);
        if (!inode->staged && !inode->has_remote && !inode->dir)
            return ou_error_set(err, ENOENT, "inode %llu", (unsigned long long)inode->id);
        r = stage_locked(fs, inode, file, err);
    }
    if (r <= 0)
        return r;
    r = make_stable(*file, err);
    if (r < 0)
        fs_stage_done(fs, inode, *file);
    return r;
}

int fs_stage_held(struct fs *fs, struct fs_inode *inode, struct spool_file **file)
{
    ou_lock_scope(&fs->lock);
    if (!inode->staged)
        return 0;
    *file = spool_file_ref(inode->staged);
    inode->staged_uses++;
    return 1;
}

struct spool_file *fs_unstage_nameless_locked(struct fs *fs, struct fs_inode *inode)
{
    if (inode->parent || inode == fs->tree.root || inode->staged_uses || inode->handles)
        return NULL;
    return fs_inode_stage(&fs->tree, inode, NULL);
}

void fs_evict_locked(struct fs *fs, struct fs_inode *inode)
{
    struct spool_file *drop;

    (void)fs_inode_use(inode);
    fs_inode_unlink(&fs->tree, inode);
    drop = fs_unstage_nameless_locked(fs, inode);
    fs_inode_unuse(&fs->tree, inode);
    spool_file_unref(drop);
}

struct fs_inode *fs_stage_new_locked(struct fs *fs, struct fs_inode *parent, const char *name,
                                     mode_t type, struct spool_file *file)
{
    struct fs_inode *inode = fs_inode_child(&fs->tree, parent, name);

    if (inode)
        fs_evict_locked(fs, inode);
    inode = fs_inode_new(&fs->tree, parent, name, type);
    if (!inode)
        return NULL;
    (void)fs_inode_use(inode);
    (void)fs_inode_stage(&fs->tree, inode, file);
    return inode;
}

int fs_make_marker(struct fs *fs, struct fs_inode *dir, struct ou_error *err)
{
    struct spool_file *file = NULL;
    int r;

    {
        ou_lock_scope(&fs->lock);
        if (dir->staged || dir == fs->tree.root || !dir->parent)
            return 0;
        if (!dir->attr_known)
            fs_apply_implied_locked(fs, dir, 0, 0);
        dir->attr.mtime = ou_wall();
        r = stage_locked(fs, dir, &file, err);
    }
    if (r == 1)
        r = make_stable(file, err);
    if (file)
        fs_stage_done(fs, dir, file);
    return r < 0 ? r : 0;
}

/* -- unstaging -- */

static bool being_moved_locked(const struct fs_inode *inode)
{
    for (; inode; inode = inode->parent)
        if (inode->dir && inode->dir->renaming)
            return true;
    return false;
}

/* Nothing is pending: from now on the bucket has the truth. Return: a reference to be dropped. */
static struct spool_file *unstage_locked(struct fs *fs, struct fs_inode *inode)
{
    struct spool_attr attr = {.mode = 0};
    struct ou_error err;
    uint64_t size = 0;

    if (!inode->staged || inode->staged_uses || !inode->parent ||
        spool_file_pending(inode->staged) || being_moved_locked(inode))
        return NULL;
    if (inode->lost) { /* it is as it was, under a key and with an ETag of its own */
        if (inode->handles)
            return NULL;
        inode->lost = inode->has_remote = inode->attr_known = false;
        inode->until_ms = 0;
        fs_listing_change(&inode->parent->dir->listing, inode->name, inode->dir ? FS_DIR : FS_FILE,
                          NULL, ou_now_ms(), fs_trust_until(fs));
        return fs_inode_stage(&fs->tree, inode, NULL);
    }
    if (!inode->has_remote)
        return NULL; /* made and not published, and still not pending: never closed */
    if (spool_file_stat(inode->staged, &attr, &size, &err) < 0)
        return NULL;
    spool_attr_fini(&inode->attr);
    inode->attr = attr;
    inode->attr_known = true;
    inode->remote.size = fs_inode_seen(inode)->size = size;
    inode->until_ms = fs_trust_until(fs);
    inode->checked_ms = ou_now_ms();
    if (inode->dir)
        inode->dir->marker_known = inode->dir->has_marker = true;
    fs_giveback_note_locked(fs);
    return fs_inode_stage(&fs->tree, inode, NULL);
}

void fs_stage_done(struct fs *fs, struct fs_inode *inode, struct spool_file *file)
{
    struct spool_file *drop = NULL;

    {
        ou_lock_scope(&fs->lock);
        inode->staged_uses--;
        (void)fs_inode_use(inode);
        drop = fs_unstage_nameless_locked(fs, inode);
        if (!drop)
            drop = unstage_locked(fs, inode);
        fs_inode_unuse(&fs->tree, inode);
    }
    spool_file_unref(drop);
    spool_file_unref(file);
}

/* -- events -- */

/* The inode of @key, as far as the tree knows it. */
struct fs_inode *fs_walk_locked(struct fs *fs, const char *key)
{
    struct fs_inode *at = fs->tree.root;
    size_t prefix_len = strlen(fs->prefix);
    char name[FS_NAME_MAX + 1];

    if (strncmp(key, fs->prefix, prefix_len) != 0)
        return NULL;
    for (key += prefix_len; *key && at;) {
        size_t len = strcspn(key, "/");

        if (!at->dir || !fs_name_shown(key, len))
            return NULL;
        memcpy(name, key, len);
        name[len] = '\0';
        at = fs_inode_child(&fs->tree, at, name);
        key += len + (key[len] == '/');
    }
    return at;
}

static void publish_locked(struct fs *fs, struct fs_inode *inode, struct spool_file *file,
                           const struct oss_written *written)
{
    struct spool_attr attr = {.mode = 0};
    uint64_t size = 0, now_ms = ou_now_ms();
    struct fs_version version;
    struct ou_error err;
    char *key = NULL;

    if (spool_file_stat(file, &attr, &size, &err) < 0)
        return;
    version = fs_version_written(written, size, ou_wall().tv_sec);
    version.storage_class = oss_storage_class_of(attr.storage_class);
    fs_inode_set_remote(inode, &version, &version);
    inode->lost = false;
    inode->own_changes++;
    if (!inode->staged) { /* it was let go a moment before */
        spool_attr_fini(&inode->attr);
        if (spool_attr_copy(&inode->attr, &attr, &err) < 0)
            inode->attr_known = false;
    }
    if (inode->dir) {
        inode->dir->marker_known = inode->dir->has_marker = true;
        inode->dir->listing.born_until_ms = fs_trust_until(fs);
    }
    if (inode->parent && fs_inode_key(&fs->tree, inode, &key, &err) == 0) {
        fs_listing_change(&inode->parent->dir->listing, inode->name, inode->dir ? FS_DIR : FS_FILE,
                          fs_inode_seen(inode), now_ms, fs_trust_until(fs));
        if (!spool_file_pending(file))
            (void)fs_attrs_put(&fs->tree.attrs, key, fs_inode_seen(inode), &inode->remote, &attr,
                               &err);
        if (inode->target)
            fs_attrs_put_target(&fs->tree.attrs, key, fs_inode_seen(inode), inode->target);
        free(key);
    }
    spool_attr_fini(&attr);
}

void fs_published(void *ctx, struct spool_file *file, const struct oss_written *written)
{
    struct fs *fs = *(struct fs **)ctx;
    ou_autofree char *key = NULL;
    struct spool_file *drop = NULL;

    if (!fs)
        return;
    key = spool_file_key(file);
    {
        struct fs_inode *inode;

        ou_lock_scope(&fs->lock);
        inode = fs_inode_of_file(&fs->tree, file);
        if (!inode && key)
            inode = fs_walk_locked(fs, key);
        if (!inode || (inode->staged && inode->staged != file))
            return;
        (void)fs_inode_use(inode);
        publish_locked(fs, inode, file, written);
        drop = unstage_locked(fs, inode);
        fs_inode_unuse(&fs->tree, inode);
    }
    spool_file_unref(drop);
}

void fs_delete_refused(void *ctx, const char *key, const struct ou_error *err)
{
    struct fs *fs = *(struct fs **)ctx;
    ou_autofree char *dir = strdup(key);
    ou_autofree char *name = NULL;
    uint64_t parent_id = 0;
    size_t len = strlen(key);

    ou_log_error(OU_LOG_FS, err, "not deleted, shown again key=%s", key);
    if (!fs || !dir || len == 0)
        return;
    if (dir[len - 1] == '/')
        dir[len - 1] = '\0';
    {
        char *slash = strrchr(dir, '/');
        struct fs_inode *parent;

        name = strdup(slash ? slash + 1 : dir);
        *(slash ? slash + 1 : dir) = '\0';
        ou_lock_scope(&fs->lock);
        fs_gone_made(&fs->gone, key);
        parent = strlen(dir) >= strlen(fs->prefix) ? fs_walk_locked(fs, dir) : NULL;
        if (!parent || !parent->dir || !name)
            return;
        fs_listing_forget(&parent->dir->listing, name);
        parent_id = parent->id;
    }
    fs_notify_entry(fs, parent_id, name);
}

/* -- at mount -- */

struct all {
    struct fs *fs;
    int r;
};

static int build_locked(struct fs *fs, const char *key, struct spool_file *file)
{
    struct spool_attr attr = {.mode = 0};
    struct fs_inode *at = fs->tree.root;
    size_t prefix_len = strlen(fs->prefix);
    const char *rest = key + prefix_len;
    char name[FS_NAME_MAX + 1];
    uint64_t size;

    if (strncmp(key, fs->prefix, prefix_len) != 0)
        return 0;
    if (*rest == '\0') { /* the marker of what is mounted */
        (void)fs_inode_stage(&fs->tree, at, spool_file_ref(file));
        return 0;
    }
    if (!fs_key_shown(rest))
        return 0;
    spool_file_times(file, &attr, &size);
    for (;;) {
        size_t len = strcspn(rest, "/");
        bool last = rest[len] == '\0' || rest[len + 1] == '\0';
        mode_t type = last ? attr.mode & S_IFMT : S_IFDIR;
        struct fs_inode *child;

        memcpy(name, rest, len);
        name[len] = '\0';
        if (rest[len] == '/')
            type = S_IFDIR;
        child = fs_inode_child(&fs->tree, at, name);
        if (child && child->type != type)
            return 0; /* a directory of that name hides the file */
        if (!child)
            child = fs_inode_new(&fs->tree, at, name, type);
        if (!child)
            return -ENOMEM;
        at = child;
        if (last)
            break;
        rest += len + 1;
    }
    if (!at->staged)
        (void)fs_inode_stage(&fs->tree, at, spool_file_ref(file));
    return 0;
}

static void add_one(void *ctx, struct spool_file *file)
{
    struct all *all = ctx;
    ou_autofree char *key = spool_file_key(file);

    if (!key)
        return;
    ou_lock_scope(&all->fs->lock);
    if (build_locked(all->fs, key, file) < 0)
        all->r = -ENOMEM;
}

int fs_stage_all(struct fs *fs, struct ou_error *err)
{
    struct all all = {.fs = fs};

    spool_each(fs->spool, add_one, &all);
    return all.r < 0 ? ou_error_set(err, ENOMEM, "tree of staged files") : 0;
}

void fs_stage_again(struct fs *fs, struct spool_file *file)
{
    ou_autofree char *key = spool_file_key(file);
    struct fs_inode *inode;

    if (!key)
        return;
    ou_lock_scope(&fs->lock);
    inode = fs_inode_of_file(&fs->tree, file);
    if (inode)
        fs_evict_locked(fs, inode);
    (void)build_locked(fs, key, file);
    inode = fs_inode_of_file(&fs->tree, file);
    if (!inode)
        return;
    inode->changes++; /* what the kernel has of it, and readers, is of the object */
    inode->own_changes++;
    fs_notify_pages(fs, inode->id);
}

int fs_stage_object(struct fs *fs, const char *key, const struct fs_call *call,
                    struct fs_inode **inode, struct spool_file **file, struct ou_error *err)
{
    ou_auto(oss_object_fini) struct oss_object object = {.size = 0};
    ou_auto(spool_attr_fini) struct spool_attr attr = {.mode = 0};
    struct oss_call oss = fs_oss_call(call);
    int r = oss_head_object(fs->client, &oss, key, &object, err);

    if (r <= 0)
        return r < 0 ? r : ou_error_set(err, ENOENT, "%s", key);
    r = spool_attr_from_object(&object, key, &fs->config.defaults, &attr, err);
    if (r == 0)
        r = spool_stage(fs->spool, key, &object, &attr, file, err);
    if (r < 0)
        return r;
    ou_lock_scope(&fs->lock);
    r = build_locked(fs, key, *file);
    *inode = r == 0 ? fs_inode_of_file(&fs->tree, *file) : NULL;
    if (r < 0) {
        spool_file_unref(*file);
        return ou_error_set(err, ENOMEM, "%s", key);
    }
    if (!*inode)
        return 0; /* a directory of that name hides it */
    (void)fs_inode_use(*inode);
    (*inode)->staged_uses++;
    if (!(*inode)->has_remote) {
        struct fs_version version = fs_version_of_object(&object);

        fs_inode_set_remote(*inode, &version, &version);
    }
    return 0;
}

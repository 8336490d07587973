/* Told in fs/create.h. */
#include "fs/create.h"

#include "fs/fetch.h"
#include "fs/keep.h"
#include "fs/names.h"
#include "fs/remove.h"
#include "fs/resolve.h"
#include "fs/stage.h"
#include "fs/stat.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* -- one new name -- */

struct birth {
    struct fs_inode *parent; /* in use */
    char *key;
    bool empty;  /* there is nothing of this name, for certain */
    bool absent; /* nor has the bucket an object that is still to be deleted */
    struct spool_attr attr;
};

static void birth_fini(struct fs *fs, struct birth *b)
{
    fs_unuse(fs, b->parent);
    free(b->key);
    spool_attr_fini(&b->attr);
}

/* -EEXIST: the name is taken. */
static int birth_locked(struct fs *fs, struct birth *b, const char *name, mode_t mode,
                        struct ou_error *err)
{
    struct fs_inode *child = fs_inode_child(&fs->tree, b->parent, name);
    ou_autofree char *dir = NULL;
    struct fs_found found;
    struct stat st;
    int r;

    if (!b->parent->dir)
        return ou_error_set(err, ENOTDIR, "%s", name);
    r = fs_inode_key(&fs->tree, b->parent, &dir, err);
    if (r == 0)
        r = fs_name_check(dir, name, S_ISDIR(mode), err);
    if (r < 0)
        return r;
    if (child && (child->pins ||
                  ((child->attr_known || child->has_remote) && ou_now_ms() < child->until_ms)))
        return ou_error_set(err, EEXIST, "%s", name);
    b->key = fs_key_join(dir, name, S_ISDIR(mode));
    if (!b->key)
        return ou_error_set(err, ENOMEM, "%s", name);
    b->empty = fs_listing_find(&b->parent->dir->listing, name, ou_now_ms(), UINT64_MAX, &found) ==
               FS_ABSENT;
    b->absent = b->empty && !spool_is_deleted(fs->spool, b->key);
    fs_gone_made(&fs->gone, b->key);
    if (fs_replaced_locked(fs, b->key))
        b->absent = false;
    fs_stat_locked(fs, b->parent, &st);
    if (st.st_mode & S_ISGID) {
        b->attr.gid = st.st_gid;
        if (S_ISDIR(mode))
            b->attr.mode |= S_ISGID;
    }
    return 0;
}

static int birth_init(struct fs *fs, struct birth *b, uint64_t parent_id, const char *name,
                      mode_t mode, const struct fs_call *call, struct ou_error *err)
{
    int r;

    *b = (struct birth){.parent = NULL};
    r = fs_inode_get(fs, parent_id, &b->parent, err);
    if (r < 0)
        return r;
    fs_default_attr(fs, call, mode, &b->attr);
    {
        ou_lock_scope(&fs->lock);
        r = birth_locked(fs, b, name, mode, err);
    }
    if (r < 0)
        birth_fini(fs, b);
    return r;
}

/* @file is in the tree under @name. */
static int born(struct fs *fs, const struct birth *b, const char *name, struct spool_file *file,
                struct fs_inode **inode, struct ou_error *err)
{
    struct fs_inode *i;

    ou_lock_scope(&fs->lock);
    i = fs_stage_new_locked(fs, b->parent, name, b->attr.mode, spool_file_ref(file));
    if (!i) {
        spool_file_unref(file);
        return ou_error_set(err, ENOMEM, "%s", name);
    }
    i->staged_uses++;
    fs_touch_locked(b->parent);
    fs_attrs_remove(&fs->tree.attrs, b->key);
    if (i->dir) { /* complete and empty, as long as it is only ours */
        i->dir->listing.born = b->empty;
        i->dir->listing.born_until_ms = UINT64_MAX;
        i->dir->marker_known = true;
    }
    *inode = i;
    return 0;
}

/* Those who still read an unlinked file of this name keep its bytes. */
static int keep_readers(struct fs *fs, uint64_t parent_id, const char *name,
                        const struct fs_call *call, struct ou_error *err)
{
    ou_autofree char *key = NULL;
    struct fs_inode *parent, *reader;

    {
        ou_lock_scope(&fs->lock);
        parent = fs->doomed ? fs_inode_find(&fs->tree, parent_id) : NULL;
        if (!parent || fs_child_key(&fs->tree, parent, name, false, &key, err) < 0)
            return 0;
        reader = fs_doomed_inode_locked(fs, key);
        if (!reader || !fs_keep_wanted_locked(reader))
            return 0;
        if (!call->may_wait)
            return FS_MUST_WAIT;
        (void)fs_inode_use(reader);
    }
    fs_keep(fs, reader, call);
    fs_unuse(fs, reader);
    return 0;
}

/* Return: 0 with @inode in use and @file held as by fs_stage(); FS_MUST_WAIT. */
static int give_birth(struct fs *fs, uint64_t parent_id, const char *name, mode_t mode,
                      const struct fs_call *call, struct fs_inode **inode, struct spool_file **file,
                      struct ou_error *err)
{
    struct ou_error ignored;
    struct birth b;
    int r = keep_readers(fs, parent_id, name, call, err);

    if (r == 0)
        r = birth_init(fs, &b, parent_id, name, mode, call, err);
    if (r != 0)
        return r;
    r = spool_create(fs->spool, b.key, &b.attr, b.absent, file, err);
    if (r == -EEXIST && spool_find(fs->spool, b.key, file)) {
        /* Published and removed since; the spool has not let go of it yet. */
        r = spool_file_pending(*file) ? -EEXIST : spool_file_unlink(*file, err);
        spool_file_unref(*file);
        if (r == 0)
            r = spool_create(fs->spool, b.key, &b.attr, false, file, err);
    }
    if (r == 0) {
        r = born(fs, &b, name, *file, inode, err);
        if (r < 0) {
            (void)spool_file_unlink(*file, &ignored);
            spool_file_unref(*file);
        }
    }
    birth_fini(fs, &b);
    return r;
}

/* -- files -- */

static int open_existing(struct fs *fs, uint64_t parent_id, const char *name, int flags,
                         const struct fs_call *call, struct fs_inode **inode,
                         struct fs_handle **handle, bool *keep_pages, struct ou_error *err)
{
    uint64_t until_ms;
    int r;

    if (flags & O_EXCL)
        return ou_error_set(err, EEXIST, "%s", name);
    r = fs_resolve(fs, parent_id, name, true, call, inode, &until_ms, err);
    if (r != 0)
        return r;
    if (!*inode)
        return ou_error_set(err, ENOENT, "%s", name);
    r = fs_open(fs, (*inode)->id, flags & ~O_CREAT, call, handle, keep_pages, err);
    if (r != 0)
        fs_unuse(fs, *inode);
    return r;
}

int fs_create(struct fs *fs, uint64_t parent_id, const char *name, mode_t mode, int flags,
              const struct fs_call *call, struct fs_inode **inode, struct fs_handle **handle,
              bool *keep_pages, struct ou_error *err)
{
    struct spool_file *file = NULL;
    int r = give_birth(fs, parent_id, name, (mode & 07777) | S_IFREG, call, inode, &file, err);

    if (r == -EEXIST)
        return open_existing(fs, parent_id, name, flags, call, inode, handle, keep_pages, err);
    if (r != 0)
        return r;
    {
        ou_lock_scope(&fs->lock);
        (void)fs_inode_use(*inode);
    }
    *handle = fs_handle_new(fs, *inode, file, flags);
    *keep_pages = false;
    if (*handle)
        return 0;
    fs_stage_done(fs, *inode, file);
    fs_unuse(fs, *inode);
    fs_unuse(fs, *inode);
    return ou_error_set(err, ENOMEM, "%s", name);
}

int fs_make(struct fs *fs, uint64_t parent_id, const char *name, mode_t mode, const char *target,
            const struct fs_call *call, struct fs_inode **inode, struct ou_error *err)
{
    struct ou_error ignored;
    struct spool_file *file = NULL;
    int r;

    if (!S_ISREG(mode) && !S_ISDIR(mode) && !S_ISLNK(mode))
        return ou_error_set(err, EPERM, "%s: OSS holds files, directories and symlinks", name);
    r = give_birth(fs, parent_id, name, mode, call, inode, &file, err);
    if (r != 0)
        return r;
    spool_file_open(file, true);
    if (target) {
        ssize_t n = spool_file_write(file, target, strlen(target), 0, NULL, err);

        r = n < 0 ? (int)n : 0;
        ou_lock_scope(&fs->lock);
        (*inode)->target = strdup(target); /* for when it has gone to the bucket */
    }
    if (r < 0)
        (void)spool_file_close(file, true, &ignored);
    else
        r = spool_file_close(file, true, err);
    if (r < 0) {
        (void)spool_file_unlink(file, &ignored);
        ou_lock_scope(&fs->lock);
        fs_inode_unlink(&fs->tree, *inode);
    }
    fs_stage_done(fs, *inode, file);
    if (r < 0)
        fs_unuse(fs, *inode);
    return r;
}

/* -- symlinks -- */

/* The target of a symlink that is not staged is remembered as long as its version is. */
static void remember_target(struct fs *fs, struct fs_inode *inode, const char *target)
{
    ou_autofree char *key = NULL;
    struct ou_error err;

    ou_lock_scope(&fs->lock);
    if (inode->staged || inode->target)
        return;
    inode->target = strdup(target);
    if (fs_inode_key(&fs->tree, inode, &key, &err) == 0)
        fs_attrs_put_target(&fs->tree.attrs, key, fs_inode_seen(inode), target);
}

static int known_target(struct fs *fs, struct fs_inode *inode, char **target)
{
    ou_lock_scope(&fs->lock);
    if (inode->staged || !inode->target)
        return 0;
    *target = strdup(inode->target);
    return *target != NULL;
}

static int read_target(struct fs *fs, struct fs_inode *inode, const struct fs_call *call,
                       char **target, struct ou_error *err)
{
    ou_autofree char *buf = calloc(1, PATH_MAX);
    ssize_t n;

    if (!buf)
        return ou_error_set(err, ENOMEM, "readlink");
    n = fs_read_inode(fs, inode, buf, PATH_MAX - 1, 0, call, err);
    if (n < 0)
        return n == FS_READ_MUST_WAIT ? FS_MUST_WAIT : (int)n;
    remember_target(fs, inode, buf);
    *target = buf;
    buf = NULL;
    return 0;
}

int fs_readlink(struct fs *fs, uint64_t id, const struct fs_call *call, char **target,
                struct ou_error *err)
{
    struct fs_inode *inode;
    int r = fs_inode_get(fs, id, &inode, err);

    if (r < 0)
        return r;
    if (!S_ISLNK(inode->type))
        r = ou_error_set(err, EINVAL, "readlink");
    else
        r = fs_refresh(fs, inode, call, err);
    if (r == 0 && !known_target(fs, inode, target))
        r = read_target(fs, inode, call, target, err);
    fs_unuse(fs, inode);
    return r;
}

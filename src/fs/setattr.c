/* chmod, chown, utimens, truncate; told in fs/setattr.h. */
#include "fs/setattr.h"

#include "fs/local_root.h"
#include "fs/resolve.h"
#include "fs/stage.h"
#include "fs/stat.h"

#include <errno.h>
#include <stdlib.h>

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* What of @set really changes @now. */
static unsigned changes(const struct fs_setattr *set, const struct stat *now)
{
    const struct spool_attr *a = &set->attr;
    unsigned which = set->which;

    if (a->mode == (now->st_mode & 07777))
        which &= ~(unsigned)SPOOL_SET_MODE;
    if (a->uid == now->st_uid)
        which &= ~(unsigned)SPOOL_SET_UID;
    if (a->gid == now->st_gid)
        which &= ~(unsigned)SPOOL_SET_GID;
    if (same_time(&a->mtime, &now->st_mtim))
        which &= ~(unsigned)SPOOL_SET_MTIME;
    if (same_time(&a->atime, &now->st_atim))
        which &= ~(unsigned)SPOOL_SET_ATIME;
    if ((which & FS_SET_SIZE) && (off_t)set->size == now->st_size && !(which & ~FS_SET_SIZE))
        which |= SPOOL_SET_MTIME; /* truncate(2) tells the time even when the size stays */
    return which;
}

static int set_size(struct spool_file *file, uint64_t size, struct fs_handle *handle,
                    struct ou_error *err)
{
    struct ou_error ignored;
    int r;

    if (handle && handle->file == file && handle->writer) { /* its close is the hand-over */
        atomic_store(&handle->flushed, false);
        return spool_file_truncate(file, size, err);
    }
    spool_file_open(file, true);
    r = spool_file_truncate(file, size, err);
    if (r < 0)
        (void)spool_file_close(file, true, &ignored);
    else
        r = spool_file_close(file, true, err);
    return r;
}

static int apply(struct fs *fs, struct fs_inode *inode, const struct fs_setattr *set,
                 unsigned which, struct spool_file *file, struct fs_handle *handle,
                 struct ou_error *err)
{
    struct spool_attr attr = set->attr;
    int r = 0;

    if (which & FS_SET_SIZE)
        r = set_size(file, set->size, handle, err);
    which &= ~FS_SET_SIZE;
    if (r == 0 && which) {
        attr.mode = (attr.mode & 07777) | inode->type;
        attr.ctime = ou_wall();
        r = spool_file_set_attr(file, &attr, which | SPOOL_SET_CTIME, err);
    }
    if (r == 0 && inode->dir && (which & SPOOL_SET_MTIME)) {
        ou_lock_scope(&fs->lock);
        inode->dir->touched = (struct timespec){.tv_sec = 0};
    }
    return r;
}

static int set_on(struct fs *fs, struct fs_inode *inode, const struct fs_setattr *set,
                  struct fs_handle *handle, const struct fs_call *call, struct ou_error *err)
{
    struct fs_setattr wanted = *set;
    struct spool_file *file;
    struct stat now;
    unsigned which;
    int r;

    if (fs->config.force_uid)
        wanted.which &= ~(unsigned)SPOOL_SET_UID;
    if (fs->config.force_gid)
        wanted.which &= ~(unsigned)SPOOL_SET_GID;
    {
        ou_lock_scope(&fs->lock);
        fs_stat_locked(fs, inode, &now);
    }
    which = changes(&wanted, &now);
    if (!which)
        return 0;
    if ((which & FS_SET_SIZE) && inode->dir)
        return ou_error_set(err, EISDIR, "truncate");
    if (inode == fs->tree.root && fs->prefix[0] == '\0')
        return fs_local_root_set(fs, &wanted.attr, which, err);
    r = fs_stage(fs, inode, call, &file, err);
    if (r != 0)
        return r;
    r = apply(fs, inode, &wanted, which, file, handle, err);
    fs_stage_done(fs, inode, file);
    return r;
}

int fs_set_attr(struct fs *fs, uint64_t id, const struct fs_setattr *set, struct fs_handle *handle,
                const struct fs_call *call, struct ou_error *err)
{
    struct fs_inode *inode;
    int r = fs_inode_get(fs, id, &inode, err);

    if (r < 0)
        return r;
    r = fs_refresh(fs, inode, call, err);
    if (r == 0)
        r = fs_need_attr(fs, inode, call, err);
    if (r == 0)
        r = set_on(fs, inode, set, handle, call, err);
    fs_unuse(fs, inode);
    return r;
}

/* Attributes as the kernel wants them, told in fs/stat.h. */
#include "fs/stat.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCK_SIZE     512u
#define PREFERRED_SIZE (128u << 10) /* stdio's buffer: one FUSE request rather than 32 */
#define DIR_SIZE       4096u

static void copy_attr(struct stat *st, const struct spool_attr *attr)
{
    st->st_mode = attr->mode;
    st->st_uid = attr->uid;
    st->st_gid = attr->gid;
    st->st_mtim = attr->mtime;
    st->st_atim = attr->has_atime ? attr->atime : attr->mtime;
    st->st_ctim = attr->has_ctime ? attr->ctime : attr->mtime;
}

static bool later(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

uint64_t fs_size_locked(const struct fs_inode *inode)
{
    struct spool_attr attr = {.mode = 0};
    uint64_t size = 0;

    if (inode->staged)
        spool_file_times(inode->staged, &attr, &size);
    else if (inode->target)
        size = strlen(inode->target);
    else if (inode->has_remote)
        size = inode->remote.size;
    return size;
}

void fs_stat_locked(struct fs *fs, const struct fs_inode *inode, struct stat *st)
{
    struct spool_attr attr = {.mode = 0};
    uint64_t size = 0;

    *st = (struct stat){.st_ino = inode->ino};
    if (inode->staged) {
        spool_file_times(inode->staged, &attr, &size);
        copy_attr(st, &attr);
    } else if (inode->attr_known) {
        copy_attr(st, &inode->attr);
        size = fs_size_locked(inode);
    } else if (inode->has_remote) {
        st->st_mode = inode->type | (0640 & ~fs->config.defaults.umask);
        st->st_uid = fs->config.defaults.uid;
        st->st_gid = fs->config.defaults.gid;
        if (inode->remote.modified_s != FS_MODIFIED_UNKNOWN)
            st->st_mtim.tv_sec = (time_t)inode->remote.modified_s;
        st->st_atim = st->st_ctim = st->st_mtim;
        size = inode->remote.size;
    } else {
        st->st_mode = inode->type | (0750 & ~fs->config.defaults.umask);
        st->st_uid = fs->config.defaults.uid;
        st->st_gid = fs->config.defaults.gid;
        st->st_mtim = st->st_atim = st->st_ctim = fs->started;
    }
    st->st_mode = (st->st_mode & ~(mode_t)S_IFMT) | inode->type;
    if (fs->config.force_uid)
        st->st_uid = fs->config.defaults.uid;
    if (fs->config.force_gid)
        st->st_gid = fs->config.defaults.gid;
    /* Unset is the epoch, and that is later than the times of old directories. */
    if (inode->dir && inode->dir->touched.tv_sec != 0 &&
        later(&inode->dir->touched, &st->st_mtim)) {
        st->st_mtim = inode->dir->touched;
        if (later(&st->st_mtim, &st->st_ctim))
            st->st_ctim = st->st_mtim;
    }
    st->st_nlink = inode->parent || inode == fs->tree.root ? 1 : 0;
    st->st_size = (off_t)(inode->dir ? DIR_SIZE : size);
    st->st_blocks = inode->dir ? 0 : (blkcnt_t)((size + BLOCK_SIZE - 1) / BLOCK_SIZE);
    st->st_blksize = PREFERRED_SIZE;
}

/* -- from the bucket -- */

static void new_version(struct fs_inode *inode, const struct fs_version *object)
{
    if (!inode->has_remote || strcmp(inode->remote.etag, object->etag) == 0)
        return;
    inode->changes++; /* somebody else's: the kernel's pages are stale */
    free(inode->target);
    inode->target = NULL;
}

void fs_apply_record_locked(struct fs *fs, struct fs_inode *inode, struct fs_record *record,
                            uint64_t until_ms, uint64_t checked_ms)
{
    struct ou_error err;

    new_version(inode, &record->object);
    if (inode->changes != inode->pages && inode->handles)
        fs_notify_pages(fs, inode->id);
    spool_attr_fini(&inode->attr);
    inode->attr = (struct spool_attr){.mode = 0};
    inode->attr_known = spool_attr_copy(&inode->attr, &record->attr, &err) == 0;
    fs_inode_set_remote(inode, &record->object, fs_record_seen(record));
    inode->until_ms = until_ms;
    inode->checked_ms = checked_ms;
    if (inode->dir)
        inode->dir->marker_known = inode->dir->has_marker = true;
    if (S_ISLNK(inode->type) && !inode->target && record->target)
        inode->target = strdup(record->target);
    if (S_ISLNK(inode->type) && !inode->target && inode->attr_known)
        inode->target = fs_target_of_attr(&inode->attr);
}

void fs_apply_listed_locked(struct fs *fs, struct fs_inode *inode, const struct fs_version *version,
                            uint64_t until_ms, uint64_t checked_ms)
{
    new_version(inode, version);
    if (inode->changes != inode->pages && inode->handles)
        fs_notify_pages(fs, inode->id);
    inode->attr_known = false;
    fs_inode_set_remote(inode, version, version);
    inode->until_ms = until_ms;
    inode->checked_ms = checked_ms;
}

void fs_apply_implied_locked(struct fs *fs, struct fs_inode *inode, uint64_t until_ms,
                             uint64_t checked_ms)
{
    struct timespec mtime = inode->attr_known ? inode->attr.mtime : fs->started;

    spool_attr_fini(&inode->attr);
    inode->attr = (struct spool_attr){.mode = S_IFDIR | (0750 & ~fs->config.defaults.umask),
                                      .uid = fs->config.defaults.uid,
                                      .gid = fs->config.defaults.gid,
                                      .mtime = mtime};
    inode->attr_known = true;
    inode->has_remote = false;
    inode->until_ms = until_ms;
    inode->checked_ms = checked_ms;
    inode->dir->marker_known = true;
    inode->dir->has_marker = false;
}

/* -- new ones -- */

void fs_default_attr(const struct fs *fs, const struct fs_call *call, mode_t mode,
                     struct spool_attr *attr)
{
    struct timespec now = ou_wall();

    *attr = (struct spool_attr){
        .mode = mode,
        .uid = fs->config.force_uid ? fs->config.defaults.uid : call->uid,
        .gid = fs->config.force_gid ? fs->config.defaults.gid : call->gid,
        .mtime = now,
    };
}

void fs_touch_locked(struct fs_inode *dir)
{
    dir->dir->touched = ou_wall();
}

/* "header:LENGTH:percent-encoded target", where ossfs runs with symlink_in_meta. */
char *fs_target_of_attr(const struct spool_attr *attr)
{
    static const char in_header[] = "header:";

    for (size_t i = 0; i < attr->other_count; i++) {
        const char *value = attr->other[i].value, *text;
        char *target;

        if (strcmp(attr->other[i].name, "symlink-target") != 0 ||
            strncmp(value, in_header, sizeof(in_header) - 1) != 0)
            continue;
        text = strchr(value + sizeof(in_header) - 1, ':');
        target = text ? strdup(text + 1) : NULL;
        if (target)
            target[ou_percent_decode(target, strlen(target), false)] = '\0';
        return target;
    }
    return NULL;
}

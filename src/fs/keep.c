/* Told in fs/keep.h. .kept_fd of an inode is set once, and closed when the inode is freed. */
#include "fs/keep.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#define CHUNK (UINT64_C(1) << 20)

bool fs_keep_wanted_locked(const struct fs_inode *inode)
{
    return inode->handles && !inode->staged && !inode->dir && inode->has_remote &&
           inode->kept_fd < 0 && inode->remote.size <= FS_KEEP_MAX;
}

static int fetch(struct fs *fs, struct fs_inode *inode, int fd, uint64_t size,
                 const struct fs_call *call, struct ou_error *err)
{
    ou_autofree char *buf = malloc(CHUNK);
    uint64_t at = 0;

    if (!buf)
        return ou_error_set(err, ENOMEM, "keep %" PRIu64 " bytes", size);
    while (at < size) {
        uint64_t want = size - at < CHUNK ? size - at : CHUNK;
        ssize_t n = fs_read_inode(fs, inode, buf, (size_t)want, at, call, err);
        int r;

        if (n <= 0)
            return n < 0 ? (int)n : ou_error_set(err, EIO, "object ends early");
        r = ou_pwrite_all(fd, buf, (size_t)n, at, err);
        if (r < 0)
            return r;
        at += (uint64_t)n;
    }
    return 0;
}

void fs_keep(struct fs *fs, struct fs_inode *inode, const struct fs_call *call)
{
    struct ou_error err = OU_ERROR_INIT;
    ou_autoclose int fd = -1;
    uint64_t size;
    int r;

    {
        ou_lock_scope(&fs->lock);
        if (!fs_keep_wanted_locked(inode))
            return;
        size = inode->remote.size;
    }
    fd = open(spool_dir(fs->spool), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    r = fd < 0 ? ou_error_set(&err, errno, "temporary file in %s", spool_dir(fs->spool))
               : fetch(fs, inode, fd, size, call, &err);
    if (r < 0) {
        ou_log_warn(OU_LOG_FS, &err, "readers of a replaced file will get ESTALE inode=%" PRIu64,
                    inode->id);
        return;
    }
    ou_lock_scope(&fs->lock);
    if (inode->kept_fd < 0)
        inode->kept_fd = ou_take_fd(&fd);
}

ssize_t fs_keep_read(struct fs *fs, struct fs_inode *inode, void *buf, size_t len, uint64_t offset,
                     struct ou_error *err)
{
    int fd;

    {
        ou_lock_scope(&fs->lock);
        fd = inode->kept_fd;
        if (fd < 0 || inode->staged || inode->parent) /* still, or again, somebody's name */
            return -ENODATA;
    }
    return ou_pread_full(fd, buf, len, offset, err);
}

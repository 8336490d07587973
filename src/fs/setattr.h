/*
 * Changes of attributes: chmod, chown, truncate, utimens, user xattrs.
 *
 * A change that changes nothing costs nothing. Others stage the inode; the spool makes one
 * CopyObject of all that come within the settle time. Who may do what is the kernel's
 * business (default_permissions).
 */
#ifndef OSSUP_FS_SETATTR_H
#define OSSUP_FS_SETATTR_H

#include "fs/handle.h"

#include <sys/stat.h>

/* Which members of .attr are to be set; SPOOL_SET_* of spool/spool.h, and: */
#define FS_SET_SIZE 0x1000u

struct fs_setattr {
    unsigned which;
    struct spool_attr attr; /* mode without its type */
    uint64_t size;
};
/** fs_set_attr() - @handle: the one that ftruncate came through, or NULL. */
int fs_set_attr(struct fs *fs, uint64_t id, const struct fs_setattr *set, struct fs_handle *handle,
                const struct fs_call *call, struct ou_error *err);

/** fs_xattr_get() - the value's size (copied if it fits @size), -ENODATA, -ERANGE, -EOPNOTSUPP, FS_READ_MUST_WAIT. */
ssize_t fs_xattr_get(struct fs *fs, uint64_t id, const char *name, void *value, size_t size,
                     const struct fs_call *call, struct ou_error *err);
ssize_t fs_xattr_list(struct fs *fs, uint64_t id, char *list, size_t size,
                      const struct fs_call *call, struct ou_error *err);
/** fs_xattr_set() - @value NULL: remove. */
int fs_xattr_set(struct fs *fs, uint64_t id, const char *name, const void *value, size_t size,
                 int flags, const struct fs_call *call, struct ou_error *err);

#endif

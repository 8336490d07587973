/*
 * Create: files, directories and symlinks begin as staged files of the spool. No request, ever.
 */
#ifndef OSSUP_FS_CREATE_H
#define OSSUP_FS_CREATE_H

#include "fs/handle.h"

/**
 * fs_create() - a regular file, opened with @flags
 * @inode: in use for the caller, like the handle's
 *
 * Where the name exists after all: -EEXIST with O_EXCL, else it is opened.
 */
int fs_create(struct fs *fs, uint64_t parent_id, const char *name, mode_t mode, int flags,
              const struct fs_call *call, struct fs_inode **inode, struct fs_handle **handle,
              bool *keep_pages, struct ou_error *err);
/**
 * fs_make() - a file (mknod), directory or symlink, by the type in @mode
 * @target: of a symlink; else NULL
 */
int fs_make(struct fs *fs, uint64_t parent_id, const char *name, mode_t mode, const char *target,
            const struct fs_call *call, struct fs_inode **inode, struct ou_error *err);
/** fs_readlink() - malloc'ed target. */
int fs_readlink(struct fs *fs, uint64_t id, const struct fs_call *call, char **target,
                struct ou_error *err);

#endif

/*
 * Stat: from what is known about an inode to struct stat, and back from HEADs into the inode.
 *
 * All with the filesystem's lock held; no I/O.
 */
#ifndef OSSUP_FS_STAT_H
#define OSSUP_FS_STAT_H

#include "fs/state.h"

#include <sys/stat.h>

/** fs_stat_locked() - what stat shows; defaults for a directory whose attributes are unknown. */
void fs_stat_locked(struct fs *fs, const struct fs_inode *inode, struct stat *st);
/** fs_size_locked() - bytes of a file, or of a symlink's target. */
uint64_t fs_size_locked(const struct fs_inode *inode);
/** fs_apply_record_locked() - @inode (of the right type) is what @record tells. */
void fs_apply_record_locked(struct fs *fs, struct fs_inode *inode, struct fs_record *record,
                            uint64_t until_ms, uint64_t checked_ms);
/** fs_apply_listed_locked() - @inode is a regular file in this version; its attributes are unknown. */
void fs_apply_listed_locked(struct fs *fs, struct fs_inode *inode, const struct fs_version *version,
                            uint64_t until_ms, uint64_t checked_ms);
/** fs_apply_implied_locked() - @inode is a directory without a marker. */
void fs_apply_implied_locked(struct fs *fs, struct fs_inode *inode, uint64_t until_ms,
                             uint64_t checked_ms);
/** fs_default_attr() - of a new inode of @mode for who calls. */
void fs_default_attr(const struct fs *fs, const struct fs_call *call, mode_t mode,
                     struct spool_attr *attr);
/** fs_touch_locked() - @dir's names have changed. */
void fs_touch_locked(struct fs_inode *dir);

/**
 * fs_target_of_attr() - a symlink's target that lies in the metadata (oss-protocol 8.3)
 *
 * Return: malloc'ed; NULL: it is the object's body.
 */
char *fs_target_of_attr(const struct spool_attr *attr);

#endif

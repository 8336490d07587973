/*
 * The root of a whole bucket has no object that could carry attributes: they lie in a
 * file of the spool's directory, root.attr, for this machine only.
 *
 * Format: {"mode":…,"uid":…,"gid":…,"mtime":[sec,nsec],"atime":[sec,nsec]}, replaced as a whole.
 */
#ifndef OSSUP_FS_LOCAL_ROOT_H
#define OSSUP_FS_LOCAL_ROOT_H

#include "fs/state.h"

/** fs_local_root_load() - at mount; what cannot be read is as if it were not there. */
void fs_local_root_load(struct fs *fs);
/** fs_local_root_keep() - at the end: its times, as they are shown. */
void fs_local_root_keep(struct fs *fs);
/** fs_local_root_set() - @which: SPOOL_SET_* but XATTR. */
int fs_local_root_set(struct fs *fs, const struct spool_attr *attr, unsigned which,
                      struct ou_error *err);

#endif

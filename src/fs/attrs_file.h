/*
 * The attribute cache on disk: attrs.cache in the spool's directory, so that a second ls -lR or
 * rsync of an unchanged tree sends listings only, also after a remount.
 *
 * Nothing is lost with it but requests: it is written without syncing, and a file that cannot
 * be read, or is of another version, is begun anew.
 */
#ifndef OSSUP_FS_ATTRS_FILE_H
#define OSSUP_FS_ATTRS_FILE_H

#include "fs/state.h"

struct fs_attrs_file;

/** fs_attrs_file_open() - fills the cache from @dir/attrs.cache; new records are appended from now on. */
int fs_attrs_file_open(struct fs *fs, const char *dir, struct fs_attrs_file **file,
                       struct ou_error *err);
/** fs_attrs_file_close() - the last records; NULL is fine. */
void fs_attrs_file_close(struct fs_attrs_file *file);

#endif

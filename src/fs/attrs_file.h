/*
 * The attribute cache on disk: attrs.cache in the spool's directory, so that a second ls -lR or
 * rsync of an unchanged tree sends listings only, whatever its size and also after a remount.
 *
 * Memory has the records that were used last and, for each on disk, where it lies (24 bytes). What
 * a listing shows is recalled with it, so that those who look at its names find it in memory.
 *
 * Of more than fs_config.attrs_max records the oldest are dropped. Nothing is lost with the file
 * but requests: it is written without syncing, and one that cannot be read, or is of another
 * version, is begun anew.
 */
#ifndef OSSUP_FS_ATTRS_FILE_H
#define OSSUP_FS_ATTRS_FILE_H

#include "fs/state.h"

#define FS_ATTRS_DISK_MAX 1000000u /* of fs_config, when it does not say */

struct fs_attrs_file;

/** fs_attrs_file_open() - @dir/attrs.cache; new records are appended from now on. */
int fs_attrs_file_open(struct fs *fs, const char *dir, struct fs_attrs_file **file,
                       struct ou_error *err);
/** fs_attrs_file_close() - the last records; NULL is fine. */
void fs_attrs_file_close(struct fs_attrs_file *file);

/** fs_attrs_hurry_locked() - those not saved yet are written at once, if they are many. */
void fs_attrs_hurry_locked(struct fs *fs);
/** fs_attrs_recall() - the record of @key is in memory afterwards, or not on disk (fs_attrs_on_disk()). */
void fs_attrs_recall(struct fs *fs, const char *key);
/** fs_attrs_recall_page() - likewise those of the names in @segment of the directory @dir_key. */
void fs_attrs_recall_page(struct fs *fs, const char *dir_key, const struct fs_segment *segment);

#endif

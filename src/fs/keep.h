/*
 * Keep: bytes of an object that is about to be replaced while somebody reads it.
 *
 * OSS has no version of an object but the last. When this mount replaces one that handles
 * still read (rename over it, or a new file under the name of an unlinked one), its bytes are
 * fetched before into a nameless file in the spool's directory, if they are no more than
 * FS_KEEP_MAX; readers of larger ones get ESTALE. The file is gone with the inode.
 */
#ifndef OSSUP_FS_KEEP_H
#define OSSUP_FS_KEEP_H

#include "fs/handle.h"

#define FS_KEEP_MAX (UINT64_C(64) << 20)

/** fs_keep_wanted_locked() - @inode is read by handles from an object, and small enough. */
bool fs_keep_wanted_locked(const struct fs_inode *inode);
/** fs_keep() - fetch them; waits for the network. Failing costs the readers ESTALE, nobody else anything. */
void fs_keep(struct fs *fs, struct fs_inode *inode, const struct fs_call *call);
/** fs_keep_read() - Return: bytes, or -ENODATA: they have not been kept. */
ssize_t fs_keep_read(struct fs *fs, struct fs_inode *inode, void *buf, size_t len, uint64_t offset,
                     struct ou_error *err);

#endif

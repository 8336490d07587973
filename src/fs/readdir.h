/*
 * Readdir: what is known for free about a name that a directory tells.
 */
#ifndef OSSUP_FS_READDIR_H
#define OSSUP_FS_READDIR_H

#include "fs/stream.h"

#include <sys/stat.h>

/*
 * An entry: number and type, and attributes only if no request is needed for them.
 * .inode (NULL: attributes unknown) is borrowed until the lock is let go.
 */
struct fs_entry_known {
    uint64_t ino;
    mode_t type; /* S_IF*, or 0: a listing does not tell links from files */
    struct fs_inode *inode;
    uint64_t until_ms;
};
/** fs_entry_known_locked() - @want_inode: make an inode where the attribute cache knows the object */
void fs_entry_known_locked(struct fs *fs, struct fs_inode *dir, const struct fs_name *name,
                           bool want_inode, struct fs_entry_known *out);

#endif

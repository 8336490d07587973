/*
 * Resolve: from a name to an inode with attributes, by as few requests as will do.
 *
 * What is asked, in this order (design section 7):
 *   1. what is staged here, or has something staged below it: no request;
 *   2. what listings and changes say that are still trusted (fs/listing.h): no request;
 *   3. the first unknown name in a directory: one LIST with the key as its prefix, which
 *      finds the object, the marker and the implied directory at once;
 *   4. the second one soon after: one LIST of the directory, 1000 keys; in a huge directory
 *      the page that held the name when it was read last, or a page from that name on when
 *      the names come in order;
 *   5. attributes of what exists: from the attribute cache if it knows this version, else
 *      one HEAD, for a file that cannot be a symlink (FS_LINK_MAX) only when somebody wants
 *      them: unlink does not. A directory that the cache knows is listed instead: that tells its
 *      marker's version, and the names are wanted next.
 * Who removes a whole tree needs neither fresh listings nor attributes (fs/remover.h).
 *
 * Functions without _locked take the lock themselves.
 */
#ifndef OSSUP_FS_RESOLVE_H
#define OSSUP_FS_RESOLVE_H

#include "fs/state.h"

/* A symlink's body is its target: no larger object is one. */
#define FS_LINK_MAX 4095u

/**
 * fs_resolve() - @name in @parent
 * @attr:  with attributes; else .attr_known may be false
 * @inode: in use for the caller (fs_unuse()); NULL: there is no such name
 * @until_ms: how long either answer is trusted
 *
 * Return: 0, FS_MUST_WAIT, -ENOENT (@parent is gone), -ENOTDIR, -ENAMETOOLONG, or what the
 * bucket said.
 */
int fs_resolve(struct fs *fs, uint64_t parent_id, const char *name, bool attr,
               const struct fs_call *call, struct fs_inode **inode, uint64_t *until_ms,
               struct ou_error *err);
/** fs_refresh() - what is known about @inode is trusted now. -ENOENT: its name is gone or another's. */
int fs_refresh(struct fs *fs, struct fs_inode *inode, const struct fs_call *call,
               struct ou_error *err);
/** fs_need_attr() - .attr_known is set, or it is staged; however old. */
int fs_need_attr(struct fs *fs, struct fs_inode *inode, const struct fs_call *call,
                 struct ou_error *err);
/** fs_inode_get() - by the kernel's number, in use; -ESTALE. */
int fs_inode_get(struct fs *fs, uint64_t id, struct fs_inode **inode, struct ou_error *err);
void fs_unuse(struct fs *fs, struct fs_inode *inode);

#endif

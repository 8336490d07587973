/*
 * Remove: unlink, rmdir, and objects that are read after they were unlinked.
 *
 * An object whose inode is unlinked while handles read it is *doomed*: the name is gone at
 * once, the delete is handed to the spool when the last handle closes (unless the key has been
 * made anew: then its readers get ESTALE once that is uploaded). A crash in between
 * leaves the object where it was; that is as if the unlink had not reached the disk.
 *
 * The last name that leaves an implied directory would take the directory along; it gets a
 * marker then, as programs expect to find a directory where they left one.
 */
#ifndef OSSUP_FS_REMOVE_H
#define OSSUP_FS_REMOVE_H

#include "fs/state.h"

int fs_unlink(struct fs *fs, uint64_t parent_id, const char *name, const struct fs_call *call,
              struct ou_error *err);
/** fs_rmdir() - -ENOTEMPTY, -ENOTDIR. Sends a LIST unless a listing tells that it is empty. */
int fs_rmdir(struct fs *fs, uint64_t parent_id, const char *name, const struct fs_call *call,
             struct ou_error *err);
/** fs_dir_empty() - 1 nothing in it, 0 something, FS_DIR_MUST_WAIT, negative errno. @dir is in use. */
#define FS_DIR_MUST_WAIT 2
int fs_dir_empty(struct fs *fs, struct fs_inode *dir, const struct fs_call *call,
                 struct ou_error *err);
/** fs_keep_dir() - a name has left @dir (in use): see that it stays a directory. */
int fs_keep_dir(struct fs *fs, struct fs_inode *dir, struct ou_error *err);

/** fs_replaced_locked() - @key is made anew: nobody deletes it any more. Return: it was doomed. */
bool fs_replaced_locked(struct fs *fs, const char *key);
/**
 * fs_replacing() - likewise, before it is made: no close deletes it in the middle
 *
 * If the making fails, what was doomed is so again: fs_replacing_failed(). Return: it was doomed.
 */
bool fs_replacing(struct fs *fs, const char *key);
void fs_replacing_failed(struct fs *fs, const char *key);
/** fs_doomed_inode_locked() - the inode that reads the doomed object @key and would lose it; NULL. */
struct fs_inode *fs_doomed_inode_locked(const struct fs *fs, const char *key);
/** fs_delete_doomed() - a handle of @inode (in use) has closed: its doomed object goes, unless others read it. */
int fs_delete_doomed(struct fs *fs, struct fs_inode *inode, struct ou_error *err);
/** fs_doom_locked() - @inode (unlinked) is still read; @key (taken over) goes with the last handle. */
void fs_doom_locked(struct fs *fs, struct fs_inode *inode, char *key);

#endif

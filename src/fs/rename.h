/*
 * Rename.
 *
 * A staged file: the spool changes its sidecar; no request, unless the object below it has to
 * be moved along. An object: one CopyObject, one Delete. A directory: what is staged below it
 * is renamed in the spool, the objects are copied on the server in parallel (metadata and all,
 * no HEAD), then the inode moves, then the old keys are deleted by batches.
 *
 * In a hierarchical bucket an object, and a directory, is renamed by one request
 * (fs/rename_whole.h), if nothing is in the way of that.
 *
 * What needs a copy is journalled (fs/rename_journal.h): a crash in between leaves both names until
 * the next mount finishes it; of one object only if the copy had been made, else the old name stands.
 *
 * Readers of a renamed file go on; readers of a file that is renamed over get ESTALE once the
 * object has been replaced.
 */
#ifndef OSSUP_FS_RENAME_H
#define OSSUP_FS_RENAME_H

#include "fs/state.h"

/**
 * fs_rename() - @flags: RENAME_NOREPLACE; others are -EINVAL
 *
 * Return: 0, FS_MUST_WAIT, -ENOENT, -EEXIST, -ENOTEMPTY, -EISDIR, -ENOTDIR, -EINVAL (a directory
 * into itself), and what the bucket said; then the old name stands.
 */
int fs_rename(struct fs *fs, uint64_t parent_id, const char *name, uint64_t new_parent_id,
              const char *new_name, unsigned flags, const struct fs_call *call,
              struct ou_error *err);

/* Where an inode is to go; all in use. */
struct fs_move {
    struct fs_inode *parent, *inode, *new_parent, *over; /* .over: NULL: the name is free */
    const char *new_name;
    char *key, *new_key;
};
/** fs_rename_dir() - @m->over has been removed. */
int fs_rename_dir(struct fs *fs, struct fs_move *m, const struct fs_call *call,
                  struct ou_error *err);
/** fs_finish_rename_dir() - after a crash: all that is left below @from goes below @to. */
int fs_finish_rename_dir(struct fs *fs, const char *from, const char *to, struct ou_error *err);
/* What is at the new name of an object whose renaming was cut short. */
enum fs_target { FS_TARGET_FREE, FS_TARGET_COPIED, FS_TARGET_TAKEN };
/**
 * fs_rename_target() - asks the bucket
 *
 * Return: FS_TARGET_FREE: the copy is to be made; FS_TARGET_COPIED: it had been; FS_TARGET_TAKEN:
 * somebody has made or removed that name since; negative errno.
 */
int fs_rename_target(struct fs *fs, const char *from, const char *to, const struct fs_call *call,
                     struct ou_error *err);
/**
 * fs_find_renames() - what a crash has cut short is known
 *
 * Of what one request renames nothing is uploaded from now on, until it is finished.
 */
int fs_find_renames(struct fs *fs, struct ou_error *err);
void fs_forget_renames(struct fs *fs);
/** fs_finish_renames() - what a crash has cut short; waits for the network. */
void fs_finish_renames(struct fs *fs);
/** fs_move_locked() - the tree and the listings follow; @version: of the object at the new key, or NULL. */
int fs_move_locked(struct fs *fs, struct fs_move *m, const struct fs_version *version,
                   struct ou_error *err);
/** fs_rename_file() - spool_file_rename(), and the spool lets go of @file if nothing is pending. */
int fs_rename_file(struct spool_file *file, const char *new_key, const struct fs_call *call,
                   struct ou_error *err);
/**
 * fs_copy_object() - @key to @new_key, by one request
 *
 * Return: 1 and the copy's version; 0: nothing was done, it is for the spool to rename, which
 * copies large objects by parts and knows the order of what is pending for @new_key.
 */
int fs_copy_object(struct fs *fs, const char *key, const struct fs_version *version,
                   const char *new_key, const struct fs_call *call, struct fs_version *copy,
                   struct ou_error *err);

#endif

/*
 * Stage: inodes become staged files of the spool, and remote ones again once those are published.
 *
 * While an inode is staged the spool has the truth about it. fs_stage() holds it staged
 * until fs_stage_done(); then, when the spool has nothing pending, the inode goes back
 * to what is in the bucket, whose version the published event has told.
 *
 * Functions without _locked take the lock themselves.
 */
#ifndef OSSUP_FS_STAGE_H
#define OSSUP_FS_STAGE_H

#include "fs/state.h"

/**
 * fs_stage() - the staged file behind @inode, held; costs a request only if attributes are unknown
 * @file: for the caller until fs_stage_done()
 *
 * A directory without a marker gets one. Return: 0, FS_MUST_WAIT, -ENOENT, ...
 */
int fs_stage(struct fs *fs, struct fs_inode *inode, const struct fs_call *call,
             struct spool_file **file, struct ou_error *err);
void fs_stage_done(struct fs *fs, struct fs_inode *inode, struct spool_file *file);
/** fs_stage_held() - likewise for an inode that is staged already: 1 and held, or 0. */
int fs_stage_held(struct fs *fs, struct fs_inode *inode, struct spool_file **file);

/** fs_unstage_nameless_locked() - @inode (in use) without a name or handles needs its staged file no more: that, to be unreferenced; or NULL. */
struct spool_file *fs_unstage_nameless_locked(struct fs *fs, struct fs_inode *inode);
/** fs_evict_locked() - something else has @inode's name now; whoever has it open goes on. */
void fs_evict_locked(struct fs *fs, struct fs_inode *inode);
/**
 * fs_stage_new_locked() - a new inode @name in @parent, backed by @file (whose reference it takes)
 *
 * Whatever had the name is unlinked. The inode is in use for the caller. NULL: no memory.
 */
struct fs_inode *fs_stage_new_locked(struct fs *fs, struct fs_inode *parent, const char *name,
                                     mode_t type, struct spool_file *file);
/** fs_stage_all() - at mount: inodes for what the spool holds. */
int fs_stage_all(struct fs *fs, struct ou_error *err);
/**
 * fs_stage_object() - the object @key, as HEAD tells it, is staged
 * @inode: its inode (made if need be), held staged and in use; NULL: a directory hides it
 * @file:  a reference for the caller
 */
int fs_stage_object(struct fs *fs, const char *key, const struct fs_call *call,
                    struct fs_inode **inode, struct spool_file **file, struct ou_error *err);
/** fs_stage_again() - @file has got another key behind the tree's back: its inode is there now. */
void fs_stage_again(struct fs *fs, struct spool_file *file);
/** fs_make_marker() - @dir gets an object of its own, so that it outlives its children. */
int fs_make_marker(struct fs *fs, struct fs_inode *dir, struct ou_error *err);

/** fs_walk_locked() - the inode of @key as far as the tree knows it; NULL. */
struct fs_inode *fs_walk_locked(struct fs *fs, const char *key);

/** fs_published() / fs_delete_refused() - the spool's events. */
void fs_published(void *ctx, struct spool_file *file, const struct oss_written *written);
void fs_delete_refused(void *ctx, const char *key, const struct ou_error *err);

#endif

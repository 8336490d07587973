/*
 * Hide: what a LIST shows though this mount has deleted it (fs/gone.h).
 */
#ifndef OSSUP_FS_HIDE_H
#define OSSUP_FS_HIDE_H

#include "fs/state.h"

/** fs_hide_needed() - before a LIST of @dir_key: is there anything to hide? Else what it shows is true. */
bool fs_hide_needed(struct fs *fs, const char *dir_key);
/**
 * fs_hide_deleted() - takes out of @segment, of @dir (in use), what does not exist any more
 *
 * Where a directory was removed and made anew, only a LIST of all below can tell whether
 * what it shows is what is being deleted: such are sent. Return: 0, or the error of one.
 */
int fs_hide_deleted(struct fs *fs, struct fs_inode *dir, const char *dir_key,
                    struct fs_segment *segment, const struct fs_call *call, struct ou_error *err);
/** fs_hidden_locked() - the object @key, shown by a request begun at @begun_ms, is being deleted. */
bool fs_hidden_locked(struct fs *fs, const char *key, uint64_t begun_ms);
/** fs_hide_load() - at mount: what the mount before has deleted, and OSS has not confirmed. */
void fs_hide_load(struct fs *fs);

#endif

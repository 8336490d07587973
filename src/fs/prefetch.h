/*
 * Prefetch: HEADs sent before they are asked for.
 *
 * A program that asks for attributes in the order of the listing (ls -l, rsync, find) gets
 * the next ones fetched in parallel: 1, 4, 16, then 64 names ahead.
 */
#ifndef OSSUP_FS_PREFETCH_H
#define OSSUP_FS_PREFETCH_H

#include "fs/state.h"

#define FS_PREFETCH_WINDOW_MAX 64u

/** fs_prefetch_window() - how many names ahead after @streak lookups in order. Pure. */
unsigned fs_prefetch_window(unsigned streak);
/** fs_prefetch_note_locked() - the attributes of the entry that @found points to were asked for. */
void fs_prefetch_note_locked(struct fs *fs, struct fs_inode *parent, const struct fs_found *found);

#endif

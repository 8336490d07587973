/*
 * Reader: a handle's view of an object that nobody has staged.
 *
 * Counted, as several threads may be reading through it when a new version takes its place.
 */
#ifndef OSSUP_FS_READER_H
#define OSSUP_FS_READER_H

#include "fs/handle.h"

/** fs_reader_drop() - give back a reference; takes the lock. NULL is fine. */
void fs_reader_drop(struct fs *fs, struct fs_reader *reader);

#endif

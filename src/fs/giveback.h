/*
 * Give back: how many inodes the kernel may make us keep.
 *
 * Each that a program has looked up costs memory until the kernel forgets it, which it does only
 * when it is short of memory itself. When there are more than fs_config.inodes_max, a thread asks
 * it to forget those used least recently (fs/lru.h), an eighth of them at a time. Not asked for is
 * what is in use here: open, staged, with names below it.
 *
 * How it is asked depends on the kernel. Since Linux 6.18 it can be asked for inodes that no
 * program uses, directories among them. Before, a name can be made invalid. A file stays usable
 * by it, a directory loses its path for who works in it: directories are not counted then, and
 * not given back. And it waits for the calls that are under way in the directory.
 *
 * Names go first in whose directory no call waits for the network: a new lookup there would wait
 * for that. Where the kernel would have to wait, too, they do not go when the call seems stuck.
 *
 * What is in use, here or by a program, is tried again when an eighth more have been looked up or
 * closed; so there may be so many too many for a while.
 */
#ifndef OSSUP_FS_GIVEBACK_H
#define OSSUP_FS_GIVEBACK_H

#include "fs/state.h"

#define FS_INODES_MAX 100000u /* of fs_config, when it does not say */

/** fs_giveback_start() - while the mount is served. */
int fs_giveback_start(struct fs *fs, struct ou_error *err);
/** fs_giveback_stop() - before it is not served any more, or after all requests have ended; joins. */
void fs_giveback_stop(struct fs *fs);
/** fs_giveback_note_locked() - the kernel knows one more, or one is not in use any more. */
void fs_giveback_note_locked(struct fs *fs);

#endif

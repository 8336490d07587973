/*
 * Session: the mount. fs_mount(), fs_run() and fs_stop() of fs/fs.h are in session.c, what the
 * kernel is told without having asked in notify.c.
 */
#ifndef OSSUP_FS_SESSION_H
#define OSSUP_FS_SESSION_H

#include "fs/state.h"

struct fs_running;
struct fuse_session;

struct fs_session {
    struct fuse_session *fuse;
    struct fs_running *running;
    bool mounted;
    int stop_fd; /* eventfd; written by fs_stop() */
    int done_fd; /* eventfd; written when the loop has ended */
    unsigned threads;
    int loop_result;
};

/** fs_session_running() - the requests in the pools of the session. */
struct fs_running *fs_session_running(struct fs *fs);
/** fs_session_free() - unmounts if need be. */
void fs_session_free(struct fs *fs);

/**
 * fs_prune() - the kernel forgets those of @ids that nothing uses: no program and, of a directory,
 * no name in it
 *
 * Waits for no other request. Return: 0, or -EINVAL: this kernel cannot (Linux before 6.18).
 */
#define FS_PRUNE_MAX 64u /* ids */
int fs_prune(struct fs *fs, const uint64_t *ids, size_t count);
/**
 * fs_drop_entry() - the kernel forgets the name, and the inode with the last use of it
 *
 * Waits for the requests that programs have under way in the directory @parent_id: never from a
 * thread that these wait for, never with a lock held. Of a directory that somebody works in the
 * path would get lost.
 */
void fs_drop_entry(struct fs *fs, uint64_t parent_id, const char *name);
/**
 * fs_own_descriptors() - this thread's descriptors are its own from now on: one for notices, 0 to 2
 *
 * For a thread that may be waiting in fs_drop_entry() when the daemon is killed: as long as it
 * does it holds on to what it shares with the others, and the requests that it waits for are
 * ended when the descriptors that they were read from are closed.
 */
void fs_own_descriptors(struct fs *fs);

#endif

/*
 * Session: the mount. fs_mount(), fs_run() and fs_stop() of fs/fs.h are in session.c.
 */
#ifndef OSSUP_FS_SESSION_H
#define OSSUP_FS_SESSION_H

#include "fs/state.h"

struct fs_running;

/** fs_session_running() - the requests in the pools of the session. */
struct fs_running *fs_session_running(struct fs *fs);
/** fs_session_free() - unmounts if need be. */
void fs_session_free(struct fs *fs);

#endif

/*
 * The filesystem's state, shared by the files of this folder. Knows nothing of FUSE.
 *
 * One lock, .lock, protects all that is in memory: tree, listings, attribute cache, open
 * handles, flights. It is held for moments: never across a request, a disk write or a
 * reply. Functions named *_locked want it held.
 *
 * Functions that may need the network take a struct fs_call. Where call->may_wait is false
 * they return FS_MUST_WAIT instead of waiting, and nothing has been done: the same call is
 * then made again from the request pool, where it may.
 */
#ifndef OSSUP_FS_STATE_H
#define OSSUP_FS_STATE_H

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "fs/flight.h"
#include "fs/fs.h"
#include "fs/gone.h"
#include "fs/pool.h"
#include "fs/remover.h"
#include "fs/tree.h"

#include <stdatomic.h>

#define FS_MUST_WAIT 1

/* Who asks, and how long it may take. */
struct fs_call {
    bool may_wait;
    struct ou_cancel *cancel; /* NULL: cannot be interrupted; fs->nowait unless may_wait */
    uint64_t deadline_ms;     /* ou_now_ms() scale */
    uint64_t begun_ms;        /* what is learnt from requests begun since is trusted */
    pid_t pid;                /* 0: not known, or nobody's */
    uid_t uid;
    gid_t gid;
    mode_t umask;
};

struct fs_session; /* fs/session.c: what libfuse is told and asked */

struct fs {
    struct fs_config config; /* constant; strings are owned */
    char *prefix;            /* config.prefix, owned */
    char *fsname;
    struct oss_client *client;
    struct spool *spool;
    struct timespec started;

    struct ou_mutex lock; /* rank OU_RANK_FS */
    struct fs_tree tree;  /* .lock, all below */
    struct fs_flights flights;
    struct fs_gone gone;
    char *control_path;
    uint64_t
        offline_until_ms; /* the network was dead just now: do not wait for what can be done without */
    struct fs_inode *doomed; /* unlinked, their objects deleted when the last handle closes */
    unsigned heads_ahead;    /* HEADs in advance, queued or under way */
    unsigned open_files, open_dirs;
    struct fs_handle *handles; /* all that are open */
    struct fs_stream *streams;
    struct fs_removers removers;

    struct ou_cancel *nowait;     /* always triggered: for calls that may not wait */
    struct fs_pool *requests;     /* calls that wait for a request or two */
    struct fs_pool *waits;        /* calls that wait for uploads, room, disks */
    struct fs_session *session;   /* NULL unless mounted; constant while serving */
    struct fs_giveback *giveback; /* NULL unless serving */
    struct fs_task startup;       /* what fs_run() begins with */
    struct fs_attrs_file *attrs_file;
    struct fs_renames *renames;
    struct fs_rename_todo *todo; /* renames that a crash has cut short; startup only */
    struct ou_cancel *ending;    /* triggered by fs_free() */
};

/* -- told to the kernel (notify.c), from a pool; nothing happens unless mounted -- */
void fs_notify_entry(struct fs *fs, uint64_t parent_id, const char *name);
void fs_notify_pages(struct fs *fs, uint64_t id);

static inline struct oss_call fs_oss_call(const struct fs_call *call)
{
    return (struct oss_call){.deadline_ms = call->deadline_ms, .cancel = call->cancel};
}

/** fs_call_own() - one that may wait, for the filesystem's own work. */
struct fs_call fs_call_own(const struct fs *fs);
/** fs_doomed_locked() - the object @key waits for its readers to close; see fs/remove.h. */
bool fs_doomed_locked(const struct fs *fs, const char *key);
bool fs_doomed_below_locked(const struct fs *fs, const char *dir_key);

#endif

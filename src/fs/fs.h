/*
 * The filesystem: names, inodes, handles, FUSE.
 *
 * It owns names: a tree of inodes that the kernel knows (lookup counts) or that
 * are pinned because something under them is staged. An inode is backed by a
 * staged file (src/spool) or by a remote object (read through the spool's reader
 * pool), or is a directory.
 *
 * LOCK ORDER (the only place where it is told; debug builds abort on inversions).
 * Ranks from small to large may be nested:
 *   OU_RANK_CLI    100  control socket, signal handling
 *   OU_RANK_FS     200  tree: inodes, dentries, lookup counts, listings, handles
 *                  230  queue of the request pool;  240 rename journal;  245 file of attributes
 *                  250  one running request
 *   OU_RANK_SPOOL  300  one staged file's bytes on disk (several: by id)
 *                  305  table of staged files;  308 deletes
 *                  310  one staged file;  315 names that are moved
 *                  320  timer;  325 space;  327 read cache;  330 who waits for something
 *   OU_RANK_XFER   400  engine: uploads, schedule
 *                  410  client of the library;  411 one call of it
 *                  420  reader pool and its readers; one file's upload;  430 its checkpoint
 *   OU_RANK_OSS    510  gate;  520 connections;  530 rate limit;  540 credentials
 *                  550+ what curl shares, taken inside curl;  590 one waiting call
 *   OU_RANK_BASE   600  none; the lock inside a cancel has no rank: a leaf
 * No lock is held across a request, a wait for space, a callback or a fuse_reply_*.
 *
 * Names and keys (design 6): a/b is the key PREFIX a/b. A directory is a key ending in "/" or
 * implied by keys below it. If both `a` and `a/...` exist the directory is shown. Keys that no
 * path can express are counted as hidden. Names OSS cannot hold: EILSEQ, ENAMETOOLONG.
 */
#ifndef OSSUP_FS_FS_H
#define OSSUP_FS_FS_H

#include "base/buf.h"
#include "base/error.h"
#include "oss/client.h"
#include "spool/spool.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum fs_completion { FS_COMPLETE_SPOOL, FS_COMPLETE_UPLOAD };

struct fs_config {
    struct oss_client *client; /* borrowed, like the spool */
    struct spool *spool;
    const char *prefix;       /* "" or "a/b/" */
    uint64_t attr_timeout_ms; /* how long attributes and listings are trusted */
    struct spool_attr_defaults defaults;
    bool force_uid, force_gid; /* uid=, gid= given: what all files show */
    bool read_only, allow_other, default_permissions;
    bool attrs_from_list; /* attrs=list: never HEAD for attributes */
    enum fs_completion close, fsync;
    size_t inodes_max;           /* what the kernel may make us keep; 0: FS_INODES_MAX */
    size_t attrs_max;            /* records of attributes on disk; 0: FS_ATTRS_DISK_MAX */
    unsigned request_threads;    /* calls that may wait for the network, at once; 0: 64 */
    uint64_t request_timeout_ms; /* 0: 60 s */
    const char *fsname;          /* first field of /proc/mounts */
};

struct fs;

/** fs_new() - the tree with what the spool holds; contacts nobody. */
int fs_new(const struct fs_config *config, struct fs **fs, struct ou_error *err);
void fs_free(struct fs *fs);
/**
 * fs_spool_events() - what spool_open() is to be given
 *
 * Its ctx is a `struct fs **` that the owner fills by fs_new() before spool_start().
 */
const struct spool_events *fs_spool_events(void);

/**
 * fs_mount() - mount on @mountpoint (must be an empty-handed directory; the sentence says what is wrong)
 * @fuse_options: further -o options for libfuse, comma-separated, or NULL
 */
int fs_mount(struct fs *fs, const char *mountpoint, const char *fuse_options, struct ou_error *err);
/** fs_run() - serve until unmounted or fs_stop(); then the mount is gone. @threads: FUSE threads, 0: 4. */
int fs_run(struct fs *fs, unsigned threads, struct ou_error *err);
/** fs_stop() - ends fs_run(); async-signal-safe. */
void fs_stop(struct fs *fs);

/** fs_status() - members of a JSON object (no braces): inodes, handles, hidden keys, requests waiting. */
void fs_status(struct fs *fs, struct ou_buf *json);

/*
 * Virtual xattr on every inode, so that `ossfs-up sync PATH` and `status MOUNTPOINT` find the
 * daemon: value is the path of its control socket.
 */
#define FS_XATTR_CONTROL "user.ossfs-up.control"
/* And the state of a file: "synced", "pending", "failed: ...". */
#define FS_XATTR_STATE "user.ossfs-up.state"
/** fs_set_control_path() - what FS_XATTR_CONTROL answers. */
void fs_set_control_path(struct fs *fs, const char *path);

#endif

/*
 * Requests: from a FUSE callback to the function that does it, and back to one reply.
 *
 * A callback fills a struct fs_op on its stack and calls fs_serve(). That runs the op at once,
 * with a call that may not wait; if it must (FS_MUST_WAIT), the op is copied, with what its
 * pointers point to, and run again in a pool. There it can be interrupted (Ctrl-C: EINTR) and
 * has a deadline. Either way it is replied to exactly once.
 *
 * Knows libfuse; so do ops_*.c and session.c, and nothing else.
 */
#ifndef OSSUP_FS_REQUEST_H
#define OSSUP_FS_REQUEST_H

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION 314
#endif
#include <fuse_lowlevel.h>

#include "fs/setattr.h"
#include "fs/state.h"
#include "fs/stream.h"

#include <string.h>

enum fs_lane {
    FS_LANE_REQUESTS, /* waits for a request or two; has the deadline */
    FS_LANE_WAITS,    /* waits for uploads, room or the disk; ends when they do */
};

struct fs_op {
    const char *what; /* for the log */
    /* Return: 0, FS_MUST_WAIT (nothing done), negative errno. */
    int (*run)(struct fs *fs, struct fs_op *op, const struct fs_call *call, struct ou_error *err);
    void (*reply)(struct fs *fs, fuse_req_t req, struct fs_op *op); /* after 0; NULL: "done" */
    enum fs_lane lane;

    /* arguments; copied for the pool: .name, .new_name, .data */
    uint64_t id, new_id;
    const char *name, *new_name;
    const void *data;
    size_t size; /* of .data, or of what is wanted */
    uint64_t offset, new_offset;
    mode_t mode;
    int flags;
    struct fs_handle *handle, *new_handle;
    struct fs_stream *stream;
    struct fs_setattr set;
    struct fuse_file_info info;

    /* results, freed or given back by .reply */
    struct fs_inode *inode; /* in use */
    uint64_t until_ms;
    struct fs_handle *opened;
    bool keep_pages;
    char *buf; /* malloc'ed, .result bytes */
    uint64_t result;
};

void fs_serve(fuse_req_t req, const struct fs_op *op);

static inline struct fs *fs_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

/* What .fh of an open file or directory points to. */
static inline void *fs_of_fh(const struct fuse_file_info *fi)
{
    void *p = NULL;

    if (fi)
        memcpy(&p, &fi->fh, sizeof(p));
    return p;
}

/* Replies. */
/** fs_reply_entry() - op->inode as an entry (NULL: none, for a while), counted as a lookup. */
void fs_reply_entry(struct fs *fs, fuse_req_t req, struct fs_op *op);
void fs_reply_attr(struct fs *fs, fuse_req_t req, struct fs_op *op);
void fs_reply_buf(struct fs *fs, fuse_req_t req, struct fs_op *op);
/** fs_entry_locked() - what the kernel is told of @inode; counts a lookup. */
void fs_entry_locked(struct fs *fs, struct fs_inode *inode, uint64_t until_ms,
                     struct fuse_entry_param *entry);
double fs_timeout(uint64_t until_ms);

/* Running requests, so that they can be ended (session.c). */
struct fs_running;
int fs_running_new(struct fs_running **running, struct ou_error *err);
void fs_running_free(struct fs_running *running);
/** fs_running_cancel() - all that there are now. */
void fs_running_cancel(struct fs_running *running);
/** fs_running_waits() - one that has to do with the inode @id, and waits since @since_ms or before. */
bool fs_running_waits(struct fs_running *running, uint64_t id, uint64_t since_ms);

void fs_ops_names(struct fuse_lowlevel_ops *ops); /* ops_names.c */
void fs_ops_files(struct fuse_lowlevel_ops *ops); /* ops_files.c */
void fs_ops_attrs(struct fuse_lowlevel_ops *ops); /* ops_attrs.c */
void fs_ops_dirs(struct fuse_lowlevel_ops *ops);  /* ops_dirs.c */

#endif

/*
 * Look: what is known about a name, and the one request that would tell more.
 *
 * Decides, asks nobody: the policy stands in fs/resolve.h, which sends what is missing and looks
 * again. With the filesystem's lock held.
 */
#ifndef OSSUP_FS_LOOK_H
#define OSSUP_FS_LOOK_H

#include "fs/state.h"

enum fs_need {
    FS_ANSWERED,
    FS_NEED_NAME,
    FS_NEED_BELOW,
    FS_NEED_START,
    FS_NEED_PAGE,
    FS_NEED_HEAD,
    FS_NEED_RECALL, /* no request: from the disk */
    FS_NEED_MARKER,
    FS_NEED_LIST_OF_DIR
};

struct fs_step {
    enum fs_need need;
    /* FS_ANSWERED: what was found, or NULL; FS_NEED_MARKER, FS_NEED_LIST_OF_DIR: of which */
    struct fs_inode *inode;
    bool optional; /* without it, defaults will do */
    bool removes;  /* who asks removes whatever there is (fs/remover.h) */
    uint64_t until_ms;
    /* FS_NEED_HEAD, FS_NEED_RECALL: of the object; FS_NEED_PAGE: after which name, NULL: just
       before this one */
    char *key;              /* malloc'ed */
    struct fs_version seen; /* FS_NEED_HEAD */
    bool has_seen;
};

/**
 * fs_look_locked() - one look at everything known about @name in @parent
 * @attr: its attributes are wanted, too
 * @step: the answer, or what it needs; the caller frees .key
 *
 * What is known gets into the inode, which is made if it is not there. Return: 0, or negative errno.
 */
int fs_look_locked(struct fs *fs, struct fs_inode *parent, const char *name, bool attr,
                   const struct fs_call *call, struct fs_step *step, struct ou_error *err);
/** fs_look_fresh_locked() - the attributes of @inode are trusted. */
bool fs_look_fresh_locked(const struct fs_inode *inode, uint64_t now_ms,
                          const struct fs_call *call);

#endif

/*
 * Rename of a directory from inside: shared by rename_dir.c (its steps, what is staged, the
 * tree) and rename_copy.c (the objects in the bucket). Not for others.
 */
#ifndef OSSUP_FS_RENAME_IMPL_H
#define OSSUP_FS_RENAME_IMPL_H

#include "fs/state.h"

struct fs_mover_keys { /* NUL-separated */
    struct ou_buf text;
};

struct fs_mover {
    struct fs *fs;
    const struct fs_call
        *call;             /* each request has the client's deadline; all of them may take long */
    const char *from, *to; /* keys; both end in "/" */
    uint64_t begun_ms;
    bool along;     /* one request has renamed all objects: what is staged only follows */
    bool finishing; /* after a crash: the tree has both names, and nothing moves in it */
    struct fs_pool *copiers;
    pthread_cond_t landed; /* with the filesystem's lock: a copy ended */
    size_t flying;         /* filesystem's lock, all below */
    int failed;            /* the first error */
    struct ou_error error;
    struct fs_mover_keys copied, placed; /* old keys to delete; new keys to take back on failure */
};

/* -- rename_dir.c -- */

/** fs_mover_new_key() - what @key, below .from, is called below .to; malloc'ed, NULL: no memory. */
char *fs_mover_new_key(const struct fs_mover *m, const char *key);
void fs_mover_keys_add(struct fs_mover_keys *k, const char *key);
/** fs_mover_made_since() - the spool has something pending under @key, newer than the rename. */
bool fs_mover_made_since(struct fs *fs, const char *key);
/**
 * fs_mover_rename_staged() - @file goes to its new key, unless it is there or unlinked
 * @inode: that it is staged for, or NULL
 */
int fs_mover_rename_staged(struct fs_mover *m, struct fs_inode *inode, struct spool_file *file,
                           struct ou_error *err);

/* -- rename_copy.c -- */

/** fs_mover_init() - borrows @from, @to and @call; the copiers wait for work. */
int fs_mover_init(struct fs_mover *m, struct fs *fs, const char *from, const char *to,
                  const struct fs_call *call, struct ou_error *err);
/** fs_mover_fini() - nothing flies any more. */
void fs_mover_fini(struct fs_mover *m);
/**
 * fs_mover_copy_all() - all objects below .from that the spool does not rename
 *
 * Waits for the network, and for all copies, whatever happens. .copied and .placed tell what was
 * done, also on failure; of a rename that is finished after a crash the old keys are deleted here.
 */
int fs_mover_copy_all(struct fs_mover *m, struct ou_error *err);

#endif

/*
 * LRU: the inodes that the kernel knows, in the order in which it has looked them up.
 *
 * Two lists. A file that was opened may have pages in the kernel's cache; they go when the kernel
 * forgets the inode, and to read them again costs requests. One that was only looked at costs none
 * to look up again (fs/attrs.h). So those go first, and a walk over a huge tree leaves alone what
 * is being worked with, unless that is more than half of all.
 *
 * No I/O, no locks: the caller holds the tree's lock.
 */
#ifndef OSSUP_FS_LRU_H
#define OSSUP_FS_LRU_H

#include <stdbool.h>
#include <stddef.h>

struct fs_inode;

enum fs_lru_list { FS_LRU_NONE, FS_LRU_SEEN, FS_LRU_OPENED, FS_LRU_LISTS };

struct fs_lru { /* zeroed memory is empty */
    struct fs_lru_ends {
        struct fs_inode *oldest, *newest;
        size_t count;
    } lists[FS_LRU_LISTS]; /* the first is of those in none, and empty */
    bool dirs;             /* directories, too */
};

/** fs_lru_use() - the kernel knows @inode, and nothing was looked up after it. */
void fs_lru_use(struct fs_lru *lru, struct fs_inode *inode);
/** fs_lru_open() - @inode has been opened, and counts as such for as long as it lives. */
void fs_lru_open(struct fs_lru *lru, struct fs_inode *inode);
/** fs_lru_remove() - the kernel does not know it (any more). */
void fs_lru_remove(struct fs_lru *lru, struct fs_inode *inode);
size_t fs_lru_count(const struct fs_lru *lru);

/* A look for what may go: through all of them, once. */
struct fs_lru_scan {
    size_t left[FS_LRU_LISTS];
};
struct fs_lru_scan fs_lru_scan(const struct fs_lru *lru);
/** fs_lru_next() - the one to go first; it counts as just used from now on. NULL: that was all. */
struct fs_inode *fs_lru_next(struct fs_lru *lru, struct fs_lru_scan *scan);

#endif

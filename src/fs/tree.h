/*
 * Tree: the inodes that the kernel knows, that something uses, or that are pinned.
 *
 * There are no hard links, so an inode is its name: (.parent, .name), or none once it is
 * unlinked. Its key follows from its path. What backs it:
 *   - .staged: a staged file of the spool; that is the truth then;
 *   - .remote: an object, whose .attr are known or not;
 *   - neither: a directory that is implied by keys below it.
 *
 * An inode lives while the kernel counts lookups of it, while .uses > 0 (handles, running
 * calls), while it has children, and while it is staged. A staged inode pins the directories
 * above it (.pins): they exist whatever listings show.
 *
 * Numbers: .id names the inode to the kernel and is never used again. .ino is what stat
 * shows: made from the key, so that it is the same at the next mount, unless a living inode
 * has that number already (after a rename).
 *
 * No I/O. All functions: with the tree's lock held (struct fs: .lock).
 */
#ifndef OSSUP_FS_TREE_H
#define OSSUP_FS_TREE_H

#include "base/error.h"
#include "fs/attrs.h"
#include "fs/listing.h"
#include "fs/lru.h"
#include "fs/table.h"
#include "fs/version.h"
#include "spool/attr.h"
#include "spool/spool.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define FS_ROOT_ID 1u

struct fs_order {     /* of asking for attributes: for HEADs in advance (fs/prefetch.h) */
    char *asked;      /* the last name; NULL: none yet */
    char *sent;       /* HEADs were sent for names up to this one; NULL: none */
    unsigned streak;  /* names asked for in order, since one was not */
    unsigned asks;    /* names asked for since they were read */
    unsigned strays;  /* of them out of order */
    bool all;         /* attributes of large files, too */
    bool again;       /* the second sweep */
    uint64_t read_ms; /* a program has read the names, or gone on asking; 0: no */
};

struct fs_dir { /* what only directories have */
    struct fs_listing listing;
    struct timespec touched; /* our last change of its names; zero: none */
    bool marker_known,
        has_marker;     /* an object with the directory's key; meaningless while staged */
    uint64_t missed_ms; /* last lookup that asked the bucket for one name */
    char *missed;       /* that name, or NULL */
    uint64_t listed_ms; /* last LIST of its beginning; 0: never */
    bool huge;          /* which did not reach the end */
    bool renaming;      /* it is being moved: what is staged below it stays staged */
    struct fs_order order;
};

struct fs_inode {
    uint64_t id, ino;
    struct fs_inode *parent; /* NULL: the root, or unlinked */
    char *name;              /* "" of the root */
    struct fs_link by_id, by_name, by_ino, by_file;
    struct fs_inode *children, *sibling, **sibling_at;
    struct fs_inode *older, *newer; /* in .lru while there are .lookups; not the root */

    uint64_t lookups;
    mode_t type; /* S_IFREG, S_IFDIR, S_IFLNK */
    unsigned uses;
    unsigned pins;        /* staged inodes at and below it */
    unsigned handles;     /* open files */
    unsigned staged_uses; /* calls and handles that want it to stay staged */
    unsigned own_changes; /* versions this mount has published: readers start anew */
    unsigned changes;     /* versions somebody else has: the kernel's pages are stale */
    unsigned pages;       /* .changes at the last open */
    int kept_fd;          /* see fs/keep.h; -1: none */

    unsigned char lru_list; /* enum fs_lru_list */
    bool opened;            /* at any time since the kernel knows it */
    bool has_remote;
    bool attr_known;
    bool lost;     /* .remote is out of date, as the spool has copied it to another key */
    bool moved;    /* by the directory rename that is going on */
    bool replaced; /* .doomed has been made anew: not to be deleted */

    struct spool_file *staged; /* a reference of ours, or NULL */
    struct fs_version remote;  /* as a HEAD shows it: what is read, staged, copied */
    struct fs_version *listed; /* as listings do, of an OSS Symlink object; NULL: likewise */
    struct spool_attr attr;    /* of .remote; of an implied directory: defaults */
    char *target;              /* of a symlink, once read; of .remote */
    uint64_t until_ms;         /* existence and attributes are trusted before */
    uint64_t checked_ms;       /* when the request began that told them */

    char *doomed; /* key to be deleted when the last handle closes; unlinked then */
    struct fs_inode *next_doomed;
    struct fs_version *moved_to; /* its copy under the new key; NULL: not copied */
    struct fs_dir *dir;          /* of a directory */
};

/* What listings show of it. */
static inline struct fs_version *fs_inode_seen(struct fs_inode *i)
{
    return i->listed ? i->listed : &i->remote;
}

struct fs_tree {
    const char *prefix; /* set by the owner before use; "" or ends in "/" */
    struct fs_attrs attrs;
    struct fs_listings listings;
    struct fs_lru lru;
    struct fs_table by_id, by_name, by_ino, by_file;
    struct fs_inode *root;
    uint64_t next_id;
};

int fs_tree_init(struct fs_tree *t, const char *prefix, struct ou_error *err);
void fs_tree_fini(struct fs_tree *t); /* frees all inodes; drops what is staged */

/** fs_inode_find() - by .id; NULL: the kernel asks for what we do not know. */
struct fs_inode *fs_inode_find(const struct fs_tree *t, uint64_t id);
struct fs_inode *fs_inode_child(const struct fs_tree *t, const struct fs_inode *parent,
                                const char *name);
struct fs_inode *fs_inode_of_file(const struct fs_tree *t, const struct spool_file *file);
/** fs_inode_new() - a child that has no uses yet; the caller takes one before it lets go of the lock. NULL: no memory. */
struct fs_inode *fs_inode_new(struct fs_tree *t, struct fs_inode *parent, const char *name,
                              mode_t type);
struct fs_inode *fs_inode_use(struct fs_inode *i);
void fs_inode_unuse(struct fs_tree *t, struct fs_inode *i);
/** fs_inode_set_remote() - it is an object in this version, which listings show as @seen. */
void fs_inode_set_remote(struct fs_inode *i, const struct fs_version *remote,
                         const struct fs_version *seen);
/** fs_inode_look_up() - the kernel is told of it, and counts that. Return: it did not know it. */
bool fs_inode_look_up(struct fs_tree *t, struct fs_inode *i);
void fs_inode_forget(struct fs_tree *t, struct fs_inode *i, uint64_t lookups);
/** fs_inode_unlink() - it has no name any more. It must be in use or may be gone afterwards. */
void fs_inode_unlink(struct fs_tree *t, struct fs_inode *i);
/** fs_inode_move() - another name; nobody may have it. -ENOMEM: nothing changed. */
int fs_inode_move(struct fs_tree *t, struct fs_inode *i, struct fs_inode *parent, const char *name,
                  struct ou_error *err);
/** fs_inode_stage() - takes over a reference of @file; NULL: not staged any more, and the old reference is returned. */
struct spool_file *fs_inode_stage(struct fs_tree *t, struct fs_inode *i, struct spool_file *file);
/** fs_inode_key() - malloc'ed; -ENOENT: it has been unlinked, or something above it has. */
int fs_inode_key(const struct fs_tree *t, const struct fs_inode *i, char **key,
                 struct ou_error *err);
/** fs_child_key() - likewise the key of @name in @parent. */
int fs_child_key(const struct fs_tree *t, const struct fs_inode *parent, const char *name,
                 bool is_dir, char **key, struct ou_error *err);
bool fs_inode_linked(const struct fs_tree *t, const struct fs_inode *i);
/** fs_inode_under() - is @i @top or below it? */
bool fs_inode_under(const struct fs_inode *i, const struct fs_inode *top);
/** fs_ino_of_key() - what .ino is made from. */
uint64_t fs_ino_of_key(const char *key);
/** fs_tree_next() - walks all inodes below @top in depth first order; NULL at the end. Start with @top. */
struct fs_inode *fs_tree_next(struct fs_inode *at, const struct fs_inode *top);

#endif

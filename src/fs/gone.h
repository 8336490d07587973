/*
 * Gone: keys that this mount has deleted, and that listings may still show.
 *
 * A delete is journalled at once and sent later. A LIST that began before OSS had confirmed
 * it may show the key; so an entry is *pending* until the caller sees that the spool knows of
 * no delete any more, and counts as confirmed at that moment. What began later is believed.
 *
 * Bounded: FS_GONE_MAX keys, the oldest are forgotten first. Time is ou_now_ms(), passed in.
 * No I/O, no locks: the caller holds the filesystem's lock.
 */
#ifndef OSSUP_FS_GONE_H
#define OSSUP_FS_GONE_H

#include "fs/table.h"

#include <stdbool.h>
#include <stdint.h>

#define FS_GONE_MAX 50000u

struct fs_gone_key {
    struct fs_link link;
    struct fs_gone_key *older, *newer;
    bool subtree; /* a directory with all that was below it */
    uint64_t added_ms;
    uint64_t confirmed_ms; /* 0: pending */
    char key[];
};

struct fs_gone { /* zeroed memory is empty */
    struct fs_table table;
    struct fs_gone_key *oldest, *newest;
};
void fs_gone_fini(struct fs_gone *g);
/** fs_gone_add() - @key is being deleted (again). No memory: it is not remembered. */
void fs_gone_add(struct fs_gone *g, const char *key, bool subtree, uint64_t now_ms);
/** fs_gone_again() - @key is being deleted only now: so it is, and removed directories above it are, pending. */
void fs_gone_again(struct fs_gone *g, const char *key, uint64_t now_ms);
/** fs_gone_remove() - @key is made anew. */
void fs_gone_remove(struct fs_gone *g, const char *key);
struct fs_gone_key *fs_gone_find(const struct fs_gone *g, const char *key);
/** fs_gone_hides() - is what a LIST begun at @begun_ms shows of @k not to be believed? @pending: the spool still deletes. */
bool fs_gone_hides(struct fs_gone_key *k, bool pending, uint64_t begun_ms, uint64_t now_ms);

#endif

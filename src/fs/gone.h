/*
 * Gone: what this mount has deleted, and listings may still show.
 *
 * A delete is journalled at once and sent later. A LIST that began before OSS had confirmed
 * it may show the key; so an entry is *pending* until the caller sees that the spool knows of
 * no delete any more, and counts as confirmed at that moment. What began later is believed.
 *
 * For each key there are notes on the directories above it: as long as one is pending, a LIST
 * that shows the directory may show nothing but what is being deleted. If the directory was
 * removed as a whole (.removed) and nothing has been made in it since, it does.
 *
 * Bounded: FS_GONE_MAX keys and as many directories, the oldest are forgotten first. Time is
 * ou_now_ms(), passed in. No I/O, no locks: the caller holds the filesystem's lock.
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
    bool removed; /* of a directory: with all that was below it */
    bool remade;  /* it was removed, and there is something in it again */
    uint64_t added_ms;
    uint64_t confirmed_ms; /* 0: pending */
    char key[];
};

struct fs_gone_set {
    struct fs_table table;
    struct fs_gone_key *oldest, *newest;
};

struct fs_gone {             /* zeroed memory is empty */
    struct fs_gone_set keys; /* of objects, directories' markers among them */
    struct fs_gone_set dirs; /* that have such keys below them, or are one */
};
void fs_gone_fini(struct fs_gone *g);
/** fs_gone_add() - @key is being deleted (again). No memory: it is not remembered. */
void fs_gone_add(struct fs_gone *g, const char *key, uint64_t now_ms);
/** fs_gone_add_dir() - the directory @key is removed, or has been moved away, with all that is below. */
void fs_gone_add_dir(struct fs_gone *g, const char *key, uint64_t now_ms);
/** fs_gone_made() - @key is made anew. */
void fs_gone_made(struct fs_gone *g, const char *key);
struct fs_gone_key *fs_gone_find(const struct fs_gone *g, const char *key);
/** fs_gone_find_dir() - the note on the directory @key; NULL. */
struct fs_gone_key *fs_gone_find_dir(const struct fs_gone *g, const char *key);
/** fs_gone_remade() - has @key, or a directory above it, been removed and made anew? */
bool fs_gone_remade(const struct fs_gone *g, const char *key);
/** fs_gone_hides() - is what a LIST begun at @begun_ms shows of @k not to be believed? @pending: the spool still deletes. */
bool fs_gone_hides(struct fs_gone_key *k, bool pending, uint64_t begun_ms, uint64_t now_ms);

#endif

/*
 * Fetch: the requests behind fs/resolve.h and fs/stream.h, and how their answers reach the caches.
 *
 * All wait for the network; all take the lock themselves, for moments, and let one flight
 * (fs/flight.h) serve all who ask the same. After them, look again.
 */
#ifndef OSSUP_FS_FETCH_H
#define OSSUP_FS_FETCH_H

#include "fs/state.h"

/** fs_fetch_name() - a segment with prefix @name in @parent (in use) */
int fs_fetch_name(struct fs *fs, struct fs_inode *parent, const char *name,
                  const struct fs_call *call, struct ou_error *err);
/** fs_fetch_below() - is there anything under "@name/"? A segment with that prefix. */
int fs_fetch_below(struct fs *fs, struct fs_inode *parent, const char *name,
                   const struct fs_call *call, struct ou_error *err);
/**
 * fs_fetch_page() - a page of @dir (in use)
 * @after:   positions after this one; NULL: from the start
 * @token:   what the page before told, or NULL
 * @segment: a reference for the caller (fs_segment_drop()), or NULL if not wanted
 * @next:    malloc'ed token of the next page, NULL at the end; may be NULL
 */
int fs_fetch_page(struct fs *fs, struct fs_inode *dir, const char *after, const char *token,
                  const struct fs_call *call, struct fs_segment **segment, char **next,
                  struct ou_error *err);
/** fs_fetch_start() - the first page of @dir, by one flight for all who want it. */
int fs_fetch_start(struct fs *fs, struct fs_inode *dir, const struct fs_call *call,
                   struct ou_error *err);
/**
 * fs_fetch_head() - attributes of @key into the attribute cache
 * @seen: the version that a listing shows, or NULL
 *
 * Return: 1 it exists, 0 it does not (a change in @parent's listing tells so), 2 somebody
 * else's request told (look again), negative errno.
 */
int fs_fetch_head(struct fs *fs, struct fs_inode *parent, const char *name, const char *key,
                  const struct fs_version *seen, const struct fs_call *call, struct ou_error *err);
/* For HEADs in advance: the flight's name (malloc'ed), and fs_fetch_head() once it has taken off. */
char *fs_fetch_head_flight(const char *key);
int fs_fetch_head_flying(struct fs *fs, struct fs_inode *parent, const char *name, const char *key,
                         const struct fs_version *seen, const char *flight,
                         const struct fs_call *call, struct ou_error *err);
/** fs_fetch_marker() - attributes of the directory @dir (in use), into it: its marker's, or implied. */
int fs_fetch_marker(struct fs *fs, struct fs_inode *dir, const struct fs_call *call,
                    struct ou_error *err);

/** fs_trust_until() - how long what is learnt now is trusted. */
uint64_t fs_trust_until(const struct fs *fs);

#endif

/*
 * Fetch: the requests behind fs/resolve.h and fs/stream.h, and how their answers reach the caches.
 *
 * All wait for the network; all take the lock themselves, for moments. After them, look again.
 *
 * One flight (fs/flight.h) serves all who ask the same. It is the caller's: it begins the flight
 * under the same lock as the look that found the request to be needed. Were the lock let go
 * between the two, another call's answer could come in there, and be asked for a second time.
 */
#ifndef OSSUP_FS_FETCH_H
#define OSSUP_FS_FETCH_H

#include "fs/state.h"

enum fs_fetch {
    FS_FETCH_NAME = 'N',
    FS_FETCH_BELOW = 'B',
    FS_FETCH_START = 'P',
    FS_FETCH_HEAD = 'H'
};
/** fs_fetch_flight() - the name of the flight: what is asked, and of which key; malloc'ed, or NULL. */
char *fs_fetch_flight(enum fs_fetch what, const char *key);

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
/** fs_fetch_start() - the first page of @dir */
int fs_fetch_start(struct fs *fs, struct fs_inode *dir, const struct fs_call *call,
                   struct ou_error *err);
/**
 * fs_fetch_head() - attributes of @key into the attribute cache
 * @seen: the version that a listing shows, or NULL
 *
 * Return: 1 it exists, 0 it does not (a change in @parent's listing tells so), negative errno.
 */
int fs_fetch_head(struct fs *fs, struct fs_inode *parent, const char *name, const char *key,
                  const struct fs_version *seen, const struct fs_call *call, struct ou_error *err);
/** fs_fetch_marker() - attributes of the directory @dir (in use), into it: its marker's, or implied. */
int fs_fetch_marker(struct fs *fs, struct fs_inode *dir, const struct fs_call *call,
                    struct ou_error *err);

/** fs_trust_until() - how long what is learnt now is trusted. */
uint64_t fs_trust_until(const struct fs *fs);

#endif

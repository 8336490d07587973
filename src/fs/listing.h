/*
 * Listing: what is known about the names in one directory of the bucket.
 *
 * It is made of *segments*, ranges of positions (fs/names.h) that one LIST request has
 * answered completely, and of *changes*, what this mount did to single names. A segment
 * tells of each name in its range whether it exists; so "no such file" costs a request
 * only where no fresh segment reaches. A small directory is one segment from the start
 * to the end; a huge one has the pages that were read last.
 *
 * A change counts as newer than a segment whose request began before it: that LIST may
 * not have seen it. Changes are forgotten oldest first; .floor_ms is the youngest one
 * forgotten, and segments begun before it are not taken in.
 *
 * A directory that this mount made is complete and empty from birth (.born): its
 * changes tell everything, until .born_until_ms or until a change has been forgotten.
 *
 * Time is ou_now_ms(), passed in. No I/O, no locks: the caller holds the tree's lock.
 */
#ifndef OSSUP_FS_LISTING_H
#define OSSUP_FS_LISTING_H

#include "base/error.h"
#include "fs/table.h"
#include "fs/version.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FS_LISTING_NAMES_MAX   50000u  /* in the segments of one directory */
#define FS_LISTINGS_NAMES_MAX  100000u /* in all */
#define FS_LISTING_CHANGES_MAX 20000u  /* of one directory */

struct fs_entry {
    char *position;            /* "name", "name/", or "" for the directory's own marker */
    struct fs_version version; /* zero for "name/" */
};

struct fs_listing;
struct fs_segment {
    unsigned refs;
    struct fs_listing *owner;         /* NULL: in no listing (any more) */
    struct fs_segment *next;          /* in .owner, by .begun_ms, newest first */
    struct fs_segment *older, *newer; /* among those of all directories */
    bool from_start;          /* the range begins with the directory's marker, else after .after */
    char *after;              /* exclusive; NULL if from_start or .prefix */
    char *prefix;             /* not NULL: only positions that begin so */
    char *last;               /* inclusive; NULL: to the end (of .prefix) */
    uint64_t begun_ms;        /* the request went out */
    uint64_t until_ms;        /* trusted before */
    uint64_t hidden;          /* keys in it that no path can express */
    struct fs_entry *entries; /* ascending positions */
    size_t count;
};

/** fs_segment_new() - from a page of a LIST with prefix @dir_key (+ @prefix) and delimiter "/" */
struct fs_segment *fs_segment_new(const struct oss_list_page *page, const char *dir_key,
                                  const char *after, const char *prefix, uint64_t begun_ms,
                                  uint64_t until_ms, struct ou_error *err);
struct fs_segment *fs_segment_ref(struct fs_segment *s);
void fs_segment_unref(struct fs_segment *s);
bool fs_segment_covers(const struct fs_segment *s, const char *position);
/** fs_segment_find() - the index of the first entry that is not before @position (.count: none). */
size_t fs_segment_find(const struct fs_segment *s, const char *position);
/** fs_segment_at() - the entry at @position, or NULL. */
const struct fs_entry *fs_segment_at(const struct fs_segment *s, const char *position);

/* The segments of all directories, oldest first, for the common bound. */
struct fs_listings {
    struct fs_segment *oldest, *newest;
    size_t names;
};

enum fs_known { FS_UNKNOWN, FS_ABSENT, FS_FILE, FS_DIR };

struct fs_change {
    struct fs_link link;
    struct fs_change *older, *newer;
    enum fs_known state; /* FS_ABSENT, FS_FILE or FS_DIR */
    uint64_t changed_ms;
    uint64_t until_ms;
    struct fs_version version; /* of an FS_FILE */
    char name[];
};

struct fs_listing {
    struct fs_listings *all; /* set once */
    struct fs_segment *segments;
    size_t names;
    struct fs_table changes;
    struct fs_change *oldest_change, *newest_change;
    uint64_t floor_ms;
    bool born;
    uint64_t born_until_ms;
};

void fs_listing_init(struct fs_listing *l, struct fs_listings *all);
void fs_listing_fini(struct fs_listing *l);

/**
 * fs_listing_install() - takes over a reference of @s
 *
 * Older segments inside its range go, and those that begin where it does: it is the same page.
 */
void fs_listing_install(struct fs_listing *l, struct fs_segment *s);
/** fs_listing_drop() - forget all segments. */
void fs_listing_drop(struct fs_listing *l);
/** fs_listing_moved() - the directory has another key: its objects are copies, with versions of their own. */
void fs_listing_moved(struct fs_listing *l);

/**
 * fs_listing_change() - this mount has made, replaced or removed @name
 * @version:  of an FS_FILE, else NULL
 *
 * -ENOMEM is swallowed: the segments are dropped instead, so that nothing wrong is believed.
 */
void fs_listing_change(struct fs_listing *l, const char *name, enum fs_known state,
                       const struct fs_version *version, uint64_t now_ms, uint64_t until_ms);
/** fs_listing_forget() - no longer sure about @name: ask the bucket. */
void fs_listing_forget(struct fs_listing *l, const char *name);
struct fs_change *fs_listing_changed(const struct fs_listing *l, const char *name);

struct fs_found {
    const struct fs_version *version; /* of an FS_FILE; borrowed from the listing */
    uint64_t until_ms;                /* how long the answer is trusted */
    struct fs_segment *segment;       /* where it was found, borrowed; NULL: a change */
    size_t index;
};
/**
 * fs_listing_find() - what is known about @name
 * @since_ms: segments begun at or after it are trusted though they are too old
 */
enum fs_known fs_listing_find(const struct fs_listing *l, const char *name, uint64_t now_ms,
                              uint64_t since_ms, struct fs_found *out);
/**
 * fs_listing_marker() - is there an object with the directory's own key?
 *
 * Return: FS_FILE (@out tells its version), FS_ABSENT, FS_UNKNOWN.
 */
enum fs_known fs_listing_marker(const struct fs_listing *l, uint64_t now_ms, uint64_t since_ms,
                                struct fs_found *out);
/** fs_listing_trusted() - a segment that may be used at @now_ms. */
bool fs_segment_trusted(const struct fs_segment *s, uint64_t now_ms, uint64_t since_ms);
/** fs_listing_covering() - the newest trusted segment that holds @position, or NULL. */
struct fs_segment *fs_listing_covering(const struct fs_listing *l, const char *position,
                                       uint64_t now_ms, uint64_t since_ms);
/**
 * fs_listing_page_start() - where the page begins that held @position when it was read last
 * @before_ms: only pages begun before it
 *
 * Return: the position it comes after, borrowed; "" the start; NULL: no such page. Between two
 * pages it is the end of the first.
 */
const char *fs_listing_page_start(const struct fs_listing *l, const char *position,
                                  uint64_t before_ms);

#endif

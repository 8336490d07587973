/*
 * Stream from inside: shared by stream.c (its life, its entries) and stream_pages.c (what is
 * held of the directory). Not for others.
 *
 * .pages is a ring of what is held, oldest first, each page following the one before without
 * a gap. .marks remembers where each page of the whole directory began. .locals is what was
 * staged when reading began, sorted; a name that is staged later is told by its page if it is
 * published by then, and not otherwise.
 */
#ifndef OSSUP_FS_STREAM_IMPL_H
#define OSSUP_FS_STREAM_IMPL_H

#include "fs/stream.h"

#define FS_STREAM_PAGES 4u

struct fs_stream_item {
    const char *position; /* of .segment's, or of a local */
    const struct fs_version *version;
};

struct fs_stream_page {
    struct fs_segment *segment;
    struct fs_stream_item *items;
    size_t count;
    uint64_t first; /* place of items[0] in the directory */
    bool end;
    char *token; /* of the next page; NULL: by .last */
    char *last;  /* position that it reaches; NULL at the end */
};

struct fs_stream_mark {
    uint64_t first;
    char *after; /* NULL: from the start */
};

struct fs_stream {
    struct fs_inode *dir; /* in use */
    char flight[32];
    struct ou_cancel *cancel;       /* ends a prefetch */
    struct fs_stream *next, **prev; /* filesystem's lock, all below; fs->streams, till closed */
    unsigned refs;
    bool closed;
    bool started;   /* .locals have been taken */
    bool read;      /* an entry has been told */
    unsigned epoch; /* counts rewinds: a load that began before one is thrown away */
    char **locals;
    size_t local_count;
    struct fs_stream_page pages[FS_STREAM_PAGES];
    size_t page_count;
    struct fs_stream_mark *marks;
    size_t mark_count, mark_room;
    uint64_t wanted; /* place that a load is for */
    char **told;     /* names of objects told whose directory may still come */
    size_t told_count;
    uint64_t highest; /* place of the furthest entry asked for */
};

/* -- stream.c -- */

/** fs_stream_unref() - takes the filesystem's lock; the last one frees. */
void fs_stream_unref(struct fs *fs, struct fs_stream *stream);
/** fs_stream_forget_told_locked() - what .told is for lies elsewhere now. */
void fs_stream_forget_told_locked(struct fs_stream *stream);

/* -- stream_pages.c -- */

/** fs_stream_newest_locked() - the page that reaches furthest of those held; NULL: none is. */
const struct fs_stream_page *fs_stream_newest_locked(const struct fs_stream *stream);
/** fs_stream_forget_pages_locked() - pages, marks and locals: reading begins anew. */
void fs_stream_forget_pages_locked(struct fs_stream *stream);
/**
 * fs_stream_load_ahead_locked() - the page behind the newest one, once that is being read
 *
 * Does not wait; the load holds a reference of @stream. Does nothing where it is not the time.
 */
void fs_stream_load_ahead_locked(struct fs *fs, struct fs_stream *stream);

#endif

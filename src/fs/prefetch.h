/*
 * Prefetch: HEADs sent before they are asked for.
 *
 * A program that asks for attributes in the order of the listing (ls -l, rsync, find) gets
 * the next ones fetched in parallel: 1, 4, 16, then 64 names ahead. One that has just read the
 * names and asks in any other order (fts sorts by inode number) gets them from the first to the
 * last, one more with each name that it asks for.
 *
 * Positions in the listing are remembered by name, so it does not matter whether the
 * listing is fetched again meanwhile, or turned over to the next page.
 */
#ifndef OSSUP_FS_PREFETCH_H
#define OSSUP_FS_PREFETCH_H

#include "fs/state.h"

#define FS_PREFETCH_WINDOW_MAX 64u

/** fs_prefetch_window() - how many names ahead after @streak lookups in order. Pure. */
unsigned fs_prefetch_window(unsigned streak);
/** fs_prefetch_read_locked() - a program begins to read the names in @dir. */
void fs_prefetch_read_locked(struct fs_inode *dir);
/**
 * fs_prefetch_note_locked() - the attributes of @name in @parent are being asked for
 * @all: those of large files are wanted, too; else only what cannot be looked up without them
 */
void fs_prefetch_note_locked(struct fs *fs, struct fs_inode *parent, const char *name, bool all);

/* -- the decision, without the requests -- */

/**
 * fs_order_ask() - @segment->entries[@index] is asked for
 *
 * Result: entries from *@from on, fewer than *@end, should be in the air now. The caller tells
 * by fs_order_sent() up to where it has sent them.
 */
void fs_order_ask(struct fs_order *o, const struct fs_segment *segment, size_t index, bool all,
                  uint64_t now_ms, size_t *from, size_t *end);
/** fs_order_sent() - all entries before @end have been dealt with. */
void fs_order_sent(struct fs_order *o, const struct fs_segment *segment, size_t end);
/** fs_order_read() - the names are being read. */
void fs_order_read(struct fs_order *o, uint64_t now_ms);
void fs_order_fini(struct fs_order *o);

#endif

/*
 * Directory renames that a crash has cut short: renames.journal in the spool's directory.
 *
 * Lines (base/journal.h): {"op":"begin","id":N,"from":KEY,"to":KEY}, {"op":"end","id":N}; keys as
 * ou_json_quote_bytes() writes them, both ending in "/". Empty when nothing is under way.
 *
 * Thread-safe. Lock: rank OU_RANK_FS + 40, inside.
 */
#ifndef OSSUP_FS_RENAME_JOURNAL_H
#define OSSUP_FS_RENAME_JOURNAL_H

#include "base/error.h"

#include <stdint.h>

struct fs_renames;

/** fs_renames_open() - in the directory @dir */
int fs_renames_open(const char *dir, struct fs_renames **renames, struct ou_error *err);
void fs_renames_close(struct fs_renames *renames);
/** fs_renames_begin() - journalled, and safe from a power cut, before it returns. */
int fs_renames_begin(struct fs_renames *renames, const char *from, const char *to, uint64_t *id,
                     struct ou_error *err);
void fs_renames_end(struct fs_renames *renames, uint64_t id);
/** fs_renames_left() - the oldest that was begun and not ended before this open: 1, strings malloc'ed; or 0. */
int fs_renames_left(struct fs_renames *renames, uint64_t *id, char **from, char **to);

#endif

/*
 * Renames that a crash has cut short: renames.journal in the spool's directory.
 *
 * Lines (base/journal.h): {"op":"begin","id":N,"from":KEY,"to":KEY,"etag":TEXT}, {"op":"end","id":N};
 * keys as ou_json_quote_bytes() writes them. Of a directory both end in "/", and there is no etag,
 * or FS_RENAME_WHOLE (fs/rename_whole.h); of an object it is the one that is copied. Empty when nothing is under way.
 *
 * Thread-safe. Lock: rank OU_RANK_FS + 40, inside.
 */
#ifndef OSSUP_FS_RENAME_JOURNAL_H
#define OSSUP_FS_RENAME_JOURNAL_H

#include "base/error.h"
#include "oss/types.h"

#include <stdint.h>

struct fs_renames;

/** fs_renames_open() - in the directory @dir */
int fs_renames_open(const char *dir, struct fs_renames **renames, struct ou_error *err);
void fs_renames_close(struct fs_renames *renames);
/** fs_renames_begin() - journalled, and safe from a power cut, before it returns. @etag: of the object; "" for a directory. */
int fs_renames_begin(struct fs_renames *renames, const char *from, const char *to, const char *etag,
                     uint64_t *id, struct ou_error *err);
void fs_renames_end(struct fs_renames *renames, uint64_t id);

struct fs_rename_left { /* the caller frees the strings */
    uint64_t id;
    char *from, *to;
    char etag[OSS_ETAG_SIZE];
};
/** fs_renames_left() - the oldest that was begun and not ended before this open: 1; or 0. */
int fs_renames_left(struct fs_renames *renames, struct fs_rename_left *left);

#endif

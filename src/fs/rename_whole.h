/*
 * Renames by one request, where the bucket has a hierarchical namespace: an object, or a directory
 * with all that is in it.
 *
 * The request takes effect at one moment for all that is below, so what is staged there must not
 * be on its way under its old name (spool/move.h), and what is asked about old names meanwhile is
 * asked again (fs_asked_in_vain()). Where that cannot be had, copies do it as anywhere.
 */
#ifndef OSSUP_FS_RENAME_WHOLE_H
#define OSSUP_FS_RENAME_WHOLE_H

#include "fs/rename.h"
#include "spool/move.h"

#define FS_RENAME_WHOLE                                                                            \
    "*" /* in the journal, where an object has its ETag: a directory, by one request */

/**
 * fs_whole_request() - the request, and what has become of it when its answer was lost
 *
 * Keys of directories end in "/". Return: 1 @to is what @from was; 0 it is not to be had so, and
 * nothing was done; negative errno: nothing was done, or nobody knows (-EIO, *@unknown is set).
 */
int fs_whole_request(struct fs *fs, const char *from, const char *to, const struct fs_call *call,
                     bool *unknown, struct ou_error *err);
/** fs_whole_begin() - may it be tried? 1: yes, and spool_move_end() is to follow; 0; -EINTR. */
int fs_whole_begin(struct fs *fs, struct spool_move *move, const struct fs_call *call,
                   struct ou_error *err);
/** fs_whole_object() - the object of @m->inode. Return: 1 done, with the tree; 0 and negative: as above. */
int fs_whole_object(struct fs *fs, struct fs_move *m, const struct fs_call *call,
                    struct ou_error *err);
/** fs_whole_finish() - of a directory, after a crash: staged files follow if the request had taken effect. */
int fs_whole_finish(struct fs *fs, const char *from, const char *to, struct ou_error *err);

/* Around each request about @key: fs_asked_in_vain() is told what fs_asking() said before. */
unsigned fs_asking(struct fs *fs);
/** fs_asked_in_vain() - names at @key were being changed: waits for the end of that; ask again. */
bool fs_asked_in_vain(struct fs *fs, const char *key, unsigned *asking, const struct fs_call *call);

#endif

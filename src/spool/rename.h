/*
 * What a rename is about. Not for other layers.
 */
#ifndef OSSUP_SPOOL_RENAME_H
#define OSSUP_SPOOL_RENAME_H

#include "spool/early.h"

/* .lead and .file are the same, or .lead is what .file has replaced. References of the caller's. */
struct spool_renaming {
    struct spool_file *file;
    struct spool_file *lead; /* its stable version has the name, on disk and in the bucket */
    struct spool_file *over; /* the staged file that has the new name so far; NULL: none */
    const char *key;         /* the new one */
    uint64_t deadline_ms;    /* how long to wait for what is under way; 0: for ever */
    struct ou_cancel *cancel;
};

/* -- rename_base.c: the base of .lead gets the new name, too -- */

/** spool_base_must_move() - .io held: the base has the old name, which is about to be deleted, and its bytes are needed. */
bool spool_base_must_move(const struct spool_file *file);
/** spool_rename_hold() - no upload of .lead and .over begins any more; what may have been published is known. */
int spool_rename_hold(const struct spool_renaming *r, struct ou_error *err);
void spool_rename_let_go(const struct spool_renaming *r);
/**
 * spool_rename_move_base() - both are held
 * @from, @to: the base as it is now, and what lies at the new name then; not filled when it need not
 *             be moved any more
 */
int spool_rename_move_base(const struct spool_renaming *r, struct spool_base *from,
                           struct spool_base *to, struct ou_error *err);
/** spool_rename_wait() - a moment, until something has ended. -EINTR, -ETIMEDOUT. */
int spool_rename_wait(const struct spool_renaming *r, struct ou_error *err);

#endif

/*
 * What the two files of the deletes share. Not for others.
 */
#ifndef OSSUP_SPOOL_DELETES_H
#define OSSUP_SPOOL_DELETES_H

#include "spool/file.h"

#define SPOOL_DELETE_BATCH ((size_t)OSS_LIST_MAX) /* keys of one request */

/* All under spool_deletes.lock; while .sending it belongs to who sends it. */
struct spool_delete_entry {
    struct spool_node node;
    char *key;
    uint64_t seq;
    char moved[SPOOL_ID_SIZE]; /* "": none */
    bool sending;
    bool again;             /* deleted once more while it was being sent */
    uint64_t not_before_ms; /* 0: held back by nothing */
};

struct spool_delete_entry *spool_delete_entry_of(struct spool_node *node); /* NULL: NULL */
struct spool_delete_entry *spool_delete_find_locked(const struct spool_deletes *d, const char *key);
/** spool_delete_insert_locked() - NULL: no memory. */
struct spool_delete_entry *spool_delete_insert_locked(struct spool_deletes *d, const char *key,
                                                      struct ou_error *err);
/** spool_delete_sending_locked() - it belongs to who sends it, from now on. */
void spool_delete_sending_locked(struct spool_deletes *d, struct spool_delete_entry *e);
/** spool_delete_finish_locked() - they are over: journalled, removed, waiters woken. */
void spool_delete_finish_locked(struct spool_deletes *d, struct spool_delete_entry *const *entries,
                                size_t count);

#endif

/*
 * What is being deleted: journalled, and not confirmed by OSS yet (spool/spool.h: spool_delete()).
 * Thread-safe; no I/O.
 */
#ifndef OSSUP_SPOOL_DELETED_H
#define OSSUP_SPOOL_DELETED_H

#include "spool/spool.h"

/** spool_deleted_below() - is a key that begins with @prefix being deleted? */
bool spool_deleted_below(struct spool *spool, const char *prefix);
/** spool_each_deleted() - every key that is being deleted; @fn may not call the spool. */
void spool_each_deleted(struct spool *spool, void (*fn)(void *ctx, const char *key), void *ctx);

#endif

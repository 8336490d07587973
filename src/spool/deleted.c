/* Told in spool/deleted.h. */
#include "spool/deleted.h"

#include "spool/deletes.h"

#include <string.h>

bool spool_deleted_below(struct spool *spool, const char *prefix)
{
    struct spool_deletes *d = &spool->deletes;
    size_t len = strlen(prefix);
    struct spool_node *at = NULL;

    ou_lock_scope(&d->lock);
    while ((at = spool_table_next(&d->locked.entries, at)) != NULL)
        if (strncmp(at->key, prefix, len) == 0)
            return true;
    return false;
}

void spool_each_deleted(struct spool *spool, void (*fn)(void *ctx, const char *key), void *ctx)
{
    struct spool_deletes *d = &spool->deletes;
    struct spool_node *at = NULL;

    ou_lock_scope(&d->lock);
    while ((at = spool_table_next(&d->locked.entries, at)) != NULL)
        fn(ctx, at->key);
}

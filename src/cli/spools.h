/*
 * The spools of this machine: one subdirectory of the spool directory a bucket.
 */
#ifndef OSSUP_CLI_SPOOLS_H
#define OSSUP_CLI_SPOOLS_H

#include "base/error.h"

/** cli_spools_each() - @fn for each bucket's directory under @spool, in order. -ENOENT: no such directory. */
int cli_spools_each(const char *spool, int (*fn)(void *ctx, const char *dir, struct ou_error *err),
                    void *ctx, struct ou_error *err);

#endif

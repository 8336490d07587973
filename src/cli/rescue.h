/*
 * spool export and spool discard: what staged files nobody will upload can still be good for.
 */
#ifndef OSSUP_CLI_RESCUE_H
#define OSSUP_CLI_RESCUE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

/** cli_rescue_export() - @ids (none: all) of all buckets under @spool into the directory @to */
int cli_rescue_export(const char *spool, const char *const *ids, size_t count, const char *to,
                      struct ou_error *err);
/** cli_rescue_discard() - asks on the terminal unless @yes */
int cli_rescue_discard(const char *spool, const char *const *ids, size_t count, bool yes,
                       struct ou_error *err);

#endif

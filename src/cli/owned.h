/*
 * Upload ids that a sidecar in a spool of this machine owns: gc leaves them alone.
 */
#ifndef OSSUP_CLI_OWNED_H
#define OSSUP_CLI_OWNED_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct cli_owned { /* zeroed memory is an empty set */
    char **ids;
    size_t count;
};
void cli_owned_fini(struct cli_owned *owned);
/** cli_owned_collect() - of all buckets' spools under @spool; a spool that does not exist owns nothing */
int cli_owned_collect(const char *spool, struct cli_owned *owned, struct ou_error *err);
bool cli_owned_has(const struct cli_owned *owned, const char *upload_id);

#endif

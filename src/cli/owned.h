/*
 * Upload ids that this user can still go on with: gc leaves them alone. A sidecar in a spool owns
 * them, or a checkpoint of `put`.
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
/**
 * cli_owned_spools() - add those of all buckets' spools under @spool; one that does not exist owns nothing
 *
 * These three: 0, or a negative errno: then it is not known what is owned.
 */
int cli_owned_spools(const char *spool, struct cli_owned *owned, struct ou_error *err);
/** cli_owned_registry() - add those of all checkpoints that `put` noted in @registry */
int cli_owned_registry(const char *registry, struct cli_owned *owned, struct ou_error *err);
/** cli_owned_directory() - add those of all checkpoints in the directory @dir */
int cli_owned_directory(const char *dir, struct cli_owned *owned, struct ou_error *err);
bool cli_owned_has(const struct cli_owned *owned, const char *upload_id);

/**
 * cli_registry_dir() - where `put` notes its checkpoints; the caller frees. NULL: no memory.
 *
 * $XDG_STATE_HOME/ossfs-up/put; without it ~/.local/state/ossfs-up/put, for root
 * /var/lib/ossfs-up/put.
 */
char *cli_registry_dir(void);

#endif

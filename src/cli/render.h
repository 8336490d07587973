/*
 * Status for people: what `ossfs-up status` prints from the daemon's JSON.
 */
#ifndef OSSUP_CLI_RENDER_H
#define OSSUP_CLI_RENDER_H

#include "base/json.h"

#include <stdint.h>
#include <stdio.h>

/** cli_format_bytes() - "1.5 MiB" */
void cli_format_bytes(uint64_t bytes, char out[32]);
void cli_render_status(const struct ou_json *status, FILE *out);

#endif

/*
 * What came from where: the options of a mount in one line of the debug log.
 */
#ifndef OSSUP_CLI_TOLD_H
#define OSSUP_CLI_TOLD_H

#include "cli/session.h"

/** cli_tell_options() - each option that was given, with its source; no secret. @argument: BUCKET, or NULL */
void cli_tell_options(const struct cli_session *s, const char *argument);

#endif

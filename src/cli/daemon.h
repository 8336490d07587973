/*
 * Daemon: one mount, from the bucket's first answer to the end of the drain.
 */
#ifndef OSSUP_CLI_DAEMON_H
#define OSSUP_CLI_DAEMON_H

#include "cli/session.h"

struct cli_daemon;

/** cli_daemon_start() - reach the bucket, take the spool, mount; @session is borrowed */
int cli_daemon_start(struct cli_session *session, const char *mountpoint,
                     struct cli_daemon **daemon, struct ou_error *err);
/** cli_daemon_run() - serve until unmounted or told to end, then drain as the option says */
int cli_daemon_run(struct cli_daemon *daemon, struct ou_error *err);
void cli_daemon_free(struct cli_daemon *daemon);

#endif

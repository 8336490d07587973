/*
 * The run of `put`: all files from the first to the last, and what is said of them.
 */
#ifndef OSSUP_CLI_PUT_RUN_H
#define OSSUP_CLI_PUT_RUN_H

#include "cli/put_job.h"

/**
 * cli_put_run() - upload all that put->args names; @put is set up and connected
 *
 * Return: the exit status. On a signal the engine is stopped.
 */
int cli_put_run(struct cli_put *put);

#endif

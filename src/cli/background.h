/*
 * Going into the background: the parent waits until the child has mounted, or
 * says in one sentence what is wrong.
 */
#ifndef OSSUP_CLI_BACKGROUND_H
#define OSSUP_CLI_BACKGROUND_H

#include "base/error.h"

struct cli_background {
    int report_fd; /* -1: in the foreground */
};

/**
 * cli_background_fork() - the child returns; the parent waits for its word and exits with it
 *
 * Call before any thread is started.
 */
int cli_background_fork(struct cli_background *b, struct ou_error *err);
/** cli_background_ready() - the parent exits with 0; this process lets go of the terminal */
void cli_background_ready(struct cli_background *b);
/** cli_background_failed() - the parent prints the sentence and exits with 1 (foreground: printed here) */
void cli_background_failed(struct cli_background *b, const struct ou_error *err);

#endif

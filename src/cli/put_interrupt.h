/*
 * Ctrl-C for a command that can go on later: a thread that takes SIGINT, SIGTERM and SIGHUP.
 *
 * Create it before any other thread is started: it blocks the three signals in the caller,
 * and threads inherit that. The first signal is told; a second one ends the process at once.
 */
#ifndef OSSUP_CLI_PUT_INTERRUPT_H
#define OSSUP_CLI_PUT_INTERRUPT_H

#include "base/thread.h"

struct cli_interrupt;

/** cli_interrupt_new() - @wake is called on the thread, after the fact, with no lock held; it may be NULL */
int cli_interrupt_new(void (*wake)(void *ctx), void *ctx, struct cli_interrupt **interrupt,
                      struct ou_error *err);
void cli_interrupt_free(struct cli_interrupt *interrupt);
/** cli_interrupt_signal() - the signal that came, or 0. */
int cli_interrupt_signal(const struct cli_interrupt *interrupt);
/** cli_interrupt_cancel() - triggered by the signal. Borrowed. */
struct ou_cancel *cli_interrupt_cancel(const struct cli_interrupt *interrupt);
/** cli_interrupt_fd() - readable once a signal came, for poll(2). Borrowed. */
int cli_interrupt_fd(const struct cli_interrupt *interrupt);

#endif

/*
 * The commands. Each takes its own words (argv[0] is the command's name) and
 * returns the exit status: EXIT_SUCCESS, EXIT_FAILURE, CLI_EXIT_USAGE, or as told.
 */
#ifndef OSSUP_CLI_COMMANDS_H
#define OSSUP_CLI_COMMANDS_H

#include <stdbool.h>

#define CLI_EXIT_USAGE   2
#define CLI_EXIT_TIMEOUT 124 /* sync --timeout, as timeout(1) */

int cli_mount(int argc, char **argv);
/** cli_is_mount_helper() - the program was called as mount.SOMETHING: by mount(8) */
bool cli_is_mount_helper(const char *program);
int cli_put(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_sync(int argc, char **argv);
int cli_spool(int argc, char **argv);
int cli_gc(int argc, char **argv);

#endif

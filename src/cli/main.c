/*
 * ossfs-up: a word that is a command, else a mount. Called as mount.SOMETHING it is a helper of
 * mount(8), and no word is a command.
 */
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage:\n"
    "  ossfs-up [BUCKET[:PREFIX]] MOUNTPOINT [-o OPTIONS] [-f] [-d]   mount a bucket\n"
    "  ossfs-up put [OPTIONS] FILE... oss://BUCKET/KEY                resumable upload, no mount\n"
    "  ossfs-up status [MOUNTPOINT] [--watch] [--json]                what is pending, failed\n"
    "  ossfs-up sync PATH [--timeout S]                               wait until it is in the "
    "bucket\n"
    "  ossfs-up spool list|resume|export|discard                      look into a spool\n"
    "  ossfs-up gc BUCKET[:PREFIX] [--older-than 7d] [--list]         abort uploads nobody will "
    "finish\n"
    "  ossfs-up --help | --version\n";

static const char more[] =
    "\n"
    "  -f   stay in the foreground     -d   in the foreground, with a debug log\n"
    "\n"
    "Keys come from OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET and OSS_SESSION_TOKEN, or from the\n"
    "files and services that ossfs-up(1) names. Options after -o [default]:\n";

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"put", cli_put},     {"status", cli_status}, {"sync", cli_sync},
    {"spool", cli_spool}, {"gc", cli_gc},
};

int main(int argc, char **argv)
{
    cli_harden();
    if (argc > 0 && cli_is_mount_helper(argv[0]))
        return cli_mount(argc, argv);
    if (argc < 2) {
        (void)fputs(usage, stderr);
        (void)fputs("\nossfs-up --help lists the options, ossfs-up(1) explains them.\n", stderr);
        return CLI_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        (void)fputs(usage, stdout);
        (void)fputs(more, stdout);
        cli_options_help(stdout);
        return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        (void)puts("ossfs-up " OSSUP_VERSION);
        return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return cli_mount(argc, argv);
}

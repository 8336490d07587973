/*
 * status and sync: ask a daemon through its control socket.
 */
#include "cli/commands.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "cli/control.h"
#include "cli/mounts.h"
#include "cli/render.h"
#include "cli/session.h"
#include "cli/spools.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WATCH_INTERVAL_MS 1000

static const char status_usage[] = "usage: ossfs-up status [MOUNTPOINT] [--watch] [--json]\n";
static const char sync_usage[] = "usage: ossfs-up sync PATH [--timeout S]\n";

struct status_run {
    bool json;
    size_t shown;
};

static int ask(const char *path, const char *request, struct ou_buf *text, struct ou_json **reply,
               struct ou_error *err)
{
    ou_autofree char *socket = NULL;
    int r = cli_mounts_control(path, &socket, err);

    if (r < 0)
        return r;
    return cli_control_call(socket, request, text, reply, err);
}

static int show(struct status_run *run, const char *socket, bool draining_only,
                struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf text = {0};
    ou_auto(ou_json_free_at) struct ou_json *reply = NULL;
    int r = cli_control_call(socket, "{\"command\":\"status\"}", &text, &reply, err);
    const char *state = r == 0 ? ou_json_string(reply, "state") : NULL;

    if (r < 0)
        return r;
    if (draining_only && (!state || strcmp(state, "draining") != 0))
        return 0;
    if (run->json && run->shown > 0)
        (void)fputs(",", stdout);
    if (run->json)
        (void)fputs(ou_buf_str(&text), stdout);
    else
        cli_render_status(reply, stdout);
    run->shown++;
    return 0;
}

static int show_one(struct status_run *run, const char *mountpoint, struct ou_error *err)
{
    ou_autofree char *socket = NULL;
    int r = cli_mounts_control(mountpoint, &socket, err);

    return r < 0 ? r : show(run, socket, false, err);
}

/* One that does not answer must not hide the others. */
static int show_in_list(void *ctx, const char *mountpoint, struct ou_error *err)
{
    if (show_one(ctx, mountpoint, err) < 0)
        cli_say(err);
    return 0;
}

static int show_if_draining(void *ctx, const char *dir, struct ou_error *err)
{
    ou_autofree char *socket = NULL;

    if (asprintf(&socket, "%s/%s", dir, CLI_CONTROL_NAME) < 0) {
        socket = NULL;
        return ou_error_set(err, ENOMEM, "status");
    }
    (void)show(ctx, socket, true, err); /* mostly nobody is there */
    return 0;
}

/* Daemons that were unmounted and still upload: they are found by the usual spool. */
static void show_draining(struct status_run *run)
{
    struct cli_options options = {0};
    ou_autofree char *spool = NULL;
    struct ou_error ignored;

    if (cli_options_files(&options, NULL, &ignored) == 0)
        spool = cli_spool_dir(&options);
    if (spool)
        (void)cli_spools_each(spool, show_if_draining, run, &ignored);
    cli_options_fini(&options);
}

static int show_all(struct status_run *run, struct ou_error *err)
{
    int r;

    if (run->json)
        (void)fputs("{\"mounts\":[", stdout);
    r = cli_mounts_each(show_in_list, run, err);
    if (r == 0)
        show_draining(run);
    if (run->json)
        (void)fputs("]}\n", stdout);
    else if (r == 0 && run->shown == 0)
        (void)puts("nothing is mounted with ossfs-up");
    return r;
}

int cli_status(int argc, char **argv)
{
    const char *mountpoint = NULL;
    struct status_run run = {0};
    bool watch = false;
    struct ou_error err;
    int r;

    for (int i = 1; i < argc; i++) {
        if (cli_is_help(argv[i])) {
            return cli_help(status_usage);
        } else if (strcmp(argv[i], "--json") == 0) {
            run.json = true;
        } else if (strcmp(argv[i], "--watch") == 0) {
            watch = true;
        } else if (argv[i][0] != '-' && !mountpoint) {
            mountpoint = argv[i];
        } else {
            (void)fputs(status_usage, stderr);
            return CLI_EXIT_USAGE;
        }
    }
    do {
        run.shown = 0;
        if (watch && !run.json && isatty(STDOUT_FILENO))
            (void)fputs("\033[H\033[2J", stdout);
        r = mountpoint ? show_one(&run, mountpoint, &err) : show_all(&run, &err);
        (void)fflush(stdout);
    } while (watch && r == 0 && poll(NULL, 0, WATCH_INTERVAL_MS) == 0);
    if (r < 0)
        cli_say(&err);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int sync_path(const char *path, uint64_t timeout_ms, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf request = {0}, text = {0};
    ou_auto(ou_json_free_at) struct ou_json *reply = NULL;
    ou_autofree char *relative = NULL;
    uint64_t errnum = EIO;
    int r = cli_mounts_relative(path, &relative, err);

    if (r < 0)
        return r;
    ou_buf_adds(&request, "{\"command\":\"sync\",\"path\":");
    ou_json_quote(&request, relative);
    ou_buf_addf(&request, ",\"timeout_ms\":%" PRIu64 "}", timeout_ms);
    r = ask(path, ou_buf_str(&request), &text, &reply, err);
    if (r < 0)
        return r;
    if (!ou_json_string(reply, "error"))
        return 0;
    (void)ou_json_u64(reply, "errno", &errnum);
    return ou_error_say(err, (int)errnum, "%s", ou_json_string(reply, "error"));
}

int cli_sync(int argc, char **argv)
{
    const char *path = NULL, *timeout = NULL;
    uint64_t timeout_ms = 0;
    struct ou_error err;
    int r;

    for (int i = 1; i < argc; i++) {
        if (cli_is_help(argv[i])) {
            return cli_help(sync_usage);
        } else if (strcmp(argv[i], "--timeout") == 0 && i + 1 < argc) {
            timeout = argv[++i];
        } else if (strncmp(argv[i], "--timeout=", 10) == 0) {
            timeout = argv[i] + 10;
        } else if (argv[i][0] != '-' && !path) {
            path = argv[i];
        } else {
            path = NULL;
            break;
        }
    }
    if (!path) {
        (void)fputs(sync_usage, stderr);
        return CLI_EXIT_USAGE;
    }
    if (timeout && ou_parse_duration(timeout, &timeout_ms, &err) < 0) {
        (void)ou_error_prefix(&err, "--timeout");
        cli_say(&err);
        return CLI_EXIT_USAGE;
    }
    r = sync_path(path, timeout_ms, &err);
    if (r == 0)
        return EXIT_SUCCESS;
    cli_say(&err);
    return r == -ETIMEDOUT ? CLI_EXIT_TIMEOUT : EXIT_FAILURE;
}

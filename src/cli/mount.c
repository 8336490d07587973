/*
 * mount: reach the bucket, take the spool, mount, serve, drain.
 *
 * Order at start: options → (fork) → bucket → spool → tree → mount → uploads. At
 * the end the reverse: the mount is gone first (umount returns at once), then
 * what is pending is drained as `drain` says. A new mount of the same bucket may
 * ask a draining daemon to hand over (control command "handover"); it stops its
 * uploads where they are and the new one resumes them.
 */
#include "cli/commands.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/background.h"
#include "cli/daemon.h"
#include "cli/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct arguments {
    const char *bucket; /* NULL: not given */
    const char *mountpoint;
    bool foreground, debug;
};

/* -o a -o b are one list; options of mount(8) helpers (-n -s -v -w -r) are taken. */
static int parse_arguments(int argc, char **argv, struct arguments *args,
                           struct cli_options *options, struct ou_error *err)
{
    const char *words[2];
    int count = 0, r = 0;

    for (int i = 1; i < argc && r == 0; i++) {
        const char *a = argv[i];

        if (strcmp(a, "-f") == 0) {
            args->foreground = true;
        } else if (strcmp(a, "-d") == 0) {
            args->foreground = args->debug = true;
        } else if (strcmp(a, "-r") == 0) {
            r = cli_options_o(options, "ro", err);
        } else if (strcmp(a, "-n") == 0 || strcmp(a, "-s") == 0 || strcmp(a, "-v") == 0 ||
                   strcmp(a, "-w") == 0) {
            continue;
        } else if (strncmp(a, "-o", 2) == 0) {
            const char *list = a[2] ? a + 2 : (i + 1 < argc ? argv[++i] : "");

            r = cli_options_o(options, list, err);
        } else if (a[0] == '-' && a[1]) {
            return ou_error_say(err, EINVAL, "%s: no such option; ossfs-up --help lists them", a);
        } else if (count == 2) {
            return ou_error_say(err, EINVAL,
                                "\"%s\": one word too many; give BUCKET and MOUNTPOINT", a);
        } else {
            words[count++] = a;
        }
    }
    if (r < 0)
        return r;
    if (count == 0)
        return ou_error_say(err, EINVAL, "no mountpoint was given; ossfs-up --help shows how");
    args->mountpoint = words[count - 1];
    args->bucket = count == 2 ? words[0] : NULL;
    return 0;
}

static int check_mountpoint(const char *path, char **resolved, struct ou_error *err)
{
    struct stat st;

    if (stat(path, &st) < 0) {
        if (errno == ENOTCONN)
            return ou_error_say(err, ENOTCONN,
                                "mountpoint %s: a dead mount is in the way; run: umount -l %s",
                                path, path);
        if (errno == ENOENT)
            return ou_error_say(err, ENOENT, "mountpoint %s does not exist; create it: mkdir -p %s",
                                path, path);
        return ou_error_set(err, errno, "mountpoint %s", path);
    }
    if (!S_ISDIR(st.st_mode))
        return ou_error_say(err, ENOTDIR, "mountpoint %s is not a directory", path);
    *resolved = realpath(path, NULL);
    return *resolved ? 0 : ou_error_set(err, errno, "mountpoint %s", path);
}

static int set_up_log(const struct cli_options *o, const struct arguments *args,
                      struct ou_error *err)
{
    const char *path = cli_text(o, CLI_OPT_LOG_FILE);
    int r = ou_log_configure(
        args->debug && !cli_given(o, CLI_OPT_LOG) ? "debug" : cli_text(o, CLI_OPT_LOG), err);

    if (r < 0)
        return r;
    if (path) {
        int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

        if (fd < 0)
            return ou_error_set(err, errno, "log_file %s", path);
        ou_log_to_fd(fd); /* open as long as the process lives */
    } else if (!args->foreground) {
        ou_log_to_syslog("ossfs-up");
    }
    return 0;
}

static int read_options(struct cli_session *s, const struct arguments *args, const char *mountpoint,
                        struct ou_error *err)
{
    const char *last = strrchr(mountpoint, '/');
    int r = cli_options_environment(&s->options, err);

    if (r == 0)
        r = cli_options_files(&s->options, mountpoint, err);
    if (r == 0)
        r = cli_options_check(&s->options, err);
    if (r == 0)
        r = cli_session_target(s, args->bucket, last ? last + 1 : mountpoint, err);
    return r;
}

static int run(struct cli_session *s, const struct arguments *args, const char *mountpoint)
{
    struct cli_background background = {.report_fd = -1};
    struct cli_daemon *daemon = NULL;
    struct ou_error err;
    int r = 0;

    if (!args->foreground)
        r = cli_background_fork(&background, &err);
    if (r == 0)
        r = cli_daemon_start(s, mountpoint, &daemon, &err);
    if (r < 0) {
        cli_background_failed(&background, &err);
        return EXIT_FAILURE;
    }
    cli_background_ready(&background);
    r = cli_daemon_run(daemon, &err);
    if (r < 0)
        ou_log_error(OU_LOG_CLI, &err, "mountpoint=%s", mountpoint);
    cli_daemon_free(daemon);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int cli_mount(int argc, char **argv)
{
    ou_auto(cli_session_fini) struct cli_session session = {0};
    ou_autofree char *mountpoint = NULL;
    struct arguments args = {.mountpoint = ""};
    struct ou_error err;
    int r = parse_arguments(argc, argv, &args, &session.options, &err);

    if (r == 0)
        r = check_mountpoint(args.mountpoint, &mountpoint, &err);
    if (r == 0 && mountpoint)
        r = read_options(&session, &args, mountpoint, &err);
    if (r == 0)
        r = set_up_log(&session.options, &args, &err);
    if (r < 0) {
        cli_say(&err);
        return r == -EINVAL ? CLI_EXIT_USAGE : EXIT_FAILURE;
    }
    return run(&session, &args, mountpoint);
}

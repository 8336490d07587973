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
#include "cli/told.h"

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
    bool fake;          /* mount -f: as if, but do not */
    const char **lists; /* of -o, in their order; borrowed words */
    size_t list_count;
};

bool cli_is_mount_helper(const char *program)
{
    const char *slash = strrchr(program, '/');

    return strncmp(slash ? slash + 1 : program, "mount.", 6) == 0;
}

/* mount(8) calls helpers with -n -s -v -w -r -f (fake!) -t TYPE -N NAMESPACE. */
static int parse_word(int argc, char **argv, int *i, struct arguments *args, struct ou_error *err)
{
    bool helper = cli_is_mount_helper(argv[0]);
    const char *a = argv[*i];

    if (strcmp(a, "-f") == 0 && helper)
        args->fake = true;
    else if (strcmp(a, "-f") == 0)
        args->foreground = true;
    else if (strcmp(a, "-d") == 0)
        args->foreground = args->debug = true;
    else if (strcmp(a, "-r") == 0)
        args->lists[args->list_count++] = "ro";
    else if (strncmp(a, "-o", 2) == 0 && (a[2] || *i + 1 < argc))
        args->lists[args->list_count++] = a[2] ? a + 2 : argv[++*i];
    else if (strcmp(a, "-o") == 0)
        return ou_error_say(err, EINVAL, "-o wants options: -o name=value,name=value");
    else if (helper && (strcmp(a, "-t") == 0 || strcmp(a, "-N") == 0) && *i + 1 < argc)
        ++*i;
    else if (strcmp(a, "-n") != 0 && strcmp(a, "-s") != 0 && strcmp(a, "-v") != 0 &&
             strcmp(a, "-w") != 0)
        return ou_error_say(err, EINVAL, "%s: no such option; ossfs-up --help lists them", a);
    return 0;
}

static int parse_arguments(int argc, char **argv, struct arguments *args, struct ou_error *err)
{
    const char *words[2];
    int count = 0;

    args->lists = calloc((size_t)argc + 1, sizeof(*args->lists));
    if (!args->lists)
        return ou_error_set(err, ENOMEM, "arguments");
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-' && argv[i][1]) {
            int r = parse_word(argc, argv, &i, args, err);

            if (r < 0)
                return r;
        } else if (count == 2) {
            return ou_error_say(err, EINVAL,
                                "\"%s\": one word too many; give BUCKET and MOUNTPOINT", argv[i]);
        } else {
            words[count++] = argv[i];
        }
    }
    if (count == 0)
        return ou_error_say(err, EINVAL, "no mountpoint was given; ossfs-up --help shows how");
    args->mountpoint = words[count - 1];
    args->bucket = count == 2 ? words[0] : NULL;
    return 0;
}

/* The last -o wins, and what is taken first stays: so from the end. */
static int take_lists(const struct arguments *args, struct cli_options *options,
                      struct ou_error *err)
{
    int r = 0;

    for (size_t i = args->list_count; i > 0 && r == 0; i--)
        r = cli_options_o(options, args->lists[i - 1], err);
    return r;
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
            return ou_error_say(
                err, ENOENT, "mountpoint %s does not exist; create it: mkdir -p %s%s", path, path,
                strchr(path, '/') ? "" : " (ossfs-up --help lists the commands)");
        return ou_error_set(err, errno, "mountpoint %s", path);
    }
    if (!S_ISDIR(st.st_mode))
        return ou_error_say(err, ENOTDIR, "mountpoint %s is not a directory", path);
    *resolved = realpath(path, NULL);
    return *resolved ? 0 : ou_error_set(err, errno, "mountpoint %s", path);
}

/* @dir has no links in it; of @path, what does not exist yet will be where its parent is. */
static bool lies_in(const char *path, const char *dir)
{
    ou_autofree char *parent = strdup(path), *real = NULL;
    size_t len = strlen(dir);

    while (parent && *parent && !(real = realpath(parent, NULL))) {
        char *slash = strrchr(parent, '/');

        *(slash ? slash : parent) = '\0';
    }
    return real && strncmp(real, dir, len) == 0 && (real[len] == '/' || !real[len]);
}

/* A daemon that opens a file of its own mount waits for itself, for ever. */
static int check_own_paths(const struct cli_options *o, const char *mountpoint,
                           struct ou_error *err)
{
    static const enum cli_option files[] = {CLI_OPT_PASSWD_FILE, CLI_OPT_CACERT, CLI_OPT_CONFIG,
                                            CLI_OPT_LOG_FILE};
    ou_autofree char *spool = cli_spool_dir(o);
    const char *path = spool;
    enum cli_option id = CLI_OPT_SPOOL;

    for (size_t i = 0; !path || !lies_in(path, mountpoint); i++) {
        if (i == sizeof(files) / sizeof(files[0]))
            return 0;
        id = files[i];
        path = cli_text(o, id);
    }
    return ou_error_say(err, EINVAL,
                        "%s %s lies in the mountpoint %s, which will hide it: name a place outside",
                        cli_option_name(id), path, mountpoint);
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
    if (r == 0)
        r = check_own_paths(&s->options, mountpoint, err);
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
    int r = parse_arguments(argc, argv, &args, &err);

    if (r == 0)
        r = take_lists(&args, &session.options, &err);
    free(args.lists);
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
    if (args.fake)
        return EXIT_SUCCESS;
    cli_tell_options(&session, args.bucket);
    if (session.options.ignored)
        ou_log_info(OU_LOG_CLI, "options that do nothing here: %s", session.options.ignored);
    if (!args.foreground && cli_flag(&session.options, CLI_OPT_NO_VERIFY)) /* the log has it, too */
        (void)fputs("ossfs-up: no_verify: the server's certificate is not verified; anybody on the "
                    "way can read and change everything\n",
                    stderr);
    return run(&session, &args, mountpoint);
}

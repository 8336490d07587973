/*
 * gc: multipart uploads that nobody will finish cost storage for ever. Only what
 * is older than --older-than is touched, and never an upload id that a spool of this machine or a
 * checkpoint of `put` still owns.
 *
 * What is owned is collected after a page was listed: what is on the page and was not owned then,
 * belongs to nobody, or was begun this very moment and begins anew.
 */
#include "cli/commands.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "cli/owned.h"
#include "cli/render.h"
#include "cli/session.h"
#include "oss/ops.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_AGE "7d"

struct gc {
    struct cli_session session;
    char *spool, *registry;
    char **checkpoint_dirs; /* borrowed from argv */
    size_t checkpoint_dir_count;
    struct cli_owned owned; /* as of the page that is looked through */
    uint64_t older_than_ms;
    bool list_only;
    size_t found, kept, failed;
};

static const char usage[] =
    "usage: ossfs-up gc BUCKET[:PREFIX] [OPTIONS]\n"
    "\n"
    "Aborts multipart uploads that nobody will finish: what is old, and what no spool and no\n"
    "checkpoint of put on this machine can go on with.\n"
    "\n"
    "  --older-than AGE       begun longer ago than this [" DEFAULT_AGE "]\n"
    "  --list                 only list them\n"
    "  --checkpoint-dir DIR   what the checkpoints in it can go on with stays, too; may be "
    "repeated\n"
    "  -o OPTIONS             as for mount: endpoint=, region=, spool=, ...\n";

enum { OPT_OLDER_THAN = 256, OPT_LIST, OPT_CHECKPOINT_DIR };

static const struct option long_options[] = {
    {"older-than", required_argument, NULL, OPT_OLDER_THAN},
    {"list", no_argument, NULL, OPT_LIST},
    {"checkpoint-dir", required_argument, NULL, OPT_CHECKPOINT_DIR},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* Return: 0, 1 (--help), -errno. */
static int take_option(struct gc *gc, int option, struct ou_error *err)
{
    switch (option) {
    case 'o':
        return cli_options_o(&gc->session.options, optarg, err);
    case 'h':
        return 1;
    case OPT_OLDER_THAN:
        if (ou_parse_duration(optarg, &gc->older_than_ms, err) < 0)
            return ou_error_prefix(err, "--older-than");
        return 0;
    case OPT_LIST:
        gc->list_only = true;
        return 0;
    case OPT_CHECKPOINT_DIR:
        gc->checkpoint_dirs[gc->checkpoint_dir_count++] = optarg;
        return 0;
    default:
        return ou_error_say(err, EINVAL, "gc: unknown option or missing argument; see gc --help");
    }
}

/* Return: 0, 1 (--help), -errno. */
static int parse(int argc, char **argv, struct gc *gc, const char **target, struct ou_error *err)
{
    int option, r = ou_parse_duration(DEFAULT_AGE, &gc->older_than_ms, err);

    gc->checkpoint_dirs = calloc((size_t)argc, sizeof(*gc->checkpoint_dirs));
    if (!gc->checkpoint_dirs)
        return ou_error_set(err, ENOMEM, "gc");
    opterr = 0;
    optind = 1;
    while (r == 0 && (option = getopt_long(argc, argv, "o:h", long_options, NULL)) != -1)
        r = take_option(gc, option, err);
    if (r == 0 && argc - optind > 1)
        r = ou_error_say(err, EINVAL, "gc: it takes one BUCKET[:PREFIX]; see gc --help");
    *target = argc - optind == 1 ? argv[optind] : NULL;
    return r;
}

/* By the server's clock: ours may be days wrong. */
static time_t age_of(struct gc *gc, const struct oss_upload_entry *upload)
{
    struct oss_client_stats stats = {0};

    oss_client_stats(gc->session.client, &stats);
    return ou_wall().tv_sec + (time_t)stats.server_ahead_s - upload->initiated.tv_sec;
}

static bool is_old(struct gc *gc, const struct oss_upload_entry *upload)
{
    return age_of(gc, upload) >= (time_t)(gc->older_than_ms / 1000);
}

static void handle(struct gc *gc, const struct oss_upload_entry *upload)
{
    const char *verb = gc->list_only ? "unfinished" : "aborted";
    struct ou_error err = OU_ERROR_INIT;

    if (!is_old(gc, upload))
        return;
    if (cli_owned_has(&gc->owned, upload->upload_id)) {
        gc->kept++;
        return;
    }
    gc->found++;
    if (!gc->list_only &&
        oss_abort_upload(gc->session.client, NULL, upload->key, upload->upload_id, &err) < 0) {
        (void)ou_error_prefix(&err, "abort %s of %s", upload->upload_id, upload->key);
        cli_say(&err);
        gc->failed++;
        return;
    }
    (void)printf("%s %s %s (%lld hours old)\n", verb, upload->upload_id, upload->key,
                 (long long)age_of(gc, upload) / 3600);
}

static int collect(struct gc *gc, struct ou_error *err)
{
    int r;

    cli_owned_fini(&gc->owned);
    r = cli_owned_spools(gc->spool, &gc->owned, err);
    if (r == 0)
        r = cli_owned_registry(gc->registry, &gc->owned, err);
    for (size_t i = 0; r == 0 && i < gc->checkpoint_dir_count; i++)
        r = cli_owned_directory(gc->checkpoint_dirs[i], &gc->owned, err);
    return r;
}

static int look_through(struct gc *gc, const struct oss_upload_list *page, struct ou_error *err)
{
    size_t old = 0;
    int r;

    for (size_t i = 0; i < page->count; i++)
        old += is_old(gc, &page->uploads[i]);
    if (old == 0)
        return 0;
    r = collect(gc, err);
    for (size_t i = 0; r == 0 && i < page->count; i++)
        handle(gc, &page->uploads[i]);
    return r;
}

static int sweep(struct gc *gc, struct ou_error *err)
{
    ou_autofree char *key = NULL, *id = NULL;
    bool more = true;

    while (more) {
        struct oss_upload_list page = {0};
        int r = oss_list_uploads(gc->session.client, NULL, gc->session.prefix, key, id, &page, err);

        if (r < 0) {
            cli_session_explain(&gc->session, err);
            return r;
        }
        r = look_through(gc, &page, err);
        more = page.truncated;
        free(key);
        free(id);
        key = page.next_key;
        id = page.next_upload_id;
        page.next_key = page.next_upload_id = NULL;
        oss_upload_list_fini(&page);
        if (r < 0)
            return r;
    }
    return 0;
}

static int run(struct gc *gc, const char *target, struct ou_error *err)
{
    struct cli_session *s = &gc->session;
    int r = cli_options_environment(&s->options, err);

    if (r == 0)
        r = cli_options_files(&s->options, NULL, err);
    if (r == 0)
        r = cli_options_check(&s->options, err);
    if (r == 0)
        r = cli_session_target(s, target, NULL, err);
    if (r == 0)
        r = cli_session_connect(s, err);
    if (r < 0)
        return r;
    gc->spool = cli_spool_dir(&s->options);
    gc->registry = cli_registry_dir();
    if (!gc->spool || !gc->registry)
        return ou_error_set(err, ENOMEM, "gc");
    r = collect(gc, err); /* what cannot be read is told before anything is asked */
    return r < 0 ? r : sweep(gc, err);
}

static void tell_nothing(const struct gc *gc)
{
    if (gc->kept > 0)
        (void)printf("nothing to abort: %zu unfinished upload%s of this machine can still go on\n",
                     gc->kept, gc->kept == 1 ? "" : "s");
    else
        (void)puts("no unfinished upload is that old");
}

static void gc_fini(struct gc *gc)
{
    cli_owned_fini(&gc->owned);
    cli_session_fini(&gc->session);
    free(gc->checkpoint_dirs);
    free(gc->spool);
    free(gc->registry);
}

int cli_gc(int argc, char **argv)
{
    ou_auto(gc_fini) struct gc gc = {0};
    const char *target = NULL;
    struct ou_error err = OU_ERROR_INIT;
    int r = parse(argc, argv, &gc, &target, &err);

    if (r > 0)
        return cli_help(usage);
    if (r < 0) {
        cli_say(&err);
        return CLI_EXIT_USAGE;
    }
    r = run(&gc, target, &err);
    if (r < 0)
        cli_say(&err);
    else if (gc.found == 0)
        tell_nothing(&gc);
    return r < 0 || gc.failed > 0 || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

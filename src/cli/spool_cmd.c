/*
 * spool: what waits on this disk, whether it is mounted or not.
 */
#include "cli/commands.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/control.h"
#include "cli/mounts.h"
#include "cli/render.h"
#include "cli/rescue.h"
#include "cli/session.h"
#include "cli/spools.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: ossfs-up spool list [--json] [-o spool=DIR]\n"
    "       ossfs-up spool resume [MOUNTPOINT]          try parked files again now\n"
    "       ossfs-up spool export [ID...] DIR [-o spool=DIR]   copy staged files out\n"
    "       ossfs-up spool discard ID... [--yes] [-o spool=DIR]   throw staged files away\n";

struct words {
    struct cli_options options;
    char *spool;
    const char **word; /* what is no option; borrowed */
    size_t count;
    bool json, yes;
};

static void words_fini(struct words *w)
{
    cli_options_fini(&w->options);
    free(w->spool);
    free(w->word);
}

static int parse(int argc, char **argv, struct words *w, struct ou_error *err)
{
    int r = 0;

    w->word = calloc((size_t)argc + 1, sizeof(*w->word));
    if (!w->word)
        return ou_error_set(err, ENOMEM, "spool");
    for (int i = 2; i < argc && r == 0; i++) {
        if (strcmp(argv[i], "--json") == 0)
            w->json = true;
        else if (strcmp(argv[i], "--yes") == 0)
            w->yes = true;
        else if (strcmp(argv[i], "-o") == 0 && i + 1 < argc)
            r = cli_options_o(&w->options, argv[++i], err);
        else if (strncmp(argv[i], "-o", 2) == 0 && argv[i][2])
            r = cli_options_o(&w->options, argv[i] + 2, err);
        else if (argv[i][0] == '-')
            return ou_error_say(err, EINVAL, "%s: no such option of spool; see spool --help",
                                argv[i]);
        else
            w->word[w->count++] = argv[i];
    }
    if (r == 0 && w->count > 0 && strcmp(argv[1], "list") == 0)
        r = ou_error_say(err, EINVAL, "list takes no \"%s\"; -o spool= names the directory",
                         w->word[0]);
    if (r == 0)
        r = cli_options_files(&w->options, NULL, err);
    if (r == 0)
        r = cli_options_check(&w->options, err);
    if (r < 0)
        return r;
    w->spool = cli_spool_dir(&w->options);
    return w->spool ? 0 : ou_error_set(err, ENOMEM, "spool");
}

/* -- list -- */

struct listing {
    const char *dir;
    bool json;
    size_t shown;
};

static void show_json(const struct listing *l, const struct spool_listed *item)
{
    ou_auto(ou_buf_fini) struct ou_buf b = {0};

    ou_buf_adds(&b, l->shown ? ",\n{\"id\":" : "\n{\"id\":");
    ou_json_quote(&b, item->id);
    ou_buf_adds(&b, ",\"key\":");
    ou_json_quote(&b, item->key);
    ou_buf_adds(&b, ",\"state\":");
    ou_json_quote(&b, item->state);
    ou_buf_addf(&b, ",\"size\":%llu,\"changed\":%lld,\"error\":", (unsigned long long)item->size,
                (long long)item->changed);
    ou_json_quote(&b, item->error);
    ou_buf_adds(&b, ",\"dir\":");
    ou_json_quote(&b, l->dir);
    ou_buf_adds(&b, "}");
    (void)fputs(ou_buf_str(&b), stdout);
}

static void show(void *ctx, const struct spool_listed *item)
{
    struct listing *l = ctx;
    char size[32];

    if (l->json) {
        show_json(l, item);
    } else {
        cli_format_bytes(item->size, size);
        (void)printf("%-20s %-8s %10s  %s%s%s\n", item->id, item->state, size, item->key,
                     item->error[0] ? "  " : "", item->error);
    }
    l->shown++;
}

static int list_dir(void *ctx, const char *dir, struct ou_error *err)
{
    struct listing *l = ctx;

    l->dir = dir;
    return spool_list_dir(dir, show, l, err);
}

static int list(const struct words *w, struct ou_error *err)
{
    struct listing l = {.json = w->json};
    bool missing;
    int r;

    if (w->json)
        (void)fputs("{\"files\":[", stdout);
    r = cli_spools_each(w->spool, list_dir, &l, err);
    missing = r == -ENOENT;
    if (missing)
        r = 0; /* never used: nothing waits */
    if (w->json)
        (void)fputs("]}\n", stdout);
    else if (r == 0 && l.shown == 0)
        (void)printf("nothing waits in %s%s\n", w->spool,
                     missing ? ", which does not exist"
                     : cli_given(&w->options, CLI_OPT_SPOOL)
                         ? ""
                         : "; -o spool=DIR names another spool");
    return r;
}

/* -- resume -- */

static int resume_one(void *ctx, const char *mountpoint, struct ou_error *err)
{
    ou_autofree char *socket = NULL;
    ou_auto(ou_buf_fini) struct ou_buf text = {0};
    ou_auto(ou_json_free_at) struct ou_json *reply = NULL;
    size_t *count = ctx;
    int r = cli_mounts_control(mountpoint, &socket, err);

    if (r == 0)
        r = cli_control_call(socket, "{\"command\":\"reload\"}", &text, &reply, err);
    if (r == 0 && ou_json_string(reply, "error"))
        return ou_error_say(err, EIO, "%s: parked files are tried again, but with the old keys: %s",
                            mountpoint, ou_json_string(reply, "error"));
    if (r == 0)
        ++*count;
    return r;
}

static int resume(const struct words *w, struct ou_error *err)
{
    size_t count = 0;
    int r;

    if (w->count > 0)
        return resume_one(&count, w->word[0], err);
    r = cli_mounts_each(resume_one, &count, err);
    if (r == 0 && count == 0)
        return ou_error_say(err, ENODEV,
                            "nothing is mounted: uploads go on when the bucket is mounted again");
    return r;
}

int cli_spool(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    struct words w = {0};
    struct ou_error err;
    bool known = true;
    int r;

    for (int i = 1; i < argc; i++)
        if (cli_is_help(argv[i]))
            return cli_help(usage);
    r = parse(argc, argv, &w, &err);
    if (r < 0) {
        words_fini(&w);
        cli_say(&err);
        return r == -EINVAL ? CLI_EXIT_USAGE : EXIT_FAILURE;
    }
    if (strcmp(verb, "list") == 0)
        r = list(&w, &err);
    else if (strcmp(verb, "resume") == 0 && w.count <= 1)
        r = resume(&w, &err);
    else if (strcmp(verb, "export") == 0 && w.count > 0)
        r = cli_rescue_export(w.spool, w.word, w.count - 1, w.word[w.count - 1], &err);
    else if (strcmp(verb, "discard") == 0)
        r = cli_rescue_discard(w.spool, w.word, w.count, w.yes, &err);
    else
        known = false;
    words_fini(&w);
    if (!known) {
        (void)fputs(usage, stderr);
        return CLI_EXIT_USAGE;
    }
    if (r < 0)
        cli_say(&err);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/*
 * gc: multipart uploads that nobody will finish cost storage for ever. Only what
 * is older than --older-than is touched, and never an upload id that a sidecar in
 * a spool of this machine still owns.
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_AGE "7d"

struct gc {
    struct cli_session session;
    struct cli_owned owned;
    uint64_t older_than_ms;
    bool list_only;
    size_t found, aborted, failed;
};

static int parse(int argc, char **argv, struct gc *gc, const char **target, struct ou_error *err)
{
    const char *age = DEFAULT_AGE;
    int r = 0;

    for (int i = 1; i < argc && r == 0; i++) {
        if (strcmp(argv[i], "--older-than") == 0 && i + 1 < argc)
            age = argv[++i];
        else if (strncmp(argv[i], "--older-than=", 13) == 0)
            age = argv[i] + 13;
        else if (strcmp(argv[i], "--list") == 0)
            gc->list_only = true;
        else if (strcmp(argv[i], "-o") == 0 && i + 1 < argc)
            r = cli_options_o(&gc->session.options, argv[++i], err);
        else if (argv[i][0] != '-' && !*target)
            *target = argv[i];
        else
            return ou_error_say(err, EINVAL,
                                "%s: usage: ossfs-up gc BUCKET[:PREFIX] [--older-than 7d] "
                                "[--list] [-o OPTIONS]",
                                argv[i]);
    }
    return r == 0 ? ou_parse_duration(age, &gc->older_than_ms, err) : r;
}

static void handle(struct gc *gc, const struct oss_upload_entry *upload)
{
    time_t age = ou_wall().tv_sec - upload->initiated.tv_sec;
    const char *verb = gc->list_only ? "unfinished" : "aborted";
    struct ou_error err;

    if (age < (time_t)(gc->older_than_ms / 1000) || cli_owned_has(&gc->owned, upload->upload_id))
        return;
    gc->found++;
    if (!gc->list_only &&
        oss_abort_upload(gc->session.client, NULL, upload->key, upload->upload_id, &err) < 0) {
        (void)ou_error_prefix(&err, "abort %s of %s", upload->upload_id, upload->key);
        cli_say(&err);
        gc->failed++;
        return;
    }
    gc->aborted += !gc->list_only;
    (void)printf("%s %s %s (%lld hours old)\n", verb, upload->upload_id, upload->key,
                 (long long)age / 3600);
}

static int sweep(struct gc *gc, struct ou_error *err)
{
    ou_autofree char *key = NULL, *id = NULL;
    bool more = true;

    while (more) {
        struct oss_upload_list page = {0};
        int r = oss_list_uploads(gc->session.client, NULL, gc->session.prefix, key, id, &page, err);

        if (r < 0)
            return r;
        for (size_t i = 0; i < page.count; i++)
            handle(gc, &page.uploads[i]);
        more = page.truncated;
        free(key);
        free(id);
        key = page.next_key;
        id = page.next_upload_id;
        page.next_key = page.next_upload_id = NULL;
        oss_upload_list_fini(&page);
    }
    return 0;
}

static int run(struct gc *gc, const char *target, struct ou_error *err)
{
    struct cli_session *s = &gc->session;
    ou_autofree char *spool = NULL;
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
    spool = cli_spool_dir(&s->options);
    if (!spool)
        return ou_error_set(err, ENOMEM, "spool");
    r = cli_owned_collect(spool, &gc->owned, err);
    return r < 0 ? r : sweep(gc, err);
}

int cli_gc(int argc, char **argv)
{
    struct gc gc = {0};
    const char *target = NULL;
    struct ou_error err;
    int r = parse(argc, argv, &gc, &target, &err);
    bool usage = r < 0;

    if (r == 0)
        r = run(&gc, target, &err);
    if (r < 0)
        cli_say(&err);
    else if (gc.found == 0)
        (void)puts("no unfinished upload is that old");
    cli_owned_fini(&gc.owned);
    cli_session_fini(&gc.session);
    if (usage)
        return CLI_EXIT_USAGE;
    return r < 0 || gc.failed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

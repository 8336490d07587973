/*
 * put: files to objects, without a mount. Words, options and a connection; put_run.c does the work.
 */
#include "cli/commands.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/owned.h"
#include "cli/put_job.h"
#include "cli/put_run.h"
#include "cli/render.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int set_up_log(const struct cli_options *o, struct ou_error *err)
{
    const char *path = cli_text(o, CLI_OPT_LOG_FILE);
    int r = ou_log_configure(cli_given(o, CLI_OPT_LOG) ? cli_text(o, CLI_OPT_LOG) : "warn", err);

    if (r == 0 && path) {
        int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

        if (fd < 0)
            return ou_error_set(err, errno, "log_file %s", path);
        ou_log_to_fd(fd); /* open as long as the process lives */
    }
    return r;
}

static int copy_text(char **to, const char *from, struct ou_error *err)
{
    *to = from ? strdup(from) : NULL;
    return *to || !from ? 0 : ou_error_set(err, ENOMEM, "put");
}

/* What is fixed when an upload begins is told to it, and not left to the client's defaults. */
static int take_options(struct cli_put *put, struct ou_error *err)
{
    const struct cli_options *o = &put->session.options;
    char *colon;
    int r = copy_text(&put->storage_class, cli_text(o, CLI_OPT_STORAGE_CLASS), err);

    if (r == 0)
        r = copy_text(&put->sse, cli_text(o, CLI_OPT_SSE), err);
    if (r < 0)
        return r;
    colon = put->sse ? strchr(put->sse, ':') : NULL;
    if (colon) {
        *colon = '\0';
        r = copy_text(&put->sse_key_id, colon + 1, err);
    }
    put->registry = cli_registry_dir();
    if (r == 0 && !put->registry)
        r = ou_error_set(err, ENOMEM, "put");
    if (cli_given(o, CLI_OPT_PART_SIZE))
        put->part_size = cli_number(o, CLI_OPT_PART_SIZE);
    return r;
}

static int check_all(struct cli_put *put, struct ou_error *err)
{
    struct cli_session *s = &put->session;
    int r = cli_options_environment(&s->options, err);

    if (r == 0)
        r = cli_options_files(&s->options, NULL, err);
    if (r == 0)
        r = cli_options_check(&s->options, err);
    if (r == 0)
        r = cli_session_target(s, put->args.bucket, NULL, err);
    if (r == 0)
        r = set_up_log(&s->options, err);
    if (r == 0)
        r = take_options(put, err);
    if (r == 0 && put->args.checkpoint_dir && access(put->args.checkpoint_dir, W_OK | X_OK) < 0)
        r = ou_error_set(err, errno, "checkpoint directory %s", put->args.checkpoint_dir);
    return r;
}

static void on_signal(void *ctx)
{
    struct cli_put *put = ctx;

    ou_lock_scope(&put->lock);
    put->locked.news = true;
    (void)pthread_cond_signal(&put->wake);
}

static int connect_all(struct cli_put *put, struct ou_error *err)
{
    const struct cli_options *o = &put->session.options;
    struct xfer_engine_config config = {
        .workers = (unsigned)cli_number(o, CLI_OPT_CONNECTIONS),
        .threads = (unsigned)cli_number(o, CLI_OPT_THREADS),
    };
    int r = cli_session_connect(&put->session, err);

    if (r == 0)
        r = cli_interrupt_new(on_signal, put, &put->interrupt, err);
    if (r < 0)
        return r;
    config.client = put->session.client;
    return xfer_engine_new(&config, &put->engine, err);
}

static void put_fini(struct cli_put *put)
{
    xfer_engine_free(put->engine);
    cli_interrupt_free(put->interrupt);
    cli_session_fini(&put->session);
    cli_put_args_fini(&put->args);
    free(put->storage_class);
    free(put->sse);
    free(put->sse_key_id);
    free(put->registry);
    (void)pthread_cond_destroy(&put->wake);
    ou_mutex_fini(&put->lock);
}

int cli_put(int argc, char **argv)
{
    ou_auto(put_fini) struct cli_put put = {0};
    struct ou_error err = OU_ERROR_INIT;
    int r, status;

    ou_mutex_init(&put.lock, OU_RANK_CLI);
    ou_cond_init(&put.wake);
    r = cli_put_args_parse(&put.args, argc, argv, &put.session.options, &err);
    if (r > 0) {
        (void)fputs(cli_put_usage, stdout);
        return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    if (r == 0)
        r = check_all(&put, &err);
    if (r < 0) {
        cli_say(&err);
        return r == -EINVAL ? CLI_EXIT_USAGE : EXIT_FAILURE;
    }
    r = connect_all(&put, &err);
    if (r < 0) {
        cli_say(&err);
        return EXIT_FAILURE;
    }
    status = cli_put_run(&put);
    if (fflush(stdout) != 0 && status == EXIT_SUCCESS)
        status = EXIT_FAILURE;
    return status;
}

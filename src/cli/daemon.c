/*
 * The parts of a running mount and who tells whom:
 *
 *   signals thread   SIGHUP → reload; SIGTERM, SIGINT → unmount, the second time → stop draining
 *   control thread   status, sync, reload, handover (answer.h)
 *   FUSE threads     inside fs_run()
 *
 * `phase` is the only thing they share; .lock guards it.
 */
#include "cli/daemon.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/text.h"
#include "cli/answer.h"
#include "cli/control.h"
#include "fs/fs.h"
#include "oss/ops.h"
#include "spool/spool.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum phase { MOUNTED, DRAINING };

struct cli_daemon {
    struct cli_session *session; /* borrowed; the client inside is thread-safe */
    char *mountpoint;            /* constant */
    struct spool *spool;         /* constant between start and free */
    struct fs *fs;
    struct cli_control *control;
    struct cli_answering answering; /* constant once the control socket is there */
    struct ou_cancel *drain_cancel; /* triggered: stop draining */
    pthread_t signals;
    bool signals_started;
    struct ou_mutex lock; /* rank OU_RANK_CLI */
    struct {
        enum phase phase;
        bool ending; /* the signals thread is to return */
    } locked;        /* only while .lock is held */
};

static enum phase phase_of(struct cli_daemon *d)
{
    ou_lock_scope(&d->lock);
    return d->locked.phase;
}

static void reload(struct cli_daemon *d)
{
    struct ou_error err;

    if (oss_cred_reload(d->session->chain, &err) < 0)
        ou_log_warn(OU_LOG_CLI, &err, "credentials are not reloaded");
    spool_reload(d->spool);
    ou_log_info(OU_LOG_CLI, "reloaded credentials=\"%s\"", oss_cred_describe(d->session->chain));
}

static void end_or_stop(struct cli_daemon *d)
{
    if (phase_of(d) == MOUNTED)
        fs_stop(d->fs);
    else
        ou_cancel_trigger(d->drain_cancel);
}

static void handled_signals(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGHUP);
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGINT);
    (void)sigaddset(set, SIGUSR1); /* from ourselves: the thread is to end */
}

static void *watch_signals(void *arg)
{
    struct cli_daemon *d = arg;
    sigset_t set;
    int number;

    handled_signals(&set);
    for (;;) {
        if (sigwait(&set, &number) != 0)
            continue;
        if (number == SIGHUP) {
            reload(d);
            continue;
        }
        {
            ou_lock_scope(&d->lock);
            if (d->locked.ending)
                return NULL;
        }
        if (number != SIGUSR1)
            end_or_stop(d);
    }
}

static bool is_mounted(void *ctx)
{
    return phase_of(ctx) == MOUNTED;
}

static void do_reload(void *ctx)
{
    reload(ctx);
}

static void stop_draining(void *ctx)
{
    struct cli_daemon *d = ctx;

    ou_cancel_trigger(d->drain_cancel);
}

enum handover {
    GRANTED, /* it was only draining, and lets go */
    REFUSED,
    SILENT /* nobody answers: it is about to end, or to begin */
};

static enum handover ask_for_handover(const struct spool_config *config)
{
    ou_autofree char *dir = spool_bucket_dir(config);
    ou_autofree char *path = NULL;
    ou_auto(ou_buf_fini) struct ou_buf text = {0};
    ou_auto(ou_json_free_at) struct ou_json *reply = NULL;
    struct ou_error err;

    if (!dir || asprintf(&path, "%s/%s", dir, CLI_CONTROL_NAME) < 0) {
        path = NULL;
        return REFUSED;
    }
    if (cli_control_call(path, "{\"command\":\"handover\"}", &text, &reply, &err) < 0)
        return SILENT;
    return ou_json_string(reply, "error") ? REFUSED : GRANTED;
}

static int take_spool(struct cli_daemon *d, struct ou_error *err)
{
    ou_autofree char *dir = cli_spool_dir(&d->session->options);
    const uint64_t patience_ms = 15000, deadline = ou_now_ms() + patience_ms;
    struct spool_config config;
    enum handover answer = SILENT;
    int r;

    if (!dir)
        return ou_error_set(err, ENOMEM, "spool");
    r = ou_mkdirs(dir, 0700, err);
    if (r < 0)
        return ou_error_prefix(err, "spool %s (-o spool= names another place)", dir);
    cli_spool_config(d->session, dir, &config);
    for (;;) {
        r = spool_open(&config, fs_spool_events(), &d->fs, &d->spool, err);
        if (r != -EBUSY)
            return r;
        if (answer == SILENT)
            answer = ask_for_handover(&config);
        if (answer == REFUSED)
            return r;
        if (ou_now_ms() > deadline)
            return ou_error_say(err, EBUSY,
                                "the daemon that had the spool %s has not ended yet: try again in "
                                "a while",
                                dir);
        (void)poll(NULL, 0, 20); /* it finishes its requests and syncs its files */
    }
}

static int build_fs(struct cli_daemon *d, struct ou_error *err)
{
    const struct cli_options *o = &d->session->options;
    ou_autofree char *name = NULL;
    struct fs_config config = {
        .client = d->session->client,
        .spool = d->spool,
        .prefix = d->session->prefix,
        .attr_timeout_ms = cli_number(o, CLI_OPT_ATTR_TIMEOUT),
        .force_uid = cli_given(o, CLI_OPT_UID),
        .force_gid = cli_given(o, CLI_OPT_GID),
        .read_only = cli_flag(o, CLI_OPT_RO),
        .allow_other = cli_flag(o, CLI_OPT_ALLOW_OTHER),
        .default_permissions = cli_flag(o, CLI_OPT_DEFAULT_PERMISSIONS),
        .attrs_from_list = cli_choice_is(o, CLI_OPT_ATTRS, "list"),
        .close = cli_choice_is(o, CLI_OPT_CLOSE, "upload") ? FS_COMPLETE_UPLOAD : FS_COMPLETE_SPOOL,
        .fsync = cli_choice_is(o, CLI_OPT_FSYNC, "upload") ? FS_COMPLETE_UPLOAD : FS_COMPLETE_SPOOL,
        .inodes_max = (size_t)cli_number(o, CLI_OPT_INODES),
        .attrs_max = (size_t)cli_number(o, CLI_OPT_ATTRIBUTES),
        .request_timeout_ms = cli_number(o, CLI_OPT_REQUEST_TIMEOUT),
    };
    struct spool_config spool_config;
    int r;

    cli_spool_config(d->session, "", &spool_config);
    config.defaults = spool_config.defaults;
    if (asprintf(&name, "%s%s%s", d->session->bucket, d->session->prefix[0] ? ":" : "",
                 d->session->prefix) < 0) {
        name = NULL;
        return ou_error_set(err, ENOMEM, "mount");
    }
    config.fsname = name;
    r = fs_new(&config, &d->fs, err);
    if (r < 0)
        return r;
    return fs_mount(d->fs, d->mountpoint, cli_flag(o, CLI_OPT_NOEXEC) ? "noexec" : NULL, err);
}

static int start_control(struct cli_daemon *d, struct ou_error *err)
{
    ou_autofree char *path = NULL;
    int r;

    d->answering = (struct cli_answering){
        .session = d->session,
        .spool = d->spool,
        .fs = d->fs,
        .mountpoint = d->mountpoint,
        .started_ms = ou_now_ms(),
        .is_mounted = is_mounted,
        .reload = do_reload,
        .stop_draining = stop_draining,
        .ctx = d,
    };
    r = cli_control_start(spool_dir(d->spool), cli_answer, &d->answering, &d->control, err);
    if (r < 0)
        return r;
    if (asprintf(&path, "%s/%s", spool_dir(d->spool), CLI_CONTROL_NAME) < 0) {
        path = NULL;
        return ou_error_set(err, ENOMEM, "control socket");
    }
    fs_set_control_path(d->fs, path);
    return 0;
}

/* Each file that a program has open takes some; 1024, a login's usual limit, is soon used up. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

int cli_daemon_start(struct cli_session *session, const char *mountpoint,
                     struct cli_daemon **daemon, struct ou_error *err)
{
    struct cli_daemon *d = calloc(1, sizeof(*d));
    sigset_t set;
    int r;

    if (!d)
        return ou_error_set(err, ENOMEM, "daemon");
    ou_mutex_init(&d->lock, OU_RANK_CLI);
    d->session = session;
    d->mountpoint = strdup(mountpoint);
    d->drain_cancel = ou_cancel_new();
    handled_signals(&set);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL); /* the signals thread takes them */
    raise_descriptor_limit();

    r = d->mountpoint && d->drain_cancel ? 0 : ou_error_set(err, ENOMEM, "daemon");
    if (r == 0)
        r = cli_session_connect(session, err);
    if (r == 0)
        r = cli_session_probe(session, err);
    if (r == 0)
        r = take_spool(d, err);
    if (r == 0)
        r = build_fs(d, err);
    if (r == 0)
        r = start_control(d, err);
    if (r == 0)
        r = ou_thread_start(&d->signals, "signals", watch_signals, d, err);
    if (r < 0) {
        cli_daemon_free(d);
        return r;
    }
    d->signals_started = true;
    spool_start(d->spool);
    ou_log_info(OU_LOG_CLI, "mounted bucket=%s prefix=\"%s\" mountpoint=%s spool=%s",
                session->bucket, session->prefix, mountpoint, spool_dir(d->spool));
    *daemon = d;
    return 0;
}

static void drain(struct cli_daemon *d)
{
    const char *how = cli_text(&d->session->options, CLI_OPT_DRAIN);
    struct spool_pending pending;
    uint64_t ms = 0;
    struct ou_error err;

    if (strcmp(how, "no") == 0)
        return;
    if (strcmp(how, "wait") != 0 && ou_parse_duration(how, &ms, &err) < 0)
        return;
    if (spool_sync(d->spool, "", ms ? ou_now_ms() + ms : 0, d->drain_cancel, &err) == 0)
        return;
    spool_pending(d->spool, "", &pending);
    ou_log_warn(OU_LOG_CLI, &err,
                "ending with %" PRIu64 " files in the spool; the next mount goes on with them",
                pending.files);
}

int cli_daemon_run(struct cli_daemon *d, struct ou_error *err)
{
    int r = fs_run(d->fs, 0, err);

    {
        ou_lock_scope(&d->lock);
        d->locked.phase = DRAINING;
    }
    ou_log_info(OU_LOG_CLI, "unmounted mountpoint=%s", d->mountpoint);
    drain(d);
    return r;
}

void cli_daemon_free(struct cli_daemon *d)
{
    if (!d)
        return;
    cli_control_stop(d->control);
    if (d->signals_started) {
        {
            ou_lock_scope(&d->lock);
            d->locked.ending = true;
        }
        (void)pthread_kill(d->signals, SIGUSR1);
        (void)pthread_join(d->signals, NULL);
    }
    if (d->fs)
        fs_free(d->fs);
    if (d->spool)
        spool_close(d->spool);
    ou_cancel_unref(d->drain_cancel);
    ou_mutex_fini(&d->lock);
    free(d->mountpoint);
    free(d);
}

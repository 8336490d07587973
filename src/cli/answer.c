/*
 * The answers. What the keys of `status` mean stands in packaging/man/ossfs-up.1: programs read them.
 */
#include "cli/answer.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static void answer_error(struct ou_buf *reply, const struct ou_error *err)
{
    ou_buf_addf(reply, "{\"errno\":%d,\"error\":", err->errnum);
    ou_json_quote(reply, err->message);
    ou_buf_adds(reply, "}");
}

static void put_credentials(struct oss_cred_chain *chain, struct ou_buf *reply)
{
    struct oss_cred_status status;

    oss_cred_status(chain, &status);
    ou_buf_adds(reply, "\"credentials\":{\"source\":");
    ou_json_quote(reply, status.source);
    ou_buf_addf(reply,
                ",\"fetched\":%" PRId64 ",\"expires\":%" PRId64
                ",\"refreshing\":%s,\"failures\":%u,"
                "\"error\":",
                (int64_t)status.fetched, (int64_t)status.expires,
                status.refreshing ? "true" : "false", status.failures);
    ou_json_quote(reply, status.last_error.errnum ? status.last_error.message : "");
    ou_buf_adds(reply, ",\"code\":");
    ou_json_quote(reply, status.last_error.errnum ? status.last_error.code : "");
    ou_buf_adds(reply, "}");
}

static void answer_status(const struct cli_answering *d, struct ou_buf *reply)
{
    struct oss_client_stats stats;
    struct oss_client *client = d->session->client;

    oss_client_stats(client, &stats);
    ou_buf_adds(reply, "{\"version\":");
    ou_json_quote(reply, OSSUP_VERSION);
    ou_buf_adds(reply, ",\"mountpoint\":");
    ou_json_quote(reply, d->mountpoint);
    ou_buf_addf(reply, ",\"state\":\"%s\",\"pid\":%d,\"uptime_s\":%" PRIu64,
                d->is_mounted(d->ctx) ? "mounted" : "draining", (int)getpid(),
                (ou_now_ms() - d->started_ms) / 1000);
    ou_buf_adds(reply, ",\"bucket\":");
    ou_json_quote(reply, d->session->bucket);
    ou_buf_adds(reply, ",\"prefix\":");
    ou_json_quote(reply, d->session->prefix);
    ou_buf_adds(reply, ",\"endpoint\":");
    ou_json_quote(reply, oss_client_endpoint(client));
    ou_buf_adds(reply, ",");
    put_credentials(d->session->chain, reply);
    ou_buf_addf(reply,
                ",\"requests\":{\"sent\":%" PRIu64 ",\"retried\":%" PRIu64 ",\"throttled\":%" PRIu64
                ",\"bytes_up\":%" PRIu64 ",\"bytes_down\":%" PRIu64
                ",\"in_flight\":%u,\"connections_allowed\":%u,\"clock_offset_s\":%" PRId64 "},",
                stats.requests, stats.retries, stats.throttled, stats.bytes_up, stats.bytes_down,
                stats.in_flight, stats.connections_allowed, stats.clock_offset_s);
    spool_status(d->spool, reply);
    ou_buf_adds(reply, ",");
    fs_status(d->fs, reply);
    ou_buf_adds(reply, "}");
}

/* @path is relative to the mountpoint; "" is all of it. */
static void answer_sync(const struct cli_answering *d, const struct ou_json *request,
                        struct ou_cancel *cancel, struct ou_buf *reply)
{
    const char *path = ou_json_string(request, "path");
    ou_auto(ou_buf_fini) struct ou_buf key = {0};
    struct spool_pending pending;
    uint64_t timeout_ms = 0;
    struct ou_error err;
    int r;

    ou_buf_adds(&key, d->session->prefix);
    ou_buf_adds(&key, path ? path : "");
    (void)ou_json_u64(request, "timeout_ms", &timeout_ms);
    r = ou_buf_check(&key, &err);
    if (r == 0)
        r = spool_sync(d->spool, ou_buf_str(&key), timeout_ms ? ou_now_ms() + timeout_ms : 0,
                       cancel, &err);
    if (r < 0) {
        answer_error(reply, &err);
        return;
    }
    spool_pending(d->spool, ou_buf_str(&key), &pending);
    ou_buf_addf(reply, "{\"pending\":%" PRIu64 "}", pending.files + pending.deletes);
}

static void answer_handover(const struct cli_answering *d, struct ou_buf *reply)
{
    struct ou_error err;

    if (d->is_mounted(d->ctx)) {
        (void)ou_error_say(&err, EBUSY, "process %d has this bucket mounted on %s", (int)getpid(),
                           d->mountpoint);
        answer_error(reply, &err);
        return;
    }
    ou_log_info(OU_LOG_CLI, "handing over to a new mount");
    d->stop_draining(d->ctx);
    ou_buf_addf(reply, "{\"pid\":%d}", (int)getpid());
}

static void answer_reload(const struct cli_answering *d, struct ou_buf *reply)
{
    struct oss_cred_status status;

    d->reload(d->ctx);
    oss_cred_status(d->session->chain, &status);
    if (status.failures > 0)
        answer_error(reply, &status.last_error);
    else
        ou_buf_adds(reply, "{}");
}

void cli_answer(void *ctx, const struct ou_json *request, struct ou_cancel *cancel,
                struct ou_buf *reply)
{
    const struct cli_answering *d = ctx;
    const char *command = ou_json_string(request, "command");
    struct ou_error err;

    if (command && strcmp(command, "status") == 0) {
        answer_status(d, reply);
    } else if (command && strcmp(command, "sync") == 0) {
        answer_sync(d, request, cancel, reply);
    } else if (command && strcmp(command, "handover") == 0) {
        answer_handover(d, reply);
    } else if (command && strcmp(command, "reload") == 0) {
        answer_reload(d, reply);
    } else {
        (void)ou_error_say(&err, EINVAL, "no command is called %s", command ? command : "nothing");
        answer_error(reply, &err);
    }
}

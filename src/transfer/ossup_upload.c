/*
 * One call, one upload, one engine. The engine's threads note progress and the end and raise an
 * eventfd; the calling thread sleeps in poll(2) on it and on the cancel's, and does the talking.
 *
 * No request is made on the calling thread but the abort of an upload that does not fit any more;
 * a SIGPIPE of that one is kept from the program (all other threads block it).
 */
#include "transfer/ossup_internal.h"

#include "base/cleanup.h"
#include "transfer/file_upload.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RANK_CALL (OU_RANK_XFER + 11)

struct call {
    /* Constant while the upload runs. */
    struct ossup_upload upload;
    struct oss_object_headers headers;
    struct oss_meta *meta;
    struct xfer_engine *engine;
    struct xfer_file *file;
    int news; /* eventfd */

    struct ou_mutex lock; /* rank RANK_CALL */
    struct {
        struct ossup_progress progress;
        bool ended;
        struct xfer_result result;
        struct ou_error err; /* errnum 0: it went well, if ended */
    } locked;
};

/* -- what the caller wants -- */

static bool is_printable(const char *s)
{
    for (; s && *s; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f)
            return false;
    return true;
}

static int take_meta(struct call *c, struct ou_error *err)
{
    const struct ossup_upload *u = &c->upload;

    c->meta = calloc(u->meta_count + 1, sizeof(*c->meta));
    if (!c->meta)
        return ou_error_set(err, ENOMEM, "metadata");
    for (size_t i = 0; i < u->meta_count; i++) {
        const char *name = u->meta[i].name, *value = u->meta[i].value;

        if (!name || !*name || name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_")])
            return ou_error_say(err, EINVAL,
                                "metadata name \"%.64s\": it takes a-z, 0-9, \"-\" and \"_\"",
                                name ? name : "");
        if (!value || !is_printable(value))
            return ou_error_say(err, EINVAL, "metadata %.64s: its value is not printable", name);
        c->meta[i] = (struct oss_meta){.name = name, .value = value};
    }
    return 0;
}

static int take_upload(struct call *c, const struct ossup_upload *from, struct ou_error *err)
{
    struct ossup_upload *u = &c->upload;
    int r = ossup_take_struct(u, sizeof(*u), from, "ossup_upload", err);

    if (r < 0)
        return r;
    if (!u->bucket || !u->key || !u->file)
        return ou_error_say(err, EINVAL, "ossup_upload: bucket, key and file must be set");
    if (u->threads > OSSUP_THREADS_MAX)
        return ou_error_say(err, EINVAL, "threads %u: it takes 1 to %u", u->threads,
                            OSSUP_THREADS_MAX);
    if (!is_printable(u->content_type) || !is_printable(u->cache_control) ||
        !is_printable(u->content_disposition) || !is_printable(u->content_encoding))
        return ou_error_say(err, EINVAL, "ossup_upload: a header's value is not printable");
    r = take_meta(c, err);
    c->headers = (struct oss_object_headers){
        .content_type = u->content_type,
        .cache_control = u->cache_control,
        .content_disposition = u->content_disposition,
        .content_encoding = u->content_encoding,
        .meta = c->meta,
        .meta_count = u->meta_count,
        .storage_class = u->storage_class,
        .forbid_overwrite = u->forbid_overwrite != 0,
    };
    return r;
}

/* -- the engine's threads -- */

static void raise_news(const struct call *c)
{
    const uint64_t one = 1;

    (void)!write(c->news, &one, sizeof(one)); /* full means raised already */
}

static void on_progress(void *ctx, const struct xfer_file_progress *progress)
{
    struct call *c = ctx;

    ou_lock_scope(&c->lock);
    c->locked.progress.bytes_total = progress->total;
    c->locked.progress.parts_resumed = progress->parts_resumed;
    if (progress->confirmed > c->locked.progress.bytes_confirmed)
        c->locked.progress.bytes_confirmed = progress->confirmed;
    raise_news(c);
}

static void on_done(void *ctx, const struct xfer_result *result, const struct ou_error *err)
{
    struct call *c = ctx;

    ou_lock_scope(&c->lock);
    c->locked.ended = true;
    c->locked.result = *result;
    if (err)
        c->locked.err = *err;
    raise_news(c);
}

static const struct xfer_file_ops file_ops = {.progress = on_progress, .done = on_done};

/* -- the calling thread -- */

/* Return: the signal mask of before; @was_pending: a SIGPIPE was waiting already. */
static sigset_t hold_sigpipe(bool *was_pending)
{
    sigset_t pipe, pending, old;

    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    (void)sigemptyset(&pending);
    (void)sigpending(&pending);
    *was_pending = sigismember(&pending, SIGPIPE) == 1;
    (void)pthread_sigmask(SIG_BLOCK, &pipe, &old);
    return old;
}

static void release_sigpipe(const sigset_t *old, bool was_pending)
{
    const struct timespec now = {0};
    sigset_t pipe;

    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    while (!was_pending && sigtimedwait(&pipe, NULL, &now) < 0 && errno == EINTR)
        ;
    (void)pthread_sigmask(SIG_SETMASK, old, NULL);
}

static int start(struct call *c, struct ossup_client *client, struct ou_error *err)
{
    unsigned threads = c->upload.threads ? c->upload.threads : OSSUP_THREADS_DEFAULT;
    struct xfer_engine_config config = {.workers = threads, .threads = threads};
    struct xfer_file_spec spec = {
        .path = c->upload.file,
        .fd = -1,
        .key = c->upload.key,
        .part_size = c->upload.part_size,
        .checkpoint_dir = c->upload.checkpoint_dir,
        .headers = &c->headers,
        .deadline_ms = client->patience_ms,
        .ops = &file_ops,
        .ctx = c,
    };
    bool was_pending;
    sigset_t mask;
    int r =
        ossup_bucket_client(client, c->upload.bucket, c->upload.traffic_limit, &config.client, err);

    if (r == 0)
        r = xfer_engine_new(&config, &c->engine, err);
    if (r < 0)
        return r;
    spec.engine = c->engine;
    spec.client = config.client;
    mask = hold_sigpipe(&was_pending);
    r = xfer_file_start(&spec, &c->file, err);
    release_sigpipe(&mask, was_pending);
    return r;
}

/* Return: 1 it ended, 0 go on, -ECANCELED. */
static int tell_progress(struct call *c)
{
    struct ossup_progress progress;
    uint64_t count;
    bool ended;

    (void)!read(c->news, &count, sizeof(count)); /* lowered first: later news raise it again */
    ou_mutex_lock(&c->lock);
    progress = c->locked.progress;
    ended = c->locked.ended;
    ou_mutex_unlock(&c->lock);
    progress.struct_size = sizeof(progress);
    if (progress.bytes_total > 0 && c->upload.progress &&
        c->upload.progress(c->upload.progress_ctx, &progress) != 0 && !ended)
        return -ECANCELED;
    return ended;
}

/* Return: 0 it ended, -ECANCELED. */
static int wait_for_end(struct call *c, struct ou_error *err)
{
    struct pollfd fds[] = {
        {.fd = c->news, .events = POLLIN},
        {.fd = c->upload.cancel ? c->upload.cancel->fd : -1, .events = POLLIN},
    };
    int r = 0;

    while (r == 0) {
        if (poll(fds, 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            r = ou_error_set(err, errno, "wait for the upload");
        } else if (fds[1].revents) {
            r = -ECANCELED;
        } else {
            r = tell_progress(c);
        }
    }
    if (r == -ECANCELED)
        (void)ou_error_say(err, ECANCELED, "upload %.200s: canceled; its checkpoint was kept",
                           c->upload.key);
    return r < 0 ? r : 0;
}

static void give_result(struct ossup_result *result, const struct xfer_result *r)
{
    struct ossup_result full = {
        .crc64 = r->written.crc64,
        .has_crc64 = r->written.has_crc64 && r->checked,
        .bytes_sent = r->bytes_sent,
        .bytes_resumed = r->bytes_resumed,
    };

    (void)snprintf(full.etag, sizeof(full.etag), "%s", r->written.etag);
    (void)snprintf(full.request_id, sizeof(full.request_id), "%s", r->written.request_id);
    (void)snprintf(full.version_id, sizeof(full.version_id), "%s", r->written.version_id);
    ossup_give_struct(result, &full, sizeof(full));
}

static int upload(struct call *c, struct ossup_client *client, const struct ossup_upload *from,
                  struct ou_error *err)
{
    int r = take_upload(c, from, err);

    if (r < 0)
        return r;
    c->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->news < 0)
        return ou_error_set(err, errno, "upload");
    r = start(c, client, err);
    if (r < 0)
        return r;
    r = wait_for_end(c, err);
    xfer_engine_stop(c->engine);
    if (!c->locked.ended) /* no thread is left that could touch it */
        return r;
    if (c->locked.err.errnum) /* also when a cancel came at the same moment */
        *err = c->locked.err;
    return -c->locked.err.errnum;
}

int ossup_resumable_upload(struct ossup_client *client, const struct ossup_upload *from,
                           struct ossup_result *result, struct ossup_error *error)
{
    struct call c = {.news = -1};
    struct ou_error err = OU_ERROR_INIT;
    int r;

    ou_mutex_init(&c.lock, RANK_CALL);
    r = upload(&c, client, from, &err);
    if (r == 0)
        give_result(result, &c.locked.result);
    xfer_file_free(c.file);
    xfer_engine_free(c.engine);
    free(c.meta);
    if (c.news >= 0)
        (void)close(c.news);
    ou_mutex_fini(&c.lock);
    return r < 0 ? ossup_give_error(error, &err) : 0;
}

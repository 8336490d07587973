/*
 * The base's object gets another name, on the server: by one request, or where that is refused by
 * parts, which is an upload that nobody remembers (a crash leaves it to gc).
 */
#include "spool/file.h"

#include "base/cleanup.h"
#include "oss/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct copying { /* a copy by parts, awaited */
    struct ou_mutex lock;
    pthread_cond_t done;
    bool ended; /* lock */
    int result;
    struct ou_error err;
    struct oss_written written;
    struct oss_object object; /* the source: constant */
    struct spool_attr attr;
    struct spool_headers headers;
    bool has_headers;
};

static ssize_t copying_read(void *ctx, void *buf, size_t len, uint64_t offset, struct ou_error *err)
{
    (void)ctx;
    (void)buf;
    (void)len;
    (void)offset;
    return ou_error_set(err, EIO, "a copy reads nothing");
}

static int copying_headers(void *ctx, struct oss_object_headers *out, struct ou_error *err)
{
    struct copying *c = ctx;

    if (!c->has_headers) {
        int r = spool_headers_init(&c->headers, &c->attr, err);

        if (r < 0)
            return r;
        c->has_headers = true;
    }
    *out = c->headers.headers;
    return 0;
}

static int copying_may_publish(void *ctx, struct ou_error *err)
{
    (void)ctx;
    (void)err;
    return 1;
}

static void copying_done(void *ctx, const struct xfer_result *result, const struct ou_error *err)
{
    struct copying *c = ctx;

    ou_lock_scope(&c->lock);
    c->ended = true;
    c->written = result->written;
    if (err) {
        c->err = *err;
        c->result = -err->errnum;
    }
    (void)pthread_cond_broadcast(&c->done);
}

static const struct xfer_upload_ops copying_ops = {.read = copying_read,
                                                   .headers = copying_headers,
                                                   .may_publish = copying_may_publish,
                                                   .done = copying_done};

static void copying_wake(void *arg)
{
    struct copying *c = arg;

    ou_mutex_lock(&c->lock);
    (void)pthread_cond_broadcast(&c->done);
    ou_mutex_unlock(&c->lock);
}

static int copy_by_parts(struct spool *spool, const struct spool_base *from, const char *key,
                         struct copying *c, struct ou_cancel *cancel, struct ou_error *err)
{
    const struct xfer_range all = {.offset = 0, .size = from->size};
    const struct xfer_plan_input in = {.size = from->size,
                                       .part_size = spool->config.part_size,
                                       .put_threshold = 0,
                                       .base_size = from->size,
                                       .base = &all,
                                       .base_count = 1};
    ou_auto(xfer_plan_fini) struct xfer_plan plan = {0};
    struct xfer_upload_spec spec = {.key = key,
                                    .base_key = from->key,
                                    .base_etag = from->etag,
                                    .plan = &plan,
                                    .ops = &copying_ops,
                                    .ctx = c,
                                    .one_shot = true};
    struct ou_cancel_hook hook;
    struct xfer_upload *upload = NULL;
    bool told = false;
    int r = xfer_plan_make(&in, &plan, err);

    if (r == 0)
        r = xfer_upload_start(spool->engine, &spec, &upload, err);
    if (r < 0)
        return r;
    ou_cancel_attach(cancel, &hook, copying_wake, c);
    ou_mutex_lock(&c->lock);
    while (!c->ended) {
        if (ou_cancel_triggered(cancel) && !told) {
            told = true;
            xfer_upload_cancel(upload);
        }
        ou_cond_wait(&c->done, &c->lock);
    }
    ou_mutex_unlock(&c->lock);
    ou_cancel_detach(cancel, &hook);
    if (c->result < 0)
        *err = c->err;
    return c->result;
}

/* The base's object gets the new name, too; no lock is held. @to: what lies there then. */
int spool_copy_base(struct spool_file *f, const struct spool_base *from, const char *key,
                    uint64_t deadline_ms, struct ou_cancel *cancel, struct spool_base *to,
                    struct ou_error *err)
{
    struct copying c = {.err = OU_ERROR_INIT};
    struct oss_call call = {.deadline_ms = deadline_ms, .cancel = cancel};
    int r;

    r = oss_copy_object(f->spool->client, &call, from->key, from->etag, key, NULL, &c.written, err);
    if (r == -EFBIG) {
        ou_mutex_init(&c.lock, SPOOL_RANK_SLEEP);
        ou_cond_init(&c.done);
        ou_mutex_lock(&f->lock);
        r = spool_attr_copy(&c.attr, &f->s.attr, err);
        ou_mutex_unlock(&f->lock);
        if (r == 0)
            r = copy_by_parts(f->spool, from, key, &c, cancel, err);
        if (c.has_headers)
            spool_headers_fini(&c.headers);
        spool_attr_fini(&c.attr);
        (void)pthread_cond_destroy(&c.done);
        ou_mutex_fini(&c.lock);
    }
    if (r < 0)
        return r;
    *to = (struct spool_base){.present = true, .size = from->size, .key = strdup(key)};
    if (!to->key)
        return ou_error_set(err, ENOMEM, "rename to %s", key);
    memcpy(to->etag, c.written.etag, sizeof(to->etag));
    return 0;
}

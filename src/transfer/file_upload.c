/*
 * An upload's life after its start: bytes for the engine, events for the checkpoint, its end.
 *
 * The file is checked after each read and before the bytes are handed over, so the last
 * bytes of a PutObject leave only if all before them are of the same version; for a multipart upload
 * may_publish() has the last word.
 */
#include "transfer/file_upload_internal.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "transfer/engine_internal.h"
#include "transfer/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ABORT_PATIENCE_MS 10000u

int xfer_file_abort(struct xfer_file *f, const char *upload_id, struct ou_cancel *cancel,
                    struct ou_error *err)
{
    const struct oss_call call = {.deadline_ms = ou_now_ms() + ABORT_PATIENCE_MS, .cancel = cancel};

    return oss_abort_upload(f->client, &call, f->key, upload_id, err);
}

/* -- the file is not what it was -- */

static int it_changed(struct xfer_file *f, const struct ou_error *how, struct ou_error *err)
{
    ou_mutex_lock(&f->lock);
    if (!f->locked.changed.errnum)
        (void)ou_error_say(&f->locked.changed, ESTALE,
                           "%.300s while it was being uploaded; nothing was published, start the "
                           "upload again",
                           how->message);
    *err = f->locked.changed;
    ou_mutex_unlock(&f->lock);
    xfer_upload_cancel(f->upload); /* which also aborts the upload id */
    return -ECANCELED;
}

static int check(struct xfer_file *f, const char *path, struct ou_error *err)
{
    struct ou_error how = OU_ERROR_INIT;
    int r = xfer_identity_check(&f->identity, f->fd, path, f->name, &how);

    if (r == -ESTALE)
        return it_changed(f, &how, err);
    if (r < 0)
        *err = how;
    return r;
}

/* -- what the engine asks -- */

static ssize_t file_read(void *ctx, void *buf, size_t len, uint64_t offset, struct ou_error *err)
{
    struct xfer_file *f = ctx;
    ssize_t n = ou_pread_full(f->fd, buf, len, offset, err);
    int r;

    if (n < 0)
        return ou_error_prefix(err, "%s", f->name);
    atomic_fetch_add(&f->moved, (uint64_t)n);
    r = check(f, NULL, err);
    return r < 0 ? r : n;
}

static int file_headers(void *ctx, struct oss_object_headers *out, struct ou_error *err)
{
    const struct xfer_file *f = ctx;

    (void)err;
    *out = f->headers;
    return 0;
}

static int file_may_publish(void *ctx, struct ou_error *err)
{
    struct xfer_file *f = ctx;
    int r = check(f, f->path, err);

    return r < 0 ? r : 1;
}

static void note_upload_id(struct xfer_file *f, const struct xfer_event *event)
{
    const char *id = event->kind == XFER_EVENT_UPLOAD_ID ? event->upload_id : "";

    ou_lock_scope(&f->lock);
    (void)snprintf(f->locked.upload_id, sizeof(f->locked.upload_id), "%s", id);
}

static void part_is_there(struct xfer_file *f, const struct xfer_event *event)
{
    const struct xfer_file_part part = {
        .number = event->where->number,
        .count = f->part_count,
        .offset = event->where->offset,
        .size = event->where->size,
        .resumed = event->step->kind == XFER_STEP_COMPARE,
    };

    atomic_store(&f->counting, false);
    if (part.resumed)
        atomic_fetch_add(&f->parts_resumed, 1);
    if (f->drop_behind)
        (void)posix_fadvise(f->fd, (off_t)part.offset, (off_t)part.size, POSIX_FADV_DONTNEED);
    if (f->ops.part)
        f->ops.part(f->ctx, &part);
}

static int file_record(void *ctx, const struct xfer_event *event, struct ou_error *err)
{
    struct xfer_file *f = ctx;
    int r = 0;

    if (f->checkpoint.is_open)
        r = xfer_checkpoint_record(&f->checkpoint, event, err);
    if (r < 0)
        return r;
    if (event->kind == XFER_EVENT_PART)
        part_is_there(f, event);
    else if (event->kind != XFER_EVENT_PUBLISHING)
        note_upload_id(f, event);
    if (event->kind == XFER_EVENT_FORGET)
        atomic_store(&f->counting, false);
    return 0;
}

static void file_progress(void *ctx, uint64_t confirmed, uint64_t total)
{
    struct xfer_file *f = ctx;
    struct xfer_file_progress progress = {.confirmed = confirmed, .total = total};

    /* The first news of a resumed upload is what ListParts told; all parts but the last are full. */
    if (atomic_exchange(&f->counting, false))
        atomic_store(&f->parts_resumed, (size_t)((confirmed + f->part_size - 1) / f->part_size));
    progress.parts_resumed = atomic_load(&f->parts_resumed);
    if (f->ops.progress)
        f->ops.progress(f->ctx, &progress);
}

/* -- the end -- */

/* No upload id is there, nor may an Initiate without an answer have made one: nothing to go on with. */
static bool nothing_was_begun(struct xfer_file *f)
{
    bool has_id, may_have_id;

    ou_mutex_lock(&f->lock);
    has_id = f->locked.upload_id[0] != '\0';
    ou_mutex_unlock(&f->lock);
    if (!f->upload)
        return !has_id;
    ou_mutex_lock(&f->upload->engine->lock);
    may_have_id = f->upload->find;
    ou_mutex_unlock(&f->upload->engine->lock);
    return !has_id && !may_have_id;
}

static void leave_nothing(struct xfer_file *f)
{
    struct ou_error err = OU_ERROR_INIT;
    char upload_id[OSS_UPLOAD_ID_SIZE];

    ou_mutex_lock(&f->lock);
    (void)snprintf(upload_id, sizeof(upload_id), "%s", f->locked.upload_id);
    f->locked.upload_id[0] = '\0';
    ou_mutex_unlock(&f->lock);
    if (upload_id[0] && xfer_file_abort(f, upload_id, NULL, &err) < 0)
        ou_log_warn(OU_LOG_XFER, &err, "unfinished upload is left behind key=%s upload_id=%s",
                    f->key, upload_id);
}

static int find_place(struct xfer_file *f, const struct xfer_file_spec *spec, struct ou_error *err)
{
    ou_autofree char *dir = spec->checkpoint_dir ? realpath(spec->checkpoint_dir, NULL) : NULL;
    int r;

    if (spec->checkpoint_dir && !dir)
        return ou_error_set(err, errno, "%s", spec->checkpoint_dir);
    if (dir)
        r = asprintf(&f->place, "%s/%s", dir, f->checkpoint.name);
    else
        r = asprintf(&f->place, "%.*s/%s", (int)(strrchr(f->path, '/') - f->path), f->path,
                     f->checkpoint.name);
    if (r < 0)
        f->place = NULL;
    f->registry = strdup(spec->registry);
    return f->place && f->registry ? 0 : ou_error_set(err, ENOMEM, "%s", f->name);
}

/* A home that cannot be written to is no reason not to upload: gc goes by the age, too. */
void xfer_file_note_checkpoint(struct xfer_file *f, const struct xfer_file_spec *spec)
{
    struct ou_error err = OU_ERROR_INIT;

    if (!spec->registry || f->place)
        return;
    if (find_place(f, spec, &err) < 0 || xfer_registry_add(f->registry, f->place, &err) < 0)
        ou_log_info(OU_LOG_XFER, "gc will not know of this upload file=%s error=\"%s\"", f->name,
                    err.message);
}

int xfer_file_remove_checkpoint(struct xfer_file *f, struct ou_error *err)
{
    int r = xfer_checkpoint_remove(&f->checkpoint, err);

    if (r == 0 && f->place && f->registry)
        xfer_registry_remove(f->registry, f->place);
    return r;
}

static void remove_checkpoint(struct xfer_file *f)
{
    struct ou_error err = OU_ERROR_INIT;

    if (xfer_file_remove_checkpoint(f, &err) < 0)
        ou_log_warn(OU_LOG_XFER, &err, "checkpoint is left behind file=%s", f->name);
}

static void file_done(void *ctx, const struct xfer_result *result, const struct ou_error *error)
{
    struct xfer_file *f = ctx;
    struct ou_error err = OU_ERROR_INIT;
    struct xfer_file_ops ops = f->ops;
    bool gone = !error;

    ou_mutex_lock(&f->lock);
    f->locked.ended = true;
    if (error)
        err = f->locked.changed.errnum ? f->locked.changed : *error;
    if (!error || (error->errnum == ECANCELED && !result->upload_left)) {
        f->locked.upload_id[0] = '\0';
        gone = true;
    }
    ou_mutex_unlock(&f->lock);
    if (gone || nothing_was_begun(f))
        remove_checkpoint(f);
    else if (!f->checkpoint.is_open)
        leave_nothing(f);
    ops.done(f->ctx, result, error ? &err : NULL); /* last: it may free f */
}

const struct xfer_upload_ops xfer_file_upload_ops = {
    .read = file_read,
    .headers = file_headers,
    .record = file_record,
    .may_publish = file_may_publish,
    .done = file_done,
    .progress = file_progress,
};

/* -- the rest of file_upload.h -- */

uint64_t xfer_file_size(const struct xfer_file *f)
{
    return f->identity.size;
}

uint64_t xfer_file_moved(const struct xfer_file *f)
{
    return atomic_load(&f->moved);
}

bool xfer_file_has_checkpoint(const struct xfer_file *f)
{
    return f->path && f->multipart;
}

void xfer_file_free(struct xfer_file *f)
{
    if (!f)
        return;
    if (f->started && !f->locked.ended) { /* the engine was stopped, or would not begin */
        if (!f->checkpoint.is_open)
            leave_nothing(f);
        else if (nothing_was_begun(f))
            remove_checkpoint(f);
    }
    xfer_checkpoint_close(&f->checkpoint);
    if (f->fd >= 0)
        (void)close(f->fd);
    if (f->dirfd >= 0)
        (void)close(f->dirfd);
    ou_mutex_fini(&f->lock);
    free(f->key);
    free(f->name);
    free(f->path);
    free(f->registry);
    free(f->place);
    free(f);
}

/*
 * The beginning of a file upload: what is this file, what did an earlier run leave of it, and what
 * is to be sent.
 *
 *   no checkpoint, small file     PutObject
 *   no checkpoint                 header, then the engine begins
 *   checkpoint fits               the engine goes on with it
 *   checkpoint does not fit       its upload id is aborted; as if there were none
 *   checkpoint of somebody else   refused, left alone
 *
 * When only the ctime is another, the bytes may be others too: the upload id is kept, and what the
 * server has is compared with the local bytes instead of with the record.
 */
#include "transfer/file_upload_internal.h"

#include "base/cleanup.h"
#include "base/crc64.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RANK_FILE        (OU_RANK_XFER + 20)
#define DROP_BEHIND_FROM (UINT64_C(64) << 20) /* bytes; smaller files do not push others out */

/* -- the file -- */

static int copy_string(char **to, const char *from, struct ou_error *err)
{
    *to = strdup(from);
    return *to ? 0 : ou_error_set(err, ENOMEM, "upload %s", from);
}

static int open_file(struct xfer_file *f, const struct xfer_file_spec *spec, struct ou_error *err)
{
    int r;

    if (spec->path) {
        /* Not blocking: opening a FIFO must end, so that it can be refused. */
        f->fd = open(spec->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (f->fd < 0)
            return ou_error_set(err, errno, "%s", spec->path);
        f->path = realpath(spec->path, NULL);
        if (!f->path)
            return ou_error_set(err, errno, "%s", spec->path);
    }
    r = xfer_identity_take(f->fd, f->name, &f->identity, err);
    if (r < 0)
        return r;
    f->drop_behind = f->identity.size >= DROP_BEHIND_FROM;
    (void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return 0;
}

/* -- headers, as one number -- */

static uint64_t sum_string(uint64_t sum, const char *s)
{
    return s ? ou_crc64(sum, s, strlen(s) + 1) : ou_crc64(sum, "\1", 1);
}

static uint64_t sum_headers(const struct oss_object_headers *h)
{
    const char *const fixed[] = {
        h->content_type,  h->cache_control, h->content_disposition, h->content_encoding, h->expires,
        h->storage_class, h->sse,           h->sse_key_id};
    uint64_t sum = 0;

    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        sum = sum_string(sum, fixed[i]);
    for (size_t i = 0; i < h->meta_count; i++)
        sum = sum_string(sum_string(sum, h->meta[i].name), h->meta[i].value);
    return sum;
}

/* -- the plan -- */

static int make_plan(const struct xfer_file *f, uint64_t part_size, struct xfer_plan *plan,
                     struct ou_error *err)
{
    const struct xfer_plan_input in = {
        .size = f->identity.size, .part_size = part_size, .put_threshold = part_size};

    return xfer_plan_make(&in, plan, err);
}

/* -- the checkpoint -- */

static void header_of(const struct xfer_file *f, struct xfer_checkpoint_header *h)
{
    *h = (struct xfer_checkpoint_header){
        .bucket = oss_client_bucket(f->client),
        .key = f->key,
        .endpoint = oss_client_endpoint(f->client),
        .path = f->path,
        .identity = f->identity,
        .part_size = f->part_size,
        .headers = sum_headers(&f->headers),
    };
}

static int open_directory(struct xfer_file *f, const struct xfer_file_spec *spec,
                          struct ou_error *err)
{
    size_t len = (size_t)(strrchr(f->path, '/') - f->path);
    const char *dir = spec->checkpoint_dir;
    char parent[PATH_MAX];

    if (!dir) {
        (void)snprintf(parent, sizeof(parent), "%.*s", len > 0 ? (int)len : 1, f->path);
        dir = parent;
    }
    f->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return f->dirfd < 0 ? ou_error_set(err, errno, "checkpoint directory %s", dir) : 0;
}

/* Return: 1 there is one, and it is open; 0 there is none; negative errno. */
static int open_checkpoint(struct xfer_file *f, bool create, struct ou_error *err)
{
    struct xfer_checkpoint_header header;
    struct ou_error why = OU_ERROR_INIT;
    char name[NAME_MAX + 1];
    int r;

    header_of(f, &header);
    xfer_checkpoint_name(&header, name);
    r = xfer_checkpoint_open(&f->checkpoint, f->dirfd, name, create, &why);
    if (r == -ENOENT && !create)
        return 0;
    if (r < 0) {
        *err = why;
        return r;
    }
    if (f->checkpoint.state.has_header && !f->checkpoint.state.damaged &&
        !xfer_checkpoint_same_target(&f->checkpoint.state, &header)) {
        xfer_checkpoint_close(&f->checkpoint);
        return ou_error_say(err, EEXIST,
                            "checkpoint %s records another upload than its name says: remove it, "
                            "or name another checkpoint directory",
                            name);
    }
    return 1;
}

/* What an earlier run left is of no use. If it cannot be aborted for good, it is left to gc. */
static int give_up_old(struct xfer_file *f, const char *why, struct ou_cancel *cancel,
                       struct ou_error *err)
{
    const char *upload_id = f->checkpoint.state.upload_id;
    int r;

    if (!upload_id[0])
        return 0;
    ou_log_info(OU_LOG_XFER, "upload begins anew (%s) key=%s old_upload_id=%s", why, f->key,
                upload_id);
    r = xfer_file_abort(f, upload_id, cancel, err);
    if (r == 0)
        return 0;
    if (r == -EINTR || oss_error_verdict(err) != OSS_FINAL)
        return ou_error_prefix(err, "abort the upload that an earlier run began");
    ou_log_warn(OU_LOG_XFER, err, "unfinished upload is left behind key=%s upload_id=%s", f->key,
                upload_id);
    return 0;
}

static int need_checkpoint(struct xfer_file *f, const struct xfer_file_spec *spec,
                           struct ou_error *err)
{
    int r = 0;

    if (f->checkpoint.is_open)
        return 0;
    if (f->dirfd < 0)
        r = open_directory(f, spec, err);
    if (r == 0)
        r = open_checkpoint(f, true, err);
    if (r < 0 && !spec->checkpoint_dir && (r == -EACCES || r == -EROFS || r == -EPERM))
        return ou_error_prefix(err,
                               "%s: no record of the upload can be kept beside the file, name "
                               "a checkpoint directory",
                               f->name);
    return r < 0 ? r : 0;
}

static void resume_from(const struct xfer_file *f, struct xfer_resume *resume)
{
    const struct xfer_checkpoint_state *s = &f->checkpoint.state;

    *resume = (struct xfer_resume){
        .upload_id = s->upload_id[0] ? s->upload_id : NULL,
        .initiating = s->initiating,
        .publishing = s->publishing,
        .initiated = s->initiated,
    };
    if (s->header.identity.ctime_ns != f->identity.ctime_ns)
        return;
    resume->parts = s->parts;
    resume->where = s->where;
    resume->part_count = s->part_count;
}

/* Makes checkpoint and resume fit the plan. */
static int prepare(struct xfer_file *f, const struct xfer_file_spec *spec,
                   struct xfer_resume *resume, struct ou_error *err)
{
    struct xfer_checkpoint_header header;
    const char *why = "it is small now";
    int r;

    header_of(f, &header);
    if (f->multipart) {
        r = need_checkpoint(f, spec, err);
        if (r < 0)
            return r;
        xfer_file_note_checkpoint(f, spec);
        why = xfer_checkpoint_differs(&f->checkpoint.state, &header);
        if (!why) {
            resume_from(f, resume);
            return 0;
        }
    }
    r = f->checkpoint.is_open ? give_up_old(f, why, spec->cancel, err) : 0;
    if (r < 0)
        return r;
    if (!f->multipart)
        return xfer_file_remove_checkpoint(f, err);
    return xfer_checkpoint_begin(&f->checkpoint, &header, err);
}

/* -- all together -- */

static int fill(struct xfer_file *f, const struct xfer_file_spec *spec, struct ou_error *err)
{
    int r = copy_string(&f->key, spec->key, err);

    if (r == 0)
        r = copy_string(&f->name, spec->path ? spec->path : "standard input", err);
    if (r == 0)
        r = open_file(f, spec, err);
    return r;
}

static uint64_t wanted_part_size(const struct xfer_file *f, const struct xfer_file_spec *spec)
{
    const struct xfer_checkpoint_state *s = &f->checkpoint.state;

    if (spec->part_size)
        return spec->part_size;
    if (f->checkpoint.is_open && s->has_header && !s->damaged)
        return s->header.part_size;
    return XFER_PART_SIZE_DEFAULT;
}

static void remember_resumed(struct xfer_file *f, const struct xfer_resume *resume)
{
    if (resume->upload_id)
        (void)snprintf(f->locked.upload_id, sizeof(f->locked.upload_id), "%s", resume->upload_id);
    atomic_store(&f->counting, resume->upload_id != NULL);
}

/* What lies there already, whatever the size of the file is now. */
static int find_checkpoint(struct xfer_file *f, const struct xfer_file_spec *spec,
                           struct ou_error *err)
{
    struct ou_error none = OU_ERROR_INIT;
    int r = open_directory(f, spec, spec->checkpoint_dir ? err : &none);

    if (r < 0)
        return spec->checkpoint_dir ? r : 0; /* a small file needs none: see need_checkpoint() */
    return open_checkpoint(f, false, err);
}

static int begin(struct xfer_file *f, const struct xfer_file_spec *spec, struct ou_error *err)
{
    ou_auto(xfer_plan_fini) struct xfer_plan plan = {0};
    struct xfer_resume resume = {0};
    const struct xfer_upload_spec upload = {
        .key = spec->key,
        .plan = &plan,
        .resume = &resume,
        .ops = &xfer_file_upload_ops,
        .ctx = f,
        .one_shot = true,
        .deadline_ms = spec->deadline_ms,
    };
    int r = f->path ? find_checkpoint(f, spec, err) : 0;

    if (r < 0)
        return r;
    r = make_plan(f, wanted_part_size(f, spec), &plan, err);
    if (r < 0)
        return r;
    f->multipart = plan.kind == XFER_PLAN_MULTIPART;
    f->part_size = plan.part_size ? plan.part_size : 1;
    f->part_count = plan.count;
    if (f->path)
        r = prepare(f, spec, &resume, err);
    if (r < 0)
        return r;
    remember_resumed(f, &resume);
    f->started = true;
    return xfer_upload_start(spec->engine, &upload, &f->upload, err);
}

int xfer_file_start(const struct xfer_file_spec *spec, struct xfer_file **file,
                    struct ou_error *err)
{
    struct xfer_file *f = calloc(1, sizeof(*f));
    int r;

    if (!f) {
        if (!spec->path)
            (void)close(spec->fd);
        return ou_error_set(err, ENOMEM, "upload %s", spec->key);
    }
    ou_mutex_init(&f->lock, RANK_FILE);
    f->ops = *spec->ops;
    f->ctx = spec->ctx;
    f->client = spec->client;
    f->headers = *spec->headers;
    f->fd = spec->path ? -1 : spec->fd;
    f->dirfd = -1;
    r = fill(f, spec, err);
    if (r == 0) {
        *file = f; /* the first callback may come before begin() returns */
        r = begin(f, spec, err);
    }
    if (r < 0) {
        *file = NULL;
        xfer_file_free(f);
    }
    return r;
}

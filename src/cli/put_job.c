/*
 * Standard input: its size must be known before the first part, and a part that failed must be read
 * again. So it is copied to disk as a whole; it costs its size there, and memory none.
 */
#include "cli/put_job.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "cli/render.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_CHUNK ((size_t)64 << 10) /* a pipe holds no more */

const char *cli_put_job_name(const struct cli_put_job *job)
{
    return job->source.path ? job->source.path : "standard input";
}

/* -- standard input -- */

/* Return: descriptor, -errno. */
static int open_temporary(const struct cli_put *put, struct ou_error *err)
{
    const char *dir = put->args.checkpoint_dir ? put->args.checkpoint_dir : getenv("TMPDIR");
    int fd;

    if (!dir || !*dir)
        dir = "/var/tmp";
    fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) { /* not every file system can */
        ou_autofree char *path = NULL;

        if (asprintf(&path, "%s/ossfs-up-XXXXXX", dir) < 0) {
            path = NULL;
            return ou_error_set(err, ENOMEM, "standard input");
        }
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0)
            (void)unlink(path);
    }
    return fd < 0 ? ou_error_set(err, errno, "keep standard input in %s", dir) : fd;
}

/* Return: 1 there is something to read, negative errno. */
static int wait_for_input(const struct cli_put *put, struct ou_error *err)
{
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                           {.fd = cli_interrupt_fd(put->interrupt), .events = POLLIN}};

    while (poll(fds, 2, -1) < 0)
        if (errno != EINTR)
            return ou_error_set(err, errno, "standard input");
    return fds[1].revents ? ou_error_set(err, EINTR, "standard input") : 1;
}

/* Return: descriptor of a file that holds all of it, -errno. */
static int keep_input(const struct cli_put *put, struct ou_error *err)
{
    ou_autoclose int fd = open_temporary(put, err);
    char chunk[COPY_CHUNK];

    if (fd < 0)
        return fd;
    for (;;) {
        ssize_t n;
        int r = wait_for_input(put, err);

        if (r < 0)
            return r;
        n = read(STDIN_FILENO, chunk, COPY_CHUNK);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return ou_error_set(err, errno, "standard input");
        if (n == 0)
            return ou_take_fd(&fd);
        r = ou_write_all(fd, chunk, (size_t)n, err);
        if (r < 0)
            return ou_error_prefix(err, "keep standard input on disk");
    }
}

/* -- callbacks of the upload: engine threads -- */

static void on_progress(void *ctx, const struct xfer_file_progress *progress)
{
    struct cli_put_job *job = ctx;

    ou_lock_scope(&job->put->lock);
    job->confirmed = progress->confirmed;
    job->parts_resumed = progress->parts_resumed;
}

static void on_part(void *ctx, const struct xfer_file_part *part)
{
    const struct cli_put_job *job = ctx;
    char size[32];

    cli_format_bytes(part->size, size);
    (void)printf("%s: part %u of %zu, %s%s\n", cli_put_job_name(job), part->number, part->count,
                 size, part->resumed ? ", was there" : "");
}

static void on_done(void *ctx, const struct xfer_result *result, const struct ou_error *err)
{
    struct cli_put_job *job = ctx;

    ou_lock_scope(&job->put->lock);
    job->ended = true;
    job->result = *result;
    if (err)
        job->err = *err;
    job->put->locked.news = true;
    (void)pthread_cond_signal(&job->put->wake);
}

static const struct xfer_file_ops quiet_ops = {.progress = on_progress, .done = on_done};
static const struct xfer_file_ops verbose_ops = {
    .progress = on_progress, .part = on_part, .done = on_done};

/* -- start -- */

static int set_headers(struct cli_put_job *job, struct ou_error *err)
{
    const struct cli_put *put = job->put;
    struct oss_object_headers *h = &job->headers.headers;
    struct spool_attr attr = {.other = put->args.meta, .other_count = put->args.meta_count};
    struct stat st;

    if (put->args.preserve && job->source.path) {
        int r;

        if (stat(job->source.path, &st) < 0)
            return ou_error_set(err, errno, "%s", job->source.path);
        attr.mode = st.st_mode;
        attr.uid = st.st_uid;
        attr.gid = st.st_gid;
        attr.mtime = st.st_mtim;
        r = spool_headers_init(&job->headers, &attr, err);
        if (r < 0)
            return r;
    } else {
        h->meta = put->args.meta;
        h->meta_count = put->args.meta_count;
    }
    h->content_type = put->args.content_type;
    h->storage_class = put->storage_class;
    h->sse = put->sse;
    h->sse_key_id = put->sse_key_id;
    return 0;
}

static int start(struct cli_put_job *job, struct ou_error *err)
{
    struct cli_put *put = job->put;
    struct xfer_file_spec spec = {
        .engine = put->engine,
        .client = put->session.client,
        .path = job->source.path,
        .fd = -1,
        .key = job->source.key,
        .part_size = put->part_size,
        .checkpoint_dir = put->args.checkpoint_dir,
        .registry = put->registry,
        .headers = &job->headers.headers,
        .deadline_ms = cli_number(&put->session.options, CLI_OPT_REQUEST_TIMEOUT),
        .cancel = cli_interrupt_cancel(put->interrupt),
        .ops = put->args.verbose ? &verbose_ops : &quiet_ops,
        .ctx = job,
    };
    int r = set_headers(job, err);

    if (r < 0)
        return r;
    if (!spec.path) {
        spec.fd = keep_input(put, err);
        if (spec.fd < 0)
            return spec.fd;
    }
    r = xfer_file_start(&spec, &job->file, err);
    if (r == 0)
        job->size = xfer_file_size(job->file);
    return r;
}

int cli_put_job_start(struct cli_put *put, struct cli_put_source *source, struct cli_put_job **job,
                      struct ou_error *err)
{
    struct cli_put_job *j = calloc(1, sizeof(*j));
    int r;

    if (!j)
        return ou_error_set(err, ENOMEM, "put");
    j->put = put;
    j->source = *source;
    r = start(j, err);
    if (r < 0) {
        j->source = (struct cli_put_source){0}; /* not taken */
        cli_put_job_free(j);
        return r;
    }
    *source = (struct cli_put_source){0};
    *job = j;
    return 0;
}

void cli_put_job_free(struct cli_put_job *job)
{
    if (!job)
        return;
    xfer_file_free(job->file);
    spool_headers_fini(&job->headers);
    cli_put_source_fini(&job->source);
    free(job);
}

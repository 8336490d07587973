#include "server/reqlog.h"

#include "server/clock.h"
#include "server/lock.h"
#include "server/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct srv_reqlog {
    char *path; /* constant */
    int fd;     /* constant; O_APPEND */
    pthread_mutex_t lock;
    uint64_t count; /* guarded by .lock; lines stand in its order */
};

struct srv_reqlog *srv_reqlog_open(const char *path)
{
    struct srv_reqlog *log = srv_xcalloc(1, sizeof(*log));

    log->path = srv_xstrdup(path);
    log->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    (void)pthread_mutex_init(&log->lock, NULL);
    if (log->fd < 0) {
        (void)fprintf(stderr, "oss-local-server: open %s: %s\n", path, strerror(errno));
        srv_reqlog_free(log);
        return NULL;
    }
    return log;
}

void srv_reqlog_free(struct srv_reqlog *log)
{
    if (log == NULL)
        return;
    if (log->fd >= 0)
        (void)close(log->fd);
    (void)pthread_mutex_destroy(&log->lock);
    free(log->path);
    free(log);
}

static void member(struct srv_buf *line, const char *name, const char *value)
{
    srv_buf_printf(line, ",\"%s\":", name);
    srv_json_string(line, value == NULL ? "" : value);
}

void srv_reqlog_add(struct srv_reqlog *log, const struct srv_reqlog_entry *e)
{
    srv_autobuf struct srv_buf line = {0};
    srv_autobuf struct srv_buf rest = {0};

    srv_buf_printf(&rest, ",\"time\":%.6f,\"start\":%.6f", srv_real_seconds(), e->started);
    member(&rest, "operation", e->operation);
    member(&rest, "method", e->method);
    member(&rest, "bucket", e->bucket);
    member(&rest, "key", e->key);
    if (e->part > 0)
        srv_buf_printf(&rest, ",\"part\":%" PRIu64, e->part);
    if (e->upload_id != NULL)
        member(&rest, "upload_id", e->upload_id);
    srv_buf_printf(&rest, ",\"status\":%d", e->status);
    member(&rest, "code", e->code);
    srv_buf_printf(&rest, ",\"bytes_in\":%" PRIu64 ",\"bytes_out\":%" PRIu64, e->bytes_in,
                   e->bytes_out);
    member(&rest, "range", e->range);
    member(&rest, "fault", e->fault);
    member(&rest, "request_id", e->request_id);
    srv_buf_printf(&rest, ",\"in_flight\":%u,\"aborted\":%s}\n", e->in_flight,
                   e->aborted ? "true" : "false");

    srv_lock_scope(&log->lock);
    srv_buf_printf(&line, "{\"n\":%" PRIu64, ++log->count);
    srv_buf_add(&line, rest.data, rest.len);
    if (write(log->fd, line.data, line.len) < 0)
        (void)fprintf(stderr, "oss-local-server: write %s: %s\n", log->path, strerror(errno));
}

int srv_reqlog_read(struct srv_reqlog *log, uint64_t *size)
{
    struct stat st;
    int fd;

    srv_lock_scope(&log->lock);
    fd = open(log->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        if (fd >= 0)
            (void)close(fd);
        return -1;
    }
    *size = (uint64_t)st.st_size;
    return fd;
}

void srv_reqlog_clear(struct srv_reqlog *log)
{
    srv_lock_scope(&log->lock);
    if (ftruncate(log->fd, 0) < 0)
        (void)fprintf(stderr, "oss-local-server: clear %s: %s\n", log->path, strerror(errno));
}

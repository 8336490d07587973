/*
 * A line on disk:
 *
 *   {"op":"part","number":7 ,"sum":" 0123456789abcdef "} LF
 *   ----------- body ------ -------- TAIL_SIZE -------- 1
 *
 * The sum is over the body. It is looked for at its fixed distance from the LF,
 * so a ',"sum":"' within the object does no harm.
 *
 * j->size is the end of the last good line. The file may be longer: a torn line of
 * a crash or of a failed append. Nothing is cut while reading (a reader may look
 * into a journal that another process appends to); each append cuts first.
 *
 * A line whose sum is right was written whole, so if it cannot be understood the
 * fault is not the disk's: open() fails with -EBADMSG and drops nothing.
 */
#include "base/journal.h"

#include "base/cleanup.h"
#include "base/crc64.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAIL_BEGIN   ",\"sum\":\""
#define TAIL_END     "\"}"
#define SUM_DIGITS   16u
#define TAIL_SIZE    (sizeof(TAIL_BEGIN) - 1 + SUM_DIGITS + sizeof(TAIL_END) - 1)
#define READ_CHUNK   (64u << 10)  /* bytes a read asks for */
#define REWRITE_SIZE (256u << 10) /* bytes gathered before a write */

int ou_journal_seal(struct ou_buf *out, const char *object, size_t len, struct ou_error *err)
{
    ou_auto(ou_json_free_at) struct ou_json *json = NULL;
    uint64_t sum;
    int r;

    if (len > OU_JOURNAL_LINE_MAX - TAIL_SIZE)
        return ou_error_say(err, EMSGSIZE, "a line of %zu bytes", len);
    /* What is written here must be readable: find the bug now, not at recovery. */
    r = ou_json_parse(object, len, &json, err);
    if (r == -ENOMEM)
        return r;
    if (r < 0 || object[0] != '{' || object[len - 1] != '}' || memchr(object, '\n', len))
        return ou_error_say(err, EINVAL, "the line to be is no JSON object on one line");
    if (strspn(object + 1, " \t\r") + 2 == len)
        return ou_error_say(err, EINVAL, "the line to be is an empty object");

    sum = ou_crc64(0, object, len - 1);
    ou_buf_add(out, object, len - 1);
    ou_buf_addf(out, TAIL_BEGIN "%016" PRIx64 TAIL_END "\n", sum);
    return ou_buf_check(out, err);
}

/* Whether @line of @len bytes, without LF, carries its right sum. */
static bool sum_is_right(const char *line, size_t len)
{
    char tail[TAIL_SIZE + 1];
    size_t body;

    if (len <= TAIL_SIZE)
        return false;
    body = len - TAIL_SIZE;
    (void)snprintf(tail, sizeof(tail), TAIL_BEGIN "%016" PRIx64 TAIL_END, ou_crc64(0, line, body));
    return memcmp(tail, line + body, TAIL_SIZE) == 0;
}

typedef int each_fn(const struct ou_json *line, void *ctx, struct ou_error *err);

/* Return: 1 a good line, 0 a bad one, negative when replay must end. */
static int replay_line(const char *line, size_t len, each_fn *each, void *ctx, struct ou_error *err)
{
    ou_auto(ou_json_free_at) struct ou_json *json = NULL;
    int r;

    if (!sum_is_right(line, len))
        return 0;
    r = ou_json_parse(line, len, &json, err);
    if (r < 0)
        return r;
    if (!ou_json_string(json, "sum"))
        return ou_error_say(err, EBADMSG, "a line that is no object");
    if (each) {
        r = each(json, ctx, err);
        if (r < 0)
            return r;
    }
    return 1;
}

/*
 * Replays the whole lines at the front of @in and removes them.
 * Return: 1 go on reading, 0 a bad line was met, negative errno.
 */
static int replay_buffered(struct ou_journal *j, struct ou_buf *in, each_fn *each, void *ctx,
                           struct ou_error *err)
{
    size_t at = 0;

    for (;;) {
        const char *line = in->data + at;
        const char *lf = memchr(line, '\n', in->len - at);
        int r;

        if (!lf)
            break;
        r = replay_line(line, (size_t)(lf - line), each, ctx, err);
        if (r <= 0)
            return r;
        at += (size_t)(lf - line) + 1;
        j->size += (size_t)(lf - line) + 1;
    }
    memmove(in->data, in->data + at, in->len - at + 1);
    in->len -= at;
    return in->len <= OU_JOURNAL_LINE_MAX;
}

static int replay(struct ou_journal *j, each_fn *each, void *ctx, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf in = {0}; /* a line that has begun, and what follows it */
    ou_autofree char *chunk = malloc(READ_CHUNK);
    uint64_t offset = 0;
    int r;

    if (!chunk)
        return ou_error_set(err, ENOMEM, "read %s", j->name);
    for (;;) {
        ssize_t n = ou_pread_full(j->fd, chunk, READ_CHUNK, offset, err);

        if (n < 0)
            return (int)n;
        if (n == 0)
            return 0;
        offset += (uint64_t)n;
        ou_buf_add(&in, chunk, (size_t)n);
        r = ou_buf_check(&in, err);
        if (r < 0)
            return r;
        r = replay_buffered(j, &in, each, ctx, err);
        if (r <= 0)
            return r;
    }
}

/* Return: descriptor, -errno. A file made here is durable under its name. */
static int open_file(int dirfd, const char *name, bool create, struct ou_error *err)
{
    ou_autoclose int fd = openat(dirfd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT && create) {
        fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0 && fsync(dirfd) < 0)
            return ou_error_set(err, errno, "sync the directory of %s", name);
    }
    if (fd < 0)
        return ou_error_set(err, errno, "open %s", name);
    return ou_take_fd(&fd);
}

int ou_journal_open(struct ou_journal *j, int dirfd, const char *name, bool create, each_fn *each,
                    void *ctx, struct ou_error *err)
{
    size_t len = strlen(name);
    int r;

    *j = (struct ou_journal){.dirfd = dirfd, .fd = -1};
    if (len >= sizeof(j->name))
        return ou_error_set(err, ENAMETOOLONG, "open %s", name);
    memcpy(j->name, name, len + 1);

    r = open_file(dirfd, name, create, err);
    if (r < 0)
        return r;
    j->fd = r;
    r = replay(j, each, ctx, err);
    if (r < 0) {
        (void)ou_error_prefix(err, "replay %s from byte %" PRIu64, name, j->size);
        ou_journal_close(j);
        return r;
    }
    return 0;
}

void ou_journal_close(struct ou_journal *j)
{
    if (!j || j->fd < 0)
        return;
    (void)close(j->fd); /* what had to last was synced */
    j->fd = -1;
}

/* Cuts off what follows the last good line. */
static int cut_tail(const struct ou_journal *j, struct ou_error *err)
{
    struct stat st;

    if (fstat(j->fd, &st) < 0)
        return ou_error_set(err, errno, "stat %s", j->name);
    if ((uint64_t)st.st_size != j->size && ftruncate(j->fd, (off_t)j->size) < 0)
        return ou_error_set(err, errno, "cut %s", j->name);
    return 0;
}

int ou_journal_append(struct ou_journal *j, const char *object, size_t len, bool sync,
                      struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf line = {0};
    struct ou_error ignored = OU_ERROR_INIT;
    int r;

    r = ou_journal_seal(&line, object, len, err);
    if (r == 0)
        r = cut_tail(j, err);
    if (r < 0)
        return ou_error_prefix(err, "append to %s", j->name);

    r = ou_pwrite_all(j->fd, line.data, line.len, j->size, err);
    if (r == 0 && sync && fdatasync(j->fd) < 0)
        r = ou_error_set(err, errno, "sync");
    if (r < 0) {
        (void)cut_tail(j, &ignored); /* the next append tries again */
        return ou_error_prefix(err, "append to %s", j->name);
    }
    j->size += line.len;
    return 0;
}

int ou_journal_sync(struct ou_journal *j, struct ou_error *err)
{
    if (fdatasync(j->fd) < 0)
        return ou_error_set(err, errno, "sync %s", j->name);
    return 0;
}

/* Writes @objects as lines and syncs them; @size is what they take. */
static int write_lines(int fd, const struct ou_buf *objects, size_t count, uint64_t *size,
                       struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf out = {0};
    int r;

    *size = 0;
    for (size_t i = 0; i < count; i++) {
        r = ou_journal_seal(&out, ou_buf_str(&objects[i]), objects[i].len, err);
        if (r < 0)
            return r;
        if (i + 1 < count && out.len < REWRITE_SIZE)
            continue;
        r = ou_write_all(fd, out.data, out.len, err);
        if (r < 0)
            return r;
        *size += out.len;
        ou_buf_clear(&out);
    }
    if (fsync(fd) < 0)
        return ou_error_set(err, errno, "sync");
    return 0;
}

int ou_journal_rewrite(struct ou_journal *j, const struct ou_buf *objects, size_t count,
                       struct ou_error *err)
{
    ou_autoclose int fd = -1;
    char tmp[NAME_MAX + 1];
    uint64_t size;
    int r;

    if (snprintf(tmp, sizeof(tmp), "%s.tmp", j->name) >= (int)sizeof(tmp))
        return ou_error_set(err, ENAMETOOLONG, "rewrite %s", j->name);
    fd = openat(j->dirfd, tmp, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return ou_error_set(err, errno, "create %s", tmp);
    r = write_lines(fd, objects, count, &size, err);
    if (r < 0) {
        (void)ou_error_prefix(err, "rewrite %s", j->name);
        goto undo;
    }
    if (renameat(j->dirfd, tmp, j->dirfd, j->name) < 0) {
        r = ou_error_set(err, errno, "rewrite %s", j->name);
        goto undo;
    }

    /* The name means the new file from here on, whatever becomes of the last sync. */
    ou_journal_close(j);
    j->fd = ou_take_fd(&fd);
    j->size = size;
    if (fsync(j->dirfd) < 0)
        return ou_error_set(err, errno, "sync the directory of %s", j->name);
    return 0;

undo:
    (void)unlinkat(j->dirfd, tmp, 0);
    return r;
}

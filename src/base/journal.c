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
#define LINE_CHUNK   1024u        /* likewise for one line: most are shorter */
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

/* Who replays, and how far it has come. */
struct replay {
    int fd;
    const char *name;
    ou_journal_line *each; /* or NULL */
    void *ctx;
    uint64_t good; /* bytes of good lines */
};

/*
 * Replays the whole lines at the front of @in and removes them.
 * Return: 1 go on reading, 0 a bad line was met, negative errno.
 */
static int replay_buffered(struct replay *p, struct ou_buf *in, struct ou_error *err)
{
    size_t at = 0;

    for (;;) {
        const char *line = in->data + at;
        const char *lf = memchr(line, '\n', in->len - at);
        size_t len;
        int r;

        if (!lf)
            break;
        len = (size_t)(lf - line);
        if (!sum_is_right(line, len))
            return 0;
        r = p->each ? p->each(line, len, p->good, p->ctx, err) : 0;
        if (r < 0)
            return r;
        at += len + 1;
        p->good += len + 1;
    }
    memmove(in->data, in->data + at, in->len - at + 1);
    in->len -= at;
    return in->len <= OU_JOURNAL_LINE_MAX;
}

static int replay(struct replay *p, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf in = {0}; /* a line that has begun, and what follows it */
    ou_autofree char *chunk = malloc(READ_CHUNK);
    uint64_t offset = 0;
    int r;

    if (!chunk)
        return ou_error_set(err, ENOMEM, "read %s", p->name);
    for (;;) {
        ssize_t n = ou_pread_full(p->fd, chunk, READ_CHUNK, offset, err);

        if (n < 0)
            return (int)n;
        if (n == 0)
            return 0;
        offset += (uint64_t)n;
        ou_buf_add(&in, chunk, (size_t)n);
        r = ou_buf_check(&in, err);
        if (r < 0)
            return r;
        r = replay_buffered(p, &in, err);
        if (r <= 0)
            return r;
    }
}

/* A line with its right sum. Return: 0, -EBADMSG, -ENOMEM. */
static int parse(const char *line, size_t len, struct ou_json **json, struct ou_error *err)
{
    int r = ou_json_parse(line, len, json, err);

    if (r == 0 && !ou_json_string(*json, "sum")) {
        ou_json_free(*json);
        *json = NULL;
        r = ou_error_say(err, EBADMSG, "a line that is no object");
    }
    return r;
}

/* Lines as objects. */
struct objects {
    int (*each)(const struct ou_json *line, void *ctx, struct ou_error *err);
    void *ctx;
};

static int parse_line(const char *line, size_t len, uint64_t offset, void *ctx,
                      struct ou_error *err)
{
    ou_auto(ou_json_free_at) struct ou_json *json = NULL;
    const struct objects *o = ctx;
    int r = parse(line, len, &json, err);

    (void)offset;
    return r == 0 && o->each ? o->each(json, o->ctx, err) : r;
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

int ou_journal_open_lines(struct ou_journal *j, int dirfd, const char *name, bool create,
                          ou_journal_line *each, void *ctx, struct ou_error *err)
{
    struct replay p = {.name = name, .each = each, .ctx = ctx};
    size_t len = strlen(name);
    int r;

    *j = (struct ou_journal){.dirfd = dirfd, .fd = -1};
    if (len >= sizeof(j->name))
        return ou_error_set(err, ENAMETOOLONG, "open %s", name);
    memcpy(j->name, name, len + 1);

    r = open_file(dirfd, name, create, err);
    if (r < 0)
        return r;
    j->fd = p.fd = r;
    r = replay(&p, err);
    j->size = p.good;
    if (r < 0) {
        (void)ou_error_prefix(err, "replay %s from byte %" PRIu64, name, j->size);
        ou_journal_close(j);
        return r;
    }
    return 0;
}

int ou_journal_open(struct ou_journal *j, int dirfd, const char *name, bool create,
                    int (*each)(const struct ou_json *line, void *ctx, struct ou_error *err),
                    void *ctx, struct ou_error *err)
{
    struct objects o = {.each = each, .ctx = ctx};

    return ou_journal_open_lines(j, dirfd, name, create, parse_line, &o, err);
}

int ou_journal_lines(const struct ou_journal *j, ou_journal_line *each, void *ctx,
                     struct ou_error *err)
{
    struct replay p = {.fd = j->fd, .name = j->name, .each = each, .ctx = ctx};
    int r = replay(&p, err);

    return r < 0 ? ou_error_prefix(err, "read %s from byte %" PRIu64, j->name, p.good) : 0;
}

int ou_journal_read(const struct ou_journal *j, uint64_t offset, struct ou_json **line,
                    struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf in = {.max = OU_JOURNAL_LINE_MAX};
    char chunk[LINE_CHUNK];
    const char *lf = NULL;
    size_t len = 0;
    ssize_t n;
    int r = 0;

    while (!lf && r == 0) {
        n = ou_pread_full(j->fd, chunk, sizeof(chunk), offset + in.len, err);
        if (n < 0)
            return (int)n;
        if (n == 0)
            return ou_error_say(err, EBADMSG, "%s ends in a line", j->name);
        ou_buf_add(&in, chunk, (size_t)n);
        r = ou_buf_check(&in, err);
        if (r == 0) {
            lf = memchr(in.data + len, '\n', in.len - len);
            len = lf ? (size_t)(lf - in.data) : in.len;
        }
    }
    if (r == 0 && !sum_is_right(in.data, len))
        r = ou_error_say(err, EBADMSG, "no line of %s at byte %" PRIu64, j->name, offset);
    return r == 0 ? parse(in.data, len, line, err) : r;
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

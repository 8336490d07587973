/*
 * The file: found, locked, replayed, appended to, deleted.
 *
 * The lock is taken before the file is read, on a descriptor of its own. Between open and lock
 * another process may finish and delete the file; then the lock is on a file without a name, and
 * we begin again.
 */
#include "transfer/checkpoint.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/crc64.h"
#include "base/text.h"
#include "transfer/checkpoint_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define RANK_CHECKPOINT (OU_RANK_XFER + 30)
#define BASENAME_MAX    200u
#define SUM_DIGITS      16u

/* -- its name -- */

static uint64_t sum_of(const struct xfer_checkpoint_header *h)
{
    uint64_t sum = ou_crc64(0, h->path, strlen(h->path) + 1);

    sum = ou_crc64(sum, h->endpoint, strlen(h->endpoint));
    sum = ou_crc64(sum, "/", 1);
    sum = ou_crc64(sum, h->bucket, strlen(h->bucket));
    sum = ou_crc64(sum, "/", 1);
    return ou_crc64(sum, h->key, strlen(h->key));
}

void xfer_checkpoint_name(const struct xfer_checkpoint_header *header, char out[NAME_MAX + 1])
{
    const char *slash = strrchr(header->path, '/'), *base = slash ? slash + 1 : header->path;
    size_t len = strlen(base);

    if (len > BASENAME_MAX) {
        len = BASENAME_MAX;
        while (len > 0 && ((unsigned char)base[len] & 0xc0) == 0x80) /* not within a character */
            len--;
    }
    (void)snprintf(out, NAME_MAX + 1, "%.*s.%016" PRIx64 XFER_CHECKPOINT_SUFFIX, (int)len, base,
                   sum_of(header));
}

bool xfer_checkpoint_is_name(const char *name)
{
    const size_t tail = 1 + SUM_DIGITS + sizeof(XFER_CHECKPOINT_SUFFIX) - 1;
    size_t len = strlen(name);
    const char *at;

    if (len < tail)
        return false;
    at = name + len - tail;
    return *at == '.' && strspn(at + 1, "0123456789abcdef") == SUM_DIGITS &&
           !strcmp(at + 1 + SUM_DIGITS, XFER_CHECKPOINT_SUFFIX);
}

/* -- finding and locking it -- */

/* Return: descriptor, -errno. */
static int open_or_create(int dirfd, const char *name, bool create, struct ou_error *err)
{
    ou_autoclose int fd = openat(dirfd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT && create) {
        fd = openat(dirfd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0 && fsync(dirfd) < 0) /* the name must survive, too */
            return ou_error_set(err, errno, "sync the directory of checkpoint %s", name);
    }
    if (fd < 0)
        return ou_error_set(err, errno, "checkpoint %s", name);
    return ou_take_fd(&fd);
}

/* Return: 1 locked, 0 it was deleted meanwhile, negative errno. */
static int lock_it(int fd, int dirfd, const char *name, struct ou_error *err)
{
    struct stat mine, named;

    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK
                   ? ou_error_say(err, EBUSY,
                                  "checkpoint %s: another process is at this very upload: let it "
                                  "finish, or stop it",
                                  name)
                   : ou_error_set(err, errno, "lock checkpoint %s", name);
    if (fstat(fd, &mine) < 0)
        return ou_error_set(err, errno, "checkpoint %s", name);
    if (fstatat(dirfd, name, &named, AT_SYMLINK_NOFOLLOW) < 0 || mine.st_ino != named.st_ino ||
        mine.st_dev != named.st_dev)
        return 0;
    if (mine.st_uid != geteuid())
        return ou_error_say(err, EPERM,
                            "checkpoint %s: it belongs to another user: remove it, or name another "
                            "checkpoint directory",
                            name);
    return 1;
}

/* Return: descriptor that holds the lock, -errno. */
static int open_locked(int dirfd, const char *name, bool create, struct ou_error *err)
{
    for (;;) {
        ou_autoclose int fd = open_or_create(dirfd, name, create, err);
        int r;

        if (fd < 0)
            return fd;
        r = lock_it(fd, dirfd, name, err);
        if (r < 0)
            return r;
        if (r == 1)
            return ou_take_fd(&fd);
    }
}

static int replay_line(const struct ou_json *line, void *ctx, struct ou_error *err)
{
    return xfer_checkpoint_apply(ctx, line, err);
}

/* Return: what ou_journal_open() says; -EPROTO: another version wrote it. On failure nothing is open. */
static int read_lines(struct ou_journal *journal, int dirfd, const char *name,
                      struct xfer_checkpoint_state *state, struct ou_error *err)
{
    int r = ou_journal_open(journal, dirfd, name, false, replay_line, state, err);

    if (r == -EPROTO || r == -EBADMSG)
        return ou_error_say(err, EPROTO,
                            "checkpoint %s was written by another version of ossfs-up: finish the "
                            "upload with that one, or remove the file to start anew",
                            name);
    return r;
}

static int replay(struct xfer_checkpoint *cp, struct ou_error *err)
{
    return read_lines(&cp->locked.journal, cp->dirfd, cp->name, &cp->state, err);
}

int xfer_checkpoint_upload_id(const char *path, char upload_id[OSS_UPLOAD_ID_SIZE],
                              struct ou_error *err)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    struct xfer_checkpoint_state state = {0};
    struct ou_journal journal;
    ou_autofree char *dir = strndup(slash ? path : ".", slash ? (size_t)(name - path) : 1);
    ou_autoclose int dirfd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int r;

    if (dirfd < 0)
        return ou_error_set(err, dir ? errno : ENOMEM, "checkpoint %s", path);
    r = read_lines(&journal, dirfd, name, &state, err);
    if (r == 0) {
        ou_journal_close(&journal);
        (void)snprintf(upload_id, OSS_UPLOAD_ID_SIZE, "%s", state.upload_id);
    }
    xfer_checkpoint_state_fini(&state);
    return r;
}

int xfer_checkpoint_open(struct xfer_checkpoint *cp, int dirfd, const char *name, bool create,
                         struct ou_error *err)
{
    int r;

    *cp = (struct xfer_checkpoint){.dirfd = dirfd};
    if (strlen(name) > NAME_MAX)
        return ou_error_set(err, ENAMETOOLONG, "checkpoint %s", name);
    (void)snprintf(cp->name, sizeof(cp->name), "%s", name);
    r = open_locked(dirfd, name, create, err);
    if (r < 0)
        return r;
    cp->lockfd = r;
    cp->is_open = true;
    ou_mutex_init(&cp->lock, RANK_CHECKPOINT);
    r = replay(cp, err);
    if (r < 0)
        xfer_checkpoint_close(cp);
    return r;
}

void xfer_checkpoint_close(struct xfer_checkpoint *cp)
{
    if (!cp->is_open)
        return;
    cp->is_open = false;
    ou_journal_close(&cp->locked.journal);
    (void)close(cp->lockfd); /* and with it the lock goes */
    xfer_checkpoint_state_fini(&cp->state);
    ou_mutex_fini(&cp->lock);
}

/* -- writing -- */

int xfer_checkpoint_begin(struct xfer_checkpoint *cp, const struct xfer_checkpoint_header *header,
                          struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf line = {0};
    int r;

    ou_lock_scope(&cp->lock);
    xfer_checkpoint_state_fini(&cp->state);
    ou_journal_close(&cp->locked.journal);
    if (ftruncate(cp->lockfd, 0) < 0)
        return ou_error_set(err, errno, "empty checkpoint %s", cp->name);
    r = replay(cp, err);
    if (r < 0)
        return r;
    xfer_checkpoint_header_line(&line, header);
    r = ou_buf_check(&line, err);
    if (r == 0)
        r = ou_journal_append(&cp->locked.journal, line.data, line.len, true, err);
    return r < 0 ? ou_error_prefix(err, "checkpoint") : 0;
}

/* Parts only: whether it is time for the disk. */
static bool sync_is_due_locked(const struct xfer_checkpoint *cp, uint64_t now)
{
    return cp->locked.unsynced + 1 >= XFER_CHECKPOINT_SYNC_PARTS ||
           now - cp->locked.synced_at >= XFER_CHECKPOINT_SYNC_AFTER_MS;
}

int xfer_checkpoint_record(struct xfer_checkpoint *cp, const struct xfer_event *event,
                           struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf line = {0};
    const struct timespec wall = ou_wall();
    uint64_t now = ou_now_ms();
    bool sync;
    int r;

    /* A part without the CRC-64 of its bytes proves nothing: ListParts will find it, and we compare. */
    if (event->kind == XFER_EVENT_PART && !event->part->has_crc64)
        return 0;
    xfer_checkpoint_event_line(&line, event, &wall);
    r = ou_buf_check(&line, err);
    if (r < 0)
        return r;
    ou_lock_scope(&cp->lock);
    sync = event->kind != XFER_EVENT_PART || sync_is_due_locked(cp, now);
    r = ou_journal_append(&cp->locked.journal, line.data, line.len, sync, err);
    if (r < 0)
        return ou_error_prefix(err, "checkpoint");
    cp->locked.unsynced = sync ? 0 : cp->locked.unsynced + 1;
    if (sync)
        cp->locked.synced_at = now;
    return 0;
}

int xfer_checkpoint_remove(struct xfer_checkpoint *cp, struct ou_error *err)
{
    int r = 0;

    if (!cp->is_open)
        return 0;
    if (unlinkat(cp->dirfd, cp->name, 0) < 0 && errno != ENOENT)
        r = ou_error_set(err, errno, "remove checkpoint %s", cp->name);
    xfer_checkpoint_close(cp);
    return r;
}

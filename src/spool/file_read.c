/*
 * Reading: what is local comes from its slot, what is not from the base, the rest is zeros.
 */
#include "spool/early.h"
#include "spool/move.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MS     UINT64_C(60000) /* how long a reader waits for a publishing request */
#define LOOK_AGAIN_MS UINT64_C(20)

/* -- the base -- */

void spool_base_reader_drop(struct spool_base_reader *r)
{
    if (!r || atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    xfer_reader_free(r->reader);
    free(r);
}

void spool_file_take_readers_locked(struct spool_file *f, struct spool_base_reader *old[2])
{
    ou_mutex_assert_held(&f->lock);
    for (int i = 0; i < 2; i++) {
        old[i] = f->reader[i];
        f->reader[i] = NULL;
    }
}

/* How much of the base is seen: after a truncation, not all of it. */
static uint64_t reach_locked(const struct spool_file *f, int i)
{
    if (i || f->live_base.present)
        return i ? f->base_limit : f->s.base_limit;
    return f->base_limit > f->s.base_limit ? f->base_limit : f->s.base_limit;
}

/* @i: 0 the base of the stable version, 1 of the live one. Return: a reference, NULL: @err. */
static struct spool_base_reader *take_reader_locked(struct spool_file *f, int i,
                                                    struct ou_error *err)
{
    const struct spool_base *base = i ? &f->live_base : &f->s.base;
    struct spool_base_reader *r = f->reader[i];

    if (!base->present) { /* fetched, and forgotten since the caller looked */
        (void)ou_error_set(err, EAGAIN, "read the base of %s", f->id);
        return NULL;
    }
    if (!r) {
        r = calloc(1, sizeof(*r));
        if (!r) {
            (void)ou_error_set(err, ENOMEM, "read %s", base->key);
            return NULL;
        }
        atomic_init(&r->refs, 1);
        if (xfer_reader_new(f->spool->pool, base->key, base->etag, base->size, &r->reader, err) <
            0) {
            free(r);
            return NULL;
        }
        xfer_reader_expect(r->reader, reach_locked(f, i));
        f->reader[i] = r;
    }
    (void)atomic_fetch_add(&r->refs, 1);
    return r;
}

static void wake_reader(void *arg)
{
    struct spool_file *f = arg;

    ou_mutex_lock(&f->lock);
    (void)pthread_cond_broadcast(&f->changed);
    ou_mutex_unlock(&f->lock);
}

/* The base is not there any more: perhaps its name is being changed. Return: true: look again. */
static bool is_moved(struct spool_file *f, const struct spool_base_reader *r, int i,
                     struct ou_cancel *cancel)
{
    const uint64_t deadline = ou_now_ms() + ANSWER_MS;
    bool moved;

    ou_mutex_lock(&f->lock);
    while (f->reader[i] == r && spool_is_moving(f->spool, f->s.key) &&
           !ou_cancel_triggered(cancel) && ou_now_ms() < deadline)
        (void)ou_cond_wait_until(&f->changed, &f->lock, ou_now_ms() + LOOK_AGAIN_MS);
    moved = f->reader[i] != r;
    ou_mutex_unlock(&f->lock);
    return moved;
}

/*
 * The base is not there any more. If a version of ours is just being published, that may be why:
 * its answer, which is on its way, tells. Return: true: look again.
 */
static bool replaced_by_us(struct spool_file *f, const struct spool_base_reader *r, int i,
                           struct ou_cancel *cancel)
{
    uint64_t deadline = ou_now_ms() + ANSWER_MS;
    struct ou_cancel_hook hook;
    bool replaced;

    ou_cancel_attach(cancel, &hook, wake_reader, f);
    ou_mutex_lock(&f->lock);
    while (f->reader[i] == r && f->s.upload.publishing && !f->retry_ms &&
           !ou_cancel_triggered(cancel)) {
        if (ou_cond_wait_until(&f->changed, &f->lock, deadline))
            break;
    }
    replaced = f->reader[i] != r;
    ou_mutex_unlock(&f->lock);
    ou_cancel_detach(cancel, &hook);
    return replaced;
}

ssize_t spool_file_read_base(struct spool_file *f, bool stable, void *buf, size_t len,
                             uint64_t offset, struct ou_cancel *cancel, struct ou_error *err)
{
    struct spool_base_reader *r;
    ssize_t n;
    int i;

    ou_mutex_lock(&f->lock);
    i = !stable && f->live_base.present;
    r = take_reader_locked(f, i, err);
    ou_mutex_unlock(&f->lock);
    if (!r)
        return -err->errnum;

    n = xfer_reader_read(r->reader, buf, len, offset, 0, cancel, err);
    if ((n == -ESTALE || n == -ENOENT) && !stable &&
        (is_moved(f, r, i, cancel) || replaced_by_us(f, r, i, cancel)))
        n = -EAGAIN; /* the new object has the bytes */
    if (n == 0 && len)
        n = ou_error_say(err, EIO, "the base of %s ends too early", f->id);
    spool_base_reader_drop(r);
    return n;
}

/* -- slots -- */

ssize_t spool_file_read_slot_locked(struct spool_file *f, enum extent_slot slot, void *buf,
                                    size_t len, uint64_t offset, struct ou_error *err)
{
    int fd = spool_file_fd_locked(f, slot, false, err);
    unsigned epoch = f->epoch;
    ssize_t n;

    if (fd < 0)
        return fd == -ENOENT ? ou_error_say(err, EIO, "the data file of %s is gone", f->id) : fd;
    spool_file_enter_locked(f);
    f->reading[epoch]++;
    ou_mutex_unlock(&f->lock);
    n = ou_pread_full(fd, buf, len, offset, err);
    ou_mutex_lock(&f->lock);
    f->reading[epoch]--;
    if (epoch != f->epoch && !f->reading[epoch]) /* somebody waits to punch */
        (void)pthread_cond_broadcast(&f->changed);
    spool_file_leave_locked(f);
    if (n >= 0 && (size_t)n < len)
        return ou_error_say(err, EIO, "the data file of %s is too short", f->id);
    return n;
}

/* One run of the live version. Return: bytes > 0, 0 at the end, -EAGAIN: look again. */
static ssize_t read_run(struct spool_file *f, void *buf, size_t len, uint64_t offset,
                        struct ou_cancel *cancel, struct ou_error *err)
{
    struct extent e;
    ssize_t n;

    ou_mutex_lock(&f->lock);
    if (offset >= f->size) {
        ou_mutex_unlock(&f->lock);
        return 0;
    }
    if (len > f->size - offset)
        len = (size_t)(f->size - offset);
    e = extent_map_at(&f->live, offset);
    if (len > e.size)
        len = (size_t)e.size;
    if (e.slot == EXTENT_A || e.slot == EXTENT_B) {
        n = spool_file_read_slot_locked(f, e.slot, buf, len, offset, err);
        ou_mutex_unlock(&f->lock);
        return n;
    }
    if (e.slot == EXTENT_NONE && offset < f->base_limit) {
        if (len > f->base_limit - offset)
            len = (size_t)(f->base_limit - offset);
        ou_mutex_unlock(&f->lock);
        return spool_file_read_base(f, false, buf, len, offset, cancel, err);
    }
    ou_mutex_unlock(&f->lock);
    if (e.slot == EXTENT_SENT)
        return spool_release_await(f, offset, cancel, err);
    memset(buf, 0, len);
    return (ssize_t)len;
}

ssize_t spool_file_read(struct spool_file *f, void *buf, size_t len, uint64_t offset,
                        struct ou_cancel *cancel, struct ou_error *err)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = read_run(f, (char *)buf + done, len - done, offset + done, cancel, err);

        if (n == -EAGAIN)
            continue;
        if (n < 0)
            return n;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

bool spool_file_local(struct spool_file *f, uint64_t offset, size_t len)
{
    uint64_t end;

    ou_lock_scope(&f->lock);
    if (offset >= f->size)
        return true;
    end = len < f->size - offset ? offset + len : f->size;
    while (offset < end) {
        struct extent e = extent_map_at(&f->live, offset);

        if (e.slot == EXTENT_SENT || (e.slot == EXTENT_NONE && offset < f->base_limit))
            return false;
        offset += e.size < end - offset ? e.size : end - offset;
    }
    return true;
}

int spool_file_seek(struct spool_file *f, uint64_t offset, int whence, uint64_t *result,
                    struct ou_error *err)
{
    if (whence != SEEK_DATA && whence != SEEK_HOLE)
        return ou_error_set(err, EINVAL, "seek");
    ou_lock_scope(&f->lock);
    if (offset >= f->size)
        return ou_error_set(err, ENXIO, "seek beyond the end");
    while (offset < f->size) {
        struct extent e = extent_map_at(&f->live, offset);
        bool data = e.slot == EXTENT_A || e.slot == EXTENT_B || e.slot == EXTENT_SENT;
        uint64_t run = e.size;

        if (e.slot == EXTENT_NONE && offset < f->base_limit) {
            data = true;
            if (run > f->base_limit - offset)
                run = f->base_limit - offset;
        }
        if (data == (whence == SEEK_DATA)) {
            *result = offset;
            return 0;
        }
        offset += run < f->size - offset ? run : f->size - offset;
    }
    if (whence == SEEK_DATA)
        return ou_error_set(err, ENXIO, "no data beyond");
    *result = f->size; /* the end is a hole */
    return 0;
}

#include "server/datadir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_MAX_BYTES 32
#define DIRECTORIES    256u

static void file_name(uint64_t id, char name[NAME_MAX_BYTES])
{
    (void)snprintf(name, NAME_MAX_BYTES, "%02x/%016" PRIx64, (unsigned)(id % DIRECTORIES), id);
}

int srv_datadir_open(struct srv_datadir *d, const char *root)
{
    srv_autofree char *path = srv_xasprintf("%s/data", root);

    d->fd = -1;
    atomic_init(&d->next_id, 1);
    atomic_init(&d->closing, false);
    if (mkdir(path, 0700) < 0 && errno != EEXIST) {
        (void)fprintf(stderr, "oss-local-server: create %s: %s\n", path, strerror(errno));
        return -1;
    }
    d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (unsigned i = 0; d->fd >= 0 && i < DIRECTORIES; i++) {
        char name[8];

        (void)snprintf(name, sizeof(name), "%02x", i);
        if (mkdirat(d->fd, name, 0700) < 0 && errno != EEXIST)
            break;
        if (i == DIRECTORIES - 1)
            return 0;
    }
    (void)fprintf(stderr, "oss-local-server: open %s: %s\n", path, strerror(errno));
    return -1;
}

void srv_datadir_fini(struct srv_datadir *d)
{
    if (d->fd >= 0)
        (void)close(d->fd);
    d->fd = -1;
}

static void sweep_one(struct srv_datadir *d, const char *sub, bool (*known)(void *, uint64_t),
                      void *arg)
{
    int fd = openat(d->fd, sub, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    if (dir == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    while ((entry = readdir(dir)) != NULL) { // NOLINT(concurrency-mt-unsafe): a DIR of our own
        char *end = NULL;
        uint64_t id = strtoull(entry->d_name, &end, 16);

        if (entry->d_name[0] == '.' || *end != '\0')
            continue;
        if (!known(arg, id))
            (void)unlinkat(fd, entry->d_name, 0);
        else if (id >= d->next_id)
            d->next_id = id + 1;
    }
    (void)closedir(dir);
}

void srv_datadir_sweep(struct srv_datadir *d, bool (*known)(void *arg, uint64_t id), void *arg)
{
    for (unsigned i = 0; i < DIRECTORIES; i++) {
        char name[8];

        (void)snprintf(name, sizeof(name), "%02x", i);
        sweep_one(d, name, known, arg);
    }
}

int srv_datadir_open_file(struct srv_datadir *d, uint64_t id)
{
    char name[NAME_MAX_BYTES];

    file_name(id, name);
    return openat(d->fd, name, O_RDONLY | O_CLOEXEC);
}

void srv_datadir_forget(struct srv_datadir *d, uint64_t id)
{
    char name[NAME_MAX_BYTES];

    if (d->closing)
        return;
    file_name(id, name);
    (void)unlinkat(d->fd, name, 0);
}

void srv_writer_init(struct srv_writer *w, struct srv_datadir *dir, bool want_md5)
{
    *w = (struct srv_writer){.dir = dir, .fd = -1};
    srv_digest_init(&w->digest, want_md5);
}

void srv_writer_fini(struct srv_writer *w)
{
    if (w->dir == NULL)
        return;
    if (w->fd >= 0) {
        (void)close(w->fd);
        srv_datadir_forget(w->dir, w->id);
    }
    srv_digest_fini(&w->digest);
    free(w->marks);
    *w = (struct srv_writer){.fd = -1};
}

static int create_file(struct srv_writer *w)
{
    char name[NAME_MAX_BYTES];

    w->id = atomic_fetch_add(&w->dir->next_id, 1);
    file_name(w->id, name);
    w->fd = openat(w->dir->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return w->fd < 0 ? -1 : 0;
}

static void add_mark(struct srv_writer *w)
{
    if (w->mark_count == w->mark_cap) {
        w->mark_cap = w->mark_cap == 0 ? 8 : w->mark_cap * 2;
        w->marks = srv_xrealloc(w->marks, w->mark_cap * sizeof(*w->marks));
    }
    w->marks[w->mark_count++] = w->digest.crc;
}

static void digest(struct srv_writer *w, const char *p, size_t len)
{
    while (len > 0) {
        size_t room = (size_t)(SRV_MARK_BYTES - w->size % SRV_MARK_BYTES);
        size_t n = len < room ? len : room;

        srv_digest_add(&w->digest, p, n);
        w->size += n;
        if (n == room)
            add_mark(w);
        p += n;
        len -= n;
    }
}

int srv_writer_add(struct srv_writer *w, const void *data, size_t len, struct srv_error *err)
{
    const char *p = data;

    if (len == 0)
        return 0;
    if (w->fd < 0 && create_file(w) < 0)
        return srv_fail(err, "InternalError", "create a data file: %s", strerror(errno));
    digest(w, p, len);
    while (len > 0) {
        ssize_t n = write(w->fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return srv_fail(err, "InternalError", "write a data file: %s", strerror(errno));
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

struct srv_datafile *srv_writer_finish(struct srv_writer *w)
{
    struct srv_datafile *f = srv_xcalloc(1, sizeof(*f));

    atomic_init(&f->refs, 1);
    f->dir = w->dir;
    f->id = w->id;
    f->size = w->size;
    f->crc = w->digest.crc;
    f->has_md5 = srv_digest_md5(&w->digest, f->md5);
    f->marks = w->marks;
    f->mark_count = w->mark_count;
    w->marks = NULL;
    if (w->fd >= 0)
        (void)close(w->fd);
    w->fd = -1;
    return f;
}

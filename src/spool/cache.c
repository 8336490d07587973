/*
 * Reading from the cache and writing into it, segment by segment.
 *
 * A bit of .here is set before its block is written, so that two who fetched the same bytes do
 * not write and count them twice. Whether a block can be read its file alone tells.
 */
#include "spool/cache.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "spool/cache_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DISK_UNIT        UINT64_C(4096) /* what a file's end is rounded up to */
#define NEW_FILE         (SPOOL_SEGMENT_HEAD + SPOOL_SEGMENT_EXTENTS) /* its bytes, on the disk */
#define REMEMBER_USED_MS UINT64_C(60000) /* a file's time is its last use, to about so much */

/* -- the files -- */

/* The descriptor of an entry that the caller uses; its map is known then. Negative: no use. */
static int open_file(struct spool_cache *cache, struct spool_segment *e,
                     const struct spool_segment_id *id)
{
    struct ou_error err = OU_ERROR_INIT;
    struct spool_segment_map map;
    int fd = spool_segment_open(cache->dirfd, e->name, id, &err);
    bool loaded;

    if (fd == -ENOENT || fd == -EBADMSG)
        spool_cache_throw_away(cache, e);
    else if (fd < 0)
        spool_cache_trouble(cache, &err);
    if (fd < 0)
        return fd;
    ou_mutex_lock(&cache->lock);
    loaded = e->loaded;
    ou_mutex_unlock(&cache->lock);
    if (loaded)
        return fd;
    spool_segment_load(fd, &map);
    ou_lock_scope(&cache->lock);
    for (unsigned i = 0; i < SPOOL_SEGMENT_WORDS; i++)
        e->here.word[i] |= map.word[i];
    e->loaded = true;
    return fd;
}

/* The time of the file is what tells the next mount how recently it was used. */
static void remember_use(struct spool_cache *cache, struct spool_segment *e, int fd)
{
    uint64_t now = ou_now_ms();
    bool due;

    ou_mutex_lock(&cache->lock);
    due = !e->used_ms || now - e->used_ms > REMEMBER_USED_MS;
    if (due)
        e->used_ms = now;
    ou_mutex_unlock(&cache->lock);
    if (due)
        (void)futimens(fd, NULL);
}

/* -- get -- */

/* Blocks of an open segment, from byte @at of it. Return: bytes. */
static size_t read_blocks(struct spool_cache *cache, struct spool_segment *e, int fd,
                          const struct spool_segment_id *id, uint64_t at, char *buf, size_t len)
{
    ou_autofree char *scratch = NULL;
    struct ou_error err = OU_ERROR_INIT;
    size_t done = 0;

    while (done < len) {
        unsigned block = (unsigned)((at + done) / SPOOL_CACHE_BLOCK);
        size_t inside = (size_t)((at + done) % SPOOL_CACHE_BLOCK);
        size_t size = spool_segment_block_size(id, block), n;
        bool whole = inside == 0 && len - done >= size;
        int r;

        if (block >= SPOOL_CACHE_BLOCKS || size <= inside)
            break;
        if (!whole && !scratch && (scratch = malloc(SPOOL_CACHE_BLOCK)) == NULL)
            break;
        r = spool_segment_read(fd, block, whole ? buf + done : scratch, size, &err);
        if (r == -EBADMSG)
            spool_cache_throw_away(cache, e);
        else if (r < 0)
            spool_cache_trouble(cache, &err);
        if (r <= 0)
            break;
        n = size - inside < len - done ? size - inside : len - done;
        if (!whole)
            memcpy(buf + done, scratch + inside, n);
        done += n;
    }
    return done;
}

static size_t get_segment(struct spool_cache *cache, const struct spool_segment_id *id, uint64_t at,
                          char *buf, size_t len)
{
    char name[SPOOL_SEGMENT_NAME_SIZE];
    ou_autoclose int fd = -1;
    struct spool_segment *e;
    size_t done = 0;

    if (!spool_segment_name(id, name))
        return 0;
    ou_mutex_lock(&cache->lock);
    e = spool_cache_find_locked(cache, name);
    if (e && (e->leaving ||
              (e->loaded && !spool_segment_has(&e->here, (unsigned)(at / SPOOL_CACHE_BLOCK)))))
        e = NULL;
    if (e)
        spool_cache_use_locked(cache, e);
    ou_mutex_unlock(&cache->lock);
    if (!e)
        return 0;
    fd = open_file(cache, e, id);
    if (fd >= 0)
        done = read_blocks(cache, e, fd, id, at, buf, len);
    if (done)
        remember_use(cache, e, fd);
    spool_cache_unuse(cache, e);
    return done;
}

size_t spool_cache_get(struct spool_cache *cache, const struct xfer_version *version,
                       uint64_t offset, void *buf, size_t len)
{
    size_t done = 0;

    if (!cache || offset >= version->size)
        return 0;
    if (len > version->size - offset)
        len = (size_t)(version->size - offset);
    while (done < len) {
        const struct spool_segment_id id = {.version = version,
                                            .number = (offset + done) / SPOOL_CACHE_SEGMENT};
        size_t n = get_segment(cache, &id, (offset + done) % SPOOL_CACHE_SEGMENT,
                               (char *)buf + done, len - done);

        if (!n)
            break;
        done += n;
    }
    if (done) {
        ou_lock_scope(&cache->lock);
        cache->locked.hits += (done + SPOOL_CACHE_BLOCK - 1) / SPOOL_CACHE_BLOCK;
    }
    return done;
}

/* -- put -- */

/* Blocks [first, first + count) of a segment, whose bytes begin at .data. */
struct run {
    struct spool_segment_id id;
    char name[SPOOL_SEGMENT_NAME_SIZE];
    unsigned first, count;
    const char *data;
    uint64_t spare; /* see .spare() */
};

static struct spool_segment *make_locked(struct spool_cache *cache, const struct run *run,
                                         struct spool_segment_list *leaving, int *fd,
                                         struct ou_error *err)
{
    struct spool_segment *e;

    if (!spool_cache_make_room_locked(cache, NEW_FILE, NULL, run->spare, leaving))
        return NULL;
    e = TAILQ_FIRST(&cache->locked.lru);
    if (cache->locked.entries.count >= cache->files_max && e)
        spool_cache_leave_locked(cache, e, leaving);
    e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    *fd = spool_segment_make(cache->dirfd, run->name, &run->id, err);
    if (*fd < 0) {
        free(e);
        return NULL;
    }
    memcpy(e->name, run->name, sizeof(e->name));
    e->loaded = true;
    e->bytes = NEW_FILE;
    e->used_ms = ou_now_ms();
    spool_cache_insert_locked(cache, e);
    return e;
}

/* The run's entry, in use, and its file; NULL: it is not to be kept. */
static struct spool_segment *open_run(struct spool_cache *cache, const struct run *run, int *fd)
{
    struct spool_segment_list leaving = TAILQ_HEAD_INITIALIZER(leaving);
    struct ou_error err = OU_ERROR_INIT;
    struct spool_segment *e;

    ou_mutex_lock(&cache->lock);
    e = spool_cache_find_locked(cache, run->name);
    if (!e)
        e = make_locked(cache, run, &leaving, fd, &err);
    else if (e->leaving)
        e = NULL;
    if (e)
        spool_cache_use_locked(cache, e);
    ou_mutex_unlock(&cache->lock);
    spool_cache_see_off(cache, &leaving);
    if (err.errnum)
        spool_cache_trouble(cache, &err);
    if (e && *fd < 0 && (*fd = open_file(cache, e, &run->id)) < 0) {
        spool_cache_unuse(cache, e);
        e = NULL;
    }
    return e;
}

static uint64_t on_disk(const struct run *run, unsigned block)
{
    uint64_t size = spool_segment_block_size(&run->id, block);

    return (size + DISK_UNIT - 1) / DISK_UNIT * DISK_UNIT;
}

/* Those of the run's blocks that nobody has written or writes; they are counted from now on. */
static void claim(struct spool_cache *cache, struct spool_segment *e, const struct run *run,
                  struct spool_segment_map *claimed)
{
    struct spool_segment_list leaving = TAILQ_HEAD_INITIALIZER(leaving);
    uint64_t bytes = 0;

    *claimed = (struct spool_segment_map){{0}};
    ou_mutex_lock(&cache->lock);
    for (unsigned b = run->first; b < run->first + run->count; b++) {
        if (spool_segment_has(&e->here, b))
            continue;
        claimed->word[b / 64] |= UINT64_C(1) << (b % 64);
        bytes += on_disk(run, b);
    }
    if (e->leaving ||
        (bytes && !spool_cache_make_room_locked(cache, bytes, e, run->spare, &leaving)))
        *claimed = (struct spool_segment_map){{0}};
    else {
        for (unsigned i = 0; i < SPOOL_SEGMENT_WORDS; i++)
            e->here.word[i] |= claimed->word[i];
        e->bytes += bytes;
        cache->locked.used += bytes;
    }
    ou_mutex_unlock(&cache->lock);
    spool_cache_see_off(cache, &leaving);
}

/* Block @from of the run and what was claimed behind it could not be written. */
static void disclaim(struct spool_cache *cache, struct spool_segment *e, const struct run *run,
                     const struct spool_segment_map *claimed, unsigned from)
{
    ou_lock_scope(&cache->lock);
    for (unsigned b = from; b < run->first + run->count; b++) {
        if (!spool_segment_has(claimed, b))
            continue;
        e->here.word[b / 64] &= ~(UINT64_C(1) << (b % 64));
        e->bytes -= on_disk(run, b);
        if (!e->leaving)
            cache->locked.used -= on_disk(run, b);
    }
}

static void put_run(struct spool_cache *cache, struct run *run)
{
    struct ou_error err = OU_ERROR_INIT;
    struct spool_cache_numbers numbers;
    struct spool_segment_map claimed;
    ou_autoclose int fd = -1;
    struct spool_segment *e;

    if (!spool_segment_name(&run->id, run->name))
        return;
    spool_cache_numbers(cache, &numbers);
    run->spare = cache->spare ? cache->spare(cache->ctx, numbers.used) : UINT64_MAX;
    e = open_run(cache, run, &fd);
    if (!e)
        return;
    claim(cache, e, run, &claimed);
    for (unsigned b = run->first; b < run->first + run->count; b++) {
        const char *data = run->data + (b - run->first) * SPOOL_CACHE_BLOCK;

        if (!spool_segment_has(&claimed, b))
            continue;
        if (spool_segment_write(fd, b, data, spool_segment_block_size(&run->id, b), &err) < 0) {
            disclaim(cache, e, run, &claimed, b);
            spool_cache_trouble(cache, &err);
            break;
        }
    }
    spool_cache_unuse(cache, e);
}

void spool_cache_put(struct spool_cache *cache, const struct xfer_version *version, uint64_t offset,
                     const void *data, size_t len)
{
    uint64_t at = (offset + SPOOL_CACHE_BLOCK - 1) / SPOOL_CACHE_BLOCK, end = offset + len;
    uint64_t block_end =
        (end == version->size ? end + SPOOL_CACHE_BLOCK - 1 : end) / SPOOL_CACHE_BLOCK;

    if (!cache || !len || end > version->size)
        return;
    if (at < block_end) {
        ou_lock_scope(&cache->lock);
        cache->locked.misses += block_end - at;
    }
    while (at < block_end) {
        struct run run = {.id = {.version = version, .number = at / SPOOL_CACHE_BLOCKS},
                          .first = (unsigned)(at % SPOOL_CACHE_BLOCKS),
                          .data = (const char *)data + (at * SPOOL_CACHE_BLOCK - offset)};
        uint64_t count = block_end - at;

        if (count > SPOOL_CACHE_BLOCKS - run.first)
            count = SPOOL_CACHE_BLOCKS - run.first;
        run.count = (unsigned)count;
        put_run(cache, &run);
        at += count;
    }
}

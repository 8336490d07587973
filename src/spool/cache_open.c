/*
 * The read cache's life: its directory is its memory, the times of its files are their order.
 */
#include "spool/cache.h"

#include "base/cleanup.h"
#include "spool/cache_table.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct found {
    struct spool_segment *entry;
    struct timespec used;
};

static int by_use(const void *a, const void *b)
{
    const struct found *x = a, *y = b;

    if (x->used.tv_sec != y->used.tv_sec)
        return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    return x->used.tv_nsec < y->used.tv_nsec ? -1 : x->used.tv_nsec > y->used.tv_nsec;
}

struct found_list {
    struct found *items;
    size_t count, room;
};

static void found_fini(struct found_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].entry);
    free(list->items);
}

static int add(struct found_list *list, const char *name, const struct stat *st)
{
    struct spool_segment *e;

    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 256;
        struct found *grown = reallocarray(list->items, room, sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        list->items = grown;
        list->room = room;
    }
    e = calloc(1, sizeof(*e));
    if (!e)
        return -ENOMEM;
    memcpy(e->name, name, sizeof(e->name));
    e->bytes = (uint64_t)st->st_blocks * 512;
    if (e->bytes < SPOOL_SEGMENT_HEAD)
        e->bytes = SPOOL_SEGMENT_HEAD;
    e->bytes += SPOOL_SEGMENT_EXTENTS;
    list->items[list->count++] = (struct found){.entry = e, .used = st->st_mtim};
    return 0;
}

/* What there is no memory for is removed: nobody would ever count it. */
static void scan(int dirfd, DIR *dir, struct found_list *list)
{
    const struct dirent *e;

    while ((e = readdir(dir)) != NULL) {
        struct stat st;

        if (!spool_segment_is_name(e->d_name) ||
            fstatat(dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (!S_ISREG(st.st_mode) || st.st_size < SPOOL_SEGMENT_HEAD ||
            add(list, e->d_name, &st) < 0)
            (void)unlinkat(dirfd, e->d_name, 0);
    }
}

static DIR *open_listing(int dirfd)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir && fd >= 0)
        (void)close(fd);
    return dir;
}

static int read_files(struct spool_cache *cache, struct ou_error *err)
{
    ou_auto(found_fini) struct found_list list = {0};
    struct spool_segment_list leaving = TAILQ_HEAD_INITIALIZER(leaving);
    DIR *dir = open_listing(cache->dirfd);

    if (!dir)
        return ou_error_set(err, errno, "read the directory " SPOOL_CACHE_NAME);
    scan(cache->dirfd, dir, &list);
    (void)closedir(dir);
    if (list.count)
        qsort(list.items, list.count, sizeof(*list.items), by_use);
    ou_mutex_lock(&cache->lock);
    for (size_t i = 0; i < list.count; i++) {
        spool_cache_insert_locked(cache, list.items[i].entry);
        list.items[i].entry = NULL;
    }
    (void)spool_cache_make_room_locked(cache, 0, NULL, UINT64_MAX, &leaving);
    ou_mutex_unlock(&cache->lock);
    spool_cache_see_off(cache, &leaving);
    return 0;
}

int spool_cache_open(const struct spool_cache_config *config, struct spool_cache **out,
                     struct ou_error *err)
{
    struct spool_cache *cache = calloc(1, sizeof(*cache));
    int r;

    if (!cache)
        return ou_error_set(err, ENOMEM, "open the cache");
    cache->limit = config->limit;
    cache->files_max = config->files_max ? config->files_max : SPOOL_CACHE_FILES_MAX;
    cache->spare = config->spare;
    cache->ctx = config->ctx;
    ou_mutex_init(&cache->lock, SPOOL_RANK_CACHE);
    TAILQ_INIT(&cache->locked.lru);
    (void)mkdirat(config->dirfd, SPOOL_CACHE_NAME, 0700);
    cache->dirfd =
        openat(config->dirfd, SPOOL_CACHE_NAME, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    r = cache->dirfd < 0 ? ou_error_set(err, errno, "open the directory " SPOOL_CACHE_NAME)
                         : read_files(cache, err);
    if (r < 0) {
        spool_cache_close(cache);
        return r;
    }
    *out = cache;
    return 0;
}

void spool_cache_close(struct spool_cache *cache)
{
    struct spool_segment *e;

    if (!cache)
        return;
    while ((e = TAILQ_FIRST(&cache->locked.lru)) != NULL) {
        TAILQ_REMOVE(&cache->locked.lru, e, in_list);
        free(e);
    }
    spool_table_fini(&cache->locked.entries);
    if (cache->dirfd >= 0)
        (void)close(cache->dirfd);
    ou_mutex_fini(&cache->lock);
    free(cache);
}

void spool_cache_remove(int dirfd)
{
    ou_autoclose int fd =
        openat(dirfd, SPOOL_CACHE_NAME, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : open_listing(fd);
    const struct dirent *e;

    if (!dir)
        return;
    while ((e = readdir(dir)) != NULL) {
        if (spool_segment_is_name(e->d_name))
            (void)unlinkat(fd, e->d_name, 0);
    }
    (void)closedir(dir);
    (void)unlinkat(dirfd, SPOOL_CACHE_NAME, AT_REMOVEDIR);
}

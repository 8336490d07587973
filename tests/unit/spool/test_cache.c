/* The read cache: what it gives back is right or nothing, and it keeps to its bounds. */
#include "unit/unit.h"

#include "base/cleanup.h"
#include "base/thread.h"
#include "spool/cache.h"
#include "spool/cache_segment.h"
#include "transfer/reader.h"

#include <dirent.h>
#include <stdatomic.h>

#define KIB   UINT64_C(1024)
#define MIB   (KIB * 1024)
#define BLOCK SPOOL_CACHE_BLOCK
#define LIMIT (64 * MIB)

static atomic_int failing_errno; /* of writes; 0: they work */

ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t offset)
{
    errno = failing_errno;
    return errno ? -1 : __real_pwrite64(fd, buf, len, offset);
}

/* -- objects whose bytes are a function of their version and offset -- */

static unsigned char pattern[1048583];

static int make_pattern(void **state)
{
    struct unit_random random = {3};

    (void)state;
    unit_random_bytes(&random, pattern, sizeof(pattern));
    return 0;
}

static void fill(const struct xfer_version *v, uint64_t offset, unsigned char *out, size_t len)
{
    uint64_t shift = (uint64_t)v->etag[0] * 7919 + (uint64_t)v->key[0] * 104729 + v->size;

    for (size_t done = 0, n; done < len; done += n) {
        size_t at = (size_t)((offset + done + shift) % sizeof(pattern));

        n = len - done < sizeof(pattern) - at ? len - done : sizeof(pattern) - at;
        memcpy(out + done, pattern + at, n);
    }
}

static void put(struct spool_cache *cache, const struct xfer_version *v, uint64_t offset,
                size_t len)
{
    ou_autofree unsigned char *data = malloc(len);

    assert_non_null(data);
    fill(v, offset, data, len);
    spool_cache_put(cache, v, offset, data, len);
}

/* How much it has; what it gives is compared. */
static size_t get(struct spool_cache *cache, const struct xfer_version *v, uint64_t offset,
                  size_t len)
{
    ou_autofree unsigned char *got = malloc(len), *right = malloc(len);
    size_t n = spool_cache_get(cache, v, offset, got, len);

    fill(v, offset, right, n);
    assert_memory_equal(got, right, n);
    return n;
}

/* -- caches in *state, a directory -- */

static struct spool_cache *open_limited(const char *dir, struct spool_cache_config config)
{
    ou_autoclose int fd = unit_open_dir(dir);
    struct spool_cache *cache = NULL;
    struct ou_error err = OU_ERROR_INIT;

    config.dirfd = fd;
    if (!config.limit)
        config.limit = LIMIT;
    if (spool_cache_open(&config, &cache, &err) < 0)
        fail_msg("%s", err.message);
    return cache;
}

static struct spool_cache *open_cache(const char *dir)
{
    return open_limited(dir, (struct spool_cache_config){.limit = LIMIT});
}

static struct spool_cache_numbers numbers(struct spool_cache *cache)
{
    struct spool_cache_numbers n;

    spool_cache_numbers(cache, &n);
    return n;
}

static char *file_path(const char *dir, const struct xfer_version *v, uint64_t number)
{
    const struct spool_segment_id id = {.version = v, .number = number};
    char name[SPOOL_SEGMENT_NAME_SIZE];
    char *path = malloc(4096);

    assert_true(spool_segment_name(&id, name));
    (void)snprintf(path, 4096, "%s/%s/%s", dir, SPOOL_CACHE_NAME, name);
    return path;
}

static uint64_t bytes_on_disk(const char *dir)
{
    char path[4096];
    uint64_t bytes = 0;
    struct dirent *e;
    DIR *d;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, SPOOL_CACHE_NAME);
    d = opendir(path);
    assert_non_null(d);
    while ((e = readdir(d)) != NULL) {
        struct stat st;

        assert_int_equal(fstatat(dirfd(d), e->d_name, &st, 0), 0);
        if (S_ISREG(st.st_mode)) {
            assert_int_equal(st.st_mode & 0777, 0600);
            bytes += (uint64_t)st.st_blocks * 512;
        }
    }
    (void)closedir(d);
    return bytes;
}

static void what_was_put_is_got(void **state)
{
    const struct xfer_version v = {.key = "a/b", .etag = "E1", .size = 70 * MIB + 777};
    const struct xfer_version small = {.key = "small", .etag = "S", .size = 5};
    struct spool_cache *cache = open_limited(*state, (struct spool_cache_config){.limit = 1 << 30});

    assert_int_equal(get(cache, &v, 0, 100), 0);
    for (uint64_t at = 0; at < v.size; at += 7 * MIB) /* across the segments' bounds, too */
        put(cache, &v, at, (size_t)(v.size - at < 7 * MIB ? v.size - at : 7 * MIB));
    for (uint64_t at = 0; at < v.size; at += 9 * MIB + 1)
        assert_int_equal(get(cache, &v, at, 10 * MIB),
                         v.size - at < 10 * MIB ? v.size - at : 10 * MIB);
    assert_int_equal(get(cache, &v, 32 * MIB - 10, 20), 20);
    assert_int_equal(get(cache, &v, v.size - 1, 20), 1);
    assert_int_equal(get(cache, &v, v.size, 20), 0);
    put(cache, &small, 0, 5);
    assert_int_equal(get(cache, &small, 2, 10), 3);
    assert_int_equal(numbers(cache).files, 4);
    assert_true(numbers(cache).used >= v.size);
    spool_cache_close(cache);
}

static void only_whole_blocks_are_kept(void **state)
{
    const struct xfer_version v = {.key = "k", .etag = "E1", .size = 10 * BLOCK + 9};
    struct spool_cache *cache = open_cache(*state);

    put(cache, &v, 1, BLOCK);
    assert_int_equal(numbers(cache).files, 0);
    put(cache, &v, BLOCK + 1, 3 * BLOCK);
    assert_int_equal(get(cache, &v, BLOCK, BLOCK), 0);
    assert_int_equal(get(cache, &v, 2 * BLOCK + 3, 5 * BLOCK), 2 * BLOCK - 3);
    put(cache, &v, 10 * BLOCK, 8);
    assert_int_equal(get(cache, &v, 10 * BLOCK, 9), 0);
    put(cache, &v, 10 * BLOCK - 5, 14);
    assert_int_equal(get(cache, &v, 10 * BLOCK, 9), 9);
    spool_cache_close(cache);
}

static void another_version_finds_nothing(void **state)
{
    const struct xfer_version v = {.key = "k", .etag = "E1", .size = BLOCK};
    const struct xfer_version others[] = {{.key = "k", .etag = "E2", .size = BLOCK},
                                          {.key = "k", .etag = "E1", .size = BLOCK + 1},
                                          {.key = "k2", .etag = "E1", .size = BLOCK},
                                          {.key = "k", .etag = "", .size = BLOCK}};
    struct spool_cache *cache = open_cache(*state);

    put(cache, &v, 0, BLOCK);
    put(cache, &others[3], 0, BLOCK); /* no ETag: nothing tells it from a later version */
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        assert_int_equal(get(cache, &others[i], 0, 10), 0);
    assert_int_equal(get(cache, &v, 0, 10), 10);
    spool_cache_close(cache);
}

/* Two identities with one name: the file tells whose it is. */
static void a_file_of_another_object_is_not_read(void **state)
{
    const struct xfer_version a = {.key = "a", .etag = "E", .size = BLOCK};
    const struct xfer_version b = {.key = "b", .etag = "E", .size = BLOCK};
    struct spool_cache *cache = open_cache(*state);
    ou_autofree char *a_path = file_path(*state, &a, 0), *b_path = file_path(*state, &b, 0);

    put(cache, &a, 0, BLOCK);
    put(cache, &b, 0, BLOCK);
    assert_int_equal(rename(a_path, b_path), 0);
    assert_int_equal(get(cache, &b, 0, BLOCK), 0);
    assert_int_equal(get(cache, &a, 0, BLOCK), 0);
    put(cache, &b, 0, BLOCK);
    assert_int_equal(get(cache, &b, 0, BLOCK), BLOCK);
    spool_cache_close(cache);
}

static void the_bound_holds(void **state)
{
    struct spool_cache *cache = open_limited(*state, (struct spool_cache_config){.limit = 8 * MIB});
    struct unit_random random = {9};

    for (unsigned i = 0; i < 400; i++) {
        char etag[2] = {(char)('A' + unit_random_below(&random, 20)), '\0'};
        const struct xfer_version v = {.key = "k", .etag = etag, .size = 40 * MIB + 3};
        uint64_t at = unit_random_below(&random, 300) * BLOCK;

        put(cache, &v, at, (size_t)(1 + unit_random_below(&random, 8)) * BLOCK);
        assert_true(numbers(cache).used <= 8 * MIB);
        assert_true(bytes_on_disk(*state) <= 8 * MIB);
    }
    assert_true(numbers(cache).used > 4 * MIB);
    spool_cache_close(cache);
}

/* Many extents cost ext4 a block more, from the moment that they are on the disk. */
static void the_extents_of_a_scattered_file_are_counted(void **state)
{
    const struct xfer_version v = {.key = "k", .etag = "E", .size = 32 * MIB};
    struct spool_cache *cache = open_limited(*state, (struct spool_cache_config){.limit = 1 << 30});
    ou_autofree char *path = file_path(*state, &v, 0);
    ou_autoclose int fd = -1;

    for (uint64_t block = 0; block < 40; block += 2)
        put(cache, &v, block * BLOCK, BLOCK);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fsync(fd), 0);
    assert_true(bytes_on_disk(*state) <= numbers(cache).used);
    spool_cache_close(cache);
}

static void the_least_recently_used_goes_first(void **state)
{
    const struct xfer_version v[] = {{.key = "a", .etag = "E", .size = 2 * MIB},
                                     {.key = "b", .etag = "E", .size = 2 * MIB},
                                     {.key = "c", .etag = "E", .size = 2 * MIB},
                                     {.key = "d", .etag = "E", .size = 2 * MIB}};
    struct spool_cache *cache = open_limited(*state, (struct spool_cache_config){.limit = 7 * MIB});

    for (int i = 0; i < 3; i++)
        put(cache, &v[i], 0, 2 * MIB);
    assert_int_equal(get(cache, &v[0], 0, 10), 10);
    put(cache, &v[3], 0, 2 * MIB);
    assert_int_equal(get(cache, &v[1], 0, 10), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(get(cache, &v[i], 0, 10), i == 1 ? 0 : 10);
    spool_cache_close(cache);
}

static void it_survives_a_remount_with_its_order(void **state)
{
    const struct xfer_version v[] = {{.key = "a", .etag = "E", .size = 2 * MIB + 1},
                                     {.key = "b", .etag = "E", .size = 2 * MIB + 1},
                                     {.key = "c", .etag = "E", .size = 2 * MIB + 1}};
    struct spool_cache *cache = open_cache(*state);
    uint64_t used;

    for (int i = 0; i < 3; i++) {
        ou_autofree char *path = file_path(*state, &v[i], 0);
        const struct timespec times[2] = {{.tv_sec = 1000 - i}, {.tv_sec = 1000 - i}};

        put(cache, &v[i], 0, 2 * MIB + 1);
        assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    }
    used = numbers(cache).used;
    spool_cache_close(cache);

    cache = open_cache(*state);
    assert_int_equal(numbers(cache).used, used);
    assert_int_equal(get(cache, &v[1], 5, MIB), MIB);
    assert_int_equal(numbers(cache).used, used);
    spool_cache_close(cache);

    /* b was just used, so a is the second, and c the first to go */
    cache = open_limited(*state, (struct spool_cache_config){.limit = 5 * MIB});
    assert_int_equal(numbers(cache).files, 2);
    assert_int_equal(get(cache, &v[0], 0, 10), 10);
    assert_int_equal(get(cache, &v[1], 0, 10), 10);
    assert_int_equal(get(cache, &v[2], 0, 10), 0);
    spool_cache_close(cache);
}

static void damage(const char *path, uint64_t offset)
{
    ou_autoclose int fd = open(path, O_RDWR | O_CLOEXEC);
    unsigned char byte;

    assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
}

static void make_hole(const char *path, uint64_t offset, uint64_t size)
{
    ou_autoclose int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_int_equal(
        fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size), 0);
}

/* What a power cut may leave of a file: any of its writes, and any part of them, is missing. */
static void damaged_bytes_are_never_served(void **state)
{
    const struct xfer_version v = {.key = "k", .etag = "E", .size = 3 * BLOCK + 100};
    const struct xfer_version other = {.key = "o", .etag = "E", .size = BLOCK};
    ou_autofree char *path = file_path(*state, &v, 0);

    for (int kind = 0; kind < 8; kind++) {
        for (int remount = 0; remount < 2; remount++) {
            struct spool_cache *cache = open_cache(*state);

            put(cache, &other, 0, BLOCK);
            put(cache, &v, 0, 3 * BLOCK + 100);
            assert_int_equal(get(cache, &v, 0, 4 * BLOCK), 3 * BLOCK + 100);
            if (remount)
                spool_cache_close(cache);
            if (kind == 0)
                damage(path, SPOOL_SEGMENT_HEAD + BLOCK + 17); /* a bit of block 1 */
            else if (kind == 1)
                make_hole(path, SPOOL_SEGMENT_HEAD + BLOCK, 4096); /* its first page is missing */
            else if (kind == 2)
                damage(path, 2048 + 8); /* its CRC-64 */
            else if (kind == 3)
                damage(path, 130); /* the key */
            else if (kind == 4)
                assert_int_equal(truncate(path, 100), 0);
            else if (kind == 5)
                assert_int_equal(truncate(path, SPOOL_SEGMENT_HEAD + BLOCK + 4096), 0);
            else if (kind == 6)
                make_hole(path, 0, SPOOL_SEGMENT_HEAD);
            else
                assert_int_equal(unlink(path), 0);
            if (remount)
                cache = open_cache(*state);
            assert_true(get(cache, &v, 0, 4 * BLOCK) <= BLOCK);
            assert_int_equal(get(cache, &v, BLOCK, BLOCK), 0);
            assert_int_equal(get(cache, &other, 0, BLOCK), BLOCK);
            put(cache, &v, 0, 3 * BLOCK + 100); /* it is kept anew */
            assert_int_equal(get(cache, &v, 0, 4 * BLOCK), 3 * BLOCK + 100);
            assert_int_equal(numbers(cache).files, 2);
            (void)spool_cache_evict(cache, UINT64_MAX);
            assert_int_equal(numbers(cache).used, 0);
            assert_int_equal(bytes_on_disk(*state), 0);
            spool_cache_close(cache);
        }
    }
}

static void a_full_disk_fails_nothing(void **state)
{
    static const int errors[] = {ENOSPC, EIO, EDQUOT};
    const struct xfer_version v = {.key = "k", .etag = "E", .size = 40 * MIB};
    const struct xfer_version w = {.key = "w", .etag = "E", .size = MIB};
    struct spool_cache *cache = open_cache(*state);
    uint64_t used;

    put(cache, &v, 0, MIB);
    used = numbers(cache).used;
    for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
        failing_errno = errors[i];
        put(cache, &v, MIB, MIB);
        put(cache, &w, 0, MIB);
        failing_errno = 0;
        assert_int_equal(get(cache, &v, MIB, MIB), 0);
        assert_int_equal(get(cache, &w, 0, MIB), 0);
        assert_int_equal(get(cache, &v, 0, MIB), MIB);
        assert_int_equal(numbers(cache).used, used);
    }
    put(cache, &v, MIB, MIB);
    put(cache, &w, 0, MIB);
    assert_int_equal(get(cache, &v, 0, 2 * MIB), 2 * MIB);
    assert_int_equal(get(cache, &w, 0, MIB), MIB);
    spool_cache_close(cache);
}

static void a_directory_that_vanished_fails_nothing(void **state)
{
    const struct xfer_version v = {.key = "k", .etag = "E", .size = MIB};
    struct spool_cache *cache = open_cache(*state);
    char path[4096];

    (void)snprintf(path, sizeof(path), "%s/%s", (const char *)*state, SPOOL_CACHE_NAME);
    assert_int_equal(rmdir(path), 0);
    put(cache, &v, 0, MIB);
    assert_int_equal(get(cache, &v, 0, MIB), 0);
    assert_int_equal(numbers(cache).used, 0);
    spool_cache_close(cache);
}

static uint64_t spare_bytes;

static uint64_t spare(void *ctx, uint64_t used)
{
    (void)ctx;
    return spare_bytes > used ? spare_bytes - used : 0;
}

static void it_grows_into_what_is_spare_only(void **state)
{
    const struct xfer_version v[] = {{.key = "a", .etag = "E", .size = MIB},
                                     {.key = "b", .etag = "E", .size = MIB},
                                     {.key = "c", .etag = "E", .size = 10 * MIB}};
    struct spool_cache *cache =
        open_limited(*state, (struct spool_cache_config){.limit = LIMIT, .spare = spare});

    spare_bytes = 0;
    put(cache, &v[0], 0, MIB);
    assert_int_equal(numbers(cache).used, 0);
    spare_bytes = 2 * MIB;
    put(cache, &v[0], 0, MIB);
    assert_int_equal(get(cache, &v[0], 0, MIB), MIB);
    put(cache, &v[1], 0, MIB); /* in the place of the other */
    assert_int_equal(get(cache, &v[0], 0, MIB), 0);
    assert_int_equal(get(cache, &v[1], 0, MIB), MIB);
    put(cache, &v[2], 0, 10 * MIB); /* nobody has to go for what does not fit anyhow */
    assert_true(numbers(cache).used <= 2 * MIB);
    spool_cache_close(cache);
}

static void evict_gives_back_what_is_asked_for(void **state)
{
    struct spool_cache *cache = open_cache(*state);
    uint64_t used, freed;

    for (const char *c = "abcdefghij"; *c; c++) {
        const char key[2] = {*c, '\0'};
        const struct xfer_version v = {.key = key, .etag = "E", .size = MIB};

        put(cache, &v, 0, MIB);
    }
    used = numbers(cache).used;
    freed = spool_cache_evict(cache, 3 * MIB);
    assert_true(freed >= 3 * MIB && freed <= 4 * MIB);
    assert_int_equal(numbers(cache).used, used - freed);
    assert_true(bytes_on_disk(*state) <= used - freed);
    assert_int_equal(spool_cache_evict(cache, UINT64_MAX), used - freed);
    assert_int_equal(spool_cache_evict(cache, 1), 0);
    assert_int_equal(spool_cache_evict(NULL, 1), 0);
    spool_cache_close(cache);
}

static void the_number_of_files_is_bounded(void **state)
{
    struct spool_cache *cache =
        open_limited(*state, (struct spool_cache_config){.limit = LIMIT, .files_max = 10});

    for (unsigned i = 0; i < 50; i++) {
        char key[16];
        const struct xfer_version v = {.key = key, .etag = "E", .size = 5};

        (void)snprintf(key, sizeof(key), "%u", i);
        put(cache, &v, 0, 5);
        assert_true(numbers(cache).files <= 10);
        assert_int_equal(get(cache, &v, 0, 5), 5);
    }
    spool_cache_close(cache);
}

static void removing_leaves_nothing(void **state)
{
    const struct xfer_version v = {.key = "k", .etag = "E", .size = MIB};
    struct spool_cache *cache = open_cache(*state);
    ou_autoclose int fd = unit_open_dir(*state);

    put(cache, &v, 0, MIB);
    spool_cache_close(cache);
    spool_cache_remove(fd);
    assert_int_equal(faccessat(fd, SPOOL_CACHE_NAME, F_OK, 0), -1);
    spool_cache_remove(fd);
}

struct worker {
    pthread_t thread;
    struct spool_cache *cache;
    struct unit_random random;
    uint64_t got;
};

static void *work(void *arg)
{
    struct worker *w = arg;

    for (unsigned i = 0; i < 300; i++) {
        const char etag[2] = {(char)('A' + unit_random_below(&w->random, 6)), '\0'};
        const struct xfer_version v = {.key = "k", .etag = etag, .size = 34 * MIB + 1000};
        uint64_t at = unit_random_below(&w->random, v.size);
        size_t len = (size_t)unit_random_below(&w->random, 2 * MIB) + 1;

        if (len > v.size - at)
            len = (size_t)(v.size - at);
        switch (unit_random_below(&w->random, 16)) {
        case 0:
            (void)spool_cache_evict(w->cache, unit_random_below(&w->random, 4 * MIB));
            break;
        case 1:
        case 2:
        case 3:
        case 4:
            put(w->cache, &v, at, len);
            break;
        default:
            w->got += get(w->cache, &v, at, len);
        }
    }
    return NULL;
}

static void many_threads_get_right_bytes(void **state)
{
    struct spool_cache *cache =
        open_limited(*state, (struct spool_cache_config){.limit = 24 * MIB});
    struct worker workers[6];
    struct ou_error err = OU_ERROR_INIT;
    uint64_t got = 0;

    for (unsigned i = 0; i < 6; i++) {
        workers[i] = (struct worker){.cache = cache, .random = {i + 1}};
        assert_int_equal(ou_thread_start(&workers[i].thread, "worker", work, &workers[i], &err), 0);
    }
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        got += workers[i].got;
    }
    assert_true(got > 0);
    assert_int_equal(numbers(cache).damaged, 0);
    assert_true(numbers(cache).used <= 24 * MIB);
    assert_true(bytes_on_disk(*state) <= numbers(cache).used);
    spool_cache_close(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_in_dir(what_was_put_is_got),
        unit_test_in_dir(only_whole_blocks_are_kept),
        unit_test_in_dir(another_version_finds_nothing),
        unit_test_in_dir(a_file_of_another_object_is_not_read),
        unit_test_in_dir(the_bound_holds),
        unit_test_in_dir(the_extents_of_a_scattered_file_are_counted),
        unit_test_in_dir(the_least_recently_used_goes_first),
        unit_test_in_dir(it_survives_a_remount_with_its_order),
        unit_test_in_dir(damaged_bytes_are_never_served),
        unit_test_in_dir(a_full_disk_fails_nothing),
        unit_test_in_dir(a_directory_that_vanished_fails_nothing),
        unit_test_in_dir(it_grows_into_what_is_spare_only),
        unit_test_in_dir(evict_gives_back_what_is_asked_for),
        unit_test_in_dir(the_number_of_files_is_bounded),
        unit_test_in_dir(removing_leaves_nothing),
        unit_test_in_dir(many_threads_get_right_bytes),
    };

    return cmocka_run_group_tests(tests, make_pattern, NULL);
}

/*
 * Property: whatever is done to the live version, what a crash finds is the last stable version,
 * whole; and after a power cut the last synced one.
 *
 * Random histories against an obvious model (three byte arrays). A power cut is made from what
 * fdatasync() was told of: everything since may have reached the disk, page by page, or not.
 */
#include "spool_bucket.h"

#include <fcntl.h>

#define FILE_MAX   (64 * KIB)
#define HISTORIES  10
#define OPERATIONS 120
#define PAGE       ((size_t)4096)

struct model_version {
    unsigned char data[FILE_MAX];
    uint64_t size;
    bool exists;
};

static struct model_version live, base;
/* The stable versions since the last fsync, that one first. A later one may have been synced by
 * the way; whichever is found must be whole. */
static struct model_version stable[OPERATIONS + 1];
static size_t stable_count;
static bool any_synced;
static struct unit_random rng;

/* -- what a disk would have kept -- */

#define TRACKED 16
static struct {
    bool on;
    struct {
        ino_t inode;
        struct ou_buf content;
    } files[TRACKED];
    size_t count;
} disk;

static void disk_reset(void)
{
    for (size_t i = 0; i < disk.count; i++)
        ou_buf_fini(&disk.files[i].content);
    disk.count = 0;
}

static struct ou_buf *disk_file(ino_t inode, bool create)
{
    for (size_t i = 0; i < disk.count; i++)
        if (disk.files[i].inode == inode)
            return &disk.files[i].content;
    if (!create)
        return NULL;
    assert_true(disk.count < TRACKED);
    disk.files[disk.count].inode = inode;
    return &disk.files[disk.count++].content;
}

static void disk_note(int fd)
{
    struct stat st;
    struct ou_buf *content;
    struct ou_error err = OU_ERROR_INIT;

    if (!disk.on || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return;
    content = disk_file(st.st_ino, true);
    ou_buf_clear(content);
    for (off_t at = 0; at < st.st_size; at += (off_t)PAGE) {
        char page[PAGE];
        ssize_t n = ou_pread_full(fd, page, sizeof(page), (uint64_t)at, &err);

        assert_true(n >= 0);
        ou_buf_add(content, page, (size_t)n);
    }
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
    disk_note(fd);
    return 0; /* the test's disk is the model of one */
}

int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    disk_note(fd);
    return 0;
}

/* -- operations -- */

static void model_zero(uint64_t offset, uint64_t end)
{
    if (offset < end)
        memset(live.data + offset, 0, end - offset);
}

static void do_write(struct spool_file *f)
{
    static unsigned char data[FILE_MAX];
    uint64_t offset = unit_random_below(&rng, FILE_MAX - 1);
    size_t len = 1 + unit_random_below(&rng, unit_random_below(&rng, 4) ? 600 : 20000);

    if (len > FILE_MAX - offset)
        len = FILE_MAX - offset;
    unit_random_bytes(&rng, data, len);
    world_write(f, data, len, offset);
    memcpy(live.data + offset, data, len);
    if (offset + len > live.size)
        live.size = offset + len;
}

static void do_append(struct spool_file *f)
{
    unsigned char data[300];
    size_t len = 1 + unit_random_below(&rng, sizeof(data));
    struct ou_error err = OU_ERROR_INIT;

    if (live.size + len > FILE_MAX)
        return;
    unit_random_bytes(&rng, data, len);
    assert_int_equal(spool_file_append(f, data, len, NULL, &err), len);
    memcpy(live.data + live.size, data, len);
    live.size += len;
}

static void do_truncate(struct spool_file *f)
{
    uint64_t size = unit_random_below(&rng, 5) ? unit_random_below(&rng, FILE_MAX) : 0;
    struct ou_error err = OU_ERROR_INIT;

    assert_int_equal(spool_file_truncate(f, size, &err), 0);
    model_zero(size, FILE_MAX);
    live.size = size;
}

static void do_punch(struct spool_file *f)
{
    uint64_t offset = unit_random_below(&rng, FILE_MAX - 1);
    uint64_t size = 1 + unit_random_below(&rng, FILE_MAX - offset - 1 ? FILE_MAX - offset - 1 : 1);
    int mode = unit_random_below(&rng, 2) ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
                                          : FALLOC_FL_ZERO_RANGE;
    struct ou_error err = OU_ERROR_INIT;

    assert_int_equal(spool_file_allocate(f, mode, offset, size, &err), 0);
    model_zero(offset, offset + size);
    if (mode == FALLOC_FL_ZERO_RANGE && offset + size > live.size)
        live.size = offset + size;
}

static void do_flush(struct spool_file *f)
{
    struct ou_error err = OU_ERROR_INIT;

    assert_int_equal(spool_file_flush(f, &err), 0);
    stable[stable_count] = live;
    stable[stable_count++].exists = true;
}

static void do_sync(struct spool_file *f)
{
    struct ou_error err = OU_ERROR_INIT;

    assert_int_equal(spool_file_sync(f, &err), 0);
    stable[0] = live;
    stable[0].exists = true;
    stable_count = 1;
    any_synced = true;
}

static void step(struct spool_file *f)
{
    switch (unit_random_below(&rng, 12)) {
    case 0:
    case 1:
    case 2:
    case 3:
        do_write(f);
        break;
    case 4:
    case 5:
        do_append(f);
        break;
    case 6:
        do_truncate(f);
        break;
    case 7:
        do_punch(f);
        break;
    case 8:
    case 9:
        do_flush(f);
        break;
    case 10:
        do_sync(f);
        break;
    default:
        world_assert_file(f, live.data, live.size);
    }
}

/* -- crashes -- */

static bool is_version(struct spool_file *f, const struct model_version *v)
{
    static unsigned char got[FILE_MAX + 1];
    struct ou_error err = OU_ERROR_INIT;
    ssize_t n = spool_file_read(f, got, sizeof(got), 0, NULL, &err);

    if (n < 0)
        fail_msg("spool_file_read: %s", err.message);
    return (uint64_t)n == v->size && !memcmp(got, v->data, v->size);
}

static bool is_base(const struct model_version *v)
{
    return base.exists && v->size == base.size && !memcmp(v->data, base.data, base.size);
}

/* The newest version, or with @older any of them. */
static void assert_found(const char *dir, bool older)
{
    struct spool *after = world_spool(dir);
    struct spool_file *f = NULL;
    size_t i = stable_count;
    bool found = false;

    if (!spool_find(after, "k", &f)) {
        /* Nothing is staged: right if nothing was stable, or if it is what the bucket has. */
        found = !stable_count;
        while (!found && i-- > 0 && (older || i + 1 == stable_count))
            found = is_base(&stable[i]);
        assert_true(found);
    } else {
        while (!found && i-- > 0 && (older || i + 1 == stable_count))
            found = is_version(f, &stable[i]);
        assert_true(found);
        spool_file_unref(f);
    }
    spool_close(after);
}

static void check_crash(struct spool *spool, const char *root)
{
    ou_autofree char *copy = world_crash(spool, root, "kill");

    assert_found(copy, false);
    assert_int_equal(nftw(copy, unit_remove, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* Each page of a file may be as it was when it was synced, or as it is now. */
static void cut_power(int from, int to)
{
    DIR *dir = fdopendir(openat(from, ".", O_RDONLY | O_DIRECTORY));
    struct dirent *e;

    assert_non_null(dir);
    while ((e = readdir(dir)) != NULL) {
        ou_auto(ou_buf_fini) struct ou_buf now = {0};
        ou_autoclose int fd = -1;
        struct ou_buf *kept;
        struct ou_error err = OU_ERROR_INIT;
        struct stat st;

        if (*e->d_name == '.' || fstatat(from, e->d_name, &st, 0) < 0)
            continue;
        assert_int_equal(ou_read_file(from, e->d_name, 1 << 30, &now, &err), 0);
        kept = disk_file(st.st_ino, false);
        for (size_t at = 0; at < now.len; at += PAGE) {
            size_t len = now.len - at < PAGE ? now.len - at : PAGE;

            if (unit_random_below(&rng, 2))
                continue;
            memset(now.data + at, 0, len);
            if (kept && kept->len > at)
                memcpy(now.data + at, kept->data + at, kept->len - at < len ? kept->len - at : len);
        }
        fd = openat(to, e->d_name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(ou_write_all(fd, now.data, now.len, &err), 0);
    }
    (void)closedir(dir);
}

static void check_power_cut(struct spool *spool, const char *root)
{
    char to[8192], copy[4096];
    ou_autoclose int from_fd = unit_open_dir(spool_dir(spool)), to_fd = -1;
    struct ou_error err = OU_ERROR_INIT;

    (void)snprintf(copy, sizeof(copy), "%s/power", root);
    (void)snprintf(to, sizeof(to), "%s%s", copy, strrchr(spool_dir(spool), '/'));
    assert_int_equal(ou_mkdirs(to, 0700, &err), 0);
    to_fd = unit_open_dir(to);
    cut_power(from_fd, to_fd);
    (void)snprintf(world.boot, sizeof(world.boot), "boot-2");
    disk.on = false;
    assert_found(copy, true);
    disk.on = true;
    (void)snprintf(world.boot, sizeof(world.boot), "boot-1");
    assert_int_equal(nftw(copy, unit_remove, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static struct spool_file *begin(struct spool *spool, bool based)
{
    struct spool_file *f;

    live = base = (struct model_version){0};
    stable_count = 0;
    any_synced = false;
    if (!based) {
        f = world_create(spool, "k");
        return f;
    }
    live.size = unit_random_below(&rng, FILE_MAX);
    unit_random_bytes(&rng, live.data, live.size);
    base = live;
    base.exists = true;
    bucket_put("k", live.data, live.size);
    f = world_stage(spool, "k");
    spool_file_open(f, true);
    return f;
}

static void run_histories(const char *root, bool based, bool power)
{
    struct ou_error err = OU_ERROR_INIT;

    ou_log_configure("error", &err);
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        struct spool *spool;
        struct spool_file *f;
        char dir[4096];

        rng.state = seed * 7919;
        world_reset();
        disk_reset();
        disk.on = power;
        (void)snprintf(dir, sizeof(dir), "%s/%d", root, (int)seed);
        spool = world_spool(dir);
        f = begin(spool, based);
        for (int i = 0; i < OPERATIONS; i++) {
            step(f);
            if (unit_random_below(&rng, 10))
                continue;
            if (!power)
                check_crash(spool, root);
            else if (any_synced)
                check_power_cut(spool, root);
        }
        world_assert_file(f, live.data, live.size);
        world_close(f);
        spool_close(spool);
        disk.on = false;
    }
}

static void a_crash_finds_the_last_stable_version(void **state)
{
    run_histories(*state, false, false);
}

static void a_crash_finds_the_last_stable_version_of_a_changed_object(void **state)
{
    run_histories(*state, true, false);
}

static void a_power_cut_finds_the_last_synced_version(void **state)
{
    run_histories(*state, false, true);
}

static void a_power_cut_finds_the_last_synced_version_of_a_changed_object(void **state)
{
    run_histories(*state, true, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_in_dir(a_crash_finds_the_last_stable_version),
        unit_test_in_dir(a_crash_finds_the_last_stable_version_of_a_changed_object),
        unit_test_in_dir(a_power_cut_finds_the_last_synced_version),
        unit_test_in_dir(a_power_cut_finds_the_last_synced_version_of_a_changed_object),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

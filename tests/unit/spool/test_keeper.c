/*
 * What was closed reaches the disk without an fsync: many new files by a few syncs, and one that
 * has an older version on the disk by its own.
 */
#include "spool_bucket.h"

#include <unistd.h>

#define FILES 100u

static atomic_uint syncs;

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
    (void)atomic_fetch_add(&syncs, 1);
    return __real_fdatasync(fd);
}

static int setup(void **state)
{
    world_reset();
    atomic_store(&syncs, 0);
    return unit_dir_setup(state);
}

/* Its keeper is at work, and nothing is uploaded. */
static struct spool *kept_spool(const char *dir)
{
    struct spool_config config = world_config(dir);
    struct spool *spool;

    config.settle_ms = 3600000;
    spool = world_open(&config);
    spool_start(spool);
    return spool;
}

static const char *name_of(unsigned number)
{
    static char name[16];

    (void)snprintf(name, sizeof(name), "f%u", number);
    return name;
}

static void new_files_are_synced_together(void **state)
{
    struct spool *spool = kept_spool(*state);

    for (unsigned i = 0; i < FILES; i++)
        world_put(spool, name_of(i), "text", 4);
    spool_close(spool);
    assert_in_range(atomic_load(&syncs), 0, FILES / 10);

    (void)snprintf(world.boot, sizeof(world.boot), "boot-2");
    spool = kept_spool(*state);
    for (unsigned i = 0; i < FILES; i++) {
        struct spool_file *f = world_find(spool, name_of(i));

        world_assert_file(f, "text", 4);
        spool_file_unref(f);
    }
    spool_close(spool);
}

static void a_synced_file_is_synced_by_itself(void **state)
{
    struct spool *spool = kept_spool(*state);
    struct ou_error err = OU_ERROR_INIT;
    struct spool_file *f = world_create(spool, "old");
    unsigned before;

    world_write(f, "old", 3, 0);
    assert_int_equal(spool_file_sync(f, &err), 0);
    world_write(f, "new", 3, 0);
    world_close(f);
    for (unsigned i = 0; i < FILES; i++)
        world_put(spool, name_of(i), "text", 4);
    before = atomic_load(&syncs);
    spool_close(spool);
    assert_true(atomic_load(&syncs) > before);

    (void)snprintf(world.boot, sizeof(world.boot), "boot-2");
    spool = kept_spool(*state);
    f = world_find(spool, "old");
    world_assert_file(f, "new", 3);
    spool_file_unref(f);
    spool_close(spool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(new_files_are_synced_together, setup, unit_dir_teardown),
        cmocka_unit_test_setup_teardown(a_synced_file_is_synced_by_itself, setup,
                                        unit_dir_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

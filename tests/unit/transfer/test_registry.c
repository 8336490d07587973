/* Where checkpoints lie is known as long as they are there. */
#include "unit/unit.h"

#include "base/cleanup.h"
#include "transfer/registry.h"

#define MANY 300

struct places {
    char dir[4096], registry[4200];
};

static struct places places_in(const char *dir)
{
    struct places p;

    (void)snprintf(p.dir, sizeof(p.dir), "%s", dir);
    (void)snprintf(p.registry, sizeof(p.registry), "%s/state/put", dir);
    return p;
}

static void make(const struct places *p, unsigned number, char path[4300])
{
    int fd;

    (void)snprintf(path, 4300, "%s/c%u", p->dir, number);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
}

struct seen {
    unsigned count, sum;
    int stop; /* what the visitor answers */
};

static int see(void *ctx, const char *path, struct ou_error *err)
{
    struct seen *seen = ctx;

    (void)err;
    seen->count++;
    seen->sum += (unsigned)strtoul(strrchr(path, '/') + 2, NULL, 10);
    return seen->stop;
}

static struct seen walk(const struct places *p)
{
    struct ou_error err = OU_ERROR_INIT;
    struct seen seen = {0};

    assert_int_equal(xfer_registry_each(p->registry, see, &seen, &err), 0);
    return seen;
}

static void a_registry_that_never_was_is_empty(void **state)
{
    struct places p = places_in(*state);

    assert_int_equal(walk(&p).count, 0);
    xfer_registry_remove(p.registry, "/nowhere");
}

static void each_is_found_till_it_is_removed(void **state)
{
    struct places p = places_in(*state);
    struct ou_error err = OU_ERROR_INIT;
    char path[4300];

    for (unsigned i = 0; i < MANY; i++) {
        make(&p, i, path);
        for (int twice = 0; twice < 2; twice++)
            assert_int_equal(xfer_registry_add(p.registry, path, &err), 0);
    }
    assert_int_equal(walk(&p).count, MANY);
    assert_int_equal(walk(&p).sum, MANY * (MANY - 1) / 2);
    (void)snprintf(path, sizeof(path), "%s/c%u", p.dir, 7u);
    xfer_registry_remove(p.registry, path);
    assert_int_equal(walk(&p).sum, MANY * (MANY - 1) / 2 - 7);
}

/* A process died between removing its checkpoint and the note of it. */
static void what_is_gone_is_forgotten(void **state)
{
    struct places p = places_in(*state);
    struct ou_error err = OU_ERROR_INIT;
    char path[4300];

    for (unsigned i = 0; i < 3; i++) {
        make(&p, i, path);
        assert_int_equal(xfer_registry_add(p.registry, path, &err), 0);
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(walk(&p).sum, 1);
    make(&p, 2, path); /* of another upload, that was not noted */
    assert_int_equal(walk(&p).sum, 1);
    assert_int_equal(xfer_registry_add(p.registry, path, &err), 0);
    assert_int_equal(walk(&p).sum, 3);
}

static void a_visitor_may_stop(void **state)
{
    struct places p = places_in(*state);
    struct ou_error err = OU_ERROR_INIT;
    struct seen seen = {.stop = -EIO};
    char path[4300];

    for (unsigned i = 0; i < 3; i++) {
        make(&p, i, path);
        assert_int_equal(xfer_registry_add(p.registry, path, &err), 0);
    }
    assert_int_equal(xfer_registry_each(p.registry, see, &seen, &err), -EIO);
    assert_int_equal(seen.count, 1);
}

static void a_place_that_cannot_be_written_is_told(void **state)
{
    struct ou_error err = OU_ERROR_INIT;
    char path[4300], registry[4400];
    struct places p = places_in(*state);

    make(&p, 1, path);
    (void)snprintf(registry, sizeof(registry), "%s/state", path);
    assert_int_equal(xfer_registry_add(registry, path, &err), -ENOTDIR);
    assert_int_not_equal(err.errnum, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_in_dir(a_registry_that_never_was_is_empty),
        unit_test_in_dir(each_is_found_till_it_is_removed),
        unit_test_in_dir(what_is_gone_is_forgotten),
        unit_test_in_dir(a_visitor_may_stop),
        unit_test_in_dir(a_place_that_cannot_be_written_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Whether a file is still the same: each way to change it shows, also right after it was written.
 */
#include "unit/unit.h"

#include "base/cleanup.h"
#include "transfer/identity.h"

static int make(const char *dir, char path[4200])
{
    int fd;

    (void)snprintf(path, 4200, "%s/file", dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "0123456789", 10), 10);
    return fd;
}

static void take(int fd, struct xfer_identity *identity)
{
    struct ou_error err = OU_ERROR_INIT;

    assert_int_equal(xfer_identity_take(fd, "file", identity, &err), 0);
}

static void assert_stale(const struct xfer_identity *was, int fd, const char *path,
                         const char *word)
{
    struct ou_error err = OU_ERROR_INIT;

    assert_int_equal(xfer_identity_check(was, fd, path, "file", &err), -ESTALE);
    assert_non_null(strstr(err.message, word));
}

static void an_untouched_file_stays_itself(void **state)
{
    char path[4200];
    ou_autoclose int fd = make(*state, path);
    struct ou_error err = OU_ERROR_INIT;
    struct xfer_identity a, b;

    take(fd, &a);
    take(fd, &b);
    assert_true(xfer_identity_same(&a, &b));
    assert_int_equal(a.size, 10);
    assert_int_equal(xfer_identity_check(&a, fd, path, "file", &err), 0);
    assert_int_equal(fchmod(fd, 0644), 0);
    assert_int_equal(xfer_identity_check(&a, fd, path, "file", &err), 0);
}

/* The clock of time stamps ticks in milliseconds: without the wait most of these would not show. */
static void a_write_within_the_same_tick_shows(void **state)
{
    char path[4200];
    ou_autoclose int fd = make(*state, path);

    for (unsigned i = 0; i < 100; i++) {
        struct xfer_identity identity;

        assert_int_equal(pwrite(fd, "a", 1, 0), 1);
        take(fd, &identity);
        assert_int_equal(pwrite(fd, "b", 1, 0), 1);
        assert_stale(&identity, fd, NULL, "written to");
    }
}

static void a_time_stamp_of_the_future_is_not_waited_for(void **state)
{
    const struct timespec times[2] = {{.tv_sec = 4000000000}, {.tv_sec = 4000000000}};
    char path[4200];
    ou_autoclose int fd = make(*state, path);
    struct xfer_identity identity;

    assert_int_equal(futimens(fd, times), 0);
    take(fd, &identity);
    assert_int_equal(pwrite(fd, "b", 1, 0), 1);
    assert_stale(&identity, fd, NULL, "written to");
}

static void what_happens_to_the_name_shows(void **state)
{
    char path[4200], away[4300];
    ou_autoclose int fd = make(*state, path);
    struct xfer_identity identity;

    take(fd, &identity);
    (void)snprintf(away, sizeof(away), "%s.away", path);
    assert_int_equal(rename(path, away), 0);
    assert_stale(&identity, fd, path, "deleted or renamed");
    ou_autoclose int other = make(*state, path);
    assert_stale(&identity, fd, path, "replaced");
    assert_true(other >= 0);
    assert_int_equal(unlink(away), 0);
    assert_stale(&identity, fd, NULL, "deleted"); /* the last name is gone: no path is needed */
}

static void a_file_that_never_had_a_name_misses_none(void **state)
{
    char path[4200];
    ou_autoclose int fd = make(*state, path);
    struct ou_error err = OU_ERROR_INIT;
    struct xfer_identity identity;

    assert_int_equal(unlink(path), 0);
    take(fd, &identity);
    assert_int_equal(xfer_identity_check(&identity, fd, NULL, "file", &err), 0);
}

static void a_shorter_file_is_called_truncated(void **state)
{
    char path[4200];
    ou_autoclose int fd = make(*state, path);
    struct xfer_identity identity;

    take(fd, &identity);
    assert_int_equal(ftruncate(fd, 3), 0);
    assert_stale(&identity, fd, path, "truncated from 10 to 3 bytes");
}

static void only_regular_files_have_one(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    struct ou_error err = OU_ERROR_INIT;
    struct xfer_identity identity;
    int ends[2];

    assert_int_equal(xfer_identity_take(dirfd, "here", &identity, &err), -EISDIR);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(xfer_identity_take(ends[0], "pipe", &identity, &err), -EINVAL);
    assert_string_equal(err.message, "pipe: it is no regular file");
    (void)close(ends[0]);
    (void)close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_in_dir(an_untouched_file_stays_itself),
        unit_test_in_dir(a_write_within_the_same_tick_shows),
        unit_test_in_dir(a_time_stamp_of_the_future_is_not_waited_for),
        unit_test_in_dir(what_happens_to_the_name_shows),
        unit_test_in_dir(a_file_that_never_had_a_name_misses_none),
        unit_test_in_dir(a_shorter_file_is_called_truncated),
        unit_test_in_dir(only_regular_files_have_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

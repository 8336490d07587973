/*
 * Linked with -Wl,--wrap=renameat,fsync,write: each call takes its errno from a plan;
 * where the plan is empty it is the real one.
 */
#include "base/cleanup.h"
#include "base/file.h"

#include "unit/unit.h"

#include <sys/stat.h>

int __wrap_renameat(int olddir, const char *from, int newdir, const char *to);
int __real_renameat(int olddir, const char *from, int newdir, const char *to);
int __wrap_fsync(int fd);
int __real_fsync(int fd);
ssize_t __wrap_write(int fd, const void *data, size_t len);
ssize_t __real_write(int fd, const void *data, size_t len);

static struct {
    int rename_errno;
    int fsync_errno;
    int fsyncs_before;    /* so many succeed first */
    size_t write_at_most; /* bytes a call; 0: all */
    int write_errno;
    int writes_before;
    int fsyncs; /* seen */
} plan;

static int take(int errnum, int *before)
{
    if (!errnum || (before && (*before)-- > 0))
        return 0;
    errno = errnum;
    return -1;
}

int __wrap_renameat(int olddir, const char *from, int newdir, const char *to)
{
    return take(plan.rename_errno, NULL) ? -1 : __real_renameat(olddir, from, newdir, to);
}

int __wrap_fsync(int fd)
{
    plan.fsyncs++;
    return take(plan.fsync_errno, &plan.fsyncs_before) ? -1 : __real_fsync(fd);
}

ssize_t __wrap_write(int fd, const void *data, size_t len)
{
    if (take(plan.write_errno, &plan.writes_before)) {
        if (plan.write_errno == EINTR)
            plan.write_errno = 0;
        return -1;
    }
    if (plan.write_at_most && len > plan.write_at_most)
        len = plan.write_at_most;
    return __real_write(fd, data, len);
}

static int setup(void **state)
{
    memset(&plan, 0, sizeof(plan));
    return unit_dir_setup(state);
}

static void assert_no_temporary(int dirfd)
{
    assert_int_equal(faccessat(dirfd, "7.ckpt.tmp", F_OK, 0), -1);
}

static void replacing_makes_the_file_with_its_content_and_syncs_both(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    struct ou_error err;
    struct stat st;

    assert_int_equal(ou_file_replace(dirfd, "7.ckpt", "one", 3, &err), 0);
    unit_assert_content(dirfd, "7.ckpt", "one");
    assert_int_equal(plan.fsyncs, 2); /* the file and the directory */
    assert_int_equal(ou_file_replace(dirfd, "7.ckpt", "", 0, &err), 0);
    unit_assert_content(dirfd, "7.ckpt", "");
    assert_int_equal(fstatat(dirfd, "7.ckpt", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_no_temporary(dirfd);
}

static void failed_rename_leaves_the_old_file_whole(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    struct ou_error err;

    assert_int_equal(ou_file_replace(dirfd, "7.ckpt", "old", 3, &err), 0);
    plan.rename_errno = EIO;
    assert_int_equal(ou_file_replace(dirfd, "7.ckpt", "new", 3, &err), -EIO);
    assert_string_equal(err.message, "replace 7.ckpt: Input/output error");
    unit_assert_content(dirfd, "7.ckpt", "old");
    assert_no_temporary(dirfd);
}

static void failed_sync_leaves_the_old_file_whole(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    struct ou_error err;

    assert_int_equal(ou_file_replace(dirfd, "7.ckpt", "old", 3, &err), 0);
    plan.fsync_errno = EIO;
    assert_int_equal(ou_file_replace(dirfd, "7.ckpt", "new", 3, &err), -EIO);
    unit_assert_content(dirfd, "7.ckpt", "old");
    assert_no_temporary(dirfd);
}

static void a_full_disk_leaves_the_old_file_whole(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    struct ou_error err;

    assert_int_equal(ou_file_replace(dirfd, "7.ckpt", "old", 3, &err), 0);
    plan.write_at_most = 1;
    plan.write_errno = ENOSPC;
    plan.writes_before = 2;
    assert_int_equal(ou_file_replace(dirfd, "7.ckpt", "new", 3, &err), -ENOSPC);
    assert_string_equal(err.message, "replace 7.ckpt: write: No space left on device");
    unit_assert_content(dirfd, "7.ckpt", "old");
    assert_no_temporary(dirfd);
}

static void a_directory_that_cannot_be_synced_is_told(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    struct ou_error err;

    plan.fsync_errno = EIO;
    plan.fsyncs_before = 1;
    assert_int_equal(ou_file_replace(dirfd, "7.ckpt", "new", 3, &err), -EIO);
    unit_assert_content(dirfd, "7.ckpt", "new");
}

static void a_name_without_room_for_its_temporary_is_refused(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    struct ou_error err;
    char name[256];

    memset(name, 'n', 255);
    name[255] = '\0';
    assert_int_equal(ou_file_replace(dirfd, name, "x", 1, &err), -ENAMETOOLONG);
    name[251] = '\0';
    assert_int_equal(ou_file_replace(dirfd, name, "x", 1, &err), 0);
}

static void what_a_crash_left_is_written_over(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    ou_autoclose int fd = openat(dirfd, "7.ckpt.tmp", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    struct ou_error err;

    assert_int_equal(ou_write_all(fd, "a longer leftover", 17, &err), 0);
    assert_int_equal(ou_file_replace(dirfd, "7.ckpt", "new", 3, &err), 0);
    unit_assert_content(dirfd, "7.ckpt", "new");
}

static void interrupted_and_short_writes_end_in_the_whole(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    ou_autoclose int fd = openat(dirfd, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    struct ou_error err;

    plan.write_at_most = 2;
    plan.write_errno = EINTR;
    plan.writes_before = 1;
    assert_int_equal(ou_write_all(fd, "abcdefg", 7, &err), 0);
    unit_assert_content(dirfd, "f", "abcdefg");
}

static void positioned_writes_and_reads_meet(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    ou_autoclose int fd = openat(dirfd, "f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    uint64_t far = UINT64_C(5) << 30; /* beyond 32 bits; the file is sparse */
    struct ou_error err;
    char buf[16];

    assert_int_equal(ou_pwrite_all(fd, "abc", 3, far, &err), 0);
    assert_int_equal(ou_pread_full(fd, buf, 3, far, &err), 3);
    assert_memory_equal(buf, "abc", 3);
    assert_int_equal(ou_pread_full(fd, buf, sizeof(buf), far + 1, &err), 2); /* end of file */
    assert_memory_equal(buf, "bc", 2);
    assert_int_equal(ou_pread_full(fd, buf, sizeof(buf), far + 3, &err), 0);
    assert_int_equal(ou_pwrite_all(fd, "abc", 3, UINT64_MAX - 1, &err), -EFBIG);
    assert_int_equal(ou_pread_full(fd, buf, 3, UINT64_MAX - 1, &err), -EINVAL);
}

static void a_file_of_the_largest_size_is_read_and_a_larger_one_is_efbig(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    ou_auto(ou_buf_fini) struct ou_buf out = {0};
    static char big[40000];
    struct ou_error err;

    memset(big, 'x', sizeof(big));
    assert_int_equal(ou_file_replace(dirfd, "f", big, 40000, &err), 0);
    ou_buf_adds(&out, "what was there");
    assert_int_equal(ou_read_file(dirfd, "f", 40000, &out, &err), 0);
    assert_int_equal(out.len, 40000);
    assert_memory_equal(out.data, big, 40000);
    assert_int_equal(ou_read_file(dirfd, "f", 39999, &out, &err), -EFBIG);
    assert_int_equal(ou_read_file(dirfd, "absent", 1, &out, &err), -ENOENT);
    assert_string_equal(err.message, "open absent: No such file or directory");
}

static void directories_are_made_with_their_parents(void **state)
{
    ou_auto(ou_buf_fini) struct ou_buf path = {0};
    struct ou_error err;
    struct stat st;

    ou_buf_addf(&path, "%s//a/b/./c/", (const char *)*state);
    assert_int_equal(ou_mkdirs(path.data, 0700, &err), 0);
    assert_int_equal(stat(path.data, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(ou_mkdirs(path.data, 0700, &err), 0); /* again */
    assert_int_equal(ou_mkdirs("/", 0700, &err), 0);
    assert_int_equal(ou_mkdirs("", 0700, &err), -ENOENT);
}

static void a_file_in_the_way_of_a_directory_is_enotdir(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    ou_auto(ou_buf_fini) struct ou_buf path = {0};
    struct ou_error err;

    assert_int_equal(ou_file_replace(dirfd, "f", "x", 1, &err), 0);
    ou_buf_addf(&path, "%s/f", (const char *)*state);
    assert_int_equal(ou_mkdirs(path.data, 0700, &err), -ENOTDIR);
    ou_buf_adds(&path, "/below");
    assert_int_equal(ou_mkdirs(path.data, 0700, &err), -ENOTDIR);
}

#define in_dir(f) cmocka_unit_test_setup_teardown(f, setup, unit_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_dir(replacing_makes_the_file_with_its_content_and_syncs_both),
        in_dir(failed_rename_leaves_the_old_file_whole),
        in_dir(failed_sync_leaves_the_old_file_whole),
        in_dir(a_full_disk_leaves_the_old_file_whole),
        in_dir(a_directory_that_cannot_be_synced_is_told),
        in_dir(a_name_without_room_for_its_temporary_is_refused),
        in_dir(what_a_crash_left_is_written_over),
        in_dir(interrupted_and_short_writes_end_in_the_whole),
        in_dir(positioned_writes_and_reads_meet),
        in_dir(a_file_of_the_largest_size_is_read_and_a_larger_one_is_efbig),
        in_dir(directories_are_made_with_their_parents),
        in_dir(a_file_in_the_way_of_a_directory_is_enotdir),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * A damaged record costs work, never a wrong object: each byte of a checkpoint is flipped once, and
 * the checkpoint is torn behind each byte; the next run reads what is left and uploads the file.
 * Power cuts are not looked at here, so that nothing need be synced.
 */
#include "unit/transfer/file_fixture.h"

#define PARTS 3
#define SIZE  (2 * PART_SIZE + 7) /* 2 parts and a short one */

int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    (void)fd;
    return 0;
}

int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
    (void)fd;
    return 0;
}

static void record_read(struct fixture *x, struct ou_buf *bytes)
{
    struct ou_error err = OU_ERROR_INIT;
    char name[NAME_MAX + 1];

    assert_int_equal(fixture_checkpoints(x->dirfd, name), 1);
    assert_int_equal(ou_read_file(x->dirfd, name, 1 << 20, bytes, &err), 0);
}

static void record_write(struct fixture *x, const char *bytes, size_t len)
{
    struct ou_error err = OU_ERROR_INIT;
    char name[NAME_MAX + 1];

    assert_int_equal(fixture_checkpoints(x->dirfd, name), 1);
    assert_int_equal(ou_file_replace(x->dirfd, name, bytes, len, &err), 0);
}

/* An id whose line is damaged may be left to gc: it can no longer be told to be ours. */
static void assert_object_is_the_file(struct fixture *x)
{
    struct bucket_object *object;

    assert_int_equal(fixture_run(x), 0);
    assert_string_equal(x->err.message, "");
    object = bucket_find(KEY);
    assert_non_null(object);
    assert_int_equal(object->bytes.size, SIZE);
    assert_memory_equal(object->bytes.data, x->data, SIZE);
    assert_int_equal(fixture_checkpoints(x->dirfd, NULL), 0);
    assert_in_range(fixture_parts_sent(), PARTS - 2, PARTS);
}

/* Interrupted before the third part. */
static void interrupted(struct fixture *x, struct ou_buf *bytes)
{
    bucket_reset();
    fixture_interrupt(x, 2);
    record_read(x, bytes);
}

static void whatever_byte_of_the_record_is_wrong_the_object_is_right(void **state)
{
    struct fixture *x = *state;
    size_t len = 1;

    fixture_file(x, SIZE);
    for (size_t at = 0; at < len; at++) {
        ou_auto(ou_buf_fini) struct ou_buf bytes = {0};

        interrupted(x, &bytes);
        len = bytes.len;
        bytes.data[at] = (char)((unsigned char)bytes.data[at] ^ (1u << at % 8));
        record_write(x, bytes.data, len);
        assert_object_is_the_file(x);
    }
    assert_in_range(len, 500, 2000); /* header, initiating, upload id, two parts */
}

static void wherever_the_record_is_torn_the_object_is_right(void **state)
{
    struct fixture *x = *state;
    size_t len = 1;

    fixture_file(x, SIZE);
    for (size_t left = 0; left < len; left++) {
        ou_auto(ou_buf_fini) struct ou_buf bytes = {0};

        interrupted(x, &bytes);
        len = bytes.len;
        record_write(x, bytes.data, left);
        assert_object_is_the_file(x);
    }
}

/* The two together: what the record still says is of bytes that are no longer there. */
static void a_record_torn_anywhere_vouches_for_no_changed_byte(void **state)
{
    struct fixture *x = *state;
    size_t len = 1;

    fixture_file(x, SIZE);
    for (size_t left = 0; left < len; left += 3) {
        ou_auto(ou_buf_fini) struct ou_buf bytes = {0};
        struct timespec mtime;

        interrupted(x, &bytes);
        len = bytes.len;
        record_write(x, bytes.data, left);
        mtime = fixture_mtime(x);
        fixture_write(x, left % SIZE);
        fixture_set_mtime(x, mtime);
        assert_object_is_the_file(x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(whatever_byte_of_the_record_is_wrong_the_object_is_right),
        fixture_test(wherever_the_record_is_torn_the_object_is_right),
        fixture_test(a_record_torn_anywhere_vouches_for_no_changed_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

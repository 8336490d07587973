/*
 * One run of a file's upload: what is sent, what ends it, what it leaves.
 */
#include "unit/transfer/file_fixture.h"

#include <stdatomic.h>

static void a_small_file_is_one_request(void **state)
{
    static const uint64_t sizes[] = {0, 1, PART_SIZE - 1, PART_SIZE};
    struct fixture *x = *state;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        fixture_file(x, sizes[i]);
        assert_run_uploads(x);
        assert_int_equal(bucket.op_count[OP_ANY], i + 1);
        assert_int_equal(bucket.op_count[OP_PUT], i + 1);
    }
}

static void a_large_file_goes_in_parts(void **state)
{
    struct fixture *x = *state;

    fixture_file(x, 5 * PART_SIZE + 7);
    assert_run_uploads(x);
    assert_int_equal(bucket.op_count[OP_ANY], 1 + 6 + 1);
    assert_in_range(bucket.in_flight_most, 1, 3);
    assert_int_equal(x->parts_told, 6);
    assert_int_equal(x->progress.confirmed, x->size);
    assert_int_equal(x->progress.total, x->size);
    assert_int_equal(x->progress.parts_resumed, 0);
    assert_int_equal(x->result.bytes_sent, x->size);
    assert_true(x->result.checked);
}

/* The Go SDK v2 takes the parent of a directory that is named without a slash at its end. */
static void the_checkpoint_lies_where_it_was_wanted(void **state)
{
    static const char *const ends[] = {"", "/", "/."};
    char elsewhere[4200], named[4210];
    struct fixture *x = *state;
    int dirfd;

    (void)snprintf(elsewhere, sizeof(elsewhere), "%s/checkpoints", x->dir);
    assert_int_equal(mkdir(elsewhere, 0700), 0);
    dirfd = unit_open_dir(elsewhere);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        (void)snprintf(named, sizeof(named), "%s%s", elsewhere, ends[i]);
        bucket_reset();
        fixture_file(x, 3 * PART_SIZE);
        x->checkpoint_dir = named;
        fixture_interrupt_at(x, OP_PART, 1);
        assert_int_equal(fixture_checkpoints(x->dirfd, NULL), 0);
        assert_int_equal(fixture_checkpoints(dirfd, NULL), 1);
        assert_run_uploads(x);
        assert_int_equal(fixture_checkpoints(dirfd, NULL), 0);
    }
    (void)close(dirfd);
}

/* -- what is refused at the start -- */

static void assert_refused(struct fixture *x, int errnum, const char *word)
{
    assert_int_equal(fixture_run(x), -errnum);
    assert_non_null(strstr(x->err.message, word));
    assert_int_equal(bucket.op_count[OP_ANY], 0);
    assert_int_equal(fixture_checkpoints(x->dirfd, NULL), 0);
}

static void a_part_size_out_of_range_is_named_with_its_range(void **state)
{
    struct fixture *x = *state;

    for (int small = 0; small < 2; small++) {
        fixture_file(x, small ? 10 : 3 * PART_SIZE);
        x->part_size = PART_SIZE - 1;
        assert_refused(x, EINVAL, "100K to 5G");
        x->part_size = (UINT64_C(5) << 30) + 1;
        assert_refused(x, EINVAL, "100K to 5G");
    }
}

static void what_is_no_file_is_refused(void **state)
{
    struct fixture *x = *state;

    assert_refused(x, ENOENT, x->path);
    assert_int_equal(mkfifo(x->path, 0600), 0);
    assert_refused(x, EINVAL, "no regular file"); /* and does not wait for a writer */
    assert_int_equal(unlink(x->path), 0);
    assert_int_equal(mkdir(x->path, 0700), 0);
    assert_refused(x, EISDIR, x->path);
}

static void a_checkpoint_directory_must_be_there(void **state)
{
    struct fixture *x = *state;

    x->checkpoint_dir = "/no/such/directory";
    fixture_file(x, 3 * PART_SIZE);
    assert_refused(x, ENOENT, "checkpoint directory /no/such/directory");
    fixture_file(x, 3);
    assert_refused(x, ENOENT, "checkpoint directory /no/such/directory");
}

/* -- the file changes -- */

static void change_by_write(struct fixture *x)
{
    fixture_write(x, 0);
}

static void change_by_append(struct fixture *x)
{
    ou_autoclose int fd = open(x->path, O_WRONLY | O_APPEND | O_CLOEXEC);

    assert_int_equal(write(fd, "x", 1), 1);
}

static void change_by_truncate(struct fixture *x)
{
    assert_int_equal(truncate(x->path, 1), 0);
}

static void change_by_delete(struct fixture *x)
{
    assert_int_equal(unlink(x->path), 0);
}

static void change_by_rename(struct fixture *x)
{
    char to[4300];

    (void)snprintf(to, sizeof(to), "%s.away", x->path);
    assert_int_equal(rename(x->path, to), 0);
}

/* As editors save: another file of the same size and mtime takes the name. */
static void change_by_replacement(struct fixture *x)
{
    struct timespec mtime = fixture_mtime(x);
    char away[4300];

    (void)snprintf(away, sizeof(away), "%s.away", x->path);
    assert_int_equal(rename(x->path, away), 0);
    x->data[0] ^= 1;
    fixture_store(x);
    fixture_set_mtime(x, mtime);
}

static const struct {
    void (*make)(struct fixture *x);
    const char *word;
} changes[] = {
    {change_by_write, "written to"},   {change_by_append, "written to"},
    {change_by_truncate, "truncated"}, {change_by_delete, "deleted"},
    {change_by_rename, "renamed"},     {change_by_replacement, "replaced"},
};
#define CHANGES (sizeof(changes) / sizeof(changes[0]))

static size_t change;
static unsigned change_at; /* the part; 0: the middle of a Put */
static atomic_bool change_made;

static void make_change(void)
{
    if (!atomic_exchange(&change_made, true))
        changes[change].make(fixture_here);
}

static void at_part(struct fixture *x, unsigned number)
{
    (void)x;
    if (number == change_at)
        make_change();
}

static void in_put(enum bucket_op op, unsigned number, enum bucket_moment moment)
{
    (void)number;
    if (op == OP_PUT && moment == MOMENT_BODY)
        make_change();
}

static void assert_change_is_told(struct fixture *x)
{
    assert_int_equal(fixture_run(x), 0);
    assert_true(x->done);
    assert_int_equal(x->err.errnum, ESTALE);
    assert_non_null(strstr(x->err.message, x->path));
    assert_non_null(strstr(x->err.message, changes[change].word));
    assert_non_null(strstr(x->err.message, "nothing was published"));
    assert_null(bucket_find(KEY));
    assert_nothing_left(x);
}

/* All the SDKs look at the file before an upload only: an object of two versions, with a right CRC. */
static void a_file_that_changes_between_parts_is_not_published(void **state)
{
    static const unsigned when[] = {1, 6}; /* the last one: nothing is read after it */
    struct fixture *x = *state;

    x->at_part = at_part;
    x->threads = 1;
    for (change = 0; change < CHANGES; change++) {
        for (size_t i = 0; i < sizeof(when) / sizeof(when[0]); i++) {
            change_at = when[i];
            atomic_store(&change_made, false);
            fixture_file(x, 5 * PART_SIZE + 7);
            assert_change_is_told(x);
        }
    }
}

static void a_small_file_that_changes_while_it_is_sent_is_not_published(void **state)
{
    struct fixture *x = *state;

    bucket.hook = in_put;
    for (change = 0; change < 3; change++) { /* what changes the bytes */
        atomic_store(&change_made, false);
        fixture_file(x, 3 * BUCKET_CHUNK);
        assert_change_is_told(x);
    }
}

static void a_change_before_its_last_byte_was_read_is_always_seen(void **state)
{
    struct fixture *x = *state;

    bucket.hook = in_put;
    change = 0;
    for (unsigned i = 0; i < 50; i++) { /* written and rewritten within one tick of the clock */
        atomic_store(&change_made, false);
        fixture_file(x, 2 * BUCKET_CHUNK);
        assert_change_is_told(x);
    }
}

static void when_the_abort_goes_wrong_the_next_run_makes_up_for_it(void **state)
{
    struct fixture *x = *state;

    x->at_part = at_part;
    change = 0;
    change_at = 2;
    atomic_store(&change_made, false);
    bucket_rule(OP_ABORT, 0, FAULT_DENIED);
    fixture_file(x, 5 * PART_SIZE);
    assert_int_equal(fixture_run(x), 0);
    assert_int_equal(x->err.errnum, ESTALE);
    assert_int_equal(bucket_open_uploads(), 1);
    assert_int_equal(fixture_checkpoints(x->dirfd, NULL), 1);
    bucket.rule_count = 0;
    assert_run_uploads(x);
}

/* -- other ends -- */

static void a_beginning_that_cannot_have_worked_leaves_nothing(void **state)
{
    struct fixture *x = *state;

    bucket_rule(OP_INITIATE, 0, FAULT_DENIED);
    fixture_file(x, 3 * PART_SIZE);
    assert_int_equal(fixture_run(x), 0);
    assert_string_equal(x->err.code, "AccessDenied");
    assert_nothing_left(x);

    bucket.rule_count = 0;
    bucket_rule(OP_ANY, 0, FAULT_CONNECT);
    x->deadline_ms = 1;
    assert_int_equal(fixture_run(x), 0);
    assert_string_equal(x->err.code, "ConnectFailed");
    assert_nothing_left(x);
}

static void a_beginning_that_may_have_worked_is_remembered(void **state)
{
    struct fixture *x = *state;

    bucket_rule(OP_INITIATE, 0, FAULT_UNANSWERED);
    bucket_rule(OP_LIST_UPLOADS, 0, FAULT_CONNECT);
    fixture_file(x, 3 * PART_SIZE);
    x->deadline_ms = 1;
    assert_int_equal(fixture_run(x), 0);
    assert_string_equal(x->err.code, "ConnectFailed"); /* of the look for it */
    assert_int_equal(bucket_open_uploads(), 1);
    assert_int_equal(fixture_checkpoints(x->dirfd, NULL), 1);
    bucket.rule_count = 0;
    x->deadline_ms = 0;
    assert_run_uploads(x);
    assert_int_equal(bucket.op_count[OP_INITIATE], 1);
}

/* The C SDK removes the checkpoint when Complete fails. */
static void a_refusal_later_keeps_what_was_done(void **state)
{
    static const enum bucket_op ops[] = {OP_PART, OP_COMPLETE};
    struct fixture *x = *state;

    for (size_t i = 0; i < 2; i++) {
        bucket_reset();
        bucket_rule(ops[i], 1, FAULT_DENIED);
        x->threads = 1;
        fixture_file(x, 3 * PART_SIZE);
        assert_int_equal(fixture_run(x), 0);
        assert_string_equal(x->err.code, "AccessDenied");
        assert_int_equal(bucket_open_uploads(), 1);
        assert_int_equal(fixture_checkpoints(x->dirfd, NULL), 1);
        assert_run_uploads(x);
        assert_int_equal(fixture_parts_sent(), i == 0 ? 4 : 3);
    }
}

static void another_process_at_it_is_told(void **state)
{
    char name[NAME_MAX + 1];
    struct fixture *x = *state;
    struct ou_error err = OU_ERROR_INIT;
    struct xfer_checkpoint other;

    fixture_file(x, 3 * PART_SIZE);
    fixture_interrupt(x, 1);
    assert_int_equal(fixture_checkpoints(x->dirfd, name), 1);
    assert_int_equal(xfer_checkpoint_open(&other, x->dirfd, name, false, &err), 0);
    assert_int_equal(fixture_run(x), -EBUSY);
    assert_non_null(strstr(x->err.message, "another process"));
    assert_int_equal(bucket.op_count[OP_ANY], 0);
    xfer_checkpoint_close(&other);
    assert_run_uploads(x);
}

/* Standard input, kept in a nameless file. */
static void a_file_without_a_name_leaves_nothing_either_way(void **state)
{
    struct fixture *x = *state;

    fixture_file(x, 3 * PART_SIZE + 1);
    assert_int_equal(fixture_run_fd(x, open(x->path, O_RDONLY | O_CLOEXEC)), 0);
    assert_uploaded(x);
    assert_int_equal(bucket.op_count[OP_PART], 4);

    bucket_reset();
    bucket_rule(OP_PART, 3, FAULT_DENIED);
    assert_int_equal(fixture_run_fd(x, open(x->path, O_RDONLY | O_CLOEXEC)), 0);
    assert_string_equal(x->err.code, "AccessDenied");
    assert_null(bucket_find(KEY));
    assert_nothing_left(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(a_small_file_is_one_request),
        fixture_test(a_large_file_goes_in_parts),
        fixture_test(the_checkpoint_lies_where_it_was_wanted),
        fixture_test(a_part_size_out_of_range_is_named_with_its_range),
        fixture_test(what_is_no_file_is_refused),
        fixture_test(a_checkpoint_directory_must_be_there),
        fixture_test(a_file_that_changes_between_parts_is_not_published),
        fixture_test(a_small_file_that_changes_while_it_is_sent_is_not_published),
        fixture_test(a_change_before_its_last_byte_was_read_is_always_seen),
        fixture_test(when_the_abort_goes_wrong_the_next_run_makes_up_for_it),
        fixture_test(a_beginning_that_cannot_have_worked_leaves_nothing),
        fixture_test(a_beginning_that_may_have_worked_is_remembered),
        fixture_test(a_refusal_later_keeps_what_was_done),
        fixture_test(another_process_at_it_is_told),
        fixture_test(a_file_without_a_name_leaves_nothing_either_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

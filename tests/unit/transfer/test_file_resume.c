/*
 * A later run: what it goes on with, what it sends again, what it leaves alone.
 *
 * Each known fault of the official SDKs' checkpoints has a test that ours has not got it; here,
 * unless a file is named (C, C++, Go, Java, Py: the SDK; 1, 2: its major version):
 *
 *   part 10000 is refused (C++)                      checkpoint: part_10000_is_a_part; plan
 *   endpoint, bucket, key not in the name (C++, C)   checkpoint: source_and_target_make_the_name
 *   .. or not compared (Go 1, C)                     a_record_of_another_upload_is_left_alone
 *   the parent's folder gets the record (Go 2)       file_upload: the_checkpoint_lies_where_..
 *   rewritten in place: torn, empty (Go 1, C, ..)    checkpoint: torn_at_any_byte_..; file_damage
 *   no checksum, or one that is not looked at (Py 1, C)   checkpoint: a_wrong_byte_..; file_damage
 *   written after Initiate or part 1: orphans (all)  an_upload_id_whose_record_was_lost_is_found
 *   removed although Complete failed (C, Go 1)       file_upload: a_refusal_later_keeps_..
 *   left behind after success (Java)                 assert_run_uploads() each time
 *   mtime by the second (C++)                        a_nanosecond_of_mtime_makes_it_another_file
 *   inode not compared (all)                         another_inode_begins_anew
 *   headers not compared (all)                       other_headers_begin_anew
 *   part size of the record wins (C++, Py 1)         a_part_size_that_is_given_begins_anew_..
 *   old upload not aborted (all)                     assert_begins_anew()
 *   upload id not asked for (Go 1, C, Java)          an_upload_id_that_is_gone_begins_anew
 *   any error of ListParts: begins anew (Go 2)       a_list_that_fails_is_asked_for_again
 *   own record of the parts believed (Go 1, C, Java) what_the_server_has_otherwise_is_sent_again
 *   the server's list believed (C++, Py)             content_behind_an_old_mtime_is_found
 *   only a prefix of the parts counts (Go 2, Py 2)   parts_behind_a_gap_are_kept
 *   the short last part is sent again (C++)          the_short_last_part_is_kept_too
 *   lost answer of Complete: all again (all)         a_complete_whose_answer_was_lost_..
 *   wrong CRC-64 of the object stays live (C++)      engine: damaged_object_is_replaced
 *   change during the upload is not seen (all)       file_upload: a_file_that_changes_..
 *   two processes share an upload id (C++)           file_upload: another_process_at_it_is_told
 */
#include "unit/transfer/file_fixture.h"

#define PARTS 6
#define SIZE  (5 * PART_SIZE + 7) /* 5 parts and a short one */

/* -- crashes -- */

static unsigned crash_request;
static bool crash_unapplied;

/* The process dies in its n-th request: before the server saw it, or before we saw the answer. */
static void die(enum bucket_op op, unsigned number, enum bucket_moment moment)
{
    (void)op;
    (void)number;
    if (moment != (crash_unapplied ? MOMENT_BEGIN : MOMENT_APPLIED))
        return;
    ou_lock_scope(&bucket.lock);
    if (bucket.op_count[OP_ANY] + (crash_unapplied ? 1 : 0) >= crash_request)
        bucket.down = true;
}

static void after_a_crash_at_any_request_the_next_run_completes_it(void **state)
{
    struct fixture *x = *state;

    for (int unapplied = 0; unapplied < 2; unapplied++) {
        crash_unapplied = unapplied;
        for (crash_request = 1;; crash_request++) {
            bucket_reset();
            bucket.hook = die;
            fixture_file(x, SIZE);
            assert_int_equal(fixture_run(x), 0);
            if (!x->crashed)
                break;
            bucket.down = false;
            bucket.hook = NULL;
            assert_run_uploads(x);
            for (unsigned i = 1; i <= PARTS; i++)
                assert_in_range(bucket.part_sent[i], 1, 2);
            assert_true(fixture_parts_sent() <= PARTS + 3);
        }
        assert_int_equal(crash_request, 1 + PARTS + 1 + 1);
    }
}

static void only_what_is_missing_is_sent(void **state)
{
    struct fixture *x = *state;

    for (unsigned done = 0; done < PARTS; done++) {
        bucket_reset();
        fixture_file(x, SIZE);
        fixture_interrupt(x, done);
        assert_run_uploads(x);
        assert_int_equal(fixture_parts_sent(), PARTS - done);
        assert_int_equal(bucket.op_count[OP_INITIATE], 0);
        assert_int_equal(x->progress.parts_resumed, done);
        assert_int_equal(x->result.bytes_resumed, done * PART_SIZE);
        assert_int_equal(x->result.bytes_sent, SIZE - done * PART_SIZE);
    }
}

/* aliyun-oss-cpp-sdk takes only parts of exactly the part size, and sends the last one again. */
static void the_short_last_part_is_kept_too(void **state)
{
    struct fixture *x = *state;

    fixture_file(x, SIZE);
    fixture_interrupt_at(x, OP_COMPLETE, PARTS);
    assert_run_uploads(x);
    assert_int_equal(fixture_parts_sent(), 0);
    assert_int_equal(x->progress.parts_resumed, PARTS);
    assert_int_equal(x->result.bytes_resumed, SIZE);
}

/* Several SDKs upload all of it again, over whatever the object is by then. */
static void a_complete_whose_answer_was_lost_is_not_done_again(void **state)
{
    struct fixture *x = *state;

    fixture_file(x, SIZE);
    crash_unapplied = false;
    crash_request = 1 + PARTS + 1;
    bucket.hook = die;
    assert_int_equal(fixture_run(x), 0);
    assert_true(x->crashed);
    bucket.hook = NULL;
    bucket.down = false;
    memset(bucket.op_count, 0, sizeof(bucket.op_count));
    assert_run_uploads(x);
    assert_int_equal(bucket.op_count[OP_PART] + bucket.op_count[OP_INITIATE], 0);
    assert_int_equal(x->result.bytes_sent, 0);
}

/* -- what does not fit any more: the old upload is aborted (no SDK does), a new one begins -- */

static void assert_begins_anew(struct fixture *x)
{
    assert_run_uploads(x);
    assert_int_equal(bucket.op_count[OP_ABORT], 1);
    assert_int_equal(bucket.op_count[OP_INITIATE], 1);
    assert_int_equal(x->result.bytes_resumed, 0);
}

static void a_file_of_another_size_begins_anew(void **state)
{
    struct fixture *x = *state;
    struct timespec mtime;

    fixture_file(x, SIZE);
    fixture_interrupt(x, 3);
    mtime = fixture_mtime(x);
    fixture_file(x, SIZE + 1);
    fixture_set_mtime(x, mtime);
    assert_begins_anew(x);
}

/* The C++ SDK compares whole seconds. */
static void a_nanosecond_of_mtime_makes_it_another_file(void **state)
{
    struct fixture *x = *state;
    struct timespec mtime = {.tv_sec = 1700000000, .tv_nsec = 5};

    fixture_file(x, SIZE);
    fixture_set_mtime(x, mtime);
    fixture_interrupt(x, 3);
    fixture_write(x, 0);
    mtime.tv_nsec++;
    fixture_set_mtime(x, mtime);
    assert_begins_anew(x);
}

static void another_inode_begins_anew(void **state)
{
    struct fixture *x = *state;
    struct timespec mtime;
    char away[4300];

    fixture_file(x, SIZE);
    fixture_interrupt(x, 3);
    mtime = fixture_mtime(x);
    (void)snprintf(away, sizeof(away), "%s.away", x->path);
    assert_int_equal(rename(x->path, away), 0);
    x->data[0] ^= 1;
    fixture_store(x);
    fixture_set_mtime(x, mtime);
    assert_begins_anew(x);
}

static void a_file_that_is_small_now_is_one_request(void **state)
{
    struct fixture *x = *state;

    fixture_file(x, SIZE);
    fixture_interrupt(x, 3);
    fixture_file(x, 10);
    assert_run_uploads(x);
    assert_int_equal(bucket.op_count[OP_ABORT], 1);
    assert_int_equal(bucket.op_count[OP_PUT], 1);
    assert_int_equal(bucket.op_count[OP_ANY], 2);
}

/* Metadata goes out with Initiate: an old upload id has the old one. No SDK looks. */
static void other_headers_begin_anew(void **state)
{
    const struct oss_meta meta[] = {{"a", "1"}, {"a", "2"}, {"b", "2"}};
    const struct oss_object_headers all[] = {
        {.content_type = "text/plain"},
        {.content_type = "text/html"},
        {.cache_control = "no-cache"},
        {.content_disposition = "x"},
        {.content_encoding = "gzip"},
        {.storage_class = "IA"},
        {.sse = "AES256"},
        {.sse_key_id = "AES256"},
        {.meta = meta, .meta_count = 1},
        {.meta = meta + 1, .meta_count = 1},
        {.meta = meta, .meta_count = 2},
        {.meta = meta + 2, .meta_count = 1},
    };
    struct fixture *x = *state;

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        bucket_reset();
        fixture_file(x, SIZE);
        fixture_interrupt(x, 3);
        x->headers = all[i];
        assert_begins_anew(x);
    }
}

static void a_part_size_that_is_given_begins_anew_else_the_old_one_holds(void **state)
{
    struct fixture *x = *state;

    fixture_file(x, SIZE);
    fixture_interrupt(x, 3);
    x->part_size = 2 * PART_SIZE;
    assert_begins_anew(x);
    assert_int_equal(bucket.op_count[OP_PART], 3);

    bucket_reset();
    x->part_size = PART_SIZE;
    fixture_file(x, SIZE);
    fixture_interrupt(x, 3);
    x->part_size = 0; /* 8 MiB, if there were no record: one PutObject */
    assert_run_uploads(x);
    assert_int_equal(fixture_parts_sent(), 3);
}

/* The Go SDK does not ask: users must remove its file. The Python SDK v2 loops. */
static void an_upload_id_that_is_gone_begins_anew(void **state)
{
    struct fixture *x = *state;

    fixture_file(x, SIZE);
    fixture_interrupt(x, 3);
    bucket.uploads[0].open = false;
    assert_run_uploads(x);
    assert_int_equal(bucket.op_count[OP_INITIATE], 1);
    assert_int_equal(fixture_parts_sent(), PARTS);
}

/* The Go SDK v2 takes any error for "it is gone", and leaves the upload behind. */
static void a_list_that_fails_is_asked_for_again(void **state)
{
    static const enum bucket_fault faults[] = {FAULT_CONNECT, FAULT_LOST, FAULT_UNAVAILABLE};
    struct fixture *x = *state;

    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        bucket_reset();
        fixture_file(x, SIZE);
        fixture_interrupt(x, 3);
        bucket_rule(OP_LIST_PARTS, 1, faults[i]);
        assert_run_uploads(x);
        assert_int_equal(bucket.op_count[OP_INITIATE], 0);
        assert_int_equal(fixture_parts_sent(), PARTS - 3);
    }
}

/* -- bytes -- */

/* Size and mtime are what they were, the content is not: rsync --inplace -t, touch -r. The C++ SDK
 * believes the server's list and publishes a mixture. */
static void content_behind_an_old_mtime_is_found(void **state)
{
    struct fixture *x = *state;
    struct timespec mtime;

    fixture_file(x, SIZE);
    fixture_interrupt(x, 4);
    mtime = fixture_mtime(x);
    fixture_write(x, PART_SIZE + 5);
    fixture_set_mtime(x, mtime);
    assert_run_uploads(x);
    assert_int_equal(bucket.op_count[OP_INITIATE], 0);
    assert_int_equal(bucket.part_sent[2], 1);
    assert_int_equal(fixture_parts_sent(), PARTS - 4 + 1);
    assert_int_equal(x->parts_compared, 3);
    assert_int_equal(x->progress.parts_resumed, 3);
}

static void a_chmod_costs_no_part(void **state)
{
    struct fixture *x = *state;

    fixture_file(x, SIZE);
    fixture_interrupt(x, 4);
    assert_int_equal(chmod(x->path, 0600), 0);
    assert_run_uploads(x);
    assert_int_equal(fixture_parts_sent(), PARTS - 4);
    assert_int_equal(x->progress.parts_resumed, 4);
}

/* The Go, C and Java SDKs believe their own record. */
static void what_the_server_has_otherwise_is_sent_again(void **state)
{
    struct fixture *x = *state;
    struct bucket_bytes *parts = bucket.uploads[0].parts;

    fixture_file(x, SIZE);
    fixture_interrupt(x, 5);
    bucket_bytes_fini(&parts[0]);
    parts[1].data[5] ^= 1;
    bucket_seal(&parts[1]);
    parts[2].size--;
    bucket_seal(&parts[2]);
    (void)snprintf(parts[3].etag, sizeof(parts[3].etag), "ANOTHER");
    assert_run_uploads(x);
    assert_int_equal(bucket.part_sent[1], 1);
    assert_int_equal(bucket.part_sent[2], 1);
    assert_int_equal(bucket.part_sent[3], 1);
    assert_int_equal(bucket.part_sent[5], 0);
    assert_true(fixture_parts_sent() <= 5);
}

/* The Go SDK v2 and the Python SDK v2 count only up to the first part that is missing. */
static void parts_behind_a_gap_are_kept(void **state)
{
    struct fixture *x = *state;

    fixture_file(x, SIZE);
    fixture_interrupt_at(x, OP_COMPLETE, PARTS);
    bucket_bytes_fini(&bucket.uploads[0].parts[1]);
    assert_run_uploads(x);
    assert_int_equal(bucket.part_sent[2], 1);
    assert_int_equal(fixture_parts_sent(), 1);
}

static void cut_record(struct fixture *x, unsigned lines)
{
    char name[NAME_MAX + 1];
    ou_auto(ou_buf_fini) struct ou_buf bytes = {0};
    struct ou_error err = OU_ERROR_INIT;
    size_t len = 0;

    assert_int_equal(fixture_checkpoints(x->dirfd, name), 1);
    assert_int_equal(ou_read_file(x->dirfd, name, 1 << 20, &bytes, &err), 0);
    while (lines > 0)
        lines -= bytes.data[len++] == '\n';
    assert_int_equal(ou_file_replace(x->dirfd, name, bytes.data, len, &err), 0);
}

static void parts_whose_record_was_lost_are_found_on_the_server(void **state)
{
    struct fixture *x = *state;

    fixture_file(x, SIZE);
    fixture_interrupt(x, 5);
    cut_record(x, 3); /* header, initiating, upload id */
    assert_run_uploads(x);
    assert_int_equal(fixture_parts_sent(), 1);
    assert_int_equal(x->parts_compared, 5);
    assert_int_equal(x->result.bytes_resumed, 5 * PART_SIZE);
}

static void an_upload_id_whose_record_was_lost_is_found(void **state)
{
    struct fixture *x = *state;

    fixture_file(x, SIZE);
    fixture_interrupt(x, 0);
    cut_record(x, 2); /* header, initiating */
    assert_run_uploads(x);
    assert_int_equal(bucket.op_count[OP_INITIATE], 0);
}

/* -- others -- */

static void another_target_is_another_upload(void **state)
{
    struct fixture *x = *state;

    fixture_file(x, SIZE);
    fixture_interrupt(x, 3);
    x->key = "other";
    assert_int_equal(fixture_run(x), 0);
    assert_string_equal(x->err.message, "");
    assert_non_null(bucket_find("other"));
    assert_int_equal(bucket_open_uploads(), 1);
    assert_int_equal(fixture_checkpoints(x->dirfd, NULL), 1);
    memset(bucket.part_sent, 0, sizeof(bucket.part_sent));
    x->key = KEY;
    assert_run_uploads(x);
    assert_int_equal(fixture_parts_sent(), PARTS - 3);
}

/* The C SDK compares neither bucket nor key, the Go SDK trusts the file's name. */
static void a_record_of_another_upload_is_left_alone(void **state)
{
    char name[NAME_MAX + 1], wanted[NAME_MAX + 1];
    struct fixture *x = *state;
    struct xfer_checkpoint_header header = {.bucket = "bucket",
                                            .key = "other",
                                            .endpoint = oss_client_endpoint(x->client),
                                            .path = x->path};

    fixture_file(x, SIZE);
    fixture_interrupt(x, 3);
    (void)fixture_checkpoints(x->dirfd, name);
    xfer_checkpoint_name(&header, wanted);
    assert_int_equal(renameat(x->dirfd, name, x->dirfd, wanted), 0);
    x->key = "other";
    assert_int_equal(fixture_run(x), -EEXIST);
    assert_non_null(strstr(x->err.message, wanted));
    assert_int_equal(bucket.op_count[OP_ANY], 0);
    assert_int_equal(renameat(x->dirfd, wanted, x->dirfd, name), 0);
    x->key = KEY;
    assert_run_uploads(x);
    assert_int_equal(fixture_parts_sent(), PARTS - 3);
}

static void a_later_format_is_left_alone(void **state)
{
    static const char line[] = "{\"op\":\"file\",\"format\":2}";
    ou_auto(ou_buf_fini) struct ou_buf bytes = {0}, after = {0};
    struct ou_error err = OU_ERROR_INIT;
    char name[NAME_MAX + 1];
    struct fixture *x = *state;

    fixture_file(x, SIZE);
    fixture_interrupt(x, 3);
    (void)fixture_checkpoints(x->dirfd, name);
    assert_int_equal(ou_journal_seal(&bytes, line, strlen(line), &err), 0);
    assert_int_equal(ou_file_replace(x->dirfd, name, bytes.data, bytes.len, &err), 0);
    assert_int_equal(fixture_run(x), -EPROTO);
    assert_non_null(strstr(x->err.message, "another version"));
    assert_int_equal(bucket.op_count[OP_ANY], 0);
    assert_int_equal(ou_read_file(x->dirfd, name, 1 << 20, &after, &err), 0);
    assert_string_equal(ou_buf_str(&after), ou_buf_str(&bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(after_a_crash_at_any_request_the_next_run_completes_it),
        fixture_test(only_what_is_missing_is_sent),
        fixture_test(the_short_last_part_is_kept_too),
        fixture_test(a_complete_whose_answer_was_lost_is_not_done_again),
        fixture_test(a_file_of_another_size_begins_anew),
        fixture_test(a_nanosecond_of_mtime_makes_it_another_file),
        fixture_test(another_inode_begins_anew),
        fixture_test(a_file_that_is_small_now_is_one_request),
        fixture_test(other_headers_begin_anew),
        fixture_test(a_part_size_that_is_given_begins_anew_else_the_old_one_holds),
        fixture_test(an_upload_id_that_is_gone_begins_anew),
        fixture_test(a_list_that_fails_is_asked_for_again),
        fixture_test(content_behind_an_old_mtime_is_found),
        fixture_test(a_chmod_costs_no_part),
        fixture_test(what_the_server_has_otherwise_is_sent_again),
        fixture_test(parts_behind_a_gap_are_kept),
        fixture_test(parts_whose_record_was_lost_are_found_on_the_server),
        fixture_test(an_upload_id_whose_record_was_lost_is_found),
        fixture_test(another_target_is_another_upload),
        fixture_test(a_record_of_another_upload_is_left_alone),
        fixture_test(a_later_format_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

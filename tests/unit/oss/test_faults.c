/*
 * The client under faults of the local server: what is repeated, what is not, and how it ends.
 */
#include "fault_fixture.h"

/* -- repeated until it works -- */

static void every_kind_of_broken_exchange_is_repeated(void **state)
{
    /* early: the server says so without waiting for the body, which may not have been read then */
    static const struct {
        const char *action;
        bool early;
    } cases[] = {
        {"\"status\",\"status\":500,\"code\":\"InternalError\"", false},
        {"\"status\",\"status\":400,\"code\":\"RequestTimeout\"", false},
        {"\"status\",\"status\":502,\"code\":\"BadGateway\"", false},
        {"\"cut-before-body\"", true},
        {"\"cut-after-body\"", false},
        {"\"cut-after-bytes\",\"bytes\":70000", false},
        {"\"apply-no-answer\"", false},
        {"\"wrong-crc\"", false},
        {"\"corrupt-body\",\"at\":1000", false},
        {"\"html\"", false},
        {"\"status\",\"status\":500,\"code\":\"InternalError\",\"drain\":false", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pattern p = {.size = BIG};

        server_calm(server);
        fault("PutObject", 1, "", cases[i].action);
        ok(put_with(NULL, "k", &p));
        assert_true(p.begun == 2 || (cases[i].early && p.begun == 1));
        assert_int_equal(server_count(server, "PutObject"), 2);
        assert_is_whole("k", BIG);
    }
}

static void one_attempt_is_one_and_says_what_would_help(void **state)
{
    struct pattern p = {.size = BIG};

    (void)state;
    fault("PutObject", 1, "", "\"status\",\"status\":500,\"code\":\"InternalError\"");
    assert_int_equal(put_with(&one_attempt, "once", &p), -EIO);
    assert_string_equal(err.code, "InternalError");
    assert_int_equal(err.http_status, 500);
    assert_int_equal(oss_error_verdict(&err), OSS_RETRY);
    assert_int_equal(strlen(err.request_id), 24);
    assert_int_equal(server_count(server, "PutObject"), 1);

    fault("PutObject", 1, "", "\"wrong-crc\"");
    assert_int_equal(put_with(&one_attempt, "once", &p), -EIO);
    assert_string_equal(err.code, "CrcMismatch");
    assert_int_equal(oss_error_verdict(&err), OSS_RETRY);
}

static void an_early_refusal_is_that_refusal(void **state)
{
    struct pattern p = {.size = BIG};

    (void)state;
    /* Several times, on fresh and on kept connections: the answer races with our sending. */
    for (int i = 0; i < 10; i++) {
        fault("PutObject", 1, "",
              "\"status\",\"status\":403,\"code\":\"AccessDenied\",\"drain\":false");
        assert_int_equal(put_with(NULL, "early", &p), -EACCES);
        assert_string_equal(err.code, "AccessDenied");
        assert_int_equal(oss_error_verdict(&err), OSS_FINAL);
    }
    assert_int_equal(server_count(server, "PutObject"), 10);
}

static void a_cut_download_goes_on_where_it_broke(void **state)
{
    struct checked c = {.first = 5};
    struct oss_sink sink = {.write = check_pattern, .ctx = &c};

    (void)state;
    put("cut", BIG);
    fault("GetObject", 4, "", "\"cut-after-bytes\",\"bytes\":500000");
    ok(oss_get_object(C, NULL, "cut", 5, BIG - 5, NULL, &sink, NULL, &err));
    assert_int_equal(c.got, BIG - 5);
    assert_int_equal(server_count(server, "GetObject"), 5);
    fault("GetObject", 1, "", "\"bad-content-length\"");
    assert_is_whole("cut", BIG);
}

static void a_download_never_mixes_versions(void **state)
{
    struct checked c = {.got = 0};
    struct oss_sink sink = {.write = check_pattern, .ctx = &c};

    (void)state;
    put("v", BIG);
    fault("GetObject", 1, "", "\"cut-after-bytes\",\"bytes\":500000");
    server_fault(
        server, "{\"operation\":\"GetObject\",\"nth\":2,\"action\":{\"type\":\"replace-object\"}}");
    assert_int_equal(oss_get_object(C, NULL, "v", 0, BIG, NULL, &sink, NULL, &err), -ESTALE);
}

static void the_whole_object_instead_of_a_range_never_reaches_the_sink(void **state)
{
    struct checked c = {.first = 1000};
    struct oss_sink sink = {.write = check_pattern, .ctx = &c};

    (void)state;
    put("r", 200000);
    fault("GetObject", 2, "", "\"ignore-range\"");
    ok(oss_get_object(C, NULL, "r", 1000, 100, NULL, &sink, NULL, &err));
    assert_int_equal(c.got, 100);
    c = (struct checked){.first = 1000};
    fault("GetObject", 1, "", "\"ignore-range\"");
    assert_int_equal(oss_get_object(C, &one_attempt, "r", 1000, 100, NULL, &sink, NULL, &err),
                     -EIO);
    assert_int_equal(c.got, 0);
}

static void a_damaged_whole_object_is_found_by_its_crc(void **state)
{
    struct checked c = {.got = 0};
    struct oss_sink sink = {.write = check_pattern, .ctx = &c};

    (void)state;
    put("w", 1000);
    fault("GetObject", 1, "", "\"wrong-crc\"");
    assert_int_equal(oss_get_object(C, NULL, "w", 0, 1000, NULL, &sink, NULL, &err), -EIO);
    assert_string_equal(err.code, "CrcMismatch");
}

static void a_broken_listing_is_asked_for_again(void **state)
{
    static const char *const actions[] = {"\"malformed-xml\"", "\"truncated-xml\"",
                                          "\"empty-body-200\"", "\"html\"", "\"apply-no-answer\""};

    (void)state;
    put("list", 1);
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        struct oss_list_page page;

        server_calm(server);
        fault("ListObjectsV2", 1, "", actions[i]);
        ok(oss_list_objects(C, NULL, "list", NULL, NULL, NULL, 10, &page, &err));
        assert_int_equal(page.count, 1);
        oss_list_page_fini(&page);
    }
}

/* -- what must not happen twice -- */

static void a_lost_answer_is_not_asked_for_again_where_that_would_double(void **state)
{
    char id[OSS_UPLOAD_ID_SIZE];
    struct oss_upload_list uploads;
    struct oss_object_headers forbid = {.forbid_overwrite = true};
    struct pattern p = {.size = 10};
    struct oss_body body = {.size = 10, .read = read_pattern, .ctx = &p};
    struct oss_object object;
    uint64_t next;

    (void)state;
    /* On a fresh and on a kept connection: libcurl would repeat the latter by itself. */
    for (int i = 0; i < 2; i++) {
        fault("InitiateMultipartUpload", 1, "", "\"apply-no-answer\"");
        assert_int_equal(oss_initiate_upload(C, NULL, "lost", NULL, id, &err), -EIO);
        assert_int_equal(oss_error_verdict(&err), OSS_RETRY);
        ok(oss_list_uploads(C, NULL, "lost", NULL, NULL, &uploads, &err));
        assert_int_equal(uploads.count, 1);
        ok(oss_abort_upload(C, NULL, "lost", uploads.uploads[0].upload_id, &err));
        oss_upload_list_fini(&uploads);
    }
    fault("AppendObject", 1, "", "\"apply-no-answer\"");
    assert_int_equal(oss_append_object(C, NULL, "twice", 0, NULL, &body, &next, NULL, &err), -EIO);
    assert_int_equal(oss_head_object(C, NULL, "twice", &object, &err), 1);
    assert_int_equal(object.size, 10);
    oss_object_fini(&object);
    fault("PutObject", 1, "", "\"apply-no-answer\"");
    assert_int_equal(oss_put_object(C, NULL, "mine", &forbid, &body, NULL, &err), -EIO);
    assert_string_equal(err.code, "ConnectionLost");
    assert_int_equal(server_count(server, "PutObject"), 1);
    ok(oss_delete_object(C, NULL, "twice", &err));
    ok(oss_delete_object(C, NULL, "mine", &err));
}

static void a_lost_answer_is_asked_for_again_where_nothing_is_doubled(void **state)
{
    static const char *const keys[] = {"b1", "b2"};
    bool deleted[2] = {false, false};
    char id[OSS_UPLOAD_ID_SIZE];
    struct oss_upload_list uploads;
    struct oss_written written;
    struct oss_object object;
    char *target = NULL;

    (void)state;
    put("b1", 200000);
    put("b2", 1);
    ok(oss_initiate_upload(C, NULL, "copied", NULL, id, &err));
    fault("UploadPartCopy", 1, "", "\"apply-no-answer\"");
    ok(oss_upload_part_copy(C, NULL, "copied", id, 1, "b1", 0, 200000, NULL, &written, &err));
    assert_int_equal(server_count(server, "UploadPartCopy"), 2);
    fault("AbortMultipartUpload", 1, "", "\"apply-no-answer\"");
    ok(oss_abort_upload(C, NULL, "copied", id, &err));
    ok(oss_list_uploads(C, NULL, "copied", NULL, NULL, &uploads, &err));
    assert_int_equal(uploads.count, 0);
    oss_upload_list_fini(&uploads);

    fault("PutSymlink", 1, "", "\"apply-no-answer\"");
    ok(oss_put_symlink(C, NULL, "l", "b1", NULL, &err));
    ok(oss_get_symlink(C, NULL, "l", &target, &err));
    assert_string_equal(target, "b1");
    free(target);

    fault("DeleteMultipleObjects", 1, "", "\"apply-no-answer\"");
    assert_int_equal(oss_delete_objects(C, NULL, keys, 2, deleted, &err), 2);
    assert_true(deleted[0] && deleted[1]);
    assert_int_equal(oss_head_object(C, NULL, "b1", &object, &err), 0);
    ok(oss_delete_object(C, NULL, "l", &err));
}

static void a_lost_complete_is_told_and_found_applied(void **state)
{
    char id[OSS_UPLOAD_ID_SIZE];
    struct pattern p = {.size = 200000};
    struct oss_body body = {.size = p.size, .read = read_pattern, .ctx = &p};
    struct oss_part part = {.number = 1};
    struct oss_written written;

    (void)state;
    ok(oss_initiate_upload(C, NULL, "done", NULL, id, &err));
    ok(oss_upload_part(C, NULL, "done", id, 1, &body, &written, &err));
    memcpy(part.etag, written.etag, sizeof(part.etag));
    fault("CompleteMultipartUpload", 1, "", "\"apply-no-answer\"");
    assert_int_equal(oss_complete_upload(C, NULL, "done", id, &part, 1, false, &written, &err),
                     -EIO);
    assert_int_equal(oss_error_verdict(&err), OSS_RETRY);
    assert_int_equal(server_count(server, "CompleteMultipartUpload"), 1);
    assert_int_equal(oss_complete_upload(C, NULL, "done", id, &part, 1, false, &written, &err),
                     -ENOENT);
    assert_is_whole("done", p.size);
}

static void initiate_is_repeated_when_oss_said_it_did_nothing(void **state)
{
    char id[OSS_UPLOAD_ID_SIZE];

    (void)state;
    fault("InitiateMultipartUpload", 1, "", "\"status\",\"status\":500,\"code\":\"InternalError\"");
    fault("InitiateMultipartUpload", 1, "",
          "\"status\",\"status\":503,\"code\":\"ServiceUnavailable\"");
    ok(oss_initiate_upload(C, NULL, "again", NULL, id, &err));
    ok(oss_abort_upload(C, NULL, "again", id, &err));
}

/* -- the caller's own failures -- */

static void a_failing_body_ends_the_request_and_stores_nothing(void **state)
{
    struct pattern p = {.size = BIG, .fail_at = 5};
    struct oss_object object;

    (void)state;
    assert_int_equal(put_with(NULL, "never", &p), -EDQUOT);
    assert_string_equal(err.message, "read the spool: Disk quota exceeded");
    assert_int_equal(p.begun, 1);
    assert_int_equal(oss_head_object(C, NULL, "never", &object, &err), 0);
}

static int refuse_bytes(void *ctx, const void *data, size_t len, uint64_t offset,
                        struct ou_error *e)
{
    (void)ctx, (void)data, (void)len, (void)offset;
    return ou_error_set(e, ENOSPC, "write the cache");
}

static void a_failing_sink_ends_the_request(void **state)
{
    struct oss_sink sink = {.write = refuse_bytes};

    (void)state;
    put("sink", BIG);
    server_calm(server);
    assert_int_equal(oss_get_object(C, NULL, "sink", 0, BIG, NULL, &sink, NULL, &err), -ENOSPC);
    assert_string_equal(err.message, "write the cache: No space left on device");
    assert_int_equal(server_count(server, "GetObject"), 1);
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        calmly(every_kind_of_broken_exchange_is_repeated),
        calmly(one_attempt_is_one_and_says_what_would_help),
        calmly(an_early_refusal_is_that_refusal),
        calmly(a_cut_download_goes_on_where_it_broke),
        calmly(a_download_never_mixes_versions),
        calmly(the_whole_object_instead_of_a_range_never_reaches_the_sink),
        calmly(a_damaged_whole_object_is_found_by_its_crc),
        calmly(a_broken_listing_is_asked_for_again),
        calmly(a_lost_answer_is_not_asked_for_again_where_that_would_double),
        calmly(a_lost_answer_is_asked_for_again_where_nothing_is_doubled),
        calmly(a_lost_complete_is_told_and_found_applied),
        calmly(initiate_is_repeated_when_oss_said_it_did_nothing),
        calmly(a_failing_body_ends_the_request_and_stores_nothing),
        calmly(a_failing_sink_ends_the_request),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

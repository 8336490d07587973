/*
 * The client under faults of the local server: what is repeated, what is not, and how it ends.
 */
#include "server.h"

#include "unit/unit.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/crc64.h"
#include "oss/ops.h"

#include <inttypes.h>
#include <pthread.h>
#include <sys/random.h>

static struct server *server;
static struct server_client client;

#define C client.client

static int setup(void **state)
{
    (void)state;
    server = server_start(NULL);
    server_client(server, &client, OSS_SIGN_CHOICE_V4, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    server_client_fini(&client);
    server_stop(server);
    return 0;
}

static int calm(void **state)
{
    (void)state;
    server_calm(server);
    return 0;
}

static struct ou_error err;

static void ok_at(int r, int line)
{
    if (r < 0)
        print_error("line %d: %s\n", line, err.message);
    assert_true(r >= 0);
}

#define ok(call) ok_at((call), __LINE__)

/* A fault that happens @count times; @rest: further members of the rule, with a comma before. */
static void fault(const char *operation, unsigned count, const char *rest, const char *action)
{
    char rule[512];

    (void)snprintf(rule, sizeof(rule),
                   "{\"operation\":\"%s\",\"count\":%u%s,\"action\":{\"type\":%s}}", operation,
                   count, rest, action);
    server_fault(server, rule);
}

/* -- bodies that are a function of their offset -- */

struct pattern {
    uint64_t size;
    unsigned begun; /* how often it was read from offset 0 */
    int fail_at;    /* the read that fails, counting from 1; 0: none */
    int reads;
};

static unsigned char pattern_at(uint64_t offset)
{
    return (unsigned char)(offset * 31 + (offset >> 9));
}

static ssize_t read_pattern(void *ctx, void *buf, size_t len, uint64_t offset, struct ou_error *e)
{
    struct pattern *p = ctx;
    unsigned char *out = buf;

    p->begun += offset == 0;
    if (++p->reads == p->fail_at)
        return ou_error_set(e, EDQUOT, "read the spool");
    assert_true(offset + len <= p->size);
    for (size_t i = 0; i < len; i++)
        out[i] = pattern_at(offset + i);
    return (ssize_t)len;
}

struct checked {
    uint64_t first; /* offset in the object of the wanted range */
    uint64_t got;
};

static int check_pattern(void *ctx, const void *data, size_t len, uint64_t offset,
                         struct ou_error *e)
{
    struct checked *c = ctx;
    const unsigned char *in = data;

    (void)e;
    assert_int_equal(offset, c->got); /* nothing twice, nothing left out */
    for (size_t i = 0; i < len; i++)
        assert_int_equal(in[i], pattern_at(c->first + offset + i));
    c->got += len;
    return 0;
}

static int put_with(const struct oss_call *call, const char *key, struct pattern *p)
{
    struct oss_body body = {.size = p->size, .read = read_pattern, .ctx = p};

    return oss_put_object(C, call, key, NULL, &body, NULL, &err);
}

static void put(const char *key, uint64_t size)
{
    struct pattern p = {.size = size};

    ok(put_with(NULL, key, &p));
}

static void assert_is_whole(const char *key, uint64_t size)
{
    struct checked c = {.got = 0};
    struct oss_sink sink = {.write = check_pattern, .ctx = &c};

    ok(oss_get_object(C, NULL, key, 0, size, NULL, &sink, NULL, &err));
    assert_int_equal(c.got, size);
}

static const struct oss_call one_attempt = {.deadline_ms = OSS_ONE_ATTEMPT};

#define BIG ((uint64_t)3 << 20)

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

/* -- time -- */

static void a_stalled_server_outlives_neither_silence_nor_deadline(void **state)
{
    static const char *const operations[] = {"HeadObject", "PutObject", "GetObject"};
    const struct oss_config impatient = {.idle_timeout_ms = 300};
    struct server_client quick = {.chain = NULL};
    struct checked c = {.got = 0};
    struct oss_sink sink = {.write = check_pattern, .ctx = &c};
    struct pattern p = {.size = BIG};
    struct oss_body body = {.size = BIG, .read = read_pattern, .ctx = &p};
    struct oss_object object;

    (void)state;
    put("stall", BIG);
    server_client(server, &quick, OSS_SIGN_CHOICE_V4, &impatient);
    for (size_t i = 0; i < 3; i++)
        fault(operations[i], 100, "", "\"stall\"");
    assert_int_equal(oss_head_object(quick.client, &one_attempt, "stall", &object, &err),
                     -ETIMEDOUT);
    assert_int_equal(oss_error_verdict(&err), OSS_RETRY);
    assert_int_equal(oss_put_object(quick.client, &one_attempt, "stall", NULL, &body, NULL, &err),
                     -ETIMEDOUT);
    assert_int_equal(
        oss_get_object(quick.client, &one_attempt, "stall", 0, BIG, NULL, &sink, NULL, &err),
        -ETIMEDOUT);
    server_calm(server);
    fault("GetObject", 1, "", "\"stall\",\"bytes\":100000");
    ok(oss_get_object(quick.client, NULL, "stall", 0, BIG, NULL, &sink, NULL, &err));
    assert_int_equal(c.got, BIG);
    server_client_fini(&quick);

    fault("HeadObject", 100, "", "\"stall\"");
    assert_int_equal(oss_head_object(C, &(struct oss_call){.deadline_ms = ou_now_ms() + 300},
                                     "stall", &object, &err),
                     -ETIMEDOUT);
    assert_string_equal(err.code, "Timeout");
}

static void a_deadline_ends_repetitions_with_the_last_error(void **state)
{
    struct oss_call call = {.deadline_ms = ou_now_ms() + 700};
    struct oss_object object;

    (void)state;
    fault("HeadObject", 1000, "", "\"status\",\"status\":500,\"code\":\"InternalError\"");
    assert_int_equal(oss_head_object(C, &call, "x", &object, &err), -EIO);
    assert_string_equal(err.code, "InternalError");
    /* The service asks for more time than there is: no use to wait for it. */
    server_calm(server);
    fault("HeadObject", 1, "",
          "\"status\",\"status\":503,\"code\":\"ServiceUnavailable\",\"retry_after\":3600");
    call.deadline_ms = ou_now_ms() + 60000;
    assert_int_equal(oss_head_object(C, &call, "x", &object, &err), -EIO);
    assert_int_equal(server_count(server, "HeadObject"), 1);
}

static void callers_with_a_schedule_of_their_own_are_told_how_long_to_wait(void **state)
{
    struct oss_object object;

    (void)state;
    fault("HeadObject", 1, "",
          "\"status\",\"status\":503,\"code\":\"QpsLimitExceeded\",\"retry_after\":7");
    assert_int_equal(oss_head_object(C, &one_attempt, "x", &object, &err), -EIO);
    assert_int_equal(err.wait_ms, 7000);
    fault("HeadObject", 1, "",
          "\"status\",\"status\":503,\"code\":\"SlowDown\","
          "\"headers\":{\"x-oss-qos-delay-time\":\"2500\"}");
    assert_int_equal(oss_head_object(C, &one_attempt, "x", &object, &err), -EIO);
    assert_int_equal(err.wait_ms, 2500);
    fault("HeadObject", 1, "",
          "\"status\",\"status\":403,\"code\":\"AccessDenied\",\"retry_after\":7");
    assert_int_equal(oss_head_object(C, &one_attempt, "x", &object, &err), -EACCES);
    assert_int_equal(err.wait_ms, 0); /* no repetition helps */
}

/* -- cancelling -- */

struct canceller {
    struct ou_cancel *cancel;
    const char *operation; /* cancel once the server has this request, NULL: at once */
};

static void *cancel_when_seen(void *arg)
{
    struct canceller *c = arg;
    const struct timespec pause = {.tv_nsec = 5000000};

    while (c->operation) { /* polling for a state: the rule has acted */
        ou_autofree char *faults = server_control(server, "GET", "faults", NULL);

        if (strstr(faults, "\"acted\":1"))
            break;
        (void)nanosleep(&pause, NULL);
    }
    ou_cancel_trigger(c->cancel);
    return NULL;
}

static void cancel_ends_a_waiting_call(void **state)
{
    struct ou_cancel *cancel = ou_cancel_new();
    struct canceller canceller = {.cancel = cancel, .operation = "HeadObject"};
    struct oss_call call = {.cancel = cancel, .deadline_ms = OSS_ONE_ATTEMPT};
    struct oss_object object;
    pthread_t thread;

    (void)state;
    fault("HeadObject", 1, "", "\"stall\"");
    assert_int_equal(pthread_create(&thread, NULL, cancel_when_seen, &canceller), 0);
    assert_int_equal(oss_head_object(C, &call, "x", &object, &err), -EINTR);
    (void)pthread_join(thread, NULL);
    /* One that was triggered before sends nothing. */
    server_tell(server, "DELETE", "log", NULL);
    assert_int_equal(oss_delete_object(C, &call, "x", &err), -EINTR);
    assert_int_equal(server_count(server, "DeleteObject"), 0);
    /* And one that waits between two attempts wakes. */
    server_calm(server);
    ou_cancel_reset(cancel);
    call.deadline_ms = ou_now_ms() + 7200000;
    fault("HeadObject", 1, "",
          "\"status\",\"status\":503,\"code\":\"ServiceUnavailable\",\"retry_after\":3600");
    assert_int_equal(pthread_create(&thread, NULL, cancel_when_seen, &canceller), 0);
    assert_int_equal(oss_head_object(C, &call, "x", &object, &err), -EINTR);
    (void)pthread_join(thread, NULL);
    ou_cancel_unref(cancel);
}

/* -- who we are, and when -- */

static void a_wrong_clock_is_learnt_and_mended_at_once(void **state)
{
    struct oss_client_stats stats;
    struct oss_object object;

    (void)state;
    server_tell(server, "POST", "time", "{\"offset\":1500}");
    assert_int_equal(oss_head_object(C, &one_attempt, "x", &object, &err), 0);
    assert_int_equal(server_count(server, "HeadObject"), 2);
    oss_client_stats(C, &stats);
    assert_in_range(stats.clock_offset_s, 1495, 1505);
    assert_int_equal(oss_head_object(C, &one_attempt, "x", &object, &err), 0);
    assert_int_equal(server_count(server, "HeadObject"), 3);
    server_tell(server, "POST", "time", "{\"offset\":-1500}");
    put("x", 100000); /* also with a body */
    assert_is_whole("x", 100000);
    server_tell(server, "POST", "time", "{\"offset\":0}");
    ok(oss_delete_object(C, NULL, "x", &err));
}

static void the_wrong_secret_is_told_in_a_sentence(void **state)
{
    struct oss_cred_config wrong = {.access_key_id = SERVER_KEY_ID, .access_key_secret = "wrong"};
    struct server_client c = {.chain = NULL};
    struct oss_object object;

    (void)state;
    ok(oss_cred_chain_new(&wrong, &c.chain, &err));
    server_client(server, &c, OSS_SIGN_CHOICE_V4, NULL);
    assert_int_equal(oss_head_object(c.client, NULL, "x", &object, &err), -EACCES);
    assert_string_equal(err.code, "SignatureDoesNotMatch");
    assert_non_null(strstr(err.message, "check the access key secret"));
    assert_null(strstr(err.message, "wrong"));
    assert_int_equal(oss_error_verdict(&err), OSS_FINAL);
    server_client_fini(&c);
    wrong.access_key_id = "LTAInobody";
    ok(oss_cred_chain_new(&wrong, &c.chain, &err));
    server_client(server, &c, OSS_SIGN_CHOICE_V1, NULL);
    assert_int_equal(oss_put_object(c.client, NULL, "x", NULL, NULL, NULL, &err), -EACCES);
    assert_string_equal(err.code, "InvalidAccessKeyId");
    server_client_fini(&c);
}

/* -- throttling -- */

static void throttling_halves_the_connections_and_the_call_still_succeeds(void **state)
{
    const struct oss_config narrow = {.connections = 8};
    struct server_client c = {.chain = NULL};
    struct oss_client_stats stats;
    struct oss_object object;

    (void)state;
    server_client(server, &c, OSS_SIGN_CHOICE_V4, &narrow);
    fault("HeadObject", 1, "", "\"status\",\"status\":503,\"code\":\"QpsLimitExceeded\"");
    assert_int_equal(oss_head_object(c.client, &one_attempt, "x", &object, &err), -EIO);
    assert_int_equal(oss_error_verdict(&err), OSS_THROTTLE);
    oss_client_stats(c.client, &stats);
    assert_int_equal(stats.connections_allowed, 4);
    assert_int_equal(stats.throttled, 1);
    assert_int_equal(oss_head_object(c.client, NULL, "x", &object, &err), 0);
    oss_client_stats(c.client, &stats);
    assert_int_equal(stats.in_flight, 0);
    server_client_fini(&c);
}

static void the_rate_limit_holds_for_both_directions(void **state)
{
    const struct oss_config slow = {.limit_up = 1 << 20, .limit_down = 1 << 20};
    struct server_client c = {.chain = NULL};
    struct pattern p = {.size = 600000};
    struct oss_body body = {.size = p.size, .read = read_pattern, .ctx = &p};
    struct checked got = {.got = 0};
    struct oss_sink sink = {.write = check_pattern, .ctx = &got};
    uint64_t before = ou_now_ms();

    (void)state;
    server_client(server, &c, OSS_SIGN_CHOICE_V4, &slow);
    ok(oss_put_object(c.client, NULL, "slow", NULL, &body, NULL, &err));
    ok(oss_get_object(c.client, NULL, "slow", 0, p.size, NULL, &sink, NULL, &err));
    assert_int_equal(got.got, p.size);
    /* At least what the rate allows, less the burst: never a question of how fast we are. */
    assert_true(ou_now_ms() - before >= 700);
    server_client_fini(&c);
}

/* -- nobody there -- */

static void an_unreachable_server_is_told_in_a_sentence(void **state)
{
    static const struct {
        const char *endpoint, *code;
        int errnum;
    } cases[] = {
        {"http://127.0.0.1:1", "ConnectFailed", ECONNREFUSED},
        {"http://no-such-host.invalid", "HostNotFound", EHOSTUNREACH},
    };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const struct oss_config config = {.endpoint = cases[i].endpoint};
        struct server_client c = {.chain = NULL};
        struct oss_object object;

        server_client(server, &c, OSS_SIGN_CHOICE_V4, &config);
        assert_int_equal(oss_head_object(c.client, &one_attempt, "x", &object, &err),
                         -cases[i].errnum);
        assert_string_equal(err.code, cases[i].code);
        assert_int_equal(oss_error_verdict(&err), OSS_RETRY);
        server_client_fini(&c);
    }
}

#define calmly(test) cmocka_unit_test_setup(test, calm)

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
        calmly(a_stalled_server_outlives_neither_silence_nor_deadline),
        calmly(a_deadline_ends_repetitions_with_the_last_error),
        calmly(callers_with_a_schedule_of_their_own_are_told_how_long_to_wait),
        calmly(cancel_ends_a_waiting_call),
        calmly(a_wrong_clock_is_learnt_and_mended_at_once),
        calmly(the_wrong_secret_is_told_in_a_sentence),
        calmly(throttling_halves_the_connections_and_the_call_still_succeeds),
        calmly(the_rate_limit_holds_for_both_directions),
        calmly(an_unreachable_server_is_told_in_a_sentence),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

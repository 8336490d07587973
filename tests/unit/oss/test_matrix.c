/*
 * Each fault against each operation: the outcome is right, nothing is lost, nothing doubled.
 * Prints the table that it checks.
 */
#include "server.h"

#include "unit/unit.h"

#include "base/cleanup.h"
#include "oss/ops.h"

#include <inttypes.h>

#define SIZE 200000

static struct server *server;
static struct server_client client;
static struct ou_error err;
static unsigned char data[SIZE];
static char upload_id[OSS_UPLOAD_ID_SIZE];
static struct oss_part part;

#define C client.client

static int setup(void **state)
{
    struct unit_random random = {.state = 42};

    (void)state;
    unit_random_bytes(&random, data, sizeof(data));
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

static ssize_t read_data(void *ctx, void *buf, size_t len, uint64_t offset, struct ou_error *e)
{
    (void)ctx, (void)e;
    memcpy(buf, data + offset, len);
    return (ssize_t)len;
}

static int keep_data(void *ctx, const void *bytes, size_t len, uint64_t offset, struct ou_error *e)
{
    struct ou_buf *out = ctx;

    assert_int_equal(offset, out->len);
    ou_buf_add(out, bytes, len);
    return ou_buf_check(out, e);
}

static const struct oss_body body = {.size = SIZE, .read = read_data};

/* -- the operations: one call, and what must hold when it succeeded -- */

static int head(void)
{
    struct oss_object o;
    int r = oss_head_object(C, NULL, "m", &o, &err);

    if (r < 0)
        return r;
    assert_int_equal(r, 1);
    assert_int_equal(o.size, SIZE);
    oss_object_fini(&o);
    return 0;
}

static int get_key(const char *key)
{
    ou_auto(ou_buf_fini) struct ou_buf got = {0};
    struct oss_sink sink = {.write = keep_data, .ctx = &got};
    int r = oss_get_object(C, NULL, key, 0, SIZE, NULL, &sink, NULL, &err);

    if (r < 0)
        return r;
    assert_int_equal(got.len, SIZE);
    assert_memory_equal(got.data, data, SIZE);
    return 0;
}

static int get(void)
{
    return get_key("m");
}

static int put(void)
{
    return oss_put_object(C, NULL, "target", NULL, &body, NULL, &err);
}

static int upload_part(void)
{
    return oss_upload_part(C, NULL, "target", upload_id, 1, &body, NULL, &err);
}

static int complete(void)
{
    return oss_complete_upload(C, NULL, "target", upload_id, &part, 1, false, NULL, &err);
}

static int copy(void)
{
    return oss_copy_object(C, NULL, "m", NULL, "target", NULL, NULL, &err);
}

static int list(void)
{
    struct oss_list_page page;
    int r = oss_list_objects(C, NULL, "m", NULL, NULL, NULL, 10, &page, &err);

    if (r < 0)
        return r;
    assert_int_equal(page.count, 1);
    oss_list_page_fini(&page);
    return 0;
}

static int delete_it(void)
{
    return oss_delete_object(C, NULL, "gone", &err);
}

enum { HEAD, GET, PUT, PART, COMPLETE, COPY, LIST, DELETE, OPERATIONS };

static const struct {
    const char *title, *operation;
    int (*run)(void);
} operations[OPERATIONS] = {
    {"Head", "HeadObject", head},
    {"Get", "GetObject", get},
    {"Put", "PutObject", put},
    {"Part", "UploadPart", upload_part},
    {"Complete", "CompleteMultipartUpload", complete},
    {"Copy", "CopyObject", copy},
    {"List", "ListObjectsV2", list},
    {"Delete", "DeleteObject", delete_it},
};

#define NONE 0x7fff /* not looked at: the lie cannot be found out from the answer */

/* What is due: for all operations but Complete, which is not repeated unless OSS did not begin. */
static const struct {
    const char *title, *action;
    int due, complete;
    int other, other_due; /* one operation for which something else is due; its errno */
} faults[] = {
    {"500", "\"status\",\"status\":500,\"code\":\"InternalError\"", 0, EIO, -1, 0},
    {"502 HTML", "\"html\"", 0, EIO, -1, 0},
    {"503", "\"status\",\"status\":503,\"code\":\"ServiceUnavailable\"", 0, 0, -1, 0},
    {"503 early", "\"status\",\"status\":503,\"code\":\"ServiceUnavailable\",\"drain\":false", 0, 0,
     -1, 0},
    {"429", "\"status\",\"status\":429,\"code\":\"TooManyRequests\"", 0, 0, -1, 0},
    {"QPS", "\"status\",\"status\":503,\"code\":\"QpsLimitExceeded\"", 0, 0, -1, 0},
    {"timeout", "\"status\",\"status\":400,\"code\":\"RequestTimeout\"", 0, EIO, -1, 0},
    {"skewed", "\"status\",\"status\":403,\"code\":\"RequestTimeTooSkewed\"", 0, 0, -1, 0},
    {"cut at head", "\"cut-before-body\"", 0, EIO, -1, 0},
    {"cut at end", "\"cut-after-body\"", 0, EIO, -1, 0},
    {"cut inside", "\"cut-after-bytes\",\"bytes\":20", 0, EIO, -1, 0},
    {"no answer", "\"apply-no-answer\"", 0, EIO, -1, 0},
    {"delay", "\"delay\",\"ms\":20", 0, 0, -1, 0},
    {"slow", "\"slow\",\"bytes_per_s\":4000000", 0, 0, -1, 0},
    {"wrong CRC", "\"wrong-crc\"", 0, 0, GET, EIO},
    {"wrong ETag", "\"wrong-etag\"", 0, 0, -1, 0},
    {"flipped bit", "\"corrupt-body\",\"at\":7", 0, NONE, GET, EIO},
    {"bad XML", "\"malformed-xml\"", 0, EIO, -1, 0},
    {"half XML", "\"truncated-xml\"", 0, EIO, -1, 0},
    {"empty 200", "\"empty-body-200\"", 0, EIO, DELETE, NONE},
    {"bad length", "\"bad-content-length\"", 0, EIO, HEAD, NONE},
    {"no range", "\"ignore-range\"", 0, 0, -1, 0},
    {"token", "\"expire-token\"", EACCES, EACCES, -1, 0},
    {"403", "\"status\",\"status\":403,\"code\":\"AccessDenied\"", EACCES, EACCES, -1, 0},
    {"403 early", "\"status\",\"status\":403,\"code\":\"AccessDenied\",\"drain\":false", EACCES,
     EACCES, -1, 0},
    {"no bucket", "\"status\",\"status\":404,\"code\":\"NoSuchBucket\"", ENOENT, ENOENT, -1, 0},
    {"archived", "\"status\",\"status\":403,\"code\":\"InvalidObjectState\"", EREMOTEIO, EREMOTEIO,
     -1, 0},
    {"argument", "\"status\",\"status\":400,\"code\":\"InvalidArgument\"", EINVAL, EINVAL, -1, 0},
    {"412", "\"status\",\"status\":412,\"code\":\"PreconditionFailed\"", ESTALE, ESTALE, -1, 0},
};

#define FAULTS (sizeof(faults) / sizeof(faults[0]))

static int due(size_t fault, int operation)
{
    if (operation == faults[fault].other)
        return faults[fault].other_due;
    return operation == COMPLETE ? faults[fault].complete : faults[fault].due;
}

static void must(int r)
{
    if (r < 0)
        fail_msg("%s", err.message);
}

/* The state that the operation needs, and no more. */
static void prepare(int operation)
{
    struct oss_written written;

    server_calm(server);
    must(oss_put_object(C, NULL, "m", NULL, &body, NULL, &err));
    must(oss_put_object(C, NULL, "gone", NULL, NULL, NULL, &err));
    must(oss_delete_object(C, NULL, "target", &err));
    if (operation != PART && operation != COMPLETE)
        return;
    must(oss_initiate_upload(C, NULL, "target", NULL, upload_id, &err));
    must(oss_upload_part(C, NULL, "target", upload_id, 1, &body, &written, &err));
    part = (struct oss_part){.number = 1};
    memcpy(part.etag, written.etag, sizeof(part.etag));
}

/* What succeeded is there whole; what failed can be done again. */
static void check_after(size_t fault, int operation, int r)
{
    struct oss_object o;

    server_calm(server);
    if (r < 0 && due(fault, operation) != NONE) {
        int again = operations[operation].run();

        /* Complete whose answer was lost or spoilt may have been done: then the upload is gone. */
        if (operation == COMPLETE && again == -ENOENT)
            assert_true(oss_error_is(&err, "NoSuchUpload"));
        else
            must(again);
    }
    if (due(fault, operation) == NONE)
        return;
    if (operation == PART)
        must(complete());
    if (operation == PUT || operation == PART || operation == COMPLETE || operation == COPY)
        must(get_key("target"));
    if (operation == DELETE)
        assert_int_equal(oss_head_object(C, NULL, "gone", &o, &err), 0);
}

static void every_fault_has_its_outcome_in_every_operation(void **state)
{
    (void)state;
    print_message("%-12s", "");
    for (int o = 0; o < OPERATIONS; o++)
        print_message("%-10s", operations[o].title);
    print_message("\n");
    for (size_t f = 0; f < FAULTS; f++) {
        print_message("%-12s", faults[f].title);
        for (int o = 0; o < OPERATIONS; o++) {
            struct oss_client_stats stats;
            char rule[256];
            int r;

            prepare(o);
            (void)snprintf(rule, sizeof(rule),
                           "{\"operation\":\"%s\",\"count\":1,\"action\":{\"type\":%s}}",
                           operations[o].operation, faults[f].action);
            server_fault(server, rule);
            err = (struct ou_error)OU_ERROR_INIT;
            r = operations[o].run();
            print_message("%-10s", r < 0 ? strerrorname_np(-r) : "ok");
            if (due(f, o) != NONE && r != -due(f, o))
                fail_msg("%s, %s: %d %s", faults[f].title, operations[o].title, r, err.message);
            check_after(f, o, r);
            oss_client_stats(C, &stats);
            assert_int_equal(stats.in_flight, 0);
        }
        print_message("\n");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fault_has_its_outcome_in_every_operation),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

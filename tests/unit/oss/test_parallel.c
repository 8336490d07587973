/*
 * Many calls at once, under faults by chance, with cancels in between: every call ends right, no
 * byte is wrong, no place at the gate is lost. Meant for ASan and TSan as much as for itself.
 */
#include "server.h"

#include "unit/unit.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "oss/ops.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#define THREADS 8u
#define ROUNDS  12u

static struct server *server;

static int setup(void **state)
{
    (void)state;
    server = server_start(NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    server_stop(server);
    return 0;
}

struct worker {
    struct oss_client *client;
    struct ou_cancel *cancel; /* NULL: nobody cancels this one */
    uint64_t got;             /* bytes of the range that is being read */
    unsigned number, done, cancelled;
    bool failed;
    struct ou_error err;
};

static unsigned char byte_at(unsigned number, uint64_t offset)
{
    return (unsigned char)(offset * 7 + (offset >> 10) + number);
}

static ssize_t read_body(void *ctx, void *buf, size_t len, uint64_t offset, struct ou_error *err)
{
    const struct worker *w = ctx;

    (void)err;
    for (size_t i = 0; i < len; i++)
        ((unsigned char *)buf)[i] = byte_at(w->number, offset + i);
    return (ssize_t)len;
}

static int check_body(void *ctx, const void *data, size_t len, uint64_t offset,
                      struct ou_error *err)
{
    struct worker *w = ctx;

    if (offset != w->got)
        return ou_error_say(err, EBADMSG, "offset %" PRIu64 " after %" PRIu64, offset, w->got);
    for (size_t i = 0; i < len; i++)
        if (((const unsigned char *)data)[i] != byte_at(w->number, offset + i))
            return ou_error_say(err, EBADMSG, "byte %" PRIu64 " is wrong", offset + i);
    w->got += len;
    return 0;
}

/* Return: false when the worker shall end. */
static bool judge(struct worker *w, int r)
{
    if (r == -EINTR && w->cancel) {
        w->cancelled++;
        return true;
    }
    w->done++;
    w->failed = r < 0;
    return !w->failed;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct oss_body body = {.size = 300000, .read = read_body, .ctx = w};
    struct oss_sink sink = {.write = check_body, .ctx = w};
    struct oss_call call = {.cancel = w->cancel, .background = w->number % 2};
    char key[32];

    (void)snprintf(key, sizeof(key), "p/%u", w->number);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct oss_object object = {.size = 0};
        struct oss_list_page page = {.count = 0};
        struct ou_error ignored;

        if (!judge(w, oss_put_object(w->client, &call, key, NULL, &body, NULL, &w->err)))
            break;
        if (oss_head_object(w->client, &call, key, &object, &ignored) != 1)
            continue; /* cancelled before it was ever put */
        oss_object_fini(&object);
        w->got = 0;
        if (!judge(w,
                   oss_get_object(w->client, &call, key, 0, body.size, NULL, &sink, NULL, &w->err)))
            break;
        if (!judge(w,
                   oss_list_objects(w->client, &call, "p/", "/", NULL, NULL, 100, &page, &w->err)))
            break;
        oss_list_page_fini(&page);
    }
    return NULL;
}

struct bell {
    struct ou_cancel *cancel;
    atomic_bool stop;
};

static void *ring(void *arg)
{
    struct bell *b = arg;
    const struct timespec pause = {.tv_nsec = 3000000};

    while (!atomic_load(&b->stop)) {
        ou_cancel_trigger(b->cancel);
        ou_cancel_reset(b->cancel);
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

static void calls_at_once_end_right_whatever_breaks(void **state)
{
    const struct oss_config config = {.connections = 5};
    struct server_client c = {.chain = NULL};
    struct worker workers[THREADS];
    struct bell bell = {.cancel = ou_cancel_new()};
    struct oss_client_stats stats;
    pthread_t threads[THREADS], ringer;
    unsigned done = 0;

    (void)state;
    server_calm(server);
    server_fault(server, "[{\"operation\":\"PutObject\",\"probability\":0.1,"
                         "\"action\":{\"type\":\"cut-after-bytes\",\"bytes\":150000}},"
                         "{\"operation\":\"GetObject\",\"probability\":0.1,"
                         "\"action\":{\"type\":\"cut-after-bytes\",\"bytes\":150000}},"
                         "{\"operation\":\"ListObjectsV2\",\"probability\":0.1,"
                         "\"action\":{\"type\":\"truncated-xml\"}},"
                         "{\"operation\":\"PutObject\",\"probability\":0.05,"
                         "\"action\":{\"type\":\"wrong-crc\"}},"
                         "{\"operation\":\"*\",\"probability\":0.03,"
                         "\"action\":{\"type\":\"status\",\"status\":500,"
                         "\"code\":\"InternalError\"}}]");
    server_client(server, &c, OSS_SIGN_CHOICE_V4, &config);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] =
            (struct worker){.client = c.client, .number = i, .cancel = i < 2 ? bell.cancel : NULL};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    assert_int_equal(pthread_create(&ringer, NULL, ring, &bell), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
        if (workers[i].failed)
            fail_msg("worker %u: %s", i, workers[i].err.message);
        done += workers[i].done;
    }
    atomic_store(&bell.stop, true);
    (void)pthread_join(ringer, NULL);
    assert_true(done >= (THREADS - 2) * ROUNDS * 3);
    oss_client_stats(c.client, &stats);
    assert_int_equal(stats.in_flight, 0);
    assert_int_equal(stats.connections_allowed, 5);
    server_client_fini(&c);
    ou_cancel_unref(bell.cancel);
}

static void *head_often(void *arg)
{
    struct worker *w = arg;

    for (int i = 0; i < 40; i++) {
        struct oss_object object;

        if (!judge(w, oss_head_object(w->client, NULL, "absent", &object, &w->err)))
            break;
    }
    return NULL;
}

static void a_storm_of_503_narrows_the_gate_and_every_call_gets_through(void **state)
{
    const struct oss_config config = {.connections = 8};
    struct server_client c = {.chain = NULL};
    struct worker workers[THREADS];
    struct oss_client_stats stats;
    pthread_t threads[THREADS];

    (void)state;
    server_calm(server);
    server_fault(server, "{\"operation\":\"HeadObject\",\"probability\":0.3,\"count\":30,"
                         "\"action\":{\"type\":\"status\",\"status\":503,"
                         "\"code\":\"QpsLimitExceeded\"}}");
    server_client(server, &c, OSS_SIGN_CHOICE_V4, &config);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.client = c.client, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, head_often, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
        if (workers[i].failed)
            fail_msg("worker %u: %s", i, workers[i].err.message);
        assert_int_equal(workers[i].done, 40);
    }
    oss_client_stats(c.client, &stats);
    assert_int_equal(stats.throttled, stats.retries);
    assert_true(stats.throttled >= 1);
    assert_int_equal(stats.requests, (uint64_t)THREADS * 40 + stats.retries);
    assert_int_equal(stats.in_flight, 0);
    server_client_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_at_once_end_right_whatever_breaks),
        cmocka_unit_test(a_storm_of_503_narrows_the_gate_and_every_call_gets_through),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

/*
 * How long the client waits, whom it believes, and how fast it may be: deadlines, cancelling,
 * clocks, refusals, throttling, and a server that is not there.
 */
#include "fault_fixture.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <pthread.h>

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
    struct oss_call call = {.deadline_ms = 0};
    struct oss_object object;

    (void)state;
    /* The second attempt comes after a second, a third would come after the deadline: none near it. */
    fault("HeadObject", 1000, "",
          "\"status\",\"status\":500,\"code\":\"InternalError\",\"retry_after\":1");
    call.deadline_ms = ou_now_ms() + 1900;
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
int main(void)
{
    const struct CMUnitTest tests[] = {
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

/* How uploads end before they are published: cancelled, or because the engine stops. */
#include "unit/transfer/engine_run.h"

/* -- cancel -- */

static unsigned cancel_request;
static enum bucket_moment cancel_moment;

static void cancel_once(enum bucket_op op, unsigned number, enum bucket_moment moment)
{
    struct xfer_upload *u;

    (void)op;
    (void)number;
    if (moment != cancel_moment)
        return;
    ou_lock_scope(&subject->lock);
    u = subject->upload;
    if (u && ++hook_runs == cancel_request)
        xfer_upload_cancel(u);
}

static void cancel_at_any_moment_leaves_no_upload_behind(void **state)
{
    static const uint64_t sizes[] = {3 * BUCKET_CHUNK, 4 * PART_SIZE};

    (void)state;
    for (size_t s = 0; s < 2; s++)
        for (int moment = MOMENT_BEGIN; moment <= MOMENT_APPLIED; moment++)
            for (cancel_request = 1; cancel_request <= 9; cancel_request++) {
                struct owner o;

                reset(NULL);
                cancel_moment = (enum bucket_moment)moment;
                bucket.hook = cancel_once;
                owner_init(&o, "cancel", sizes[s]);
                begin(&o, o.size, PART_SIZE);
                owner_wait_done(&o);
                if (o.err.errnum) {
                    assert_int_equal(o.err.errnum, ECANCELED);
                    assert_false(o.result.upload_left);
                    assert_true(!bucket_find("cancel") || o.result.maybe_published);
                } else {
                    assert_published(&o);
                }
                assert_int_equal(bucket_open_uploads(), 0);
                end(&o);
            }
}

/* A connection that is broken off may carry what curl had been given: so the last byte is not. */
static void a_put_that_is_broken_off_stores_nothing(void **state)
{
    (void)state;
    for (int moment = MOMENT_BEGIN; moment <= MOMENT_BODY; moment++)
        for (cancel_request = 1; cancel_request <= 3; cancel_request++) {
            struct owner o;

            reset(NULL);
            bucket.late_cancel = true;
            cancel_moment = (enum bucket_moment)moment;
            bucket.hook = cancel_once;
            owner_init(&o, "cancel", 3 * BUCKET_CHUNK);
            begin(&o, o.size, PART_SIZE);
            owner_wait_done(&o);
            if (o.err.errnum)
                assert_false(bucket_find("cancel"));
            else
                assert_published(&o);
            end(&o);
        }
}

static int cancel_in_headers(void *ctx, struct oss_object_headers *out, struct ou_error *err)
{
    xfer_upload_cancel(upload_of(ctx));
    return owner_headers(ctx, out, err);
}

/* It has no last byte that could be kept back. */
static void an_empty_put_that_is_cancelled_is_not_sent(void **state)
{
    struct xfer_upload_ops ops = owner_ops;
    struct xfer_plan plan = owner_plan(0, PART_SIZE);
    struct owner o;
    struct ou_error err;
    struct xfer_upload_spec spec = {.key = "cancel", .plan = &plan, .ops = &ops, .ctx = &o};

    (void)state;
    ops.headers = cancel_in_headers;
    bucket.late_cancel = true;
    owner_init(&o, "cancel", 0);
    engine = engine_start(4, 3);
    assert_int_equal(xfer_upload_start(engine, &spec, &o.upload, &err), 0);
    owner_wait_done(&o);
    assert_int_equal(o.err.errnum, ECANCELED);
    assert_false(o.result.maybe_published);
    assert_false(bucket_find("cancel"));
    end(&o);
}

static void cancel_of_a_sleeping_upload_aborts_it(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, "cancel", 3 * PART_SIZE);
    o.publish = 0;
    begin(&o, o.size, 0);
    owner_wait_asked(&o, 1);
    xfer_upload_cancel(upload_of(&o));
    owner_wait_done(&o);
    assert_int_equal(o.err.errnum, ECANCELED);
    assert_false(o.result.maybe_published);
    assert_int_equal(bucket_open_uploads(), 0);
    end(&o);
}

static void abort_that_fails_is_repeated_and_at_last_told(void **state)
{
    (void)state;
    for (unsigned failures = 1; failures <= 100; failures += 99) {
        struct owner o;

        reset(NULL);
        bucket_rule(OP_ABORT, failures == 1 ? 1 : 0, FAULT_LOST);
        owner_init(&o, "cancel", 3 * PART_SIZE);
        o.publish = 0;
        begin(&o, o.size, 0);
        owner_wait_asked(&o, 1);
        xfer_upload_cancel(upload_of(&o));
        owner_wait_done(&o);
        assert_int_equal(o.err.errnum, ECANCELED);
        assert_int_equal(o.result.upload_left, failures > 1);
        assert_int_equal(bucket_open_uploads(), failures > 1);
        end(&o);
    }
}

/* -- stop -- */

static void stop_makes_no_more_calls(void **state)
{
    struct owner o;
    struct xfer_upload_status status;

    (void)state;
    owner_init(&o, "stop", 3 * PART_SIZE);
    o.publish = 0;
    begin(&o, o.size, 0);
    owner_wait_asked(&o, 1);
    xfer_engine_stop(engine);
    xfer_upload_kick(o.upload); /* inert, and allowed */
    xfer_upload_touch(o.upload, 0, 1);
    xfer_upload_cancel(o.upload);
    xfer_upload_status(o.upload, &status);
    assert_int_equal(status.total, o.size);
    assert_false(o.done);
    end(&o);
}

static void status_tells_the_state(void **state)
{
    struct xfer_upload_status status;
    struct owner o;

    (void)state;
    owner_init(&o, "status", 3 * PART_SIZE);
    o.publish = 0;
    begin(&o, o.size, 0);
    owner_wait_asked(&o, 1);
    do
        xfer_upload_status(upload_of(&o), &status);
    while (strcmp(status.state, "waiting") != 0);
    assert_int_equal(status.confirmed, o.size);
    assert_int_equal(status.total, o.size);
    assert_int_equal(status.bytes_sent, o.size);
    assert_int_equal(status.last.errnum, 0);
    end(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(cancel_at_any_moment_leaves_no_upload_behind, reset),
        cmocka_unit_test_setup(a_put_that_is_broken_off_stores_nothing, reset),
        cmocka_unit_test_setup(an_empty_put_that_is_cancelled_is_not_sent, reset),
        cmocka_unit_test_setup(cancel_of_a_sleeping_upload_aborts_it, reset),
        cmocka_unit_test_setup(abort_that_fails_is_repeated_and_at_last_told, reset),
        cmocka_unit_test_setup(stop_makes_no_more_calls, reset),
        cmocka_unit_test_setup(status_tells_the_state, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

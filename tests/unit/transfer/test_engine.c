/* Uploads to a bucket in memory: what is sent, in which order, and what every single fault does. */
#include "unit/transfer/fake_owner.h"

static int reset(void **state)
{
    (void)state;
    bucket_reset();
    return 0;
}

/* One whole upload of @o->size bytes by one engine of its own. */
static void upload(struct owner *o, uint64_t threshold)
{
    struct xfer_engine *e = engine_start(4, 3);
    struct xfer_plan plan = owner_plan(o->size, threshold);

    owner_start(o, e, &plan, NULL);
    owner_wait_done(o);
    xfer_engine_free(e);
}

static void small_file_is_one_put(void **state)
{
    static const uint64_t sizes[] = {0, 1, BUCKET_CHUNK, 70000};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct owner o;

        bucket_reset();
        owner_init(&o, "small", sizes[i]);
        upload(&o, 1 << 20);
        assert_published(&o);
        assert_true(o.result.checked);
        assert_int_equal(o.result.bytes_sent, sizes[i]);
        assert_int_equal(bucket.op_count[OP_ANY], 1);
        assert_int_equal(o.event_count, 1);
        assert_int_equal(o.events[0].kind, XFER_EVENT_PUBLISHING);
        owner_fini(&o);
    }
}

static void large_file_is_initiate_parts_complete(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, "large", 10 * PART_SIZE + 7);
    upload(&o, 0);
    assert_published(&o);
    assert_true(o.result.checked);
    assert_int_equal(o.result.bytes_sent, o.size);
    assert_int_equal(bucket.op_count[OP_ANY], 1 + 11 + 1);
    assert_int_equal(bucket.op_count[OP_PART], 11);
    assert_in_range(bucket.in_flight_most, 1, 3);
    assert_int_equal(o.event_count, 2 + 11 + 1);
    assert_int_equal(o.events[0].kind, XFER_EVENT_INITIATING);
    assert_int_equal(o.events[1].kind, XFER_EVENT_UPLOAD_ID);
    assert_int_equal(o.events[13].kind, XFER_EVENT_PUBLISHING);
    assert_int_equal(o.confirmed, o.size);
    owner_fini(&o);
}

/* The n-th request, whichever it is, meets the fault; the upload gets there all the same. */
static void every_request_may_fail_once(void **state)
{
    static const enum bucket_fault faults[] = {FAULT_CONNECT, FAULT_LOST, FAULT_UNAVAILABLE,
                                               FAULT_UNANSWERED, FAULT_WRONG_CRC};
    static const uint64_t sizes[] = {5000, 4 * PART_SIZE + 7};

    (void)state;
    for (size_t s = 0; s < 2; s++)
        for (size_t f = 0; f < sizeof(faults) / sizeof(faults[0]); f++)
            for (unsigned nth = 1; nth <= 10; nth++) {
                struct owner o;

                bucket_reset();
                bucket_rule(OP_ANY, nth, faults[f]);
                owner_init(&o, "fault", sizes[s]);
                upload(&o, PART_SIZE);
                assert_published(&o);
                assert_true(bucket.op_count[OP_ANY] <= 18 || faults[f] == FAULT_WRONG_CRC);
                owner_fini(&o);
            }
}

static void every_third_part_fails_and_it_goes_on(void **state)
{
    struct owner o;

    (void)state;
    for (unsigned n = 3; n < 24; n += 3)
        bucket_rule(OP_PART, n, FAULT_UNAVAILABLE);
    owner_init(&o, "third", 20 * PART_SIZE);
    upload(&o, 0);
    assert_published(&o);
    assert_int_equal(bucket.op_count[OP_PART], 27);
    owner_fini(&o);
}

static void damaged_part_is_sent_again_and_never_completed(void **state)
{
    struct owner o;

    (void)state;
    bucket_rule(OP_PART, 2, FAULT_WRONG_CRC);
    owner_init(&o, "damaged", 3 * PART_SIZE);
    upload(&o, 0);
    assert_published(&o);
    assert_int_equal(bucket.op_count[OP_PART], 4);
    assert_int_equal(bucket.op_count[OP_COMPLETE], 1);
    owner_fini(&o);
}

static void damaged_object_is_replaced(void **state)
{
    struct owner o;

    (void)state;
    bucket_rule(OP_COMPLETE, 1, FAULT_WRONG_CRC);
    owner_init(&o, "damaged", 3 * PART_SIZE);
    upload(&o, 0);
    assert_published(&o);
    assert_true(o.result.checked);
    assert_int_equal(bucket.op_count[OP_INITIATE], 2);
    assert_int_equal(o.unpublished, 1);
    owner_fini(&o);
}

static void lost_answer_of_complete_is_settled_by_head(void **state)
{
    struct owner o;

    (void)state;
    bucket_rule(OP_COMPLETE, 1, FAULT_UNANSWERED);
    owner_init(&o, "lost", 3 * PART_SIZE);
    upload(&o, 0);
    assert_published(&o);
    assert_true(o.result.checked);
    assert_int_equal(bucket.op_count[OP_COMPLETE], 2);
    assert_int_equal(bucket.op_count[OP_HEAD], 1);
    assert_int_equal(bucket.op_count[OP_PART], 3);
    owner_fini(&o);
}

static void lost_answer_without_crc_is_settled_by_the_etag(void **state)
{
    struct owner o;

    (void)state;
    bucket.no_crc = true;
    bucket_rule(OP_COMPLETE, 1, FAULT_UNANSWERED);
    owner_init(&o, "lost", 3 * PART_SIZE);
    upload(&o, 0);
    assert_published(&o);
    assert_false(o.result.checked);
    assert_int_equal(bucket.op_count[OP_PART], 3);
    owner_fini(&o);
}

static void upload_id_that_vanished_starts_over(void **state)
{
    static const enum bucket_op ops[] = {OP_PART, OP_COMPLETE};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct owner o;

        bucket_reset();
        bucket_rule(ops[i], 1, FAULT_NO_UPLOAD);
        owner_init(&o, "gone", 5 * PART_SIZE);
        upload(&o, 0);
        assert_published(&o);
        assert_int_equal(bucket.op_count[OP_INITIATE], 2);
        owner_fini(&o);
    }
}

/* The server lost a part and says InvalidPart: only that part is sent again. */
static void lose_part_two(enum bucket_op op, unsigned number, enum bucket_moment moment)
{
    (void)number;
    if (op != OP_COMPLETE || moment != MOMENT_BEGIN || bucket.op_count[OP_COMPLETE] > 0)
        return;
    ou_lock_scope(&bucket.lock);
    bucket_bytes_fini(&bucket.uploads[0].parts[1]);
}

static void invalid_part_is_found_and_sent_again(void **state)
{
    struct owner o;

    (void)state;
    bucket.hook = lose_part_two;
    owner_init(&o, "invalid", 4 * PART_SIZE);
    upload(&o, 0);
    assert_published(&o);
    assert_int_equal(bucket.op_count[OP_PART], 5);
    assert_int_equal(bucket.part_sent[2], 2);
    assert_int_equal(bucket.op_count[OP_LIST_PARTS], 1);
    assert_int_equal(o.unpublished, 1);
    owner_fini(&o);
}

static void invalid_part_for_no_reason_starts_over(void **state)
{
    struct owner o;

    (void)state;
    for (unsigned n = 1; n <= 4; n++)
        bucket_rule(OP_COMPLETE, n, FAULT_INVALID_PART);
    owner_init(&o, "invalid", 2 * PART_SIZE);
    upload(&o, 0);
    assert_published(&o);
    assert_int_equal(bucket.op_count[OP_INITIATE], 2);
    owner_fini(&o);
}

static void refusal_parks_the_upload_and_keeps_its_id(void **state)
{
    struct owner o;

    (void)state;
    bucket_rule(OP_PART, 3, FAULT_DENIED);
    owner_init(&o, "denied", 5 * PART_SIZE);
    upload(&o, 0);
    assert_int_equal(o.err.errnum, EACCES);
    assert_string_equal(o.err.code, "AccessDenied");
    assert_false(o.result.maybe_published);
    assert_int_equal(bucket_open_uploads(), 1);
    assert_int_equal(bucket.op_count[OP_ABORT], 0);
    owner_fini(&o);
}

static void read_error_and_short_file_end_the_upload(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, "unreadable", 4 * PART_SIZE);
    o.read_error = EIO;
    upload(&o, 0);
    assert_int_equal(o.err.errnum, EIO);
    owner_fini(&o);

    struct xfer_engine *e = engine_start(2, 2);
    struct xfer_plan plan = owner_plan(1000, 1 << 20);

    owner_init(&o, "short", 999);
    owner_start(&o, e, &plan, NULL);
    owner_wait_done(&o);
    assert_int_equal(o.err.errnum, EIO);
    assert_null(bucket_find("short"));
    xfer_engine_free(e);
    owner_fini(&o);
}

static void journal_that_is_full_parks_the_upload(void **state)
{
    (void)state;
    for (size_t event = 1; event <= 7; event++) {
        struct owner o;

        bucket_reset();
        owner_init(&o, "full", 4 * PART_SIZE);
        o.fail_event = event;
        upload(&o, 0);
        assert_int_equal(o.err.errnum, ENOSPC);
        assert_null(bucket_find("full"));
        owner_fini(&o);
    }
}

static void existing_key_is_a_refusal_unless_it_is_ours(void **state)
{
    struct owner o;

    (void)state;
    bucket_put("key", (const unsigned char *)"another's", 9);
    owner_init(&o, "key", 1000);
    o.forbid_overwrite = true;
    upload(&o, 1 << 20);
    assert_int_equal(o.err.errnum, EEXIST);
    owner_fini(&o);

    for (uint64_t size = 1000; size < 4 * PART_SIZE; size += 3 * PART_SIZE) {
        bucket_reset();
        bucket_rule(size == 1000 ? OP_PUT : OP_COMPLETE, 1, FAULT_UNANSWERED);
        owner_init(&o, "key", size);
        o.forbid_overwrite = true;
        upload(&o, PART_SIZE);
        assert_published(&o);
        assert_true(o.result.checked);
        assert_int_equal(bucket.op_count[OP_HEAD], 1);
        owner_fini(&o);
    }
}

static void one_shot_gives_up_when_nothing_succeeds(void **state)
{
    struct xfer_engine *e = engine_start(2, 2);
    struct owner o;
    struct xfer_plan plan = owner_plan(1000, 1 << 20);
    struct xfer_upload_spec spec = {.key = "never",
                                    .plan = &plan,
                                    .ops = &owner_ops,
                                    .ctx = &o,
                                    .one_shot = true,
                                    .deadline_ms = 20};
    struct ou_error err;

    (void)state;
    bucket_rule(OP_PUT, 0, FAULT_UNAVAILABLE);
    owner_init(&o, "never", 1000);
    assert_int_equal(xfer_upload_start(e, &spec, &o.upload, &err), 0);
    owner_wait_done(&o);
    assert_string_equal(o.err.code, "ServiceUnavailable");
    xfer_engine_free(e);
    owner_fini(&o);
}

/* A base of which the middle changed: one part is sent, two are copied. */
static void unchanged_bytes_are_copied_from_the_base(void **state)
{
    const struct xfer_range base[] = {{0, 3 * PART_SIZE}, {4 * PART_SIZE, 3 * PART_SIZE}};
    struct xfer_plan_input in = {.size = 7 * PART_SIZE,
                                 .part_size = PART_SIZE,
                                 .base_size = 7 * PART_SIZE,
                                 .base = base,
                                 .base_count = 2};
    struct xfer_engine *e = engine_start(4, 3);
    struct xfer_plan plan;
    struct owner o;
    struct ou_error err;

    (void)state;
    owner_init(&o, "target", in.size);
    bucket_put("base", o.data, o.size);
    memset(o.data + 3 * PART_SIZE, 'x', PART_SIZE);
    assert_int_equal(xfer_plan_make(&in, &plan, &err), 0);
    struct xfer_upload_spec spec = {.key = "target",
                                    .base_key = "base",
                                    .base_etag = bucket_find("base")->bytes.etag,
                                    .plan = &plan,
                                    .ops = &owner_ops,
                                    .ctx = &o};

    assert_int_equal(xfer_upload_start(e, &spec, &o.upload, &err), 0);
    owner_wait_done(&o);
    assert_published(&o);
    assert_int_equal(bucket.op_count[OP_PART], 1);
    assert_int_equal(bucket.op_count[OP_PART_COPY], 2);
    assert_int_equal(o.result.bytes_sent, PART_SIZE);
    assert_false(o.result.checked); /* copies have no CRC-64 */
    xfer_engine_free(e);
    owner_fini(&o);
}

static void start_copy(struct owner *o, struct xfer_engine *e, const char *etag)
{
    const struct xfer_range all = {0, o->size};
    struct xfer_plan_input in = {.size = o->size,
                                 .part_size = PART_SIZE,
                                 .base_size = o->size,
                                 .base_is_target = true,
                                 .base = &all,
                                 .base_count = 1};
    struct xfer_plan plan;
    struct ou_error err;

    assert_int_equal(xfer_plan_make(&in, &plan, &err), 0);
    assert_int_equal(plan.kind, XFER_PLAN_COPY);
    struct xfer_upload_spec spec = {.key = o->key,
                                    .base_key = o->key,
                                    .base_etag = etag,
                                    .plan = &plan,
                                    .ops = &owner_ops,
                                    .ctx = o};

    assert_int_equal(xfer_upload_start(e, &spec, &o->upload, &err), 0);
    owner_wait_done(o);
}

static void metadata_alone_is_one_copy(void **state)
{
    static const enum bucket_fault faults[] = {FAULT_NONE, FAULT_UNAVAILABLE, FAULT_TOO_LARGE,
                                               FAULT_CHANGED};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct xfer_engine *e = engine_start(4, 3);
        struct owner o;

        bucket_reset();
        owner_init(&o, "meta", 3 * PART_SIZE);
        bucket_put("meta", o.data, o.size);
        bucket_rule(OP_COPY, 1, faults[i]);
        start_copy(&o, e, NULL);
        if (faults[i] == FAULT_CHANGED)
            assert_int_equal(o.err.errnum, ESTALE);
        else
            assert_published(&o);
        assert_int_equal(bucket.op_count[OP_PART_COPY], faults[i] == FAULT_TOO_LARGE);
        assert_int_equal(bucket.op_count[OP_COPY], 1 + (faults[i] == FAULT_UNAVAILABLE));
        xfer_engine_free(e);
        owner_fini(&o);
    }
}

/* -- many at once -- */

static unsigned small_done, big_done_after;

static void count_small(void *ctx, const struct xfer_result *result, const struct ou_error *err)
{
    assert_null(err);
    (void)result;
    struct owner *o = ctx;

    ou_lock_scope(&o->lock);
    small_done++;
}

static void note_big(void *ctx, const struct xfer_result *result, const struct ou_error *err)
{
    big_done_after = small_done;
    owner_done(ctx, result, err);
}

static void small_files_do_not_wait_for_a_big_one(void **state)
{
    enum { SMALL = 1000, PARTS = 500 };
    struct xfer_upload_ops small_ops = owner_ops, big_ops = owner_ops;
    struct xfer_engine *e = engine_start(1, 3); /* one worker: the order is the schedule's */
    struct owner small, big;
    struct xfer_plan plan = owner_plan(PARTS * PART_SIZE, 0);
    struct xfer_upload_spec spec = {.key = "big", .plan = &plan, .ops = &big_ops, .ctx = &big};
    struct ou_error err;

    (void)state;
    small_done = big_done_after = 0;
    owner_init(&big, "big", PARTS * PART_SIZE);
    owner_init(&small, "small", 10);
    small_ops.record = NULL;
    small_ops.done = count_small;
    big_ops.done = note_big;
    assert_int_equal(xfer_upload_start(e, &spec, &big.upload, &err), 0);
    for (unsigned i = 0; i < SMALL; i++) {
        char key[16];
        struct xfer_plan put = owner_plan(10, 1 << 20);

        (void)snprintf(key, sizeof(key), "small%u", i);
        spec =
            (struct xfer_upload_spec){.key = key, .plan = &put, .ops = &small_ops, .ctx = &small};
        assert_int_equal(xfer_upload_start(e, &spec, NULL, &err), 0);
    }
    owner_wait_done(&big);
    xfer_engine_free(e);
    assert_int_equal(big_done_after, SMALL);
    assert_published(&big);
    assert_int_equal(bucket.op_count[OP_PUT], SMALL);
    owner_fini(&big);
    owner_fini(&small);
}

static void what_cannot_be_uploaded_is_refused_at_once(void **state)
{
    struct xfer_engine *e = engine_start(1, 1);
    struct xfer_plan plan = owner_plan(3 * PART_SIZE, 0);
    struct owner o;
    struct xfer_upload_spec spec = {.key = "", .plan = &plan, .ops = &owner_ops, .ctx = &o};
    struct ou_error err;

    (void)state;
    assert_int_equal(xfer_upload_start(e, &spec, NULL, &err), -EINVAL);
    plan.parts[1].copy = true;
    spec.key = "key";
    assert_int_equal(xfer_upload_start(e, &spec, NULL, &err), -EINVAL);
    plan.parts[1].copy = false;
    xfer_engine_stop(e);
    assert_int_equal(xfer_upload_start(e, &spec, NULL, &err), -ECANCELED);
    assert_int_equal(plan.count, 3); /* still the caller's */
    xfer_plan_fini(&plan);
    xfer_engine_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(small_file_is_one_put, reset),
        cmocka_unit_test_setup(large_file_is_initiate_parts_complete, reset),
        cmocka_unit_test_setup(every_request_may_fail_once, reset),
        cmocka_unit_test_setup(every_third_part_fails_and_it_goes_on, reset),
        cmocka_unit_test_setup(damaged_part_is_sent_again_and_never_completed, reset),
        cmocka_unit_test_setup(damaged_object_is_replaced, reset),
        cmocka_unit_test_setup(lost_answer_of_complete_is_settled_by_head, reset),
        cmocka_unit_test_setup(lost_answer_without_crc_is_settled_by_the_etag, reset),
        cmocka_unit_test_setup(upload_id_that_vanished_starts_over, reset),
        cmocka_unit_test_setup(invalid_part_is_found_and_sent_again, reset),
        cmocka_unit_test_setup(invalid_part_for_no_reason_starts_over, reset),
        cmocka_unit_test_setup(refusal_parks_the_upload_and_keeps_its_id, reset),
        cmocka_unit_test_setup(read_error_and_short_file_end_the_upload, reset),
        cmocka_unit_test_setup(journal_that_is_full_parks_the_upload, reset),
        cmocka_unit_test_setup(existing_key_is_a_refusal_unless_it_is_ours, reset),
        cmocka_unit_test_setup(one_shot_gives_up_when_nothing_succeeds, reset),
        cmocka_unit_test_setup(unchanged_bytes_are_copied_from_the_base, reset),
        cmocka_unit_test_setup(metadata_alone_is_one_copy, reset),
        cmocka_unit_test_setup(small_files_do_not_wait_for_a_big_one, reset),
        cmocka_unit_test_setup(what_cannot_be_uploaded_is_refused_at_once, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

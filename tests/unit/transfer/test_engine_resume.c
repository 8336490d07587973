/* A second life: what a later run makes of what an earlier one journalled. */
#include "unit/transfer/fake_owner.h"

static int reset(void **state)
{
    (void)state;
    bucket_reset();
    return 0;
}

static void revive(struct owner *o)
{
    ou_lock_scope(&o->lock);
    o->done = false;
    o->upload = NULL;
    o->crash_event = o->fail_event = 0;
    o->result = (struct xfer_result){0};
    o->err = (struct ou_error)OU_ERROR_INIT;
}

/* A later run of the same upload, with what @o->events tell. */
static void run_again(struct owner *o, uint64_t threshold, bool without_where)
{
    struct owner_memory *memory = malloc(sizeof(*memory));
    struct xfer_engine *e = engine_start(4, 3);
    struct xfer_plan plan = owner_plan(o->size, threshold);

    owner_remember(o, memory);
    if (without_where)
        memory->resume.where = NULL;
    revive(o);
    owner_start(o, e, &plan, &memory->resume);
    owner_wait_done(o);
    xfer_engine_free(e);
    free(memory);
}

/* -- crashes -- */

static unsigned crash_request;
static bool crash_unapplied, crashed;

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

static bool is_down(void)
{
    ou_lock_scope(&bucket.lock);
    return bucket.down;
}

static void run_until_crash(struct owner *o, uint64_t threshold)
{
    struct xfer_engine *e = engine_start(4, 3);
    struct xfer_plan plan = owner_plan(o->size, threshold);

    owner_start(o, e, &plan, NULL);
    for (;;) {
        ou_lock_scope(&o->lock);
        if (o->done || is_down())
            break;
        (void)ou_cond_wait_until(&o->change, &o->lock, ou_now_ms() + 1);
    }
    xfer_engine_free(e);
    crashed = is_down();
    bucket.down = false;
    bucket.hook = NULL;
}

static void assert_sent_once_but_for_flight(uint64_t parts)
{
    unsigned again = 0;

    for (unsigned i = 1; i <= parts; i++) {
        assert_true(bucket.part_sent[i] >= 1);
        again += bucket.part_sent[i] - 1;
    }
    assert_in_range(again, 0, 3);
}

static void crash_in_any_request_loses_only_what_was_in_flight(void **state)
{
    enum { PARTS = 7 };

    (void)state;
    for (int unapplied = 0; unapplied <= 1; unapplied++)
        for (crash_request = 1; crash_request <= PARTS + 2; crash_request++) {
            struct owner o;

            reset(NULL);
            owner_init(&o, "crash", PARTS * PART_SIZE - 5);
            crash_unapplied = unapplied;
            bucket.hook = die;
            run_until_crash(&o, 0);
            memset(bucket.op_count, 0, sizeof(bucket.op_count));
            if (crashed)
                run_again(&o, 0, false);
            assert_published(&o);
            assert_sent_once_but_for_flight(PARTS);
            assert_true(bucket.op_count[OP_PART] + o.result.bytes_resumed / PART_SIZE <= PARTS);
            owner_fini(&o);
        }
}

static void crash_at_any_journal_line_is_resumed(void **state)
{
    enum { PARTS = 5 };

    (void)state;
    for (int unsaved = 0; unsaved <= 1; unsaved++)
        for (size_t event = 1; event <= PARTS + 3; event++) {
            struct owner o;

            reset(NULL);
            owner_init(&o, "crash", PARTS * PART_SIZE - 5);
            o.crash_event = event;
            o.crash_unsaved = unsaved;
            run_until_crash(&o, 0);
            if (crashed)
                run_again(&o, 0, false);
            assert_published(&o);
            assert_sent_once_but_for_flight(PARTS);
            owner_fini(&o);
        }
}

static void crash_of_a_put_is_repeated(void **state)
{
    (void)state;
    for (int unapplied = 0; unapplied <= 1; unapplied++) {
        struct owner o;

        reset(NULL);
        crash_request = 1;
        crash_unapplied = unapplied;
        bucket.hook = die;
        owner_init(&o, "put", 5000);
        run_until_crash(&o, 1 << 20);
        run_again(&o, 1 << 20, false);
        assert_published(&o);
        owner_fini(&o);
    }
}

/* -- what a part must show to count -- */

/* All parts are there; Complete is refused, so that the upload id stays. */
static void upload_parts_only(struct owner *o)
{
    struct xfer_engine *e = engine_start(4, 3);
    struct xfer_plan plan = owner_plan(o->size, 0);

    o->publish = -ESTALE;
    owner_start(o, e, &plan, NULL);
    owner_wait_done(o);
    assert_int_equal(o->err.errnum, ESTALE);
    xfer_engine_free(e);
    o->publish = 1;
    memset(bucket.op_count, 0, sizeof(bucket.op_count));
    memset(bucket.part_sent, 0, sizeof(bucket.part_sent));
}

static void nothing_is_sent_when_all_is_there(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, "resume", 4 * PART_SIZE + 9);
    upload_parts_only(&o);
    run_again(&o, 0, false);
    assert_published(&o);
    assert_true(o.result.checked);
    assert_int_equal(bucket.op_count[OP_ANY], 2); /* ListParts, Complete */
    assert_int_equal(o.result.bytes_resumed, o.size);
    assert_int_equal(o.result.bytes_sent, 0);
    owner_fini(&o);
}

static void lost_records_are_rescued_by_the_local_bytes(void **state)
{
    (void)state;
    for (int how = 0; how < 2; how++) {
        struct owner o;

        reset(NULL);
        owner_init(&o, "rescue", 4 * PART_SIZE + 9);
        upload_parts_only(&o);
        if (how == 0)
            o.event_count = 2; /* INITIATING and UPLOAD_ID are left */
        run_again(&o, 0, how == 1);
        assert_published(&o);
        assert_int_equal(bucket.op_count[OP_PART], 0);
        assert_int_equal(o.result.bytes_resumed, o.size);
        owner_fini(&o);
    }
}

static void local_change_that_no_record_tells_is_found(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, "changed", 4 * PART_SIZE + 9);
    upload_parts_only(&o);
    o.data[2 * PART_SIZE + 5] ^= 1;
    o.data[4 * PART_SIZE + 5] ^= 1; /* in the short last part */
    o.event_count = 2;
    run_again(&o, 0, false);
    assert_published(&o);
    assert_int_equal(bucket.op_count[OP_PART], 2);
    assert_int_equal(bucket.part_sent[3], 1);
    assert_int_equal(bucket.part_sent[5], 1);
    owner_fini(&o);
}

static void part_that_the_server_shows_otherwise_is_sent_again(void **state)
{
    struct bucket_upload *u = &bucket.uploads[0];
    struct owner o;

    (void)state;
    owner_init(&o, "server", 5 * PART_SIZE + 9);
    upload_parts_only(&o);
    u->parts[1].data[7] ^= 1; /* other bytes */
    bucket_seal(&u->parts[1]);
    u->parts[2].size--; /* another size */
    bucket_seal(&u->parts[2]);
    bucket_bytes_fini(&u->parts[3]); /* gone */
    u->parts[5].size = 8;            /* the last one, cut */
    bucket_seal(&u->parts[5]);
    u->parts[9] = (struct bucket_bytes){.data = calloc(1, 5), .size = 5}; /* not of the plan */
    bucket_seal(&u->parts[9]);
    run_again(&o, 0, false);
    assert_published(&o);
    assert_int_equal(bucket.op_count[OP_PART], 4);
    owner_fini(&o);
}

static void server_without_crc_is_believed_only_with_a_record(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, "nocrc", 4 * PART_SIZE);
    upload_parts_only(&o);
    bucket.no_crc = true;
    o.event_count -= 2; /* two records are lost */
    run_again(&o, 0, false);
    assert_published(&o);
    assert_int_equal(bucket.op_count[OP_PART], 2);
    owner_fini(&o);
}

/* The same part number at another place of the file, with a record that fits the server's part. */
static void record_of_another_plan_is_not_taken_for_this_one(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, "replanned", 4 * PART_SIZE);
    upload_parts_only(&o);
    for (size_t i = 0; i < o.event_count; i++)
        o.events[i].where.offset += 17; /* as an older plan may have had it */
    o.data[PART_SIZE] ^= 1;
    run_again(&o, 0, false);
    assert_published(&o);
    assert_int_equal(bucket.op_count[OP_PART], 1);
    owner_fini(&o);
}

/* -- the upload id -- */

static void id_that_is_gone_starts_over(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, "gone", 4 * PART_SIZE);
    upload_parts_only(&o);
    bucket.uploads[0].open = false;
    run_again(&o, 0, false);
    assert_published(&o);
    assert_int_equal(bucket.op_count[OP_INITIATE], 1);
    assert_int_equal(bucket.op_count[OP_PART], 4);
    owner_fini(&o);
}

static void id_of_a_file_that_became_small_is_aborted(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, "small", 4 * PART_SIZE);
    upload_parts_only(&o);
    o.size = 100;
    run_again(&o, 1 << 20, false);
    assert_published(&o);
    assert_int_equal(bucket.op_count[OP_PUT], 1);
    owner_fini(&o);
}

/* An earlier run died after it had sent Complete; meanwhile the bucket may show anything. */
static void completed_upload_is_recognised_by_its_crc(void **state)
{
    (void)state;
    for (int records = 0; records <= 1; records++)
        for (int other = 0; other <= 1; other++) {
            struct owner o;
            struct oss_part list[4];
            struct bucket_upload *u = &bucket.uploads[0];
            struct bucket_bytes b = {0};
            struct ou_error err;

            reset(NULL);
            owner_init(&o, "completed", 4 * PART_SIZE);
            upload_parts_only(&o);
            for (unsigned i = 0; i < 4; i++) {
                list[i] = (struct oss_part){.number = i + 1};
                (void)snprintf(list[i].etag, sizeof(list[i].etag), "%s", u->parts[i].etag);
            }
            assert_int_equal(bucket_assemble(u, list, 4, &b, &err), 0);
            b.data[0] ^= (unsigned char)other; /* then it is another's */
            bucket_seal(&b);
            bucket_store("completed", &b);
            u->open = false;
            if (!records)
                o.event_count = 2;
            o.events[o.event_count++] = (struct owner_event){.kind = XFER_EVENT_PUBLISHING};
            run_again(&o, 0, false);
            assert_published(&o);
            assert_int_equal(bucket.op_count[OP_HEAD], 1);
            assert_int_equal(bucket.op_count[OP_PART], other ? 4 : 0);
            assert_true(o.result.checked);
            owner_fini(&o);
        }
}

static void forget(struct owner *o)
{
    o->event_count = 0;
    o->events[o->event_count++] = (struct owner_event){.kind = XFER_EVENT_INITIATING};
}

static void id_whose_answer_was_lost_is_adopted(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, "orphan", 3 * PART_SIZE);
    bucket_add_upload("orphan", ou_wall());
    bucket_add_upload("orphan-not", ou_wall());
    forget(&o);
    run_again(&o, 0, false);
    assert_int_equal(o.err.errnum, 0);
    assert_int_equal(bucket.op_count[OP_INITIATE], 0);
    assert_int_equal(bucket_open_uploads(), 1); /* the other key's */
    assert_true(bucket.uploads[1].open);
    owner_fini(&o);
}

static void id_that_may_be_anothers_is_left_alone(void **state)
{
    (void)state;
    for (int why = 0; why < 4; why++) {
        struct timespec when = ou_wall();
        struct owner o;

        reset(NULL);
        owner_init(&o, "orphan", 3 * PART_SIZE);
        if (why == 0)
            bucket_add_upload("orphan", when); /* two of them */
        if (why == 1)
            when.tv_sec -= 3600; /* too old */
        if (why == 2)
            when.tv_sec += 3600; /* too new */
        bucket_add_upload("orphan", when);
        if (why == 3) { /* somebody sends parts */
            bucket.uploads[0].parts[0] =
                (struct bucket_bytes){.data = calloc(1, PART_SIZE), .size = PART_SIZE};
            bucket_seal(&bucket.uploads[0].parts[0]);
        }
        forget(&o);
        run_again(&o, 0, false);
        assert_int_equal(o.err.errnum, 0);
        assert_int_equal(bucket.op_count[OP_INITIATE], 1);
        assert_int_equal(bucket.op_count[OP_ABORT], 0);
        assert_true(bucket.uploads[0].open);
        assert_int_equal(bucket_open_uploads(), why == 0 ? 2 : 1);
        owner_fini(&o);
    }
}

static void orphan_of_a_file_that_became_small_is_aborted(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, "orphan", 100);
    bucket_add_upload("orphan", ou_wall());
    forget(&o);
    run_again(&o, 1 << 20, false);
    assert_published(&o);
    owner_fini(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(crash_in_any_request_loses_only_what_was_in_flight, reset),
        cmocka_unit_test_setup(crash_at_any_journal_line_is_resumed, reset),
        cmocka_unit_test_setup(crash_of_a_put_is_repeated, reset),
        cmocka_unit_test_setup(nothing_is_sent_when_all_is_there, reset),
        cmocka_unit_test_setup(lost_records_are_rescued_by_the_local_bytes, reset),
        cmocka_unit_test_setup(local_change_that_no_record_tells_is_found, reset),
        cmocka_unit_test_setup(part_that_the_server_shows_otherwise_is_sent_again, reset),
        cmocka_unit_test_setup(server_without_crc_is_believed_only_with_a_record, reset),
        cmocka_unit_test_setup(record_of_another_plan_is_not_taken_for_this_one, reset),
        cmocka_unit_test_setup(id_that_is_gone_starts_over, reset),
        cmocka_unit_test_setup(id_of_a_file_that_became_small_is_aborted, reset),
        cmocka_unit_test_setup(completed_upload_is_recognised_by_its_crc, reset),
        cmocka_unit_test_setup(id_whose_answer_was_lost_is_adopted, reset),
        cmocka_unit_test_setup(id_that_may_be_anothers_is_left_alone, reset),
        cmocka_unit_test_setup(orphan_of_a_file_that_became_small_is_aborted, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

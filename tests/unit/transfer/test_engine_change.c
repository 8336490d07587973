/* Bytes, plans and minds that change while an upload is under way. */
#include "unit/transfer/engine_run.h"

/* -- touch -- */

static enum bucket_moment write_at;
static enum bucket_op write_in;
static unsigned write_part;

/* Overwrites the whole file once, in the middle of the chosen request. */
static void write_once(enum bucket_op op, unsigned number, enum bucket_moment moment)
{
    if (op != write_in || moment != write_at || number != write_part || hook_runs++ > 0)
        return;
    owner_write(subject, 0, subject->size, 'n');
    ou_lock_scope(&subject->lock);
    xfer_upload_kick(subject->upload);
}

static void part_written_while_it_is_sent_is_sent_again(void **state)
{
    static const enum bucket_moment moments[] = {MOMENT_BEGIN, MOMENT_BODY, MOMENT_SENT,
                                                 MOMENT_APPLIED};

    (void)state;
    for (size_t i = 0; i < 4; i++)
        for (unsigned part = 1; part <= 4; part++) {
            struct owner o;

            reset(NULL);
            owner_init(&o, "touched", 4 * PART_SIZE);
            write_in = OP_PART;
            write_at = moments[i];
            write_part = part;
            bucket.hook = write_once;
            begin(&o, o.size, 0);
            owner_wait_done(&o);
            assert_published(&o);
            assert_true(o.result.checked);
            assert_true(bucket.part_sent[part] >= 2);
            assert_int_equal(bucket.op_count[OP_COMPLETE], 1);
            end(&o);
        }
}

static void put_written_before_its_last_byte_was_read_begins_again(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, "put", 4 * BUCKET_CHUNK);
    write_in = OP_PUT;
    write_at = MOMENT_BODY;
    write_part = 0;
    bucket.hook = write_once;
    begin(&o, o.size, 1 << 20);
    owner_wait_done(&o);
    assert_published(&o);
    assert_int_equal(bucket.op_count[OP_PUT], 2);
    assert_int_equal(o.asked, 2);
    assert_int_equal(o.unpublished, 1);
    assert_int_equal(o.unpublished_maybe, 0);
    end(&o);
}

static void put_written_after_its_last_byte_publishes_the_old_version(void **state)
{
    struct owner o;
    unsigned char *old = malloc(4 * BUCKET_CHUNK);

    (void)state;
    owner_init(&o, "put", 4 * BUCKET_CHUNK);
    memcpy(old, o.data, o.size);
    write_in = OP_PUT;
    write_at = MOMENT_SENT;
    write_part = 0;
    bucket.hook = write_once;
    begin(&o, o.size, 1 << 20);
    owner_wait_done(&o);
    assert_int_equal(o.err.errnum, 0);
    assert_memory_equal(bucket_find("put")->bytes.data, old, o.size);
    assert_int_equal(o.unpublished, 0);
    free(old);
    end(&o);
}

static void write_during_complete_belongs_to_the_next_version(void **state)
{
    struct owner o;
    unsigned char *old = malloc(4 * PART_SIZE);

    (void)state;
    owner_init(&o, "complete", 4 * PART_SIZE);
    memcpy(old, o.data, o.size);
    write_in = OP_COMPLETE;
    write_at = MOMENT_BEGIN;
    write_part = 0;
    bucket.hook = write_once;
    bucket_rule(OP_COMPLETE, 1, FAULT_LOST); /* and it is repeated as it was */
    begin(&o, o.size, 0);
    owner_wait_done(&o);
    assert_int_equal(o.err.errnum, 0);
    assert_memory_equal(bucket_find("complete")->bytes.data, old, o.size);
    assert_int_equal(bucket.op_count[OP_PART], 4);
    assert_int_equal(o.asked, 1);
    free(old);
    end(&o);
}

static void write_once_at_gate(struct owner *o)
{
    if (hook_runs++ > 0)
        return;
    owner_write(o, PART_SIZE / 2, 10, 'g');
    xfer_upload_kick(upload_of(o));
}

static void write_at_the_gate_makes_it_ask_again(void **state)
{
    (void)state;
    for (uint64_t threshold = 0; threshold <= 1 << 20; threshold += 1 << 20) {
        struct owner o;

        reset(NULL);
        owner_init(&o, "gate", 3 * PART_SIZE);
        o.at_gate = write_once_at_gate;
        begin(&o, o.size, threshold);
        owner_wait_done(&o);
        assert_published(&o);
        assert_int_equal(o.asked, 2);
        assert_int_equal(o.unpublished, 1);
        end(&o);
    }
}

/* A writer that never rests, and an owner that lets nothing out while it writes. */
static void *restless_writer(void *arg)
{
    struct owner *o = arg;
    struct unit_random random = {.state = 42};

    for (int i = 1; i <= 300; i++) {
        uint64_t offset = unit_random_below(&random, o->size);
        uint64_t most = o->size - offset < 5000 ? o->size - offset : 5000;

        owner_write(o, offset, unit_random_below(&random, most) + 1, i & 0xff);
        if (i % 16 == 0)
            xfer_upload_kick(upload_of(o)); /* closed for a moment, and opened again */
        (void)sched_yield();
    }
    ou_lock_scope(&o->lock);
    o->publish = 1;
    xfer_upload_kick(o->upload);
    return NULL;
}

static void restless_writer_never_leads_to_a_mixed_object(void **state)
{
    (void)state;
    for (uint64_t threshold = 0; threshold <= 1 << 20; threshold += 1 << 20) {
        struct owner o;
        pthread_t writer;
        struct ou_error err;

        reset(NULL);
        owner_init(&o, "restless", 6 * PART_SIZE);
        o.publish = 0;
        begin(&o, o.size, threshold);
        assert_int_equal(ou_thread_start(&writer, "writer", restless_writer, &o, &err), 0);
        (void)pthread_join(writer, NULL);
        owner_wait_done(&o);
        assert_published(&o);
        assert_true(o.result.checked);
        end(&o);
    }
}

/* -- the gate -- */

static void gate_sleeps_until_it_is_kicked(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, "gate", 3 * PART_SIZE);
    o.publish = 0;
    begin(&o, o.size, 0);
    owner_wait_asked(&o, 1);
    assert_null(bucket_find("gate"));
    owner_write(&o, 0, 10, 'x');
    ou_mutex_lock(&o.lock);
    o.publish = 1;
    xfer_upload_kick(o.upload);
    ou_mutex_unlock(&o.lock);
    owner_wait_done(&o);
    assert_published(&o);
    assert_int_equal(bucket.op_count[OP_PART], 4);
    end(&o);
}

static void owner_that_gives_up_at_the_gate_gets_its_own_error(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, "gate", 3 * PART_SIZE);
    o.publish = -ESTALE;
    begin(&o, o.size, 0);
    owner_wait_done(&o);
    assert_int_equal(o.err.errnum, ESTALE);
    assert_null(bucket_find("gate"));
    assert_int_equal(bucket_open_uploads(), 1);
    end(&o);
}

/* -- replan -- */

static void replan_to(struct owner *o, uint64_t size, uint64_t threshold)
{
    struct xfer_plan plan = owner_plan(size, threshold);
    struct ou_error err;

    assert_int_equal(xfer_upload_replan(upload_of(o), &plan, &err), 0);
}

static void growing_file_sends_each_part_once(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, "early", 9 * PART_SIZE + 3);
    o.publish = 0;
    begin(&o, 2 * PART_SIZE, 0);
    owner_wait_asked(&o, 1);
    replan_to(&o, 5 * PART_SIZE, 0);
    owner_wait_asked(&o, 2);
    ou_mutex_lock(&o.lock);
    o.publish = 1;
    ou_mutex_unlock(&o.lock);
    replan_to(&o, o.size, 0);
    owner_wait_done(&o);
    assert_published(&o);
    assert_int_equal(bucket.op_count[OP_PART], 10);
    assert_int_equal(bucket.op_count[OP_INITIATE], 1);
    end(&o);
}

static _Atomic bool holding;

static void no_part_while_held(enum bucket_op op, unsigned number, enum bucket_moment moment)
{
    if (op == OP_PART && moment == MOMENT_BEGIN && holding) {
        (void)fprintf(stderr, "part %u was begun while the upload was held\n", number);
        abort();
    }
}

static void held_upload_begins_no_part(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, "held", 4 * PART_SIZE);
    o.publish = 0;
    begin(&o, 2 * PART_SIZE, 0);
    owner_wait_asked(&o, 1);
    xfer_upload_hold(upload_of(&o), true);
    bucket.hook = no_part_while_held;
    holding = true;
    owner_write(&o, 0, 1, 'x');
    replan_to(&o, o.size, 0);
    xfer_upload_kick(upload_of(&o)); /* neither what was touched nor what is new */
    assert_int_equal(bucket.op_count[OP_PART], 2);
    ou_mutex_lock(&o.lock); /* done() waits for it, so the upload is there for both calls */
    o.publish = 1;
    holding = false;
    xfer_upload_hold(o.upload, false);
    xfer_upload_kick(o.upload);
    ou_mutex_unlock(&o.lock);
    owner_wait_done(&o);
    assert_published(&o);
    assert_int_equal(bucket.op_count[OP_PART], 5);
    end(&o);
}

static uint64_t replan_size;
static uint64_t replan_threshold;

/* Truncates or grows the file, in the middle of the first part's body. */
static void replan_once(enum bucket_op op, unsigned number, enum bucket_moment moment)
{
    if (op != OP_PART || number != 2 || moment != MOMENT_BODY || hook_runs++ > 0)
        return;
    ou_mutex_lock(&subject->lock); /* what is cut off is touched, like any change */
    xfer_upload_touch(subject->upload, replan_size, UINT64_MAX - replan_size);
    xfer_upload_touch(subject->upload, 0, 1);
    subject->data[0] ^= 1;
    subject->size = replan_size;
    ou_mutex_unlock(&subject->lock);
    replan_to(subject, replan_size, replan_threshold);
}

static void replan_in_flight_publishes_the_new_version(void **state)
{
    static const struct {
        uint64_t size, threshold;
    } plans[] = {{2 * PART_SIZE, 0},       {PART_SIZE / 2, 0}, {0, 0},
                 {3 * PART_SIZE, 1 << 20}, {PART_SIZE + 7, 0}, {5 * PART_SIZE + 1, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
        struct owner o;

        reset(NULL);
        replan_size = plans[i].size;
        replan_threshold = plans[i].threshold;
        owner_init(&o, "replan", 6 * PART_SIZE);
        bucket.hook = replan_once;
        begin(&o, o.size, 0);
        owner_wait_done(&o);
        assert_published(&o);
        assert_true(o.result.checked);
        end(&o);
    }
}

static int busy_answer;

static void replan_while_publishing(enum bucket_op op, unsigned number, enum bucket_moment moment)
{
    struct xfer_plan plan;
    struct ou_error err;

    (void)number;
    if ((op != OP_PUT && op != OP_COMPLETE) || moment != MOMENT_BEGIN)
        return;
    plan = owner_plan(7, 1 << 20);
    busy_answer = xfer_upload_replan(upload_of(subject), &plan, &err);
    xfer_plan_fini(&plan);
}

static void replan_is_refused_while_publishing(void **state)
{
    (void)state;
    for (uint64_t threshold = 0; threshold <= 1 << 20; threshold += 1 << 20) {
        struct owner o;

        reset(NULL);
        busy_answer = 0;
        bucket.hook = replan_while_publishing;
        owner_init(&o, "busy", 3 * PART_SIZE);
        begin(&o, o.size, threshold);
        owner_wait_done(&o);
        assert_published(&o);
        assert_int_equal(busy_answer, -EBUSY);
        end(&o);
    }
}

/* A copied range that is written is never copied again; nobody replanned, so it is sent. */
static void copied_range_that_is_written_is_sent(void **state)
{
    const struct xfer_range base[] = {{0, 3 * PART_SIZE}};
    struct xfer_plan_input in = {.size = 4 * PART_SIZE,
                                 .part_size = PART_SIZE,
                                 .base_size = 3 * PART_SIZE,
                                 .base = base,
                                 .base_count = 1};
    struct xfer_plan plan;
    struct owner o;
    struct ou_error err;

    (void)state;
    owner_init(&o, "copied", in.size);
    bucket_put("base", o.data, 3 * PART_SIZE);
    assert_int_equal(xfer_plan_make(&in, &plan, &err), 0);
    struct xfer_upload_spec spec = {
        .key = "copied", .base_key = "base", .plan = &plan, .ops = &owner_ops, .ctx = &o};

    subject = &o;
    engine = engine_start(4, 3);
    write_in = OP_PART_COPY;
    write_at = MOMENT_APPLIED;
    write_part = 1;
    bucket.hook = write_once;
    assert_int_equal(xfer_upload_start(engine, &spec, &o.upload, &err), 0);
    owner_wait_done(&o);
    assert_published(&o);
    assert_int_equal(bucket.op_count[OP_PART_COPY], 1);
    end(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(part_written_while_it_is_sent_is_sent_again, reset),
        cmocka_unit_test_setup(put_written_before_its_last_byte_was_read_begins_again, reset),
        cmocka_unit_test_setup(put_written_after_its_last_byte_publishes_the_old_version, reset),
        cmocka_unit_test_setup(write_during_complete_belongs_to_the_next_version, reset),
        cmocka_unit_test_setup(write_at_the_gate_makes_it_ask_again, reset),
        cmocka_unit_test_setup(restless_writer_never_leads_to_a_mixed_object, reset),
        cmocka_unit_test_setup(gate_sleeps_until_it_is_kicked, reset),
        cmocka_unit_test_setup(owner_that_gives_up_at_the_gate_gets_its_own_error, reset),
        cmocka_unit_test_setup(growing_file_sends_each_part_once, reset),
        cmocka_unit_test_setup(held_upload_begins_no_part, reset),
        cmocka_unit_test_setup(replan_in_flight_publishes_the_new_version, reset),
        cmocka_unit_test_setup(replan_is_refused_while_publishing, reset),
        cmocka_unit_test_setup(copied_range_that_is_written_is_sent, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

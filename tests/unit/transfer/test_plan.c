/* The plan: examples of its promises, and random files against a slow and obvious model. */
#include "unit/unit.h"

#include "transfer/plan.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)
#define TIB (GIB * 1024)
#define MIN OSS_PART_SIZE_MIN

static uint64_t part_size_of(uint64_t size, uint64_t wanted)
{
    struct ou_error err;
    uint64_t part_size = 0;

    assert_int_equal(xfer_part_size(size, wanted, &part_size, &err), 0);
    return part_size;
}

static void part_size_grows_only_when_10000_parts_would_not_do(void **state)
{
    (void)state;
    assert_int_equal(part_size_of(1, 8 * MIB), 8 * MIB);
    assert_int_equal(part_size_of(UINT64_C(80000) * MIB, 8 * MIB),
                     8 * MIB); /* exactly 10000 are legal */
    assert_int_equal(part_size_of(UINT64_C(80000) * MIB + 1, 8 * MIB), 8200 * KIB);
    assert_int_equal(part_size_of(UINT64_C(10001) * MIN, MIN), 200 * KIB);
    assert_int_equal(part_size_of(UINT64_C(50000) * GIB, 8 * MIB), 5 * GIB);
    assert_int_equal(part_size_of(UINT64_C(50000) * GIB - 10000, 8 * MIB), 5 * GIB);
}

static void part_size_out_of_range_is_named(void **state)
{
    struct ou_error err;
    uint64_t part_size = 7;

    (void)state;
    assert_int_equal(xfer_part_size(1, MIN - 1, &part_size, &err), -EINVAL);
    assert_string_equal(err.message, "part size 102399: it takes 100K to 5G");
    assert_int_equal(xfer_part_size(1, 5 * GIB + 1, &part_size, &err), -EINVAL);
    assert_int_equal(xfer_part_size(0, MIN, &part_size, &err), -EINVAL);
    assert_int_equal(xfer_part_size(UINT64_C(50000) * GIB + 1, MIN, &part_size, &err), -EFBIG);
    assert_int_equal(part_size, 7);
}

/* What every plan must keep, whatever was asked. */
static void assert_legal(const struct xfer_plan_input *in, const struct xfer_plan *plan)
{
    uint64_t at = 0;

    assert_int_equal(plan->size, in->size);
    if (plan->kind != XFER_PLAN_MULTIPART) {
        assert_int_equal(plan->count, 0);
        return;
    }
    assert_in_range(plan->count, 1, OSS_PART_NUMBER_MAX);
    for (size_t i = 0; i < plan->count; i++) {
        const struct xfer_plan_part *p = &plan->parts[i];
        bool held = false;

        assert_int_equal(p->number, i + 1);
        assert_int_equal(p->offset, at);
        assert_in_range(p->size, i + 1 < plan->count ? MIN : 1, OSS_PART_SIZE_MAX);
        for (size_t b = 0; b < in->base_count && p->copy; b++)
            held = held || (in->base[b].offset <= p->offset &&
                            in->base[b].offset + in->base[b].size >= p->offset + p->size);
        assert_true(held || !p->copy);
        if (!p->copy && !in->growing)
            assert_true(p->size < plan->part_size + MIN);
        at += p->size;
    }
    assert_int_equal(at, in->size);
}

static struct xfer_plan make(const struct xfer_plan_input *in)
{
    struct xfer_plan plan;
    struct ou_error err;

    assert_int_equal(xfer_plan_make(in, &plan, &err), 0);
    assert_legal(in, &plan);
    return plan;
}

static uint64_t sent_bytes(const struct xfer_plan *plan)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < plan->count; i++)
        bytes += plan->parts[i].copy ? 0 : plan->parts[i].size;
    return bytes;
}

static size_t sent_parts(const struct xfer_plan *plan)
{
    size_t parts = 0;

    for (size_t i = 0; i < plan->count; i++)
        parts += !plan->parts[i].copy;
    return parts;
}

static void new_file_is_a_uniform_grid(void **state)
{
    struct xfer_plan_input in = {
        .size = 1 * GIB + 3, .part_size = 8 * MIB, .put_threshold = 8 * MIB};
    struct xfer_plan plan = make(&in);

    (void)state;
    assert_int_equal(plan.kind, XFER_PLAN_MULTIPART);
    assert_int_equal(plan.count, 129);
    for (size_t i = 0; i < 128; i++)
        assert_int_equal(plan.parts[i].size, 8 * MIB);
    assert_int_equal(plan.parts[128].size, 3);
    xfer_plan_fini(&plan);
}

static void kind_follows_from_size_and_threshold(void **state)
{
    struct xfer_plan_input in = {.size = 0, .part_size = 8 * MIB};
    struct xfer_plan plan = make(&in);

    (void)state;
    assert_int_equal(plan.kind, XFER_PLAN_PUT); /* empty: always */
    in.put_threshold = in.size = 8 * MIB;
    plan = make(&in);
    assert_int_equal(plan.kind, XFER_PLAN_PUT);
    in.size++;
    plan = make(&in);
    assert_int_equal(plan.kind, XFER_PLAN_MULTIPART);
    xfer_plan_fini(&plan);
    in.put_threshold = 0; /* early upload asks for parts */
    in.size = 100;
    plan = make(&in);
    assert_int_equal(plan.kind, XFER_PLAN_MULTIPART);
    xfer_plan_fini(&plan);
    in.size = 6 * GIB;
    in.put_threshold = 10 * GIB; /* more than PutObject takes */
    plan = make(&in);
    assert_int_equal(plan.kind, XFER_PLAN_MULTIPART);
    xfer_plan_fini(&plan);
}

static void sparse_tebibyte_is_planned(void **state)
{
    struct xfer_plan_input in = {.size = 1 * TIB, .part_size = 8 * MIB};
    struct xfer_plan plan = make(&in);

    (void)state;
    assert_true(plan.count > 9900);
    xfer_plan_fini(&plan);
    in.size = UINT64_C(50000) * GIB;
    plan = make(&in);
    assert_int_equal(plan.count, 10000);
    xfer_plan_fini(&plan);
}

static void growing_file_keeps_the_parts_it_has(void **state)
{
    struct unit_random random = {.state = 11};
    struct xfer_plan_input in = {.part_size = 8 * MIB, .growing = true};

    (void)state;
    for (int round = 0; round < 60; round++) {
        struct xfer_plan before, after;

        in.size = 1 + unit_random_below(&random, (uint64_t)1 << (24 + round % 16));
        before = make(&in);
        in.size += unit_random_below(&random, in.size);
        after = make(&in);
        assert_true(after.count >= before.count);
        for (size_t i = 0; i + 1 < before.count; i++) /* the last one may have been short */
            assert_memory_equal(&after.parts[i], &before.parts[i], sizeof(after.parts[i]));
        xfer_plan_fini(&before);
        xfer_plan_fini(&after);
    }
    in.size = 30 * GIB; /* as without, while 5000 parts do */
    struct xfer_plan plan = make(&in);
    assert_int_equal(plan.count, 30 * 128);
    xfer_plan_fini(&plan);
    in.size = 40 * TIB; /* too long to grow so: all parts are large */
    plan = make(&in);
    assert_true(plan.parts[0].size > 8 * MIB);
    xfer_plan_fini(&plan);
}

static void whole_parts_of_a_growing_file_end_where_its_plan_says(void **state)
{
    struct unit_random random = {.state = 12};
    struct xfer_plan_input in = {.part_size = 8 * MIB, .growing = true};
    uint64_t most = xfer_growing_end(8 * MIB, UINT64_MAX);

    (void)state;
    assert_int_equal(xfer_growing_end(8 * MIB, 8 * MIB - 1), 0);
    assert_int_equal(xfer_growing_end(8 * MIB, 8 * MIB), 8 * MIB);
    assert_in_range(most, TIB, 3 * TIB);
    for (int round = 0; round < 60; round++) {
        uint64_t end;
        struct xfer_plan plan;

        in.size = 8 * MIB + unit_random_below(&random, (uint64_t)1 << (24 + round % 16));
        end = xfer_growing_end(in.part_size, in.size);
        plan = make(&in);
        assert_int_equal(end, in.size == end ? plan.size : plan.parts[plan.count - 1].offset);
        xfer_plan_fini(&plan);
    }
}

/* -- with a base -- */

static struct xfer_plan plan_with_base(uint64_t size, uint64_t base_size,
                                       const struct xfer_range *base, size_t count)
{
    struct xfer_plan_input in = {.size = size,
                                 .part_size = 8 * MIB,
                                 .put_threshold = 8 * MIB,
                                 .base_size = base_size,
                                 .base = base,
                                 .base_count = count};

    return make(&in);
}

static void unchanged_object_is_one_copy(void **state)
{
    const struct xfer_range all[] = {{0, 10 * GIB}};
    struct xfer_plan_input in = {.size = 10 * GIB,
                                 .part_size = 8 * MIB,
                                 .base_size = 10 * GIB,
                                 .base_is_target = true,
                                 .base = all,
                                 .base_count = 1};
    struct xfer_plan plan = make(&in);

    (void)state;
    assert_int_equal(plan.kind, XFER_PLAN_COPY);
    in.base_is_target = false; /* of another key: CopyObject is safe to 1 GiB */
    plan = make(&in);
    assert_int_equal(plan.kind, XFER_PLAN_MULTIPART);
    assert_int_equal(plan.count, 2);
    assert_int_equal(sent_bytes(&plan), 0);
    xfer_plan_fini(&plan);
}

static void one_byte_in_10_gigabytes_sends_one_part(void **state)
{
    const struct xfer_range base[] = {{0, 4 * GIB}, {4 * GIB + 1, 6 * GIB - 1}};
    struct xfer_plan plan = plan_with_base(10 * GIB, 10 * GIB, base, 2);

    (void)state;
    assert_int_equal(sent_parts(&plan), 1);
    assert_int_equal(sent_bytes(&plan), MIN);
    assert_int_equal(plan.count, 1 + 1 + 2); /* copies hold 5 GiB each */
    xfer_plan_fini(&plan);
}

static void one_byte_in_the_middle_is_one_part_and_two_copies(void **state)
{
    const struct xfer_range base[] = {{0, 500 * MIB}, {500 * MIB + 1, 500 * MIB - 1}};
    struct xfer_plan plan = plan_with_base(1000 * MIB, 1000 * MIB, base, 2);

    (void)state;
    assert_int_equal(plan.count, 3);
    assert_int_equal(sent_bytes(&plan), MIN);
    xfer_plan_fini(&plan);
}

static void one_byte_at_either_end(void **state)
{
    const struct xfer_range first[] = {{1, GIB - 1}}, last[] = {{0, GIB - 1}};
    struct xfer_plan plan = plan_with_base(GIB, GIB, first, 1);

    (void)state;
    assert_int_equal(plan.count, 2);
    assert_int_equal(sent_bytes(&plan), MIN);
    xfer_plan_fini(&plan);
    plan = plan_with_base(GIB, GIB, last, 1);
    assert_int_equal(plan.count, 2);
    assert_int_equal(sent_bytes(&plan), 1); /* the last part may be short */
    xfer_plan_fini(&plan);
}

static void append_sends_the_tail(void **state)
{
    const struct xfer_range base[] = {{0, 12 * GIB}};
    struct xfer_plan plan = plan_with_base(12 * GIB + MIB, 12 * GIB, base, 1);

    (void)state;
    assert_int_equal(plan.count, 3 + 1);
    assert_int_equal(sent_bytes(&plan), MIB);
    xfer_plan_fini(&plan);
}

static void append_to_a_tiny_base_sends_it_too(void **state)
{
    const struct xfer_range base[] = {{0, 50 * KIB}};
    struct xfer_plan plan = plan_with_base(100 * MIB, 50 * KIB, base, 1);

    (void)state;
    assert_int_equal(sent_bytes(&plan), 100 * MIB); /* a first part of 50 KiB is not legal */
    xfer_plan_fini(&plan);
}

static void truncated_object_is_copied(void **state)
{
    const struct xfer_range base[] = {{0, 70 * MIB}};
    struct xfer_plan plan = plan_with_base(70 * MIB, 100 * MIB, base, 1);

    (void)state;
    assert_int_equal(plan.kind, XFER_PLAN_MULTIPART);
    assert_int_equal(plan.count, 1);
    assert_true(plan.parts[0].copy);
    xfer_plan_fini(&plan);
}

static void small_file_is_put_whole_unless_mostly_unchanged(void **state)
{
    const struct xfer_range half[] = {{0, 1 * MIB}}, most[] = {{0, 6 * MIB}};
    struct xfer_plan plan = plan_with_base(3 * MIB, 3 * MIB, half, 1);

    (void)state;
    assert_int_equal(plan.kind, XFER_PLAN_PUT);
    plan = plan_with_base(7 * MIB, 7 * MIB, half, 1);
    assert_int_equal(plan.kind, XFER_PLAN_PUT);
    plan = plan_with_base(7 * MIB, 7 * MIB, most, 1);
    assert_int_equal(plan.kind, XFER_PLAN_MULTIPART);
    assert_int_equal(sent_bytes(&plan), MIB);
    xfer_plan_fini(&plan);
}

static void too_many_runs_still_fit_into_10000_parts(void **state)
{
    enum { RUNS = 30000 };
    struct xfer_range *base = calloc(RUNS, sizeof(*base));
    struct xfer_plan plan;

    (void)state;
    for (size_t i = 0; i < RUNS; i++)
        base[i] = (struct xfer_range){i * MIB + 4096, MIB - 4096 - i % 7 * KIB * 100};
    plan = plan_with_base(RUNS * MIB, RUNS * MIB, base, RUNS);
    assert_true(plan.count > 5000);
    xfer_plan_fini(&plan);
    free(base);
}

static void ranges_that_make_no_sense_are_refused(void **state)
{
    static const struct xfer_range bad[][2] = {
        {{0, 10 * MIB}, {5 * MIB, MIB}}, /* overlap */
        {{20 * MIB, MIB}, {0, MIB}},     /* order */
        {{0, 0}, {MIB, MIB}},            /* empty */
        {{0, MIB}, {60 * MIB, MIB}},     /* beyond the base */
        {{0, MIB}, {MIB, UINT64_MAX}},   /* beyond everything */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct xfer_plan_input in = {.size = 100 * MIB,
                                     .part_size = 8 * MIB,
                                     .base_size = 60 * MIB,
                                     .base = bad[i],
                                     .base_count = 2};
        struct xfer_plan plan;
        struct ou_error err;

        assert_int_equal(xfer_plan_make(&in, &plan, &err), -EINVAL);
    }
}

/* -- the model: all cuts at multiples of UNIT, by dynamic programming over positions -- */

#define UNIT  (10 * KIB) /* MIN is 10 of them */
#define MIN_U 10
#define UNITS 120
#define FAR   UINT32_MAX

/* Return: units sent at least, and with them parts at least (parts of at most @part_u units). */
static void model(const bool *clean, int size, int part_u, unsigned *bytes, unsigned *parts)
{
    unsigned best[UNITS + 1][2];

    best[0][0] = best[0][1] = 0;
    for (int end = 1; end <= size; end++) {
        bool copy = true;

        best[end][0] = best[end][1] = FAR;
        for (int begin = end - 1; begin >= 0; begin--) {
            copy = copy && clean[begin];
            if ((end - begin < MIN_U && end < size) || best[begin][0] == FAR)
                continue;
            for (int how = 0; how < 2; how++) {
                unsigned b = best[begin][0] + (how ? 0 : (unsigned)(end - begin));
                unsigned p = best[begin][1] + 1;

                if (how ? !copy : end - begin > part_u)
                    continue;
                if (b < best[end][0] || (b == best[end][0] && p < best[end][1])) {
                    best[end][0] = b;
                    best[end][1] = p;
                }
            }
        }
    }
    *bytes = best[size][0];
    *parts = best[size][1];
}

static size_t random_ranges(struct unit_random *random, int size, bool *clean,
                            struct xfer_range *base)
{
    uint64_t mean = 1 + unit_random_below(random, 30);
    bool now = unit_random(random) & 1;
    size_t count = 0;

    for (int i = 0; i < size; i++) {
        if (unit_random_below(random, mean) == 0)
            now = !now;
        clean[i] = now;
    }
    for (int i = 0; i < size; i++) {
        if (!clean[i])
            continue;
        if (i > 0 && clean[i - 1])
            base[count - 1].size += UNIT;
        else
            base[count++] = (struct xfer_range){(uint64_t)i * UNIT, UNIT};
    }
    return count;
}

static void no_plan_sends_less_than_ours(void **state)
{
    struct unit_random random = {.state = 20240305};

    (void)state;
    for (int round = 0; round < 30000; round++) {
        int size = 1 + (int)unit_random_below(&random, UNITS);
        int part_u = MIN_U + (int)unit_random_below(&random, 40);
        bool clean[UNITS];
        struct xfer_range base[UNITS];
        struct xfer_plan_input in = {.size = (uint64_t)size * UNIT,
                                     .part_size = (uint64_t)part_u * UNIT,
                                     .base_size = (uint64_t)size * UNIT + 1,
                                     .base = base};
        unsigned bytes, parts;
        struct xfer_plan plan;

        in.base_count = random_ranges(&random, size, clean, base);
        plan = make(&in);
        assert_int_equal(plan.kind, XFER_PLAN_MULTIPART);
        model(clean, size, part_u, &bytes, &parts);
        if (bytes != FAR) { /* the model has no part between part_u and part_u + MIN_U */
            assert_true(sent_bytes(&plan) <= bytes * UNIT);
            assert_true(sent_bytes(&plan) < bytes * UNIT || plan.count <= parts);
        }
        model(clean, size, part_u + MIN_U - 1, &bytes, &parts);
        assert_int_equal(sent_bytes(&plan), bytes * UNIT);
        xfer_plan_fini(&plan);
    }
}

/* Not on any grid, and large: legal, and within the bound that plan.h promises. */
static void random_plans_keep_the_bound(void **state)
{
    struct unit_random random = {.state = 7};

    (void)state;
    for (int round = 0; round < 3000; round++) {
        uint64_t size = 1 + unit_random_below(&random, (uint64_t)1 << (20 + round % 20));
        uint64_t part_size = MIN + unit_random_below(&random, 32 * MIB);
        uint64_t at = unit_random_below(&random, size), dirty = size, runs = 1;
        struct xfer_range base[200];
        struct xfer_plan_input in = {
            .size = size, .part_size = part_size, .base_size = size + 1, .base = base};
        struct xfer_plan plan;

        while (in.base_count < 200 && at < size) {
            uint64_t left = size - at;
            uint64_t len = 1 + unit_random_below(&random, left < 400 * KIB ? left : left / 4);

            base[in.base_count++] = (struct xfer_range){at, len};
            at += len;
            at += 1 + unit_random_below(&random, (round % 3 ? 300 * KIB : 30 * MIB));
            dirty -= len;
            runs++;
        }
        plan = make(&in);
        assert_true(sent_bytes(&plan) <= dirty + runs * 2 * MIN);
        xfer_plan_fini(&plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(part_size_grows_only_when_10000_parts_would_not_do),
        cmocka_unit_test(part_size_out_of_range_is_named),
        cmocka_unit_test(new_file_is_a_uniform_grid),
        cmocka_unit_test(kind_follows_from_size_and_threshold),
        cmocka_unit_test(sparse_tebibyte_is_planned),
        cmocka_unit_test(growing_file_keeps_the_parts_it_has),
        cmocka_unit_test(whole_parts_of_a_growing_file_end_where_its_plan_says),
        cmocka_unit_test(unchanged_object_is_one_copy),
        cmocka_unit_test(one_byte_in_10_gigabytes_sends_one_part),
        cmocka_unit_test(one_byte_in_the_middle_is_one_part_and_two_copies),
        cmocka_unit_test(one_byte_at_either_end),
        cmocka_unit_test(append_sends_the_tail),
        cmocka_unit_test(append_to_a_tiny_base_sends_it_too),
        cmocka_unit_test(truncated_object_is_copied),
        cmocka_unit_test(small_file_is_put_whole_unless_mostly_unchanged),
        cmocka_unit_test(too_many_runs_still_fit_into_10000_parts),
        cmocka_unit_test(ranges_that_make_no_sense_are_refused),
        cmocka_unit_test(no_plan_sends_less_than_ours),
        cmocka_unit_test(random_plans_keep_the_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

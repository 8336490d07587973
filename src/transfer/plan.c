/*
 * A plan is made in three decisions: the kind; for a multipart upload the segments that
 * are sent (plan_segments.c); and the parts that segments and gaps are cut into.
 *
 * Invariants of a multipart plan: parts are numbered from 1 without gaps and cover the file
 * exactly; at most 10000; each but the last is OSS_PART_SIZE_MIN to OSS_PART_SIZE_MAX long; a
 * sent part is less than part_size + OSS_PART_SIZE_MIN (times its factor, if the file grows).
 */
#include "transfer/plan.h"

#include "base/cleanup.h"
#include "transfer/plan_segments.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define GROWTH_UNIT (UINT64_C(100) << 10) /* grown part sizes are round */
/* Up to here one PutObject of everything beats Initiate, copies and Complete. */
#define SPARSE_MIN (UINT64_C(4) << 20)

void xfer_plan_fini(struct xfer_plan *plan)
{
    free(plan->parts);
    *plan = (struct xfer_plan){0};
}

static int part_size_check(uint64_t wanted, struct ou_error *err)
{
    if (wanted < OSS_PART_SIZE_MIN || wanted > OSS_PART_SIZE_MAX)
        return ou_error_say(err, EINVAL, "part size %" PRIu64 ": it takes 100K to 5G", wanted);
    return 0;
}

int xfer_part_size(uint64_t object_size, uint64_t wanted, uint64_t *part_size, struct ou_error *err)
{
    uint64_t need;
    int r = part_size_check(wanted, err);

    if (r < 0)
        return r;
    if (object_size == 0)
        return ou_error_say(err, EINVAL, "an empty object has no parts");
    need = (object_size - 1) / OSS_PART_NUMBER_MAX + 1;
    if (need > OSS_PART_SIZE_MAX)
        return ou_error_say(err, EFBIG, "%" PRIu64 " bytes: an object holds %u parts of 5G at most",
                            object_size, OSS_PART_NUMBER_MAX);
    if (need <= wanted) {
        *part_size = wanted;
        return 0;
    }
    need = (need + GROWTH_UNIT - 1) / GROWTH_UNIT * GROWTH_UNIT;
    *part_size = need < OSS_PART_SIZE_MAX ? need : OSS_PART_SIZE_MAX;
    return 0;
}

/* The runs that must be sent: what the base does not hold. */
static int runs_of(const struct xfer_plan_input *in, struct xfer_spans *out, uint64_t *bytes,
                   struct ou_error *err)
{
    uint64_t limit = in->size < in->base_size ? in->size : in->base_size, at = 0;

    out->spans = calloc(in->base_count + 1, sizeof(*out->spans));
    if (!out->spans)
        return ou_error_set(err, ENOMEM, "plan %zu ranges", in->base_count);
    *bytes = 0;
    for (size_t i = 0; i <= in->base_count; i++) {
        bool tail = i == in->base_count;
        uint64_t begin = tail ? in->size : in->base[i].offset;
        uint64_t size = tail ? 0 : in->base[i].size;

        if (!tail && (begin < at || size == 0 || begin > limit || size > limit - begin))
            return ou_error_say(err, EINVAL, "range %zu of the base is out of order or bounds", i);
        if (begin > at) {
            out->spans[out->count++] = (struct xfer_span){at, begin};
            *bytes += begin - at;
        }
        at = begin + size;
    }
    return 0;
}

static bool put_is_possible(const struct xfer_plan_input *in)
{
    uint64_t threshold = in->put_threshold < OSS_PUT_MAX ? in->put_threshold : OSS_PUT_MAX;

    return in->size <= threshold;
}

static bool put_is_better(const struct xfer_plan_input *in, uint64_t dirty)
{
    if (!put_is_possible(in))
        return in->size == 0;
    return in->size <= SPARSE_MIN || dirty > in->size / 2;
}

static bool copy_is_enough(const struct xfer_plan_input *in, uint64_t dirty)
{
    return in->size > 0 && dirty == 0 && in->base_size == in->size &&
           (in->base_is_target || in->size <= OSS_COPY_OBJECT_SAFE);
}

/* The smallest @min_gap (to a factor of about 1.1) with which 10000 parts of any size do. */
static int segments_that_fit(const struct xfer_spans *runs, uint64_t size, uint64_t part_size,
                             struct xfer_spans *out, struct ou_error *err)
{
    uint64_t gap = OSS_PART_SIZE_MIN;

    for (;;) {
        int r = xfer_segments_choose(runs, size, part_size, gap, out, err);

        if (r < 0)
            return r;
        if (xfer_segments_parts(out, size, OSS_PART_SIZE_MAX) <= OSS_PART_NUMBER_MAX || gap > size)
            return 0;
        xfer_spans_fini(out);
        gap += gap / 8;
    }
}

static void part_add(struct xfer_plan *plan, bool copy, uint64_t offset, uint64_t size)
{
    plan->parts[plan->count] = (struct xfer_plan_part){
        .number = (unsigned)plan->count + 1, .copy = copy, .offset = offset, .size = size};
    plan->count++;
}

/* A gap in as few copies as possible, about equal: no short rest. */
static void cut_copies(struct xfer_plan *plan, uint64_t begin, uint64_t end)
{
    uint64_t parts = xfer_copy_parts(end - begin);

    for (; parts > 0; parts--) {
        uint64_t size = (end - begin + parts - 1) / parts;

        part_add(plan, true, begin, size);
        begin += size;
    }
}

static void cut_sent(struct xfer_plan *plan, uint64_t begin, uint64_t end)
{
    uint64_t parts = xfer_sent_parts(end - begin, plan->part_size, end == plan->size);

    for (; parts > 0; parts--) {
        uint64_t left = end - begin;
        uint64_t size = parts == 1 ? left : plan->part_size;

        if (parts == 2 && end < plan->size && left - size < OSS_PART_SIZE_MIN)
            size = left - OSS_PART_SIZE_MIN; /* a rest that no larger part could take along */
        part_add(plan, false, begin, size);
        begin += size;
    }
}

/* -- a file that grows -- */

/* From part @from on (counted from 0), parts are @factor times as large as at the beginning. */
static const struct {
    size_t from;
    unsigned factor;
} steps[] = {{0, 1}, {5000, 4}, {7500, 16}, {8750, 64}, {9375, 256}};

static uint64_t growing_part_size(uint64_t part_size, size_t index)
{
    uint64_t factor = 1;

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && steps[i].from <= index; i++)
        factor = steps[i].factor;
    return part_size < OSS_PART_SIZE_MAX / factor ? part_size * factor : OSS_PART_SIZE_MAX;
}

/* 0: it does not fit into 10000 of them. */
static size_t growing_parts(uint64_t size, uint64_t part_size)
{
    for (size_t i = 0; i < OSS_PART_NUMBER_MAX; i++) {
        uint64_t part = growing_part_size(part_size, i);

        if (size <= part)
            return i + 1;
        size -= part;
    }
    return 0;
}

uint64_t xfer_growing_end(uint64_t part_size, uint64_t limit)
{
    uint64_t end = 0;

    for (size_t i = 0; i < OSS_PART_NUMBER_MAX; i++) {
        uint64_t part = growing_part_size(part_size, i);

        if (part > limit - end)
            break;
        end += part;
    }
    return end;
}

static int cut_growing(struct xfer_plan *plan, size_t parts, struct ou_error *err)
{
    uint64_t at = 0;

    plan->kind = XFER_PLAN_MULTIPART;
    plan->parts = calloc(parts, sizeof(*plan->parts));
    if (!plan->parts)
        return ou_error_set(err, ENOMEM, "plan %" PRIu64 " bytes", plan->size);
    while (at < plan->size) {
        uint64_t size = growing_part_size(plan->part_size, plan->count);

        if (size > plan->size - at)
            size = plan->size - at;
        part_add(plan, false, at, size);
        at += size;
    }
    return 0;
}

static int cut_parts(const struct xfer_spans *segments, struct xfer_plan *plan,
                     struct ou_error *err)
{
    uint64_t at = 0;

    plan->parts =
        calloc(xfer_segments_parts(segments, plan->size, plan->part_size), sizeof(*plan->parts));
    if (!plan->parts)
        return ou_error_set(err, ENOMEM, "plan %" PRIu64 " bytes", plan->size);
    for (size_t i = 0; i < segments->count; i++) {
        cut_copies(plan, at, segments->spans[i].begin);
        cut_sent(plan, segments->spans[i].begin, segments->spans[i].end);
        at = segments->spans[i].end;
    }
    cut_copies(plan, at, plan->size);
    return 0;
}

static int plan_multipart(const struct xfer_plan_input *in, const struct xfer_spans *runs,
                          struct xfer_plan *plan, struct ou_error *err)
{
    ou_auto(xfer_spans_fini) struct xfer_spans segments = {0};
    size_t growing =
        in->growing && in->base_count == 0 ? growing_parts(in->size, in->part_size) : 0;
    uint64_t part_size = 0;
    int r;

    if (growing > 0)
        return cut_growing(plan, growing, err);
    r = xfer_part_size(in->size, in->part_size, &part_size, err);

    if (r < 0)
        return r;
    r = segments_that_fit(runs, in->size, part_size, &segments, err);
    if (r < 0)
        return r;
    if (put_is_possible(in) && segments.count == 1 && segments.spans[0].begin == 0 &&
        segments.spans[0].end == in->size)
        return 0; /* everything is sent anyway; plan->kind is XFER_PLAN_PUT */
    while (part_size < OSS_PART_SIZE_MAX &&
           xfer_segments_parts(&segments, in->size, part_size) > OSS_PART_NUMBER_MAX) {
        part_size = (part_size + part_size / 4 + GROWTH_UNIT - 1) / GROWTH_UNIT * GROWTH_UNIT;
        if (part_size > OSS_PART_SIZE_MAX)
            part_size = OSS_PART_SIZE_MAX;
    }
    plan->kind = XFER_PLAN_MULTIPART;
    plan->part_size = part_size;
    return cut_parts(&segments, plan, err);
}

static int plan_by_runs(const struct xfer_plan_input *in, struct xfer_spans *runs,
                        struct xfer_plan *plan, struct ou_error *err)
{
    uint64_t dirty = 0;
    int r = runs_of(in, runs, &dirty, err);

    if (r < 0)
        return r;
    if (copy_is_enough(in, dirty)) {
        plan->kind = XFER_PLAN_COPY;
        return 0;
    }
    return put_is_better(in, dirty) ? 0 : plan_multipart(in, runs, plan, err);
}

int xfer_plan_make(const struct xfer_plan_input *in, struct xfer_plan *out, struct ou_error *err)
{
    struct xfer_spans runs = {0};
    struct xfer_plan plan = {.kind = XFER_PLAN_PUT, .size = in->size, .part_size = in->part_size};
    int r = part_size_check(in->part_size, err);

    if (r == 0)
        r = plan_by_runs(in, &runs, &plan, err);
    xfer_spans_fini(&runs);
    if (r < 0)
        xfer_plan_fini(&plan);
    else
        *out = plan;
    return r;
}

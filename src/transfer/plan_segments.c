/*
 * The choice of segments is a shortest path over the runs, from left to right.
 *
 * First, gaps that are too short to be copied are closed. After that every gap is
 * at least OSS_PART_SIZE_MIN, and so is a group of two runs with the gap between them.
 * Hence:
 *   - only a group of one short run must take along unchanged bytes; it takes them
 *     from its left as far as the gap there may shrink, the rest from its right;
 *   - groups of one, two and three runs suffice: a larger one falls into these and
 *     saves a gap.
 * A state after run i is (bytes, parts, spill): what was sent so far, and how far the last
 * segment reaches beyond the run. A spill narrows the next gap, so a state that costs
 * less may still be worse; the states that no other one beats in all three are kept.
 */
#include "transfer/plan_segments.h"

#include "oss/types.h"

#include <errno.h>
#include <stdlib.h>

#define GROUP_MAX  3
#define STATES_MAX 6 /* kept per run; more than three are hardly ever seen */

struct state {
    uint64_t bytes, parts;
    uint64_t spill;
    uint64_t begin; /* of the last segment */
    size_t group;   /* runs in the last segment */
    size_t before;  /* index of the state it came from, among those of run i - group */
};

struct front {
    struct state states[STATES_MAX];
    size_t count;
};

struct chooser {
    const struct xfer_span *runs;
    size_t count;
    uint64_t size, part_size;
    struct front *fronts; /* [i]: the first i runs are settled; count + 1 of them */
};

void xfer_spans_fini(struct xfer_spans *s)
{
    free(s->spans);
    *s = (struct xfer_spans){0};
}

uint64_t xfer_sent_parts(uint64_t size, uint64_t part_size, bool last)
{
    uint64_t whole = size / part_size, rest = size % part_size;

    if (rest == 0)
        return whole;
    if (last || rest >= OSS_PART_SIZE_MIN || whole == 0 || part_size + rest > OSS_PART_SIZE_MAX)
        return whole + 1;
    return whole; /* the last part takes the rest along */
}

uint64_t xfer_copy_parts(uint64_t size)
{
    return size / OSS_PART_SIZE_MAX + (size % OSS_PART_SIZE_MAX != 0);
}

uint64_t xfer_segments_parts(const struct xfer_spans *segments, uint64_t size, uint64_t part_size)
{
    uint64_t at = 0, parts = 0;

    for (size_t i = 0; i < segments->count; i++) {
        const struct xfer_span *s = &segments->spans[i];

        parts += xfer_copy_parts(s->begin - at);
        parts += xfer_sent_parts(s->end - s->begin, part_size, s->end == size);
        at = s->end;
    }
    return parts + xfer_copy_parts(size - at);
}

/* Closes the gaps that are shorter than @min_gap. */
static size_t close_gaps(const struct xfer_spans *runs, uint64_t size, uint64_t min_gap,
                         struct xfer_span *out)
{
    size_t n = 0;

    for (size_t i = 0; i < runs->count; i++) {
        uint64_t before = n > 0 ? out[n - 1].end : 0;
        struct xfer_span run = runs->spans[i];

        if (run.begin - before >= min_gap || (n == 0 && run.begin == 0)) {
            out[n++] = run;
        } else if (n > 0) {
            out[n - 1].end = run.end;
        } else {
            run.begin = 0;
            out[n++] = run;
        }
    }
    /* A last part may be short, so a short tail need not be sent unless parts are to be saved. */
    if (n > 0 && min_gap > OSS_PART_SIZE_MIN && size - out[n - 1].end < min_gap)
        out[n - 1].end = size;
    return n;
}

static bool beats(const struct state *a, const struct state *b)
{
    return a->bytes != b->bytes ? a->bytes < b->bytes : a->parts < b->parts;
}

static void front_add(struct front *f, const struct state *s)
{
    size_t keep = 0, worst = 0;

    for (size_t i = 0; i < f->count; i++)
        if (!beats(s, &f->states[i]) && f->states[i].spill <= s->spill)
            return;
    for (size_t i = 0; i < f->count; i++)
        if (beats(&f->states[i], s) || f->states[i].spill < s->spill)
            f->states[keep++] = f->states[i];
    f->count = keep;
    if (f->count < STATES_MAX) {
        f->states[f->count++] = *s;
        return;
    }
    for (size_t i = 1; i < f->count; i++)
        if (beats(&f->states[worst], &f->states[i]))
            worst = i;
    if (s->spill == 0 || beats(s, &f->states[worst]))
        f->states[worst] = *s;
}

/* Where the state's last segment ends, counted from the file's begin. */
static uint64_t state_end(const struct chooser *c, size_t settled, const struct state *s)
{
    return settled > 0 ? c->runs[settled - 1].end + s->spill : 0;
}

/* One more segment, [begin, end), after state number @before of front @settled. */
static void segment_add(struct chooser *c, size_t settled, size_t before, size_t group,
                        uint64_t begin, uint64_t end)
{
    const struct state *from = &c->fronts[settled].states[before];
    const struct xfer_span *run = &c->runs[settled + group - 1];
    struct state s = {
        .bytes = from->bytes + (end - begin),
        .parts = from->parts + xfer_copy_parts(begin - state_end(c, settled, from)) +
                 xfer_sent_parts(end - begin, c->part_size, end == c->size),
        .spill = end - run->end,
        .begin = begin,
        .group = group,
        .before = before,
    };

    if (settled + group == c->count)
        s.parts += xfer_copy_parts(c->size - end);
    front_add(&c->fronts[settled + group], &s);
}

/* A single run that is too short for a part of its own takes neighbours along. */
static void segment_grow(struct chooser *c, size_t settled, size_t before)
{
    const struct state *from = &c->fronts[settled].states[before];
    struct xfer_span run = c->runs[settled];
    bool last = settled + 1 == c->count;
    uint64_t need = OSS_PART_SIZE_MIN - (run.end - run.begin);
    uint64_t gap = run.begin - state_end(c, settled, from);
    uint64_t slack = gap > OSS_PART_SIZE_MIN ? gap - OSS_PART_SIZE_MIN : 0;
    uint64_t left = slack < need ? slack : need;
    uint64_t right = need - left;
    uint64_t next = last ? c->size - run.end : c->runs[settled + 1].begin - run.end;
    uint64_t room = last ? next - (next > 0) : next - OSS_PART_SIZE_MIN;

    if (right <= room)
        segment_add(c, settled, before, 1, run.begin - left, run.end + right);
    if (settled == 0 && run.begin > 0 && run.end >= OSS_PART_SIZE_MIN)
        segment_add(c, settled, before, 1, 0, run.end);
}

static void settle_groups(struct chooser *c, size_t settled)
{
    const struct front *f = &c->fronts[settled];

    for (size_t group = 1; group <= GROUP_MAX && settled + group <= c->count; group++) {
        uint64_t begin = c->runs[settled].begin, end = c->runs[settled + group - 1].end;
        bool last = settled + group == c->count;

        for (size_t i = 0; i < f->count; i++) {
            if (end - begin >= OSS_PART_SIZE_MIN || end == c->size)
                segment_add(c, settled, i, group, begin, end);
            else
                segment_grow(c, settled, i);
            if (last && end < c->size)
                segment_add(c, settled, i, group, begin, c->size);
        }
    }
}

static int collect(const struct chooser *c, struct xfer_spans *out, struct ou_error *err)
{
    const struct front *end = &c->fronts[c->count];
    size_t best = 0, at = c->count, n = c->count;

    out->spans = calloc(c->count + 1, sizeof(*out->spans));
    if (!out->spans)
        return ou_error_set(err, ENOMEM, "plan %zu changed runs", c->count);
    for (size_t i = 1; i < end->count; i++)
        if (beats(&end->states[i], &end->states[best]))
            best = i;
    while (at > 0) {
        const struct state *s = &c->fronts[at].states[best];

        out->spans[--n] = (struct xfer_span){s->begin, state_end(c, at, s)};
        at -= s->group;
        best = s->before;
    }
    out->count = c->count - n;
    for (size_t i = 0; i < out->count; i++)
        out->spans[i] = out->spans[n + i];
    return 0;
}

int xfer_segments_choose(const struct xfer_spans *runs, uint64_t size, uint64_t part_size,
                         uint64_t min_gap, struct xfer_spans *out, struct ou_error *err)
{
    struct chooser c = {.size = size, .part_size = part_size};
    struct xfer_span *closed = calloc(runs->count + 1, sizeof(*closed));
    int r;

    if (closed) {
        c.runs = closed;
        c.count = close_gaps(runs, size, min_gap, closed);
        c.fronts = calloc(c.count + 1, sizeof(*c.fronts));
    }
    if (c.fronts) {
        c.fronts[0].count = 1; /* nothing sent, nothing settled */
        for (size_t i = 0; i < c.count; i++)
            settle_groups(&c, i);
        r = collect(&c, out, err);
    } else {
        r = ou_error_set(err, ENOMEM, "plan %zu changed runs", runs->count);
    }
    free(c.fronts);
    free(closed);
    return r;
}

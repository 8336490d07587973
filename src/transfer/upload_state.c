/*
 * The counters .pending, .flight, .waiting and .confirmed follow from the states; set_state()
 * is the one place that changes a state, so that they cannot drift.
 */
#include "transfer/upload_state.h"

#include "base/crc64.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_pending(enum xfer_part_state state)
{
    return state == XFER_PART_WANTED || state == XFER_PART_LISTED;
}

/* Enters (+1) or leaves (-1) the counters. */
static void count_part(struct xfer_parts *p, size_t i, bool enter)
{
    size_t one = enter ? 1 : (size_t)-1;
    enum xfer_part_state state = p->parts[i].state;

    if (state == XFER_PART_FLIGHT)
        p->flight += one;
    if (i >= p->plan.count)
        return;
    if (is_pending(state))
        p->pending += one;
    if (state == XFER_PART_REPLAN)
        p->waiting += one;
    if (state == XFER_PART_DONE)
        p->confirmed += enter ? p->plan.parts[i].size : -p->plan.parts[i].size;
}

static void set_state(struct xfer_parts *p, size_t i, enum xfer_part_state state)
{
    count_part(p, i, false);
    p->parts[i].state = state;
    p->parts[i].stale = p->parts[i].replan = false;
    count_part(p, i, true);
    if (is_pending(state) && i < p->first)
        p->first = i;
}

static void count_all(struct xfer_parts *p)
{
    p->pending = p->flight = p->waiting = 0;
    p->confirmed = 0;
    p->first = 0;
    for (size_t i = 0; i < p->slots; i++)
        count_part(p, i, true);
}

static bool same_part(const struct xfer_plan_part *a, const struct xfer_plan_part *b)
{
    return a->number == b->number && a->copy == b->copy && a->offset == b->offset &&
           a->size == b->size;
}

int xfer_parts_init(struct xfer_parts *p, struct xfer_plan *plan, struct ou_error *err)
{
    size_t slots = plan->count;

    *p = (struct xfer_parts){.slots = slots};
    if (slots > 0) {
        p->parts = calloc(slots, sizeof(*p->parts));
        p->answers = calloc(slots, sizeof(*p->answers));
        if (!p->parts || !p->answers) {
            xfer_parts_fini(p);
            return ou_error_set(err, ENOMEM, "upload of %zu parts", slots);
        }
    }
    p->plan = *plan;
    *plan = (struct xfer_plan){0};
    count_all(p);
    return 0;
}

void xfer_parts_fini(struct xfer_parts *p)
{
    xfer_plan_fini(&p->plan);
    free(p->parts);
    free(p->answers);
    *p = (struct xfer_parts){0};
}

void xfer_parts_record(struct xfer_parts *p, const struct oss_part *part,
                       const struct xfer_plan_part *where)
{
    size_t i = (size_t)part->number - 1;

    if (part->number == 0 || i >= p->plan.count || !same_part(&p->plan.parts[i], where) ||
        part->size != where->size || p->parts[i].state != XFER_PART_WANTED)
        return;
    p->answers[i] = *part;
    set_state(p, i, XFER_PART_RECORDED);
}

/* What the server's word makes of a part. A copy has no local bytes: only a record vouches for it. */
static enum xfer_part_state judge(const struct xfer_parts *p, size_t i,
                                  const struct oss_part *there)
{
    const struct oss_part *known = &p->answers[i];
    const struct xfer_plan_part *where = &p->plan.parts[i];
    bool recorded = p->parts[i].state == XFER_PART_RECORDED || p->parts[i].state == XFER_PART_DONE;

    if (there->size != where->size)
        return XFER_PART_WANTED;
    if (recorded && known->has_crc64 && there->has_crc64)
        return known->crc64 == there->crc64 ? XFER_PART_DONE : XFER_PART_WANTED;
    if (recorded && (known->has_crc64 || where->copy) && known->etag[0])
        return strcmp(known->etag, there->etag) == 0 ? XFER_PART_DONE : XFER_PART_WANTED;
    return !where->copy && there->has_crc64 ? XFER_PART_LISTED : XFER_PART_WANTED;
}

static void judge_and_set(struct xfer_parts *p, size_t i, const struct oss_part *there)
{
    enum xfer_part_state state = there ? judge(p, i, there) : XFER_PART_WANTED;
    struct oss_part known = p->answers[i];

    if (p->parts[i].state == XFER_PART_REPLAN)
        return;
    if (there && state != XFER_PART_WANTED) {
        p->answers[i] = *there;
        if (!there->has_crc64) {
            p->answers[i].crc64 = known.crc64;
            p->answers[i].has_crc64 = known.has_crc64;
        }
    }
    set_state(p, i, state);
}

void xfer_parts_list(struct xfer_parts *p, const struct oss_part_list *list)
{
    size_t l = 0;

    for (size_t i = 0; i < p->plan.count; i++) {
        while (l < list->count && list->parts[l].number < i + 1)
            l++;
        judge_and_set(p, i,
                      l < list->count && list->parts[l].number == i + 1 ? &list->parts[l] : NULL);
    }
}

void xfer_parts_forget(struct xfer_parts *p)
{
    for (size_t i = 0; i < p->plan.count; i++)
        if (p->parts[i].state != XFER_PART_REPLAN)
            set_state(p, i, XFER_PART_WANTED);
}

bool xfer_parts_next(struct xfer_parts *p, uint64_t now, size_t *index, uint64_t *wake_at)
{
    bool none_before = true;

    *wake_at = 0;
    for (size_t i = p->first; i < p->plan.count && p->pending > 0; i++) {
        const struct xfer_part *part = &p->parts[i];

        if (!is_pending(part->state))
            continue;
        if (none_before)
            p->first = i;
        none_before = false;
        if (part->ready_at <= now) {
            *index = i;
            return true;
        }
        if (*wake_at == 0 || part->ready_at < *wake_at)
            *wake_at = part->ready_at;
    }
    return false;
}

void xfer_parts_begin(struct xfer_parts *p, size_t index)
{
    set_state(p, index, XFER_PART_FLIGHT);
}

void xfer_parts_end(struct xfer_parts *p, size_t index, const struct oss_part *answer,
                    uint64_t ready_at)
{
    struct xfer_part *part = &p->parts[index];
    bool done = answer && !part->stale;
    enum xfer_part_state undone = part->replan ? XFER_PART_REPLAN : XFER_PART_WANTED;

    if (done) {
        p->answers[index] = *answer;
        part->tries = 0;
    }
    if (done || !part->stale) /* a stale one waits as long as the touch said */
        part->ready_at = done ? 0 : ready_at;
    set_state(p, index, done ? XFER_PART_DONE : undone);
}

void xfer_parts_hurry(struct xfer_parts *p)
{
    for (size_t i = 0; i < p->slots; i++)
        p->parts[i].ready_at = 0;
}

/* The first part that ends behind @offset. */
static size_t part_at(const struct xfer_plan *plan, uint64_t offset)
{
    size_t low = 0, high = plan->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (plan->parts[mid].offset + plan->parts[mid].size <= offset)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void touch_part(struct xfer_parts *p, size_t i, uint64_t ready_at)
{
    switch (p->parts[i].state) {
    case XFER_PART_FLIGHT:
        p->parts[i].stale = true;
        p->parts[i].ready_at = ready_at;
        p->parts[i].replan = p->plan.parts[i].copy;
        return;
    case XFER_PART_LISTED: /* is compared with the bytes of then */
    case XFER_PART_REPLAN:
        return;
    case XFER_PART_WANTED:
    case XFER_PART_RECORDED:
    case XFER_PART_DONE:
        set_state(p, i, p->plan.parts[i].copy ? XFER_PART_REPLAN : XFER_PART_WANTED);
        p->parts[i].ready_at = ready_at;
        return;
    }
}

void xfer_parts_touch(struct xfer_parts *p, uint64_t offset, uint64_t size, uint64_t ready_at)
{
    uint64_t end = size > UINT64_MAX - offset ? UINT64_MAX : offset + size;

    for (size_t i = part_at(&p->plan, offset);
         i < p->plan.count && p->plan.parts[i].offset < end && size > 0; i++)
        touch_part(p, i, ready_at);
}

/* The slot's state under the new plan; copied from the old one, or void. */
static struct xfer_part carry_over(const struct xfer_parts *old, const struct xfer_plan *plan,
                                   size_t i)
{
    struct xfer_part part = i < old->slots ? old->parts[i] : (struct xfer_part){0};
    bool same =
        i < plan->count && i < old->plan.count && same_part(&old->plan.parts[i], &plan->parts[i]);

    part.ready_at = 0;
    part.replan = false;
    if (part.state == XFER_PART_FLIGHT)
        part.stale = part.stale || !same;
    else if (!same || part.state == XFER_PART_REPLAN)
        part = (struct xfer_part){.state = XFER_PART_WANTED};
    return part;
}

int xfer_parts_replan(struct xfer_parts *p, struct xfer_plan *plan, struct ou_error *err)
{
    struct xfer_parts new = {.slots = plan->count};

    for (size_t i = new.slots; i < p->slots; i++)
        if (p->parts[i].state == XFER_PART_FLIGHT)
            new.slots = i + 1;
    new.parts = calloc(new.slots + 1, sizeof(*new.parts));
    new.answers = calloc(new.slots + 1, sizeof(*new.answers));
    if (!new.parts || !new.answers) {
        xfer_parts_fini(&new);
        return ou_error_set(err, ENOMEM, "upload of %zu parts", plan->count);
    }
    for (size_t i = 0; i < new.slots; i++) {
        new.parts[i] = carry_over(p, plan, i);
        if (i < p->slots)
            new.answers[i] = p->answers[i];
    }
    xfer_parts_fini(p);
    *p = new;
    p->plan = *plan;
    *plan = (struct xfer_plan){0};
    count_all(p);
    return 0;
}

void xfer_parts_send_waiting(struct xfer_parts *p)
{
    for (size_t i = 0; i < p->plan.count; i++) {
        if (p->parts[i].state != XFER_PART_REPLAN)
            continue;
        p->plan.parts[i].copy = false;
        set_state(p, i, XFER_PART_WANTED);
    }
}

bool xfer_parts_complete(const struct xfer_parts *p)
{
    return p->pending == 0 && p->flight == 0 && p->waiting == 0 && p->confirmed == p->plan.size;
}

bool xfer_answers_crc64(const struct oss_part *answers, size_t count, uint64_t *crc64)
{
    *crc64 = 0;
    for (size_t i = 0; i < count; i++) {
        if (!answers[i].has_crc64)
            return false;
        *crc64 = ou_crc64_combine(*crc64, answers[i].crc64, answers[i].size);
    }
    return true;
}

/*
 * A read belongs, in this order, to
 *
 *   a stream     it lies near the stream's mark, before or after it: the stream
 *                goes on, its bytes up to mark + window are to be covered
 *   the head     the first read of all lies near the object's start, or a later
 *                one begins at it: a new stream, unconfirmed. One block from 0 is
 *                covered, and nothing ahead, until a second read confirms it. A
 *                read elsewhere in between proves the guess wrong: it is dropped,
 *                and a read at the start is no longer special
 *   a candidate  it lies next to an earlier random read: the third one of a run
 *                that goes forward makes a stream; chance neighbours do not
 *   nothing      random: it gets what it asks for and becomes a candidate
 *
 * Objects of up to 1 MiB are always covered whole by their first read.
 *
 * A window doubles when its reader had to wait, at most once for each window's
 * length of progress: a slow reader (a video player) keeps a small one, however
 * long it reads. Invariants: from <= to <= size; to <= mark + window.
 */
#include "transfer/reader_window.h"

#include <stddef.h>

#define CANDIDATE_READS 2u /* a candidate is continued within so many lengths of the read */
#define CANDIDATE_HITS  2u /* continued so often, it is a stream */

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

void xfer_window_init(struct xfer_window *w, uint64_t size, uint64_t block_min)
{
    *w = (struct xfer_window){.size = size, .block_min = block_min};
}

/* How far from its place in a stream a read of @len bytes may be. */
static uint64_t near_for(uint64_t len)
{
    return min_u64(max_u64(XFER_NEAR_READS * len, XFER_NEAR_MIN), XFER_NEAR_MAX);
}

/* The stream whose mark is nearest to @offset, if near enough. */
static struct xfer_stream *find_stream(struct xfer_window *w, uint64_t offset, uint64_t len)
{
    struct xfer_stream *best = NULL;

    for (unsigned i = 0; i < XFER_STREAMS; i++) {
        struct xfer_stream *s = &w->streams[i];

        if (s->id == 0 || distance(s->mark, offset) > near_for(len))
            continue;
        if (!best || distance(s->mark, offset) < distance(best->mark, offset))
            best = s;
    }
    return best;
}

/* A free slot, or that of the stream that was idle longest: that one is dropped. */
static struct xfer_stream *new_stream(struct xfer_window *w, uint64_t mark,
                                      struct xfer_advice *advice)
{
    struct xfer_stream *slot = &w->streams[0];

    for (unsigned i = 1; i < XFER_STREAMS && slot->id != 0; i++)
        if (w->streams[i].id == 0 || w->streams[i].used < slot->used)
            slot = &w->streams[i];
    if (slot->id != 0)
        advice->drop = slot->id;
    w->last_id = w->last_id == UINT32_MAX ? 1 : w->last_id + 1;
    *slot = (struct xfer_stream){
        .id = w->last_id, .mark = mark, .window = XFER_WINDOW_MIN, .used = w->tick};
    return slot;
}

/* Covers [from, mark + window), which for an unconfirmed stream is [from, mark). */
static void advise(struct xfer_window *w, struct xfer_stream *s, uint64_t from, uint64_t window_max,
                   struct xfer_advice *advice)
{
    uint64_t window = s->confirmed ? min_u64(s->window, window_max) : 0;

    advice->stream = s->id;
    advice->from = from;
    advice->to = s->mark + min_u64(window, w->size - s->mark);
    advice->block = max_u64(w->block_min, min_u64(window / 4, XFER_BLOCK_MAX));
    advice->passed = from > XFER_NEAR_MAX ? from - XFER_NEAR_MAX : 0;
    if (s->mark == w->size && s->confirmed)
        s->id = 0; /* nothing is left to fetch; stragglers find the blocks */
}

static bool is_head(const struct xfer_window *w, uint64_t offset, uint64_t len)
{
    if (w->size <= XFER_NEAR_MIN)
        return true;
    if (w->head_misled)
        return false;
    return offset == 0 || (!w->read_before && offset < near_for(len));
}

/* The read is elsewhere: a head stream that nothing followed was a wrong guess. */
static void drop_unconfirmed(struct xfer_window *w, struct xfer_advice *advice)
{
    for (unsigned i = 0; i < XFER_STREAMS; i++) {
        struct xfer_stream *s = &w->streams[i];

        if (s->id == 0 || s->confirmed || w->head_misled)
            continue;
        /* It keeps its mark: there may be two readers, and this is the other one. */
        advice->drop = s->id;
        w->head_misled = true;
    }
}

/* Return: the read has continued a candidate often enough. */
static bool note_candidate(struct xfer_window *w, uint64_t offset, uint64_t len)
{
    struct xfer_candidate *slot = &w->candidates[0];
    uint64_t end = offset + len;

    for (unsigned i = 0; i < XFER_CANDIDATES; i++) {
        struct xfer_candidate *c = &w->candidates[i];

        if (c->end != 0 && offset <= c->end + CANDIDATE_READS * len &&
            end + CANDIDATE_READS * len >= c->begin) {
            if (end > c->end) /* who reads backwards is not helped by reading ahead */
                c->hits++;
            c->begin = min_u64(c->begin, offset);
            c->end = max_u64(c->end, end);
            c->used = w->tick;
            if (c->hits < CANDIDATE_HITS)
                return false;
            c->end = 0;
            c->used = 0;
            return true;
        }
        if (c->used < slot->used)
            slot = c;
    }
    *slot = (struct xfer_candidate){.begin = offset, .end = end, .used = w->tick};
    return false;
}

void xfer_window_note(struct xfer_window *w, uint64_t offset, uint64_t len, uint64_t window_max,
                      struct xfer_advice *advice)
{
    struct xfer_stream *s = find_stream(w, offset, len);
    uint64_t end = offset + len;
    bool head = is_head(w, offset, len);

    *advice = (struct xfer_advice){0};
    w->tick++;
    w->read_before = true;

    if (s) {
        uint64_t from = min_u64(s->mark, w->size);

        if (!s->confirmed)
            w->head_misled = false;
        s->confirmed = true;
        s->used = w->tick;
        s->mark = max_u64(s->mark, end);
        advise(w, s, from, window_max, advice);
    } else if (head) {
        s = new_stream(w, end, advice);
        advise(w, s, 0, window_max, advice);
        if (w->size <= XFER_NEAR_MIN) {
            advice->to = w->size;
            s->id = 0;
        }
    } else {
        drop_unconfirmed(w, advice);
        if (note_candidate(w, offset, len)) {
            s = new_stream(w, end, advice);
            s->confirmed = true;
            advise(w, s, offset, window_max, advice);
        }
    }
}

void xfer_window_waited(struct xfer_window *w, unsigned stream)
{
    for (unsigned i = 0; stream != 0 && i < XFER_STREAMS; i++) {
        struct xfer_stream *s = &w->streams[i];

        if (s->id != stream || s->mark < s->grow_at || s->window >= XFER_WINDOW_MAX)
            continue;
        s->window *= 2;
        s->grow_at = s->mark + s->window;
    }
}

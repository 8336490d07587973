/*
 * Segments: which byte ranges of a file with a base are sent, the rest being copied.
 *
 * Internal to src/transfer; pure arithmetic; any thread.
 *
 * A *run* is a range that must be sent. A *segment* is a range that is sent: it covers
 * one run or a few, and neighbouring unchanged bytes where OSS's smallest part asks for
 * them. Between segments lie copied gaps. Every segment and every gap makes whole parts,
 * so it is at least OSS_PART_SIZE_MIN long, except the one that ends the file.
 */
#ifndef OSSUP_TRANSFER_PLAN_SEGMENTS_H
#define OSSUP_TRANSFER_PLAN_SEGMENTS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xfer_span {
    uint64_t begin;
    uint64_t end; /* > begin */
};

struct xfer_spans {
    struct xfer_span *spans;
    size_t count;
};
void xfer_spans_fini(struct xfer_spans *s);

/** xfer_sent_parts() - parts of a segment of @size bytes; @last: it ends the file */
uint64_t xfer_sent_parts(uint64_t size, uint64_t part_size, bool last);
/** xfer_copy_parts() - parts of a gap of @size bytes (0: none) */
uint64_t xfer_copy_parts(uint64_t size);

/**
 * xfer_segments_choose() - minimal bytes sent, then minimal requests
 * @runs:    sorted, not touching each other
 * @size:    of the file
 * @min_gap: shorter gaps are sent; OSS_PART_SIZE_MIN, or more to get fewer parts
 *
 * Return: 0 (@out in order), or -ENOMEM.
 */
int xfer_segments_choose(const struct xfer_spans *runs, uint64_t size, uint64_t part_size,
                         uint64_t min_gap, struct xfer_spans *out, struct ou_error *err);
/** xfer_segments_parts() - parts of a file of @size bytes with these segments */
uint64_t xfer_segments_parts(const struct xfer_spans *segments, uint64_t size, uint64_t part_size);

#endif

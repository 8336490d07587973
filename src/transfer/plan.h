/*
 * Plan: how a file becomes an object, decided before anything is sent.
 *
 * Pure arithmetic: no I/O, no lock; any thread. Sizes and offsets are bytes.
 *
 * Protocol facts (oss-protocol 4.6, 5.1, 5.4): part numbers run from 1 to 10000;
 * a part holds 100 KiB to 5 GiB, the last one may be smaller; PutObject takes up
 * to 5 GiB; CopyObject is safe to 1 GiB, and at any size onto itself.
 */
#ifndef OSSUP_TRANSFER_PLAN_H
#define OSSUP_TRANSFER_PLAN_H

#include "base/error.h"
#include "oss/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XFER_PART_SIZE_DEFAULT (UINT64_C(8) << 20)

struct xfer_range {
    uint64_t offset;
    uint64_t size; /* > 0 */
};

enum xfer_plan_kind {
    XFER_PLAN_PUT,      /* one PutObject of all bytes */
    XFER_PLAN_COPY,     /* one CopyObject of the base, with new metadata */
    XFER_PLAN_MULTIPART /* Initiate, parts, Complete */
};

struct xfer_plan_part {
    unsigned number; /* 1.. without gaps */
    bool copy;       /* UploadPartCopy of the base's bytes [offset, offset + size); else sent */
    uint64_t offset;
    uint64_t size;
};

struct xfer_plan {
    enum xfer_plan_kind kind;
    uint64_t size;                /* of the object */
    uint64_t part_size;           /* the grid; grown when 10000 parts would not do */
    struct xfer_plan_part *parts; /* MULTIPART: in order, covering [0, size) exactly */
    size_t count;
};
void xfer_plan_fini(struct xfer_plan *plan);

struct xfer_plan_input {
    uint64_t size;
    uint64_t part_size;     /* wanted; OSS_PART_SIZE_MIN..MAX */
    uint64_t put_threshold; /* up to this size: one PutObject (≤ OSS_PUT_MAX) */
    /* Base: an object in the bucket whose bytes show through. 0 ranges: none. */
    uint64_t base_size;
    /*
     * New files only: it is being written and may become longer. Parts then keep their place
     * however long it becomes, so that what was sent early counts to the end: they grow along the
     * file instead of all at once, to about 1.8 TiB at a part size of 8 MiB. Above that, and
     * with a base, as without.
     */
    bool growing;
    bool base_is_target; /* the base has the key that is written */
    const struct xfer_range
        *base; /* sorted, disjoint, within min(size, base_size): unchanged bytes */
    size_t base_count;
};

/**
 * xfer_part_size() - the part size with which an object needs at most 10000 parts
 * @object_size: bytes, at least 1 (an empty object goes by PutObject)
 * @wanted:      preferred part size; the result is @wanted or larger (rounded up to 100 KiB)
 *
 * Return: 0, or
 *   -EINVAL  @object_size is 0, or @wanted is no legal part size (the sentence names the range)
 *   -EFBIG   no legal part size suffices (above 10000 x 5 GiB, about 48.8 TiB)
 */
int xfer_part_size(uint64_t object_size, uint64_t wanted, uint64_t *part_size,
                   struct ou_error *err);

/**
 * xfer_growing_end() - where whole parts of a growing plan end
 * @part_size: OSS_PART_SIZE_MIN..MAX
 * @limit:     bytes that are there
 *
 * Return: the end of the last whole part at or before @limit, 0: there is none. With UINT64_MAX:
 * the largest file that a growing plan holds; a larger one is planned as without .growing.
 */
uint64_t xfer_growing_end(uint64_t part_size, uint64_t limit);

/**
 * xfer_plan_make() - minimal bytes sent, then minimal requests
 *
 * Sends no more than the changed runs rounded out to the part grid plus 2 x 100 KiB for each run.
 * All bytes unchanged, same size: XFER_PLAN_COPY when one CopyObject can do it. A file up to
 * put_threshold whose bytes are not all unchanged is one PutObject, unless it is above 4 MiB and
 * mostly unchanged. Return: 0, -EINVAL, -EFBIG, -ENOMEM.
 */
int xfer_plan_make(const struct xfer_plan_input *in, struct xfer_plan *out, struct ou_error *err);

#endif

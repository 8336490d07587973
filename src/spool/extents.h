/*
 * Extents: which bytes of a staged file lie where; and sets of ranges.
 *
 * A map says for byte ranges of a file in which *slot* they lie. Slots are two
 * data files with the same offsets (A and B), "zero" (nothing stored, reads as
 * zeros) and "sent" (let go here: a part of the unfinished upload has it). What
 * the map does not cover shows the base, or zeros where there is none. Neighbours that can be one are one. Bytes; half-open ranges.
 *
 * Pure data structure; no locks. A range set is a map that uses one slot.
 * Cost: O(log n) to find, O(log n) amortised to set.
 */
#ifndef OSSUP_SPOOL_EXTENTS_H
#define OSSUP_SPOOL_EXTENTS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum extent_slot { EXTENT_NONE = -1, EXTENT_A = 0, EXTENT_B = 1, EXTENT_ZERO = 2, EXTENT_SENT = 3 };

struct extent {
    uint64_t offset;
    uint64_t size; /* > 0 */
    enum extent_slot slot;
};

struct extent_node;
struct extent_map { /* zeroed memory is an empty map */
    struct extent_node *root;
    size_t count;
    uint32_t seed;
};
void extent_map_fini(struct extent_map *m);
int extent_map_copy(struct extent_map *to, const struct extent_map *from, struct ou_error *err);

/** extent_map_set() - [offset, offset + size) lies in @slot now; EXTENT_NONE takes it out. -ENOMEM: map unchanged. */
int extent_map_set(struct extent_map *m, uint64_t offset, uint64_t size, enum extent_slot slot,
                   struct ou_error *err);
/** extent_map_cut() - take out everything at and beyond @size. Cannot fail for want of memory. */
void extent_map_cut(struct extent_map *m, uint64_t size);
/**
 * extent_map_at() - the run of equal slot that @offset lies in, cut to begin at @offset
 *
 * Uncovered bytes are a run of EXTENT_NONE up to the next extent, or UINT64_MAX - offset.
 */
struct extent extent_map_at(const struct extent_map *m, uint64_t offset);
/** extent_map_next() - the first extent that ends beyond @offset (not cut). false: none. */
bool extent_map_next(const struct extent_map *m, uint64_t offset, struct extent *out);
/** extent_map_has() - some byte of [@offset, @offset + @size) lies in @slot. */
bool extent_map_has(const struct extent_map *m, enum extent_slot slot, uint64_t offset,
                    uint64_t size);
/** extent_map_bytes() - bytes in slots A and B. */
uint64_t extent_map_bytes(const struct extent_map *m);

#endif

/*
 * A treap of disjoint extents, ordered by offset.
 *
 * Invariants: no two nodes overlap; nodes that touch differ in their slot; the
 * priority of a node is at least that of its children. Setting a range splits
 * the tree at both ends, drops the middle and joins again with one new node in
 * between, so at most two nodes are needed at once: both are allocated before
 * anything is changed, which is why a failure leaves the map as it was.
 */
#include "spool/extents.h"

#include <errno.h>
#include <stdlib.h>

struct extent_node {
    struct extent e;
    uint32_t priority;
    struct extent_node *left, *right;
};

static uint64_t end_of(const struct extent *e)
{
    return e->offset + e->size;
}

/* Recursion is as deep as the treap: some 60 for a million extents. */
static void free_tree(struct extent_node *n, size_t *count)
{
    if (!n)
        return;
    free_tree(n->left, count);
    free_tree(n->right, count);
    free(n);
    if (count)
        --*count;
}

void extent_map_fini(struct extent_map *m)
{
    free_tree(m->root, NULL);
    m->root = NULL;
    m->count = 0;
}

static uint32_t next_random(struct extent_map *m)
{
    uint32_t x = m->seed ? m->seed : 0x9e3779b9u;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    m->seed = x;
    return x;
}

/* All nodes that begin before @at go left, the others right. */
static void split(struct extent_node *n, uint64_t at, struct extent_node **left,
                  struct extent_node **right)
{
    if (!n) {
        *left = *right = NULL;
    } else if (n->e.offset < at) {
        split(n->right, at, &n->right, right);
        *left = n;
    } else {
        split(n->left, at, left, &n->left);
        *right = n;
    }
}

static struct extent_node *join(struct extent_node *left, struct extent_node *right)
{
    if (!left)
        return right;
    if (!right)
        return left;
    if (left->priority >= right->priority) {
        left->right = join(left->right, right);
        return left;
    }
    right->left = join(left, right->left);
    return right;
}

static struct extent_node *last_of(struct extent_node *n)
{
    while (n && n->right)
        n = n->right;
    return n;
}

static struct extent_node *first_of(struct extent_node *n)
{
    while (n && n->left)
        n = n->left;
    return n;
}

static struct extent_node *take_last(struct extent_node **tree)
{
    struct extent_node **p = tree, *n;

    while ((*p)->right)
        p = &(*p)->right;
    n = *p;
    *p = n->left;
    n->left = NULL;
    return n;
}

static struct extent_node *take_first(struct extent_node **tree)
{
    struct extent_node **p = tree, *n;

    while ((*p)->left)
        p = &(*p)->left;
    n = *p;
    *p = n->right;
    n->right = NULL;
    return n;
}

static struct extent_node *node_new(struct extent_map *m)
{
    struct extent_node *n = calloc(1, sizeof(*n));

    if (n)
        n->priority = next_random(m);
    return n;
}

/* Cuts [offset, end) out of the map. @spare is used when one extent becomes two, else it is left. */
static void cut_out(struct extent_map *m, uint64_t offset, uint64_t end,
                    struct extent_node **left_out, struct extent_node **right_out,
                    struct extent_node **spare)
{
    struct extent_node *left, *middle, *right, *edge;

    split(m->root, offset, &left, &middle);
    split(middle, end, &middle, &right);

    edge = last_of(left);
    if (edge && end_of(&edge->e) > offset) {
        uint64_t edge_end = end_of(&edge->e);

        edge->e.size = offset - edge->e.offset;
        if (edge_end > end) { /* the range lies inside of it */
            struct extent_node *tail = *spare;

            *spare = NULL;
            tail->e = (struct extent){.offset = end, .size = edge_end - end, .slot = edge->e.slot};
            right = join(tail, right);
            m->count++;
        }
    }
    edge = last_of(middle);
    if (edge && end_of(&edge->e) > end) { /* its tail stays */
        edge = take_last(&middle);
        edge->e.size = end_of(&edge->e) - end;
        edge->e.offset = end;
        right = join(edge, right);
    }
    free_tree(middle, &m->count);
    *left_out = left;
    *right_out = right;
}

int extent_map_set(struct extent_map *m, uint64_t offset, uint64_t size, enum extent_slot slot,
                   struct ou_error *err)
{
    struct extent_node *left, *right, *spare, *node = NULL, *edge;
    uint64_t end;

    if (size == 0)
        return 0;
    if (__builtin_add_overflow(offset, size, &end))
        return ou_error_set(err, EFBIG, "extent at %llu", (unsigned long long)offset);
    spare = node_new(m);
    if (slot != EXTENT_NONE)
        node = node_new(m);
    if (!spare || (slot != EXTENT_NONE && !node)) {
        free(spare);
        free(node);
        return ou_error_set(err, ENOMEM, "extent map");
    }

    cut_out(m, offset, end, &left, &right, &spare);
    free(spare);
    if (slot == EXTENT_NONE) {
        m->root = join(left, right);
        return 0;
    }

    node->e = (struct extent){.offset = offset, .size = size, .slot = slot};
    m->count++;
    edge = last_of(left);
    if (edge && edge->e.slot == slot && end_of(&edge->e) == offset) {
        edge = take_last(&left);
        node->e.offset = edge->e.offset;
        node->e.size += edge->e.size;
        free(edge);
        m->count--;
    }
    edge = first_of(right);
    if (edge && edge->e.slot == slot && edge->e.offset == end) {
        edge = take_first(&right);
        node->e.size += edge->e.size;
        free(edge);
        m->count--;
    }
    m->root = join(join(left, node), right);
    return 0;
}

void extent_map_cut(struct extent_map *m, uint64_t size)
{
    struct extent_node *left, *right, *edge;

    split(m->root, size, &left, &right);
    free_tree(right, &m->count);
    edge = last_of(left);
    if (edge && end_of(&edge->e) > size)
        edge->e.size = size - edge->e.offset;
    m->root = left;
}

static const struct extent_node *find_ending_after(const struct extent_map *m, uint64_t offset)
{
    const struct extent_node *n = m->root, *best = NULL;

    while (n) {
        if (end_of(&n->e) > offset) {
            best = n;
            n = n->left;
        } else {
            n = n->right;
        }
    }
    return best;
}

struct extent extent_map_at(const struct extent_map *m, uint64_t offset)
{
    const struct extent_node *n = find_ending_after(m, offset);
    struct extent e = {.offset = offset, .size = UINT64_MAX - offset, .slot = EXTENT_NONE};

    if (!n)
        return e;
    if (n->e.offset > offset) {
        e.size = n->e.offset - offset;
        return e;
    }
    e.size = end_of(&n->e) - offset;
    e.slot = n->e.slot;
    return e;
}

bool extent_map_next(const struct extent_map *m, uint64_t offset, struct extent *out)
{
    const struct extent_node *n = find_ending_after(m, offset);

    if (!n)
        return false;
    *out = n->e;
    return true;
}

bool extent_map_has(const struct extent_map *m, enum extent_slot slot, uint64_t offset,
                    uint64_t size)
{
    struct extent e;

    for (uint64_t at = offset; size && extent_map_next(m, at, &e); at = end_of(&e)) {
        if (e.offset >= offset && e.offset - offset >= size)
            return false;
        if (e.slot == slot)
            return true;
    }
    return false;
}

uint64_t extent_map_bytes(const struct extent_map *m)
{
    struct extent e;
    uint64_t bytes = 0;

    for (uint64_t at = 0; extent_map_next(m, at, &e); at = end_of(&e))
        if (e.slot == EXTENT_A || e.slot == EXTENT_B)
            bytes += e.size;
    return bytes;
}

int extent_map_copy(struct extent_map *to, const struct extent_map *from, struct ou_error *err)
{
    struct extent_map copy = {.seed = from->seed};
    struct extent e;

    for (uint64_t at = 0; extent_map_next(from, at, &e); at = end_of(&e)) {
        int r = extent_map_set(&copy, e.offset, e.size, e.slot, err);

        if (r < 0) {
            extent_map_fini(&copy);
            return r;
        }
    }
    extent_map_fini(to);
    *to = copy;
    return 0;
}

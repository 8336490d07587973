#include "server/index.h"

#include "server/buf.h"

static int compare(const struct srv_index_node *node, const void *key, size_t len)
{
    size_t common = node->len < len ? node->len : len;
    int order = common > 0 ? memcmp(node->key, key, common) : 0;

    return order != 0 ? order : (node->len > len) - (node->len < len);
}

static struct srv_index_node *new_node(int levels, const void *key, size_t len, void *value)
{
    struct srv_index_node *node =
        srv_xcalloc(1, sizeof(*node) + (size_t)levels * sizeof(struct srv_index_node *));

    node->key = srv_xcalloc(len + 1, 1);
    if (len > 0)
        memcpy(node->key, key, len);
    node->len = len;
    node->value = value;
    return node;
}

static void free_node(struct srv_index_node *node)
{
    free(node->key);
    free(node);
}

void srv_index_fini(struct srv_index *x)
{
    struct srv_index_node *node = x->head;

    while (node != NULL) {
        struct srv_index_node *next = node->next[0];

        free_node(node);
        node = next;
    }
    *x = (struct srv_index){0};
}

/* The last node below @key at each level. */
static void descend(const struct srv_index *x, const void *key, size_t len,
                    struct srv_index_node *before[SRV_INDEX_LEVELS])
{
    struct srv_index_node *node = x->head;

    for (int level = SRV_INDEX_LEVELS - 1; level >= 0; level--) {
        while (node->next[level] != NULL && compare(node->next[level], key, len) < 0)
            node = node->next[level];
        before[level] = node;
    }
}

static int random_levels(struct srv_index *x)
{
    int levels = 1;

    /* xorshift64: the shape of the list need not surprise an adversary */
    x->random ^= x->random << 13;
    x->random ^= x->random >> 7;
    x->random ^= x->random << 17;
    for (uint64_t bits = x->random; (bits & 1) != 0 && levels < SRV_INDEX_LEVELS; bits >>= 1)
        levels++;
    return levels;
}

void *srv_index_set(struct srv_index *x, const void *key, size_t len, void *value)
{
    struct srv_index_node *before[SRV_INDEX_LEVELS];
    struct srv_index_node *node;
    int levels;

    if (x->head == NULL) {
        x->head = new_node(SRV_INDEX_LEVELS, "", 0, NULL);
        x->random = UINT64_C(0x9E3779B97F4A7C15);
    }
    descend(x, key, len, before);
    node = before[0]->next[0];
    if (node != NULL && compare(node, key, len) == 0) {
        void *old = node->value;

        node->value = value;
        return old;
    }
    levels = random_levels(x);
    node = new_node(levels, key, len, value);
    for (int level = 0; level < levels; level++) {
        node->next[level] = before[level]->next[level];
        before[level]->next[level] = node;
    }
    x->count++;
    return NULL;
}

struct srv_index_node *srv_index_seek(const struct srv_index *x, const void *key, size_t len)
{
    struct srv_index_node *before[SRV_INDEX_LEVELS];

    if (x->head == NULL)
        return NULL;
    descend(x, key, len, before);
    return before[0]->next[0];
}

void *srv_index_get(const struct srv_index *x, const void *key, size_t len)
{
    const struct srv_index_node *node = srv_index_seek(x, key, len);

    return node != NULL && compare(node, key, len) == 0 ? node->value : NULL;
}

void *srv_index_remove(struct srv_index *x, const void *key, size_t len)
{
    struct srv_index_node *before[SRV_INDEX_LEVELS];
    struct srv_index_node *node;
    void *value;

    if (x->head == NULL)
        return NULL;
    descend(x, key, len, before);
    node = before[0]->next[0];
    if (node == NULL || compare(node, key, len) != 0)
        return NULL;
    for (int level = 0; level < SRV_INDEX_LEVELS && before[level]->next[level] == node; level++)
        before[level]->next[level] = node->next[level];
    value = node->value;
    free_node(node);
    x->count--;
    return value;
}

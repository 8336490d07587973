/*
 * A sorted map from byte strings to pointers: a skip list.
 *
 * Order is bytewise (memcmp, a prefix before what it begins), which is the order
 * of OSS listings. Keys are copied, values are borrowed: who removes or replaces
 * an entry frees its value. No lock; the store's lock is held around each call
 * and for as long as a node is being looked at.
 */
#ifndef SRV_INDEX_H
#define SRV_INDEX_H

#include <stddef.h>
#include <stdint.h>

#define SRV_INDEX_LEVELS 20 /* enough for a million entries at one half a level */

struct srv_index_node {
    void *value;
    size_t len;
    char *key; /* NUL-terminated behind its @len bytes */
    struct srv_index_node *next[];
};

struct srv_index {
    struct srv_index_node *head; /* NULL until the first set */
    uint64_t random;
    size_t count;
};

void srv_index_fini(struct srv_index *x); /* not the values */

/* srv_index_set() - returns the value that was there, or NULL */
void *srv_index_set(struct srv_index *x, const void *key, size_t len, void *value);
void *srv_index_get(const struct srv_index *x, const void *key, size_t len);
/* srv_index_remove() - returns the value that was there, or NULL */
void *srv_index_remove(struct srv_index *x, const void *key, size_t len);

/* srv_index_seek() - the first entry that is not below @key (NULL, 0: the first of all), or NULL */
struct srv_index_node *srv_index_seek(const struct srv_index *x, const void *key, size_t len);

static inline struct srv_index_node *srv_index_next(const struct srv_index_node *node)
{
    return node->next[0];
}

#endif

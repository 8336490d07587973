#include "spool/table.h"

#include "base/crc64.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 64u

static struct spool_node **bucket_of(const struct spool_table *t, uint64_t hash)
{
    if (!t->buckets)
        return (struct spool_node **)&t->first[0];
    return &t->buckets[hash & (t->room - 1)];
}

uint64_t spool_key_hash(const char *key)
{
    return ou_crc64(0, key, strlen(key));
}

void spool_table_fini(struct spool_table *t)
{
    free(t->buckets);
    *t = (struct spool_table){0};
}

struct spool_node *spool_table_find(const struct spool_table *t, const char *key)
{
    uint64_t hash = spool_key_hash(key);

    for (struct spool_node *n = *bucket_of(t, hash); n; n = n->next) {
        if (n->hash == hash && !strcmp(n->key, key))
            return n;
    }
    return NULL;
}

static void grow(struct spool_table *t)
{
    size_t room = t->room ? 2 * t->room : FIRST_ROOM;
    struct spool_node **buckets = calloc(room, sizeof(struct spool_node *));
    size_t old_room = t->buckets ? t->room : 1;
    struct spool_node **old = t->buckets ? t->buckets : t->first;

    if (!buckets)
        return;
    for (size_t i = 0; i < old_room; i++) {
        while (old[i]) {
            struct spool_node *n = old[i];
            struct spool_node **to = &buckets[n->hash & (room - 1)];

            old[i] = n->next;
            n->next = *to;
            *to = n;
        }
    }
    free(t->buckets);
    t->buckets = buckets;
    t->room = room;
}

void spool_table_insert(struct spool_table *t, struct spool_node *node, const char *key)
{
    struct spool_node **to;

    if (t->count >= t->room)
        grow(t);
    node->key = key;
    node->hash = spool_key_hash(key);
    to = bucket_of(t, node->hash);
    node->next = *to;
    *to = node;
    t->count++;
}

void spool_table_remove(struct spool_table *t, struct spool_node *node)
{
    struct spool_node **at = bucket_of(t, node->hash);

    while (*at && *at != node)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = node->next;
    node->next = NULL;
    t->count--;
}

struct spool_node *spool_table_next(const struct spool_table *t, const struct spool_node *after)
{
    size_t room = t->buckets ? t->room : 1;
    size_t i = 0;

    if (after) {
        if (after->next)
            return after->next;
        i = t->buckets ? (size_t)(after->hash & (t->room - 1)) + 1 : 1;
    }
    for (; i < room; i++) {
        struct spool_node *n = t->buckets ? t->buckets[i] : t->first[0];

        if (n)
            return n;
    }
    return NULL;
}

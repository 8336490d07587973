/* Chained hashing; doubles at one entry a bucket, never shrinks. */
#include "fs/table.h"

#include <assert.h>
#include <stdlib.h>

static struct fs_link **bucket(struct fs_table *t, uint64_t hash)
{
    return t->buckets ? &t->buckets[hash & (t->size - 1)] : &t->first;
}

static void grow(struct fs_table *t)
{
    size_t size = t->size ? t->size * 2 : 16;
    struct fs_link **old = t->buckets ? t->buckets : &t->first;
    size_t old_size = t->buckets ? t->size : 1;
    struct fs_link **buckets = calloc(size, sizeof(struct fs_link *));

    if (!buckets)
        return;
    for (size_t i = 0; i < old_size; i++) {
        struct fs_link *link = old[i];

        while (link) {
            struct fs_link *next = link->next;
            struct fs_link **to = &buckets[link->hash & (size - 1)];

            link->next = *to;
            *to = link;
            link = next;
        }
    }
    t->first = NULL;
    free(t->buckets);
    t->buckets = buckets;
    t->size = size;
}

void fs_table_fini(struct fs_table *t)
{
    free(t->buckets);
    *t = (struct fs_table){.buckets = NULL};
}

void fs_table_add(struct fs_table *t, struct fs_link *link, uint64_t hash)
{
    struct fs_link **to;

    if (t->count >= (t->buckets ? t->size : 4))
        grow(t);
    to = bucket(t, hash);
    link->hash = hash;
    link->next = *to;
    *to = link;
    t->count++;
}

void fs_table_remove(struct fs_table *t, struct fs_link *link)
{
    struct fs_link **at = bucket(t, link->hash);

    while (*at != link) {
        assert(*at);
        at = &(*at)->next;
    }
    *at = link->next;
    link->next = NULL;
    t->count--;
}

static struct fs_link *same_hash(struct fs_link *link, uint64_t hash)
{
    while (link && link->hash != hash)
        link = link->next;
    return link;
}

struct fs_link *fs_table_find(const struct fs_table *t, uint64_t hash)
{
    return same_hash(t->buckets ? t->buckets[hash & (t->size - 1)] : t->first, hash);
}

struct fs_link *fs_table_next(const struct fs_link *link)
{
    return same_hash(link->next, link->hash);
}

uint64_t fs_hash(const void *data, size_t len, uint64_t seed)
{
    const unsigned char *bytes = data;
    uint64_t h = seed ^ UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < len; i++)
        h = (h ^ bytes[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    h ^= h >> 33; /* the finaliser of MurmurHash3: tables look at the low bits */
    h *= UINT64_C(0xff51afd7ed558ccd);
    h ^= h >> 33;
    h *= UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ (h >> 33);
}

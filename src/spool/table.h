/*
 * Table: things found by their key (an object key), by intrusive chaining.
 *
 * Pure data structure; the caller serialises and owns what it inserts. Zeroed memory is an
 * empty table. Growing may fail for want of memory: chains are longer then, nothing else.
 */
#ifndef OSSUP_SPOOL_TABLE_H
#define OSSUP_SPOOL_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct spool_node {
    struct spool_node *next;
    const char *key; /* borrowed: must not change while inserted */
    uint64_t hash;
};

struct spool_table {
    struct spool_node **buckets;
    size_t room; /* power of two */
    size_t count;
    struct spool_node *first[1]; /* the buckets while there is no memory for more */
};
/** spool_key_hash() - what tables go by. */
uint64_t spool_key_hash(const char *key);
void spool_table_fini(struct spool_table *t);
struct spool_node *spool_table_find(const struct spool_table *t, const char *key);
void spool_table_insert(struct spool_table *t, struct spool_node *node, const char *key);
void spool_table_remove(struct spool_table *t, struct spool_node *node);
/** spool_table_next() - iterate: NULL begins and ends; the table must not change meanwhile. */
struct spool_node *spool_table_next(const struct spool_table *t, const struct spool_node *after);

#define spool_container(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif

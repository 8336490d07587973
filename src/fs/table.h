/*
 * Hash table of links that live in the caller's structs. Zeroed memory is an empty table.
 *
 * Adding cannot fail: a table that finds no memory to grow gets slower. Entries with
 * equal hashes are all found, newest first; the caller compares. No locks of its own.
 */
#ifndef OSSUP_FS_TABLE_H
#define OSSUP_FS_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct fs_link {
    struct fs_link *next;
    uint64_t hash;
};

struct fs_table {
    struct fs_link **buckets; /* NULL: one bucket, .first */
    struct fs_link *first;
    size_t size; /* of .buckets, a power of two */
    size_t count;
};

/* The struct of type @type that @link is the member @member of. */
#define fs_container(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

void fs_table_fini(struct fs_table *t); /* frees the buckets, not the entries */
void fs_table_add(struct fs_table *t, struct fs_link *link, uint64_t hash);
void fs_table_remove(struct fs_table *t, struct fs_link *link);
/** fs_table_find() - the first entry with @hash; fs_table_next() - the next one with the same. */
struct fs_link *fs_table_find(const struct fs_table *t, uint64_t hash);
struct fs_link *fs_table_next(const struct fs_link *link);

/** fs_hash() - 64 bits over @data, mixed into @seed; the same in every run and on every machine. */
uint64_t fs_hash(const void *data, size_t len, uint64_t seed);

#endif

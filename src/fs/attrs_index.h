/*
 * Index: where in attrs.cache the record of a key lies (fs/attrs_file.h).
 *
 * A table by the hash of the key, as fs_hash(key, length, 0) makes it; some 24 bytes a record. Two
 * keys with one hash share an entry: whoever reads a record compares its key.
 *
 * While the file is rewritten (fs_attrs_index_watch()), what is taken out is noted, so that the
 * index of the new file does not bring it back. No I/O, no locks: the caller holds the tree's lock.
 */
#ifndef OSSUP_FS_ATTRS_INDEX_H
#define OSSUP_FS_ATTRS_INDEX_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FS_ATTRS_WRITING UINT64_MAX /* instead of an offset: on its way to the disk */

struct fs_attrs_index { /* zeroed memory is empty */
    struct fs_attrs_slot {
        uint64_t hash, offset; /* 0: free */
    } * slots;
    size_t size; /* of .slots, a power of two, or 0 */
    size_t count;
    bool watching;
    struct ou_buf removed; /* hashes, while .watching */
};

void fs_attrs_index_fini(struct fs_attrs_index *ix);
/** fs_attrs_index_set() - without memory there is no entry of @hash afterwards. */
void fs_attrs_index_set(struct fs_attrs_index *ix, uint64_t hash, uint64_t offset);
bool fs_attrs_index_get(const struct fs_attrs_index *ix, uint64_t hash, uint64_t *offset);
void fs_attrs_index_remove(struct fs_attrs_index *ix, uint64_t hash);
void fs_attrs_index_watch(struct fs_attrs_index *ix);
void fs_attrs_index_unwatch(struct fs_attrs_index *ix); /* nothing comes of it */
/**
 * fs_attrs_index_replace() - @ix becomes @with, less what was removed since it was watched
 * @with: taken over, unless false is returned: there was no memory to note all that was removed
 */
bool fs_attrs_index_replace(struct fs_attrs_index *ix, struct fs_attrs_index *with);

#endif

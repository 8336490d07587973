/*
 * One file of the read cache: a segment of one version of an object, with holes.
 *
 * Its name is 16 hexadecimal digits, a hash of the identity below. Its bytes:
 *
 *      0  the identity, 2048 bytes, zeros behind each field:
 *            0  "ossupc1\n"
 *            8  u64  size of the object
 *           16  u64  number of the segment, from 0
 *           24  ETag, at most 103 bytes
 *          128  key, at most 1919 bytes
 *   2048  u64 for each block: the CRC-64 of its bytes, 0: it is not here
 *   4096  block 0, block 1, ...
 *
 * Numbers are in the byte order of the machine. The CRC-64 is written after the block, and both
 * are taken for what they are: where they do not agree, whatever the reason, the file is
 * worthless. No sync is ever needed. (A block whose CRC-64 is 0 is never here.)
 *
 * The caller serialises the making of a file; all else may be called from any thread at once.
 */
#ifndef OSSUP_SPOOL_CACHE_SEGMENT_H
#define OSSUP_SPOOL_CACHE_SEGMENT_H

#include "spool/cache.h"
#include "transfer/reader.h"

#include <stdbool.h>

#define SPOOL_SEGMENT_NAME_SIZE 17
#define SPOOL_SEGMENT_HEAD      4096u
#define SPOOL_SEGMENT_EXTENTS   4096u /* what the filesystem may need to list its extents, at most */
#define SPOOL_SEGMENT_WORDS     (SPOOL_CACHE_BLOCKS / 64)

/* A bit for each block. */
struct spool_segment_map {
    uint64_t word[SPOOL_SEGMENT_WORDS];
};

static inline bool spool_segment_has(const struct spool_segment_map *map, unsigned block)
{
    return map->word[block / 64] >> (block % 64) & 1;
}

struct spool_segment_id {
    const struct xfer_version *version;
    uint64_t number;
};

/** spool_segment_name() - false: such an object cannot be kept (no ETag, or too long a name). */
bool spool_segment_name(const struct spool_segment_id *id, char name[SPOOL_SEGMENT_NAME_SIZE]);
/** spool_segment_is_name() - @name is one of ours. */
bool spool_segment_is_name(const char *name);
/** spool_segment_block_size() - 0: the object ends before the block. */
size_t spool_segment_block_size(const struct spool_segment_id *id, unsigned block);

/** spool_segment_make() - a new file without blocks, whatever was called so before. Return: a descriptor. */
int spool_segment_make(int dirfd, const char *name, const struct spool_segment_id *id,
                       struct ou_error *err);
/**
 * spool_segment_open() - Return: a descriptor; -ENOENT: there is none; -EBADMSG: it is torn, or of
 * another object; other negative errno.
 */
int spool_segment_open(int dirfd, const char *name, const struct spool_segment_id *id,
                       struct ou_error *err);
/** spool_segment_load() - which blocks are there; none if that cannot be read. */
void spool_segment_load(int fd, struct spool_segment_map *map);
/** spool_segment_read() - Return: 1; 0: not here; -EBADMSG: damaged; other negative errno. */
int spool_segment_read(int fd, unsigned block, void *buf, size_t size, struct ou_error *err);
int spool_segment_write(int fd, unsigned block, const void *data, size_t size,
                        struct ou_error *err);

#endif

/*
 * The bytes of an object or a part: how they are read, and their checksums.
 *
 * A copy shares the bytes of its source, so its CRC-64 must not cost a reading of them. The CRC of
 * a stretch follows from those of the two prefixes of its file that end where it begins and ends;
 * that of a prefix from the mark before its end, and the less than SRV_MARK_BYTES behind it.
 * Threads may call as they like.
 */
#ifndef SRV_SEGMENTS_H
#define SRV_SEGMENTS_H

#include "server/object.h"

/*
 * srv_segments_read() - up to @len bytes from @position on
 * Return: the number of bytes (0 only at the end), or -1.
 */
int64_t srv_segments_read(const struct srv_segments *s, uint64_t position, void *buffer,
                          size_t len);
/*
 * srv_segments_crc() - CRC-64 of the bytes
 * From what the data files' writers remembered; at most 2 MiB of each file are read again, unless
 * it is from before a restart. 0 or -1.
 */
int srv_segments_crc(const struct srv_segments *s, uint64_t *crc);
/*
 * srv_segments_md5() - MD5 of the bytes
 * Return: 1; 0: that would take reading more than @most bytes (a data file that is used whole is
 * not read); -1: they cannot be read.
 */
int srv_segments_md5(const struct srv_segments *s, uint64_t most, uint8_t md5[SRV_MD5_BYTES]);

#endif

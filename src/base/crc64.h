/*
 * CRC-64 as OSS computes it (x-oss-hash-crc64ecma): CRC-64/XZ, which is liblzma's.
 * Pure; any thread. Source: oss-protocol section 10.
 */
#ifndef OSSUP_BASE_CRC64_H
#define OSSUP_BASE_CRC64_H

#include <stddef.h>
#include <stdint.h>

/** ou_crc64() - continue @crc (0 to begin) over @len bytes. */
uint64_t ou_crc64(uint64_t crc, const void *data, size_t len);
/** ou_crc64_combine() - the CRC of A followed by B, from crc(A), crc(B) and B's length in bytes. */
uint64_t ou_crc64_combine(uint64_t crc_a, uint64_t crc_b, uint64_t len_b);

#endif

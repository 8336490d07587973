/*
 * Sums are polynomials over GF(2) in reflected bit order: bit 63 is x^0. With
 * init = xorout the constants cancel in crc(AB) = crc(A) * x^(8|B|) + crc(B),
 * so that combining needs no more than a power of x, found by squaring: about
 * 2 * log2(8|B|) multiplications of 64 steps, no table and no state.
 */
#include "base/crc64.h"

#include <lzma.h>

#define POLY   UINT64_C(0xC96C5795D7870F42) /* ECMA-182, reflected */
#define X_TO_0 (UINT64_C(1) << 63)
#define X_TO_8 (UINT64_C(1) << 55)

uint64_t ou_crc64(uint64_t crc, const void *data, size_t len)
{
    return len ? lzma_crc64(data, len, crc) : crc;
}

static uint64_t multiply(uint64_t a, uint64_t b)
{
    uint64_t product = 0;

    for (uint64_t bit = X_TO_0; bit; bit >>= 1) {
        if (a & bit)
            product ^= b;
        b = b & 1 ? (b >> 1) ^ POLY : b >> 1; /* b *= x */
    }
    return product;
}

uint64_t ou_crc64_combine(uint64_t crc_a, uint64_t crc_b, uint64_t len_b)
{
    uint64_t shift = X_TO_0; /* becomes x^(8 len_b) */
    uint64_t power = X_TO_8; /* x^8, x^16, x^32, ... */

    for (; len_b; len_b >>= 1) {
        if (len_b & 1)
            shift = multiply(shift, power);
        power = multiply(power, power);
    }
    return multiply(shift, crc_a) ^ crc_b;
}

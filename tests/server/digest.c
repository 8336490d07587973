#include "server/digest.h"

#include "server/buf.h"
#include "server/text.h"

#include <lzma.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdio.h>

#define CRC64_POLY_REFLECTED UINT64_C(0xC96C5795D7870F42)

void srv_digest_init(struct srv_digest *d, bool want_md5)
{
    *d = (struct srv_digest){0};
    if (!want_md5)
        return;
    d->md5 = EVP_MD_CTX_new();
    if (d->md5 == NULL || EVP_DigestInit_ex(d->md5, EVP_md5(), NULL) != 1)
        abort();
}

void srv_digest_fini(struct srv_digest *d)
{
    EVP_MD_CTX_free(d->md5);
    *d = (struct srv_digest){0};
}

/* In blocks that stay in the first-level cache between the two passes. */
void srv_digest_add(struct srv_digest *d, const void *data, size_t len)
{
    const size_t block = 16384;
    const uint8_t *p = data;

    while (len > 0) {
        size_t n = len < block ? len : block;

        d->crc = lzma_crc64(p, n, d->crc);
        if (d->md5 != NULL)
            (void)EVP_DigestUpdate(d->md5, p, n);
        p += n;
        len -= n;
    }
}

bool srv_digest_md5(struct srv_digest *d, uint8_t md5[SRV_MD5_BYTES])
{
    memset(md5, 0, SRV_MD5_BYTES);
    return d->md5 != NULL && EVP_DigestFinal_ex(d->md5, md5, NULL) == 1;
}

uint64_t srv_crc64(const void *data, size_t len, uint64_t crc)
{
    return lzma_crc64(data, len, crc);
}

/*
 * crc(A) has to be advanced over |B| zero bytes. That is a linear map over GF(2);
 * powers[k] is the map for 2^k bytes, as 64 columns, so |B| takes one map a set bit.
 */
static uint64_t powers[64][64];
static pthread_once_t powers_once = PTHREAD_ONCE_INIT;

static uint64_t apply(const uint64_t map[64], uint64_t vector)
{
    uint64_t result = 0;

    for (int i = 0; vector != 0; i++, vector >>= 1)
        if ((vector & 1) != 0)
            result ^= map[i];
    return result;
}

static void square(uint64_t out[64], const uint64_t map[64])
{
    for (int i = 0; i < 64; i++)
        out[i] = apply(map, map[i]);
}

static void make_powers(void)
{
    uint64_t one_bit[64], two_bits[64], four_bits[64];

    one_bit[0] = CRC64_POLY_REFLECTED;
    for (int i = 1; i < 64; i++)
        one_bit[i] = UINT64_C(1) << (i - 1);
    square(two_bits, one_bit);
    square(four_bits, two_bits);
    square(powers[0], four_bits);
    for (int k = 1; k < 64; k++)
        square(powers[k], powers[k - 1]);
}

uint64_t srv_crc64_combine(uint64_t crc1, uint64_t crc2, uint64_t len2)
{
    if (len2 == 0)
        return crc1;
    (void)pthread_once(&powers_once, make_powers);
    for (int k = 0; len2 != 0; k++, len2 >>= 1)
        if ((len2 & 1) != 0)
            crc1 = apply(powers[k], crc1);
    return crc1 ^ crc2;
}

void srv_md5(const void *data, size_t len, uint8_t md5[SRV_MD5_BYTES])
{
    (void)EVP_Digest(data, len, md5, NULL, EVP_md5(), NULL);
}

void srv_sha256(const void *data, size_t len, uint8_t sha256[SRV_SHA256_BYTES])
{
    (void)EVP_Digest(data, len, sha256, NULL, EVP_sha256(), NULL);
}

void srv_hmac_sha1(const void *key, size_t key_len, const void *data, size_t len,
                   uint8_t mac[SRV_SHA1_BYTES])
{
    (void)HMAC(EVP_sha1(), key, (int)key_len, data, len, mac, NULL);
}

void srv_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                     uint8_t mac[SRV_SHA256_BYTES])
{
    (void)HMAC(EVP_sha256(), key, (int)key_len, data, len, mac, NULL);
}

void srv_etag_simple(const uint8_t md5[SRV_MD5_BYTES], char etag[SRV_ETAG_MAX])
{
    srv_hex(etag, md5, SRV_MD5_BYTES, true);
}

void srv_etag_multipart(const char *etags, size_t len, size_t part_count, char etag[SRV_ETAG_MAX])
{
    uint8_t md5[SRV_MD5_BYTES];
    char hex[2 * SRV_MD5_BYTES + 1];

    srv_md5(etags, len, md5);
    srv_hex(hex, md5, sizeof(md5), true);
    (void)snprintf(etag, SRV_ETAG_MAX, "%s-%zu", hex, part_count);
}

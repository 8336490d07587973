/*
 * Checksums: MD5 for ETags and Content-MD5, CRC-64/XZ as x-oss-hash-crc64ecma,
 * HMACs for signatures. Pure, except that a struct srv_digest belongs to one thread.
 */
#ifndef SRV_DIGEST_H
#define SRV_DIGEST_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SRV_MD5_BYTES    16
#define SRV_SHA1_BYTES   20
#define SRV_SHA256_BYTES 32
/* "32 hex digits" or "32 hex digits-10000" and a NUL, with room */
#define SRV_ETAG_MAX 48

/* Both checksums of a body, fed piece by piece in one pass. */
struct srv_digest {
    EVP_MD_CTX *md5; /* NULL if nobody wants the MD5 */
    uint64_t crc;
};

void srv_digest_init(struct srv_digest *d, bool want_md5);
void srv_digest_fini(struct srv_digest *d);
void srv_digest_add(struct srv_digest *d, const void *data, size_t len);
/* srv_digest_md5() - ends the MD5; false (and zeros) if it was not wanted */
bool srv_digest_md5(struct srv_digest *d, uint8_t md5[SRV_MD5_BYTES]);

uint64_t srv_crc64(const void *data, size_t len, uint64_t crc);
/* srv_crc64_combine() - crc(A), crc(B), |B| -> crc(A then B); @len2 may exceed 32 bits */
uint64_t srv_crc64_combine(uint64_t crc1, uint64_t crc2, uint64_t len2);

void srv_md5(const void *data, size_t len, uint8_t md5[SRV_MD5_BYTES]);
void srv_sha256(const void *data, size_t len, uint8_t sha256[SRV_SHA256_BYTES]);
void srv_hmac_sha1(const void *key, size_t key_len, const void *data, size_t len,
                   uint8_t mac[SRV_SHA1_BYTES]);
void srv_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                     uint8_t mac[SRV_SHA256_BYTES]);

/* srv_etag_simple() - uppercase hex of an MD5, without quotes */
void srv_etag_simple(const uint8_t md5[SRV_MD5_BYTES], char etag[SRV_ETAG_MAX]);

/*
 * srv_etag_multipart() - MD5 over the text of the parts' ETags, '-', number of parts
 * @etags: the parts' ETags, uppercase, without quotes, one after the other
 * @len:   bytes of @etags
 */
void srv_etag_multipart(const char *etags, size_t len, size_t part_count, char etag[SRV_ETAG_MAX]);

#endif

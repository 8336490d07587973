#include "oss/etag.h"

#include <openssl/evp.h>

#include <stdio.h>
#include <string.h>

static bool md5_of_etags(EVP_MD_CTX *md, const struct oss_part *parts, size_t count,
                         unsigned char digest[EVP_MAX_MD_SIZE])
{
    if (EVP_DigestInit_ex(md, EVP_md5(), NULL) != 1)
        return false;
    for (size_t i = 0; i < count; i++)
        if (EVP_DigestUpdate(md, parts[i].etag, strlen(parts[i].etag)) != 1)
            return false;
    return EVP_DigestFinal_ex(md, digest, NULL) == 1;
}

bool oss_multipart_etag(const struct oss_part *parts, size_t count, char etag[OSS_ETAG_SIZE])
{
    enum { MD5_SIZE = 16 };
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool known = md && md5_of_etags(md, parts, count, digest);

    EVP_MD_CTX_free(md);
    if (!known)
        return false;
    for (size_t i = 0; i < MD5_SIZE; i++)
        (void)snprintf(etag + 2 * i, 3, "%02X", digest[i]);
    (void)snprintf(etag + (size_t)2 * MD5_SIZE, OSS_ETAG_SIZE - (size_t)2 * MD5_SIZE, "-%zu",
                   count);
    return true;
}

#include "oss/digest.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

int oss_md5_base64(const void *data, size_t len, char out[OSS_MD5_BASE64_SIZE],
                   struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf text = {0};
    unsigned char md5[EVP_MAX_MD_SIZE];
    size_t md5_len = 0;

    if (!EVP_Q_digest(NULL, "MD5", NULL, data, len, md5, &md5_len))
        return ou_error_say(err, ENOTSUP, "MD5, which OSS demands here, is switched off (FIPS?)");
    ou_base64_encode(&text, md5, md5_len);
    if (ou_buf_check(&text, err) < 0)
        return -ENOMEM;
    memcpy(out, ou_buf_str(&text), OSS_MD5_BASE64_SIZE);
    return 0;
}

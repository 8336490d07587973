/*
 * Content-MD5, which one operation demands. Private to src/oss. Pure; any thread.
 */
#ifndef OSSUP_OSS_DIGEST_H
#define OSSUP_OSS_DIGEST_H

#include "base/error.h"

#include <stddef.h>

#define OSS_MD5_BASE64_SIZE 25

/** oss_md5_base64() - base64 of the 16 bytes of the MD5. */
int oss_md5_base64(const void *data, size_t len, char out[OSS_MD5_BASE64_SIZE],
                   struct ou_error *err);

#endif

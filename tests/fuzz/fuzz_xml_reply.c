/*
 * Errors, deletions and the bucket from outside: strings end inside their fields, and an error
 * that is one has a code, an errno and a verdict.
 * layer: oss
 */
#include "oss/xml.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void error(const uint8_t *data, size_t size)
{
    struct oss_refusal r;
    struct ou_error err = OU_ERROR_INIT;

    if (!oss_xml_error(data, size, &r))
        return;
    assert(r.code[0] && memchr(r.code, '\0', sizeof(r.code)));
    assert(memchr(r.message, '\0', sizeof(r.message)));
    assert(memchr(r.endpoint, '\0', sizeof(r.endpoint)));
    for (int status = 200; status < 600; status += 100) {
        int e = oss_error_refused(&err, "op", status, &r);

        assert(e < 0 && err.errnum == -e && err.http_status == status);
        assert(memchr(err.message, '\0', sizeof(err.message)));
        assert(oss_error_verdict(&err) <= OSS_FINAL);
    }
}

static void deleted(void *ctx, const char *key, size_t key_len)
{
    (void)ctx;
    assert(memchr(key, '\0', key_len + 1) || key[key_len] != '\0' || !key_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct oss_bucket_info info;
    struct ou_error err = OU_ERROR_INIT;

    error(data, size);
    (void)oss_xml_deleted(data, size, deleted, NULL, &err);
    if (oss_xml_bucket_info(data, size, &info, &err) == 0)
        assert(memchr(info.location, '\0', sizeof(info.location)));
    return 0;
}

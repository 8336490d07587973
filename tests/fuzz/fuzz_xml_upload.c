/*
 * Documents of multipart uploads from outside: parts have numbers that OSS knows, ids and ETags
 * are whole or refused.
 * layer: oss
 */
#include "oss/xml.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parts(const uint8_t *data, size_t size)
{
    struct oss_part_list list = {.parts = NULL};
    struct ou_error err = OU_ERROR_INIT;
    bool truncated = false;
    unsigned next = 0;

    if (oss_xml_parts(data, size, &list, &truncated, &next, &err) == 0) {
        for (size_t i = 0; i < list.count; i++) {
            assert(list.parts[i].number >= 1 && list.parts[i].number <= OSS_PART_NUMBER_MAX);
            assert(list.parts[i].etag[0]);
        }
        assert(!truncated || (next >= 1 && next <= OSS_PART_NUMBER_MAX));
    } else {
        assert(!list.count && err.message[0]);
    }
    oss_part_list_fini(&list);
}

static void uploads(const uint8_t *data, size_t size)
{
    struct oss_upload_list list;
    struct ou_error err = OU_ERROR_INIT;

    if (oss_xml_uploads(data, size, &list, &err) < 0)
        return;
    for (size_t i = 0; i < list.count; i++)
        assert(list.uploads[i].key && list.uploads[i].upload_id[0]);
    assert(!list.truncated || list.next_key);
    oss_upload_list_fini(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char id[OSS_UPLOAD_ID_SIZE], etag[OSS_ETAG_SIZE];
    struct ou_error err = OU_ERROR_INIT;

    parts(data, size);
    uploads(data, size);
    assert((oss_xml_initiate(data, size, id, &err) == 0) == (id[0] != '\0'));
    assert((oss_xml_result_etag(data, size, "CompleteMultipartUploadResult", etag, &err) == 0) ==
           (etag[0] != '\0'));
    return 0;
}

/*
 * The head of a reply from outside: whatever its headers say, an object that is told has a size,
 * and a range that is taken is the one that was asked for.
 * layer: oss
 *
 * The input is NAME LF VALUE LF ...; its first two bytes choose status and range.
 */
#include "oss/fields.h"
#include "oss/range.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fill(struct oss_http_reply *reply, const uint8_t *data, size_t size)
{
    reply->status = size && data[0] % 2 ? 206 : 200;
    for (size_t at = 2; at < size;) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        size_t len = end ? (size_t)(end - data) - at : size - at;

        for (size_t i = at; i < at + len; i++) /* http.c keeps no header with a NUL in it */
            ou_buf_add(&reply->headers, data[i] ? (const char *)data + i : "0", 1);
        ou_buf_add(&reply->headers, "", 1);
        at += len + 1;
    }
}

static bool is_even(const struct ou_buf *headers)
{
    size_t count = 0;

    for (size_t i = 0; i < headers->len; i++)
        count += !headers->data[i];
    return count % 2 == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct oss_http_reply reply = {.status = 0};
    struct oss_object object;
    struct oss_written written;
    struct ou_error err = OU_ERROR_INIT;
    uint64_t offset = size > 1 ? data[1] : 0;

    fill(&reply, data, size);
    if (!is_even(&reply.headers))
        ou_buf_add(&reply.headers, "", 1);
    if (oss_fields_object(&reply, &object, &err) == 0) {
        assert(memchr(object.etag, '\0', sizeof(object.etag)));
        for (size_t i = 0; i < object.meta_count; i++)
            assert(oss_object_meta(&object, object.meta[i].name));
        oss_object_fini(&object);
    }
    oss_fields_written(&reply, &written);
    assert(memchr(written.etag, '\0', sizeof(written.etag)));
    if (oss_range_check(reply.status, oss_http_header(&reply, "content-range"),
                        oss_http_header(&reply, "content-length"), offset, 100, &err) == 0)
        assert(reply.status == 206 || offset == 0);
    oss_http_reply_fini(&reply);
    return 0;
}

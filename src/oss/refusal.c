/*
 * What a reply that is no success says.
 *
 * OSS sends <Error>; to a HEAD, which has no body, the same document as base64 in x-oss-err.
 * A proxy sends HTML or nothing: then there is no code, and the status must do.
 */
#include "base/cleanup.h"
#include "base/text.h"
#include "oss/request.h"

#include <stdio.h>
#include <string.h>

static void fill_from_header(char *out, size_t size, const struct oss_http_reply *reply,
                             const char *name)
{
    const char *value = oss_http_header(reply, name);

    if (!out[0] && value)
        (void)snprintf(out, size, "%s", value);
}

void oss_refusal_read(const struct oss_reply *reply, struct oss_refusal *out)
{
    const char *encoded = oss_http_header(&reply->http, "x-oss-err");

    memset(out, 0, sizeof(*out));
    if (!oss_xml_error(reply->body.data, reply->body.len, out) && encoded) {
        ou_auto(ou_buf_fini) struct ou_buf document = {.max = OSS_HTTP_HEADERS_MAX};

        if (ou_base64_decode(&document, encoded, strlen(encoded)))
            (void)oss_xml_error(document.data, document.len, out);
    }
    fill_from_header(out->request_id, sizeof(out->request_id), &reply->http, "x-oss-request-id");
    fill_from_header(out->ec, sizeof(out->ec), &reply->http, "x-oss-ec");
}

/*
 * Whole objects: put, head, delete, copy.
 */
#include "base/cleanup.h"
#include "oss/client_impl.h"
#include "oss/fields.h"
#include "oss/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int oss_put_object(struct oss_client *c, const struct oss_call *call, const char *key,
                   const struct oss_object_headers *headers, const struct oss_body *body,
                   struct oss_written *out, struct ou_error *err)
{
    ou_auto(oss_request_fini) struct oss_request rq;
    ou_auto(oss_reply_fini) struct oss_reply reply = {.crc64 = 0};
    struct oss_written written;
    int r = oss_request_init(&rq, "put", "PUT", key, 0, err);

    if (r == 0 && oss_is_directory(c, key))
        return oss_create_directory(c, call, key, out, err);
    if (r < 0)
        return r;
    if (body && body->size > OSS_PUT_MAX)
        return ou_error_set(err, EFBIG, "%s", rq.what);
    rq.has_body = true;
    rq.body = body;
    rq.check_crc = true;
    rq.accept = oss_fields_accept_written;
    rq.ctx = &written;
    r = oss_fields_add(c, &rq, headers, err);
    if (r < 0)
        return r;
    oss_fields_traffic(c, &rq);
    r = oss_request_run(c, call, &rq, &reply, err);
    if (r == 0 && out)
        *out = written;
    return r;
}

/* A HEAD's answer must be usable before it counts. */
static int accept_head(struct oss_request *rq, struct oss_reply *reply, struct ou_error *err)
{
    return oss_fields_object(&reply->http, rq->ctx, err);
}

int oss_head_object(struct oss_client *c, const struct oss_call *call, const char *key,
                    struct oss_object *out, struct ou_error *err)
{
    ou_auto(oss_request_fini) struct oss_request rq;
    ou_auto(oss_reply_fini) struct oss_reply reply = {.crc64 = 0};
    struct ou_error why = OU_ERROR_INIT;
    int r = oss_request_init(&rq, "head", "HEAD", key, 0, err);

    if (r < 0)
        return r;
    rq.accept = accept_head;
    rq.ctx = out;
    r = oss_request_run(c, call, &rq, &reply, &why);
    if (r == 0)
        return 1;
    if (why.http_status == 404 && (!why.code[0] || oss_error_is(&why, "NoSuchKey")))
        return 0;
    *err = why;
    return r;
}

int oss_delete_object(struct oss_client *c, const struct oss_call *call, const char *key,
                      struct ou_error *err)
{
    ou_auto(oss_request_fini) struct oss_request rq;
    ou_auto(oss_reply_fini) struct oss_reply reply = {.crc64 = 0};
    struct ou_error why = OU_ERROR_INIT;
    int r = oss_request_init(&rq, "delete", "DELETE", key, 0, err);

    if (r == 0 && oss_is_directory(c, key))
        return oss_delete_directory(c, call, key, err);
    if (r < 0)
        return r;
    r = oss_request_run(c, call, &rq, &reply, &why);
    if (r == 0 || oss_error_is(&why, "NoSuchKey"))
        return 0;
    *err = why;
    return r;
}

static int accept_copy(struct oss_request *rq, struct oss_reply *reply, struct ou_error *err)
{
    return oss_fields_result(reply, "CopyObjectResult", rq->ctx, err);
}

int oss_copy_object(struct oss_client *c, const struct oss_call *call, const char *source_key,
                    const char *if_match, const char *key, const struct oss_object_headers *headers,
                    struct oss_written *out, struct ou_error *err)
{
    ou_auto(oss_request_fini) struct oss_request rq;
    ou_auto(oss_reply_fini) struct oss_reply reply = {.crc64 = 0};
    struct oss_written written;
    int r = oss_request_init(&rq, "copy to", "PUT", key, 0, err);

    if (r == 0 && oss_is_directory(c, key))
        return oss_create_directory(c, call, key, out, err);
    if (r == 0)
        r = oss_key_check(source_key, err);
    if (r < 0)
        return r;
    rq.has_body = true;
    rq.slow = true;
    rq.accept = accept_copy;
    rq.ctx = &written;
    if (!headers || headers->of_source) {
        oss_fields_storage(c, &rq, headers);
    } else {
        r = oss_fields_add(c, &rq, headers, err);
        if (r < 0)
            return r;
        oss_headers_add(&rq.headers, "x-oss-metadata-directive", "REPLACE");
    }
    oss_fields_source(c, &rq, source_key, if_match);
    oss_fields_traffic(c, &rq);
    r = oss_request_run(c, call, &rq, &reply, err);
    if (r == 0 && out)
        *out = written;
    return r;
}

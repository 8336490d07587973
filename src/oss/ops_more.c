/*
 * What the mount seldom or never needs and a whole client has: append, symlinks.
 */
#include "base/cleanup.h"
#include "base/text.h"
#include "oss/fields.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct append {
    uint64_t next;
};

static int accept_append(struct oss_request *rq, struct oss_reply *reply, struct ou_error *err)
{
    struct append *a = rq->ctx;
    const char *next = oss_http_header(&reply->http, "x-oss-next-append-position");

    if (!next || !ou_parse_u64(next, &a->next))
        return oss_xml_bad(err, "it does not tell where the next append begins");
    return 0;
}

int oss_append_object(struct oss_client *c, const struct oss_call *call, const char *key,
                      uint64_t position, const struct oss_object_headers *headers,
                      const struct oss_body *body, uint64_t *next_position, struct oss_written *out,
                      struct ou_error *err)
{
    ou_auto(oss_request_fini) struct oss_request rq;
    ou_auto(oss_reply_fini) struct oss_reply reply = {.crc64 = 0};
    struct append a = {.next = 0};
    char text[24];
    int r = oss_request_init(&rq, "append to", "POST", key, 0, err);

    if (r < 0)
        return r;
    (void)snprintf(text, sizeof(text), "%" PRIu64, position);
    oss_request_query(&rq, "append", NULL);
    oss_request_query(&rq, "position", text);
    r = oss_fields_add(c, &rq, headers, err);
    if (r < 0)
        return r;
    oss_fields_traffic(c, &rq);
    rq.has_body = true;
    rq.body = body;
    rq.check_crc = position == 0; /* it is the whole object's */
    rq.repeat = OSS_REPEAT_THROTTLED;
    rq.accept = accept_append;
    rq.ctx = &a;
    r = oss_request_run(c, call, &rq, &reply, err);
    if (r < 0)
        return r;
    if (next_position)
        *next_position = a.next;
    if (out)
        oss_fields_written(&reply.http, out);
    return 0;
}

int oss_put_symlink(struct oss_client *c, const struct oss_call *call, const char *key,
                    const char *target_key, const struct oss_object_headers *headers,
                    struct ou_error *err)
{
    ou_auto(oss_request_fini) struct oss_request rq;
    ou_auto(oss_reply_fini) struct oss_reply reply = {.crc64 = 0};
    ou_auto(ou_buf_fini) struct ou_buf target = {0};
    int r = oss_request_init(&rq, "link", "PUT", key, 0, err);

    if (r == 0)
        r = oss_key_check(target_key, err);
    if (r < 0)
        return r;
    ou_percent_encode(&target, target_key, strlen(target_key), "");
    r = ou_buf_check(&target, err);
    if (r == 0)
        r = oss_fields_add(c, &rq, headers, err);
    if (r < 0)
        return r;
    oss_request_query(&rq, "symlink", NULL);
    oss_headers_add(&rq.headers, "x-oss-symlink-target", ou_buf_str(&target));
    rq.has_body = true;
    return oss_request_run(c, call, &rq, &reply, err);
}

static int accept_symlink(struct oss_request *rq, struct oss_reply *reply, struct ou_error *err)
{
    char **target = rq->ctx;
    const char *encoded = oss_http_header(&reply->http, "x-oss-symlink-target");

    if (!encoded)
        return oss_xml_bad(err, "it does not tell the link's target");
    *target = strdup(encoded);
    if (!*target)
        return ou_error_set(err, ENOMEM, "read a link");
    (*target)[ou_percent_decode(*target, strlen(*target), true)] = '\0';
    return 0;
}

int oss_get_symlink(struct oss_client *c, const struct oss_call *call, const char *key,
                    char **target, struct ou_error *err)
{
    ou_auto(oss_request_fini) struct oss_request rq;
    ou_auto(oss_reply_fini) struct oss_reply reply = {.crc64 = 0};
    char *found = NULL;
    int r = oss_request_init(&rq, "read link", "GET", key, 0, err);

    if (r < 0)
        return r;
    oss_request_query(&rq, "symlink", NULL);
    rq.accept = accept_symlink;
    rq.ctx = &found;
    r = oss_request_run(c, call, &rq, &reply, err);
    if (r == 0)
        *target = found;
    return r;
}

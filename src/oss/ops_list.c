/*
 * Listings: objects, parts, uploads; and what the bucket is.
 *
 * encoding-type=url always: a key with a control character would break the XML otherwise.
 */
#include "base/cleanup.h"
#include "oss/fields.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The token that we make of a V1 NextMarker, should a server answer list-type=2 with V1 (some
 * front ends did, rclone#6600). OSS's own tokens hold no line feed.
 */
#define MARKER_TOKEN '\n'

struct listing {
    struct oss_list_page page;
    const char *token; /* what was sent */
};

static int accept_list(struct oss_request *rq, struct oss_reply *reply, struct ou_error *err)
{
    struct listing *l = rq->ctx;
    ou_autofree char *marker = NULL;
    struct oss_list_page page;
    int r = oss_xml_list(reply->body.data, reply->body.len, &page, &marker, err);

    if (r < 0)
        return r;
    if (page.truncated && !page.next_token &&
        asprintf(&page.next_token, "%c%s", MARKER_TOKEN, marker) < 0) {
        page.next_token = NULL;
        oss_list_page_fini(&page);
        return ou_error_set(err, ENOMEM, "read a listing");
    }
    if (page.next_token && l->token && !strcmp(page.next_token, l->token)) {
        oss_list_page_fini(&page);
        return oss_xml_bad(err, "a listing that goes on where it began");
    }
    l->page = page;
    return 0;
}

int oss_list_objects(struct oss_client *c, const struct oss_call *call, const char *prefix,
                     const char *delimiter, const char *start_after, const char *token,
                     unsigned max_keys, struct oss_list_page *out, struct ou_error *err)
{
    ou_auto(oss_request_fini) struct oss_request rq;
    ou_auto(oss_reply_fini) struct oss_reply reply = {.crc64 = 0};
    struct listing l = {.token = token};
    char count[16];
    int r = oss_request_init(&rq, "list", "GET", NULL, 0, err);

    if (r < 0)
        return r;
    if (!max_keys || max_keys > OSS_LIST_MAX)
        return ou_error_say(err, EINVAL, "list: max_keys=%u: it takes 1 to %u", max_keys,
                            OSS_LIST_MAX);
    if (prefix && *prefix)
        (void)snprintf(rq.what, sizeof(rq.what), "list %.160s", prefix);
    (void)snprintf(count, sizeof(count), "%u", max_keys);
    if (token && *token == MARKER_TOKEN) {
        oss_request_query(&rq, "marker", token + 1);
    } else {
        oss_request_query(&rq, "list-type", "2");
        if (token)
            oss_request_query(&rq, "continuation-token", token);
        else if (start_after && *start_after)
            oss_request_query(&rq, "start-after", start_after);
    }
    if (prefix && *prefix)
        oss_request_query(&rq, "prefix", prefix);
    if (delimiter)
        oss_request_query(&rq, "delimiter", delimiter);
    oss_request_query(&rq, "max-keys", count);
    oss_request_query(&rq, "encoding-type", "url");
    rq.accept = accept_list;
    rq.ctx = &l;
    r = oss_request_run(c, call, &rq, &reply, err);
    if (r == 0)
        *out = l.page;
    return r;
}

/* -- parts -- */

struct part_page {
    struct oss_part_list *all;
    bool truncated;
    unsigned next;
};

static int accept_parts(struct oss_request *rq, struct oss_reply *reply, struct ou_error *err)
{
    struct part_page *p = rq->ctx;

    return oss_xml_parts(reply->body.data, reply->body.len, p->all, &p->truncated, &p->next, err);
}

static int list_part_page(struct oss_client *c, const struct oss_call *call, const char *key,
                          const char *upload_id, unsigned after, struct part_page *p,
                          struct ou_error *err)
{
    ou_auto(oss_request_fini) struct oss_request rq;
    ou_auto(oss_reply_fini) struct oss_reply reply = {.crc64 = 0};
    char count[16], marker[16];
    int r = oss_request_init(&rq, "list parts of", "GET", key, 0, err);

    if (r < 0)
        return r;
    (void)snprintf(count, sizeof(count), "%u", OSS_LIST_MAX);
    (void)snprintf(marker, sizeof(marker), "%u", after);
    oss_request_query(&rq, "uploadId", upload_id);
    oss_request_query(&rq, "max-parts", count);
    if (after)
        oss_request_query(&rq, "part-number-marker", marker);
    oss_request_query(&rq, "encoding-type", "url");
    rq.accept = accept_parts;
    rq.ctx = p;
    r = oss_request_run(c, call, &rq, &reply, err);
    if (r == 0 && p->truncated && p->next <= after) {
        (void)oss_xml_bad(err, "a list of parts that goes on where it began");
        return ou_error_prefix(err, "%s", rq.what);
    }
    return r;
}

int oss_list_parts(struct oss_client *c, const struct oss_call *call, const char *key,
                   const char *upload_id, struct oss_part_list *out, struct ou_error *err)
{
    struct oss_part_list all = {.parts = NULL};
    struct part_page p = {.all = &all};
    struct ou_error why = OU_ERROR_INIT;
    int r;

    do {
        r = list_part_page(c, call, key, upload_id, p.next, &p, &why);
    } while (r == 0 && p.truncated);
    if (r == 0) {
        *out = all;
        return 1;
    }
    oss_part_list_fini(&all);
    if (oss_error_is(&why, "NoSuchUpload"))
        return 0;
    *err = why;
    return r;
}

/* -- uploads -- */

static int accept_uploads(struct oss_request *rq, struct oss_reply *reply, struct ou_error *err)
{
    return oss_xml_uploads(reply->body.data, reply->body.len, rq->ctx, err);
}

int oss_list_uploads(struct oss_client *c, const struct oss_call *call, const char *prefix,
                     const char *key_marker, const char *upload_id_marker,
                     struct oss_upload_list *out, struct ou_error *err)
{
    ou_auto(oss_request_fini) struct oss_request rq;
    ou_auto(oss_reply_fini) struct oss_reply reply = {.crc64 = 0};
    struct oss_upload_list list = {.uploads = NULL};
    char count[16];
    int r = oss_request_init(&rq, "list uploads", "GET", NULL, 0, err);

    if (r < 0)
        return r;
    (void)snprintf(count, sizeof(count), "%u", OSS_LIST_MAX);
    oss_request_query(&rq, "uploads", NULL);
    if (prefix && *prefix)
        oss_request_query(&rq, "prefix", prefix);
    if (key_marker)
        oss_request_query(&rq, "key-marker", key_marker);
    if (key_marker && upload_id_marker)
        oss_request_query(&rq, "upload-id-marker", upload_id_marker);
    oss_request_query(&rq, "max-uploads", count);
    oss_request_query(&rq, "encoding-type", "url");
    rq.accept = accept_uploads;
    rq.ctx = &list;
    r = oss_request_run(c, call, &rq, &reply, err);
    if (r == 0)
        *out = list;
    return r;
}

/* -- the bucket -- */

/* A server that has not got the operation may list the bucket, as without a parameter: it tells nothing. */
static int accept_bucket(struct oss_request *rq, struct oss_reply *reply, struct ou_error *err)
{
    ou_auto(oss_list_page_fini) struct oss_list_page page = {.entries = NULL};
    ou_autofree char *marker = NULL;
    struct oss_bucket_info *out = rq->ctx;
    struct ou_error why = OU_ERROR_INIT;

    if (oss_xml_list(reply->body.data, reply->body.len, &page, &marker, &why) == 0) {
        *out = (struct oss_bucket_info){.location = ""};
        return 0;
    }
    return oss_xml_bucket_info(reply->body.data, reply->body.len, out, err);
}

int oss_bucket_info(struct oss_client *c, const struct oss_call *call, struct oss_bucket_info *out,
                    struct ou_error *err)
{
    ou_auto(oss_request_fini) struct oss_request rq;
    ou_auto(oss_reply_fini) struct oss_reply reply = {.crc64 = 0};
    int r = oss_request_init(&rq, "bucket info", "GET", NULL, 0, err);

    if (r < 0)
        return r;
    oss_request_query(&rq, "bucketInfo", NULL);
    rq.accept = accept_bucket;
    rq.ctx = out;
    return oss_request_run(c, call, &rq, &reply, err);
}

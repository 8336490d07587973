/*
 * Buckets with a hierarchical namespace: there directories are real, and have a name without "/".
 *
 * What the other operations are asked about a key that ends in "/" goes to requests of its own:
 * making is CreateDirectory (which keeps no metadata), deleting is DeleteDirectory. Source:
 * oss-protocol 8.1.
 */
#include "base/cleanup.h"
#include "base/text.h"
#include "oss/client_impl.h"
#include "oss/fields.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DIRECTORY_ETAG "null" /* as HEAD tells it */

void oss_client_set_hierarchical(struct oss_client *client, bool hierarchical)
{
    atomic_store(&client->hierarchical, hierarchical);
}

bool oss_client_hierarchical(const struct oss_client *client)
{
    return atomic_load(&client->hierarchical);
}

bool oss_is_directory(const struct oss_client *client, const char *key)
{
    size_t len = strlen(key);

    return len > 1 && key[len - 1] == '/' && oss_client_hierarchical(client);
}

/* NULL: no memory. */
static char *name_of(const char *key)
{
    size_t len = strlen(key);

    return strndup(key, len && key[len - 1] == '/' ? len - 1 : len);
}

/* @name is borrowed by @rq. */
static int request_init(struct oss_request *rq, const char *op, const char *name, const char *query,
                        struct ou_error *err)
{
    int r = oss_request_init(rq, op, "POST", name ? name : "", 0, err);

    if (!name)
        return ou_error_set(err, ENOMEM, "%s", op);
    if (r < 0)
        return r;
    oss_request_query(rq, query, NULL);
    oss_headers_add(&rq->headers, "Content-Type", "application/octet-stream");
    rq->has_body = true;
    return 0;
}

int oss_create_directory(struct oss_client *c, const struct oss_call *call, const char *key,
                         struct oss_written *out, struct ou_error *err)
{
    ou_autofree char *name = name_of(key);
    ou_auto(oss_request_fini) struct oss_request rq;
    ou_auto(oss_reply_fini) struct oss_reply reply = {.crc64 = 0};
    int r = request_init(&rq, "make directory", name, "x-oss-dir", err);

    if (r == 0)
        r = oss_request_run(c, call, &rq, &reply, err);
    if (r < 0)
        return r;
    if (out) {
        oss_fields_written(&reply.http, out);
        memcpy(out->etag, DIRECTORY_ETAG, sizeof(DIRECTORY_ETAG));
    }
    return 0;
}

int oss_delete_directory(struct oss_client *c, const struct oss_call *call, const char *key,
                         struct ou_error *err)
{
    ou_autofree char *name = name_of(key);
    ou_auto(oss_request_fini) struct oss_request rq;
    ou_auto(oss_reply_fini) struct oss_reply reply = {.crc64 = 0};
    struct ou_error why = OU_ERROR_INIT;
    int r = request_init(&rq, "delete directory", name, "x-oss-delete", err);

    if (r < 0)
        return r;
    r = oss_request_run(c, call, &rq, &reply, &why);
    if (r == 0 || oss_error_is(&why, "NoSuchKey"))
        return 0;
    *err = why;
    if (oss_error_is(&why, "FileAlreadyExists")) /* the manual's word for it */
        err->errnum = ENOTEMPTY;
    return -err->errnum;
}

int oss_rename_object(struct oss_client *c, const struct oss_call *call, const char *source_key,
                      const char *key, struct ou_error *err)
{
    ou_autofree char *name = name_of(key);
    ou_auto(oss_request_fini) struct oss_request rq;
    ou_auto(oss_reply_fini) struct oss_reply reply = {.crc64 = 0};
    ou_auto(ou_buf_fini) struct ou_buf source = {0};
    ou_autofree char *source_name = name_of(source_key);
    int r = request_init(&rq, "rename to", name, "x-oss-rename", err);

    if (r == 0)
        r = oss_key_check(source_key, err);
    if (r < 0)
        return r;
    if (!source_name)
        return ou_error_set(err, ENOMEM, "%s", rq.what);
    ou_percent_encode(&source, source_name, strlen(source_name), "/");
    r = ou_buf_check(&source, err);
    if (r < 0)
        return r;
    oss_headers_add(&rq.headers, "x-oss-rename-source", ou_buf_str(&source));
    rq.repeat = OSS_REPEAT_THROTTLED;
    return oss_request_run(c, call, &rq, &reply, err);
}

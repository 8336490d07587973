/*
 * DeleteMultipleObjects, and what stands for it where a bucket is hierarchical.
 *
 * OSS has no error per key: in verbose mode it names the keys that are gone, and a key it leaves
 * out is not. So the answer is compared with the question. Keys are XML text; control characters
 * other than TAB, LF and CR have no spelling in XML: such keys are deleted singly. A batch may
 * have 2 MB, which 1000 long keys full of & exceed: then it is sent as several.
 */
#include "base/cleanup.h"
#include "oss/digest.h"
#include "oss/fields.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_BYTES_MAX ((size_t)2 << 20)
#define KEY_BYTES_MAX   (OSS_KEY_MAX * 6 + 64) /* one key with its tags; &quot; is the longest */

static bool is_xml_text(const char *key)
{
    for (const unsigned char *c = (const unsigned char *)key; *c; c++) {
        if (*c < 0x20 && *c != '\t' && *c != '\n' && *c != '\r')
            return false;
        /* U+FFFE and U+FFFF are no characters of XML either. */
        if (c[0] == 0xef && c[1] == 0xbf && (c[2] == 0xbe || c[2] == 0xbf))
            return false;
    }
    return true;
}

static void write_key(struct ou_buf *out, const char *key)
{
    ou_buf_adds(out, "<Object><Key>");
    for (const char *c = key; *c; c++) {
        switch (*c) {
        case '&':
            ou_buf_adds(out, "&amp;");
            break;
        case '<':
            ou_buf_adds(out, "&lt;");
            break;
        case '>':
            ou_buf_adds(out, "&gt;");
            break;
        case '\t':
        case '\n':
        case '\r':
        case ' ': /* written so, no reader trims it */
            ou_buf_addf(out, "&#x%X;", (unsigned)*c);
            break;
        default:
            ou_buf_add(out, c, 1);
        }
    }
    ou_buf_adds(out, "</Key></Object>");
}

/* A key of the question, with its place in it. */
struct asked {
    const char *key;
    size_t len, index;
};

struct batch {
    struct asked *asked; /* sorted once the body is built */
    size_t count;
    bool *deleted; /* by .index */
    struct ou_buf text;
};

static void batch_fini(struct batch *b)
{
    free(b->asked);
    ou_buf_fini(&b->text);
}

static int by_key(const void *a, const void *b)
{
    const struct asked *x = a, *y = b;
    size_t len = x->len < y->len ? x->len : y->len;
    int order = memcmp(x->key, y->key, len);

    return order ? order : (x->len > y->len) - (x->len < y->len);
}

static void is_gone(void *ctx, const char *key, size_t key_len)
{
    struct batch *b = ctx;
    struct asked wanted = {.key = key, .len = key_len};
    const struct asked *hit = NULL, *end = b->asked + b->count;

    if (b->count)
        hit = bsearch(&wanted, b->asked, b->count, sizeof(wanted), by_key);
    if (!hit)
        return;
    while (hit > b->asked && !by_key(hit - 1, &wanted)) /* the same key may have been asked twice */
        hit--;
    for (; hit < end && !by_key(hit, &wanted); hit++)
        b->deleted[hit->index] = true;
}

static int accept_deleted(struct oss_request *rq, struct oss_reply *reply, struct ou_error *err)
{
    return oss_xml_deleted(reply->body.data, reply->body.len, is_gone, rq->ctx, err);
}

static ssize_t read_text(void *ctx, void *buf, size_t len, uint64_t offset, struct ou_error *err)
{
    const struct ou_buf *text = ctx;

    (void)err;
    memcpy(buf, text->data + offset, len);
    return (ssize_t)len;
}

static int send_batch(struct oss_client *c, const struct oss_call *call, struct batch *b,
                      struct ou_error *err)
{
    ou_auto(oss_request_fini) struct oss_request rq = {.op = ""};
    ou_auto(oss_reply_fini) struct oss_reply reply = {.crc64 = 0};
    struct oss_body body = {.read = read_text, .ctx = &b->text};
    char md5[OSS_MD5_BASE64_SIZE];
    int r;

    if (!b->count)
        return 0;
    ou_buf_adds(&b->text, "</Delete>");
    r = ou_buf_check(&b->text, err);
    if (r == 0)
        r = oss_md5_base64(b->text.data, b->text.len, md5, err);
    if (r == 0)
        r = oss_request_init(&rq, "delete a batch", "POST", NULL, 0, err);
    if (r < 0)
        return r;
    qsort(b->asked, b->count, sizeof(*b->asked), by_key);
    body.size = b->text.len;
    oss_request_query(&rq, "delete", NULL);
    oss_request_query(&rq, "encoding-type", "url");
    oss_headers_add(&rq.headers, "Content-MD5", md5);
    oss_headers_add(&rq.headers, "Content-Type", "application/xml");
    rq.has_body = true;
    rq.body = &body;
    rq.accept = accept_deleted;
    rq.ctx = b;
    return oss_request_run(c, call, &rq, &reply, err);
}

static void begin_batch(struct batch *b)
{
    b->count = 0;
    ou_buf_clear(&b->text);
    ou_buf_adds(&b->text, "<Delete><Quiet>false</Quiet>");
}

static int delete_batches(struct oss_client *c, const struct oss_call *call,
                          const char *const *keys, size_t count, struct batch *b,
                          struct ou_error *err)
{
    int r = 0;

    begin_batch(b);
    for (size_t i = 0; i < count && r == 0; i++) {
        if (!is_xml_text(keys[i]))
            continue;
        if (b->text.len + KEY_BYTES_MAX > BATCH_BYTES_MAX) {
            r = send_batch(c, call, b, err);
            begin_batch(b);
        }
        write_key(&b->text, keys[i]);
        b->asked[b->count++] = (struct asked){.key = keys[i], .len = strlen(keys[i]), .index = i};
    }
    return r < 0 ? r : send_batch(c, call, b, err);
}

static int delete_singly(struct oss_client *c, const struct oss_call *call, const char *const *keys,
                         size_t count, bool *deleted, struct ou_error *err)
{
    int r = 0;

    for (size_t i = 0; i < count && r == 0; i++) {
        if (is_xml_text(keys[i]))
            continue;
        r = oss_delete_object(c, call, keys[i], err);
        deleted[i] = r == 0;
    }
    return r;
}

/* What is in a directory comes before it; files before all directories. */
static int by_depth(const void *a, const void *b)
{
    const struct asked *x = a, *y = b;
    bool x_dir = x->key[x->len - 1] == '/', y_dir = y->key[y->len - 1] == '/';

    return x_dir != y_dir ? x_dir - y_dir : by_key(b, a);
}

/* A hierarchical bucket knows no batches. */
static int delete_each(struct oss_client *c, const struct oss_call *call, const char *const *keys,
                       size_t count, struct batch *b, struct ou_error *err)
{
    struct ou_error why = OU_ERROR_INIT;
    int r = 0;

    for (size_t i = 0; i < count; i++)
        b->asked[i] = (struct asked){.key = keys[i], .len = strlen(keys[i]), .index = i};
    qsort(b->asked, count, sizeof(*b->asked), by_depth);
    for (size_t i = 0; i < count && r == 0; i++) {
        r = oss_delete_object(c, call, b->asked[i].key, &why);
        b->deleted[b->asked[i].index] = r == 0;
        if (r == -ENOTEMPTY)
            r = 0;
    }
    if (r < 0)
        *err = why;
    return r;
}

int oss_delete_objects(struct oss_client *c, const struct oss_call *call, const char *const *keys,
                       size_t count, bool *deleted, struct ou_error *err)
{
    ou_auto(batch_fini) struct batch b = {.deleted = deleted};
    int done = 0;
    int r;

    if (!count || count > OSS_LIST_MAX)
        return ou_error_say(err, EINVAL, "delete a batch: %zu keys: it takes 1 to %u", count,
                            OSS_LIST_MAX);
    memset(deleted, 0, count * sizeof(*deleted));
    for (size_t i = 0; i < count; i++) {
        r = oss_key_check(keys[i], err);
        if (r < 0)
            return ou_error_prefix(err, "delete a batch");
    }
    b.asked = calloc(count, sizeof(*b.asked));
    if (!b.asked)
        return ou_error_set(err, ENOMEM, "delete a batch");
    if (oss_client_hierarchical(c))
        r = delete_each(c, call, keys, count, &b, err);
    else
        r = delete_batches(c, call, keys, count, &b, err);
    if (r == 0 && !oss_client_hierarchical(c))
        r = delete_singly(c, call, keys, count, deleted, err);
    for (size_t i = 0; i < count; i++)
        done += deleted[i];
    return r < 0 ? r : done;
}

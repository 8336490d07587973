/*
 * A line that is whole (its checksum was right) was written by some version of this program. If it
 * is not one of ours, the file is left alone; if it is, but holds what we would never write,
 * nothing that follows is believed.
 */
#include "transfer/checkpoint_lines.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTS_MIN 64u

/* -- reading -- */

static void forget_parts(struct xfer_checkpoint_state *s)
{
    s->part_count = 0;
    if (s->slot)
        memset(s->slot, 0, (OSS_PART_NUMBER_MAX + 1) * sizeof(*s->slot));
}

static void forget_upload(struct xfer_checkpoint_state *s)
{
    s->upload_id[0] = '\0';
    s->initiating = s->publishing = false;
    forget_parts(s);
}

void xfer_checkpoint_state_fini(struct xfer_checkpoint_state *s)
{
    free((char *)s->header.bucket);
    free((char *)s->header.key);
    free((char *)s->header.endpoint);
    free((char *)s->header.path);
    free(s->parts);
    free(s->where);
    free(s->slot);
    *s = (struct xfer_checkpoint_state){0};
}

/* Text without a NUL inside; NULL: absent, or no memory. */
static char *text_of(const struct ou_json *line, const char *name)
{
    size_t len = 0;
    char *text = ou_json_bytes(line, name, &len);

    if (text && strlen(text) != len) {
        free(text);
        return NULL;
    }
    return text;
}

static bool hex_of(const struct ou_json *line, const char *name, uint64_t *value)
{
    const char *text = ou_json_string(line, name);

    if (!text || strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
        return false;
    *value = strtoull(text, NULL, 16);
    return true;
}

static bool apply_header(struct xfer_checkpoint_state *s, const struct ou_json *line)
{
    struct xfer_checkpoint_header *h = &s->header;
    struct xfer_identity *id = &h->identity;

    if (s->has_header)
        return false;
    h->bucket = text_of(line, "bucket");
    h->key = text_of(line, "key");
    h->endpoint = text_of(line, "endpoint");
    h->path = text_of(line, "path");
    s->has_header = h->bucket && h->key && h->endpoint && h->path;
    return s->has_header && ou_json_u64(line, "size", &id->size) &&
           ou_json_i64(line, "mtime_ns", &id->mtime_ns) &&
           ou_json_i64(line, "ctime_ns", &id->ctime_ns) && ou_json_u64(line, "ino", &id->ino) &&
           ou_json_u64(line, "dev", &id->dev) && ou_json_u64(line, "part_size", &h->part_size) &&
           hex_of(line, "headers", &h->headers);
}

static bool apply_initiating(struct xfer_checkpoint_state *s, const struct ou_json *line)
{
    int64_t at;
    uint64_t at_ns;

    if (!ou_json_i64(line, "at", &at) || !ou_json_u64(line, "at_ns", &at_ns) ||
        at_ns >= UINT64_C(1000000000))
        return false;
    forget_upload(s);
    s->initiating = true;
    s->initiated = (struct timespec){.tv_sec = (time_t)at, .tv_nsec = (long)at_ns};
    return true;
}

static bool apply_upload_id(struct xfer_checkpoint_state *s, const struct ou_json *line)
{
    const char *id = ou_json_string(line, "id");

    if (!id || !*id || strlen(id) >= sizeof(s->upload_id))
        return false;
    forget_upload(s);
    (void)snprintf(s->upload_id, sizeof(s->upload_id), "%s", id);
    return true;
}

static bool part_of(const struct ou_json *line, struct oss_part *part, struct xfer_plan_part *where)
{
    const char *etag = ou_json_string(line, "etag");
    uint64_t number, offset, size, crc64;

    if (!ou_json_u64(line, "number", &number) || !ou_json_u64(line, "offset", &offset) ||
        !ou_json_u64(line, "size", &size) || !ou_json_u64(line, "crc64", &crc64) || !etag ||
        strlen(etag) >= sizeof(part->etag))
        return false;
    if (number < 1 || number > OSS_PART_NUMBER_MAX || size < 1 || size > OSS_PART_SIZE_MAX)
        return false;
    *part = (struct oss_part){
        .number = (unsigned)number, .size = size, .crc64 = crc64, .has_crc64 = true};
    (void)snprintf(part->etag, sizeof(part->etag), "%s", etag);
    *where = (struct xfer_plan_part){.number = (unsigned)number, .offset = offset, .size = size};
    return true;
}

static int reserve_part(struct xfer_checkpoint_state *s, struct ou_error *err)
{
    size_t cap = s->part_cap ? 2 * s->part_cap : PARTS_MIN;
    struct xfer_plan_part *where;
    struct oss_part *parts;

    if (s->part_count < s->part_cap)
        return 0;
    if (!s->slot)
        s->slot = calloc(OSS_PART_NUMBER_MAX + 1, sizeof(*s->slot));
    parts = realloc(s->parts, cap * sizeof(*parts));
    if (parts)
        s->parts = parts;
    where = realloc(s->where, cap * sizeof(*where));
    if (where)
        s->where = where;
    if (!s->slot || !parts || !where)
        return ou_error_set(err, ENOMEM, "checkpoint");
    s->part_cap = cap;
    return 0;
}

static int apply_part(struct xfer_checkpoint_state *s, const struct ou_json *line,
                      struct ou_error *err)
{
    struct xfer_plan_part where;
    struct oss_part part;
    size_t index;
    int r;

    if (!s->upload_id[0] || !part_of(line, &part, &where)) {
        s->damaged = true;
        return 0;
    }
    r = reserve_part(s, err);
    if (r < 0)
        return r;
    index = s->slot[part.number] ? s->slot[part.number] - 1u : s->part_count++;
    s->slot[part.number] = (uint16_t)(index + 1);
    s->parts[index] = part;
    s->where[index] = where;
    return 0;
}

static int not_ours(struct ou_error *err)
{
    return ou_error_say(err, EPROTO, "it was written by another version of ossfs-up");
}

int xfer_checkpoint_apply(struct xfer_checkpoint_state *s, const struct ou_json *line,
                          struct ou_error *err)
{
    const char *op = ou_json_string(line, "op");
    uint64_t format;
    bool good = true;

    if (s->damaged)
        return 0;
    if (!op)
        return not_ours(err);
    if (!s->has_header && (strcmp(op, "file") != 0 || !ou_json_u64(line, "format", &format) ||
                           format != XFER_CHECKPOINT_FORMAT))
        return not_ours(err);
    if (!strcmp(op, "file"))
        good = apply_header(s, line);
    else if (!strcmp(op, "initiating"))
        good = apply_initiating(s, line);
    else if (!strcmp(op, "upload_id"))
        good = apply_upload_id(s, line);
    else if (!strcmp(op, "part"))
        return apply_part(s, line, err);
    else if (!strcmp(op, "publishing"))
        s->publishing = good = s->upload_id[0] != '\0';
    else if (!strcmp(op, "forget"))
        forget_upload(s);
    else
        return not_ours(err);
    s->damaged = !good;
    return 0;
}

/* -- comparing -- */

bool xfer_checkpoint_same_target(const struct xfer_checkpoint_state *s,
                                 const struct xfer_checkpoint_header *now)
{
    const struct xfer_checkpoint_header *h = &s->header;

    return s->has_header && !strcmp(h->bucket, now->bucket) && !strcmp(h->key, now->key) &&
           !strcmp(h->endpoint, now->endpoint) && !strcmp(h->path, now->path);
}

const char *xfer_checkpoint_differs(const struct xfer_checkpoint_state *s,
                                    const struct xfer_checkpoint_header *now)
{
    const struct xfer_checkpoint_header *h = &s->header;

    if (!s->has_header)
        return "there is no record";
    if (s->damaged)
        return "the record is damaged";
    if (!xfer_checkpoint_same_target(s, now))
        return "the record is another upload's";
    if (!xfer_identity_same(&h->identity, &now->identity))
        return "the file has changed since";
    if (h->part_size != now->part_size)
        return "the part size is another";
    if (h->headers != now->headers)
        return "metadata, content type, storage class or encryption are others";
    return NULL;
}

/* -- writing -- */

static void add_text(struct ou_buf *out, const char *name, const char *text)
{
    ou_buf_addf(out, ",\"%s\":", name);
    ou_json_quote_bytes(out, text, strlen(text));
}

void xfer_checkpoint_header_line(struct ou_buf *out, const struct xfer_checkpoint_header *h)
{
    const struct xfer_identity *id = &h->identity;

    ou_buf_addf(out, "{\"op\":\"file\",\"format\":%u", XFER_CHECKPOINT_FORMAT);
    add_text(out, "bucket", h->bucket);
    add_text(out, "key", h->key);
    add_text(out, "endpoint", h->endpoint);
    add_text(out, "path", h->path);
    ou_buf_addf(out,
                ",\"size\":%" PRIu64 ",\"mtime_ns\":%" PRId64 ",\"ctime_ns\":%" PRId64
                ",\"ino\":%" PRIu64 ",\"dev\":%" PRIu64 ",\"part_size\":%" PRIu64
                ",\"headers\":\"%016" PRIx64 "\"}",
                id->size, id->mtime_ns, id->ctime_ns, id->ino, id->dev, h->part_size, h->headers);
}

static void part_line(struct ou_buf *out, const struct xfer_event *event)
{
    const struct oss_part *part = event->part;

    ou_buf_addf(out,
                "{\"op\":\"part\",\"number\":%u,\"offset\":%" PRIu64 ",\"size\":%" PRIu64
                ",\"crc64\":%" PRIu64,
                part->number, event->where->offset, event->where->size, part->crc64);
    add_text(out, "etag", part->etag);
    ou_buf_adds(out, "}");
}

void xfer_checkpoint_event_line(struct ou_buf *out, const struct xfer_event *event,
                                const struct timespec *now)
{
    switch (event->kind) {
    case XFER_EVENT_INITIATING:
        ou_buf_addf(out, "{\"op\":\"initiating\",\"at\":%lld,\"at_ns\":%ld}",
                    (long long)now->tv_sec, now->tv_nsec);
        break;
    case XFER_EVENT_UPLOAD_ID:
        ou_buf_adds(out, "{\"op\":\"upload_id\"");
        add_text(out, "id", event->upload_id);
        ou_buf_adds(out, "}");
        break;
    case XFER_EVENT_PART:
        part_line(out, event);
        break;
    case XFER_EVENT_PUBLISHING:
        ou_buf_adds(out, "{\"op\":\"publishing\"}");
        break;
    case XFER_EVENT_FORGET:
        ou_buf_adds(out, "{\"op\":\"forget\"}");
        break;
    }
}

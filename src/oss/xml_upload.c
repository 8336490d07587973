/*
 * ListPartsResult and ListMultipartUploadsResult.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "oss/xml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Room for one more of @count elements, doubling; false: no memory. */
static bool grow(void **array, size_t count, size_t *room, size_t size)
{
    size_t wanted = *room ? *room * 2 : 16;
    void *more;

    if (count < *room)
        return true;
    if (wanted <= count)
        wanted = count + 1;
    more = realloc(*array, wanted * size);
    if (!more)
        return false;
    *array = more;
    *room = wanted;
    return true;
}

/* -- parts -- */

struct parts {
    struct oss_part_list list;
    size_t room;
    struct oss_part now;
    bool has_size, truncated;
    uint64_t next_marker;
};

static void parts_fini(struct parts *p)
{
    oss_part_list_fini(&p->list);
}

static int push_part(struct parts *p, struct ou_error *err)
{
    void *array = p->list.parts;

    if (!p->now.number || p->now.number > OSS_PART_NUMBER_MAX || !p->has_size || !p->now.etag[0])
        return oss_xml_bad(err, "part %u without number, size or ETag", p->now.number);
    if (p->list.count == OSS_XML_ENTRIES_MAX)
        return oss_xml_bad(err, "more than %u parts in a page", OSS_XML_ENTRIES_MAX);
    if (!grow(&array, p->list.count, &p->room, sizeof(p->now)))
        return ou_error_set(err, ENOMEM, "parse a list of parts");
    p->list.parts = array;
    p->list.parts[p->list.count++] = p->now;
    p->now = (struct oss_part){.number = 0};
    p->has_size = false;
    return 0;
}

static int close_parts(void *ctx, const struct oss_xml_element *e, struct ou_error *err)
{
    struct parts *p = ctx;
    uint64_t n;

    if (e->depth == 1) {
        if (!strcmp(e->name, "Part"))
            return push_part(p, err);
        if (!strcmp(e->name, "IsTruncated"))
            p->truncated = !strcmp(e->text, "true");
        else if (!strcmp(e->name, "NextPartNumberMarker") &&
                 !ou_parse_u64(e->text, &p->next_marker))
            p->next_marker = 0;
        return 0;
    }
    if (e->depth != 2 || strcmp(e->parent, "Part") != 0)
        return 0;
    if (!strcmp(e->name, "PartNumber"))
        p->now.number = ou_parse_u64(e->text, &n) && n <= OSS_PART_NUMBER_MAX ? (unsigned)n : 0;
    else if (!strcmp(e->name, "Size"))
        p->has_size = ou_parse_u64(e->text, &p->now.size);
    else if (!strcmp(e->name, "ETag"))
        (void)oss_xml_etag(p->now.etag, e->text);
    else if (!strcmp(e->name, "HashCrc64ecma"))
        p->now.has_crc64 = ou_parse_u64(e->text, &p->now.crc64);
    return 0;
}

int oss_xml_parts(const void *data, size_t len, struct oss_part_list *out, bool *truncated,
                  unsigned *next_marker, struct ou_error *err)
{
    ou_auto(parts_fini) struct parts p = {.room = 0};
    struct oss_part *all;
    int r = oss_xml_parse(data, len, "ListPartsResult", close_parts, &p, err);

    if (r < 0)
        return r;
    if (p.truncated && (!p.next_marker || p.next_marker > OSS_PART_NUMBER_MAX))
        return oss_xml_bad(err, "a list of parts that goes on, and does not say where");
    *truncated = p.truncated;
    *next_marker = (unsigned)p.next_marker;
    if (!p.list.count)
        return 0;
    all = realloc(out->parts, (out->count + p.list.count) * sizeof(*all));
    if (!all)
        return ou_error_set(err, ENOMEM, "parse a list of parts");
    memcpy(all + out->count, p.list.parts, p.list.count * sizeof(*all));
    out->parts = all;
    out->count += p.list.count;
    return 0;
}

/* -- uploads -- */

struct uploads {
    struct oss_upload_list list;
    size_t room;
    struct oss_upload_entry now;
    bool encoded;
};

static void uploads_fini(struct uploads *u)
{
    oss_upload_list_fini(&u->list);
    free(u->now.key);
}

static int push_upload(struct uploads *u, struct ou_error *err)
{
    void *array = u->list.uploads;

    if (!u->now.key || !u->now.key[0] || !u->now.upload_id[0])
        return oss_xml_bad(err, "an upload without key or id");
    if (u->list.count == OSS_XML_ENTRIES_MAX)
        return oss_xml_bad(err, "more than %u uploads in a page", OSS_XML_ENTRIES_MAX);
    if (!grow(&array, u->list.count, &u->room, sizeof(u->now)))
        return ou_error_set(err, ENOMEM, "parse a list of uploads");
    u->list.uploads = array;
    u->list.uploads[u->list.count++] = u->now;
    u->now = (struct oss_upload_entry){.key = NULL};
    return 0;
}

static int keep_text(char **out, const char *text, struct ou_error *err)
{
    free(*out);
    *out = strdup(text);
    return *out ? 0 : ou_error_set(err, ENOMEM, "parse a list of uploads");
}

static int close_uploads(void *ctx, const struct oss_xml_element *e, struct ou_error *err)
{
    struct uploads *u = ctx;

    if (e->depth == 1) {
        if (!strcmp(e->name, "Upload"))
            return push_upload(u, err);
        if (!strcmp(e->name, "IsTruncated"))
            u->list.truncated = !strcmp(e->text, "true");
        else if (!strcmp(e->name, "EncodingType"))
            u->encoded = !strcmp(e->text, "url");
        else if (!strcmp(e->name, "NextKeyMarker") && e->len)
            return keep_text(&u->list.next_key, e->whole, err);
        else if (!strcmp(e->name, "NextUploadIdMarker") && e->len)
            return keep_text(&u->list.next_upload_id, e->text, err);
        return 0;
    }
    if (e->depth != 2 || strcmp(e->parent, "Upload") != 0)
        return 0;
    if (!strcmp(e->name, "Key"))
        return keep_text(&u->now.key, e->whole, err);
    if (!strcmp(e->name, "UploadId"))
        (void)oss_xml_copy(u->now.upload_id, sizeof(u->now.upload_id), e->text);
    else if (!strcmp(e->name, "Initiated"))
        (void)ou_parse_iso8601(e->text, &u->now.initiated);
    return 0;
}

int oss_xml_uploads(const void *data, size_t len, struct oss_upload_list *out, struct ou_error *err)
{
    ou_auto(uploads_fini) struct uploads u = {.room = 0};
    int r = oss_xml_parse(data, len, "ListMultipartUploadsResult", close_uploads, &u, err);

    if (r < 0)
        return r;
    if (u.list.truncated && !u.list.next_key)
        return oss_xml_bad(err, "a list of uploads that goes on, and does not say where");
    for (size_t i = 0; i < u.list.count; i++)
        (void)oss_xml_key(u.list.uploads[i].key, u.encoded);
    if (u.list.next_key)
        (void)oss_xml_key(u.list.next_key, u.encoded);
    *out = u.list;
    u.list = (struct oss_upload_list){.uploads = NULL};
    return 0;
}

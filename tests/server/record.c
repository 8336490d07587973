#include "server/record.h"

#include "server/text.h"

#include <inttypes.h>
#include <stdio.h>

struct json_object *srv_json_member(struct json_object *json, const char *name)
{
    struct json_object *member = NULL;

    if (!json_object_is_type(json, json_type_object) ||
        !json_object_object_get_ex(json, name, &member))
        return NULL;
    return member;
}

const char *srv_json_text(struct json_object *json, const char *name)
{
    struct json_object *member = srv_json_member(json, name);

    return json_object_is_type(member, json_type_string) ? json_object_get_string(member) : NULL;
}

int64_t srv_json_int(struct json_object *json, const char *name, int64_t fallback)
{
    struct json_object *member = srv_json_member(json, name);

    return json_object_is_type(member, json_type_int) ? json_object_get_int64(member) : fallback;
}

bool srv_json_bool(struct json_object *json, const char *name, bool fallback)
{
    struct json_object *member = srv_json_member(json, name);

    return json_object_is_type(member, json_type_boolean) ? json_object_get_boolean(member) != 0
                                                          : fallback;
}

static void add_text(struct json_object *to, const char *name, const char *value)
{
    if (value != NULL)
        (void)json_object_object_add(to, name, json_object_new_string(value));
}

static void add_int(struct json_object *to, const char *name, int64_t value)
{
    (void)json_object_object_add(to, name, json_object_new_int64(value));
}

static struct json_object *crc_text(uint64_t crc)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRIu64, crc);
    return json_object_new_string(text);
}

static struct json_object *md5_text(const uint8_t md5[SRV_MD5_BYTES])
{
    char text[2 * SRV_MD5_BYTES + 1];

    srv_hex(text, md5, SRV_MD5_BYTES, false);
    return json_object_new_string(text);
}

static struct json_object *record_segments(const struct srv_segments *s)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < s->count; i++) {
        const struct srv_segment *seg = &s->items[i];
        struct json_object *item = json_object_new_array();

        (void)json_object_array_add(item, json_object_new_int64((int64_t)seg->file->id));
        (void)json_object_array_add(item, json_object_new_int64((int64_t)seg->offset));
        (void)json_object_array_add(item, json_object_new_int64((int64_t)seg->length));
        (void)json_object_array_add(item, json_object_new_int64((int64_t)seg->file->size));
        (void)json_object_array_add(item, crc_text(seg->file->crc));
        (void)json_object_array_add(item, seg->file->has_md5 ? md5_text(seg->file->md5) : NULL);
        (void)json_object_array_add(list, item);
    }
    return list;
}

struct json_object *srv_record_attrs(const struct srv_attrs *a)
{
    struct json_object *json = json_object_new_object();
    struct json_object *headers = json_object_new_array();

    for (size_t i = 0; i < a->headers.count; i++) {
        struct json_object *pair = json_object_new_array();

        (void)json_object_array_add(pair, json_object_new_string(a->headers.items[i].name));
        (void)json_object_array_add(pair, json_object_new_string(a->headers.items[i].value));
        (void)json_object_array_add(headers, pair);
    }
    (void)json_object_object_add(json, "h", headers);
    add_text(json, "sc", a->storage_class);
    add_text(json, "acl", a->acl);
    add_text(json, "tags", a->tags);
    return json;
}

struct json_object *srv_record_object(const struct srv_object *o)
{
    struct json_object *json = json_object_new_object();

    add_int(json, "t", (int64_t)o->type);
    add_text(json, "e", o->etag);
    add_int(json, "m", o->mtime_ms);
    if (o->has_crc)
        (void)json_object_object_add(json, "c", crc_text(o->crc));
    if (o->has_md5)
        (void)json_object_object_add(json, "d", md5_text(o->md5));
    (void)json_object_object_add(json, "a", srv_record_attrs(&o->attrs));
    (void)json_object_object_add(json, "s", record_segments(&o->segments));
    add_text(json, "to", o->target);
    if (o->sealed)
        (void)json_object_object_add(json, "seal", json_object_new_boolean(1));
    if (o->restore_ready_ms != 0)
        add_int(json, "r", o->restore_ready_ms);
    return json;
}

struct json_object *srv_record_part(const struct srv_part *p)
{
    struct json_object *json = json_object_new_object();

    add_int(json, "n", p->number);
    add_text(json, "e", p->etag);
    add_int(json, "m", p->mtime_ms);
    if (p->has_crc)
        (void)json_object_object_add(json, "c", crc_text(p->crc));
    (void)json_object_object_add(json, "s", record_segments(&p->segments));
    return json;
}

static bool read_md5(const char *text, uint8_t md5[SRV_MD5_BYTES])
{
    if (text == NULL || strlen(text) != (size_t)2 * SRV_MD5_BYTES)
        return false;
    for (size_t i = 0; i < SRV_MD5_BYTES; i++) {
        char digits[3] = {text[2 * i], text[2 * i + 1], '\0'};

        md5[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return true;
}

static bool read_crc(struct json_object *json, bool *has_crc, uint64_t *crc)
{
    const char *text = srv_json_text(json, "c");

    *has_crc = text != NULL;
    return text == NULL || srv_parse_u64(text, crc);
}

static uint64_t item_u64(struct json_object *item, size_t i)
{
    return (uint64_t)json_object_get_int64(json_object_array_get_idx(item, i));
}

static bool read_segments(struct json_object *list, srv_record_file_fn *file, void *arg,
                          struct srv_segments *s)
{
    if (!json_object_is_type(list, json_type_array))
        return false;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        struct srv_datafile f = {0};
        const char *crc, *md5;

        if (!json_object_is_type(item, json_type_array) || json_object_array_length(item) != 6)
            return false;
        f.id = item_u64(item, 0);
        f.size = item_u64(item, 3);
        crc = json_object_get_string(json_object_array_get_idx(item, 4));
        md5 = json_object_get_string(json_object_array_get_idx(item, 5));
        if (crc == NULL || !srv_parse_u64(crc, &f.crc))
            return false;
        f.has_md5 = read_md5(md5, f.md5);
        srv_segments_add(s, file(arg, &f), item_u64(item, 1), item_u64(item, 2));
    }
    return true;
}

bool srv_record_read_attrs(struct json_object *json, struct srv_attrs *a)
{
    struct json_object *headers = srv_json_member(json, "h");
    const char *storage_class = srv_json_text(json, "sc");
    const char *acl = srv_json_text(json, "acl");
    const char *tags = srv_json_text(json, "tags");

    if (!json_object_is_type(headers, json_type_array) || storage_class == NULL || acl == NULL ||
        tags == NULL)
        return false;
    for (size_t i = 0; i < json_object_array_length(headers); i++) {
        struct json_object *pair = json_object_array_get_idx(headers, i);

        if (!json_object_is_type(pair, json_type_array) || json_object_array_length(pair) != 2)
            return false;
        srv_pairs_add(&a->headers, json_object_get_string(json_object_array_get_idx(pair, 0)),
                      json_object_get_string(json_object_array_get_idx(pair, 1)));
    }
    a->storage_class = srv_xstrdup(storage_class);
    a->acl = srv_xstrdup(acl);
    a->tags = srv_xstrdup(tags);
    return true;
}

static void read_etag(struct json_object *json, char etag[SRV_ETAG_MAX])
{
    const char *text = srv_json_text(json, "e");

    (void)snprintf(etag, SRV_ETAG_MAX, "%s", text == NULL ? "" : text);
}

bool srv_record_read_part(struct json_object *json, srv_record_file_fn *file, void *arg,
                          struct srv_part *p)
{
    p->number = (unsigned)srv_json_int(json, "n", 0);
    p->mtime_ms = srv_json_int(json, "m", 0);
    read_etag(json, p->etag);
    return p->number > 0 && read_crc(json, &p->has_crc, &p->crc) &&
           read_segments(srv_json_member(json, "s"), file, arg, &p->segments);
}

struct srv_object *srv_record_read_object(struct json_object *json, srv_record_file_fn *file,
                                          void *arg)
{
    int64_t type = srv_json_int(json, "t", -1);
    struct srv_object *o;

    if (type < SRV_NORMAL || type > SRV_DIRECTORY)
        return NULL;
    o = srv_object_new((enum srv_object_type)type);
    o->mtime_ms = srv_json_int(json, "m", 0);
    o->restore_ready_ms = srv_json_int(json, "r", 0);
    o->sealed = srv_json_bool(json, "seal", false);
    o->target = srv_xstrdup(srv_json_text(json, "to"));
    o->has_md5 = read_md5(srv_json_text(json, "d"), o->md5);
    read_etag(json, o->etag);
    if (!read_crc(json, &o->has_crc, &o->crc) ||
        !srv_record_read_attrs(srv_json_member(json, "a"), &o->attrs) ||
        !read_segments(srv_json_member(json, "s"), file, arg, &o->segments) ||
        (type == SRV_SYMLINK && o->target == NULL)) {
        srv_object_unref(o);
        return NULL;
    }
    return o;
}

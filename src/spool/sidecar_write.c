/*
 * Sidecar records as text. See spool/sidecar.h for the format, field by field.
 */
#include "spool/sidecar.h"

#include <inttypes.h>
#include <string.h>

static void put_bytes(struct ou_buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    ou_buf_addf(out, ",\"%s\":", name);
    ou_json_quote_bytes(out, value, strlen(value));
}

static void put_bool(struct ou_buf *out, const char *name, bool value)
{
    ou_buf_addf(out, ",\"%s\":%s", name, value ? "true" : "false");
}

static void put_u64(struct ou_buf *out, const char *name, uint64_t value)
{
    ou_buf_addf(out, ",\"%s\":%" PRIu64, name, value);
}

static void put_time(struct ou_buf *out, const char *name, struct timespec t)
{
    ou_buf_addf(out, ",\"%s\":%" PRId64 ",\"%s_ns\":%ld", name, (int64_t)t.tv_sec, name, t.tv_nsec);
}

static void put_base(struct ou_buf *out, const struct spool_base *base)
{
    if (!base || !base->present)
        return;
    ou_buf_addf(out, ",\"base\":{\"size\":%" PRIu64, base->size);
    put_bytes(out, "key", base->key);
    put_bytes(out, "etag", base->etag);
    ou_buf_adds(out, "}");
}

static void put_attr(struct ou_buf *out, const struct spool_attr *a, uint64_t number)
{
    ou_buf_addf(out, ",\"attr\":{\"n\":%" PRIu64 ",\"mode\":%u,\"uid\":%u,\"gid\":%u", number,
                (unsigned)a->mode, (unsigned)a->uid, (unsigned)a->gid);
    put_time(out, "mtime", a->mtime);
    if (a->has_atime)
        put_time(out, "atime", a->atime);
    if (a->has_ctime)
        put_time(out, "ctime", a->ctime);
    put_bytes(out, "xattr", a->xattr);
    put_bytes(out, "content_type", a->content_type);
    put_bytes(out, "cache_control", a->cache_control);
    put_bytes(out, "content_disposition", a->content_disposition);
    put_bytes(out, "content_encoding", a->content_encoding);
    put_bytes(out, "expires", a->expires);
    put_bytes(out, "storage_class", a->storage_class);
    ou_buf_adds(out, ",\"other\":[");
    for (size_t i = 0; i < a->other_count; i++) {
        ou_buf_adds(out, i ? ",{\"name\":" : "{\"name\":");
        ou_json_quote_bytes(out, a->other[i].name, strlen(a->other[i].name));
        put_bytes(out, "value", a->other[i].value);
        ou_buf_adds(out, "}");
    }
    ou_buf_adds(out, "]}");
}

void spool_record_file(struct ou_buf *out, const struct spool_sidecar *s)
{
    ou_buf_addf(out, "{\"type\":\"file\",\"format\":%u,\"id\":\"%s\",\"seq\":%" PRIu64,
                SPOOL_SIDECAR_FORMAT, s->id, s->seq);
    put_bytes(out, "key", s->key);
    put_bool(out, "absent", s->absent);
    ou_buf_addf(out, ",\"created\":%" PRId64, s->created);
    put_base(out, &s->base);
    put_attr(out, &s->attr, s->attr_number);
    put_u64(out, "attr_published", s->attr_published);
    ou_buf_adds(out, "}");
}

void spool_record_attr(struct ou_buf *out, const struct spool_attr *attr, uint64_t number)
{
    ou_buf_adds(out, "{\"type\":\"attr\"");
    put_attr(out, attr, number);
    ou_buf_adds(out, "}");
}

/* A list of extents that begins a new record when the one before is long enough. */
struct extent_writer {
    struct ou_buf *out;
    unsigned count; /* in the record that is being written */
    bool any;
};

static void put_extent(struct extent_writer *w, uint64_t offset, uint64_t size, int slot)
{
    if (w->count == SPOOL_LINE_EXTENTS) {
        ou_buf_adds(w->out, "]}\n");
        w->count = 0;
    }
    if (w->count == 0)
        ou_buf_addf(w->out, "{\"type\":\"extents\",\"first\":%s,\"extents\":[",
                    w->any ? "false" : "true");
    else
        ou_buf_adds(w->out, ",");
    w->count++;
    w->any = true;
    ou_buf_addf(w->out, "[%" PRIu64 ",%" PRIu64 ",%d]", offset, size, slot);
}

static void put_covered(struct extent_writer *w, const struct extent_map *map, uint64_t from,
                        uint64_t end)
{
    struct extent e;

    while (from < end && extent_map_next(map, from, &e) && e.offset < end) {
        uint64_t begin = e.offset > from ? e.offset : from;
        uint64_t stop = e.offset + e.size < end ? e.offset + e.size : end;

        put_extent(w, begin, stop - begin, (int)e.slot);
        from = stop;
    }
}

void spool_record_stable(struct ou_buf *out, const struct spool_stable *v)
{
    struct extent_writer w = {.out = out};
    struct extent e;
    uint64_t at = 0;

    if (!v->where)
        put_covered(&w, v->map, 0, v->size);
    while (v->where && extent_map_next(v->where, at, &e)) {
        at = e.offset + e.size;
        put_covered(&w, v->map, e.offset, at < v->size ? at : v->size);
    }
    if (w.count)
        ou_buf_adds(out, "]}\n");
    ou_buf_addf(out,
                "{\"type\":\"stable\",\"version\":%" PRIu64 ",\"cut\":%" PRIu64 ",\"size\":%" PRIu64
                ",\"base_limit\":%" PRIu64,
                v->version, v->cut, v->size, v->base_limit);
    put_bool(out, "extents", w.any);
    put_bool(out, "synced", v->synced);
    ou_buf_addf(out, ",\"boot\":\"%s\",\"time\":%" PRId64, v->boot, v->time);
    if (v->attr)
        put_attr(out, v->attr, v->attr_number);
    put_base(out, v->base);
    ou_buf_adds(out, "}\n");
}

void spool_record_synced(struct ou_buf *out, uint64_t version)
{
    ou_buf_addf(out, "{\"type\":\"synced\",\"version\":%" PRIu64 "}", version);
}

void spool_record_rename(struct ou_buf *out, uint64_t seq, const char *key, bool absent,
                         const struct spool_base *base)
{
    ou_buf_addf(out, "{\"type\":\"rename\",\"seq\":%" PRIu64, seq);
    put_bytes(out, "key", key);
    put_bool(out, "absent", absent);
    put_base(out, base);
    ou_buf_adds(out, "}");
}

void spool_record_initiating(struct ou_buf *out, const char *key, uint64_t attr,
                             struct timespec time)
{
    ou_buf_addf(out, "{\"type\":\"initiating\",\"attr\":%" PRIu64, attr);
    put_bytes(out, "key", key);
    put_time(out, "time", time);
    ou_buf_adds(out, "}");
}

void spool_record_upload(struct ou_buf *out, const char *upload_id, uint64_t attr)
{
    ou_buf_addf(out, "{\"type\":\"upload\",\"attr\":%" PRIu64, attr);
    put_bytes(out, "upload_id", upload_id);
    ou_buf_adds(out, "}");
}

void spool_record_part(struct ou_buf *out, const struct spool_part *p)
{
    ou_buf_addf(out, "{\"type\":\"part\",\"number\":%u,\"offset\":%" PRIu64 ",\"size\":%" PRIu64,
                p->part.number, p->offset, p->part.size);
    put_bytes(out, "etag", p->part.etag);
    put_bool(out, "copy", p->copy);
    if (p->stale)
        put_bool(out, "stale", true);
    if (p->released)
        put_bool(out, "released", true);
    if (p->part.has_crc64)
        put_u64(out, "crc64", p->part.crc64);
    ou_buf_adds(out, "}");
}

void spool_record_released(struct ou_buf *out, uint64_t offset, uint64_t size)
{
    ou_buf_addf(out, "{\"type\":\"released\",\"offset\":%" PRIu64 ",\"size\":%" PRIu64 "}", offset,
                size);
}

void spool_record_clean(struct ou_buf *out, uint64_t offset, uint64_t size)
{
    ou_buf_addf(out, "{\"type\":\"clean\",\"offset\":%" PRIu64 ",\"size\":%" PRIu64 "}", offset,
                size);
}

void spool_record_freeze(struct ou_buf *out, uint64_t version)
{
    ou_buf_addf(out, "{\"type\":\"freeze\",\"version\":%" PRIu64 "}", version);
}

void spool_record_publishing(struct ou_buf *out, const char *key, uint64_t version, uint64_t size,
                             uint64_t attr)
{
    ou_buf_addf(out,
                "{\"type\":\"publishing\",\"version\":%" PRIu64 ",\"size\":%" PRIu64
                ",\"attr\":%" PRIu64,
                version, size, attr);
    put_bytes(out, "key", key);
    ou_buf_adds(out, "}");
}

void spool_record_published(struct ou_buf *out, const char *etag, uint64_t size, uint64_t version,
                            uint64_t attr)
{
    ou_buf_addf(out,
                "{\"type\":\"published\",\"size\":%" PRIu64 ",\"version\":%" PRIu64
                ",\"attr\":%" PRIu64,
                size, version, attr);
    put_bytes(out, "etag", etag);
    ou_buf_adds(out, "}");
}

void spool_record_fetched(struct ou_buf *out, uint64_t offset, uint64_t size, enum extent_slot slot)
{
    struct extent_writer w = {.out = out};

    put_extent(&w, offset, size, (int)slot);
    ou_buf_adds(out, "]}\n{\"type\":\"fetched\"}\n");
}

void spool_record_rebase(struct ou_buf *out, const struct spool_base *base)
{
    ou_buf_adds(out, "{\"type\":\"rebase\"");
    put_base(out, base);
    ou_buf_adds(out, "}");
}

void spool_record_failed(struct ou_buf *out, const struct ou_error *error, int64_t time)
{
    ou_buf_addf(out, "{\"type\":\"failed\",\"errno\":%d,\"http_status\":%d,\"time\":%" PRId64,
                error->errnum, error->http_status, time);
    put_bytes(out, "code", error->code);
    put_bytes(out, "request_id", error->request_id);
    put_bytes(out, "message", error->message);
    ou_buf_adds(out, "}");
}

void spool_record_unlinked(struct ou_buf *out, bool replaced)
{
    ou_buf_adds(out, "{\"type\":\"unlinked\"");
    put_bool(out, "replaced", replaced);
    ou_buf_adds(out, "}");
}

void spool_record_word(struct ou_buf *out, const char *type)
{
    ou_buf_addf(out, "{\"type\":\"%s\"}", type);
}

static void put_ranges(struct ou_buf *out, const char *name, const struct extent_map *set)
{
    struct extent e;
    uint64_t at = 0;

    ou_buf_addf(out, ",\"%s\":[", name);
    for (bool first = true; extent_map_next(set, at, &e); first = false) {
        ou_buf_addf(out, "%s[%" PRIu64 ",%" PRIu64 "]", first ? "" : ",", e.offset, e.size);
        at = e.offset + e.size;
    }
    ou_buf_adds(out, "]");
}

static void put_upload(struct ou_buf *out, const struct spool_upload_state *u)
{
    if (u->initiating || *u->upload_id) {
        spool_record_initiating(out, u->key, u->attr, u->initiated);
        ou_buf_adds(out, "\n");
    }
    if (*u->upload_id) {
        spool_record_upload(out, u->upload_id, u->attr);
        ou_buf_adds(out, "\n");
    }
    for (size_t i = 0; i < u->part_count; i++) {
        spool_record_part(out, &u->parts[i]);
        ou_buf_adds(out, "\n");
    }
    if (u->frozen) {
        spool_record_freeze(out, u->version);
        ou_buf_adds(out, "\n");
    }
    if (u->publishing) {
        spool_record_publishing(out, u->key, u->version, u->size, u->attr);
        ou_buf_adds(out, "\n");
    }
}

int spool_record_all(struct ou_buf *out, const struct spool_sidecar *s, const char *boot,
                     struct ou_error *err)
{
    struct spool_stable v = {.version = s->version,
                             .size = s->size,
                             .base_limit = s->base_limit,
                             .map = &s->map,
                             .synced = s->version == s->synced_version,
                             .boot = boot,
                             .time = s->time};

    spool_record_file(out, s);
    ou_buf_adds(out, "\n");
    if (s->version) {
        spool_record_stable(out, &v);
        put_upload(out, &s->upload);
        ou_buf_adds(out, "{\"type\":\"changed\"");
        put_ranges(out, "ranges", &s->changed);
        put_ranges(out, "moved", &s->upload.moved);
        ou_buf_adds(out, "}\n");
    } else {
        put_upload(out, &s->upload);
    }
    if (s->failed.errnum) {
        spool_record_failed(out, &s->failed, s->failed_time);
        ou_buf_adds(out, "\n");
    }
    if (s->unlinked) {
        spool_record_unlinked(out, s->replaced);
        ou_buf_adds(out, "\n");
    }
    return ou_buf_check(out, err);
}

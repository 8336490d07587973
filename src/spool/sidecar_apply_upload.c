/*
 * What the records of an upload mean: from its beginning to the object, or to nothing.
 *
 *   freeze, publishing  what had changed is on its way (upload.moved); from now on .changed tells
 *                       what changes meanwhile
 *   published           the object is the base now, and there is no upload
 *   unpublished         what was on its way is not known to be there: it counts as changed again,
 *                       unless it stays frozen
 *   canceled            likewise, frozen or not, and there is no upload
 *   forget              the upload id is gone, and its parts with it
 */
#include "spool/sidecar_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* -- parts -- */

/* The new version has its bytes there and nowhere else. */
static bool is_kept_by(const struct spool_part *p, const struct extent_map *coming)
{
    struct extent e = extent_map_at(coming, p->offset);

    return p->released && e.slot == EXTENT_SENT && e.size >= p->part.size;
}

void spool_drop_parts(struct spool_upload_state *u, const struct extent_map *coming, uint64_t cut)
{
    size_t kept = 0;

    for (size_t i = 0; i < u->part_count; i++) {
        struct spool_part *p = &u->parts[i];
        uint64_t end = p->offset + p->part.size;
        struct extent e;

        if (!is_kept_by(p, coming) &&
            (end > cut || (extent_map_next(coming, p->offset, &e) && e.offset < end))) {
            if (!u->publishing && !u->frozen)
                continue;
            p->stale = true;
        }
        u->parts[kept++] = *p;
    }
    u->part_count = kept;
}

static void drop_stale_parts(struct spool_upload_state *u)
{
    size_t kept = 0;

    for (size_t i = 0; i < u->part_count; i++) {
        if (!u->parts[i].stale)
            u->parts[kept++] = u->parts[i];
    }
    u->part_count = kept;
}

/* -- records -- */

static int apply_initiating(struct spool_sidecar *s, const struct ou_json *line,
                            const struct spool_sidecar_trust *trust, struct ou_error *err)
{
    struct spool_upload_state *u = &s->upload;
    bool has_time;
    int r;

    (void)trust;
    if ((r = spool_get_u64(line, "attr", UINT64_MAX, &u->attr, err)) < 0 ||
        (r = spool_get_time(line, "time", "time_ns", &has_time, &u->initiated, err)) < 0 ||
        (r = spool_get_bytes(line, "key", true, &u->key, err)) < 0)
        return r;
    u->initiating = true;
    u->upload_id[0] = '\0';
    u->part_count = 0;
    return 0;
}

static int apply_upload(struct spool_sidecar *s, const struct ou_json *line,
                        const struct spool_sidecar_trust *trust, struct ou_error *err)
{
    (void)trust;
    if (!s->upload.key)
        return spool_broken(err, "place: upload without initiating");
    s->upload.initiating = false;
    s->upload.part_count = 0;
    if (!ou_json_u64(line, "attr", &s->upload.attr))
        return spool_broken(err, "attr");
    return spool_get_text(line, "upload_id", s->upload.upload_id, sizeof(s->upload.upload_id), err);
}

static int parts_add(struct spool_upload_state *u, const struct spool_part *p, struct ou_error *err)
{
    for (size_t i = 0; i < u->part_count; i++) {
        if (u->parts[i].part.number == p->part.number) {
            u->parts[i] = *p;
            return 0;
        }
    }
    if (u->part_count == u->part_room) {
        size_t room = u->part_room ? 2 * u->part_room : 16;
        struct spool_part *parts = reallocarray(u->parts, room, sizeof(*parts));

        if (!parts)
            return ou_error_set(err, ENOMEM, "remember a part");
        u->parts = parts;
        u->part_room = room;
    }
    u->parts[u->part_count++] = *p;
    return 0;
}

static int apply_part(struct spool_sidecar *s, const struct ou_json *line,
                      const struct spool_sidecar_trust *trust, struct ou_error *err)
{
    struct spool_part p = {0};
    uint64_t number, end;
    int r;

    (void)trust;
    if ((r = spool_get_u64(line, "number", OSS_PART_NUMBER_MAX, &number, err)) < 0 ||
        (r = spool_get_u64(line, "offset", SPOOL_SIZE_MAX, &p.offset, err)) < 0 ||
        (r = spool_get_u64(line, "size", SPOOL_SIZE_MAX, &p.part.size, err)) < 0 ||
        (r = spool_get_text(line, "etag", p.part.etag, sizeof(p.part.etag), err)) < 0)
        return r;
    if (!number || __builtin_add_overflow(p.offset, p.part.size, &end) ||
        !ou_json_bool(line, "copy", &p.copy))
        return spool_broken(err, "number");
    p.part.number = (unsigned)number;
    (void)ou_json_bool(line, "stale", &p.stale);
    (void)ou_json_bool(line, "released", &p.released);
    p.part.has_crc64 = ou_json_u64(line, "crc64", &p.part.crc64);
    if (s->doubtful || !*s->upload.upload_id)
        return 0; /* it has the bytes of a version that was left out */
    return parts_add(&s->upload, &p, err);
}

static int apply_released(struct spool_sidecar *s, const struct ou_json *line,
                          const struct spool_sidecar_trust *trust, struct ou_error *err)
{
    uint64_t offset, size;
    int r;

    (void)trust;
    if ((r = spool_get_u64(line, "offset", SPOOL_SIZE_MAX, &offset, err)) < 0 ||
        (r = spool_get_u64(line, "size", SPOOL_SIZE_MAX, &size, err)) < 0)
        return r;
    if (offset > s->size || size > s->size - offset)
        return s->doubtful ? 0 : spool_broken(err, "range");
    return size ? extent_map_set(&s->map, offset, size, EXTENT_SENT, err) : 0;
}

static int apply_clean(struct spool_sidecar *s, const struct ou_json *line,
                       const struct spool_sidecar_trust *trust, struct ou_error *err)
{
    int r;

    if (!s->base.present || extent_map_has(&s->map, EXTENT_SENT, 0, s->size))
        return s->doubtful ? 0 : spool_broken(err, "place: clean without a base");
    r = apply_released(s, line, trust, err);
    return r < 0 ? r : spool_sent_to_base(&s->map, &s->base_limit, err);
}

static int move_changed(struct spool_sidecar *s, struct ou_error *err)
{
    int r = spool_set_add_map(&s->upload.moved, &s->changed, s->size, err);

    if (r == 0)
        extent_map_fini(&s->changed);
    return r;
}

static int apply_freeze(struct spool_sidecar *s, const struct ou_json *line,
                        const struct spool_sidecar_trust *trust, struct ou_error *err)
{
    int r = spool_get_u64(line, "version", UINT64_MAX, &s->upload.version, err);

    (void)trust;
    if (r < 0)
        return r;
    s->upload.frozen = true;
    return move_changed(s, err);
}

static int apply_publishing(struct spool_sidecar *s, const struct ou_json *line,
                            const struct spool_sidecar_trust *trust, struct ou_error *err)
{
    struct spool_upload_state *u = &s->upload;
    uint64_t version;
    int r;

    (void)trust;
    if ((r = spool_get_u64(line, "version", UINT64_MAX, &version, err)) < 0 ||
        (r = spool_get_u64(line, "size", SPOOL_SIZE_MAX, &u->size, err)) < 0 ||
        (r = spool_get_u64(line, "attr", UINT64_MAX, &u->attr, err)) < 0 ||
        (r = spool_get_bytes(line, "key", true, &u->key, err)) < 0)
        return r;
    u->frozen = u->frozen && version == u->version;
    u->version = version;
    u->publishing = true;
    return u->frozen ? 0 : move_changed(s, err); /* what is frozen was moved then */
}

/* What was on its way is not known to be there. */
static int take_back(struct spool_sidecar *s, struct ou_error *err)
{
    int r = s->upload.frozen ? 0 : spool_set_add_map(&s->changed, &s->upload.moved, s->size, err);

    if (r < 0)
        return r;
    if (!s->upload.frozen)
        extent_map_fini(&s->upload.moved);
    s->upload.publishing = false;
    if (!s->upload.frozen)
        drop_stale_parts(&s->upload);
    return 0;
}

static int apply_unpublished(struct spool_sidecar *s, const struct ou_json *line,
                             const struct spool_sidecar_trust *trust, struct ou_error *err)
{
    (void)line;
    (void)trust;
    return take_back(s, err);
}

static int apply_forget(struct spool_sidecar *s, const struct ou_json *line,
                        const struct spool_sidecar_trust *trust, struct ou_error *err)
{
    struct spool_upload_state *u = &s->upload;

    (void)line;
    (void)trust;
    (void)err;
    u->upload_id[0] = '\0';
    u->initiating = false;
    u->part_count = 0;
    if (!u->publishing) {
        free(u->key);
        u->key = NULL;
    }
    return 0;
}

static int apply_canceled(struct spool_sidecar *s, const struct ou_json *line,
                          const struct spool_sidecar_trust *trust, struct ou_error *err)
{
    int r;

    (void)line;
    (void)trust;
    s->upload.frozen = false;
    r = take_back(s, err);
    if (r == 0)
        spool_upload_state_fini(&s->upload);
    return r;
}

static int apply_published(struct spool_sidecar *s, const struct ou_json *line,
                           const struct spool_sidecar_trust *trust, struct ou_error *err)
{
    struct spool_base b = {.present = true};
    uint64_t version, attr;
    int r;

    if (!s->upload.key)
        return spool_broken(err, "place: published without publishing");
    if ((r = spool_get_u64(line, "size", SPOOL_SIZE_MAX, &b.size, err)) < 0 ||
        (r = spool_get_u64(line, "version", UINT64_MAX, &version, err)) < 0 ||
        (r = spool_get_u64(line, "attr", UINT64_MAX, &attr, err)) < 0 ||
        (r = spool_get_text(line, "etag", b.etag, sizeof(b.etag), err)) < 0)
        return r;
    if (version > s->version || (trust && trust->others && version == s->version)) {
        /* What is here locally is older or in doubt; what is in the bucket is neither. */
        extent_map_fini(&s->map);
        extent_map_fini(&s->changed);
        s->version = version;
        s->size = b.size;
        s->base_limit = b.size;
    }
    b.key = s->upload.key;
    s->upload.key = NULL;
    spool_base_fini(&s->base);
    s->base = b;
    spool_upload_state_fini(&s->upload);
    s->attr_published = attr;
    s->absent = false;
    s->failed = (struct ou_error)OU_ERROR_INIT;
    s->synced_version = 0; /* the bucket is the older version to fall back to */
    extent_map_fini(&s->unsynced);
    return spool_sent_to_base(&s->map, &s->base_limit, err);
}

const struct spool_record spool_upload_records[] = {
    {"initiating", apply_initiating},
    {"upload", apply_upload},
    {"part", apply_part},
    {"released", apply_released},
    {"clean", apply_clean},
    {"freeze", apply_freeze},
    {"publishing", apply_publishing},
    {"unpublished", apply_unpublished},
    {"forget", apply_forget},
    {"canceled", apply_canceled},
    {"published", apply_published},
    {NULL, NULL}, /* the end */
};

/*
 * What sidecar records mean: the state that is left when they are applied in order.
 *
 * Invariants, kept by each record:
 *   - map lies within [0, size), base_limit <= size;
 *   - changed and upload.moved lie within [0, size); outside both, and below base.size, the
 *     stable version equals the base;
 *   - upload.parts are parts whose bytes equal those of the stable version.
 */
#include "spool/sidecar_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int apply_file(struct spool_sidecar *s, const struct ou_json *line,
                      const struct spool_sidecar_trust *trust, struct ou_error *err)
{
    uint64_t format;
    int r;

    (void)trust;
    if (!ou_json_u64(line, "format", &format) || format != SPOOL_SIDECAR_FORMAT)
        return ou_error_say(err, ENOTSUP,
                            "a sidecar of another format: it takes another version "
                            "of ossfs-up");
    if ((r = spool_get_text(line, "id", s->id, sizeof(s->id), err)) < 0 ||
        (r = spool_get_u64(line, "seq", UINT64_MAX, &s->seq, err)) < 0 ||
        (r = spool_get_bytes(line, "key", true, &s->key, err)) < 0 ||
        (r = spool_apply_attr(s, line, err)) < 0 ||
        (r = spool_get_u64(line, "attr_published", UINT64_MAX, &s->attr_published, err)) < 0)
        return r;
    if (!ou_json_bool(line, "absent", &s->absent) || !ou_json_i64(line, "created", &s->created))
        return spool_broken(err, "absent");
    s->time = s->created;
    if (ou_json_get(line, "base")) {
        r = spool_apply_base(s, line, err);
        if (r < 0)
            return r;
        s->size = s->base.size;
        s->base_limit = s->base.size;
    }
    s->begun = true;
    return 0;
}

static int apply_extents(struct spool_sidecar *s, const struct ou_json *line,
                         const struct spool_sidecar_trust *trust, struct ou_error *err)
{
    bool first = false;

    (void)trust;
    if (!ou_json_bool(line, "first", &first))
        return spool_broken(err, "first");
    if (first)
        extent_map_fini(&s->coming);
    return spool_get_extents(ou_json_get(line, "extents"), true, &s->coming, err);
}

/* The new version has its bytes there and nowhere else. */
static bool is_kept_by(const struct spool_part *p, const struct extent_map *coming)
{
    struct extent e = extent_map_at(coming, p->offset);

    return p->released && e.slot == EXTENT_SENT && e.size >= p->part.size;
}

/*
 * The bytes of @coming and all at and beyond @cut have changed: forget what said otherwise. While
 * a version is being published its parts are what tells whether it was, so they are only marked.
 */
static void drop_parts(struct spool_upload_state *u, const struct extent_map *coming, uint64_t cut)
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

static int lay_over(struct spool_sidecar *s, uint64_t cut, uint64_t size, uint64_t base_limit,
                    struct ou_error *err)
{
    uint64_t fresh = cut > base_limit ? cut : base_limit;
    struct extent e;
    uint64_t at = 0;
    int r;

    extent_map_cut(&s->coming, size);
    extent_map_cut(&s->map, cut);
    extent_map_cut(&s->changed, cut);
    extent_map_cut(&s->upload.moved, cut);
    while (extent_map_next(&s->coming, at, &e)) {
        at = e.offset + e.size;
        r = extent_map_set(&s->map, e.offset, e.size, e.slot, err);
        if (r < 0)
            return r;
    }
    r = spool_set_add_map(&s->changed, &s->coming, size, err);
    if (r == 0)
        r = spool_set_add(&s->changed, fresh, size, err); /* cut off and grown again: zeros */
    if (r == 0 && s->synced_version)
        r = spool_set_add_map(&s->unsynced, &s->coming, size, err);
    if (r == 0 && s->synced_version && cut < s->size)
        r = spool_set_add(&s->unsynced, cut, s->size, err);
    return r;
}

static bool trusted(const struct spool_sidecar_trust *trust, const struct ou_json *line,
                    uint64_t version, bool synced)
{
    const char *boot = ou_json_string(line, "boot");

    return !trust || synced || version <= trust->version || !*trust->boot ||
           (boot && !strcmp(boot, trust->boot));
}

static int apply_stable(struct spool_sidecar *s, const struct ou_json *line,
                        const struct spool_sidecar_trust *trust, struct ou_error *err)
{
    uint64_t version, cut, size, base_limit;
    bool synced = false, extents = false;
    int r;

    if ((r = spool_get_u64(line, "version", UINT64_MAX, &version, err)) < 0 ||
        (r = spool_get_u64(line, "size", SPOOL_SIZE_MAX, &size, err)) < 0 ||
        (r = spool_get_u64(line, "cut", SPOOL_SIZE_MAX, &cut, err)) < 0 ||
        (r = spool_get_u64(line, "base_limit", size, &base_limit, err)) < 0)
        return r;
    if (!ou_json_bool(line, "synced", &synced) || !ou_json_bool(line, "extents", &extents) ||
        !ou_json_i64(line, "time", &s->time))
        return spool_broken(err, "synced");
    if (!extents)
        extent_map_fini(&s->coming); /* left by a crash before their stable record */
    if (!trusted(trust, line, version, synced)) {
        extent_map_fini(&s->coming);
        s->doubtful = true;
        return 0;
    }
    if (ou_json_get(line, "attr") && (r = spool_apply_attr(s, line, err)) < 0)
        return r;
    if (ou_json_get(line, "base") && (r = spool_apply_base(s, line, err)) < 0)
        return r;
    drop_parts(&s->upload, &s->coming, cut);
    r = lay_over(s, cut, size, base_limit, err);
    if (r < 0)
        return r;
    extent_map_fini(&s->coming);
    s->version = version;
    s->size = size;
    s->base_limit = base_limit;
    if (synced) {
        s->synced_version = version;
        extent_map_fini(&s->unsynced);
    }
    return 0;
}

static int apply_synced(struct spool_sidecar *s, const struct ou_json *line,
                        const struct spool_sidecar_trust *trust, struct ou_error *err)
{
    uint64_t version;
    int r = spool_get_u64(line, "version", UINT64_MAX, &version, err);

    (void)trust;
    if (r < 0)
        return r;
    if (version > s->synced_version)
        s->synced_version = version;
    if (version == s->version)
        extent_map_fini(&s->unsynced);
    return 0;
}

static int apply_changed(struct spool_sidecar *s, const struct ou_json *line,
                         const struct spool_sidecar_trust *trust, struct ou_error *err)
{
    int r;

    (void)trust;
    extent_map_fini(&s->changed);
    extent_map_fini(&s->upload.moved);
    r = spool_get_extents(ou_json_get(line, "ranges"), false, &s->changed, err);
    if (r == 0)
        r = spool_get_extents(ou_json_get(line, "moved"), false, &s->upload.moved, err);
    extent_map_cut(&s->changed, s->size);
    extent_map_cut(&s->upload.moved, s->size);
    return r;
}

static int apply_rename(struct spool_sidecar *s, const struct ou_json *line,
                        const struct spool_sidecar_trust *trust, struct ou_error *err)
{
    int r;

    (void)trust;
    if ((r = spool_get_u64(line, "seq", UINT64_MAX, &s->seq, err)) < 0 ||
        (r = spool_get_bytes(line, "key", true, &s->key, err)) < 0)
        return r;
    if (!ou_json_bool(line, "absent", &s->absent))
        return spool_broken(err, "absent");
    return ou_json_get(line, "base") ? spool_apply_base(s, line, err) : 0;
}

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

static int apply_fetched(struct spool_sidecar *s, const struct ou_json *line,
                         const struct spool_sidecar_trust *trust, struct ou_error *err)
{
    struct extent e;
    uint64_t at = 0;
    int r = 0;

    (void)line;
    if (trust && trust->others) { /* it may not have reached the disk; the base has it, too */
        extent_map_fini(&s->coming);
        return 0;
    }
    extent_map_cut(&s->coming, s->size);
    while (r == 0 && extent_map_next(&s->coming, at, &e)) {
        at = e.offset + e.size;
        r = extent_map_set(&s->map, e.offset, e.size, e.slot, err);
    }
    extent_map_fini(&s->coming);
    return r;
}

static int apply_rebase(struct spool_sidecar *s, const struct ou_json *line,
                        const struct spool_sidecar_trust *trust, struct ou_error *err)
{
    int r = ou_json_get(line, "base") ? spool_apply_base(s, line, err) : spool_broken(err, "base");

    (void)trust;
    if (r < 0)
        return r;
    extent_map_fini(&s->map);
    extent_map_fini(&s->changed);
    s->size = s->base_limit = s->base.size;
    return 0;
}

static int apply_baseless(struct spool_sidecar *s, const struct ou_json *line,
                          const struct spool_sidecar_trust *trust, struct ou_error *err)
{
    int r;

    (void)line;
    (void)trust;
    r = spool_set_add(&s->changed, 0, s->size, err);
    if (r < 0)
        return r;
    spool_base_fini(&s->base);
    s->base_limit = 0;
    s->upload.part_count = 0; /* copies of the base among them */
    s->upload.frozen = s->upload.publishing = false;
    extent_map_fini(&s->upload.moved);
    if (!s->version) /* without base and version there would be nothing */
        s->version = 1;
    return 0;
}

static int apply_failed(struct spool_sidecar *s, const struct ou_json *line,
                        const struct spool_sidecar_trust *trust, struct ou_error *err)
{
    struct ou_error e = OU_ERROR_INIT;
    uint64_t number, status;
    int r;

    (void)trust;
    if ((r = spool_get_u64(line, "errno", INT32_MAX, &number, err)) < 0 ||
        (r = spool_get_u64(line, "http_status", INT32_MAX, &status, err)) < 0 ||
        (r = spool_get_text(line, "code", e.code, sizeof(e.code), err)) < 0 ||
        (r = spool_get_text(line, "request_id", e.request_id, sizeof(e.request_id), err)) < 0 ||
        (r = spool_get_text(line, "message", e.message, sizeof(e.message), err)) < 0)
        return r;
    if (!ou_json_i64(line, "time", &s->failed_time))
        return spool_broken(err, "time");
    e.errnum = (int)number;
    e.http_status = (int)status;
    s->failed = e;
    return 0;
}

static int apply_unlinked(struct spool_sidecar *s, const struct ou_json *line,
                          const struct spool_sidecar_trust *trust, struct ou_error *err)
{
    (void)line;
    (void)trust;
    (void)err;
    s->unlinked = true;
    return 0;
}

typedef int apply_fn(struct spool_sidecar *s, const struct ou_json *line,
                     const struct spool_sidecar_trust *trust, struct ou_error *err);

static const struct {
    const char *type;
    apply_fn *apply;
} records[] = {
    {"file", apply_file},
    {"extents", apply_extents},
    {"stable", apply_stable},
    {"synced", apply_synced},
    {"changed", apply_changed},
    {"rename", apply_rename},
    {"initiating", apply_initiating},
    {"upload", apply_upload},
    {"part", apply_part},
    {"released", apply_released},
    {"freeze", apply_freeze},
    {"publishing", apply_publishing},
    {"unpublished", apply_unpublished},
    {"forget", apply_forget},
    {"canceled", apply_canceled},
    {"published", apply_published},
    {"fetched", apply_fetched},
    {"rebase", apply_rebase},
    {"baseless", apply_baseless},
    {"failed", apply_failed},
    {"unlinked", apply_unlinked},
};

int spool_sidecar_apply(struct spool_sidecar *s, const struct ou_json *line,
                        const struct spool_sidecar_trust *trust, struct ou_error *err)
{
    const char *type = ou_json_string(line, "type");

    if (!type)
        return spool_broken(err, "type");
    if (strcmp(type, "file") != 0 && !s->begun)
        return spool_broken(err, "beginning");
    if (!strcmp(type, "attr"))
        return spool_apply_attr(s, line, err);
    for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
        if (!strcmp(type, records[i].type))
            return records[i].apply(s, line, trust, err);
    }
    return ou_error_say(err, EBADMSG, "a sidecar record of the unknown type %s", type);
}

int spool_sidecar_survey(struct spool_sidecar_trust *trust, const struct ou_json *line,
                         struct ou_error *err)
{
    const char *type = ou_json_string(line, "type");
    const char *boot = ou_json_string(line, "boot");
    bool stable = type && !strcmp(type, "stable");
    bool synced = false;
    uint64_t version;

    (void)err;
    if (!type || (!stable && strcmp(type, "synced") != 0) ||
        !ou_json_u64(line, "version", &version))
        return 0;
    if (!stable)
        synced = true;
    else
        (void)ou_json_bool(line, "synced", &synced);
    if (synced && version > trust->version)
        trust->version = version;
    if (!synced && (!boot || strcmp(boot, trust->boot) != 0))
        trust->others = true;
    return 0;
}

/*
 * What sidecar records mean: the state that is left when they are applied in order.
 *
 * Invariants, kept by each record:
 *   - map lies within [0, size), base_limit <= size;
 *   - changed and upload.moved lie within [0, size); outside both, and below base.size, the
 *     stable version equals the base;
 *   - upload.parts are parts whose bytes equal those of the stable version.
 *
 * The records of an upload are in sidecar_apply_upload.c.
 */
#include "spool/sidecar_impl.h"

#include <errno.h>
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
        (r = spool_get_u64(line, "cut", size, &cut, err)) < 0 ||
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
    spool_drop_parts(&s->upload, &s->coming, cut);
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
    (void)trust;
    (void)err;
    s->unlinked = true;
    (void)ou_json_bool(line, "replaced", &s->replaced);
    return 0;
}

static const struct spool_record records[] = {
    {"file", apply_file}, /* the first */
    {"extents", apply_extents},
    {"stable", apply_stable},
    {"synced", apply_synced},
    {"changed", apply_changed},
    {"rename", apply_rename},
    {"fetched", apply_fetched},
    {"rebase", apply_rebase},
    {"baseless", apply_baseless},
    {"failed", apply_failed},
    {"unlinked", apply_unlinked},
    {NULL, NULL}, /* the end */
};

/* NULL: @type is none of @list. */
static spool_apply_fn *find(const struct spool_record *list, const char *type)
{
    for (; list->type; list++)
        if (!strcmp(type, list->type))
            return list->apply;
    return NULL;
}

int spool_sidecar_apply(struct spool_sidecar *s, const struct ou_json *line,
                        const struct spool_sidecar_trust *trust, struct ou_error *err)
{
    const char *type = ou_json_string(line, "type");
    spool_apply_fn *apply;

    if (!type)
        return spool_broken(err, "type");
    if (strcmp(type, "file") != 0 && !s->begun)
        return spool_broken(err, "beginning");
    if (!strcmp(type, "attr"))
        return spool_apply_attr(s, line, err);
    apply = find(records, type);
    if (!apply)
        apply = find(spool_upload_records, type);
    if (apply)
        return apply(s, line, trust, err);
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

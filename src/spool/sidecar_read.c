/*
 * Members of sidecar records, read as from outside: no type and no bound is taken for granted.
 */
#include "spool/sidecar_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int spool_broken(struct ou_error *err, const char *what)
{
    return ou_error_say(err, EBADMSG, "a sidecar record without a good %s", what);
}

int spool_get_u64(const struct ou_json *o, const char *name, uint64_t max, uint64_t *value,
                  struct ou_error *err)
{
    if (!ou_json_u64(o, name, value) || *value > max)
        return spool_broken(err, name);
    return 0;
}

/* Replaces *@to; an absent member becomes NULL unless @must. */
int spool_get_bytes(const struct ou_json *o, const char *name, bool must, char **to,
                    struct ou_error *err)
{
    size_t len = 0;
    char *value = NULL;

    if (ou_json_get(o, name)) {
        value = ou_json_bytes(o, name, &len);
        if (!value || strlen(value) != len) {
            free(value);
            return spool_broken(err, name);
        }
    } else if (must) {
        return spool_broken(err, name);
    }
    free(*to);
    *to = value;
    return 0;
}

int spool_get_text(const struct ou_json *o, const char *name, char *to, size_t room,
                   struct ou_error *err)
{
    const char *value = ou_json_string(o, name);

    if (!value || strlen(value) >= room)
        return spool_broken(err, name);
    memcpy(to, value, strlen(value) + 1);
    return 0;
}

int spool_get_time(const struct ou_json *o, const char *name, const char *name_ns, bool *has,
                   struct timespec *t, struct ou_error *err)
{
    int64_t s, ns;

    *has = ou_json_i64(o, name, &s);
    if (!*has)
        return 0;
    if (!ou_json_i64(o, name_ns, &ns) || ns < 0 || ns > 999999999)
        return spool_broken(err, name_ns);
    *t = (struct timespec){.tv_sec = (time_t)s, .tv_nsec = (long)ns};
    return 0;
}

static int get_other(const struct ou_json *o, struct spool_attr *a, struct ou_error *err)
{
    const struct ou_json *list = ou_json_get(o, "other");
    size_t count = ou_json_length(list);

    if (!count)
        return 0;
    a->other = calloc(count, sizeof(*a->other));
    if (!a->other)
        return ou_error_set(err, ENOMEM, "read attributes");
    for (size_t i = 0; i < count; i++) {
        const struct ou_json *item = ou_json_at(list, i);
        char *name = NULL, *value = NULL;
        int r = spool_get_bytes(item, "name", true, &name, err);

        if (r == 0)
            r = spool_get_bytes(item, "value", true, &value, err);
        a->other[i] = (struct oss_meta){.name = name, .value = value};
        a->other_count = i + 1;
        if (r < 0)
            return r;
    }
    return 0;
}

static int get_attr_into(const struct ou_json *o, struct spool_attr *a, struct ou_error *err)
{
    uint64_t mode, uid, gid;
    bool has_mtime;
    int r;

    if ((r = spool_get_u64(o, "mode", UINT32_MAX, &mode, err)) < 0 ||
        (r = spool_get_u64(o, "uid", UINT32_MAX, &uid, err)) < 0 ||
        (r = spool_get_u64(o, "gid", UINT32_MAX, &gid, err)) < 0 ||
        (r = spool_get_time(o, "mtime", "mtime_ns", &has_mtime, &a->mtime, err)) < 0 ||
        (r = spool_get_time(o, "atime", "atime_ns", &a->has_atime, &a->atime, err)) < 0 ||
        (r = spool_get_time(o, "ctime", "ctime_ns", &a->has_ctime, &a->ctime, err)) < 0 ||
        (r = spool_get_bytes(o, "xattr", false, &a->xattr, err)) < 0 ||
        (r = spool_get_bytes(o, "content_type", false, &a->content_type, err)) < 0 ||
        (r = spool_get_bytes(o, "cache_control", false, &a->cache_control, err)) < 0 ||
        (r = spool_get_bytes(o, "content_disposition", false, &a->content_disposition, err)) < 0 ||
        (r = spool_get_bytes(o, "content_encoding", false, &a->content_encoding, err)) < 0 ||
        (r = spool_get_bytes(o, "expires", false, &a->expires, err)) < 0 ||
        (r = spool_get_bytes(o, "storage_class", false, &a->storage_class, err)) < 0)
        return r;
    if (!has_mtime)
        return spool_broken(err, "mtime");
    a->mode = (mode_t)mode;
    a->uid = (uid_t)uid;
    a->gid = (gid_t)gid;
    return get_other(o, a, err);
}

int spool_apply_attr(struct spool_sidecar *s, const struct ou_json *line, struct ou_error *err)
{
    const struct ou_json *o = ou_json_get(line, "attr");
    struct spool_attr a = {0};
    uint64_t number;
    int r;

    if (!o)
        return spool_broken(err, "attr");
    r = spool_get_u64(o, "n", UINT64_MAX, &number, err);
    if (r == 0)
        r = get_attr_into(o, &a, err);
    if (r < 0) {
        spool_attr_fini(&a);
        return r;
    }
    spool_attr_fini(&s->attr);
    s->attr = a;
    s->attr_number = number;
    return 0;
}

int spool_apply_base(struct spool_sidecar *s, const struct ou_json *line, struct ou_error *err)
{
    const struct ou_json *o = ou_json_get(line, "base");
    struct spool_base b = {.present = true};
    int r;

    r = spool_get_u64(o, "size", SPOOL_SIZE_MAX, &b.size, err);
    if (r == 0)
        r = spool_get_text(o, "etag", b.etag, sizeof(b.etag), err);
    if (r == 0)
        r = spool_get_bytes(o, "key", true, &b.key, err);
    if (r < 0)
        return r;
    spool_base_fini(&s->base);
    s->base = b;
    return 0;
}

/* Calls set(@to, offset, size, slot) for [[offset, size(, slot)]...]. */
int spool_get_extents(const struct ou_json *list, bool slots, struct extent_map *to,
                      struct ou_error *err)
{
    for (size_t i = 0, n = ou_json_length(list); i < n; i++) {
        const struct ou_json *item = ou_json_at(list, i);
        uint64_t offset, size, slot = EXTENT_A, end;
        int r;

        if (!ou_json_value_u64(ou_json_at(item, 0), &offset) ||
            !ou_json_value_u64(ou_json_at(item, 1), &size) ||
            (slots && !ou_json_value_u64(ou_json_at(item, 2), &slot)) || slot > EXTENT_SENT ||
            !size || __builtin_add_overflow(offset, size, &end) || end > SPOOL_SIZE_MAX)
            return spool_broken(err, "extent");
        r = extent_map_set(to, offset, size, (enum extent_slot)slot, err);
        if (r < 0)
            return r;
    }
    return 0;
}

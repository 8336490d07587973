/* Told in fs/attrs_record.h. */
#include "fs/attrs_record.h"

#include "base/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* -- writing -- */

static void write_string(struct ou_buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    ou_buf_addf(out, ",\"%s\":", name);
    ou_json_quote_bytes(out, value, strlen(value));
}

static void write_time(struct ou_buf *out, const char *name, const struct timespec *t)
{
    ou_buf_addf(out, ",\"%s\":[%" PRId64 ",%ld]", name, (int64_t)t->tv_sec, t->tv_nsec);
}

static void write_version(struct ou_buf *out, const struct fs_record *r)
{
    const struct fs_version *v = r->listed ? r->listed : &r->object;

    write_string(out, "e", v->etag);
    ou_buf_addf(out, ",\"s\":%" PRIu64, v->size);
    if (v->modified_s != FS_MODIFIED_UNKNOWN)
        ou_buf_addf(out, ",\"m\":%" PRId64, v->modified_s);
    else
        ou_buf_addf(out, ",\"w\":%" PRId64, v->written_s);
    if (r->object.has_crc64)
        ou_buf_addf(out, ",\"c\":%" PRIu64, r->object.crc64);
    if (v->link) {
        write_string(out, "he", r->object.etag);
        ou_buf_addf(out, ",\"hs\":%" PRIu64, r->object.size);
    }
}

static void write_attr(struct ou_buf *out, const struct spool_attr *a)
{
    ou_buf_addf(out, ",\"mode\":%u,\"uid\":%u,\"gid\":%u", (unsigned)a->mode, (unsigned)a->uid,
                (unsigned)a->gid);
    write_time(out, "mt", &a->mtime);
    if (a->has_atime)
        write_time(out, "at", &a->atime);
    if (a->has_ctime)
        write_time(out, "ct", &a->ctime);
    write_string(out, "x", a->xattr);
    write_string(out, "ty", a->content_type);
    write_string(out, "cc", a->cache_control);
    write_string(out, "cd", a->content_disposition);
    write_string(out, "ce", a->content_encoding);
    write_string(out, "ex", a->expires);
    write_string(out, "sc", a->storage_class);
    for (size_t i = 0; i < a->other_count; i++) {
        ou_buf_adds(out, i ? ",[" : ",\"o\":[[");
        ou_json_quote_bytes(out, a->other[i].name, strlen(a->other[i].name));
        ou_buf_adds(out, ",");
        ou_json_quote_bytes(out, a->other[i].value, strlen(a->other[i].value));
        ou_buf_adds(out, i + 1 == a->other_count ? "]]" : "]");
    }
}

void fs_record_write(struct ou_buf *out, const struct fs_record *r)
{
    ou_buf_adds(out, "{\"k\":");
    ou_json_quote_bytes(out, r->key, strlen(r->key));
    if (r->implied) {
        ou_buf_adds(out, ",\"implied\":true}");
        return;
    }
    write_version(out, r);
    write_string(out, "t", r->target);
    write_attr(out, &r->attr);
    ou_buf_adds(out, "}");
}

/* -- reading -- */

static bool read_time(const struct ou_json *line, const char *name, struct timespec *t)
{
    const struct ou_json *array = ou_json_get(line, name);
    uint64_t ns;
    int64_t s; /* negative before 1970 */

    if (ou_json_length(array) != 2 || !ou_json_value_i64(ou_json_at(array, 0), &s) ||
        !ou_json_value_u64(ou_json_at(array, 1), &ns) || ns > 999999999)
        return false;
    *t = (struct timespec){.tv_sec = (time_t)s, .tv_nsec = (long)ns};
    return true;
}

static bool read_etag(const struct ou_json *line, const char *name, char etag[OSS_ETAG_SIZE])
{
    const char *text = ou_json_string(line, name);

    if (!text || strlen(text) >= OSS_ETAG_SIZE)
        return false;
    memcpy(etag, text, strlen(text) + 1);
    return true;
}

static bool read_version(const struct ou_json *line, struct fs_version *seen,
                         struct fs_version *object)
{
    *seen = (struct fs_version){.modified_s = FS_MODIFIED_UNKNOWN};
    if (!read_etag(line, "e", seen->etag) || !ou_json_u64(line, "s", &seen->size))
        return false;
    if (!ou_json_i64(line, "m", &seen->modified_s) && !ou_json_i64(line, "w", &seen->written_s))
        return false;
    seen->has_crc64 = ou_json_u64(line, "c", &seen->crc64);
    *object = *seen;
    if (read_etag(line, "he", object->etag) && ou_json_u64(line, "hs", &object->size)) {
        seen->link = object->link = true;
        seen->has_crc64 = false;
    }
    return true;
}

static bool read_attr(const struct ou_json *line, struct spool_attr *a)
{
    uint64_t mode, uid, gid;

    if (!ou_json_u64(line, "mode", &mode) || !ou_json_u64(line, "uid", &uid) ||
        !ou_json_u64(line, "gid", &gid) || !read_time(line, "mt", &a->mtime))
        return false;
    a->mode = (mode_t)mode;
    a->uid = (uid_t)uid;
    a->gid = (gid_t)gid;
    a->has_atime = read_time(line, "at", &a->atime);
    a->has_ctime = read_time(line, "ct", &a->ctime);
    return true;
}

static void read_strings(const struct ou_json *line, struct spool_attr *a)
{
    size_t len;

    a->xattr = ou_json_bytes(line, "x", &len);
    a->content_type = ou_json_bytes(line, "ty", &len);
    a->cache_control = ou_json_bytes(line, "cc", &len);
    a->content_disposition = ou_json_bytes(line, "cd", &len);
    a->content_encoding = ou_json_bytes(line, "ce", &len);
    a->expires = ou_json_bytes(line, "ex", &len);
    a->storage_class = ou_json_bytes(line, "sc", &len);
}

/* Borrowed strings: the record gets copies. */
static int read_other(const struct ou_json *line, struct spool_attr *a)
{
    const struct ou_json *array = ou_json_get(line, "o");
    size_t count = ou_json_length(array);

    if (!count)
        return 0;
    a->other = calloc(count, sizeof(*a->other));
    if (!a->other)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const struct ou_json *pair = ou_json_at(array, i);
        const char *name = ou_json_value_string(ou_json_at(pair, 0));
        const char *value = ou_json_value_string(ou_json_at(pair, 1));

        if (name && value)
            a->other[a->other_count++] = (struct oss_meta){.name = name, .value = value};
    }
    return 0;
}

int fs_record_read(struct fs_attrs *attrs, const struct ou_json *line, struct ou_error *err)
{
    struct spool_attr attr = {.mode = 0};
    struct fs_version seen, object;
    ou_autofree char *key = NULL, *target = NULL;
    bool implied = false;
    size_t len;
    int r;

    key = ou_json_bytes(line, "k", &len);
    if (!key || len != strlen(key))
        return 0;
    if (ou_json_bool(line, "implied", &implied) && implied)
        return fs_attrs_put_implied(attrs, key, err);
    if (!read_version(line, &seen, &object) || !read_attr(line, &attr))
        return 0;
    if (read_other(line, &attr) < 0)
        return ou_error_set(err, ENOMEM, "attribute cache");
    read_strings(line, &attr);
    seen.storage_class = object.storage_class = oss_storage_class_of(attr.storage_class);
    r = fs_attrs_put(attrs, key, &seen, &object, &attr, err);
    target = ou_json_bytes(line, "t", &len);
    if (r == 0 && target)
        fs_attrs_put_target(attrs, key, &seen, target);
    free(attr.other);
    attr.other = NULL;
    attr.other_count = 0;
    spool_attr_fini(&attr);
    return r;
}

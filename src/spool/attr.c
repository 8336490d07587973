/*
 * Attributes to metadata and back. The formats are ossfs's (see attr.h); what we
 * do not understand is kept as it came and written back as it came.
 */
#include "spool/attr.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define DEFAULT_FILE_MODE 0640
#define DEFAULT_DIR_MODE  0750
#define DIRECTORY_TYPE    "application/x-directory"
#define DEFAULT_TYPE      "application/octet-stream"

void spool_attr_fini(struct spool_attr *a)
{
    free(a->xattr);
    free(a->content_type);
    free(a->cache_control);
    free(a->content_disposition);
    free(a->content_encoding);
    free(a->expires);
    free(a->storage_class);
    for (size_t i = 0; i < a->other_count; i++) {
        free((char *)a->other[i].name);
        free((char *)a->other[i].value);
    }
    free(a->other);
    memset(a, 0, sizeof(*a));
}

/* NULL stays NULL. */
static bool dup_to(char **to, const char *from)
{
    *to = from ? strdup(from) : NULL;
    return *to || !from;
}

static bool copy_other(struct spool_attr *to, const struct oss_meta *meta, size_t count)
{
    if (count == 0)
        return true;
    to->other = calloc(count, sizeof(*to->other));
    if (!to->other)
        return false;
    for (size_t i = 0; i < count; i++) {
        char *name = strdup(meta[i].name), *value = strdup(meta[i].value);

        to->other[to->other_count++] = (struct oss_meta){.name = name, .value = value};
        if (!name || !value)
            return false;
    }
    return true;
}

int spool_attr_copy(struct spool_attr *to, const struct spool_attr *from, struct ou_error *err)
{
    struct spool_attr copy = *from;
    bool ok;

    copy.other = NULL;
    copy.other_count = 0;
    ok = dup_to(&copy.xattr, from->xattr);
    ok = dup_to(&copy.content_type, from->content_type) && ok;
    ok = dup_to(&copy.cache_control, from->cache_control) && ok;
    ok = dup_to(&copy.content_disposition, from->content_disposition) && ok;
    ok = dup_to(&copy.content_encoding, from->content_encoding) && ok;
    ok = dup_to(&copy.expires, from->expires) && ok;
    ok = dup_to(&copy.storage_class, from->storage_class) && ok;
    ok = copy_other(&copy, from->other, from->other_count) && ok;
    if (!ok) {
        spool_attr_fini(&copy);
        return ou_error_set(err, ENOMEM, "attributes");
    }
    *to = copy;
    return 0;
}

/* SEC, or SEC.FRACTION with one to nine digits (ossfs writes nine, rclone as many as it needs). */
static bool parse_time(const char *s, struct timespec *t)
{
    const char *p = s;
    bool negative = *p == '-';
    int64_t sec = 0;
    long nsec = 0;

    if (negative)
        p++;
    if (*p < '0' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(sec, 10, &sec) || __builtin_add_overflow(sec, *p - '0', &sec))
            return false;
    if (*p == '.') {
        long unit = 100000000;

        for (p++; *p >= '0' && *p <= '9'; p++, unit /= 10)
            nsec += unit * (*p - '0'); /* beyond nine digits: unit is 0 */
    }
    if (*p != '\0')
        return false;
    if (negative) {
        sec = -sec;
        if (nsec > 0) {
            sec--;
            nsec = 1000000000 - nsec;
        }
    }
    *t = (struct timespec){.tv_sec = sec, .tv_nsec = nsec};
    return true;
}

static bool parse_number(const char *s, uint64_t max, uint64_t *value)
{
    return s && ou_parse_u64(s, value) && *value <= max;
}

static const char *first_meta(const struct oss_object *o, const char *name, const char *other)
{
    const char *value = oss_object_meta(o, name);

    return value ? value : oss_object_meta(o, other);
}

static bool is_ours(const char *name)
{
    static const char *const ours[] = {"mode", "uid", "gid", "mtime", "atime", "ctime", "xattr"};

    for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
        if (strcasecmp(name, ours[i]) == 0)
            return true;
    return false;
}

static bool is_directory(const struct oss_object *object, const char *key)
{
    size_t len = strlen(key);

    return (len > 0 && key[len - 1] == '/') ||
           (object->size == 0 && strcmp(object->content_type, DIRECTORY_TYPE) == 0);
}

static mode_t mode_of(const struct oss_object *object, const char *key,
                      const struct spool_attr_defaults *defaults)
{
    bool directory = is_directory(object, key);
    uint64_t mode;

    if (!parse_number(first_meta(object, "mode", "permissions"), 0177777, &mode))
        return directory ? (S_IFDIR | (DEFAULT_DIR_MODE & ~defaults->umask))
                         : (S_IFREG | (DEFAULT_FILE_MODE & ~defaults->umask));
    if (directory)
        return S_IFDIR | ((mode_t)mode & 07777);
    if (S_ISLNK((mode_t)mode))
        return S_IFLNK | 0777;
    return S_IFREG | ((mode_t)mode & 07777); /* no object is a device */
}

static void times_of(const struct oss_object *object, struct spool_attr *out)
{
    const char *value = oss_object_meta(object, "mtime");

    out->mtime = object->last_modified;
    if (value)
        (void)parse_time(value, &out->mtime);
    out->atime = out->ctime = out->mtime;
    value = oss_object_meta(object, "atime");
    out->has_atime = value && parse_time(value, &out->atime);
    value = oss_object_meta(object, "ctime");
    out->has_ctime = value && parse_time(value, &out->ctime);
}

/* What an object has that is written without one: not worth remembering for millions. */
static bool is_default_type(const char *type)
{
    return type[0] == '\0' || strcmp(type, DEFAULT_TYPE) == 0;
}

static bool copy_strings(const struct oss_object *object, struct spool_attr *out)
{
    bool ok = dup_to(&out->xattr, oss_object_meta(object, "xattr"));

    ok = dup_to(&out->content_type,
                is_default_type(object->content_type) ? NULL : object->content_type) &&
         ok;
    ok = dup_to(&out->cache_control, object->cache_control) && ok;
    ok = dup_to(&out->content_disposition, object->content_disposition) && ok;
    ok = dup_to(&out->content_encoding, object->content_encoding) && ok;
    ok = dup_to(&out->expires, object->expires) && ok;
    ok = dup_to(&out->storage_class, object->storage_class[0] ? object->storage_class : NULL) && ok;
    for (size_t i = 0; ok && i < object->meta_count; i++)
        if (!is_ours(object->meta[i].name)) {
            struct oss_meta *grown =
                realloc(out->other, (out->other_count + 1) * sizeof(*out->other));
            char *name = strdup(object->meta[i].name), *value = strdup(object->meta[i].value);

            ok = grown && name && value;
            if (grown)
                out->other = grown;
            if (ok) {
                out->other[out->other_count++] = (struct oss_meta){.name = name, .value = value};
            } else {
                free(name);
                free(value);
            }
        }
    return ok;
}

int spool_attr_from_object(const struct oss_object *object, const char *key,
                           const struct spool_attr_defaults *defaults, struct spool_attr *out,
                           struct ou_error *err)
{
    struct spool_attr attr = {0};
    uint64_t id;

    attr.mode = mode_of(object, key, defaults);
    attr.uid = parse_number(first_meta(object, "uid", "owner"), UINT32_MAX - 1, &id)
                   ? (uid_t)id
                   : defaults->uid;
    attr.gid = parse_number(first_meta(object, "gid", "group"), UINT32_MAX - 1, &id)
                   ? (gid_t)id
                   : defaults->gid;
    times_of(object, &attr);
    if (!copy_strings(object, &attr)) {
        spool_attr_fini(&attr);
        return ou_error_set(err, ENOMEM, "attributes of %s", key);
    }
    *out = attr;
    return 0;
}

void spool_attr_from_listing(const struct oss_list_entry *entry,
                             const struct spool_attr_defaults *defaults, struct spool_attr *out)
{
    bool directory =
        entry->is_prefix || (entry->key_len > 0 && entry->key[entry->key_len - 1] == '/');

    memset(out, 0, sizeof(*out));
    out->mode = directory ? (S_IFDIR | (DEFAULT_DIR_MODE & ~defaults->umask))
                          : (S_IFREG | (DEFAULT_FILE_MODE & ~defaults->umask));
    out->uid = defaults->uid;
    out->gid = defaults->gid;
    out->mtime = out->atime = out->ctime = entry->last_modified;
}

static void format_time(char *out, size_t size, const struct timespec *t)
{
    int64_t sec = t->tv_sec;
    long nsec = t->tv_nsec;

    if (nsec == 0) {
        (void)snprintf(out, size, "%" PRId64, sec);
        return;
    }
    if (sec < 0) { /* -1.5 s is kept as -2 s + 0.5 s, and written as -1.5 */
        sec++;
        nsec = 1000000000 - nsec;
        (void)snprintf(out, size, "%s%" PRId64 ".%09ld", sec == 0 ? "-" : "", sec, nsec);
        return;
    }
    (void)snprintf(out, size, "%" PRId64 ".%09ld", sec, nsec);
}

int spool_headers_init(struct spool_headers *h, const struct spool_attr *attr, struct ou_error *err)
{
    size_t n = 0;

    memset(h, 0, sizeof(*h));
    h->meta = calloc(attr->other_count + 7, sizeof(*h->meta));
    if (!h->meta)
        return ou_error_set(err, ENOMEM, "object headers");
    (void)snprintf(h->text[0], sizeof(h->text[0]), "%u", (unsigned)attr->mode);
    h->meta[n++] = (struct oss_meta){.name = "mode", .value = h->text[0]};
    (void)snprintf(h->text[1], sizeof(h->text[1]), "%u", (unsigned)attr->uid);
    h->meta[n++] = (struct oss_meta){.name = "uid", .value = h->text[1]};
    (void)snprintf(h->text[2], sizeof(h->text[2]), "%u", (unsigned)attr->gid);
    h->meta[n++] = (struct oss_meta){.name = "gid", .value = h->text[2]};
    format_time(h->text[3], sizeof(h->text[3]), &attr->mtime);
    h->meta[n++] = (struct oss_meta){.name = "mtime", .value = h->text[3]};
    if (attr->has_atime) {
        format_time(h->text[4], sizeof(h->text[4]), &attr->atime);
        h->meta[n++] = (struct oss_meta){.name = "atime", .value = h->text[4]};
    }
    if (attr->has_ctime) {
        format_time(h->text[5], sizeof(h->text[5]), &attr->ctime);
        h->meta[n++] = (struct oss_meta){.name = "ctime", .value = h->text[5]};
    }
    if (attr->xattr)
        h->meta[n++] = (struct oss_meta){.name = "xattr", .value = attr->xattr};
    for (size_t i = 0; i < attr->other_count; i++)
        h->meta[n++] = attr->other[i];

    h->headers.meta = h->meta;
    h->headers.meta_count = n;
    h->headers.content_type = S_ISDIR(attr->mode) ? DIRECTORY_TYPE : attr->content_type;
    h->headers.cache_control = attr->cache_control;
    h->headers.content_disposition = attr->content_disposition;
    h->headers.content_encoding = attr->content_encoding;
    h->headers.expires = attr->expires;
    h->headers.storage_class = attr->storage_class;
    return 0;
}

void spool_headers_fini(struct spool_headers *h)
{
    free(h->meta);
    memset(h, 0, sizeof(*h));
}

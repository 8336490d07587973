#include "server/attrs.h"

#include "server/clock.h"
#include "server/target.h"
#include "server/text.h"

#include <inttypes.h>
#include <stdio.h>

#define META_BYTES_MAX  8192u
#define TAGS_MAX        10u
#define TAG_KEY_MAX     128u
#define TAG_VALUE_MAX   256u
#define META_PREFIX     "x-oss-meta-"
#define EC_META_NAME    "0011-00000004"
#define EC_META_SIZE    "0011-00000002"
#define TAG_PUNCTUATION " +-=._:/"

static bool one_of(const char *name, const char *const *list)
{
    for (; *list != NULL; list++)
        if (srv_streq(name, *list))
            return true;
    return false;
}

bool srv_storage_class_valid(const char *name)
{
    static const char *const classes[] = {"Standard",        "IA", "Archive", "ColdArchive",
                                          "DeepColdArchive", NULL};

    return one_of(name, classes);
}

bool srv_storage_class_archive(const char *name)
{
    return strstr(name, "Archive") != NULL;
}

bool srv_object_acl_valid(const char *name)
{
    static const char *const acls[] = {"default", "private", "public-read", "public-read-write",
                                       NULL};

    return one_of(name, acls);
}

static int invalid(struct srv_error *err, const char *name, const char *value)
{
    (void)srv_fail(err, "InvalidArgument", "The value of %s is not valid.", name);
    srv_error_detail(err, "ArgumentName", name);
    srv_error_detail(err, "ArgumentValue", value);
    return -1;
}

static int check_meta(const char *name, const char *value, size_t *total, struct srv_error *err)
{
    const char *bare = name + strlen(META_PREFIX);

    if (bare[0] == '\0' || strspn(bare, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(bare))
        return srv_fail_ec(err, "InvalidArgument", EC_META_NAME,
                           "User metadata names hold letters, digits and '-' only: %s.", name);
    for (const char *p = value; *p != '\0'; p++)
        if (*p < 0x20 || *p > 0x7E)
            return invalid(err, name, "");
    *total += strlen(bare) + strlen(value);
    if (*total > META_BYTES_MAX)
        return srv_fail_ec(err, "InvalidArgument", EC_META_SIZE,
                           "User metadata is larger than 8 KB.");
    return 0;
}

static int parse_encryption(const struct srv_pairs *headers, struct srv_attrs *attrs,
                            struct srv_error *err)
{
    static const char *const names[] = {"x-oss-server-side-encryption",
                                        "x-oss-server-side-encryption-key-id",
                                        "x-oss-server-side-data-encryption"};
    static const char *const algorithms[] = {"AES256", "KMS", "SM4", NULL};
    const char *algorithm = srv_pairs_get(headers, names[0]);

    if (algorithm != NULL && !one_of(algorithm, algorithms))
        return srv_fail(err, "InvalidEncryptionAlgorithmError",
                        "The encryption request you specified is not valid. Supported values are "
                        "AES256, KMS and SM4.");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = srv_pairs_get(headers, names[i]);

        if (value != NULL)
            srv_pairs_add(&attrs->headers, names[i], value);
    }
    return 0;
}

int srv_attrs_parse(const struct srv_pairs *headers, const char *default_class,
                    struct srv_attrs *attrs, struct srv_error *err)
{
    static const char *const kept[] = {"content-type",     "cache-control", "content-disposition",
                                       "content-encoding", "expires",       NULL};
    const char *storage_class = srv_pairs_get(headers, "x-oss-storage-class");
    const char *acl = srv_pairs_get(headers, "x-oss-object-acl");
    const char *tagging = srv_pairs_get(headers, "x-oss-tagging");
    srv_autopairs struct srv_pairs tags = {0};
    size_t total = 0;

    attrs->storage_class = srv_xstrdup(storage_class == NULL ? default_class : storage_class);
    attrs->acl = srv_xstrdup(acl == NULL ? "default" : acl);
    if (!srv_storage_class_valid(attrs->storage_class))
        return invalid(err, "x-oss-storage-class", attrs->storage_class);
    if (!srv_object_acl_valid(attrs->acl))
        return invalid(err, "x-oss-object-acl", attrs->acl);
    if (srv_tags_split(tagging == NULL ? "" : tagging, &tags, err) < 0 ||
        srv_tags_check(&tags, err) < 0)
        return -1;
    attrs->tags = srv_tags_join(&tags);
    for (size_t i = 0; i < headers->count; i++) {
        const struct srv_pair *h = &headers->items[i];
        bool meta = srv_starts_with(h->name, META_PREFIX);

        if (meta && check_meta(h->name, h->value, &total, err) < 0)
            return -1;
        if (meta || one_of(h->name, kept))
            srv_pairs_add(&attrs->headers, h->name, h->value);
    }
    if (srv_pairs_find(&attrs->headers, "content-type") == NULL)
        srv_pairs_add(&attrs->headers, "content-type", "application/octet-stream");
    return parse_encryption(headers, attrs, err);
}

int srv_request_attrs(struct srv_request *r)
{
    struct srv_bucket_info info = {0};
    int result;

    if (srv_store_bucket_info(r->srv->store, r->bucket, &info, &r->error) < 0)
        return -1;
    srv_attrs_fini(&r->attrs);
    result = srv_attrs_parse(&r->headers, info.storage_class, &r->attrs, &r->error);
    srv_bucket_info_fini(&info);
    return result;
}

static bool tag_text_valid(const char *text, size_t max)
{
    if (strlen(text) > max)
        return false;
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

        if (!letter && strchr(TAG_PUNCTUATION, c) == NULL)
            return false;
    }
    return true;
}

int srv_tags_check(const struct srv_pairs *tags, struct srv_error *err)
{
    if (tags->count > TAGS_MAX)
        return srv_fail(err, "InvalidArgument", "An object has at most %u tags.", TAGS_MAX);
    for (size_t i = 0; i < tags->count; i++) {
        const char *key = tags->items[i].name;
        const char *value = tags->items[i].value == NULL ? "" : tags->items[i].value;

        if (key[0] == '\0' || !tag_text_valid(key, TAG_KEY_MAX) ||
            !tag_text_valid(value, TAG_VALUE_MAX))
            return srv_fail(err, "InvalidArgument", "The tag \"%s\" is not valid.", key);
        if (srv_pairs_find(tags, key) != &tags->items[i])
            return srv_fail(err, "InvalidArgument", "The tag \"%s\" is there twice.", key);
    }
    return 0;
}

char *srv_tags_join(const struct srv_pairs *tags)
{
    struct srv_buf text = {0};

    for (size_t i = 0; i < tags->count; i++) {
        if (i > 0)
            srv_buf_puts(&text, "&");
        srv_percent_encode(&text, tags->items[i].name, false);
        srv_buf_puts(&text, "=");
        srv_percent_encode(&text, tags->items[i].value == NULL ? "" : tags->items[i].value, false);
    }
    return srv_buf_take(&text);
}

int srv_tags_split(const char *text, struct srv_pairs *tags, struct srv_error *err)
{
    struct srv_error inner = {0};
    int result = srv_target_query(text, tags, &inner);

    srv_error_fini(&inner);
    return result < 0 ? invalid(err, "x-oss-tagging", text) : 0;
}

int srv_refuse_conditions(struct srv_request *r)
{
    static const char *const names[] = {"if-match", "if-none-match", "if-modified-since",
                                        "if-unmodified-since"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (srv_header(r, names[i]) == NULL)
            continue;
        (void)srv_fail(&r->error, "NotImplemented",
                       "A header you provided implies functionality that is not implemented.");
        srv_error_detail(&r->error, "Header", names[i]);
        return -1;
    }
    return 0;
}

bool srv_forbid_overwrite(const struct srv_request *r)
{
    return srv_header_is(r, "x-oss-forbid-overwrite", "true");
}

void srv_etag_of(uint64_t crc, bool has_md5, const uint8_t md5[SRV_MD5_BYTES],
                 char etag[SRV_ETAG_MAX])
{
    if (has_md5)
        srv_etag_simple(md5, etag);
    else
        (void)snprintf(etag, SRV_ETAG_MAX, "%016" PRIX64 "%016" PRIX64, crc, ~crc);
}

void srv_set_checksums(struct srv_object *object, uint64_t crc, bool has_md5,
                       const uint8_t md5[SRV_MD5_BYTES])
{
    object->has_crc = true;
    object->crc = crc;
    object->has_md5 = has_md5;
    memcpy(object->md5, md5, SRV_MD5_BYTES);
    srv_etag_of(crc, has_md5, md5, object->etag);
}

struct srv_object *srv_object_from_memory(struct srv_server *srv, const struct srv_pairs *headers,
                                          const void *data, size_t len)
{
    struct srv_object *o = srv_object_new(SRV_NORMAL);
    struct srv_error ignored = {0};
    struct srv_writer writer;
    struct srv_datafile *file = NULL;

    srv_writer_init(&writer, srv_store_datadir(srv->store), true);
    if (srv_attrs_parse(headers, SRV_STANDARD_CLASS, &o->attrs, &ignored) == 0 &&
        srv_writer_add(&writer, data, len, &ignored) == 0)
        file = srv_writer_finish(&writer);
    srv_writer_fini(&writer);
    srv_error_fini(&ignored);
    if (file == NULL) {
        srv_object_unref(o);
        return NULL;
    }
    srv_segments_add(&o->segments, file, 0, file->size);
    srv_set_checksums(o, file->crc, file->has_md5, file->md5);
    o->mtime_ms = srv_clock_ms();
    srv_datafile_unref(file);
    return o;
}

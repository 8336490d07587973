#include "server/ops.h"

#include "server/params.h"
#include "server/text.h"
#include "server/xml.h"

#include <inttypes.h>

#define MAX_KEYS_DEFAULT 100u
#define OWNER_XML        "<Owner><ID>1234567890</ID><DisplayName>1234567890</DisplayName></Owner>"
/* A token is base64 of 0x0A, length, marker, in the alphabet OSS's tokens show ("CgJiYw--"). */
#define TOKEN_TAG 0x0A

static void add_contents(struct srv_buf *xml, const struct srv_list_page *page, bool url,
                         bool owner)
{
    for (size_t i = 0; i < page->count; i++) {
        const struct srv_list_entry *e = &page->entries[i];

        if (e->object == NULL)
            continue;
        srv_buf_puts(xml, "<Contents>");
        srv_xml_key(xml, "Key", e->name, url);
        srv_xml_time(xml, "LastModified", e->object->mtime_ms);
        srv_xml_etag(xml, e->object->etag);
        srv_xml_text(xml, "Type", srv_object_type_name(e->object->type));
        srv_buf_printf(xml, "<Size>%" PRIu64 "</Size>", srv_object_size(e->object));
        srv_xml_text(xml, "StorageClass", e->object->attrs.storage_class);
        if (owner)
            srv_buf_puts(xml, OWNER_XML);
        srv_buf_puts(xml, "</Contents>");
    }
    for (size_t i = 0; i < page->count; i++) {
        if (page->entries[i].object != NULL)
            continue;
        srv_buf_puts(xml, "<CommonPrefixes>");
        srv_xml_key(xml, "Prefix", page->entries[i].name, url);
        srv_buf_puts(xml, "</CommonPrefixes>");
    }
}

int srv_list_objects_finish(struct srv_request *r)
{
    const char *prefix = srv_param_text(r, "prefix");
    const char *delimiter = srv_param_text(r, "delimiter");
    const char *marker = srv_param_text(r, "marker");
    struct srv_list_page page = {0};
    uint64_t max = MAX_KEYS_DEFAULT;
    struct srv_buf *xml;
    bool url = false;

    if (r->error.code != NULL || srv_param_url(r, &url) < 0 ||
        srv_param_max(r, "max-keys", &max) < 0 ||
        srv_store_list(r->srv->store, r->bucket, prefix, delimiter, marker, srv_page_limit(r, max),
                       &page, &r->error) < 0)
        return -1;
    xml = srv_reply_xml(r);
    srv_buf_puts(xml, "<ListBucketResult>");
    srv_xml_text(xml, "Name", r->bucket);
    srv_xml_key(xml, "Prefix", prefix, url);
    srv_xml_key(xml, "Marker", marker, url);
    srv_buf_printf(xml, "<MaxKeys>%" PRIu64 "</MaxKeys>", max);
    srv_xml_key(xml, "Delimiter", delimiter, url);
    if (url)
        srv_xml_text(xml, "EncodingType", "url");
    srv_buf_printf(xml, "<IsTruncated>%s</IsTruncated>", page.truncated ? "true" : "false");
    if (page.truncated && page.count > 0)
        srv_xml_key(xml, "NextMarker", page.entries[page.count - 1].name, url);
    add_contents(xml, &page, url, true);
    srv_buf_puts(xml, "</ListBucketResult>\n");
    srv_list_page_fini(&page);
    return 0;
}

/* The caller frees. */
static char *make_token(const char *marker)
{
    size_t len = strlen(marker);
    srv_autobuf struct srv_buf raw = {0};
    char head[3] = {TOKEN_TAG, (char)(unsigned char)(len & 0x7F), 0};
    size_t head_len = 2;
    char *token;

    if (len > 0x7F) {
        head[1] = (char)(unsigned char)((len & 0x7F) | 0x80);
        head[2] = (char)(unsigned char)(len >> 7);
        head_len = 3;
    }
    srv_buf_add(&raw, head, head_len);
    srv_buf_puts(&raw, marker);
    token = srv_base64(raw.data, raw.len);
    for (char *p = token; *p != '\0'; p++)
        *p = (char)(*p == '=' ? '-' : *p == '+' ? '.' : *p == '/' ? '_' : *p);
    return token;
}

/* The marker in a token (the caller frees), or NULL if we never made such a token. */
static char *read_token(const char *token)
{
    srv_autofree char *text = srv_xstrdup(token);
    srv_autofree uint8_t *raw = NULL;
    size_t head = 2, len;
    int64_t n;

    for (char *p = text; *p != '\0'; p++)
        *p = (char)(*p == '-' ? '=' : *p == '.' ? '+' : *p == '_' ? '/' : *p);
    n = srv_base64_decode(text, &raw);
    if (n < 2 || raw[0] != TOKEN_TAG)
        return NULL;
    len = raw[1] & 0x7Fu;
    if ((raw[1] & 0x80) != 0) {
        if (n < 3)
            return NULL;
        len |= (size_t)raw[2] << 7;
        head = 3;
    }
    if ((size_t)n != head + len || memchr(raw + head, 0, len) != NULL)
        return NULL;
    return srv_xstrndup((const char *)raw + head, len);
}

int srv_list_objects_v2_finish(struct srv_request *r)
{
    const char *prefix = srv_param_text(r, "prefix");
    const char *delimiter = srv_param_text(r, "delimiter");
    const char *start_after = srv_param_text(r, "start-after");
    const char *token = srv_query(r, "continuation-token");
    const char *fetch_owner = srv_query(r, "fetch-owner");
    srv_autofree char *marker = token == NULL ? srv_xstrdup(start_after) : read_token(token);
    struct srv_list_page page = {0};
    uint64_t max = MAX_KEYS_DEFAULT;
    struct srv_buf *xml;
    bool url = false;

    if (!srv_streq(srv_query(r, "list-type"), "2"))
        return srv_param_invalid(r, "list-type");
    if (marker == NULL)
        return srv_param_invalid(r, "continuation-token");
    if (r->error.code != NULL || srv_param_url(r, &url) < 0 ||
        srv_param_max(r, "max-keys", &max) < 0 ||
        srv_store_list(r->srv->store, r->bucket, prefix, delimiter, marker, srv_page_limit(r, max),
                       &page, &r->error) < 0)
        return -1;
    xml = srv_reply_xml(r);
    srv_buf_puts(xml, "<ListBucketResult>");
    srv_xml_text(xml, "Name", r->bucket);
    srv_xml_key(xml, "Prefix", prefix, url);
    srv_xml_key(xml, "StartAfter", start_after, url);
    srv_buf_printf(xml, "<MaxKeys>%" PRIu64 "</MaxKeys>", max);
    srv_xml_key(xml, "Delimiter", delimiter, url);
    if (url)
        srv_xml_text(xml, "EncodingType", "url");
    srv_buf_printf(xml, "<IsTruncated>%s</IsTruncated><KeyCount>%zu</KeyCount>",
                   page.truncated ? "true" : "false", page.count);
    if (token != NULL)
        srv_xml_key(xml, "ContinuationToken", token, url);
    if (page.truncated && page.count > 0) {
        srv_autofree char *next = make_token(page.entries[page.count - 1].name);

        srv_xml_key(xml, "NextContinuationToken", next, url);
    }
    add_contents(xml, &page, url, fetch_owner != NULL && srv_streq(fetch_owner, "true"));
    srv_buf_puts(xml, "</ListBucketResult>\n");
    srv_list_page_fini(&page);
    return 0;
}

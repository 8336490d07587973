#include "server/xml.h"

#include "server/clock.h"
#include "server/text.h"

#include <libxml/parser.h>
#include <libxml/tree.h>

void srv_xml_begin(struct srv_buf *out)
{
    srv_buf_puts(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
}

/*
 * Control characters go out as they are, as OSS sends them: without encoding-type=url such
 * a listing is no well-formed XML, and clients have to know.
 */
static void escape(struct srv_buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            srv_buf_puts(out, "&amp;");
            break;
        case '<':
            srv_buf_puts(out, "&lt;");
            break;
        case '>':
            srv_buf_puts(out, "&gt;");
            break;
        default:
            srv_buf_add(out, text, 1);
        }
    }
}

void srv_xml_text(struct srv_buf *out, const char *element, const char *text)
{
    srv_buf_printf(out, "<%s>", element);
    escape(out, text);
    srv_buf_printf(out, "</%s>", element);
}

void srv_xml_key(struct srv_buf *out, const char *element, const char *text, bool url)
{
    if (!url) {
        srv_xml_text(out, element, text);
        return;
    }
    srv_buf_printf(out, "<%s>", element);
    srv_percent_encode(out, text, false);
    srv_buf_printf(out, "</%s>", element);
}

void srv_xml_etag(struct srv_buf *out, const char *etag)
{
    srv_buf_printf(out, "<ETag>\"%s\"</ETag>", etag);
}

void srv_xml_time(struct srv_buf *out, const char *element, int64_t ms)
{
    char text[SRV_TIME_TEXT_MAX];

    srv_time_xml(ms / 1000, text);
    srv_xml_text(out, element, text);
}

static void free_doc(xmlDoc **doc)
{
    xmlFreeDoc(*doc);
}

/* The document if its root is @root and it declares no DTD; NULL otherwise. */
static xmlDoc *read_doc(const char *xml, size_t len, const char *root)
{
    xmlDoc *doc;
    const xmlNode *top;

    if (len == 0 || len > INT32_MAX)
        return NULL;
    doc = xmlReadMemory(xml, (int)len, NULL, NULL,
                        XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (doc == NULL)
        return NULL;
    top = xmlDocGetRootElement(doc);
    if (doc->intSubset != NULL || top == NULL || !srv_streq((const char *)top->name, root)) {
        xmlFreeDoc(doc);
        return NULL;
    }
    return doc;
}

static bool is_element(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && srv_streq((const char *)node->name, name);
}

/* Text of the child @name (the caller frees), or NULL if there is none. */
static char *child_text(const xmlNode *node, const char *name)
{
    for (xmlNode *child = node->children; child != NULL; child = child->next) {
        if (is_element(child, name)) {
            xmlChar *content = xmlNodeGetContent(child);
            char *text = srv_xstrdup(content == NULL ? "" : (const char *)content);

            xmlFree(content);
            return text;
        }
    }
    return NULL;
}

static char *strip_quotes(const char *etag)
{
    size_t len = strlen(etag);

    if (len >= 2 && etag[0] == '"' && etag[len - 1] == '"')
        return srv_xstrndup(etag + 1, len - 2);
    return srv_xstrdup(etag);
}

int srv_xml_parse_complete(const char *xml, size_t len, struct srv_pairs *parts)
{
    __attribute__((cleanup(free_doc))) xmlDoc *doc = read_doc(xml, len, "CompleteMultipartUpload");
    const xmlNode *node;

    if (doc == NULL)
        return -1;
    for (node = xmlDocGetRootElement(doc)->children; node != NULL; node = node->next) {
        srv_autofree char *number = NULL;
        srv_autofree char *etag = NULL;
        srv_autofree char *bare = NULL;

        if (!is_element(node, "Part"))
            continue;
        number = child_text(node, "PartNumber");
        etag = child_text(node, "ETag");
        if (number == NULL || etag == NULL)
            return -1;
        bare = strip_quotes(etag);
        srv_pairs_add(parts, number, bare);
    }
    return parts->count > 0 ? 0 : -1;
}

int srv_xml_parse_delete(const char *xml, size_t len, struct srv_pairs *keys, bool *quiet)
{
    __attribute__((cleanup(free_doc))) xmlDoc *doc = read_doc(xml, len, "Delete");
    srv_autofree char *mode = NULL;
    const xmlNode *node;

    if (doc == NULL)
        return -1;
    mode = child_text(xmlDocGetRootElement(doc), "Quiet");
    *quiet = mode != NULL && srv_streq(mode, "true");
    for (node = xmlDocGetRootElement(doc)->children; node != NULL; node = node->next) {
        srv_autofree char *key = NULL;
        srv_autofree char *version = NULL;

        if (!is_element(node, "Object"))
            continue;
        key = child_text(node, "Key");
        version = child_text(node, "VersionId");
        if (key == NULL || key[0] == '\0')
            return -1;
        srv_pairs_add(keys, key, version);
    }
    return keys->count > 0 ? 0 : -1;
}

int srv_xml_parse_tagging(const char *xml, size_t len, struct srv_pairs *tags)
{
    __attribute__((cleanup(free_doc))) xmlDoc *doc = read_doc(xml, len, "Tagging");
    const xmlNode *set;

    if (doc == NULL)
        return -1;
    for (set = xmlDocGetRootElement(doc)->children; set != NULL; set = set->next)
        if (is_element(set, "TagSet"))
            break;
    if (set == NULL)
        return -1;
    for (const xmlNode *node = set->children; node != NULL; node = node->next) {
        srv_autofree char *key = NULL;
        srv_autofree char *value = NULL;

        if (!is_element(node, "Tag"))
            continue;
        key = child_text(node, "Key");
        value = child_text(node, "Value");
        if (key == NULL)
            return -1;
        srv_pairs_add(tags, key, value == NULL ? "" : value);
    }
    return 0;
}

int srv_xml_parse_bucket(const char *xml, size_t len, char **storage_class)
{
    __attribute__((cleanup(free_doc))) xmlDoc *doc =
        read_doc(xml, len, "CreateBucketConfiguration");

    if (doc == NULL)
        return -1;
    *storage_class = child_text(xmlDocGetRootElement(doc), "StorageClass");
    return 0;
}

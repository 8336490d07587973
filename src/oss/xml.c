/*
 * libxml2's SAX interface, narrowed to what replies of OSS need: closed elements with text.
 *
 * Text is gathered in one buffer, cleared at each tag: what is left at an end tag is the
 * text of a leaf. The names on the stack belong to the parser's dictionary. A parse ends
 * at the first failure (.result), whichever side finds it.
 */
#include "oss/xml.h"

#include "base/buf.h"
#include "base/text.h"

#include <errno.h>
#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct parse {
    xmlParserCtxtPtr parser;
    const char *root;
    int (*close)(void *ctx, const struct oss_xml_element *e, struct ou_error *err);
    void *ctx;
    struct ou_error *err;
    struct ou_buf text, trimmed;
    const char *names[OSS_XML_DEPTH_MAX]; /* the open elements */
    unsigned depth;                       /* how many */
    int result;
};

int oss_xml_bad(struct ou_error *err, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return oss_error_here(err, 0, OSS_CODE_BAD_REPLY, NULL, "unusable reply: %s", text);
}

bool oss_xml_is(const struct oss_xml_element *e, const char *parent, const char *name)
{
    return !strcmp(e->name, name) && !strcmp(e->parent, parent);
}

bool oss_xml_copy(char *out, size_t size, const char *text)
{
    int n = snprintf(out, size, "%s", text);

    if (n >= 0 && (size_t)n < size)
        return true;
    out[0] = '\0';
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Where @text begins without the blanks at its ends, and how long it is then. */
static char *trimmed(char *text, size_t *len)
{
    while (*len && is_blank(text[*len - 1]))
        (*len)--;
    while (*len && is_blank(*text)) {
        text++;
        (*len)--;
    }
    return text;
}

size_t oss_xml_key(char *text, bool encoded)
{
    size_t len = strlen(text);
    char *begin;

    if (!encoded)
        return len;
    begin = trimmed(text, &len);
    memmove(text, begin, len);
    len = ou_percent_decode(text, len, true);
    text[len] = '\0';
    return len;
}

bool oss_xml_etag(char out[OSS_ETAG_SIZE], const char *text)
{
    size_t len = strlen(text);

    if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
        text++;
        len -= 2;
    }
    if (len >= OSS_ETAG_SIZE) {
        out[0] = '\0';
        return false;
    }
    memcpy(out, text, len);
    out[len] = '\0';
    return true;
}

static void stop(struct parse *p, int result)
{
    if (p->result)
        return;
    p->result = result;
    xmlStopParser(p->parser);
}

static void on_start(void *ctx, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
                     int namespace_count, const xmlChar **namespaces, int attribute_count,
                     int default_count, const xmlChar **attributes)
{
    struct parse *p = ctx;

    (void)prefix, (void)uri, (void)namespace_count, (void)namespaces;
    (void)attribute_count, (void)default_count, (void)attributes;
    if (p->result)
        return;
    if (p->depth == OSS_XML_DEPTH_MAX) {
        stop(p, oss_xml_bad(p->err, "XML nested deeper than %u", OSS_XML_DEPTH_MAX));
        return;
    }
    if (!p->depth && strcmp((const char *)name, p->root) != 0) {
        stop(p, oss_xml_bad(p->err, "<%.40s> where <%s> is due", (const char *)name, p->root));
        return;
    }
    p->names[p->depth++] = (const char *)name;
    ou_buf_clear(&p->text);
}

/* The text of @e without the blanks at its ends; .whole stays as it is. */
static void trim(struct parse *p, struct oss_xml_element *e)
{
    e->whole = p->text.data;
    e->len = p->text.len;
    e->text = trimmed(p->text.data, &e->len);
    if (!e->text[e->len])
        return;
    ou_buf_clear(&p->trimmed);
    ou_buf_add(&p->trimmed, e->text, e->len);
    ou_buf_add(&p->trimmed, "", 1);
    e->text = p->trimmed.data;
}

static void on_end(void *ctx, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    struct parse *p = ctx;
    char empty[1] = "";
    struct oss_xml_element e = {.name = (const char *)name, .text = empty, .whole = empty};
    int r;

    (void)prefix, (void)uri;
    if (p->result || !p->depth)
        return;
    e.depth = --p->depth;
    e.parent = p->depth ? p->names[p->depth - 1] : "";
    if (p->text.len && !p->text.failed)
        trim(p, &e);
    r = ou_buf_check(p->trimmed.failed ? &p->trimmed : &p->text, p->err);
    if (r < 0) {
        stop(p, r);
        return;
    }
    r = p->close(p->ctx, &e, p->err);
    if (r < 0)
        stop(p, r);
    ou_buf_clear(&p->text);
}

static void on_text(void *ctx, const xmlChar *text, int len)
{
    struct parse *p = ctx;

    if (len > 0 && !p->result)
        ou_buf_add(&p->text, text, (size_t)len);
}

/* A DOCTYPE: where entities would be declared. OSS sends none. */
static void on_doctype(void *ctx, const xmlChar *name, const xmlChar *external,
                       const xmlChar *system)
{
    struct parse *p = ctx;

    (void)name, (void)external, (void)system;
    stop(p, oss_xml_bad(p->err, "XML with a DOCTYPE"));
}

static void run(struct parse *p)
{
    static const xmlSAXHandler handler = {
        .initialized = XML_SAX2_MAGIC,
        .internalSubset = on_doctype,
        .startElementNs = on_start,
        .endElementNs = on_end,
        .characters = on_text,
        .cdataBlock = on_text,
    };

    *p->parser->sax = handler;
    p->parser->userData = p;
    (void)xmlCtxtUseOptions(p->parser, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    (void)xmlParseDocument(p->parser);
    if (!p->result && (!p->parser->wellFormed || p->depth))
        p->result = p->parser->errNo == XML_ERR_NO_MEMORY
                        ? ou_error_set(p->err, ENOMEM, "parse a reply")
                        : oss_xml_bad(p->err, "broken XML (line %d)",
                                      p->parser->input ? p->parser->input->line : 0);
}

int oss_xml_parse(const void *data, size_t len, const char *root,
                  int (*close)(void *ctx, const struct oss_xml_element *e, struct ou_error *err),
                  void *ctx, struct ou_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct parse p = {.root = root, .close = close, .ctx = ctx, .err = err};

    (void)pthread_once(&once, xmlInitParser);
    if (!len)
        return oss_xml_bad(err, "empty where <%s> is due", root);
    if (len > OSS_XML_MAX)
        return oss_xml_bad(err, "more than %u bytes of XML", OSS_XML_MAX);
    p.parser = xmlCreateMemoryParserCtxt(data, (int)len);
    if (!p.parser)
        return ou_error_set(err, ENOMEM, "parse a reply");
    run(&p);
    if (p.parser->myDoc)
        xmlFreeDoc(p.parser->myDoc);
    xmlFreeParserCtxt(p.parser);
    ou_buf_fini(&p.text);
    ou_buf_fini(&p.trimmed);
    return p.result;
}

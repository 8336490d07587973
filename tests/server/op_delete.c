#include "server/ops.h"

#include "server/params.h"
#include "server/text.h"
#include "server/xml.h"

#include <fnmatch.h>

#define KEYS_MAX 1000u

int srv_delete_multiple_begin(struct srv_request *r)
{
    if (srv_header(r, "content-md5") != NULL)
        return 0;
    (void)srv_fail(&r->error, "MissingArgument", "Missing Some Required Arguments.");
    srv_error_detail(&r->error, "ArgumentName", "Content-MD5");
    return -1;
}

/* A fault may leave keys out: not deleted, and not in the answer. */
static bool omitted(const struct srv_request *r, const char *key)
{
    return r->plan.omit != NULL && fnmatch(r->plan.omit, key, 0) == 0;
}

int srv_delete_multiple_finish(struct srv_request *r)
{
    srv_autopairs struct srv_pairs keys = {0};
    bool url = false, quiet = false;
    struct srv_buf *xml;

    if (srv_param_url(r, &url) < 0)
        return -1;
    if (srv_xml_parse_delete(srv_buf_str(&r->text), r->text.len, &keys, &quiet) < 0 ||
        keys.count > KEYS_MAX)
        return srv_fail(&r->error, "MalformedXML",
                        "The XML you provided was not well-formed or did not validate against our "
                        "published schema.");
    for (size_t i = 0; i < keys.count; i++)
        if (!srv_key_valid(keys.items[i].name))
            return srv_fail(&r->error, "InvalidObjectName", "The specified object is not valid.");
    for (size_t i = 0; i < keys.count; i++)
        if (!omitted(r, keys.items[i].name) &&
            srv_store_delete(r->srv->store, r->bucket, keys.items[i].name, &r->error) < 0)
            return -1;
    if (quiet)
        return 0;
    xml = srv_reply_xml(r);
    srv_buf_puts(xml, "<DeleteResult>");
    if (url)
        srv_xml_text(xml, "EncodingType", "url");
    for (size_t i = 0; i < keys.count; i++) {
        if (omitted(r, keys.items[i].name))
            continue;
        srv_buf_puts(xml, "<Deleted>");
        srv_xml_key(xml, "Key", keys.items[i].name, url);
        srv_buf_puts(xml, "</Deleted>");
    }
    srv_buf_puts(xml, "</DeleteResult>\n");
    return 0;
}

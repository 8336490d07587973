/*
 * XML both ways: replies are written as text, request bodies are read by libxml2
 * (no DTD, no entities, no network). libxml2's types stay in xml.c.
 */
#ifndef SRV_XML_H
#define SRV_XML_H

#include "server/buf.h"

#include <stdint.h>

#define SRV_XML_NAMESPACE "http://doc.oss-cn-hangzhou.aliyuncs.com"

void srv_xml_begin(struct srv_buf *out); /* the <?xml ...?> line */
void srv_xml_text(struct srv_buf *out, const char *element, const char *text);
/* srv_xml_key() - percent-encoded if the client asked for encoding-type=url */
void srv_xml_key(struct srv_buf *out, const char *element, const char *text, bool url);
void srv_xml_etag(struct srv_buf *out, const char *etag); /* <ETag>"..."</ETag> */
void srv_xml_time(struct srv_buf *out, const char *element, int64_t ms);

/* The parsers: 0, or -1 if it is not the XML that OSS wants there. Lists belong to the caller. */

/* <CompleteMultipartUpload><Part>: names are part numbers, values ETags without quotes */
int srv_xml_parse_complete(const char *xml, size_t len, struct srv_pairs *parts);
/* <Delete>: names are keys, values version ids or NULL */
int srv_xml_parse_delete(const char *xml, size_t len, struct srv_pairs *keys, bool *quiet);
/* <Tagging>: names and values of the tags */
int srv_xml_parse_tagging(const char *xml, size_t len, struct srv_pairs *tags);
/* <CreateBucketConfiguration>: storage class into *@storage_class if there is one */
int srv_xml_parse_bucket(const char *xml, size_t len, char **storage_class);

#endif

/*
 * Objects, parts and uploads as JSON, the way the journal holds them:
 *
 *   object  {"t":type,"e":etag,"m":mtime ms,"c":"crc"|absent,"d":"md5"|absent,"a":attrs,"s":[segment...],
 *            "to":symlink target,"seal":bool,"r":restore ready ms}
 *   attrs   {"h":[[name,value]...],"sc":storage class,"acl":...,"tags":...}
 *   segment [data file number,offset,length,file size,"file crc","file md5"|null]
 *   part    {"n":number,"e":etag,"m":mtime ms,"c":"crc"|absent,"s":[segment...]}
 *
 * 64-bit checksums are strings: JSON readers like to make doubles of numbers.
 * A reader gets data files through a callback, because several objects share one.
 */
#ifndef SRV_RECORD_H
#define SRV_RECORD_H

#include "server/object.h"

#include <json-c/json.h>

/* Returns the one struct srv_datafile of @f->id (borrowed), made from @f if it is new. */
typedef struct srv_datafile *srv_record_file_fn(void *arg, const struct srv_datafile *f);

struct json_object *srv_record_attrs(const struct srv_attrs *a);
struct json_object *srv_record_object(const struct srv_object *o);
struct json_object *srv_record_part(const struct srv_part *p);

/* Readers: false if a member is missing or of the wrong type. What was read so far is still freed by fini. */
bool srv_record_read_attrs(struct json_object *json, struct srv_attrs *a);
bool srv_record_read_part(struct json_object *json, srv_record_file_fn *file, void *arg,
                          struct srv_part *p);
/* NULL if it is no object */
struct srv_object *srv_record_read_object(struct json_object *json, srv_record_file_fn *file,
                                          void *arg);

/* Typed members; NULL, or @fallback, if it is not there or of another type. */
const char *srv_json_text(struct json_object *json, const char *name);
int64_t srv_json_int(struct json_object *json, const char *name, int64_t fallback);
bool srv_json_bool(struct json_object *json, const char *name, bool fallback);
struct json_object *srv_json_member(struct json_object *json, const char *name);

#endif

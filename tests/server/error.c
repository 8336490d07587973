#include "server/error.h"

#include "server/xml.h"

#include <stdarg.h>
#include <stdio.h>

/* Where OSS publishes no error cause for a code, ours is this one. */
#define EC_UNPUBLISHED "0099-00000000"

static const struct {
    const char *code;
    int status;
    const char *ec;
} table[] = {
    {"NotModified", 304, EC_UNPUBLISHED},
    {"BadRequest", 400, EC_UNPUBLISHED},
    {"EntityTooLarge", 400, EC_UNPUBLISHED},
    {"EntityTooSmall", 400, EC_UNPUBLISHED},
    {"IncompleteBody", 400, EC_UNPUBLISHED},
    {"InvalidArgument", 400, EC_UNPUBLISHED},
    {"InvalidBucketName", 400, EC_UNPUBLISHED},
    {"InvalidDigest", 400, EC_UNPUBLISHED},
    {"InvalidEncryptionAlgorithmError", 400, EC_UNPUBLISHED},
    {"InvalidObjectName", 400, EC_UNPUBLISHED},
    {"InvalidPart", 400, EC_UNPUBLISHED},
    {"InvalidPartOrder", 400, EC_UNPUBLISHED},
    {"InvalidRequest", 400, EC_UNPUBLISHED},
    {"InvalidTargetType", 400, EC_UNPUBLISHED},
    {"InvalidURI", 400, EC_UNPUBLISHED},
    {"MalformedXML", 400, "0042-00000205"},
    {"MissingArgument", 400, EC_UNPUBLISHED},
    {"NotImplemented", 400, "0017-00000245"},
    {"NotSymlink", 400, EC_UNPUBLISHED},
    {"OperationNotSupported", 400, EC_UNPUBLISHED},
    {"PartNotSequential", 400, EC_UNPUBLISHED},
    {"AccessDenied", 403, "0003-00000001"},
    {"AccessKeyIdAndSecurityTokenNotMatch", 403, EC_UNPUBLISHED},
    {"InvalidAccessKeyId", 403, "0002-00000902"},
    {"InvalidObjectState", 403, EC_UNPUBLISHED},
    {"InvalidSecurityToken", 403, EC_UNPUBLISHED},
    {"RequestTimeTooSkewed", 403, "0002-00000504"},
    {"SecondLevelDomainForbidden", 403, EC_UNPUBLISHED},
    {"SecurityTokenExpired", 403, EC_UNPUBLISHED},
    {"SignatureDoesNotMatch", 403, "0002-00000040"},
    {"NoSuchBucket", 404, "0015-00000101"},
    {"NoSuchKey", 404, "0026-00000001"},
    {"NoSuchUpload", 404, "0042-00000203"},
    {"NoSuchVersion", 404, EC_UNPUBLISHED},
    {"SymlinkTargetNotExist", 404, EC_UNPUBLISHED},
    {"MethodNotAllowed", 405, EC_UNPUBLISHED},
    {"BucketAlreadyExists", 409, EC_UNPUBLISHED},
    {"BucketNotEmpty", 409, EC_UNPUBLISHED},
    {"FileAlreadyExists", 409, EC_UNPUBLISHED},
    {"ObjectNotAppendable", 409, EC_UNPUBLISHED},
    {"PositionNotEqualToLength", 409, "0026-00000016"},
    {"RestoreAlreadyInProgress", 409, EC_UNPUBLISHED},
    {"MissingContentLength", 411, EC_UNPUBLISHED},
    {"PreconditionFailed", 412, EC_UNPUBLISHED},
    {"InvalidRange", 416, EC_UNPUBLISHED},
    {"InternalError", 500, EC_UNPUBLISHED},
    {"QpsLimitExceeded", 503, EC_UNPUBLISHED},
    {"ServiceUnavailable", 503, EC_UNPUBLISHED},
};

void srv_error_fini(struct srv_error *e)
{
    free(e->code_memory);
    free(e->message);
    srv_buf_fini(&e->details);
    srv_pairs_fini(&e->headers);
    *e = (struct srv_error){0};
}

static void set(struct srv_error *e, const char *code, const char *ec)
{
    e->code = "InternalError"; /* a code that is not in the table is a bug of the server */
    e->status = 500;
    e->ec = EC_UNPUBLISHED;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (srv_streq(table[i].code, code)) {
            e->code = table[i].code;
            e->status = table[i].status;
            e->ec = ec != NULL ? ec : table[i].ec;
            return;
        }
    }
}

static int fail(struct srv_error *e, const char *code, const char *ec, const char *format,
                va_list args)
{
    if (e->code != NULL)
        return -1;
    set(e, code, ec);
    free(e->message);
    if (vasprintf(&e->message, format, args) < 0)
        e->message = NULL;
    return -1;
}

int srv_fail(struct srv_error *e, const char *code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)fail(e, code, NULL, format, args);
    va_end(args);
    return -1;
}

int srv_fail_ec(struct srv_error *e, const char *code, const char *ec, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)fail(e, code, ec, format, args);
    va_end(args);
    return -1;
}

int srv_fail_status(struct srv_error *e, int status, const char *code, const char *message)
{
    if (e->code != NULL)
        return -1;
    e->code_memory = srv_xstrdup(code);
    e->code = e->code_memory;
    e->ec = EC_UNPUBLISHED;
    e->status = status;
    free(e->message);
    e->message = srv_xstrdup(message);
    return -1;
}

void srv_error_detail(struct srv_error *e, const char *element, const char *value)
{
    srv_xml_text(&e->details, element, value);
}

void srv_error_xml(const struct srv_error *e, const char *request_id, const char *host,
                   struct srv_buf *out)
{
    srv_xml_begin(out);
    srv_buf_puts(out, "<Error>");
    srv_xml_text(out, "Code", e->code);
    srv_xml_text(out, "Message", e->message == NULL ? e->code : e->message);
    srv_xml_text(out, "RequestId", request_id);
    srv_xml_text(out, "HostId", host);
    srv_buf_add(out, e->details.data, e->details.len);
    srv_xml_text(out, "EC", e->ec);
    srv_buf_puts(out, "</Error>\n");
}

/*
 * What went wrong, in two words: an errno for the caller, a verdict for the retry loop.
 *
 * One table, searched by code; where the code is unknown or absent the status decides.
 * OSS codes decide before statuses because one status means many things (403 is a wrong
 * clock, an old token, a wrong region or a real refusal). Source: oss-protocol section 9,
 * whose machine-readable form the unit test compares with.
 */
#include "oss/errors.h"

#include "oss/http.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct meaning {
    const char *code;
    int errnum;
    enum oss_verdict verdict;
};

static const struct meaning by_code[] = {
    /* No answer, or none that can be used (oss/http.h). */
    {"HostNotFound", EHOSTUNREACH, OSS_RETRY},
    {"ConnectFailed", ECONNREFUSED, OSS_RETRY},
    {"TlsFailed", EPROTO, OSS_RETRY},
    {"TlsRefused", EPROTO, OSS_FINAL},
    {"ConnectionLost", EIO, OSS_RETRY},
    {"Timeout", ETIMEDOUT, OSS_RETRY},
    {OSS_CODE_BAD_REPLY, EIO, OSS_RETRY},
    {OSS_CODE_CRC_MISMATCH, EIO, OSS_RETRY},
    /* The service is in trouble, or we ask too much of it. */
    {"InternalError", EIO, OSS_RETRY},
    {"ServiceUnavailable", EIO, OSS_THROTTLE},
    {"TotalQpsLimitExceeded", EIO, OSS_THROTTLE},
    {"MetaOperationQpsLimitExceeded", EIO, OSS_THROTTLE},
    {"QpsLimitExceeded", EIO, OSS_THROTTLE},
    {"DownloadTrafficRateLimitExceeded", EIO, OSS_THROTTLE},
    {"UploadTrafficRateLimitExceeded", EIO, OSS_THROTTLE},
    {"ActiveRequestLimitExceeded", EIO, OSS_THROTTLE},
    {"CpuLimitExceeded", EIO, OSS_THROTTLE},
    {"SlowDown", EIO, OSS_THROTTLE},
    /* The request was damaged on its way. */
    {"RequestTimeout", EIO, OSS_RETRY},
    {"IncompleteBody", EIO, OSS_RETRY},
    {"InvalidDigest", EIO, OSS_RETRY},
    {"InvalidCRC64", EIO, OSS_RETRY},
    {"BadRequest", EIO, OSS_RETRY},
    {"RequestTimeTooSkewed", EIO, OSS_RETRY}, /* mended by the clock offset */
    /* Who we are. */
    {"SecurityTokenExpired", EACCES, OSS_REFRESH},
    {"InvalidSecurityToken", EACCES, OSS_REFRESH},
    {"AccessKeyIdAndSecurityTokenNotMatch", EACCES, OSS_REFRESH},
    {"InvalidAccessKeyId", EACCES, OSS_REFRESH},
    {"SignatureDoesNotMatch", EACCES, OSS_FINAL},
    {"AccessDenied", EACCES, OSS_FINAL},
    {"SecurityTokenNotSupported", EACCES, OSS_FINAL},
    {"UserDisable", EACCES, OSS_FINAL},
    {"BucketDisable", EACCES, OSS_FINAL},
    {"KmsServiceNotEnabled", EACCES, OSS_FINAL},
    {"InvalidObjectState", EREMOTEIO, OSS_FINAL}, /* archived and not restored */
    /* Where we ask. */
    {"SecondLevelDomainForbidden", EINVAL, OSS_FINAL},
    {"NonStandardHostForbidden", EINVAL, OSS_FINAL},
    {"PermanentRedirect", EINVAL, OSS_FINAL},
    {"TransferAccelerationDisabled", EINVAL, OSS_FINAL},
    /* What is not there. NoSuchUpload may mean that Complete had succeeded: the caller looks. */
    {"NoSuchKey", ENOENT, OSS_FINAL},
    {"NoSuchBucket", ENOENT, OSS_FINAL},
    {"NoSuchUpload", ENOENT, OSS_FINAL},
    {"NoSuchVersion", ENOENT, OSS_FINAL},
    {"SymlinkTargetNotExist", ENOENT, OSS_FINAL},
    /* What is in the way. */
    {"FileAlreadyExists", EEXIST, OSS_FINAL},
    {"BucketAlreadyExists", EEXIST, OSS_FINAL},
    {"FileImmutable", EPERM, OSS_FINAL},
    {"ObjectNotAppendable", EINVAL, OSS_FINAL},
    {"PositionNotEqualToLength", ESTALE, OSS_FINAL},
    {"RestoreAlreadyInProgress", EALREADY, OSS_FINAL},
    {"BucketNotEmpty", ENOTEMPTY, OSS_FINAL},
    {"PreconditionFailed", ESTALE, OSS_FINAL},
    {"NotModified", ESTALE, OSS_FINAL},
    {"InvalidRange", EINVAL, OSS_FINAL},
    /* What we asked wrongly, or what cannot be. */
    {"InvalidArgument", EINVAL, OSS_FINAL},
    {"InvalidObjectName", EINVAL, OSS_FINAL},
    {"InvalidBucketName", EINVAL, OSS_FINAL},
    {"InvalidRequest", EINVAL, OSS_FINAL},
    {"MissingArgument", EINVAL, OSS_FINAL},
    {"InvalidEncryptionAlgorithmError", EINVAL, OSS_FINAL},
    {"NotSymlink", EINVAL, OSS_FINAL},
    {"InvalidTargetType", ELOOP, OSS_FINAL},
    {"EntityTooLarge", EFBIG, OSS_FINAL},
    {"EntityTooSmall", EIO, OSS_FINAL},
    {"InvalidPart", EIO, OSS_FINAL},
    {"InvalidPartOrder", EIO, OSS_FINAL},
    {"FilePartNotExist", EIO, OSS_FINAL},
    {"PartNotSequential", EIO, OSS_FINAL},
    {"MalformedXML", EIO, OSS_FINAL},
    {"MissingContentLength", EIO, OSS_FINAL},
    {"MirrorFailed", EIO, OSS_FINAL},
    {"OperationNotSupported", ENOTSUP, OSS_FINAL},
    {"NotImplemented", ENOTSUP, OSS_FINAL},
    {"MethodNotAllowed", ENOTSUP, OSS_FINAL},
};

static const struct {
    int status;
    int errnum;
    enum oss_verdict verdict;
} by_status[] = {
    {304, ESTALE, OSS_FINAL},  {400, EINVAL, OSS_FINAL}, {401, EACCES, OSS_FINAL},
    {403, EACCES, OSS_FINAL},  {404, ENOENT, OSS_FINAL}, {405, ENOTSUP, OSS_FINAL},
    {408, EIO, OSS_RETRY},     {409, EBUSY, OSS_FINAL},  {411, EIO, OSS_FINAL},
    {412, ESTALE, OSS_FINAL},  {413, EFBIG, OSS_FINAL},  {414, ENAMETOOLONG, OSS_FINAL},
    {416, EINVAL, OSS_FINAL},  {424, EIO, OSS_FINAL},    {429, EIO, OSS_THROTTLE},
    {501, ENOTSUP, OSS_FINAL}, {503, EIO, OSS_THROTTLE}, {507, EDQUOT, OSS_FINAL},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool ends_with(const char *s, const char *end)
{
    size_t len = strlen(s), end_len = strlen(end);

    return len >= end_len && !strcmp(s + len - end_len, end);
}

static struct meaning meaning_of_status(int status)
{
    for (size_t i = 0; i < COUNT(by_status); i++)
        if (by_status[i].status == status)
            return (struct meaning){"", by_status[i].errnum, by_status[i].verdict};
    if (status >= 500 || (status >= 200 && status < 300)) /* an <Error> behind a 200 */
        return (struct meaning){"", EIO, OSS_RETRY};
    /* A redirect comes from something that is not OSS. */
    return (struct meaning){"", EIO, OSS_FINAL};
}

static struct meaning meaning_of(int status, const char *code)
{
    for (size_t i = 0; i < COUNT(by_code) && *code; i++)
        if (!strcmp(by_code[i].code, code))
            return by_code[i];
    /* The service spells its limits in many ways, all of them end so. */
    if (ends_with(code, "QpsLimitExceeded") || ends_with(code, "RateLimitExceeded") ||
        (status == 503 && ends_with(code, "LimitExceeded")))
        return (struct meaning){"", EIO, OSS_THROTTLE};
    /* Public OSS sets no quota; what is installed at a customer's, or stands in for OSS, may. */
    if (ends_with(code, "QuotaExceeded") || ends_with(code, "CapacityExceeded"))
        return (struct meaning){"", EDQUOT, OSS_FINAL};
    return meaning_of_status(status);
}

int oss_errno_of(int status, const char *code)
{
    return meaning_of(status, code).errnum;
}

/* A local errno that can only come from a network. */
static bool is_network_errno(int errnum)
{
    static const int list[] = {ECONNREFUSED, ECONNRESET, ECONNABORTED, EHOSTUNREACH, ENETUNREACH,
                               ENETDOWN,     EHOSTDOWN,  ETIMEDOUT,    EPIPE};

    for (size_t i = 0; i < COUNT(list); i++)
        if (list[i] == errnum)
            return true;
    return false;
}

enum oss_verdict oss_error_verdict(const struct ou_error *err)
{
    if (!err->http_status && !err->code[0])
        return is_network_errno(err->errnum) ? OSS_RETRY : OSS_FINAL;
    return meaning_of(err->http_status, err->code).verdict;
}

bool oss_error_is(const struct ou_error *err, const char *code)
{
    return !strcmp(err->code, code);
}

/* The way out, for what a user can mend; "" for the rest. */
static void advice(char *out, size_t size, const struct oss_refusal *r)
{
    static const struct {
        const char *code, *text; /* <Code>, or <EC> where a code means many things */
    } list[] = {
        {"NoSuchBucket", "check the bucket's name and the endpoint's region"},
        {"0002-00000226", "set region= to the bucket's region"},
        {"SecondLevelDomainForbidden", "this address wants addressing=virtual"},
        {"InvalidAccessKeyId", "check the access key id, or whether its key was disabled"},
        {"SignatureDoesNotMatch", "check the access key secret (and region=, if it is set)"},
        {"SecurityTokenExpired", "the temporary credentials are too old: renew them"},
        {"InvalidSecurityToken", "the security token does not belong to this access key"},
        {"InvalidObjectState", "the object is archived: restore it first"},
        {"TransferAccelerationDisabled", "enable it for the bucket, or use its region's endpoint"},
        {"UserDisable", "the account is overdue or blocked"},
        {"RequestTimeTooSkewed", "set this machine's clock"},
    };

    out[0] = '\0';
    if (r->endpoint[0]) {
        (void)snprintf(out, size, " (use endpoint=%s)", r->endpoint);
        return;
    }
    for (size_t i = 0; i < COUNT(list); i++)
        if (!strcmp(list[i].code, r->code) || !strcmp(list[i].code, r->ec))
            (void)snprintf(out, size, " (%s)", list[i].text);
}

int oss_error_refused(struct ou_error *err, const char *what, int status,
                      const struct oss_refusal *r)
{
    /* A wrong endpoint is told by an element, whatever the code: no permission is missing then. */
    int errnum = r->endpoint[0] && status == 403 ? EINVAL : oss_errno_of(status, r->code);
    char mend[192];

    advice(mend, sizeof(mend), r);
    if (r->code[0])
        (void)ou_error_say(err, errnum, "%s: HTTP %d: %s%s%s%s%s%s%s", what, status, r->code,
                           r->message[0] ? ": " : "", r->message, mend, r->ec[0] ? " [EC " : "",
                           r->ec, r->ec[0] ? "]" : "");
    else if (status >= 300 && status < 400 && status != 304)
        (void)ou_error_say(err, errnum,
                           "%s: HTTP %d: a redirect, which OSS never sends (check endpoint=)", what,
                           status);
    else
        (void)ou_error_set(err, errnum, "%s: HTTP %d", what, status);
    err->http_status = status;
    (void)snprintf(err->code, sizeof(err->code), "%s", r->code);
    (void)snprintf(err->request_id, sizeof(err->request_id), "%s", r->request_id);
    return -errnum;
}

int oss_error_here(struct ou_error *err, int status, const char *code, const char *request_id,
                   const char *fmt, ...)
{
    char text[sizeof(err->message)];
    int errnum = oss_errno_of(0, code);
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)ou_error_say(err, errnum, "%s", text);
    err->http_status = status;
    (void)snprintf(err->code, sizeof(err->code), "%s", code);
    (void)snprintf(err->request_id, sizeof(err->request_id), "%s", request_id ? request_id : "");
    return -errnum;
}

/*
 * JSON sets of credentials. See oss/cred_json.h.
 */
#include "oss/cred_json.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define STATUS_TOO_MANY 429
#define STATUS_SERVER   500

/* The first of two spellings. */
static const char *either(const struct ou_json *object, const char *one, const char *other)
{
    const char *value = ou_json_string(object, one);

    return value ? value : ou_json_string(object, other);
}

/* Return: 0, or -EBADMSG. No time, or an empty one, is "never". */
static int read_expiry(const char *what, const struct ou_json *object, time_t *expires,
                       struct ou_error *err)
{
    const char *text = either(object, "Expiration", "expiration");
    struct timespec at;
    int64_t seconds;

    *expires = 0;
    if (text && *text) {
        if (!ou_parse_iso8601(text, &at) || at.tv_sec <= 0)
            return ou_error_say(err, EBADMSG, "%s: Expiration is no time", what);
        *expires = at.tv_sec;
    } else if (!text && ou_json_i64(object, "expiration", &seconds)) {
        if (seconds < 0)
            return ou_error_say(err, EBADMSG, "%s: expiration is no time", what);
        *expires = (time_t)seconds;
    }
    return 0;
}

static int read_set(const char *what, const struct ou_json *object, struct oss_credentials *out,
                    struct ou_error *err)
{
    const char *code = ou_json_string(object, "Code");
    const char *token = either(object, "SecurityToken", "sts_token");
    time_t expires;
    int r;

    if (code && strcmp(code, "Success") != 0) {
        (void)ou_error_say(err, EACCES, "%s: %.64s", what, code);
        (void)snprintf(err->code, sizeof(err->code), "%s", code);
        return oss_cred_clean(err);
    }
    r = read_expiry(what, object, &expires, err);
    if (r == 0)
        r = oss_cred_set_make(out, what, either(object, "AccessKeyId", "access_key_id"),
                              either(object, "AccessKeySecret", "access_key_secret"), token, err);
    if (r == 0)
        out->expires = expires;
    return r;
}

int oss_cred_json_parse(const char *what, const char *text, size_t len, struct oss_credentials *out,
                        struct ou_error *err)
{
    ou_auto(ou_json_free_at) struct ou_json *root = NULL;
    const struct ou_json *inner;

    if (ou_json_parse(text, len, &root, err) < 0) {
        if (err->errnum == ENOMEM)
            return -ENOMEM;
        return ou_error_say(err, EBADMSG, "%s: the answer is not JSON", what); /* never its text */
    }
    inner = ou_json_get(root, "Credentials");
    return read_set(what, inner ? inner : root, out, err);
}

int oss_cred_json_refusal(const char *what, int status, const char *text, size_t len,
                          struct ou_error *err)
{
    ou_auto(ou_json_free_at) struct ou_json *root = NULL;
    struct ou_error parse = OU_ERROR_INIT;
    const char *code = NULL, *message = NULL, *id = NULL;
    int errnum = status >= STATUS_SERVER || status == STATUS_TOO_MANY ? EIO : EACCES;

    if (ou_json_parse(text, len, &root, &parse) == 0) {
        code = ou_json_string(root, "Code");
        message = ou_json_string(root, "Message");
        id = ou_json_string(root, "RequestId");
    }
    (void)ou_error_say(err, errnum, "%s: HTTP %d%s%.48s%s%.160s", what, status, code ? ": " : "",
                       code ? code : "", message ? ": " : "", message ? message : "");
    err->http_status = status;
    (void)snprintf(err->code, sizeof(err->code), "%s", code ? code : "");
    (void)snprintf(err->request_id, sizeof(err->request_id), "%s", id ? id : "");
    return oss_cred_clean(err);
}

/*
 * Replies: their headers, and what it means when none came.
 */
#include "oss/errors.h"
#include "oss/http_curl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void oss_http_reply_fini(struct oss_http_reply *reply)
{
    ou_buf_fini(&reply->headers);
    memset(reply, 0, sizeof(*reply));
}

const char *oss_http_header(const struct oss_http_reply *reply, const char *name)
{
    const char *at = reply->headers.data, *end = at ? at + reply->headers.len : NULL;

    while (at < end) {
        const char *value = at + strlen(at) + 1;

        if (!strcmp(at, name))
            return value;
        at = value + strlen(value) + 1;
    }
    return NULL;
}

bool oss_http_has_header_of(const struct oss_http_reply *reply, const char *prefix)
{
    const char *at = reply->headers.data, *end = at ? at + reply->headers.len : NULL;
    size_t len = strlen(prefix);

    while (at < end) {
        if (!strncmp(at, prefix, len))
            return true;
        at += strlen(at) + 1;
        at += strlen(at) + 1;
    }
    return false;
}

/* "host:port" of the URL, for sentences; a key may be a secret to others, so it is left out. */
static void name_host(const struct run *r, char *out, size_t size)
{
    const char *host = strstr(r->x->url, "://");

    host = host ? host + 3 : r->x->url;
    (void)snprintf(out, size, "%.*s", (int)strcspn(host, "/?"), host);
}

int oss_http_timeout(struct run *r, const char *what, uint64_t ms)
{
    char host[300];

    name_host(r, host, sizeof(host));
    if (ms)
        return oss_error_here(r->err, r->x->reply.status, "Timeout", NULL,
                              "%s: %s for %.1f s: Connection timed out", host, what,
                              (double)ms / 1000);
    return oss_error_here(r->err, r->x->reply.status, "Timeout", NULL,
                          "%s: %s: Connection timed out", host, what);
}

static int connect_failed(struct run *r, const char *host)
{
    long number = 0;
    int errnum;

    (void)curl_easy_getinfo(r->slot->easy, CURLINFO_OS_ERRNO, &number);
    errnum = number > 0 ? (int)number : ECONNREFUSED;
    (void)oss_error_here(r->err, 0, "ConnectFailed", NULL, "connect to %s: %s", host,
                         strerrordesc_np(errnum) ? strerrordesc_np(errnum) : r->text);
    r->err->errnum = errnum;
    return -errnum;
}

/*
 * 0, X509_V_OK, or 1, which is what curl puts there before it begins: the host's name is compared
 * before the verdict on the chain is fetched, and the chain was good (else OpenSSL had hung up).
 */
#define CHAIN_UNCHECKED 1

static int certificate_refused(struct run *r, const char *host)
{
    long why = 0;

    (void)curl_easy_getinfo(r->slot->easy, CURLINFO_SSL_VERIFYRESULT, &why);
    if (why > CHAIN_UNCHECKED)
        return oss_error_here(r->err, 0, "TlsRefused", NULL,
                              "%s: its certificate is not trusted (%s); if it is right, give its "
                              "authority with cacert=FILE",
                              host, r->text);
    return oss_error_here(r->err, 0, "TlsRefused", NULL,
                          "%s: its certificate is for another name (%s)", host, r->text);
}

static int nothing_whole(struct run *r, const char *host)
{
    return oss_error_here(r->err, r->x->reply.status, "ConnectionLost", NULL,
                          "%s: the connection broke before the reply was complete (%s)", host,
                          r->text);
}

int oss_http_failure(struct run *r, CURLcode code)
{
    const struct oss_http_options *o = &r->http->options;
    char host[300];

    if (!r->text[0])
        (void)snprintf(r->text, sizeof(r->text), "%s", curl_easy_strerror(code));
    name_host(r, host, sizeof(host));
    if (r->lost)
        return nothing_whole(r, host);
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return oss_error_here(r->err, 0, "HostNotFound", NULL,
                              "host %s is not known; check endpoint= and the name service", host);
    case CURLE_COULDNT_RESOLVE_PROXY:
        return oss_error_here(r->err, 0, "HostNotFound", NULL,
                              "the proxy is not known (%s); check http_proxy and https_proxy",
                              r->text);
    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED:
        return connect_failed(r, host);
    case CURLE_OPERATION_TIMEDOUT: /* only connecting has a time limit in curl */
        return oss_http_timeout(r, "no connection", o->connect_timeout_ms);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return certificate_refused(r, host);
    case CURLE_SSL_CACERT_BADFILE:
        return ou_error_say(r->err, EINVAL, "cacert=%s: no certificates can be read from it",
                            o->cacert ? o->cacert : "(the system's)");
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_USE_SSL_FAILED:
        return oss_error_here(r->err, 0, "TlsFailed", NULL, "%s: no TLS (%s); is it http://?", host,
                              r->text);
    case CURLE_OUT_OF_MEMORY:
        return ou_error_set(r->err, ENOMEM, "talk to %s", host);
    case CURLE_URL_MALFORMAT:
        return ou_error_say(r->err, EINVAL, "endpoint=%s: no address that can be used (%s)", host,
                            r->text);
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_HTTP2:
        return oss_error_here(r->err, 0, OSS_CODE_BAD_REPLY, NULL, "%s: no HTTP reply (%s)", host,
                              r->text);
    default:
        return nothing_whole(r, host);
    }
}

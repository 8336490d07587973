/*
 * HTTP/1.1, and nothing of OSS: the only place that knows libcurl (oss/http*.c).
 *
 * A *pool* keeps connections for reuse. An *exchange* is one request and its
 * reply on the caller's thread; any number may run at once. Nothing is repeated
 * here, with one exception: a kept connection that the server had closed before
 * the request reached it is replaced silently, unless .once forbids to send twice.
 *
 * Failures carry one of these codes in ou_error.code, so that oss/errors.c can tell
 * what a repetition helps against:
 *   HostNotFound, ConnectFailed   no connection; nothing was sent
 *   TlsRefused                    the certificate is not trusted; nothing was sent
 *   TlsFailed                     the TLS handshake broke; nothing was sent
 *   ConnectionLost, Timeout       the reply did not arrive, or not whole
 *   BadReply                      what arrived is no HTTP, or too large
 * "" is a local failure: a callback's, -EINTR, -ENOMEM, a file of certificates.
 */
#ifndef OSSUP_OSS_HTTP_H
#define OSSUP_OSS_HTTP_H

#include "base/buf.h"
#include "base/error.h"
#include "base/thread.h"
#include "oss/limit.h"
#include "oss/sign.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define OSS_HTTP_HEADERS_MAX (UINT32_C(64) << 10) /* bytes of one reply's headers */

struct oss_http;

struct oss_http_options {        /* strings are copied */
    const char *user_agent;      /* NULL: "ossfs-up" */
    const char *cacert;          /* PEM file; NULL: the system's */
    bool no_verify;              /* accept any certificate */
    bool no_proxy;               /* ignore the proxy of the environment */
    uint64_t connect_timeout_ms; /* 0: 10 s */
    struct oss_limit *up, *down; /* borrowed; NULL: none */
};

int oss_http_new(const struct oss_http_options *options, struct oss_http **http,
                 struct ou_error *err);
void oss_http_free(struct oss_http *http); /* no exchange may be running; NULL is fine */

/* A reply: its status and headers. Zeroed memory is an empty one. */
struct oss_http_reply {
    int status;            /* 0: none arrived */
    struct ou_buf headers; /* name NUL value NUL ..., names in lower case, values trimmed */
};
void oss_http_reply_fini(struct oss_http_reply *reply);
/** oss_http_header() - the first header called @name (lower case), or NULL. */
const char *oss_http_header(const struct oss_http_reply *reply, const char *name);
/** oss_http_has_header_of() - a header whose name begins with @prefix (lower case) is there. */
bool oss_http_has_header_of(const struct oss_http_reply *reply, const char *prefix);

struct oss_http_exchange {
    /* The request. */
    const char *method;
    const char *url;
    const struct oss_param *headers; /* sent as they are, Content-Type and Authorization included */
    size_t header_count;
    bool has_body;      /* PUT and POST: also with body_size 0 */
    uint64_t body_size; /* Content-Length */
    /* Fills up to @len bytes at @offset, returns how many (> 0) or a negative errno that ends it all. */
    ssize_t (*read)(void *ctx, void *buf, size_t len, uint64_t offset, struct ou_error *err);
    void *read_ctx;
    bool once; /* never sent twice, not even after a lost kept connection */

    /* The reply. Both are called on the caller's thread; a negative return ends the exchange. */
    int (*head)(void *ctx, const struct oss_http_reply *reply, struct ou_error *err); /* or NULL */
    int (*write)(void *ctx, const void *data, size_t len, struct ou_error *err); /* NULL: dropped */
    void *reply_ctx;

    /* Limits. */
    uint64_t idle_timeout_ms;    /* no byte either way for so long; 0: none */
    uint64_t deadline_ms;        /* ou_now_ms() scale; 0: none */
    uint64_t deadline_moving_ms; /* the deadline while bytes are moving; 0: same as deadline_ms */
    struct ou_cancel *cancel;    /* -EINTR at once; NULL: none */

    /* Results; also filled on failure. .reply must be zeroed before and finied after. */
    struct oss_http_reply reply;
    uint64_t crc64;    /* of the body that was sent */
    uint64_t sent;     /* bytes of the body given to the connection */
    uint64_t received; /* bytes of the reply's body */
    bool was_sent;     /* the request may have reached the server */
};

/**
 * oss_http_run() - one exchange
 *
 * Return: 0 when a whole reply arrived, whatever its status. An error answer (>= 400) that
 * arrives before the body is sent counts as that answer. Negative: see the codes above;
 * .reply.status is set if at least the headers had come.
 */
int oss_http_run(struct oss_http *http, struct oss_http_exchange *x, struct ou_error *err);

#endif

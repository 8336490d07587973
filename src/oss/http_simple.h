/*
 * One small HTTP exchange: for the metadata service and STS, not for OSS.
 *
 * Blocking, on a connection of its own, with deadlines; no redirect is followed, no cookie, netrc
 * or other file is looked at. The answer is bounded and wiped when freed, because it holds secrets.
 * Any thread. Codes of failures are those of oss/http.h, so that oss_error_verdict() knows them.
 */
#ifndef OSSUP_OSS_HTTP_SIMPLE_H
#define OSSUP_OSS_HTTP_SIMPLE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OSS_HTTP_SIMPLE_MAX (64u << 10) /* bytes of an answer; those that we ask for have 2 KiB */

struct oss_http_simple {
    const char *method;          /* GET, PUT, POST */
    const char *url;             /* http or https; certificates are verified */
    const char *const *headers;  /* "Name: value", NULL-terminated; NULL: none */
    const char *body;            /* of PUT and POST; NULL: empty */
    const char *cacert;          /* PEM file of authorities beside the system's; NULL: none */
    bool direct;                 /* never by a proxy of the environment: metadata is link-local */
    uint64_t connect_timeout_ms; /* 0: 5 s */
    uint64_t timeout_ms;         /* in all; 0: 10 s */
};

struct oss_http_answer {
    int status;
    char *body; /* NUL-terminated */
    size_t len;
};

/**
 * oss_http_simple() - one exchange
 *
 * Return: 0 when a whole answer arrived, whatever its status; the caller finis it. Negative errno:
 * none did, or it is too large (-EMSGSIZE).
 */
int oss_http_simple(const struct oss_http_simple *request, struct oss_http_answer *answer,
                    struct ou_error *err);
void oss_http_answer_fini(struct oss_http_answer *answer); /* wipes; zeroed memory is fine */

#endif

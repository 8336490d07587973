/*
 * What the files of oss/http*.c share: the connection slot and one run of an exchange.
 */
#ifndef OSSUP_OSS_HTTP_CURL_H
#define OSSUP_OSS_HTTP_CURL_H

#include "base/mutex.h"
#include "oss/http.h"

#include <curl/curl.h>

#define OSS_RANK_HTTP_POOL  (OU_RANK_OSS + 20)
#define OSS_RANK_HTTP_SHARE (OU_RANK_OSS + 50) /* + curl_lock_data: a leaf, taken inside curl */

#define OSS_HTTP_SOCKETS                                                                           \
    4u /* a connection, those that race to become one (IPv4, IPv6), one to spare */

struct run;

/* A multi handle (its wakeup, its connection) with its only easy handle. */
struct slot {
    struct slot *next;
    CURLM *multi;
    CURL *easy;
    struct run *run;               /* NULL while idle */
    int sockets[OSS_HTTP_SOCKETS]; /* that curl has open for it; -1: none */
};

struct oss_http {
    struct oss_http_options options; /* constant after oss_http_new(); strings owned */
    CURLSH *share;                   /* addresses and TLS sessions, of all slots */
    struct ou_mutex share_locks[CURL_LOCK_DATA_LAST];
    struct ou_mutex lock;
    struct {
        struct slot *idle; /* last in, first out: the warmest connection goes first */
    } locked;              /* only while .lock is held */
};

/* One exchange on its way; lives on the stack of oss_http_run(). */
struct run {
    struct oss_http *http;
    struct oss_http_exchange *x;
    struct ou_error *err;
    struct slot *slot;
    struct curl_slist *headers;
    int status;            /* of the block of headers that is coming in */
    int result;            /* of a callback, or of a limit that was hit; 0: none */
    uint64_t offset;       /* of the body, to be read next */
    unsigned sends;        /* how often the request went out */
    bool replied;          /* the headers are complete, the body begins */
    bool lost;             /* a second sending was forbidden */
    uint64_t moved_ms;     /* when a byte moved last */
    uint64_t hold_up_ms;   /* the rate limit: nothing goes up, ... */
    uint64_t hold_down_ms; /* ... or down before that moment */
    bool held;             /* curl was told to pause */
    int64_t unacked;       /* bytes in the sockets' send queues when last looked at; -1: never */
    char text[CURL_ERROR_SIZE];
};

/** oss_http_setup() - the options of one exchange; r->headers is the caller's to free. */
int oss_http_setup(struct run *r);
/** oss_http_fixed_options() - those that never change, on a new handle. */
void oss_http_fixed_options(struct oss_http *http, struct slot *slot);
/** oss_http_failure() - what @code means, with the sentence for it. Return: negative errno. */
int oss_http_failure(struct run *r, CURLcode code);
/** oss_http_timeout() - "Timeout" of @what. */
int oss_http_timeout(struct run *r, const char *what, uint64_t ms);
void oss_http_once(void);
/** oss_http_take_line() - one line of the reply's head, as it came. */
void oss_http_take_line(struct run *r, const char *line, size_t len);
/** oss_http_take_body() - bytes of the reply's body. */
void oss_http_take_body(struct run *r, const char *data, size_t len);
/** oss_http_salvage() - @fd is about to be closed: an answer that curl did not come to read is read now. */
void oss_http_salvage(struct run *r, int fd);

#endif

/*
 * One operation on its way: what the functions of oss/ops.h describe, and oss/request.c runs.
 * Private to src/oss.
 *
 * oss_request_run() signs, sends, reads the refusal if there is one, decides and repeats. It
 * knows nothing of single operations; they tell it what may be repeated (.once), what to do with
 * the reply (.accept, or .head and .write for a sink) and what changes between attempts (.prepare).
 */
#ifndef OSSUP_OSS_REQUEST_H
#define OSSUP_OSS_REQUEST_H

#include "oss/client_impl.h"
#include "oss/ops.h"
#include "oss/xml.h"

#define OSS_QUERY_MAX 8u
#define OSS_WHAT_SIZE 240u

/* Headers being gathered: name NUL value NUL ..., so that adding never fails before its check. */
struct oss_header_list {
    struct ou_buf text;
    size_t count;
};
void oss_headers_fini(struct oss_header_list *h);
/** oss_headers_add() - @value NULL or "": nothing is added (OSS and SDKs disagree about empty ones). */
void oss_headers_add(struct oss_header_list *h, const char *name, const char *value);
void oss_headers_addf(struct oss_header_list *h, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A whole reply. Zeroed memory is an empty one. */
struct oss_reply {
    struct oss_http_reply http;
    struct ou_buf body; /* of a refusal, or of a success without .write */
    uint64_t crc64;     /* of the body that was sent */
};
void oss_reply_fini(struct oss_reply *reply);

/* After a failure that another attempt might mend: what may be repeated. */
enum oss_repeat {
    OSS_REPEAT_ALWAYS,   /* nothing is doubled by a repetition */
    OSS_REPEAT_REFUSED,  /* only if OSS said that it did nothing: a 5xx with a code of its own */
    OSS_REPEAT_THROTTLED /* only if OSS did not even begin (503, 429) */
};

struct oss_request {
    const char *op; /* "put", "upload part" */
    const char *method;
    const char *key; /* NULL: the bucket */
    unsigned part;   /* 0: none */
    struct oss_param query[OSS_QUERY_MAX];
    size_t query_count;
    struct oss_header_list headers;
    bool has_body;
    const struct oss_body *body; /* NULL: empty */
    bool check_crc;              /* the reply's CRC-64 must be the body's */
    bool slow;                   /* the server may think for minutes before it answers */
    enum oss_repeat repeat;
    uint64_t reply_size; /* bytes of a large reply, for the deadline */
    uint64_t progress;   /* grown by .write: an attempt that moved on is not counted */
    /* All may be NULL. Negative returns end the attempt; code BadReply is worth another. */
    int (*prepare)(struct oss_request *rq, struct ou_error *err); /* before each attempt */
    int (*head)(void *ctx, const struct oss_http_reply *reply, struct ou_error *err); /* 2xx only */
    int (*write)(void *ctx, const void *data, size_t len, struct ou_error *err);      /* 2xx only */
    int (*accept)(struct oss_request *rq, struct oss_reply *reply, struct ou_error *err);
    void *ctx;
    char what[OSS_WHAT_SIZE]; /* "upload part 3 of a/b", for messages */
};

/** oss_request_init() - @key is checked; NULL: the bucket. */
int oss_request_init(struct oss_request *rq, const char *op, const char *method, const char *key,
                     unsigned part, struct ou_error *err);
void oss_request_fini(struct oss_request *rq);
/** oss_request_query() - @value is borrowed; NULL: the bare name. */
void oss_request_query(struct oss_request *rq, const char *name, const char *value);

/** oss_request_run() - Return: 0 (2xx and accepted), or negative errno as oss/ops.h says. @reply: zeroed; the caller finis. */
int oss_request_run(struct oss_client *c, const struct oss_call *call, struct oss_request *rq,
                    struct oss_reply *reply, struct ou_error *err);

/* -- oss/refusal.c -- */
/** oss_refusal_read() - what a reply that is no success says: body, x-oss-err, headers. */
void oss_refusal_read(const struct oss_reply *reply, struct oss_refusal *out);

/* -- oss/attempt.c -- */
/* One attempt: signed with the credentials of the moment, through the gate, once. */
struct oss_attempt {
    struct oss_client *c;
    const struct oss_call *call;
    struct oss_request *rq;
    struct oss_reply *reply;
    uint64_t deadline_ms; /* 0: none */
    unsigned number;      /* counts from 0 */
    struct oss_credentials used;
    struct oss_refusal refusal; /* .code "" unless OSS refused */
    bool was_sent;              /* the request may have reached OSS */
    bool local;                 /* the failure is the caller's: its callback's, no memory, -EINTR */
};
int oss_attempt_run(struct oss_attempt *a, struct ou_error *err);

#endif

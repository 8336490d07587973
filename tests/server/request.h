/*
 * One request from its first byte to its log line, and what all requests share.
 *
 * Life: uri callback -> srv_request_begin (head is read: address, route, sign,
 * faults, operation's begin) -> srv_request_body (each piece) -> srv_request_end
 * (operation's finish, reply) -> completed. A connection has its own thread, and
 * a request belongs to it; only struct srv_server is shared.
 *
 * An operation refuses by srv_fail(&r->error, ...). A request that was refused
 * before its body still reads the body, because clients that are writing do not
 * read; unless it waits for "100 Continue" or is absurdly large.
 */
#ifndef SRV_REQUEST_H
#define SRV_REQUEST_H

#include "server/credentials.h"
#include "server/datadir.h"
#include "server/error.h"
#include "server/faults.h"
#include "server/limiter.h"
#include "server/options.h"
#include "server/reqlog.h"
#include "server/store.h"

#include <microhttpd.h>

#define SRV_OPERATION_COUNT 64
#define SRV_OBJECT_PUT_MAX  (UINT64_C(5) << 30) /* PutObject, AppendObject, a part */

struct srv_request;

enum srv_access {
    SRV_ACCESS_OPEN,  /* anybody */
    SRV_ACCESS_READ,  /* anonymous if the bucket (or object) is public-read */
    SRV_ACCESS_WRITE, /* anonymous if it is public-read-write */
    SRV_ACCESS_OWNER, /* never anonymous */
};

enum srv_body {
    SRV_BODY_DISCARD, /* read and forgotten */
    SRV_BODY_MEMORY,  /* XML, JSON: into r->text, bounded */
    SRV_BODY_DATA,    /* into r->writer */
};

struct srv_operation {
    const char *name; /* as the manual calls it; NULL ends a table */
    enum srv_access access;
    enum srv_body body;
    int (*begin)(struct srv_request *r);  /* before the body; may be NULL */
    int (*finish)(struct srv_request *r); /* after it: do it and fill r->reply */
    bool hns_only;                        /* exists in hierarchical buckets only */
    bool no_hns;                          /* does not exist there */
};

/* What goes back. Zeroed memory is 200 without a body. */
struct srv_reply {
    int status; /* 0: 200 */
    struct srv_pairs headers;
    struct srv_buf body;
    struct srv_object *object; /* else the body: bytes first..first+length-1 of this; a reference */
    uint64_t first;
    uint64_t length;
};

struct srv_server {
    /* constant while connections live */
    struct srv_store *store;
    struct srv_faults *faults;
    struct srv_reqlog *log;
    struct srv_credentials *credentials;
    const char *region;
    const char *domain; /* NULL: path style only */
    bool hns;           /* buckets made from now on are hierarchical */
    bool s3;            /* the S3 dialect is understood, too */
    bool tls;
    uint16_t port;
    /* shared, each with its own rules */
    atomic_bool stopping;
    struct srv_switches switches;
    struct srv_limiter up, down, requests;
    atomic_uint in_flight[SRV_OPERATION_COUNT];
    atomic_uint streaming; /* replies on their way that are not in the log yet */
    _Atomic uint64_t request_counter;
};

struct srv_request {
    struct srv_server *srv;
    struct MHD_Connection *conn;
    int fd; /* the socket: to look whether the peer is still there */

    /* the head */
    char *target; /* as received: path?query */
    const char *method;
    struct srv_pairs headers; /* lower case, trimmed, repeated ones joined by ',' */
    struct srv_pairs query;   /* decoded */
    char *bucket;             /* NULL if the request names none */
    char *key;                /* likewise */
    const struct srv_operation *op;
    char id[25]; /* x-oss-request-id */
    bool anonymous;
    bool s3; /* in the S3 dialect, and its signature was checked */
    bool bucket_hns;
    uint64_t content_length; /* 0 if chunked */
    bool has_body;           /* Content-Length or chunked was there */

    /* the way through */
    bool begun, ended, settled, aborted;
    struct srv_error error;
    struct srv_plan plan;
    struct srv_reply reply;

    /* the body */
    enum srv_body sink;
    struct srv_buf text;
    struct srv_writer writer;
    struct srv_limiter pace; /* of x-oss-traffic-limit and "slow" */
    uint64_t pace_bytes_per_s;

    /* what begin() learnt for finish() */
    uint64_t part_number;
    uint64_t position;
    struct srv_attrs attrs;
    struct srv_object *source;

    /* for the log */
    double started;
    uint64_t started_ns;
    unsigned in_flight;
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t acked_before; /* bytes the peer had acknowledged when the reply began */
    bool streaming;        /* the log line waits until the body is out */
    bool by_fd;            /* the kernel sends the body, .bytes_out is what it was given */
};

struct srv_request *srv_request_new(struct srv_server *srv, struct MHD_Connection *conn,
                                    const char *target);
void srv_request_free(struct srv_request *r);

/* The three steps of http.c; each says whether the connection goes on. */
enum MHD_Result srv_request_begin(struct srv_request *r, const char *method);
enum MHD_Result srv_request_body(struct srv_request *r, const char *data, size_t len);
enum MHD_Result srv_request_end(struct srv_request *r);

/* srv_acknowledged() - bytes the peer's kernel has: how far an interrupted sendfile() came */
uint64_t srv_acknowledged(int fd);
/* srv_request_settle() - counts it out and writes its log line, once */
void srv_request_settle(struct srv_request *r);

/* srv_request_sleep() - false if the peer went away or the server stops */
bool srv_request_sleep(struct srv_request *r, uint64_t ns);
/* srv_request_stall() - carries out the plan's stall; false: give the connection up */
bool srv_request_stall(struct srv_request *r);

/* srv_request_send() - the reply (or the error) goes out */
enum MHD_Result srv_request_send(struct srv_request *r);

/* Values by name; NULL if absent, "" if bare. */
const char *srv_header(const struct srv_request *r, const char *name);
const char *srv_query(const struct srv_request *r, const char *name);
bool srv_header_is(const struct srv_request *r, const char *name, const char *value);

void srv_reply_header(struct srv_request *r, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* srv_reply_xml() - Content-Type and the first line of an XML body, to go on with */
struct srv_buf *srv_reply_xml(struct srv_request *r);

#endif

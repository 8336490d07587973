/*
 * The request log: one JSON line a finished request, in a file.
 *
 * A line is written before a short reply goes out, so whoever has the answer
 * finds the line; long bodies are logged when they are out. Any thread may call.
 */
#ifndef SRV_REQLOG_H
#define SRV_REQLOG_H

#include "server/buf.h"

#include <stdint.h>

struct srv_reqlog;

struct srv_reqlog_entry {
    double started; /* Unix time */
    const char *operation;
    const char *method;
    const char *bucket; /* NULL if none, as all below */
    const char *key;
    uint64_t part; /* 0: none */
    const char *upload_id;
    int status; /* that was sent, or would have been; 0 if it never came so far */
    const char *code;
    uint64_t bytes_in;
    uint64_t bytes_out;
    const char *range;
    const char *fault;
    const char *request_id;
    unsigned in_flight; /* same operation, when it began, itself included */
    bool aborted;       /* the connection broke or was cut before the answer was out */
};

/* srv_reqlog_open() - appends to @path; NULL after a message on stderr */
struct srv_reqlog *srv_reqlog_open(const char *path);
void srv_reqlog_free(struct srv_reqlog *log);
void srv_reqlog_add(struct srv_reqlog *log, const struct srv_reqlog_entry *entry);
/* srv_reqlog_read() - a descriptor on the file (the caller closes) and its size now; -1 if none */
int srv_reqlog_read(struct srv_reqlog *log, uint64_t *size);
void srv_reqlog_clear(struct srv_reqlog *log);

#endif

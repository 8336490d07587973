/*
 * A tiny HTTP server on 127.0.0.1 and a free port, for tests of what asks one small question.
 *
 * One request a connection, one after the other, on a thread of its own.
 */
#ifndef OSSUP_TESTS_LOOPBACK_H
#define OSSUP_TESTS_LOOPBACK_H

#include <stddef.h>

struct loopback_request {
    char method[16];
    char target[1024];
    char head[8192]; /* request line and headers */
    char body[16384];
};

/* Writes the body of the answer (NUL-terminated) into @answer and returns the status; 0: says nothing
 * and closes; -1: says nothing and leaves the connection open until the server stops. */
typedef int loopback_handler(void *ctx, const struct loopback_request *request, char *answer,
                             size_t size);

struct loopback;
struct loopback *loopback_start(loopback_handler *handler, void *ctx); /* asserts */
/** loopback_url() - "http://127.0.0.1:PORT" */
const char *loopback_url(const struct loopback *server);
/** loopback_stop() - afterwards the handler is done and what it has written may be read. */
void loopback_stop(struct loopback *server);
/** loopback_has_header() - the line "name: value" is in @request; names compared without case. */
int loopback_has_header(const struct loopback_request *request, const char *line);

#endif

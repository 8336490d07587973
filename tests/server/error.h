/*
 * What the server answers when it refuses: an OSS error code with its status and
 * error cause (EC), a message, and the elements and headers that go with some codes.
 * A struct srv_error belongs to one request; zeroed memory is "no error".
 */
#ifndef SRV_ERROR_H
#define SRV_ERROR_H

#include "server/buf.h"

struct srv_error {
    const char *code; /* NULL: no error; else static text or .code_memory */
    const char *ec;   /* error cause "NNNN-NNNNNNNN", static text */
    int status;
    char *code_memory; /* a code that a fault rule brought along */
    char *message;
    struct srv_buf details;   /* finished XML elements */
    struct srv_pairs headers; /* further reply headers */
};

void srv_error_fini(struct srv_error *e);

/*
 * srv_fail() - refuse with a code of the table in error.c, which gives status and EC
 *
 * Return: -1, so that `return srv_fail(...)` is one statement. A second failure
 * of the same request is ignored: the first one is what the client hears.
 */
int srv_fail(struct srv_error *e, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* srv_fail_ec() - the same, with a more precise error cause than the table's */
int srv_fail_ec(struct srv_error *e, const char *code, const char *ec, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* srv_fail_status() - any status and code, known to the table or not; both texts are copied */
int srv_fail_status(struct srv_error *e, int status, const char *code, const char *message);

void srv_error_detail(struct srv_error *e, const char *element, const char *value);

/* srv_error_xml() - the body of the reply */
void srv_error_xml(const struct srv_error *e, const char *request_id, const char *host,
                   struct srv_buf *out);

#endif

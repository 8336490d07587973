/*
 * Errors: what went wrong, for the caller, the log and the user.
 *
 * A function that can fail returns 0 (or a positive outcome its header names) or
 * a negative errno, and takes `struct ou_error *err` as its last argument. The
 * struct lies on the caller's stack, so no error path allocates. On success it
 * is untouched; it is never NULL. No locks; any thread.
 */
#ifndef OSSUP_BASE_ERROR_H
#define OSSUP_BASE_ERROR_H

#include <stdarg.h>

struct ou_error {
    int errnum;          /* positive errno; 0 while unset */
    int http_status;     /* 0 if no reply arrived */
    char code[48];       /* OSS <Code>, e.g. "NoSuchUpload"; "" if the failure is local */
    char request_id[48]; /* x-oss-request-id, what support asks for; "" if none */
    unsigned wait_ms; /* the service asks for so long a pause before a repetition; 0: it does not */
    char message[512]; /* outermost context first: "complete a/b: HTTP 503: SlowDown" */
};

#define OU_ERROR_INIT                                                                              \
    {                                                                                              \
        .errnum = 0                                                                                \
    }

/**
 * ou_error_set() - record a local failure
 * @errnum: positive errno
 * @fmt:    what, on what; ": " and the errno's text are added
 *
 * Clears the OSS fields. Return: -@errnum, so that `return ou_error_set(...)` is one statement.
 */
int ou_error_set(struct ou_error *err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/**
 * ou_error_say() - like ou_error_set(), but @fmt is the whole message (no errno text is added)
 *
 * For what a user can mend: "part_size=10K: it takes 100K to 5G".
 */
int ou_error_say(struct ou_error *err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/** ou_error_prefix() - put "context: " before the message; the number stays. Return: -errnum. */
int ou_error_prefix(struct ou_error *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif

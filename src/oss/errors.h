/*
 * Errors of OSS: from a reply to struct ou_error. Private to src/oss. Pure; any thread.
 *
 * What an error means (errno, verdict) stands in one table, oss/errors.c.
 */
#ifndef OSSUP_OSS_ERRORS_H
#define OSSUP_OSS_ERRORS_H

#include "base/error.h"
#include "oss/client.h"

/* Codes of failures that no reply of OSS names; besides those of oss/http.h. */
#define OSS_CODE_CRC_MISMATCH "CrcMismatch" /* what was sent or received is not what OSS has */
#define OSS_CODE_BAD_REPLY    "BadReply"    /* no XML where XML is due, a wrong range, ... */

/* What an error reply said; every string may be "". */
struct oss_refusal {
    char code[48];
    char message[256];
    char request_id[48];
    char ec[24];
    char endpoint[128];   /* the address to use instead, when the region was wrong */
    char server_time[32]; /* RequestTimeTooSkewed: ISO 8601 */
};

/** oss_errno_of() - the positive errno for an HTTP status and an OSS code ("" if none). */
int oss_errno_of(int status, const char *code);

/**
 * oss_error_refused() - fill @err from an error reply
 * @what: "head a/b"
 *
 * The sentence says what to mend where the user can. Return: -errno.
 */
int oss_error_refused(struct ou_error *err, const char *what, int status,
                      const struct oss_refusal *refusal);

/**
 * oss_error_here() - a failure that has a code but no refusal of OSS behind it
 * @status: of the reply; 0: none
 *
 * Return: -errno of the table for @code.
 */
int oss_error_here(struct ou_error *err, int status, const char *code, const char *request_id,
                   const char *fmt, ...) __attribute__((format(printf, 5, 6)));

#endif

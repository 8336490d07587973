/*
 * Range and the four conditions of reads: pure decisions about header values.
 */
#ifndef SRV_RANGE_H
#define SRV_RANGE_H

#include "server/buf.h"

#include <stdint.h>

enum srv_range {
    SRV_RANGE_WHOLE,   /* 200 with everything: none asked, or one OSS ignores */
    SRV_RANGE_PARTIAL, /* 206 with first..last */
    SRV_RANGE_UNSATISFIABLE,
};

/*
 * srv_range_parse() - what a Range header selects of an object
 * @range:    the header's value, or NULL
 * @standard: x-oss-range-behavior: standard was sent. Without it OSS answers a
 *            range that does not fit with the whole object.
 * @first, @last: the bytes, both inclusive; set for SRV_RANGE_PARTIAL only
 */
enum srv_range srv_range_parse(const char *range, bool standard, uint64_t size, uint64_t *first,
                               uint64_t *last);

/*
 * srv_condition_status() - do If-Match and its three brothers hold?
 * @headers: the request's; names in lower case
 * @prefix:  "" for reads, "x-oss-copy-source-" for the source of a copy
 * @etag:    without quotes; the header may have them or not
 * @mtime:   Unix seconds
 *
 * Return: 0 if the request may go on, else 304 or 412.
 */
int srv_condition_status(const struct srv_pairs *headers, const char *prefix, const char *etag,
                         int64_t mtime);

#endif

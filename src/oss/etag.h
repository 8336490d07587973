/*
 * The ETag that OSS gives to a multipart object, foretold from its parts. Pure; any thread.
 *
 * MD5 over the ASCII text of the parts' ETags in order, "-", their number (oss-protocol 5.9). The
 * manual promises no formula: where a CRC-64 is known it decides, and this is a hint.
 */
#ifndef OSSUP_OSS_ETAG_H
#define OSSUP_OSS_ETAG_H

#include "oss/types.h"

/** oss_multipart_etag() - of @parts in this order. false: MD5 is not to be had here (FIPS). */
bool oss_multipart_etag(const struct oss_part *parts, size_t count, char etag[OSS_ETAG_SIZE]);

#endif

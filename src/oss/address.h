/*
 * Addresses: from endpoint and bucket to URLs; names that OSS can hold. Private to src/oss.
 *
 * Pure; any thread. Source: oss-protocol section 1.
 */
#ifndef OSSUP_OSS_ADDRESS_H
#define OSSUP_OSS_ADDRESS_H

#include "base/buf.h"
#include "base/error.h"
#include "oss/client.h"

#include <stdbool.h>

#define OSS_HOST_SIZE   256
#define OSS_REGION_SIZE 64

struct oss_address {
    char scheme[8];                /* "http" or "https" */
    char host[OSS_HOST_SIZE];      /* of the endpoint, lower case; IPv6 in brackets */
    unsigned port;                 /* 0: the scheme's */
    enum oss_addressing style;     /* never AUTO */
    char region[OSS_REGION_SIZE];  /* "" if the host does not tell */
    const char *product;           /* "oss" or "oss-cloudbox" */
    char base[OSS_HOST_SIZE + 96]; /* "https://bucket.host:port", "http://127.0.0.1:9000/bucket" */
};

/** oss_address_init() - -EINVAL with a sentence that names what is wrong with the endpoint or bucket. */
int oss_address_init(struct oss_address *a, const char *endpoint, enum oss_addressing style,
                     const char *bucket, struct ou_error *err);

/**
 * oss_address_url() - append the URL of @key (NULL: of the bucket)
 * @query: canonical, "" if none
 */
void oss_address_url(const struct oss_address *a, const char *key, const char *query,
                     struct ou_buf *out);

/** oss_bucket_check() - 3..63 of a-z 0-9 -, no - at the ends. */
int oss_bucket_check(const char *bucket, struct ou_error *err);
/** oss_region_check() - a-z 0-9 - only. */
int oss_region_check(const char *region, struct ou_error *err);
/**
 * oss_key_check() - can OSS hold this key?
 * Return: 0; -ENAMETOOLONG over 1023 bytes; -EILSEQ no UTF-8; -EINVAL empty, or it begins with / or \.
 */
int oss_key_check(const char *key, struct ou_error *err);

#endif

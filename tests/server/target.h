/*
 * The request target: from bytes on the wire to bucket, key and query. Strict: what
 * no well-behaved client sends (a raw '+' or an unescaped byte in the query, an
 * escape that is none) is refused instead of guessed at. Pure functions.
 */
#ifndef SRV_TARGET_H
#define SRV_TARGET_H

#include "server/error.h"

/* srv_target_query() - "a=b&c" behind the '?' -> decoded pairs; 0 or -1 */
int srv_target_query(const char *query, struct srv_pairs *pairs, struct srv_error *err);

/*
 * srv_target_address() - which bucket and key?
 * @path:   as received, before the '?'
 * @host:   the Host header, with or without port, or NULL
 * @domain: BUCKET.domain is virtual-host style; NULL: there is none. IP addresses
 *          and localhost are path style always, and any other host too.
 * @bucket, @key: NULL if the request names none; the caller frees
 */
int srv_target_address(const char *path, const char *host, const char *domain, char **bucket,
                       char **key, struct srv_error *err);

#endif

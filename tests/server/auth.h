/*
 * Is the request signed by somebody known, and lately? V1 and V4, by header and by URL.
 */
#ifndef SRV_AUTH_H
#define SRV_AUTH_H

#include "server/request.h"

/*
 * srv_authenticate() - 0 if the signature holds or there is none (r->anonymous), else -1
 * In the order: form of the signature, key id and token, date, signature.
 */
int srv_authenticate(struct srv_request *r);

/* srv_authorize() - may this caller do @r->op with its bucket and object? Needs the bucket. */
int srv_authorize(struct srv_request *r);

#endif

/*
 * Query parameters that listings and XML replies share. They refuse with
 * InvalidArgument, ArgumentName and ArgumentValue.
 */
#ifndef SRV_PARAMS_H
#define SRV_PARAMS_H

#include "server/request.h"

/* encoding-type: absent or "url" */
int srv_param_url(struct srv_request *r, bool *url);
/* a page size 1..1000 into *@max, which holds the default */
int srv_param_max(struct srv_request *r, const char *name, uint64_t *max);
/* a prefix, marker, delimiter: less than 1024 bytes; "" if absent; refuses into r->error */
const char *srv_param_text(struct srv_request *r, const char *name);
int srv_param_invalid(struct srv_request *r, const char *name);
/* how many entries a page may have after the switches and the plan */
size_t srv_page_limit(const struct srv_request *r, uint64_t max);

#endif

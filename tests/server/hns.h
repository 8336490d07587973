/*
 * Hierarchical buckets: directories are real there. One lies in the store under its
 * name with a trailing '/', as an object of type SRV_DIRECTORY, and listings show it
 * that way; on the wire its name may come with or without the slash. In ordinary
 * buckets these functions do nothing.
 */
#ifndef SRV_HNS_H
#define SRV_HNS_H

#include "server/request.h"

/* srv_hns_before_write() - makes missing parents; refuses where a file or directory is in the way */
int srv_hns_before_write(struct srv_request *r);
/* srv_hns_before_delete() - directories are not deleted by DeleteObject */
int srv_hns_before_delete(struct srv_request *r);
/* srv_hns_get() - srv_store_get(), that finds a directory by its name without slash too */
struct srv_object *srv_hns_get(struct srv_request *r);

#endif

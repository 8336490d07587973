/*
 * One page of a listing, as OSS folds it. Pure: it walks a sorted index.
 *
 * Keys that begin with @prefix come in byte order. With a delimiter, keys that
 * hold it behind the prefix are folded into one common prefix, up to and
 * including it; a folded group counts as one entry. @after: only what is strictly
 * above it; if it is itself a common prefix, that group is done with. Keys above
 * an @after that lies inside a group still bring the group (nobody could verify
 * what the service does there).
 */
#ifndef SRV_LISTING_H
#define SRV_LISTING_H

#include "server/index.h"

#include <stdbool.h>

/* @node: the entry, or NULL if @name is a common prefix. @name lives during the call only. */
typedef void srv_listing_fn(void *arg, const char *name, const struct srv_index_node *node);

/* srv_listing_page() - calls @emit at most @max times; true if more entries follow */
bool srv_listing_page(const struct srv_index *index, const char *prefix, const char *delimiter,
                      const char *after, size_t max, srv_listing_fn *emit, void *arg);

/*
 * srv_listing_from() - the same, beginning at @node (NULL: nothing follows)
 * For indexes whose keys go on behind a NUL (uploads: key, NUL, upload id).
 */
bool srv_listing_from(const struct srv_index *index, const struct srv_index_node *node,
                      const char *prefix, const char *delimiter, const char *after, size_t max,
                      srv_listing_fn *emit, void *arg);

#endif

/*
 * What ossup.c (client, errors, cancel) and ossup_upload.c share.
 */
#ifndef OSSUP_TRANSFER_OSSUP_INTERNAL_H
#define OSSUP_TRANSFER_OSSUP_INTERNAL_H

#include "base/mutex.h"
#include "oss/client.h"

#include <ossup/ossup.h>

struct ossup_bucket { /* lives as long as its client */
    struct ossup_bucket *next;
    char *name;
    uint64_t traffic_limit;
    struct oss_client *client;
};

struct ossup_client {
    /* Constant after new; strings are owned. */
    struct oss_config config;
    uint64_t patience_ms;
    struct oss_cred_chain *chain;

    struct ou_mutex lock; /* rank OU_RANK_XFER + 10 */
    struct {
        struct ossup_bucket *buckets;
    } locked;
};

struct ossup_cancel {
    int fd; /* an eventfd: readable once triggered, for ever */
};

/** ossup_bucket_client() - the client for this bucket, made when it is first asked for. */
int ossup_bucket_client(struct ossup_client *client, const char *bucket, uint64_t traffic_limit,
                        struct oss_client **out, struct ou_error *err);
/**
 * ossup_take_struct() - copy a caller's struct into ours, which may be longer or shorter
 *
 * Both begin with a size_t struct_size; what the caller has not is zero.
 */
int ossup_take_struct(void *to, size_t size, const void *from, const char *name,
                      struct ou_error *err);
/** ossup_give_struct() - the other way round; .struct_size of the caller stays. @to may be NULL. */
void ossup_give_struct(void *to, const void *from, size_t size);
/** ossup_give_error() - Return: -errnum. @error may be NULL. */
int ossup_give_error(struct ossup_error *error, const struct ou_error *err);

#endif

/*
 * What file_upload.c (an upload's life) and file_start.c (its beginning: file, checkpoint, plan) share.
 */
#ifndef OSSUP_TRANSFER_FILE_UPLOAD_INTERNAL_H
#define OSSUP_TRANSFER_FILE_UPLOAD_INTERNAL_H

#include "base/mutex.h"
#include "transfer/checkpoint.h"
#include "transfer/file_upload.h"

#include <stdatomic.h>

struct xfer_file {
    /* Constant after start. */
    struct xfer_file_ops ops;
    void *ctx;
    struct oss_client *client;
    struct oss_object_headers headers; /* what it points to is the owner's */
    char *key;
    char *name;             /* the file, for messages */
    char *path;             /* its real path; NULL: no name, no checkpoint */
    char *registry, *place; /* where the checkpoint's path is noted, and that path; NULL: nowhere */
    int fd;
    int dirfd; /* of the checkpoint; -1: none */
    struct xfer_identity identity;
    bool multipart, drop_behind;
    bool started; /* .locked tells what is on the server */
    uint64_t part_size;
    size_t part_count;
    struct xfer_upload *upload; /* until done() ends or the engine is freed; NULL: never started */

    struct xfer_checkpoint checkpoint; /* open if there is one; has its own lock */
    atomic_bool counting;              /* no part was sent yet: what is confirmed was there */
    atomic_size_t parts_resumed;
    atomic_uint_fast64_t moved; /* for the eye: no order with anything else */

    struct ou_mutex lock; /* rank OU_RANK_XFER + 20 */
    struct {
        struct ou_error changed;            /* errnum 0: the file is as it was */
        char upload_id[OSS_UPLOAD_ID_SIZE]; /* "": none that we know of */
        bool ended;                         /* done() was called */
    } locked;
};

/** xfer_file_abort() - an upload id that nobody needs any more; best effort. Return: 0, negative errno. */
int xfer_file_abort(struct xfer_file *file, const char *upload_id, struct ou_cancel *cancel,
                    struct ou_error *err);
/** xfer_file_note_checkpoint() - tell the registry, if one is wanted, where the open checkpoint lies */
void xfer_file_note_checkpoint(struct xfer_file *file, const struct xfer_file_spec *spec);
/** xfer_file_remove_checkpoint() - and what the registry knows of it */
int xfer_file_remove_checkpoint(struct xfer_file *file, struct ou_error *err);
extern const struct xfer_upload_ops xfer_file_upload_ops;

#endif

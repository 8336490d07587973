/*
 * File upload: a local file becomes an object; what an interruption leaves, a later run goes on with.
 *
 * The face of the engine for `put` and the library. A file that needs more than one part has a
 * checkpoint (transfer/checkpoint.h); a smaller or empty one is one PutObject and has none. What
 * the checkpoint says counts only as far as file, target, part size, headers and the parts on the
 * server agree with it. If the record does not fit the file any more, its upload id is
 * aborted and a new upload begins.
 *
 * The file is looked at with each read and once more before the object is published: if it
 * was written to, truncated, deleted or replaced meanwhile, the upload is aborted and ends with
 * -ESTALE. An object with bytes of two versions never comes to be.
 *
 * Ends, and what becomes of checkpoint and upload id:
 *   success                  both are gone
 *   -ESTALE                  both are gone (the checkpoint stays if the abort did not work)
 *   another error            they stay, for the next run
 *   the engine was stopped   they stay
 * Without a checkpoint (.path is NULL) nothing stays: xfer_file_free() aborts if it must.
 *
 * Any thread may call these functions; not under a lock of src/transfer.
 */
#ifndef OSSUP_TRANSFER_FILE_UPLOAD_H
#define OSSUP_TRANSFER_FILE_UPLOAD_H

#include "base/thread.h"
#include "transfer/engine.h"

struct xfer_file; /* one upload */

struct xfer_file_progress {
    uint64_t confirmed, total; /* bytes */
    size_t parts_resumed;      /* parts of an earlier run that need not be sent */
};

struct xfer_file_part {
    unsigned number;
    size_t count; /* parts of the object */
    uint64_t offset, size;
    bool resumed; /* it was there; its bytes were compared */
};

/* Called on engine threads, several at once, with no lock held. */
struct xfer_file_ops {
    void (*progress)(void *ctx, const struct xfer_file_progress *progress); /* or NULL */
    void (*part)(void *ctx, const struct xfer_file_part *part);             /* or NULL */
    /** done() - once, unless the engine stops; @err is NULL on success. It may free the file. */
    void (*done)(void *ctx, const struct xfer_result *result, const struct ou_error *err);
};

struct xfer_file_spec {
    struct xfer_engine *engine; /* borrowed */
    struct oss_client *client;  /* borrowed: the engine's */
    const char *path; /* a regular file; NULL: the file open as .fd, without a checkpoint */
    int fd;           /* taken by xfer_file_start(), also on failure; -1 with .path */
    const char *key;
    uint64_t part_size;         /* 0: the recorded one, else 8 MiB */
    const char *checkpoint_dir; /* must exist; NULL: the file's own directory */
    const char *registry; /* where gc looks for checkpoints (transfer/registry.h); NULL: none */
    const struct oss_object_headers *headers; /* borrowed until the end */
    uint64_t deadline_ms;     /* without any success for so long: give up; 0: 60 s */
    struct ou_cancel *cancel; /* breaks xfer_file_start() off; NULL: none */
    const struct xfer_file_ops *ops;
    void *ctx;
};

/**
 * xfer_file_start() - look at file and checkpoint, then queue the upload
 *
 * Blocks for the abort of an upload that an earlier run left, if its record does not fit any more.
 * Return: 0, or
 *   -EINVAL     part size out of range (the sentence names it), no regular file
 *   -EFBIG      larger than 10000 parts of 5 GiB
 *   -EBUSY      another process is at this upload
 *   -EPROTO     the checkpoint is of a later version: left alone
 *   -EEXIST     the checkpoint records another upload: left alone
 *   -EINTR      @cancel
 *   and what opening file and checkpoint may say.
 */
int xfer_file_start(const struct xfer_file_spec *spec, struct xfer_file **file,
                    struct ou_error *err);
/** xfer_file_size() - bytes, as of the start. */
uint64_t xfer_file_size(const struct xfer_file *file);
/** xfer_file_moved() - bytes read so far to be sent or compared, repetitions included; never falls. */
uint64_t xfer_file_moved(const struct xfer_file *file);
/** xfer_file_has_checkpoint() - would a later run go on with it? */
bool xfer_file_has_checkpoint(const struct xfer_file *file);
/** xfer_file_free() - in done() or after it, or between the engine's stop and its free. NULL is fine. */
void xfer_file_free(struct xfer_file *file);

#endif

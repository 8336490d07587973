/*
 * Identity: is this local file still the one that we began to read?
 *
 * Same size, mtime (ns), inode and device mean the same bytes, as far as the file system tells.
 * ctime is kept beside them: when only it differs, somebody may have written and set the mtime
 * back, so what was known of the bytes is checked by reading them, not believed.
 *
 * What no time stamp shows: writes through a shared mapping to a page that was dirty already. Any
 * thread; no lock.
 */
#ifndef OSSUP_TRANSFER_IDENTITY_H
#define OSSUP_TRANSFER_IDENTITY_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct xfer_identity {
    uint64_t size; /* bytes */
    int64_t mtime_ns, ctime_ns;
    uint64_t ino, dev;
    bool has_name; /* it had one, at least: to be found deleted later */
};

/**
 * xfer_identity_take() - of the file open as @fd
 * @name: for messages
 *
 * A time stamp is as coarse as the kernel's tick. If the file was written within this very tick,
 * waits until it is over (some ms; on file systems with whole seconds up to one): from then on each
 * write shows. Return: 0, or -EISDIR, -EINVAL (no regular file), or what fstat() says.
 */
int xfer_identity_take(int fd, const char *name, struct xfer_identity *out, struct ou_error *err);

/** xfer_identity_same() - size, mtime, inode and device. */
bool xfer_identity_same(const struct xfer_identity *a, const struct xfer_identity *b);

/**
 * xfer_identity_check() - the open file has not changed since @was was taken
 * @path: NULL, or its name must also still lead to it
 *
 * Return: 0, or -ESTALE with a sentence: it was written to, truncated, deleted, replaced.
 */
int xfer_identity_check(const struct xfer_identity *was, int fd, const char *path, const char *name,
                        struct ou_error *err);

#endif

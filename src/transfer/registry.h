/*
 * Registry: where the checkpoints of unfinished uploads lie, so that gc leaves those uploads alone.
 *
 * A checkpoint lies beside its file, or where its user wants it: nobody could find them all. So
 * whoever begins one puts a symbolic link to it into one directory, and takes it away again with the
 * checkpoint. The link's name is the CRC-64 of the checkpoint's path in 16 hex digits, so that each
 * has one. A link that leads nowhere is of an upload that has ended; walking removes it.
 *
 * Any thread of any process: flock(2) on the directory. Nothing is synced: after a power cut the
 * next run of the upload puts its link back.
 */
#ifndef OSSUP_TRANSFER_REGISTRY_H
#define OSSUP_TRANSFER_REGISTRY_H

#include "base/error.h"

/**
 * xfer_registry_add() - @path: absolute, of a checkpoint that is there; 0 also if it was known
 *
 * Makes @registry (mode 0700) and its parents where they are missing.
 */
int xfer_registry_add(const char *registry, const char *path, struct ou_error *err);
/** xfer_registry_remove() - the checkpoint @path is gone; best effort. */
void xfer_registry_remove(const char *registry, const char *path);
/**
 * xfer_registry_each() - @fn with the path of each checkpoint that is there; negative stops
 *
 * Return: 0 (also without such a directory), what @fn said, or a negative errno.
 */
int xfer_registry_each(const char *registry,
                       int (*fn)(void *ctx, const char *path, struct ou_error *err), void *ctx,
                       struct ou_error *err);

#endif

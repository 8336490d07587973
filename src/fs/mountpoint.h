/*
 * Mountpoint: why one cannot be used, in one sentence that names the way out.
 */
#ifndef OSSUP_FS_MOUNTPOINT_H
#define OSSUP_FS_MOUNTPOINT_H

#include "base/error.h"

#include <stdbool.h>

/** fs_mountpoint_check() - -ENOENT, -ENOTDIR, -EBUSY, -ENOTCONN, -ENODEV, -EACCES. */
int fs_mountpoint_check(const char *path, bool allow_other, struct ou_error *err);
/** fs_mountpoint_failed() - libfuse could not mount and said @message ("" if it said nothing). */
int fs_mountpoint_failed(const char *path, const char *message, struct ou_error *err);

#endif

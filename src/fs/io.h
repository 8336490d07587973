/*
 * I/O on open files: writing, flushing, copying. Reading: fs/handle.h.
 *
 * What may have to wait for room in the spool, for an upload or for the disk returns
 * FS_MUST_WAIT where call->may_wait is false.
 */
#ifndef OSSUP_FS_IO_H
#define OSSUP_FS_IO_H

#include "fs/handle.h"

/**
 * fs_write() - all of @len, or negative; FS_READ_MUST_WAIT
 * @append: at the end of the moment, not at @offset. It comes with each write: fcntl(2) changes
 *          O_APPEND, and pages of a mapping go where they belong in any case.
 */
ssize_t fs_write(struct fs *fs, struct fs_handle *handle, const void *buf, size_t len,
                 uint64_t offset, bool append, const struct fs_call *call, struct ou_error *err);
/** fs_flush() - close(2): what was written cannot be lost by a crash; with close=upload it is in the bucket. */
int fs_flush(struct fs *fs, struct fs_handle *handle, const struct fs_call *call,
             struct ou_error *err);
int fs_fsync(struct fs *fs, struct fs_handle *handle, const struct fs_call *call,
             struct ou_error *err);
int fs_fallocate(struct fs *fs, struct fs_handle *handle, int mode, uint64_t offset, uint64_t size,
                 struct ou_error *err);
int fs_seek(struct fs *fs, struct fs_handle *handle, uint64_t offset, int whence, uint64_t *result,
            struct ou_error *err);
/**
 * fs_copy_range() - a whole file into an empty one, by reference
 *
 * Return: bytes, or -EOPNOTSUPP: let the kernel copy. The kernel asks for at most 2 or 4 GiB at a
 * time: the first call then makes the whole copy, the next ones are answered without doing
 * anything; what was not asked for in the end is cut off when the handle is flushed.
 */
ssize_t fs_copy_range(struct fs *fs, struct fs_handle *from, uint64_t from_offset,
                      struct fs_handle *to, uint64_t to_offset, uint64_t size,
                      struct ou_error *err);

#endif

/*
 * Files: whole reads and writes, atomic replacement, paths. Any thread.
 */
#ifndef OSSUP_BASE_FILE_H
#define OSSUP_BASE_FILE_H

#include "base/buf.h"
#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** ou_write_all() / ou_pwrite_all() - all @len bytes, EINTR and short writes handled. */
int ou_write_all(int fd, const void *data, size_t len, struct ou_error *err);
int ou_pwrite_all(int fd, const void *data, size_t len, uint64_t offset, struct ou_error *err);
/** ou_pread_full() - Return: bytes read, less than @len only at end of file; negative errno. */
ssize_t ou_pread_full(int fd, void *buf, size_t len, uint64_t offset, struct ou_error *err);
/** ou_read_file() - @out becomes the whole of @path (bounded by @max bytes: -EFBIG). */
int ou_read_file(int dirfd, const char *path, size_t max, struct ou_buf *out, struct ou_error *err);
/**
 * ou_file_replace() - a crash at any line leaves either the whole old file or the whole new one
 * @name: in @dirfd itself, no path; the new content is written to NAME.tmp first, mode 0600
 *
 * On failure the old file stands, except when the last step, syncing @dirfd, fails: then
 * the new one does, but a power cut may bring the old one back.
 */
int ou_file_replace(int dirfd, const char *name, const void *data, size_t len,
                    struct ou_error *err);
/** ou_mkdirs() - @path and its missing parents, mode @mode; 0 also if all are there. */
int ou_mkdirs(const char *path, mode_t mode, struct ou_error *err);

#endif

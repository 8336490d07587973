/*
 * Handles: open files.
 *
 * A handle on a staged inode holds it staged. A handle for reading an object that nobody
 * had staged reads the object's version of the moment of opening; if this mount changes the
 * object meanwhile, it goes on with the new bytes; if somebody else does, reads fail with
 * ESTALE and never mix versions. When an inode is unlinked while such handles are open its
 * object is deleted when the last one closes (fs/remove.h).
 */
#ifndef OSSUP_FS_HANDLE_H
#define OSSUP_FS_HANDLE_H

#include "fs/state.h"

#include <stdatomic.h>

struct fs_reader;

struct fs_handle {
    struct fs_inode *inode;  /* in use */
    struct spool_file *file; /* NULL: reads an object that nobody had staged */
    bool writer;
    struct fs_reader *reader; /* filesystem's lock; NULL until the first read */
    uint64_t cloned;     /* filesystem's lock; bytes asked for of a whole-file copy; see fs/io.h */
    atomic_bool flushed; /* nothing was written by it since a flush; stands for itself */
    struct fs_handle *next, **prev; /* filesystem's lock; fs->handles */
};

/**
 * fs_open() - @flags as open(2)
 * @keep_pages: what the kernel has cached of it is still right
 *
 * Return: 0, FS_MUST_WAIT, -EISDIR, -ELOOP, -ESTALE (gone since it was looked up)...
 */
int fs_open(struct fs *fs, uint64_t id, int flags, const struct fs_call *call,
            struct fs_handle **handle, bool *keep_pages, struct ou_error *err);
/** fs_handle_new() - on @inode with its staged @file, held by fs_stage(); both are taken over. NULL: no memory. */
struct fs_handle *fs_handle_new(struct fs *fs, struct fs_inode *inode, struct spool_file *file,
                                int flags);
/** fs_release() - frees @handle; an error is that of the hand-over to the spool. */
int fs_release(struct fs *fs, struct fs_handle *handle, struct ou_error *err);
/**
 * fs_handles_end() - the mount is gone and with it the releases that the kernel had not told yet
 * @all_closed: it was unmounted, so nobody has a file open. Else handles that were written since
 *              their last flush are given up: what they wrote is nobody's finished version.
 */
void fs_handles_end(struct fs *fs, bool all_closed);

/**
 * fs_read() - up to @len bytes; short only at the end
 *
 * Return: bytes, or negative; FS_READ_MUST_WAIT: see FS_MUST_WAIT.
 */
#define FS_READ_MUST_WAIT (-4095)
ssize_t fs_read(struct fs *fs, struct fs_handle *handle, void *buf, size_t len, uint64_t offset,
                const struct fs_call *call, struct ou_error *err);
/** fs_read_inode() - likewise without a handle, for symlinks' targets. */
ssize_t fs_read_inode(struct fs *fs, struct fs_inode *inode, void *buf, size_t len, uint64_t offset,
                      const struct fs_call *call, struct ou_error *err);

#endif

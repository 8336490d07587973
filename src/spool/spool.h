/*
 * Spool: staged objects on local disk, on their way into the bucket.
 *
 * A *staged file* is what the mount knows of a name that the bucket does not know
 * yet: a new file, directory marker or symlink (its body is the target), changed
 * bytes, changed attributes, or all of these. It has
 *   - two sparse data files with equal offsets, ID.data and (only when needed)
 *     ID.alt: a byte of the *stable* version is never overwritten; a write to it
 *     goes to the other file (shadow paging);
 *   - a *base*: the object version whose bytes show through where nothing is
 *     local (key, ETag, size); none for a new file;
 *   - the *live* map (what readers see) and the *stable* map (the last state that
 *     was closed, fsynced or lay quiet): what recovery finds and what uploads send;
 *   - a sidecar ID.ckpt (spool/sidecar.h) that can rebuild the stable version
 *     after a crash at any point.
 * So a stable version is a frozen view: writers go on, uploads and recovery see it whole (P1, P2).
 *
 * Life:   create/stage → write* → STABLE (flush, fsync) → last writer closed → settle → upload
 *         → published → dropped (when no handle is open)
 *
 * Names are object keys (bytes). At most one staged file has a key at a time, beside what it has
 * replaced and must outlive (replaced.c). Directory markers are staged files whose key ends in "/".
 * Deletes are journalled in the same directory (deletes.journal) and sent in batches. For one key
 * the order of what the user did is the order in which OSS sees it: a delete in flight is awaited
 * before an upload of the same key begins, a queued one is superseded by it.
 *
 * Thread-safe. No lock is held across a request. Functions that may wait for the network say so
 * and take a cancel; all others are bounded by the local disk.
 */
#ifndef OSSUP_SPOOL_SPOOL_H
#define OSSUP_SPOOL_SPOOL_H

#include "base/buf.h"
#include "base/thread.h"
#include "oss/client.h"
#include "oss/types.h"
#include "spool/attr.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct spool;
struct spool_file;

enum spool_conflict { SPOOL_CONFLICT_OVERWRITE, SPOOL_CONFLICT_KEEP_BOTH, SPOOL_CONFLICT_FAIL };

struct spool_config { /* strings are copied */
    const char *dir;  /* the spool's directory; this bucket's part is a subdirectory of it */
    struct oss_client *client;
    const char *prefix;     /* the mount's prefix, "" or "a/b/": only names the subdirectory */
    uint64_t part_size;     /* 0: 8 MiB */
    uint64_t put_threshold; /* 0: part_size */
    unsigned threads;       /* 0: 3 */
    unsigned connections;   /* 0: 16 */
    uint64_t read_memory;   /* 0: 128 MiB */
    uint64_t settle_ms;     /* quiet time between last close and upload */
    uint64_t open_flush_ms; /* 0: 30 s */
    uint64_t spool_size;    /* 0: unlimited */
    uint64_t spool_reserve; /* bytes left free on the disk */
    uint64_t cache_size;    /* most that the cache of reads may take on disk; 0: there is none */
    bool early;
    bool delete_sync;
    enum spool_conflict conflict;
    struct spool_attr_defaults defaults;
};

/* Told to the owner with no lock held, from the spool's threads. */
struct spool_events {
    /** published() - @file's version is in the bucket; spool_file_* may be called. */
    void (*published)(void *ctx, struct spool_file *file, const struct oss_written *written);
    /** delete_refused() - OSS refused to delete @key: the name exists again. */
    void (*delete_refused)(void *ctx, const char *key, const struct ou_error *err);
};

/**
 * spool_open() - lock the spool, read it, go on with what is in it
 *
 * Return: 0; -EBUSY another daemon holds it (the sentence names its pid; a draining one has been
 * asked to hand over first); -EACCES, -ENOSPC, -EROFS... it cannot be written.
 * A sidecar that cannot be understood is left alone, logged and listed.
 */
int spool_open(const struct spool_config *config, const struct spool_events *events, void *ctx,
               struct spool **spool, struct ou_error *err);
/** spool_start() - from now on uploads and deletes go out and events come. */
void spool_start(struct spool *spool);
/** spool_close() - stop uploads where they are (they resume), release the lock, free. No file may be open. */
void spool_close(struct spool *spool);
/** spool_bucket_dir() - the subdirectory that spool_open() will use; malloc'ed, NULL: no memory. Makes nothing. */
char *spool_bucket_dir(const struct spool_config *config);
/** spool_dir() - this bucket's directory: data, sidecars, lock, control socket. */
const char *spool_dir(const struct spool *spool);
/** spool_reload() - new credentials or configuration: try parked files again now. */
void spool_reload(struct spool *spool);

/* -- names -- */

/**
 * spool_create() - a new staged object under @key; the bytes are empty
 * @attr:   copied; its type decides: file, directory marker, symlink
 * @absent: the bucket is known to have no object @key: unlinking it before upload sends no delete
 *
 * The caller holds a reference. -EEXIST: @key is staged already. -ENOSPC. Nothing is journalled
 * as stable yet: until flush, a crash forgets the bytes.
 */
int spool_create(struct spool *spool, const char *key, const struct spool_attr *attr, bool absent,
                 struct spool_file **file, struct ou_error *err);
/**
 * spool_stage() - a handle on an existing object that may be changed
 * @base: from HEAD; its size and ETag pin the bytes
 *
 * Costs no request and no disk; the first change makes the data file and the sidecar. If @key is
 * staged already, that one is returned. The caller holds a reference.
 */
int spool_stage(struct spool *spool, const char *key, const struct oss_object *base,
                const struct spool_attr *attr, struct spool_file **file, struct ou_error *err);
/** spool_find() - Return: 1 and a reference in @file, or 0. */
int spool_find(struct spool *spool, const char *key, struct spool_file **file);
struct spool_file *spool_file_ref(struct spool_file *file);
void spool_file_unref(struct spool_file *file);

/** spool_each() - every staged file that has a name and something pending (for building the tree at mount). */
void spool_each(struct spool *spool, void (*fn)(void *ctx, struct spool_file *file), void *ctx);
/** spool_is_deleted() - @key has a delete that OSS has not confirmed: hide what listings show. */
bool spool_is_deleted(struct spool *spool, const char *key);
/**
 * spool_delete() - delete the object @key (no staged file has it), by the next batch
 *
 * Journalled before it returns. With delete_sync: sent and awaited.
 */
int spool_delete(struct spool *spool, const char *key, struct ou_cancel *cancel,
                 struct ou_error *err);
/** spool_delete_waits() - delete_sync: spool_delete() waits for the network. */
bool spool_delete_waits(const struct spool *spool);
/** spool_delete_later() - by the next batch in any case: for who must not wait. */
int spool_delete_later(struct spool *spool, const char *key, struct ou_error *err);
/**
 * spool_file_rename() - the staged file is called @key from now on
 *
 * A staged file at @key is unlinked in the same step; if @file has no version that a crash would
 * leave, once it has one. What the old key has in the bucket is
 * deleted (unless known absent); a base under the old key is copied on the server first, when its
 * bytes are still needed. That waits for the network, and for what is under way for both keys:
 * -EINTR, -ETIMEDOUT at @deadline_ms (ou_now_ms() scale; 0: none); nothing has changed then.
 */
int spool_file_rename(struct spool_file *file, const char *key, uint64_t deadline_ms,
                      struct ou_cancel *cancel, struct ou_error *err);
/** spool_file_has_version() - it was closed or fsynced, or is in the bucket: a crash leaves something of it. */
bool spool_file_has_version(struct spool_file *file);
/** spool_file_unlink() - the name is gone, here and (by a batch) in the bucket; open handles go on. */
int spool_file_unlink(struct spool_file *file, struct ou_error *err);

/* -- one file -- */

/** spool_file_key() - malloc'ed copy; NULL when unlinked. */
char *spool_file_key(struct spool_file *file);
/** spool_file_stat() - attributes (the caller finis them) and size. */
int spool_file_stat(struct spool_file *file, struct spool_attr *attr, uint64_t *size,
                    struct ou_error *err);
/** spool_file_times() - mode, uid, gid, times and size without strings; cheap. */
void spool_file_times(struct spool_file *file, struct spool_attr *attr, uint64_t *size);
/** spool_file_pending() - something of it is not in the bucket yet. */
bool spool_file_pending(struct spool_file *file);
/** spool_file_failed() - it is parked, or a write to it failed: then @why says why. */
bool spool_file_failed(struct spool_file *file, struct ou_error *why);

/** spool_file_open() / _close() - a handle; only writers hold back the upload. */
void spool_file_open(struct spool_file *file, bool writer);
/**
 * spool_file_close() - the hand-over: after the last writer the settle time begins
 *
 * Makes the version stable if flush has not. Errors of journalling are returned and remembered.
 */
int spool_file_close(struct spool_file *file, bool writer, struct ou_error *err);

/** spool_file_read() - Return: bytes, 0 at the end; bytes of the base may wait for the network. -ESTALE: the base changed. */
ssize_t spool_file_read(struct spool_file *file, void *buf, size_t len, uint64_t offset,
                        struct ou_cancel *cancel, struct ou_error *err);
/** spool_file_local() - true if reading [offset, offset + len) needs no network. */
bool spool_file_local(struct spool_file *file, uint64_t offset, size_t len);
/** spool_file_write() - all of @len or negative; sets mtime and ctime. May wait for room (spool_size). */
ssize_t spool_file_write(struct spool_file *file, const void *buf, size_t len, uint64_t offset,
                         struct ou_cancel *cancel, struct ou_error *err);
/** spool_file_append() - write at the end, whatever it is at that moment. */
ssize_t spool_file_append(struct spool_file *file, const void *buf, size_t len,
                          struct ou_cancel *cancel, struct ou_error *err);
int spool_file_truncate(struct spool_file *file, uint64_t size, struct ou_error *err);
/** spool_file_allocate() - fallocate(2): mode 0, KEEP_SIZE, PUNCH_HOLE|KEEP_SIZE, ZERO_RANGE[|KEEP_SIZE]; else -EOPNOTSUPP. */
int spool_file_allocate(struct spool_file *file, int mode, uint64_t offset, uint64_t size,
                        struct ou_error *err);
/** spool_file_seek() - SEEK_DATA, SEEK_HOLE. -ENXIO. */
int spool_file_seek(struct spool_file *file, uint64_t offset, int whence, uint64_t *result,
                    struct ou_error *err);
/**
 * spool_file_clone() - @to's content becomes @from's (same size), by reference to @from's object
 *
 * Only if @from is unchanged in the bucket and @to is empty: 1; else 0 and nothing was done.
 */
int spool_file_clone(struct spool_file *from, struct spool_file *to, struct ou_error *err);

/* What spool_file_set_attr() takes over. */
enum {
    SPOOL_SET_MODE = 1,
    SPOOL_SET_UID = 2,
    SPOOL_SET_GID = 4,
    SPOOL_SET_MTIME = 8,
    SPOOL_SET_ATIME = 16,
    SPOOL_SET_CTIME = 32,
    SPOOL_SET_XATTR = 64
};
/** spool_file_set_attr() - journalled; changes of an uploaded object become one CopyObject within the settle time. */
int spool_file_set_attr(struct spool_file *file, const struct spool_attr *attr, unsigned which,
                        struct ou_error *err);

/**
 * spool_file_flush() - close(2) is being called: the live version becomes stable; kill -9 cannot take it
 *
 * Cheap and idempotent. Returns (once) the error of an upload that failed since the last call.
 */
int spool_file_flush(struct spool_file *file, struct ou_error *err);
/** spool_file_sync() - fsync(2): likewise, and a power cut cannot take it. */
int spool_file_sync(struct spool_file *file, struct ou_error *err);
/** spool_file_upload() - until this version is in the bucket (close=upload, fsync=upload); its error else. */
int spool_file_upload(struct spool_file *file, uint64_t deadline_ms, struct ou_cancel *cancel,
                      struct ou_error *err);

/* -- the whole -- */

struct spool_pending {
    uint64_t files, bytes; /* waiting or on their way */
    uint64_t failed;       /* parked: a retry does not help by itself */
    uint64_t deletes;
    uint64_t open_only; /* open and never closed or fsynced */
};
/** spool_pending() - counts under @prefix ("" for all). */
void spool_pending(struct spool *spool, const char *prefix, struct spool_pending *out);
/**
 * spool_sync() - wait until nothing closed is pending under @prefix; skips the settle time
 *
 * Return: 0; -ETIMEDOUT at @deadline_ms (0: never); -EINTR; or the error of the first parked file
 * (its message names the key and the way out).
 */
int spool_sync(struct spool *spool, const char *prefix, uint64_t deadline_ms,
               struct ou_cancel *cancel, struct ou_error *err);
/** spool_status() - members of a JSON object (no braces) for `status --json`. */
void spool_status(struct spool *spool, struct ou_buf *json);
/** spool_reader_pool() - the pool that reads objects, shared with src/fs for unstaged files. */
struct xfer_reader_pool *spool_reader_pool(struct spool *spool);

/* -- a spool that nobody has mounted: `ossfs-up spool list|export|discard` -- */
struct spool_listed {
    const char *id, *key, *state; /* "pending", "failed", "open", "damaged" */
    uint64_t size;
    const char *error;     /* "" if none */
    const char *upload_id; /* "" if none */
    time_t changed;
};
/** spool_list_dir() - read the sidecars under @dir (spool_dir()) without a lock and without changing anything. */
int spool_list_dir(const char *dir, void (*fn)(void *ctx, const struct spool_listed *item),
                   void *ctx, struct ou_error *err);

/**
 * spool_export() - copy the staged file @id out of @dir (spool_dir()); changes nothing there
 * @to:      a directory; the file appears below it under its key
 * @path:    where it lies then; the caller frees it, also after a failure
 * @missing: bytes that are only in the object it changes, zeros in the copy
 *
 * Return: 0; -EEXIST: the destination has such a file, it is left alone; -ENOENT: no such id.
 */
int spool_export(const char *dir, const char *id, const char *to, char **path, uint64_t *missing,
                 struct ou_error *err);
/** spool_discard() - throw the staged file @id away. -EBUSY: a daemon has the spool; -ENOENT: no such id. */
int spool_discard(const char *dir, const char *id, struct ou_error *err);

#endif

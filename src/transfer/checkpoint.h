/*
 * Checkpoint: what is remembered of the upload of a local file, so that a later run goes on.
 *
 * A file of its own for each pair of source and target, mode 0600, in the source's directory or in
 * one that the user names:
 *
 *   NAME.SUM.ossup-ckpt     NAME: the source's last component (at most 200 bytes of it)
 *                           SUM: 16 hex digits, the CRC-64 of the source's real path, NUL,
 *                           ENDPOINT/BUCKET/KEY
 *
 * It is a journal (base/journal.h): JSON lines with a checksum each, appended; a torn tail is
 * dropped. Format 1; numbers are decimal, sizes and offsets bytes. The first line is the header:
 *
 *   op          "file"
 *   format      1. A reader that does not know the number leaves the file alone
 *   bucket, key, endpoint     the target; endpoint with its scheme
 *   path        the source's real path; bytes that are no UTF-8 as base/json.h keeps them
 *   size, mtime_ns, ctime_ns, ino, dev     the source (transfer/identity.h)
 *   part_size   of each part but the last
 *   headers     16 hex digits, the CRC-64 of what is fixed at InitiateMultipartUpload:
 *               metadata, content type, storage class, encryption
 *
 * Then, in the order of the events (transfer/engine.h):
 *
 *   op "initiating"   at, at_ns: wall-clock time before the request
 *   op "upload_id"    id
 *   op "part"         number, offset, size, crc64 (of the local bytes), etag
 *   op "publishing"   before CompleteMultipartUpload
 *   op "forget"       the upload id above is dead, and its parts with it
 *
 * Durable before the next step: header, initiating, upload_id, publishing, forget. Lines of parts
 * are synced together: with the 16th, or with the first that comes 200 ms after the last sync. What
 * a power cut takes of them ListParts brings back.
 *
 * Locks: flock(2) on the file as long as it is open. No replacement by rename happens, so the
 * lock's inode is the name's. xfer_checkpoint_record() may be called by several threads at once.
 */
#ifndef OSSUP_TRANSFER_CHECKPOINT_H
#define OSSUP_TRANSFER_CHECKPOINT_H

#include "base/journal.h"
#include "base/mutex.h"
#include "transfer/engine.h"
#include "transfer/identity.h"

#include <limits.h>

#define XFER_CHECKPOINT_FORMAT        1u
#define XFER_CHECKPOINT_SUFFIX        ".ossup-ckpt"
#define XFER_CHECKPOINT_SYNC_PARTS    16u
#define XFER_CHECKPOINT_SYNC_AFTER_MS 200u

/* The header line. Strings are borrowed, or owned by a struct xfer_checkpoint. */
struct xfer_checkpoint_header {
    const char *bucket, *key, *endpoint, *path;
    struct xfer_identity identity;
    uint64_t part_size;
    uint64_t headers;
};

/* What was found. */
struct xfer_checkpoint_state {
    bool has_header; /* false: no file, an empty one, or its first line is damaged */
    bool
        damaged; /* a line is whole, and yet makes no sense: only .upload_id is of use, to abort it */
    struct xfer_checkpoint_header header;
    bool initiating; /* and no upload id after it */
    struct timespec initiated;
    char upload_id[OSS_UPLOAD_ID_SIZE]; /* "": none */
    bool publishing;
    struct oss_part *parts;       /* a number once; no order */
    struct xfer_plan_part *where; /* of each of them */
    size_t part_count, part_cap;
    uint16_t *slot; /* by part number: index + 1 in .parts, or 0 */
};

struct xfer_checkpoint { /* zeroed: closed */
    bool is_open;
    int dirfd; /* borrowed */
    int lockfd;
    char name[NAME_MAX + 1];
    struct xfer_checkpoint_state state; /* as found by open; constant until begin */
    struct ou_mutex lock;               /* rank OU_RANK_XFER + 30 */
    struct {
        struct ou_journal journal;
        unsigned unsynced; /* part lines */
        uint64_t synced_at;
    } locked;
};

/** xfer_checkpoint_name() - the file's name for this source and target. */
void xfer_checkpoint_name(const struct xfer_checkpoint_header *header, char out[NAME_MAX + 1]);
/** xfer_checkpoint_is_name() - could this be the name of a checkpoint? */
bool xfer_checkpoint_is_name(const char *name);

/**
 * xfer_checkpoint_open() - lock it and read what it holds
 * @create: make an empty one if there is none
 *
 * Return: 0; -ENOENT (not @create); -EBUSY another process has it; -EPROTO it is of a format that we
 * do not know: left alone; -EPERM it belongs to another user; or a negative errno. On failure @cp is
 * closed.
 */
int xfer_checkpoint_open(struct xfer_checkpoint *cp, int dirfd, const char *name, bool create,
                         struct ou_error *err);
void xfer_checkpoint_close(struct xfer_checkpoint *cp); /* zeroed memory is fine */

/**
 * xfer_checkpoint_upload_id() - the upload that the checkpoint @path owns; "": none
 *
 * Without its lock: another process may be at it. Return: 0; -ENOENT; -EPROTO: of a format that we do
 * not know; or a negative errno.
 */
int xfer_checkpoint_upload_id(const char *path, char upload_id[OSS_UPLOAD_ID_SIZE],
                              struct ou_error *err);

/** xfer_checkpoint_same_target() - the record's source and target are those of @now. */
bool xfer_checkpoint_same_target(const struct xfer_checkpoint_state *state,
                                 const struct xfer_checkpoint_header *now);
/**
 * xfer_checkpoint_differs() - can what it holds be gone on with?
 *
 * Return: NULL: yes; else why not, in a few words.
 */
const char *xfer_checkpoint_differs(const struct xfer_checkpoint_state *state,
                                    const struct xfer_checkpoint_header *now);

/** xfer_checkpoint_begin() - empty it and write the header, durably; .state is empty then. */
int xfer_checkpoint_begin(struct xfer_checkpoint *cp, const struct xfer_checkpoint_header *header,
                          struct ou_error *err);
/** xfer_checkpoint_record() - an event of the engine; as durable as said above. */
int xfer_checkpoint_record(struct xfer_checkpoint *cp, const struct xfer_event *event,
                           struct ou_error *err);
/** xfer_checkpoint_remove() - delete and close it. */
int xfer_checkpoint_remove(struct xfer_checkpoint *cp, struct ou_error *err);

#endif

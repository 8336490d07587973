/*
 * Engine: uploads that resume; one uploader for the library, `put` and the mount.
 *
 * An engine has `workers` threads. They take *steps* (an Initiate, a part, a
 * Complete, a PutObject) from all uploads fairly: round robin over uploads,
 * small ones first, at most `threads` parts of one upload at once. A step that
 * a repetition may help is scheduled again with full-jitter backoff, for ever;
 * no thread sleeps for it.
 *
 * The owner of the bytes gives a struct xfer_upload_ops. All of its functions are
 * called on engine threads with no engine lock held; they may call the
 * functions below except xfer_engine_stop().
 *
 * States:  NEW → [RESUME: ListParts] → [INITIATE] → PARTS → GATE → PUBLISH → done
 *          NEW → GATE → PUBLISH (PutObject, CopyObject)
 *          any → ABORT → done(-ECANCELED)       any → done(final error): parked
 * GATE asks ops->may_publish(); 0 leaves the upload asleep until xfer_upload_kick().
 */
#ifndef OSSUP_TRANSFER_ENGINE_H
#define OSSUP_TRANSFER_ENGINE_H

#include "oss/ops.h"
#include "transfer/plan.h"

#include <sys/types.h>

struct xfer_engine;
struct xfer_upload; /* lives until its ops->done() returned */

struct xfer_engine_config {
    struct oss_client *client; /* borrowed */
    unsigned workers;          /* steps at once; 0: 16 */
    unsigned threads;          /* parts of one upload at once; 0: 3 */
};
int xfer_engine_new(const struct xfer_engine_config *config, struct xfer_engine **engine,
                    struct ou_error *err);
/**
 * xfer_engine_stop() - cancel what is in flight and join the threads
 *
 * Uploads that are left get no done() call: what they recorded is what a later run resumes from.
 */
void xfer_engine_stop(struct xfer_engine *engine);
void xfer_engine_free(struct xfer_engine *engine); /* stops first */

/* What must be remembered across a crash; recorded in this order. */
enum xfer_event_kind {
    XFER_EVENT_INITIATING, /* before the Initiate request */
    XFER_EVENT_UPLOAD_ID,  /* .upload_id: before any part is sent */
    XFER_EVENT_PART,       /* .part: uploaded and its CRC-64 verified */
    XFER_EVENT_PUBLISHING, /* before PutObject, CopyObject or Complete */
    XFER_EVENT_FORGET      /* the upload id is dead; the upload starts over */
};
struct xfer_event {
    enum xfer_event_kind kind;
    const char *upload_id;            /* all but INITIATING */
    const struct oss_part *part;      /* PART: crc64 is that of the local bytes, if has_crc64 */
    const struct xfer_plan_part *where; /* PART: offset, size, copy */
};

struct xfer_result {
    struct oss_written written;
    uint64_t bytes_sent;    /* over the network, repetitions included */
    uint64_t bytes_resumed; /* in parts that were there already */
    bool maybe_published;   /* canceled or failed after the publishing request was sent */
    bool checked;           /* the object's CRC-64 equals that of the local bytes */
};

struct xfer_upload_ops {
    /**
     * read() - bytes of the version being uploaded
     * Return: > 0 bytes, or negative errno: -ESTALE "this range has changed, its part was touched
     * or will be": the part is sent again; others fail the upload.
     */
    ssize_t (*read)(void *ctx, void *buf, size_t len, uint64_t offset, struct ou_error *err);
    /** headers() - metadata for Put, Copy, Initiate; pointers live until the next call or done(). */
    int (*headers)(void *ctx, struct oss_object_headers *out, struct ou_error *err);
    /** record() - journal; a failure (the spool's disk) parks the upload. NULL: nothing is kept. */
    int (*record)(void *ctx, const struct xfer_event *event, struct ou_error *err);
    /**
     * may_publish() - the last moment: nothing is in flight, all parts are there
     * Return: 1 go on, 0 not now (xfer_upload_kick() or _replan() wakes), negative: give up.
     */
    int (*may_publish)(void *ctx, struct ou_error *err);
    /** done() - the end; @err is NULL on success. The upload is freed when it returns. */
    void (*done)(void *ctx, const struct xfer_result *result, const struct ou_error *err);
    /** progress() - bytes confirmed so far, of the object's size; NULL: not wanted. */
    void (*progress)(void *ctx, uint64_t confirmed, uint64_t total);
};

/* What an earlier run left. Zeroed: nothing. */
struct xfer_resume {
    const char *upload_id; /* NULL: none */
    bool initiating;       /* INITIATING without UPLOAD_ID: the id is looked for and adopted or aborted */
    bool publishing;       /* PUBLISHING was recorded: the answer may have been lost */
    struct timespec initiated; /* when INITIATING was recorded */
    const struct oss_part *parts; /* recorded parts whose local bytes are unchanged since */
    size_t part_count;
};

struct xfer_upload_spec { /* strings are copied; the plan is taken (moved out) on success */
    const char *key;
    const char *base_key, *base_etag; /* for copies; NULL: none */
    struct xfer_plan *plan;
    const struct xfer_resume *resume; /* NULL: nothing */
    const struct xfer_upload_ops *ops;
    void *ctx;
    bool one_shot; /* no endless retries: each step gets deadline_ms, then done(error) */
    uint64_t deadline_ms; /* one_shot: for each step */
};

/** xfer_upload_start() - queue it; returns at once. ops->done() is called exactly once unless the engine stops. */
int xfer_upload_start(struct xfer_engine *engine, const struct xfer_upload_spec *spec,
                      struct xfer_upload **upload, struct ou_error *err);
/** xfer_upload_touch() - bytes of [offset, offset + size) changed: parts there are sent again. */
void xfer_upload_touch(struct xfer_upload *upload, uint64_t offset, uint64_t size);
/**
 * xfer_upload_replan() - a new version is to be published instead
 * Touch what changed first. Parts that are the same in both plans (number, offset, size, copy) and
 * are untouched are kept. Return: 0, or -EBUSY: the publishing request is out already, done() comes.
 */
int xfer_upload_replan(struct xfer_upload *upload, struct xfer_plan *plan, struct ou_error *err);
/** xfer_upload_kick() - ask may_publish() again; also ends a backoff. */
void xfer_upload_kick(struct xfer_upload *upload);
/** xfer_upload_cancel() - stop, abort the upload id, done(-ECANCELED); a publishing request is awaited first. */
void xfer_upload_cancel(struct xfer_upload *upload);

struct xfer_upload_status {
    const char *state; /* "waiting", "resuming", "uploading", "publishing", "backoff", "aborting" */
    uint64_t confirmed, total, bytes_sent;
    unsigned in_flight, attempts; /* attempts since the last success */
    struct ou_error last; /* errnum 0: none */
};
void xfer_upload_status(struct xfer_upload *upload, struct xfer_upload_status *out);

#endif

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
 * functions below except xfer_engine_stop(). The functions below never call back,
 * wait for nothing and take locks of rank OU_RANK_XFER and above: the owner may
 * call them with its own locks held.
 *
 * States:  NEW → [RESUME: ListParts] → [INITIATE] → PARTS → GATE → PUBLISH → done
 *          NEW → GATE → PUBLISH (PutObject, CopyObject)
 *          any → ABORT → done(-ECANCELED)       any → done(final error): parked
 * GATE asks ops->may_publish(); 0 leaves the upload asleep until xfer_upload_kick().
 *
 * Which version is published. may_publish() == 1 fixes the version: the bytes of that
 * moment. From then on until unpublished() or done() it is *being published* and
 * xfer_upload_replan() answers -EBUSY.
 *   Multipart: its parts are on the server, so a later change of the local bytes does not
 *   matter: Complete is repeated until it is answered, and publishes that version.
 *   PutObject: its bytes are read now. A touch before the last byte was read breaks the request
 *   off (the server stores nothing) and unpublished() is called; a touch after that changes
 *   nothing: that version goes out. A PutObject or CopyObject that went wrong in any other way
 *   also ends in unpublished(), a backoff, and may_publish() again.
 * After a touch between may_publish() and its effect the engine asks again: unpublished(),
 * parts sent anew, may_publish().
 *
 * Changing bytes. Touch and change must be one step as far as ops->read() can see: either
 * both happen under a lock that read() takes too, or the owner touches before *and* after
 * the change. Then no torn byte is ever completed.
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
 * When it returned, no callback runs or will run. The left uploads stay valid (and inert) until
 * xfer_engine_free().
 */
void xfer_engine_stop(struct xfer_engine *engine);
void xfer_engine_free(struct xfer_engine *engine); /* stops first; NULL is fine */

/* What must be remembered across a crash; recorded in this order. */
enum xfer_event_kind {
    XFER_EVENT_INITIATING, /* before the Initiate request */
    XFER_EVENT_UPLOAD_ID,  /* .upload_id: before any part is sent */
    XFER_EVENT_PART,       /* .part: uploaded and its CRC-64 verified */
    XFER_EVENT_PUBLISHING, /* before PutObject, CopyObject or Complete */
    XFER_EVENT_FORGET      /* the upload id is dead; the upload starts over */
};
struct xfer_step;
struct xfer_event {
    enum xfer_event_kind kind;
    const char *upload_id;       /* NULL with INITIATING and with the PUBLISHING of a Put or Copy */
    const struct oss_part *part; /* PART: crc64 is that of the local bytes, if has_crc64 */
    const struct xfer_plan_part *where; /* PART: offset, size, copy */
    const struct xfer_step *step;       /* the engine's own; for xfer_event_stale() */
};
/**
 * xfer_event_stale() - PART only, within record(): have the part's bytes been touched since they were sent?
 *
 * An owner whose bytes may change asks under the lock under which it changes and touches them,
 * and journals the part only if the answer is false. Then a journalled part that is followed by no
 * journalled change of its bytes has the bytes' CRC.
 */
bool xfer_event_stale(const struct xfer_event *event);

struct xfer_result {
    struct oss_written written;
    uint64_t bytes_sent;    /* over the network, repetitions included */
    uint64_t bytes_resumed; /* in parts that were there already */
    bool maybe_published;   /* canceled or failed after the publishing request was sent */
    bool checked;           /* the object's CRC-64 equals that of the local bytes */
    bool upload_left;       /* canceled, but the upload id could not be aborted: for gc */
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
    /**
     * record() - journal; a failure (the spool's disk) parks the upload. NULL: nothing is kept.
     * PART events of one upload come from several threads at once. PUBLISHING comes again with each
     * repetition of a Put or Copy.
     */
    int (*record)(void *ctx, const struct xfer_event *event, struct ou_error *err);
    /**
     * may_publish() - the last moment: nothing is in flight, all parts are there
     * Return: 1 go on, 0 not now (xfer_upload_kick() or _replan() wakes), negative: give up.
     */
    int (*may_publish)(void *ctx, struct ou_error *err);
    /**
     * done() - the end; @err is NULL on success. The upload is freed when it returns.
     * After xfer_upload_cancel() it is success when the publishing request could not be stopped and
     * was answered well; else -ECANCELED.
     */
    void (*done)(void *ctx, const struct xfer_result *result, const struct ou_error *err);
    /**
     * progress() - bytes confirmed so far, of the object's size; NULL: not wanted.
     * Several threads; a smaller value may come after a larger one (a part was touched).
     */
    void (*progress)(void *ctx, uint64_t confirmed, uint64_t total);
    /**
     * unpublished() - what may_publish() released has not been published (NULL: not wanted)
     * @maybe: the request was sent and its answer lost, so it may yet have taken effect
     *
     * Comes before any further read() or may_publish(); from its start on xfer_upload_replan()
     * works again. Not called when done() follows instead.
     */
    void (*unpublished)(void *ctx, bool maybe);
};

/* What an earlier run left. Zeroed: nothing. */
struct xfer_resume {
    const char *upload_id; /* NULL: none */
    bool initiating; /* INITIATING without UPLOAD_ID: the id is looked for and adopted or aborted */
    bool publishing; /* PUBLISHING was recorded: the answer may have been lost */
    struct timespec initiated; /* when INITIATING was recorded */
    const struct oss_part
        *parts; /* recorded parts whose local bytes (and base) are unchanged since */
    const struct xfer_plan_part *where; /* of each of @parts, as recorded. NULL: the local bytes are
                                           read again to see whether a part on the server is theirs */
    size_t part_count;
};

struct xfer_upload_spec { /* strings are copied; the plan is taken (moved out) on success */
    const char *key;
    const char *base_key, *base_etag; /* for copies; NULL: none */
    struct xfer_plan *plan;
    const struct xfer_resume *resume; /* NULL: nothing */
    const struct xfer_upload_ops *ops;
    void *ctx;
    bool one_shot; /* no endless retries: when nothing succeeds for deadline_ms, done(error) */
    uint64_t deadline_ms; /* one_shot; 0: 60 s */
};

/**
 * xfer_upload_start() - queue it; returns at once
 *
 * *@upload is set before the first callback can run. ops->done() is called exactly once unless the
 * engine stops. Return: 0, -EINVAL, -ENOMEM, -ECANCELED (the engine was stopped).
 */
int xfer_upload_start(struct xfer_engine *engine, const struct xfer_upload_spec *spec,
                      struct xfer_upload **upload, struct ou_error *err);
/** xfer_upload_touch() - bytes of [offset, offset + size) change: parts there are sent again. */
void xfer_upload_touch(struct xfer_upload *upload, uint64_t offset, uint64_t size);
/**
 * xfer_upload_replan() - a new version is to be published instead
 * @plan: taken (moved out) on success
 *
 * Touch what changed first. Parts that are the same in both plans (number, offset, size, copy) and
 * are untouched are kept. The base and the headers given to Initiate stay as they are: if the base
 * changes, cancel and start anew; metadata that changed later needs a COPY afterwards.
 * Wakes the gate. Return: 0, -ENOMEM, or -EBUSY: being published, or ending: unpublished() or
 * done() comes.
 */
int xfer_upload_replan(struct xfer_upload *upload, struct xfer_plan *plan, struct ou_error *err);
/**
 * xfer_upload_hold() - from now on no part is begun, or again some are
 *
 * For an owner whose bytes are being rewritten: what it touches would be sent again and again. Those
 * in flight go on. While it is held and parts are to be sent, may_publish() is not asked.
 */
void xfer_upload_hold(struct xfer_upload *upload, bool hold);
/** xfer_upload_kick() - ask may_publish() again; also ends a backoff. */
void xfer_upload_kick(struct xfer_upload *upload);
/**
 * xfer_upload_cancel() - stop, abort the upload id, done(-ECANCELED)
 *
 * Requests in flight are broken off, but an Initiate and a Put, Copy or Complete whose bytes are
 * all sent are awaited first.
 */
void xfer_upload_cancel(struct xfer_upload *upload);

struct xfer_upload_status {
    const char *state; /* "waiting", "resuming", "uploading", "publishing", "backoff", "aborting" */
    uint64_t confirmed, total, bytes_sent;
    unsigned in_flight, attempts; /* attempts since the last success */
    struct ou_error last;         /* errnum 0: none */
};
void xfer_upload_status(struct xfer_upload *upload, struct xfer_upload_status *out);

#endif

/*
 * One upload of a staged file, from handing it to the engine to its end. Not for other layers.
 *
 * What is sent is the stable version, read through its map while writers go on. When a newer
 * stable version comes, its changes are told to the engine (touch, replan), which sends those
 * parts again. From the moment may_publish() said yes the version is *let out*: nothing newer
 * may get into the request, so a newer version that changes its bytes makes it *broken*, its
 * reads fail, and the request ends unfinished.
 */
#ifndef OSSUP_SPOOL_UPLOAD_H
#define OSSUP_SPOOL_UPLOAD_H

#include "spool/file.h"

struct spool_upload {
    /* constant */
    struct spool_file *file; /* a reference */
    char *key;
    bool abort_only; /* only to end what is on the server; its key may be one the file has lost */

    struct spool_upload *next, **prev; /* spool->lock */

    /* changes only under the file's .io and .lock both (.attr and .headers_attr: .lock): */
    struct xfer_upload *handle; /* NULL for a moment at the start */
    uint64_t version, size;     /* what is planned */
    enum xfer_plan_kind kind;
    uint64_t attr;         /* the attributes that the object will have */
    uint64_t headers_attr; /* the attributes that .headers were built from */
    bool let_out, broken;
    bool ahead; /* begun before the close (spool/early.h): it has not asked for its key yet */
    bool canceled;
    bool restart;   /* it ends in order to begin again */
    bool renamed;   /* the file has had another key meanwhile, even if it has this one again */
    bool uses_base; /* the plan copies from it, or reads it */

    /*
     * Frozen: the version goes out as it is while newer ones become stable. Before such a one
     * changes bytes of it, these are copied to .frozen_fd; .frozen says where they are: EXTENT_A
     * there, EXTENT_B in the base, EXTENT_SENT in parts, EXTENT_ZERO nowhere. Elsewhere the stable
     * version still has them.
     */
    bool is_frozen;
    struct extent_map frozen;
    int frozen_fd; /* -1: none yet */
    uint64_t started_ms;

    struct spool_headers headers; /* the engine's thread in headers() */
    bool has_headers;
};

/** spool_upload_is_ending() - the file's .io or .lock held: there is one, it was told to stop and asks for nothing more. */
static inline bool spool_upload_is_ending(const struct spool_upload *up)
{
    return up && (up->canceled || up->restart);
}

/* upload_ops.c */
extern const struct xfer_upload_ops spool_upload_ops;
/* upload_done.c */
void spool_upload_done(void *ctx, const struct xfer_result *result, const struct ou_error *err);
/* upload_plan.c */
/** spool_upload_resume() - what is recorded; @parts and @where are the caller's, and resume's. */
void spool_upload_resume(const struct spool_file *file, bool with_stale, struct xfer_resume *resume,
                         struct oss_part **parts, struct xfer_plan_part **where);
/**
 * spool_upload_plan_of_published() - the plan of an older version that may have been published
 *
 * A version was being completed when the daemon died, and there is a newer one already. Which of
 * the two the bucket has decides what the newer one differs from, so that is asked first, with the
 * plan of the older one, which its recorded parts still tell. Return: 1 there it is, 0 no.
 */
int spool_upload_plan_of_published(const struct spool_file *file, struct xfer_plan *plan,
                                   struct ou_error *err);
/** spool_upload_plan() - .io held: how the stable version becomes an object. */
int spool_upload_plan(struct spool_file *file, struct xfer_plan *plan, bool *uses_base,
                      struct ou_error *err);
/* upload_change.c */
/** spool_upload_replan() - .io held: the stable version is to go instead. 0, -EBUSY: too late. */
int spool_upload_replan(struct spool_upload *up, struct ou_error *err);
/* upload.c */
/** spool_upload_ahead() - .io held: an upload of live bytes begins; @plan is taken on success. */
int spool_upload_ahead(struct spool_file *file, struct xfer_plan *plan, struct ou_error *err);
/**
 * spool_upload_end_left() - .io held: what an earlier upload may have left on the server is ended
 *
 * Return: 1 it has begun, 0 nothing is left but the doubt whether it was published.
 */
int spool_upload_end_left(struct spool_file *file, struct ou_error *err);
/** spool_upload_claim() - .io held: may it publish under its key now? false: gate_ms says when to ask again. */
bool spool_upload_claim(struct spool_upload *up);
void spool_upload_free(struct spool_upload *up);
void spool_upload_unlist(struct spool_upload *up);
/* frozen.c */
/** spool_freeze() - .io held, the planned version is the stable one: it goes out as it is. */
int spool_freeze(struct spool_upload *up, struct ou_error *err);
/** spool_frozen_keep() - .io held, before a stable point: what it changes is copied away. */
int spool_frozen_keep(struct spool_upload *up, const struct extent_map *delta, uint64_t cut,
                      struct ou_error *err);
/** spool_frozen_read() - a run of the frozen version. Return: bytes, 0: the stable version has it, *@len cut to that. */
ssize_t spool_frozen_read(struct spool_upload *up, void *buf, size_t *len, uint64_t offset,
                          struct ou_error *err);
/** spool_frozen_has() - .lock held: some of [@offset, @offset + @size) was copied away. */
bool spool_frozen_has(const struct spool_upload *up, uint64_t offset, uint64_t size);
/* fetch.c */
/** spool_fetch_base() - what a Put still needs of its base comes into the spool. Waits for the network. */
int spool_fetch_base(struct spool_upload *up, struct ou_error *err);
/* conflict.c */
/** spool_conflict_check() - before publishing, unless conflict=overwrite; asks OSS. */
int spool_conflict_check(struct spool_upload *up, struct ou_error *err);
/** spool_conflict_base_gone() - .io held: the base is not what it was. Return: 1 go on without it, else parked. */
int spool_conflict_base_gone(struct spool_file *file, struct ou_error *err);

#endif

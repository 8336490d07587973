/*
 * Window: what to fetch for a read, decided before anything is fetched.
 *
 * Pure bookkeeping of who reads where in one object: no I/O, no allocation, no
 * lock, no clock; the caller serialises. Offsets and sizes are bytes.
 *
 * It tells sequential streams (several at once, requests slightly out of order,
 * as the kernel's read-ahead sends them) from random reads, and says which bytes
 * are to be covered by blocks. What a block is, and where its memory comes from,
 * is not its business.
 */
#ifndef OSSUP_TRANSFER_READER_WINDOW_H
#define OSSUP_TRANSFER_READER_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define XFER_BLOCK_MIN  (UINT64_C(4) << 20) /* the request budget's unit: s / 4 MiB + 4 */
#define XFER_BLOCK_MAX  (UINT64_C(8) << 20) /* for wide windows: half the requests */
#define XFER_WINDOW_MAX (UINT64_C(64) << 20)
#define XFER_WINDOW_MIN (UINT64_C(1) << 20) /* a stream begins with so much ahead */
#define XFER_NEAR_MIN   (UINT64_C(1) << 20) /* how far out of order a request may come ... */
#define XFER_NEAR_MAX   (UINT64_C(4) << 20)
#define XFER_NEAR_READS 8u /* ... or so many times its own length, between the two */
#define XFER_STREAMS    4u
#define XFER_CANDIDATES 4u

/* Bytes [0, mark) of the stream were asked for, except stragglers that may still come. */
struct xfer_stream {
    unsigned id;    /* 0: unused slot */
    bool confirmed; /* false: begun by one read at the object's start, a guess */
    uint64_t mark;
    uint64_t window;  /* bytes ahead of mark */
    uint64_t grow_at; /* the window may double again when mark gets here */
    uint64_t used;    /* tick of the last match */
};

/* A read that was served as asked, and those that came next to it. */
struct xfer_candidate {
    uint64_t begin, end; /* end 0: unused slot */
    unsigned hits;       /* reads that fitted */
    uint64_t used;
};

struct xfer_window {
    uint64_t size;      /* of the object; constant */
    uint64_t block_min; /* constant */
    uint64_t tick;
    unsigned last_id;
    bool read_before; /* false until the first read */
    bool head_misled; /* a read at the start was followed by none after it */
    struct xfer_stream streams[XFER_STREAMS];
    struct xfer_candidate candidates[XFER_CANDIDATES];
};

struct xfer_advice {
    unsigned stream;   /* 0: a random read; else the stream's id, never used again */
    uint64_t from, to; /* cover these bytes, in blocks of: */
    uint64_t block;
    uint64_t passed; /* blocks of the stream that end here or before will hardly be read again */
    unsigned drop;   /* 0, or a stream that proved wrong or gave way to a new one */
};

/** xfer_window_init() - @block_min: XFER_BLOCK_MIN, or less where memory is short. */
void xfer_window_init(struct xfer_window *w, uint64_t size, uint64_t block_min);
/**
 * xfer_window_note() - a read of [@offset, @offset + @len) comes; @len > 0, within the object
 * @window_max: most bytes ahead that the caller can afford now
 */
void xfer_window_note(struct xfer_window *w, uint64_t offset, uint64_t len, uint64_t window_max,
                      struct xfer_advice *advice);
/** xfer_window_waited() - a reader of @stream had to wait for its bytes: it is faster than we are. */
void xfer_window_waited(struct xfer_window *w, unsigned stream);

#endif

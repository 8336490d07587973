/*
 * The spool's inside: what its files share. Not for other layers.
 *
 * Threads: the timer starts uploads when they are due (schedule.c), the keeper makes quiet files
 * stable and syncs them (keeper.c), the eraser sends deletes (deletes.c); the engine's threads
 * call the upload's functions (upload.c).
 *
 * Locks, in their order (ranks below):
 *   spool_file.io    one change of a file at a time: write, truncate, stable point, its journal
 *   spool.lock       the table of names, the list of uploads
 *   spool_deletes.lock
 *   spool_file.lock  the file's fields, for moments
 *   spool_left_behind.lock, spool_timer.lock, spool_space.lock, the read cache's lock
 * A file's `io` is held across bounded writes to the local disk and fdatasync, never across a
 * request. The engine's and the readers' locks come after all of these.
 */
#ifndef OSSUP_SPOOL_INTERNAL_H
#define OSSUP_SPOOL_INTERNAL_H

#include "base/journal.h"
#include "base/mutex.h"
#include "spool/sidecar.h"
#include "spool/spool.h"
#include "spool/table.h"
#include "transfer/engine.h"
#include "transfer/reader.h"

#include <stdatomic.h>
#include <sys/queue.h>

enum {
    SPOOL_RANK_IO = OU_RANK_SPOOL,
    SPOOL_RANK_TABLE = OU_RANK_SPOOL + 5,
    SPOOL_RANK_DELETES = OU_RANK_SPOOL + 8,
    SPOOL_RANK_FILE = OU_RANK_SPOOL + 10,
    SPOOL_RANK_MOVES = OU_RANK_SPOOL + 15,
    SPOOL_RANK_LEFT_BEHIND = OU_RANK_SPOOL + 17,
    SPOOL_RANK_TIMER = OU_RANK_SPOOL + 20,
    SPOOL_RANK_SPACE = OU_RANK_SPOOL + 25,
    SPOOL_RANK_CACHE = OU_RANK_SPOOL + 27,
    SPOOL_RANK_SLEEP = OU_RANK_SPOOL + 30
};

#define SPOOL_OPEN_FLUSH_MS  UINT64_C(30000)
#define SPOOL_UPLOADS_MAX    256u /* handed to the engine at once; others wait in the timer */
#define SPOOL_LOCK_NAME      "lock"
#define SPOOL_DELETES_NAME   "deletes.journal"
#define SPOOL_SIDECAR_SUFFIX ".ckpt"

struct spool_cache;
struct spool_move;
struct spool_upload;

/* When what is to be done for a file: a heap of due times (schedule.c). Holds references. */
struct spool_timer {
    struct ou_mutex lock; /* rank SPOOL_RANK_TIMER */
    pthread_cond_t wake;
    pthread_t thread;
    bool running; /* the thread exists; owner only */
    struct {
        struct spool_file **heap;
        size_t count, room;
        unsigned uploads; /* handed to the engine */
        bool stopping;
    } locked;
};

/* What the spool takes on disk (space.c). */
struct spool_space {
    struct ou_mutex lock; /* rank SPOOL_RANK_SPACE */
    pthread_cond_t freed;
    struct {
        uint64_t used;     /* by data files */
        uint64_t reserved; /* by writes that are going on */
        uint64_t wanted;   /* by those that wait */
        unsigned waiting;
        bool stopping;
    } locked;
};

/* Deletes that OSS has not confirmed (deletes.c). */
struct spool_deletes {
    struct ou_mutex lock; /* rank SPOOL_RANK_DELETES */
    pthread_cond_t wake;  /* for the eraser: .locked changed */
    pthread_cond_t done;  /* for those who wait for a key */
    pthread_t thread;
    bool running; /* the thread exists; owner only */
    struct {
        struct spool_table entries;
        size_t ready; /* of them: what a batch may take */
        struct ou_journal journal;
        uint64_t set_aside; /* the journal may grow so far on a full disk */
        uint64_t due_ms;    /* of what is ready, if it is no full batch by then; 0: none is */
        unsigned attempts;
        size_t dead_lines; /* in the journal */
        bool stopping;
    } locked;
};

/* Names that one request is changing (move.c). */
struct spool_moves {
    struct ou_mutex lock;     /* rank SPOOL_RANK_MOVES */
    struct spool_move *first; /* .lock */
    atomic_uint count;        /* of them: usually none, and then .lock is not taken */
    atomic_uint begun;        /* so far */
};

/* Files whose upload under a name that they no longer have is to be ended (left_behind.c). */
struct spool_left_behind {
    struct ou_mutex lock; /* rank SPOOL_RANK_LEFT_BEHIND */
    TAILQ_HEAD(, spool_file) files;
    atomic_uint count; /* of them: usually none */
};

struct spool {
    /* constant after spool_open() */
    struct spool_config config;
    struct spool_events events;
    void *ctx;
    struct oss_client *client;
    char *dir;
    int dirfd, lock_fd;
    char boot[SPOOL_BOOT_SIZE];
    struct xfer_engine *engine;
    struct spool_cache *cache; /* NULL: off */
    struct xfer_reader_pool *pool;
    struct ou_cancel *cancel; /* for the spool's own requests: triggered by spool_close() */

    _Atomic uint64_t seq;      /* counts names and deletes; unique in a spool */
    atomic_uint foreign_bases; /* files whose base has another key: usually none */
    atomic_bool started;
    atomic_bool cannot_punch; /* the spool's file system makes no holes */
    struct spool_timer timer;
    struct spool_space space;
    struct spool_deletes deletes;
    struct spool_moves moves;
    struct spool_left_behind left_behind;

    pthread_t keeper;
    bool keeper_running;        /* owner only */
    struct ou_mutex sleep_lock; /* rank SPOOL_RANK_SLEEP */
    pthread_cond_t sleep;
    bool stopping; /* sleep_lock */

    struct ou_mutex lock;   /* rank SPOOL_RANK_TABLE */
    pthread_cond_t changed; /* a file stopped being pending, or was parked */
    struct {
        struct spool_table files; /* by key: what has a name */
        struct spool_upload *uploads;
        size_t orphans; /* data files without a sidecar, found at spool_open() */
        size_t damaged; /* sidecars that were left alone */
    } locked;
};

/* -- lock.c -- */
int spool_lock_take(struct spool *spool, struct ou_error *err);
void spool_read_boot_id(char boot[SPOOL_BOOT_SIZE]);

/* -- recover.c -- */
int spool_recover(struct spool *spool, struct ou_error *err);
/** spool_sidecar_load() - replay NAME in @dirfd; @journal is left open if given. */
int spool_sidecar_load(int dirfd, const char *name, const char *boot, struct spool_sidecar *s,
                       struct ou_journal *journal, struct ou_error *err);
/** spool_data_intact() - the data files hold all of the stable version that the bucket lacks. */
bool spool_data_intact(int dirfd, const struct spool_sidecar *s);
/** spool_was_open() - there is data, but no version of it that may be uploaded. */
bool spool_was_open(int dirfd, const struct spool_sidecar *s);
/** spool_id_of() - @name is ID followed by @suffix. */
bool spool_id_of(const char *name, const char *suffix, char id[SPOOL_ID_SIZE]);

/* -- schedule.c -- */
int spool_timer_start(struct spool *spool, struct ou_error *err);
void spool_timer_stop(struct spool *spool);
void spool_timer_fini(struct spool *spool);
/** spool_timer_set() - wake for @file at @due_ms (ou_now_ms() scale); 0: not at all. */
void spool_timer_set(struct spool_file *file, uint64_t due_ms);
/** spool_timer_uploads() - @change more uploads are with the engine. */
void spool_timer_uploads(struct spool *spool, int change);

/** spool_timer_has_room() - an upload may begin that nobody has closed yet. */
bool spool_timer_has_room(struct spool *spool);

/* -- keeper.c -- */
int spool_keeper_start(struct spool *spool, struct ou_error *err);
void spool_keeper_stop(struct spool *spool);

/* -- space.c -- */
/**
 * spool_space_reserve() - admit @size bytes of a write; may wait for uploads to free room
 * Return: 0, -ENOSPC (the sentence says of which limit), -EINTR.
 */
int spool_space_reserve(struct spool *spool, uint64_t size, struct ou_cancel *cancel,
                        struct ou_error *err);
/** spool_space_wanted() - somebody waits for room, and there is not enough yet. */
bool spool_space_wanted(struct spool *spool);
/** spool_space_look_again() - what a writer that waits may hope for has changed. */
void spool_space_look_again(struct spool *spool);
/** spool_space_settle() - @reserved were admitted; the files grew by @grown (may be negative). */
void spool_space_settle(struct spool *spool, uint64_t reserved, int64_t grown);
/**
 * spool_space_left() - what is left for the cache of reads, which takes @cached bytes now
 *
 * Negative: so much it must give back. Without a reserve it leaves a little all the same.
 */
int64_t spool_space_left(struct spool *spool, uint64_t cached);
void spool_space_numbers(struct spool *spool, uint64_t *used, uint64_t *disk_free,
                         unsigned *waiting);

/* -- reading.c -- */
/** spool_reading_open() - the pool that reads objects, with its cache. */
int spool_reading_open(struct spool *spool, struct ou_error *err);
void spool_reading_close(struct spool *spool);
/** spool_cache_give_way() - a write of @size bytes comes: what was only read goes first. */
void spool_cache_give_way(struct spool *spool, uint64_t size);

/* -- deletes.c -- */
int spool_deletes_open(struct spool *spool, struct ou_error *err);
int spool_deletes_start(struct spool *spool, struct ou_error *err);
void spool_deletes_stop(struct spool *spool);
void spool_deletes_close(struct spool *spool);
/** spool_deletes_add() - journalled when it returns. @moved_id: only if this file is not called @key then; NULL. */
int spool_deletes_add(struct spool *spool, const char *key, const char *moved_id,
                      struct ou_error *err);
/** spool_deletes_add_at() - likewise, of the time of @seq: what has a later one is not meant. */
int spool_deletes_add_at(struct spool *spool, const char *key, const char *moved_id, uint64_t seq,
                         struct ou_error *err);
enum spool_claim { SPOOL_CLAIM_NONE, SPOOL_CLAIM_DROPPED, SPOOL_CLAIM_WAIT };
/** spool_deletes_claim() - an upload of @key is to begin: a queued delete is dropped, one in flight awaited. */
enum spool_claim spool_deletes_claim(struct spool *spool, const char *key);
/** spool_deletes_known() - a delete of @key is queued or in flight. */
bool spool_deletes_known(struct spool *spool, const char *key);
/** spool_deletes_settle() - at recovery: what a staged file's name says about a delete of @key. */
void spool_deletes_settle(struct spool *spool, const char *key, uint64_t seq, const char *id,
                          bool *dead);
uint64_t spool_deletes_count(struct spool *spool, const char *prefix);
/** spool_deletes_flush() - send now what is queued. */
void spool_deletes_flush(struct spool *spool);
/** spool_deletes_await() - until no delete under @prefix is left. 0, -EINTR, -ETIMEDOUT. */
int spool_deletes_await(struct spool *spool, const char *prefix, uint64_t deadline_ms,
                        struct ou_cancel *cancel, struct ou_error *err);

/* -- spool.c -- */
uint64_t spool_next_seq(struct spool *spool);
/** spool_upload_on() - an upload of the object @key has not ended; not counting those that are ahead. */
bool spool_upload_on(struct spool *spool, const char *key);
/** spool_collect() - references to all staged files under @prefix that @want; the caller frees the array. */
int spool_collect(struct spool *spool, const char *prefix, bool (*want)(struct spool_file *file),
                  struct spool_file ***files, size_t *count, struct ou_error *err);
/** spool_base_needed() - another staged file still reads or writes the object @key; they are hurried up. */
bool spool_base_needed(struct spool *spool, const char *key, const struct spool_file *but);
/** spool_base_in_place() - the staged file of the name @key shows bytes of that object. */
bool spool_base_in_place(struct spool *spool, const char *key);

#endif

/*
 * The staged file from inside. Not for other layers.
 *
 * Three views of its bytes: *live* (what readers see), *stable* (in .s: what the sidecar can
 * rebuild and uploads send), *base* (the object below). Both maps say for each byte in which
 * slot it lies. The rules that make a stable version immutable:
 *   W1  a write never goes to a slot in which the stable version has that byte;
 *   W2  nor, while a newer stable version has not reached the disk, to a byte that the last
 *       synced version may have there: it is synced first;
 *   W3  a hole is punched only where neither version, nor a reader on its way, refers to.
 * Everything that changes the file, and its journal, is done under .io, so between two stable
 * points the set of changes (.dirty, .low) is exact.
 */
#ifndef OSSUP_SPOOL_FILE_H
#define OSSUP_SPOOL_FILE_H

#include "spool/internal.h"

enum { SPOOL_SLOTS = 2 };
#define SPOOL_NO_VERSION UINT64_MAX

/* A reader of the base, shared by those who are reading when the base changes. */
struct spool_base_reader {
    atomic_uint refs;
    struct xfer_reader *reader;
};

/* An upload ahead of the close: spool/early.h. Under .io and .lock both, unless said. */
struct spool_early {
    bool on;                 /* .up sends live bytes */
    bool off;                /* it failed: not again before the file is cut to nothing */
    bool held;               /* the writer went back */
    bool pressed;            /* somebody waits for room */
    bool told;               /* that released bytes cannot be changed: once is enough */
    uint64_t prefix;         /* written without a gap from the beginning to here */
    uint64_t kept;           /* of a file with a base: so much of it is copied, parts follow */
    uint64_t planned;        /* the end of the last part that the engine has */
    uint64_t parts;          /* how many that are */
    struct spool_part *sent; /* that arrived and equal the live bytes */
    size_t sent_count, sent_room;
    /* .lock: what Initiate was given */
    bool has_times;
    uint64_t attr;
    struct timespec mtime, ctime;
    bool has_ctime;
    unsigned attr_sets;
};

struct spool_file {
    /* constant */
    struct spool *spool;
    char id[SPOOL_ID_SIZE];

    bool named; /* spool->lock: .node is in the table */
    struct spool_node node;

    /* changes only under .io: */
    bool dir_synced;          /* the names of the files have reached the disk */
    bool journal_dirty;       /* it has lines that were not synced */
    bool garbage;             /* something in .stored is not needed any more */
    uint64_t journal_compact; /* size after the last rewriting */
    struct ou_journal journal;

    /* changes only under .io and .lock both, so either is enough to read: */
    bool has_sidecar;
    bool poisoned; /* .poison is not empty, or it could not be told */
    bool unlinked; /* no name, no sidecar to be written any more */
    bool kept;     /* the spool holds a reference: there is something to lose (.lock only) */
    struct ou_error poison_error;
    struct extent_map poison; /* set: writes that failed and were not repeated */
    struct spool_sidecar
        s; /* the stable version, and all that is journalled (.key: spool->lock too) */
    struct extent_map live;
    uint64_t size, base_limit;
    uint64_t low;                /* smallest size since the last stable point */
    struct extent_map dirty;     /* set: written since then */
    struct spool_base live_base; /* present only if not .s.base (clone before its stable point) */
    struct spool_attr attr;      /* live; .s.attr is what is journalled */
    uint64_t attr_number;
    struct extent_map stored[SPOOL_SLOTS]; /* sets: what the data files may hold */
    struct spool_upload *up;               /* the upload that is with the engine */
    struct spool_early early;
    bool abandoned; /* was open when the daemon died: only its upload is to be ended */

    /* change only under .io, .lock and spool->lock all: replaced.c */
    bool displaced;              /* its name is that of the file whose .replaced it is */
    struct spool_file *replaced; /* a reference; NULL: none. Never of one that is .displaced */

    /* under .lock: */
    int fd[SPOOL_SLOTS]; /* -1: closed */
    unsigned opens, writers;
    unsigned busy;       /* calls that use .fd or .journal */
    unsigned reading[2]; /* of these, calls that read where a map said a moment ago, by .epoch */
    unsigned epoch;      /* 0 or 1: of those who begin to read now */
    unsigned attr_sets;  /* attributes were set, not only moved by writing */
    unsigned held;       /* > 0: no upload may begin (a rename needs the key) */
    unsigned parked;     /* times in a row */
    bool left_behind;    /* in spool->left_behind */
    bool foreign;        /* counted in spool->foreign_bases: it uses the object of another key */
    bool ending; /* its upload is told to have ended, and what follows from that is being done */
    bool hurry;  /* someone waits for it: no settle time */
    bool tell;   /* .s.failed is to be returned once */
    struct spool_base_reader *reader[2]; /* of .s.base, of .live_base */
    uint64_t changed_ms;                 /* of the last write, close or attribute change */
    uint64_t flushed_ms;      /* of the last flush while nothing was opened or closed; 0: none */
    uint64_t publishable;     /* a version that may be published though writers have it open;
                                 SPOOL_NO_VERSION: none */
    uint64_t hurry_version;   /* until this one is in the bucket */
    uint64_t open_publish_ms; /* when that was last done */
    uint64_t published_version, published_attr; /* newest in the bucket under its name */
    uint64_t retry_ms;                          /* parked: when it is tried again; 0: not parked */
    uint64_t gate_ms; /* when the upload's gate is to be asked again; 0: it will be, or need not */
    uint64_t disk_bytes; /* what the data files take */

    TAILQ_ENTRY(spool_file) in_left_behind; /* left_behind.lock */
    uint64_t left_hash;                     /* likewise: of .s.upload.key */

    size_t timer_at; /* timer.lock: index + 1 in the heap; 0: not in it */
    uint64_t due_ms; /* timer.lock */

    struct ou_mutex io;     /* rank SPOOL_RANK_IO */
    struct ou_mutex lock;   /* rank SPOOL_RANK_FILE */
    pthread_cond_t changed; /* with .lock: an upload ended, or its publishing did */
    atomic_uint refs;
};

/* -- file.c -- */
/** spool_file_new() - one reference, in no table; takes nothing. */
struct spool_file *spool_file_new(struct spool *spool, uint64_t seq, const char *key,
                                  struct ou_error *err);
/** spool_file_free() - the last one out; also used by spool_close(). */
void spool_file_free(struct spool_file *file);
/** spool_file_keep_locked() - there is something to lose from now on. */
void spool_file_keep_locked(struct spool_file *file);
/** spool_file_fd_locked() - the slot's descriptor, opened if need be. -ENOENT: not there and not @create. */
int spool_file_fd_locked(struct spool_file *file, enum extent_slot slot, bool create,
                         struct ou_error *err);
void spool_file_enter_locked(struct spool_file *file); /* descriptors stay open until leave */
void spool_file_leave_locked(struct spool_file *file);
/** spool_file_rest() - .io held: thousands may wait, so one that nobody uses holds no descriptor. */
void spool_file_rest(struct spool_file *file);
void spool_file_leave(struct spool_file *file); /* .io held: and rest */
/** spool_file_disk() - after the data files changed: @reserved bytes had been admitted. */
void spool_file_disk(struct spool_file *file, uint64_t reserved);
void spool_file_remove_data(struct spool_file *file);                         /* .io */
int spool_file_remove_sidecar(struct spool_file *file, struct ou_error *err); /* .io */
/** spool_file_settle_down() - .io held: nothing pending, no handle: take it off the disk. Return: drop a reference. */
bool spool_file_settle_down(struct spool_file *file);
/** spool_file_plan_locked() - set the timer to when something is to be done next. */
void spool_file_plan_locked(struct spool_file *file);
bool spool_file_has_writers(struct spool_file *file);
bool spool_file_pending_locked(const struct spool_file *file);
bool spool_file_unstable_locked(const struct spool_file *file);
/** spool_file_awaits_writers_locked() - its version may not be published before they have closed it. */
bool spool_file_awaits_writers_locked(const struct spool_file *file);
/** spool_file_foreign_locked() - count it as one that needs another key's object, or not. */
void spool_file_foreign_locked(struct spool_file *file);
/** spool_file_next_attr_locked() - a number that neither a version nor an upload has for its attributes. */
uint64_t spool_file_next_attr_locked(const struct spool_file *file);

/* -- wait.c -- */
/** spool_tell_changed() - no lock but .io held: those who wait for spool->changed look again. */
void spool_tell_changed(struct spool *spool);

/* -- left_behind.c -- */
/** spool_file_left_behind_locked() - an upload under a name that it no longer has is to be ended. */
bool spool_file_left_behind_locked(const struct spool_file *file);
/** spool_left_behind_note_locked() - it is one of these now, or not any more. */
void spool_left_behind_note_locked(struct spool_file *file);
void spool_left_behind_forget(struct spool_file *file);
/** spool_left_behind_on() - such an upload has, or may have, the key @key. */
bool spool_left_behind_on(struct spool *spool, const char *key);

/* -- file_journal.c: all with .io held -- */
/** spool_file_record() - append the records in @lines and apply them. @sync: reaches the disk. */
int spool_file_record(struct spool_file *file, const struct ou_buf *lines, bool sync,
                      struct ou_error *err);
/** spool_file_append() without applying, for those who apply under a lock of their own. */
int spool_file_journal(struct spool_file *file, const struct ou_buf *lines, bool sync,
                       struct ou_error *err);
int spool_file_apply_locked(struct spool_file *file, const struct ou_buf *lines,
                            struct ou_error *err);
int spool_file_word(struct spool_file *file, const char *type, bool sync, struct ou_error *err);
/** spool_file_compact() - rewrite the sidecar, @now or when most of it is history. */
int spool_file_compact(struct spool_file *file, bool now, struct ou_error *err);
void spool_file_tidy(struct spool_file *file); /* likewise; a failure is logged */

/* -- file_stable.c: .io held -- */
int spool_file_make_stable(struct spool_file *file, bool sync, struct ou_error *err);
/** spool_file_make_synced() - the stable version reaches the disk. */
int spool_file_make_synced(struct spool_file *file, struct ou_error *err);
/** spool_file_reclaim() - give back disk space that no version refers to. */
void spool_file_reclaim(struct spool_file *file);
/** spool_file_punch() - likewise in [@begin, @end), now: waits for those who are reading there. */
int spool_file_punch(struct spool_file *file, uint64_t begin, uint64_t end, struct ou_error *err);

/* -- file_read.c -- */
/**
 * spool_file_read_base() - bytes of the base of the stable version, or of the live one
 *
 * Waits for the network. -EAGAIN: the base was replaced by a version of ours, look again.
 */
ssize_t spool_file_read_base(struct spool_file *file, bool stable, void *buf, size_t len,
                             uint64_t offset, struct ou_cancel *cancel, struct ou_error *err);
void spool_base_reader_drop(struct spool_base_reader *reader);
/** spool_file_take_readers_locked() - a base changed: @old is for the caller to drop, unlocked. */
void spool_file_take_readers_locked(struct spool_file *file, struct spool_base_reader *old[2]);
/** spool_file_read_slot() - [offset, offset + len) lies in @slot; .lock held, dropped meanwhile. */
ssize_t spool_file_read_slot_locked(struct spool_file *file, enum extent_slot slot, void *buf,
                                    size_t len, uint64_t offset, struct ou_error *err);

/* -- unlink.c -- */
/** spool_file_may_exist() - the bucket may have an object under the file's name. */
bool spool_file_may_exist(const struct spool_file *file);
/**
 * spool_file_take_name() - .io held: off the table and off the disk
 * @replaced: another file has the name now, and so whatever there is in the bucket under it
 *
 * Return: drop the spool's reference.
 */
bool spool_file_take_name(struct spool_file *file, bool replaced);
/** spool_file_finish_unlink() - .io held: the last traces of a file without a name. */
void spool_file_finish_unlink(struct spool_file *file);

/* -- replaced.c -- */
/** spool_files_lock() - the .io of all @count files, NULL among them, in the order that all keep to. */
void spool_files_lock(struct spool_file *const *files, size_t count);
void spool_files_unlock(struct spool_file *const *files, size_t count);
/** spool_replaced_of() - a reference to what @file has replaced and is kept; NULL: none. No lock held. */
struct spool_file *spool_replaced_of(struct spool_file *file);
/** spool_replaced_keep() - .io of both held: @file has the name of @over, which it keeps. */
void spool_replaced_keep(struct spool_file *file, struct spool_file *over);
/** spool_replaced_inherit() - .io of @file held: what another one has kept; a reference, taken over. */
void spool_replaced_inherit(struct spool_file *file, struct spool_file *replaced);
/** spool_replaced_outlives() - it was on the disk: a power cut must not take it with what comes after it. */
bool spool_replaced_outlives(struct spool_file *replaced);
/** spool_replaced_take() - .io of @file held: what it keeps is the caller's now, a reference; or NULL. */
struct spool_file *spool_replaced_take(struct spool_file *file);
/** spool_replaced_drop() - no lock held: it is needed no more, nor is the reference; NULL is fine. */
void spool_replaced_drop(struct spool_file *replaced);
/** spool_replaced_settle() - no lock held: if @file has a stable version, what it has replaced goes. */
int spool_replaced_settle(struct spool_file *file, struct ou_error *err);

/* -- move.c -- */
/** spool_move_blocks_locked() - .lock held: a request is changing the name, nothing of the file may begin. */
bool spool_move_blocks_locked(const struct spool_file *file);

/* -- copy.c -- */
/** spool_copy_base() - the object @from gets the name @key, too; no lock is held. @to: what lies there then. */
int spool_copy_base(struct spool_file *file, const struct spool_base *from, const char *key,
                    uint64_t deadline_ms, struct ou_cancel *cancel, struct spool_base *to,
                    struct ou_error *err);

/* -- upload.c -- */
/** spool_upload_due() - the timer's: start what may start. */
void spool_upload_due(struct spool_file *file);
/** spool_upload_changed() - .io held, after a stable point that changed @delta and all from @cut on. */
void spool_upload_changed(struct spool_file *file, const struct extent_map *delta, uint64_t cut,
                          uint64_t end, bool base_changed);
/** spool_upload_prepare() - .io held, before a stable point (@sync: of fsync) with these changes. */
void spool_upload_prepare(struct spool_file *file, const struct extent_map *delta, uint64_t cut,
                          bool sync);
/** spool_upload_restart() - .io held: what the upload was begun with is not so any more. */
void spool_upload_restart(struct spool_file *file);
/** spool_upload_mark_locked() - .io and .lock held: in one step with the switch of the stable map. */
void spool_upload_mark_locked(struct spool_file *file, const struct extent_map *delta,
                              uint64_t cut);
void spool_upload_kick(struct spool_file *file);                  /* .io or .lock */
void spool_upload_cancel(struct spool_file *file);                /* .io */
struct xfer_upload *spool_upload_handle(struct spool_upload *up); /* .lock or .io */
const char *spool_upload_key(const struct spool_upload *up);
struct spool_upload *spool_upload_next(const struct spool_upload *up); /* spool->lock */
struct spool_file *spool_upload_file(const struct spool_upload *up);
/** spool_upload_doomed() - its file has no name any more, or another. */
bool spool_upload_doomed(const struct spool_upload *up);
/** spool_upload_is_ahead() - it was begun before the close, and has not asked for its key yet. */
bool spool_upload_is_ahead(struct spool_upload *up);
/** spool_uploads_drop() - after the engine stopped: nobody will call done(). */
void spool_uploads_drop(struct spool *spool);

#endif

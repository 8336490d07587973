/*
 * Early upload: parts of a file go out while it is still being written. Not for other layers.
 *
 * A file that is written from its beginning on, and of which the bucket has nothing, gets its
 * upload before it is closed. What is sent then are *live* bytes, of parts that lie well behind
 * the writer, by a plan whose parts keep their place however long the file becomes. The gate stays
 * shut. When the last writer has closed it (or an open file is due to be published) the upload is
 * *handed over* to the stable version, which is the live one at that moment: the parts that are
 * there count, the tail is sent.
 *
 *   none ──written()──▶ on ──finish()──▶ an upload like any other
 *                       on ──drop(), failure, rename, unlink──▶ none; its upload id is aborted
 *
 * Live bytes may change under the engine. Whoever changes some calls spool_early_touch() before
 * and after, with .io held throughout; a part is recorded with .io held, too, so .sent lists
 * exactly the parts that equal the live bytes. They are journalled when the upload is handed over;
 * until then a crash makes them worthless, because the file is: it was never closed.
 *
 * A writer that goes back into what was sent is not sequential: the upload is *held*, and what it
 * touched is sent after the close.
 *
 * A file that shares bytes with its base is begun with when somebody waits for room, not before:
 * what is kept of the base from the beginning on is copied, and parts of what was written without
 * a gap after it go (an append), or from the beginning on (the object is overwritten in order).
 *
 * Space. When a writer waits for room and nothing else will give it, the file is *pressed*: parts
 * go as soon as they are whole, and what OSS has confirmed is *released*: the record of the part
 * says so, and the bytes are punched out of the data file. From then on the unfinished upload has
 * them and nobody else, until it is published:
 *   - reading them waits for that, or is EIO while the file is still being written;
 *   - changing them is ENOSPC, and so is changing what is before them if the file has a base: the
 *     parts would have other numbers. Cutting the file to nothing gives them up;
 *   - a closed version with such parts is frozen, so that no later writer can hold it back;
 *   - renaming waits until it is published under the old name, and copies it on the server. A
 *     name that looks temporary is therefore pressed last;
 *   - when the server has lost the upload, they are lost: the file is parked and says so;
 *   - after a crash a file that was never closed is a fragment, and is thrown away.
 *
 * The closed version before it waits for the writer meanwhile. Its upload, or what a crash has left
 * of one, stands in the way and is ended first. If that version may have been published, this doubt
 * stays until the next one is.
 */
#ifndef OSSUP_SPOOL_EARLY_H
#define OSSUP_SPOOL_EARLY_H

#include "spool/upload.h"

/* -- early.c: .io held, unless said -- */

/** spool_early_written() - after a write: begin, or go on, if enough lies behind the writer. */
void spool_early_written(struct spool_file *file);
/** spool_early_touch() - bytes of [@offset, @offset + @size) are about to change, or have. */
void spool_early_touch(struct spool_file *file, uint64_t offset, uint64_t size);
/**
 * spool_early_spare() - the file is about to be cut to nothing
 *
 * If the stable version has bytes in the upload only, that version keeps the upload: until the
 * writer has closed the file, a crash must find them.
 */
int spool_early_spare(struct spool_file *file, struct ou_error *err);
/** spool_early_drop() - the file was cut to nothing. */
void spool_early_drop(struct spool_file *file);
/** spool_early_part() - a part has arrived, and has the live bytes. */
int spool_early_part(struct spool_file *file, const struct spool_part *part, struct ou_error *err);
/** spool_early_failed() - it ended with @why: not again before the file is closed. */
void spool_early_failed(struct spool_file *file, const struct ou_error *why);
/** spool_early_ended_locked() - .lock held too: nothing of it is with the engine any more. */
void spool_early_ended_locked(struct spool_file *file);
/** spool_early_due_locked() - .lock held: when to call finish(); 0: not for now. */
uint64_t spool_early_due_locked(const struct spool_file *file);
/** spool_early_finish() - hand over to the stable version if it may be published. 0 also if not. */
int spool_early_finish(struct spool_file *file, struct ou_error *err);
/** spool_early_headers_locked() - .lock held: Initiate takes the live attributes. */
void spool_early_headers_locked(struct spool_file *file);
/**
 * spool_early_take_times() - the file is being closed
 *
 * If nothing but writing has changed its times since Initiate, it gets those of then: the object
 * has them, and another request only to move them would be wasted.
 */
void spool_early_take_times(struct spool_file *file);

/* -- release.c -- */

/* -- clean.c -- */

/** spool_clean_let_go() - while somebody waits for room: bytes of open files that their objects have. No lock is held. */
void spool_clean_let_go(struct spool *spool);
/** spool_clean_let_go_of() - likewise of @file; .io held. */
void spool_clean_let_go_of(struct spool_file *file);

/** spool_is_released() - .io or .lock held: some of its bytes are in its unfinished upload only. */
bool spool_is_released(const struct spool_file *file);
/** spool_release_some() - .io held: let go of confirmed parts while somebody waits for room. */
int spool_release_some(struct spool_file *file, struct ou_error *err);
/** spool_release_press() - somebody waits for room: no lock held. Return: some will come. */
bool spool_release_press(struct spool *spool);
/** spool_release_guard() - .io held: -ENOSPC if released bytes would change. */
int spool_release_guard(struct spool_file *file, uint64_t offset, uint64_t size,
                        struct ou_error *err);
/** spool_release_await() - until the bytes at @offset can be read: -EAGAIN; -EIO, -EINTR, -ETIMEDOUT. */
int spool_release_await(struct spool_file *file, uint64_t offset, struct ou_cancel *cancel,
                        struct ou_error *err);
/** spool_release_await_all() - until nothing is released any more: 0; -EBUSY: it is being written. */
int spool_release_await_all(struct spool_file *file, uint64_t deadline_ms, struct ou_cancel *cancel,
                            struct ou_error *err);
/** spool_release_lost() - what is to be said when the upload that had the bytes is gone. */
int spool_release_lost(const struct spool_file *file, struct ou_error *err);

#endif

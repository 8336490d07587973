/*
 * Stream: one open directory, read page by page.
 *
 * The names come in the order of their positions (fs/names.h): pages of LIST, the next one
 * in flight, merged with what is staged here; a directory whose listing is still trusted
 * needs no request. Only a few pages are held, so a million names need bounded memory.
 *
 * An entry's cookie is its place in this order plus FS_COOKIE_FIRST; it is good for as long as
 * the handle is. Going back a little (the kernel does it when a program's buffer is full) is
 * exact. Going back further starts again at the page that held the place, and counts from
 * there: exact unless names of that page have come or gone since.
 * Names made or removed while the directory is read may or may not be told; others are told
 * once.
 *
 * Where an object "a" and a directory "a/" both exist, the name is told once.
 */
#ifndef OSSUP_FS_STREAM_H
#define OSSUP_FS_STREAM_H

#include "fs/names.h"
#include "fs/state.h"

#define FS_COOKIE_FIRST 3 /* after "." and ".." */

struct fs_stream;

int fs_stream_open(struct fs *fs, uint64_t dir_id, struct fs_stream **stream, struct ou_error *err);
void fs_stream_close(struct fs *fs, struct fs_stream *stream);
/** fs_streams_end() - the mount is gone: closes all that are left; nothing else runs. */
void fs_streams_end(struct fs *fs);
struct fs_inode *fs_stream_dir(const struct fs_stream *stream);

struct fs_name {
    char name[FS_NAME_MAX + 1];
    bool is_dir;                      /* told by the position */
    const struct fs_version *version; /* of an object, as listed; NULL: not from a listing. Valid
                                         until the lock is let go */
    uint64_t until_ms;                /* how long that is trusted */
    uint64_t begun_ms;                /* when the request began that told it */
    uint64_t cookie;                  /* to go on behind this entry */
};
/**
 * fs_stream_next_locked() - the entry behind @cookie
 *
 * Return: 1, 0 at the end, FS_STREAM_LOAD: fs_stream_load() first. Names that are gone by now
 * are passed over.
 */
#define FS_STREAM_LOAD 2
int fs_stream_next_locked(struct fs *fs, struct fs_stream *stream, uint64_t cookie,
                          struct fs_name *out);
/** fs_stream_rewind_locked() - reading begins at the start: as if opened anew. */
void fs_stream_rewind_locked(struct fs_stream *stream);
/** fs_stream_load() - get the page that is missing; waits for the network. */
int fs_stream_load(struct fs *fs, struct fs_stream *stream, const struct fs_call *call,
                   struct ou_error *err);

#endif

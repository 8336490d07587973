/*
 * The directory of data files: ROOT/data/HH/XXXXXXXXXXXXXXXX, named by number.
 *
 * A file is written under its final name at once: nothing knows of it until the
 * journal mentions it, and what the journal does not mention is removed at start.
 * Nothing is fsynced: the server promises to survive its own death, not a power
 * cut. Threads may call as they like; a writer belongs to one thread.
 */
#ifndef SRV_DATADIR_H
#define SRV_DATADIR_H

#include "server/digest.h"
#include "server/error.h"
#include "server/object.h"

struct srv_datadir {
    int fd;
    _Atomic uint64_t next_id;
    atomic_bool closing; /* the store is being freed: references end, files stay */
};

/* 0 or -1 with a message on stderr */
int srv_datadir_open(struct srv_datadir *d, const char *root);
void srv_datadir_fini(struct srv_datadir *d);

/*
 * srv_datadir_sweep() - at start: removes each file that @known does not know
 * Raises the next number above all that are left.
 */
void srv_datadir_sweep(struct srv_datadir *d, bool (*known)(void *arg, uint64_t id), void *arg);

/* srv_datadir_open_file() - a descriptor to read it (the caller closes), or -1 */
int srv_datadir_open_file(struct srv_datadir *d, uint64_t id);
/* srv_datadir_forget() - for object.c: the last reference to @id ended */
void srv_datadir_forget(struct srv_datadir *d, uint64_t id);

/* A body on its way to disk. The file appears with the first byte. */
struct srv_writer {
    struct srv_datadir *dir;
    int fd; /* -1 before the first byte */
    uint64_t id;
    uint64_t size;
    struct srv_digest digest;
    uint64_t *marks; /* see struct srv_datafile */
    size_t mark_count;
    size_t mark_cap;
};

void srv_writer_init(struct srv_writer *w, struct srv_datadir *dir, bool want_md5);
/* srv_writer_fini() - removes the file if srv_writer_finish() was not called */
void srv_writer_fini(struct srv_writer *w);
/* 0 or -1 (disk full, ...) with *err set to InternalError */
int srv_writer_add(struct srv_writer *w, const void *data, size_t len, struct srv_error *err);
/*
 * srv_writer_finish() - the body is whole
 * Return: the data file (the caller owns the reference); for an empty body
 * too, with size 0 and no file on disk.
 */
struct srv_datafile *srv_writer_finish(struct srv_writer *w);

#endif

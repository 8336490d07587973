/*
 * Sidecar: what is known on disk of a staged file, ID.ckpt beside ID.data and ID.alt.
 *
 * A journal (base/journal.h) of records. A record is the JSON text of one change; the state is
 * what is left when all records are applied in order. The running spool changes its state by the
 * same spool_sidecar_apply() that replays the journal after a crash, so both cannot differ.
 * Pure: no I/O, no lock; the caller serialises.
 *
 * Records, by "type" (numbers are u64 unless said; K: bytes by ou_json_quote_bytes()):
 *
 *   file        the first line. format=1, id, seq, key K, absent (bool: the bucket is known to
 *               have no object `key`), base {key K, size, etag} if any, attr, attr_published,
 *               created (seconds, i64)
 *   attr        attr {n, mode, uid, gid, mtime, mtime_ns, and likewise atime and ctime if they
 *               are set, xattr content_type cache_control content_disposition content_encoding
 *               expires storage_class (K each), other [[name, value]...]}
 *               n counts changes of the attributes; attr_published is the n that the object has
 *   extents     first (bool: a new list begins), extents [[offset, size, slot]...]: belong to the
 *               next stable record, which a crash may have prevented
 *   stable      version, cut, size, base_limit, extents (bool: the list before belongs to it),
 *               synced (bool), boot (id of the boot in
 *               which it was written), time (i64), attr and base if they changed with it:
 *               the stable version is the one before, cut at `cut`, then the list laid over it.
 *               Slots: 0 ID.data, 1 ID.alt, 2 zeros, 3 sent (in a `released` part only). Not covered: the base below base_limit,
 *               zeros beyond. `synced`: the data of this version reached the disk before the line
 *   synced      version: the data of this and all earlier versions reached the disk
 *   changed     ranges [[offset, size]...], moved [[offset, size]...]: written by compaction only
 *   rename      seq, key K, absent (bool), base if its object was copied along
 *   initiating  key K, attr (its n), time, time_ns: Initiate is about to be sent
 *   upload      upload_id, attr (the n it was initiated with)
 *   part        number, offset, size, etag, copy (bool), crc64 if known: it is in the upload and
 *               has the bytes of the stable version of this place of the journal (with stale:
 *               of the version of the publishing record that follows; compaction only).
 *               With released: its bytes are not here any more, the part is all there is of them:
 *               of a file that is being written also without a stable version that has them
 *   released    offset, size: of the stable version, too, these bytes are in such parts only
 *   clean       offset, size: of the stable version; the base has these bytes, and they are not here
 *               any more
 *   freeze      version: this version is being uploaded as it is, whatever stable versions come
 *               meanwhile; the changed ranges until here are on their way (as with publishing)
 *   publishing  key K, version, size, attr: Put, Copy or Complete is about to be sent
 *   unpublished it was not, or is to be sent again: the changed ranges count as changed again
 *   forget      the upload id is dead
 *   canceled    nothing of the upload is left on the server
 *   published   etag, size, version, attr: the object of `publishing` is the base now, and has what
 *               was released
 *   fetched     (after an extents record) the list lies over the stable version and equals the base
 *               there: bytes that were fetched before a request that replaces the base
 *   rebase      base: of a version without bytes of its own; they are those of the new base
 *   baseless    the base is gone; all of the stable version, which is here, counts as changed
 *   failed      errno, http_status, code, request_id, message, time: parked
 *   unlinked    replaced (bool; absent: false): the name is gone, or another file's; what is left on
 *               disk may be removed once the upload has ended. replaced: whatever the upload has left
 *               in the bucket under the name is for that file to replace, and not to be deleted
 *
 * A record of an unknown type, or of a broken shape, makes the whole sidecar unreadable: it is
 * left alone. An unknown member is ignored.
 *
 * Two sidecars may say the same key: a file that has no stable version yet, and the closed one that
 * it has replaced by a rename; for a moment also when it has one. Recovery takes, of those with a
 * stable version, the one with the highest seq.
 *
 * Trust after a reboot: page cache does not survive it, so a `stable` that was not synced, with
 * another boot id, may point to data that never reached the disk. See spool_sidecar_trust.
 */
#ifndef OSSUP_SPOOL_SIDECAR_H
#define OSSUP_SPOOL_SIDECAR_H

#include "base/buf.h"
#include "base/json.h"
#include "oss/types.h"
#include "spool/attr.h"
#include "spool/extents.h"
#include "transfer/engine.h"

#include <stdbool.h>
#include <stdint.h>

#define SPOOL_SIDECAR_FORMAT 1u
#define SPOOL_ID_SIZE        17 /* 16 hexadecimal digits and NUL */
#define SPOOL_BOOT_SIZE      40
#define SPOOL_SIZE_MAX       ((uint64_t)INT64_MAX)
#define SPOOL_LINE_EXTENTS   UINT32_C(20000) /* in one record: far below OU_JOURNAL_LINE_MAX */

/* An object version whose bytes show through. Zeroed: none. */
struct spool_base {
    bool present;
    char *key;
    uint64_t size;
    char etag[OSS_ETAG_SIZE];
};
void spool_base_fini(struct spool_base *b);
int spool_base_copy(struct spool_base *to, const struct spool_base *from, struct ou_error *err);
bool spool_base_same(const struct spool_base *a, const struct spool_base *b);

struct spool_part {
    struct oss_part part;
    uint64_t offset;
    bool copy;
    bool stale; /* its bytes are those of the version that is being published, not the stable one */
    bool released; /* nobody else has its bytes */
};

/* A multipart upload, or the publishing request of any upload. Zeroed: none. */
struct spool_upload_state {
    char *key; /* NULL: nothing may be left on the server */
    bool initiating;
    struct timespec initiated;
    char upload_id[OSS_UPLOAD_ID_SIZE]; /* "": none */
    uint64_t attr;                      /* the attributes it was initiated with */
    struct spool_part *parts;           /* of unchanged bytes, unless .stale */
    size_t part_count, part_room;
    bool frozen, publishing;
    uint64_t version, size;  /* frozen, publishing: what (.size: publishing only) */
    struct extent_map moved; /* in which ranges what is frozen or published differs from the base */
};

struct spool_sidecar {
    char id[SPOOL_ID_SIZE];
    bool begun; /* a file record was seen */
    uint64_t seq;
    char *key;
    bool absent;
    int64_t created;
    struct spool_base base;
    struct spool_attr attr;
    uint64_t attr_number, attr_published;

    /* the stable version; number 0: the base as it is, or none without base */
    uint64_t version;
    struct extent_map map;
    uint64_t size, base_limit;
    int64_t time;
    struct extent_map changed; /* set: where it differs from the base (apart from upload.moved) */

    uint64_t synced_version;    /* the last one whose data is on the disk; 0: none */
    struct extent_map unsynced; /* set: where the stable version differs from that one */

    struct spool_upload_state upload;
    struct extent_map coming; /* of extents records */
    struct ou_error failed;   /* errnum 0: not parked */
    int64_t failed_time;
    bool unlinked, replaced;
    bool doubtful; /* replay: a version was left out because it cannot be trusted */
};
void spool_sidecar_fini(struct spool_sidecar *s);

/** spool_sidecar_exists() - there is a version that recovery would show and upload. */
bool spool_sidecar_exists(const struct spool_sidecar *s);
/** spool_sidecar_dirty() - its bytes or its place differ from the object in the bucket. */
bool spool_sidecar_dirty(const struct spool_sidecar *s);
/** spool_sidecar_pending() - dirty, or its attributes differ. */
bool spool_sidecar_pending(const struct spool_sidecar *s);
/** spool_sidecar_is_changed() - the byte ranges that differ from the base, those on their way too. */
int spool_sidecar_all_changed(const struct spool_sidecar *s, struct extent_map *out,
                              struct ou_error *err);

/**
 * spool_sent_to_base() - an object that has all sent bytes of @map became the base
 *
 * Sent bytes show it from now on, what was a hole is zeros as before. -ENOMEM: @map may have
 * changed in part.
 */
int spool_sent_to_base(struct extent_map *map, uint64_t *base_limit, struct ou_error *err);

/* Which records replay believes. Zeroed `boot`: all. */
struct spool_sidecar_trust {
    char boot[SPOOL_BOOT_SIZE]; /* of this boot */
    uint64_t version;           /* versions up to this one are on the disk */
    bool others;                /* out: there are unsynced versions of another boot */
};
/**
 * spool_sidecar_survey() - first pass: fills @trust->version and ->others from each line
 */
int spool_sidecar_survey(struct spool_sidecar_trust *trust, const struct ou_json *line,
                         struct ou_error *err);
/**
 * spool_sidecar_apply() - one record
 * @trust: NULL when running; at replay: unsynced versions of another boot beyond trust->version
 *         are left out and the state is marked doubtful
 *
 * Return: 0, -EBADMSG (of no known shape), -ENOTSUP (a format that is not ours), -ENOMEM.
 * After a failure the state may have taken a part of the record.
 */
int spool_sidecar_apply(struct spool_sidecar *s, const struct ou_json *line,
                        const struct spool_sidecar_trust *trust, struct ou_error *err);

/* -- records as text, appended to @out -- */
void spool_record_file(struct ou_buf *out, const struct spool_sidecar *s);
void spool_record_attr(struct ou_buf *out, const struct spool_attr *attr, uint64_t number);

struct spool_stable { /* what makes the next stable version out of the last */
    uint64_t version, cut, size, base_limit;
    const struct extent_map *map;   /* of the new version */
    const struct extent_map *where; /* set: the ranges of @map to record; NULL: all of it */
    bool synced;
    const char *boot;
    int64_t time;
    const struct spool_attr *attr; /* NULL: as before */
    uint64_t attr_number;
    const struct spool_base *base; /* NULL: as before */
};
/** spool_record_stable() - one or more records, each a line in @out (ends in LF). */
void spool_record_stable(struct ou_buf *out, const struct spool_stable *v);
void spool_record_synced(struct ou_buf *out, uint64_t version);
void spool_record_rename(struct ou_buf *out, uint64_t seq, const char *key, bool absent,
                         const struct spool_base *base);
void spool_record_initiating(struct ou_buf *out, const char *key, uint64_t attr,
                             struct timespec time);
void spool_record_upload(struct ou_buf *out, const char *upload_id, uint64_t attr);
void spool_record_part(struct ou_buf *out, const struct spool_part *part);
void spool_record_released(struct ou_buf *out, uint64_t offset, uint64_t size);
void spool_record_clean(struct ou_buf *out, uint64_t offset, uint64_t size);
void spool_record_freeze(struct ou_buf *out, uint64_t version);
void spool_record_publishing(struct ou_buf *out, const char *key, uint64_t version, uint64_t size,
                             uint64_t attr);
void spool_record_published(struct ou_buf *out, const char *etag, uint64_t size, uint64_t version,
                            uint64_t attr);
/** spool_record_fetched() - the one range [@offset, @offset + @size). */
void spool_record_fetched(struct ou_buf *out, uint64_t offset, uint64_t size,
                          enum extent_slot slot);
void spool_record_rebase(struct ou_buf *out, const struct spool_base *base);
void spool_record_failed(struct ou_buf *out, const struct ou_error *error, int64_t time);
void spool_record_unlinked(struct ou_buf *out, bool replaced);
/** spool_record_word() - a record that is nothing but its type: unpublished, forget, ... */
void spool_record_word(struct ou_buf *out, const char *type);
/** spool_record_all() - lines that rebuild @s from nothing. */
int spool_record_all(struct ou_buf *out, const struct spool_sidecar *s, const char *boot,
                     struct ou_error *err);

#endif

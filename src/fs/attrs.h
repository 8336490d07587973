/*
 * Attribute cache: what HEADs have told about objects, for as long as listings show the same version.
 *
 * A bounded table by key, least recently used out first; those that are not on disk yet stay until
 * they are, unless they alone are too many. A record holds for the state of
 * the object that listings show (fs/version.h), however long ago it was learnt; a *note* that
 * a directory is only implied (.implied) asks for a LIST of it instead of a HEAD.
 * fs/attrs_file.h keeps them on disk, many more than there are in memory, and reads them back.
 * No I/O, no locks: the caller holds the tree's lock.
 *
 * What is on disk is never older than what is, or was, in memory: a record that goes before it was
 * saved takes the one on disk with it.
 */
#ifndef OSSUP_FS_ATTRS_H
#define OSSUP_FS_ATTRS_H

#include "base/error.h"
#include "fs/attrs_index.h"
#include "fs/table.h"
#include "fs/version.h"
#include "spool/attr.h"

#define FS_ATTRS_MAX 50000u /* records of each list */

struct fs_record {
    struct fs_link link;
    struct fs_record *older, *newer; /* in .saved or .unsaved */
    bool unsaved;                    /* not on disk as it is here */
    bool implied;                    /* a directory without a marker; the rest is zero */
    struct fs_version object;        /* as a HEAD shows it */
    struct fs_version *listed;       /* as listings do, of an OSS Symlink object; NULL: likewise */
    struct spool_attr attr;
    char *target; /* of a symlink, once it was read */
    char key[];
};

static inline struct fs_version *fs_record_seen(struct fs_record *r)
{
    return r->listed ? r->listed : &r->object;
}

struct fs_attrs_list {
    struct fs_record *oldest, *newest;
    size_t count;
};

struct fs_attrs { /* zeroed memory is an empty cache */
    struct fs_table table;
    struct fs_attrs_list saved;    /* in order of use */
    struct fs_attrs_list unsaved;  /* in the order in which they are to be */
    size_t saved_max, unsaved_max; /* 0: FS_ATTRS_MAX */
    struct fs_attrs_index disk;
};
void fs_attrs_fini(struct fs_attrs *a);
/** fs_attrs_get() - the record of @key, now the most recently used; NULL. Valid until the next put. */
struct fs_record *fs_attrs_get(struct fs_attrs *a, const char *key);
/** fs_attrs_match() - likewise, if it is about @seen (which it adopts). */
struct fs_record *fs_attrs_match(struct fs_attrs *a, const char *key,
                                 const struct fs_version *seen);
/** fs_attrs_put() - copies all, keeps the target of the same version; -ENOMEM: it has no record of @key then. */
int fs_attrs_put(struct fs_attrs *a, const char *key, const struct fs_version *seen,
                 const struct fs_version *object, const struct spool_attr *attr,
                 struct ou_error *err);
/** fs_attrs_put_implied() - @key, a directory's, has no marker. */
int fs_attrs_put_implied(struct fs_attrs *a, const char *key, struct ou_error *err);
/** fs_attrs_put_target() - of the symlink @key in its version @seen, if there is a record of that. */
void fs_attrs_put_target(struct fs_attrs *a, const char *key, const struct fs_version *seen,
                         const char *target);
/** fs_attrs_on_disk() - there is a record of @key on disk and none in memory: fs_attrs_recall(). */
bool fs_attrs_on_disk(const struct fs_attrs *a, const char *key);
/** fs_attrs_known() - there is one in either. */
bool fs_attrs_known(const struct fs_attrs *a, const char *key);
/** fs_attrs_saved() - @record has been written, or need not be. */
void fs_attrs_saved(struct fs_attrs *a, struct fs_record *record);
void fs_attrs_remove(struct fs_attrs *a, const char *key);

#endif

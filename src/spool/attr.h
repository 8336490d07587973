/*
 * Attributes of a file, and how they lie in an object's metadata.
 *
 * The names and formats are those of ossfs 1 (oss-protocol 8.3), so that buckets
 * written by either show right in the other: x-oss-meta-mode is decimal st_mode
 * with the file type, -uid and -gid decimal, -mtime -atime -ctime SEC or
 * SEC.NNNNNNNNN, -xattr a percent-encoded JSON object with base64 values.
 * What we do not know (Cache-Control, other x-oss-meta-*) is carried along, so
 * that a chmod, which replaces all metadata, loses nothing.
 *
 * No locks: a value type. Strings are owned.
 */
#ifndef OSSUP_SPOOL_ATTR_H
#define OSSUP_SPOOL_ATTR_H

#include "base/error.h"
#include "oss/types.h"

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

struct spool_attr {
    mode_t mode; /* with its type: S_IFREG, S_IFDIR or S_IFLNK */
    uid_t uid;
    gid_t gid;
    struct timespec mtime, atime, ctime;
    bool has_atime, has_ctime; /* written to the object only if set; they read as mtime else */
    char *xattr;               /* value of x-oss-meta-xattr; NULL: none */
    char *content_type;        /* NULL: by type (x-directory for directories) */
    char *cache_control, *content_disposition, *content_encoding, *expires; /* NULL: none */
    char *storage_class;    /* the object's, kept when it is rewritten; NULL: default */
    struct oss_meta *other; /* x-oss-meta-* that are none of the above */
    size_t other_count;
};
void spool_attr_fini(struct spool_attr *a);
int spool_attr_copy(struct spool_attr *to, const struct spool_attr *from, struct ou_error *err);

/* What stands in for missing metadata. */
struct spool_attr_defaults {
    uid_t uid;
    gid_t gid;
    mode_t umask; /* taken off 0640 and 0750 */
};

/**
 * spool_attr_from_object() - attributes from a HEAD's answer
 * @key: the object's; a trailing "/" says directory whatever the mode says
 *
 * Understands ossfs's names and those it reads itself (-permissions, -owner, -group, rclone's
 * fractional mtime). Malformed values count as absent.
 */
int spool_attr_from_object(const struct oss_object *object, const char *key,
                           const struct spool_attr_defaults *defaults, struct spool_attr *out,
                           struct ou_error *err);
/** spool_attr_from_listing() - what a listing alone tells. */
void spool_attr_from_listing(const struct oss_list_entry *entry,
                             const struct spool_attr_defaults *defaults, struct spool_attr *out);

/* Headers built from attributes; owns the strings that .headers points to. */
struct spool_headers {
    struct oss_object_headers headers;
    struct oss_meta *meta;
    char text[7][48];
};
int spool_headers_init(struct spool_headers *h, const struct spool_attr *attr,
                       struct ou_error *err);
void spool_headers_fini(struct spool_headers *h);

/* Extended attributes: @attr->xattr decoded, changed, encoded. Names as the user gives them ("user.a"). */
/** spool_xattr_get() - the value's size (copied if it fits @size), -ENODATA, -ERANGE. */
ssize_t spool_xattr_get(const struct spool_attr *attr, const char *name, void *value, size_t size,
                        struct ou_error *err);
/** spool_xattr_list() - names, each NUL-terminated; the total size, -ERANGE. */
ssize_t spool_xattr_list(const struct spool_attr *attr, char *list, size_t size,
                         struct ou_error *err);
/** spool_xattr_set() - @flags: XATTR_CREATE, XATTR_REPLACE; -ENOSPC: beyond OSS's 8 KB of metadata. */
int spool_xattr_set(struct spool_attr *attr, const char *name, const void *value, size_t size,
                    int flags, struct ou_error *err);
int spool_xattr_remove(struct spool_attr *attr, const char *name, struct ou_error *err);

#endif

/*
 * Version: which state of an object something is known about. Pure; any thread.
 */
#ifndef OSSUP_FS_VERSION_H
#define OSSUP_FS_VERSION_H

#include "base/error.h"
#include "oss/types.h"

#include <stdbool.h>
#include <stdint.h>

#define FS_MODIFIED_UNKNOWN INT64_MIN

struct fs_version {
    char etag[OSS_ETAG_SIZE];
    uint64_t size;
    int64_t modified_s; /* Last-Modified; UNKNOWN: we wrote it and have not seen it listed yet */
    int64_t written_s;  /* in that case: when OSS had confirmed it, by its clock (else by ours) */
    uint64_t crc64;
    bool has_crc64;
    unsigned char storage_class; /* oss_storage_class_of(); 0: not known, or the default */
    bool link; /* an OSS Symlink object: a HEAD shows the target's ETag and size */
};

struct fs_version fs_version_of_object(const struct oss_object *object);
struct fs_version fs_version_of_entry(const struct oss_list_entry *entry);
/** fs_version_written() - what we have just written ourselves; @now_s: our clock. */
struct fs_version fs_version_written(const struct oss_written *written, uint64_t size,
                                     int64_t now_s);

/**
 * fs_version_same() - is @seen (from OSS) the state that @known is about?
 *
 * ETag, size and Last-Modified must agree. The write's answer does not tell Last-Modified:
 * for what we wrote, a time that is not later than our write (by FS_CLOCK_SLACK_S) will do, as
 * somebody else's copy of the same bytes would be later.
 */
#define FS_CLOCK_SLACK_S 5
bool fs_version_same(const struct fs_version *known, const struct fs_version *seen);
/** fs_version_adopt() - when they are the same: take over what only @seen knows. */
void fs_version_adopt(struct fs_version *known, const struct fs_version *seen);
/**
 * fs_version_listed() - keep what listings show (@seen) of what a HEAD shows as @object
 *
 * Of an OSS Symlink object that is another version, and goes to *@listed; of all others it is the
 * same, *@listed is NULL then and @object adopts it. What was there before is freed. -ENOMEM: it
 * is NULL.
 */
int fs_version_listed(struct fs_version *object, struct fs_version **listed,
                      const struct fs_version *seen, struct ou_error *err);

#endif

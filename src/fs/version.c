/* The comparison that decides whether a HEAD is spared; told in fs/version.h. */
#include "fs/version.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct fs_version fs_version_of_object(const struct oss_object *object)
{
    struct fs_version v = {
        .size = object->size,
        .modified_s = object->last_modified.tv_sec,
        .crc64 = object->crc64,
        .has_crc64 = object->has_crc64,
        .storage_class = oss_storage_class_of(object->storage_class),
        .link = strcmp(object->type, "Symlink") == 0,
    };

    memcpy(v.etag, object->etag, sizeof(v.etag));
    return v;
}

struct fs_version fs_version_of_entry(const struct oss_list_entry *entry)
{
    struct fs_version v = {
        .size = entry->size,
        .modified_s = entry->last_modified.tv_sec,
        .storage_class = oss_storage_class_of(entry->storage_class),
        .link = strcmp(entry->type, "Symlink") == 0,
    };

    memcpy(v.etag, entry->etag, sizeof(v.etag));
    return v;
}

struct fs_version fs_version_written(const struct oss_written *written, uint64_t size,
                                     int64_t now_s)
{
    struct fs_version v = {
        .size = size,
        .modified_s = FS_MODIFIED_UNKNOWN,
        .written_s = written->date_s ? written->date_s : now_s,
        .crc64 = written->crc64,
        .has_crc64 = written->has_crc64,
    };

    memcpy(v.etag, written->etag, sizeof(v.etag));
    return v;
}

bool fs_version_same(const struct fs_version *known, const struct fs_version *seen)
{
    if (known->size != seen->size || strcmp(known->etag, seen->etag) != 0)
        return false;
    if (seen->modified_s == FS_MODIFIED_UNKNOWN)
        return known->modified_s == FS_MODIFIED_UNKNOWN;
    if (known->modified_s == FS_MODIFIED_UNKNOWN)
        return seen->modified_s <= known->written_s + FS_CLOCK_SLACK_S;
    return known->modified_s == seen->modified_s;
}

void fs_version_adopt(struct fs_version *known, const struct fs_version *seen)
{
    if (known->modified_s == FS_MODIFIED_UNKNOWN)
        known->modified_s = seen->modified_s;
    if (!known->has_crc64 && seen->has_crc64) {
        known->crc64 = seen->crc64;
        known->has_crc64 = true;
    }
    if (seen->storage_class)
        known->storage_class = seen->storage_class;
    known->link = known->link || seen->link;
}

int fs_version_listed(struct fs_version *object, struct fs_version **listed,
                      const struct fs_version *seen, struct ou_error *err)
{
    struct fs_version *copy = NULL;

    if (seen->link) {
        copy = malloc(sizeof(*copy));
        if (copy)
            *copy = *seen;
    } else {
        fs_version_adopt(object, seen);
    }
    free(*listed);
    *listed = copy;
    return copy || !seen->link ? 0 : ou_error_set(err, ENOMEM, "version");
}

/*
 * The object changed in the bucket under a staged file.
 *
 *   overwrite   ours replaces it. What of the base's bytes is not here is gone with it: then, and
 *               only then, the file is parked, because a mix of both would be neither.
 *   keep-both   the other version is copied to KEY.conflict-DATE first.
 *   fail        the file is parked.
 *
 * Before publishing the last two ask by HEAD. What changes between that and the request is not
 * seen: OSS has no If-Match on writes.
 */
#include "spool/upload.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "oss/ops.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* All bytes of the stable version are here. */
static bool is_local(const struct spool_file *f)
{
    uint64_t at = 0;

    while (at < f->s.size && at < f->s.base_limit) {
        struct extent e = extent_map_at(&f->s.map, at);

        if (e.slot == EXTENT_NONE)
            return false;
        at += e.size;
    }
    return true;
}

/* Nothing of its bytes is ours, neither stable nor live. */
static bool only_attributes(const struct spool_file *f)
{
    return f->s.base.present && !strcmp(f->s.base.key, f->s.key) && f->s.size == f->s.base.size &&
           !f->s.changed.count && !f->s.upload.moved.count && !f->s.map.count && !f->live.count &&
           !f->dirty.count && f->size == f->s.size && f->low == f->s.size && !f->live_base.present;
}

/* The version goes on without its base: all of it counts as changed. */
static int forget_base(struct spool_file *f, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf lines = {0};
    struct spool_base_reader *old[2] = {NULL, NULL};
    int r;

    spool_record_word(&lines, "baseless");
    r = spool_file_record(f, &lines, false, err);
    if (r < 0)
        return r;
    ou_mutex_lock(&f->lock);
    f->base_limit =
        0; /* what is live and not here would not be here in the stable version either */
    spool_file_take_readers_locked(f, old);
    ou_mutex_unlock(&f->lock);
    spool_base_reader_drop(old[0]);
    spool_base_reader_drop(old[1]);
    return 0;
}

/* Attributes only: they are for whatever lies there now. Asks OSS; .io is dropped meanwhile. */
static int take_new_base(struct spool_file *f, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf line = {0};
    ou_auto(spool_base_fini) struct spool_base base = {0};
    ou_auto(oss_object_fini) struct oss_object object = {0};
    ou_autofree char *key = strdup(f->s.base.key);
    struct oss_call call = {.cancel = f->spool->cancel, .background = true};
    struct spool_base_reader *old[2] = {NULL, NULL};
    int r;

    if (!key)
        return ou_error_set(err, ENOMEM, "look at an object");
    ou_mutex_unlock(&f->io);
    r = oss_head_object(f->spool->client, &call, key, &object, err);
    ou_mutex_lock(&f->io);
    if (r <= 0)
        return r < 0 ? r : ou_error_say(err, ESTALE, "%s is gone from the bucket", key);
    if (!only_attributes(f) || strcmp(key, f->s.base.key) != 0)
        return ou_error_say(err, ESTALE, "%s changed meanwhile", key);
    base = (struct spool_base){.present = true, .size = object.size, .key = key};
    key = NULL;
    memcpy(base.etag, object.etag, sizeof(base.etag));
    spool_record_rebase(&line, &base);
    r = spool_file_journal(f, &line, false, err);
    if (r < 0)
        return r;
    ou_lock_scope(&f->lock);
    r = spool_file_apply_locked(f, &line, err);
    f->size = f->base_limit = f->low = f->s.size;
    spool_file_take_readers_locked(f, old);
    spool_base_reader_drop(old[0]);
    spool_base_reader_drop(old[1]);
    return r;
}

int spool_conflict_base_gone(struct spool_file *f, struct ou_error *err)
{
    ou_mutex_assert_held(&f->io);
    if (f->spool->config.conflict == SPOOL_CONFLICT_OVERWRITE && only_attributes(f)) {
        int r = take_new_base(f, err);

        return r < 0 ? r : 1;
    }
    if (f->spool->config.conflict != SPOOL_CONFLICT_FAIL && is_local(f) && !f->live_base.present) {
        ou_log_warn(OU_LOG_SPOOL, err, "object changed in the bucket, ours replaces it key=%s",
                    f->s.key);
        if (forget_base(f, err) == 0)
            return 1;
        return -err->errnum;
    }
    return ou_error_say(err, ESTALE,
                        "%s changed in the bucket while a change of it waited here, and the bytes "
                        "that were not changed are gone: export the changed ones with ossfs-up "
                        "spool export, or drop them with ossfs-up spool discard",
                        f->s.key);
}

static int keep_other(struct spool_upload *up, const struct oss_object *other, struct ou_error *err)
{
    struct oss_call call = {.cancel = up->file->spool->cancel, .background = true};
    const struct oss_object_headers headers = {
        .storage_class = other->storage_class[0] ? other->storage_class : NULL, .of_source = true};
    struct oss_written written = {0};
    time_t now = ou_wall().tv_sec;
    char date[32], key[OSS_KEY_MAX + 1];
    struct tm tm;

    (void)gmtime_r(&now, &tm);
    (void)strftime(date, sizeof(date), "%Y%m%dT%H%M%SZ", &tm);
    if (snprintf(key, sizeof(key), "%s.conflict-%s", up->key, date) >= (int)sizeof(key))
        return ou_error_set(err, ENAMETOOLONG, "keep the other version of %s", up->key);
    ou_log(OU_LOG_SPOOL, OU_LOG_WARN, "object changed in the bucket key=%s kept_as=%s", up->key,
           key);
    return oss_copy_object(up->file->spool->client, &call, up->key, other->etag, key, &headers,
                           &written, err);
}

int spool_conflict_check(struct spool_upload *up, struct ou_error *err)
{
    struct spool_file *f = up->file;
    struct oss_call call = {.cancel = f->spool->cancel, .background = true};
    struct oss_object object = {0};
    char expected[OSS_ETAG_SIZE] = "";
    bool ours_before, changed;
    int r;

    ou_mutex_lock(&f->lock);
    if (f->s.base.present && !strcmp(f->s.base.key, up->key))
        (void)snprintf(expected, sizeof(expected), "%s", f->s.base.etag);
    ours_before = f->s.upload.publishing || (!*expected && !f->s.absent);
    ou_mutex_unlock(&f->lock);
    if (ours_before) /* it may be our own, or nothing was known of it to begin with */
        return 0;
    r = oss_head_object(f->spool->client, &call, up->key, &object, err);
    if (r < 0)
        return r;
    changed = r == 1 ? strcmp(object.etag, expected) != 0 : false;
    r = 0;
    if (changed && f->spool->config.conflict == SPOOL_CONFLICT_KEEP_BOTH)
        r = keep_other(up, &object, err);
    else if (changed)
        r = ou_error_say(err, ESTALE,
                         "%s changed in the bucket while a change of it waited here "
                         "(conflict=fail): export it with ossfs-up spool export, or drop it with "
                         "ossfs-up spool discard",
                         up->key);
    oss_object_fini(&object);
    return r;
}

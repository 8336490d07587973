/*
 * CHECK: is the object in the bucket the version that was being published?
 *
 * Asked when a publishing request may have taken effect without our seeing its answer. Size and
 * CRC-64 decide. The CRC-64 of our version is combined from the parts; parts whose CRC-64 is not
 * known are read again. Where the server or we have none, the multipart ETag must do.
 */
#include "base/crc64.h"
#include "base/log.h"
#include "oss/etag.h"
#include "transfer/engine_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What is known of part @i of the version that was being published. */
static bool known_part(struct xfer_upload *u, size_t i, struct oss_part *part)
{
    enum xfer_part_state state;

    ou_lock_scope(&u->engine->lock);
    state = u->parts.parts[i].state;
    *part = u->parts.answers[i];
    /* After a Complete of our own the answers stand, whatever was touched since. */
    return !u->resume_publishing || state == XFER_PART_RECORDED || state == XFER_PART_DONE;
}

/* Return: 1 @crc64 is known, 0 it cannot be, negative errno. */
static int version_crc64(struct xfer_step *s, uint64_t *crc64, struct ou_error *err)
{
    const struct xfer_plan *plan = &s->upload->parts.plan;

    *crc64 = 0;
    if (plan->kind == XFER_PLAN_COPY)
        return 0;
    if (plan->kind == XFER_PLAN_PUT) {
        int r = xfer_local_crc64(s, 0, plan->size, crc64, err);

        return r < 0 ? r : 1;
    }
    for (size_t i = 0; i < plan->count; i++) {
        const struct xfer_plan_part *where = &plan->parts[i];
        struct oss_part part;
        uint64_t crc;
        int r;

        if (known_part(s->upload, i, &part) && part.has_crc64) {
            crc = part.crc64;
        } else if (where->copy || !s->upload->resume_publishing) {
            return 0; /* not here, or perhaps changed since */
        } else {
            r = xfer_local_crc64(s, where->offset, where->size, &crc, err);
            if (r < 0)
                return r;
        }
        *crc64 = ou_crc64_combine(*crc64, crc, where->size);
    }
    return 1;
}

static bool etag_matches(struct xfer_upload *u, const struct oss_object *object)
{
    const struct xfer_plan *plan = &u->parts.plan;
    char etag[OSS_ETAG_SIZE];
    struct oss_part part;

    for (size_t i = 0; i < plan->count; i++)
        if (!known_part(u, i, &part) || !part.etag[0])
            return false;
    return plan->count > 0 && oss_multipart_etag(u->parts.answers, plan->count, etag) &&
           !strncmp(etag, object->etag, sizeof(etag));
}

/* Return: 1 it is, 0 it is not, negative errno. */
static int is_ours(struct xfer_step *s, const struct oss_object *object, bool *checked,
                   struct ou_error *err)
{
    uint64_t crc64;
    int r;

    *checked = false;
    if (object->size != s->upload->parts.plan.size)
        return 0;
    r = version_crc64(s, &crc64, err);
    if (s->read_stale)
        return 0; /* changed: what was published can no longer be told from another's */
    if (r < 0)
        return r;
    *checked = r == 1 && object->has_crc64;
    if (*checked)
        return crc64 == object->crc64;
    return etag_matches(s->upload, object);
}

static void it_is_ours(struct xfer_upload *u, const struct oss_object *object, bool checked)
{
    struct oss_written *w = &u->result.written;

    ou_log_info(OU_LOG_XFER, "published, though the answer was lost key=%s etag=%s", u->key,
                object->etag);
    ou_lock_scope(&u->engine->lock);
    *w = (struct oss_written){.crc64 = object->crc64,
                              .has_crc64 = object->has_crc64,
                              .date_s = object->last_modified.tv_sec};
    (void)snprintf(w->etag, sizeof(w->etag), "%s", object->etag);
    (void)snprintf(w->version_id, sizeof(w->version_id), "%s", object->version_id);
    u->result.checked = checked;
    u->result.maybe_published = false;
    xfer_end_locked(u, NULL);
}

/* The key is taken, and not by us. But a change meanwhile only means: ask the gate again. */
static void key_is_taken_locked(struct xfer_upload *u, bool stale, struct ou_error *err)
{
    if (stale)
        return;
    (void)ou_error_say(err, EEXIST, "upload %s: the key exists already", u->key);
    (void)snprintf(err->code, sizeof(err->code), "FileAlreadyExists");
    xfer_end_locked(u, err);
}

static void it_is_not(struct xfer_step *s)
{
    struct xfer_upload *u = s->upload;
    struct ou_error err = OU_ERROR_INIT;
    bool ending;

    (void)ou_error_say(&err, EIO, "upload %s: the upload id is gone and the object is not ours",
                       u->key);
    ou_mutex_lock(&u->engine->lock);
    u->check = false;
    if (u->check_exists)
        key_is_taken_locked(u, s->read_stale, &err);
    else
        xfer_start_over_locked(u, &err);
    u->check_exists = false;
    ending = u->ending;
    ou_mutex_unlock(&u->engine->lock);
    if (!ending)
        xfer_retract(u, false);
}

void xfer_step_check(struct xfer_step *s)
{
    struct xfer_upload *u = s->upload;
    struct oss_call call = xfer_step_call(s);
    struct ou_error err = OU_ERROR_INIT;
    struct oss_object object = {0};
    bool checked = false;
    int r = oss_head_object(u->engine->client, &call, u->key, &object, &err);

    if (r == 1)
        r = is_ours(s, &object, &checked, &err);
    if (r == 1)
        it_is_ours(u, &object, checked);
    else if (r == 0)
        it_is_not(s);
    oss_object_fini(&object);
    if (r >= 0)
        return;
    ou_lock_scope(&u->engine->lock);
    if (xfer_interrupted_locked(u))
        return;
    if (s->read_failed)
        xfer_end_locked(u, &err);
    else
        xfer_failed_locked(u, &err);
}

/*
 * The upload id: made, found again, looked into, given up.
 *
 * FIND: an Initiate whose answer was lost, by a crash or by the network, may have made an id. It is
 * adopted only if no doubt is left that it is ours: it is the only upload of exactly this key that
 * began within FIND_BEFORE_S before to FIND_AFTER_S after our request (by the server's clock), and
 * it has no parts, since we send none before the id is journalled. In any doubt nothing is
 * touched: an id without parts costs nothing, and `gc` knows it by its age.
 */
#include "base/clock.h"
#include "base/log.h"
#include "transfer/engine_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FIND_BEFORE_S 60  /* whole seconds, and what a clock may have been set by since */
#define FIND_AFTER_S  300 /* the longest an Initiate was under way */

static void failed(struct xfer_upload *u, const struct ou_error *err)
{
    ou_lock_scope(&u->engine->lock);
    if (!xfer_interrupted_locked(u))
        xfer_failed_locked(u, err);
}

static void ended(struct xfer_upload *u, const struct ou_error *err)
{
    ou_lock_scope(&u->engine->lock);
    xfer_end_locked(u, err);
}

/* The id is ours from now on: journalled first. */
static void adopt(struct xfer_upload *u, const char *upload_id)
{
    struct xfer_event event = {.kind = XFER_EVENT_UPLOAD_ID, .upload_id = upload_id};
    struct ou_error err = OU_ERROR_INIT;
    int r = xfer_record(u, &event, &err);

    ou_log_info(OU_LOG_XFER, "upload id key=%s upload_id=%s", u->key, upload_id);
    ou_lock_scope(&u->engine->lock);
    (void)snprintf(u->upload_id, sizeof(u->upload_id), "%s", upload_id);
    u->find = u->parts_sent = false;
    xfer_succeeded_locked(u);
    if (r < 0)
        xfer_end_locked(u, &err);
    if (u->parts.plan.kind != XFER_PLAN_MULTIPART) /* replanned meanwhile */
        u->forget = u->forget_abort = true;
}

/* -- FIND -- */

struct search {
    const struct xfer_upload *upload;
    time_t from, to;
    unsigned found;
    char upload_id[OSS_UPLOAD_ID_SIZE];
};

/* The page's answer has just told the server's clock. */
static void set_window(struct search *search)
{
    const struct xfer_upload *u = search->upload;
    struct oss_client_stats stats = {0};

    oss_client_stats(u->engine->client, &stats);
    search->from = u->initiated.tv_sec + stats.server_ahead_s - FIND_BEFORE_S;
    search->to = u->initiated.tv_sec + stats.server_ahead_s + FIND_AFTER_S;
}

/* Return: true to go on with the next page: keys come in order, ours before all it is a prefix of. */
static bool look_through(struct search *search, const struct oss_upload_list *page)
{
    set_window(search);
    for (size_t i = 0; i < page->count; i++) {
        const struct oss_upload_entry *entry = &page->uploads[i];

        if (strcmp(entry->key, search->upload->key) != 0)
            return false;
        if (entry->initiated.tv_sec < search->from || entry->initiated.tv_sec > search->to)
            continue;
        search->found++;
        (void)snprintf(search->upload_id, sizeof(search->upload_id), "%s", entry->upload_id);
    }
    return page->truncated;
}

static int search_uploads(struct xfer_step *s, struct search *search, struct ou_error *err)
{
    struct xfer_upload *u = s->upload;
    struct oss_call call = xfer_step_call(s);
    struct oss_upload_list page = {0}, before = {0};
    bool more = true;
    int r = 0;

    while (more && r == 0) {
        r = oss_list_uploads(u->engine->client, &call, u->key, before.next_key,
                             before.next_upload_id, &page, err);
        oss_upload_list_fini(&before);
        if (r == 0)
            more = look_through(search, &page);
        before = page;
        page = (struct oss_upload_list){0};
    }
    oss_upload_list_fini(&before);
    return r;
}

/* Return: 1 it has no parts, 0 it has or is gone, negative errno. */
static int is_untouched(struct xfer_step *s, const char *upload_id, struct ou_error *err)
{
    struct oss_call call = xfer_step_call(s);
    struct oss_part_list parts = {0};
    int r =
        oss_list_parts(s->upload->engine->client, &call, s->upload->key, upload_id, &parts, err);

    if (r == 1)
        r = parts.count == 0;
    oss_part_list_fini(&parts);
    return r;
}

void xfer_step_find(struct xfer_step *s)
{
    struct xfer_upload *u = s->upload;
    struct search search = {.upload = u};
    struct ou_error err = OU_ERROR_INIT;
    int r = search_uploads(s, &search, &err);

    if (r == 0 && search.found == 1)
        r = is_untouched(s, search.upload_id, &err);
    if (r == 1) {
        adopt(u, search.upload_id);
        return;
    }
    if (search.found > 0)
        ou_log_info(OU_LOG_XFER,
                    "unfinished uploads that may be another's are left alone key=%s count=%u",
                    u->key, search.found);
    if (r < 0 && !ou_cancel_triggered(s->cancel)) {
        ou_mutex_lock(&u->engine->lock);
        u->result.upload_left |= u->canceled; /* one try only, then */
        ou_mutex_unlock(&u->engine->lock);
        failed(u, &err);
        return;
    }
    ou_lock_scope(&u->engine->lock);
    if (r == 0)
        u->find = false;
}

/* -- INITIATE -- */

void xfer_step_initiate(struct xfer_step *s)
{
    struct xfer_upload *u = s->upload;
    struct xfer_event event = {.kind = XFER_EVENT_INITIATING};
    struct oss_call call = xfer_step_call(s);
    struct oss_object_headers headers = {0};
    struct ou_error err = OU_ERROR_INIT;
    char upload_id[OSS_UPLOAD_ID_SIZE];
    int r;

    u->initiated = ou_wall();
    r = xfer_record(u, &event, &err);
    if (r == 0)
        r = u->ops->headers(u->ctx, &headers, &err);
    if (r < 0) {
        ended(u, &err);
        return;
    }
    r = oss_initiate_upload(u->engine->client, &call, u->key, &headers, upload_id, &err);
    if (r == 0) {
        adopt(u, upload_id);
        return;
    }
    ou_mutex_lock(&u->engine->lock);
    u->find = xfer_may_have_worked(&err);
    ou_mutex_unlock(&u->engine->lock);
    failed(u, &err);
}

/* -- LIST -- */

static void id_is_gone(struct xfer_upload *u)
{
    struct ou_error err = OU_ERROR_INIT;

    (void)ou_error_say(&err, ENOENT, "upload %s: the upload id is gone", u->key);
    (void)snprintf(err.code, sizeof(err.code), "NoSuchUpload");
    ou_lock_scope(&u->engine->lock);
    u->list = false;
    if (u->resume_publishing)
        u->check = true;
    else
        xfer_start_over_locked(u, &err);
}

void xfer_step_list(struct xfer_step *s)
{
    struct xfer_upload *u = s->upload;
    struct oss_call call = xfer_step_call(s);
    struct oss_part_list list = {0};
    struct ou_error err = OU_ERROR_INIT;
    uint64_t before, confirmed, total;
    int r = oss_list_parts(u->engine->client, &call, u->key, u->upload_id, &list, &err);

    if (r < 0) {
        failed(u, &err);
        return;
    }
    if (r == 0) {
        id_is_gone(u);
        return;
    }
    ou_mutex_lock(&u->engine->lock);
    before = u->parts.confirmed;
    xfer_parts_list(&u->parts, &list);
    confirmed = u->parts.confirmed;
    total = u->parts.plan.size;
    if (confirmed > before)
        u->result.bytes_resumed += confirmed - before;
    u->list = u->resume_publishing = false;
    xfer_succeeded_locked(u);
    ou_mutex_unlock(&u->engine->lock);
    oss_part_list_fini(&list);
    xfer_retract(u, false); /* an id that lives was not completed */
    if (u->ops->progress)
        u->ops->progress(u->ctx, confirmed, total);
}

/* -- FORGET and ABORT -- */

static bool abort_failed(struct xfer_upload *u, const struct ou_error *err)
{
    ou_lock_scope(&u->engine->lock);
    if (u->engine->locked.stopping)
        return true;
    if (++u->abort_tries >= XFER_ABORT_TRIES || oss_error_verdict(err) == OSS_FINAL ||
        oss_error_verdict(err) == OSS_REFRESH)
        return false;
    u->ready_at = ou_now_ms() + xfer_retry_delay_ms(u->abort_tries - 1, err);
    return true;
}

/* Parts that were on their way may arrive after the abort: look, and abort again. */
static int abort_for_good(struct xfer_step *s, struct ou_error *err)
{
    struct xfer_upload *u = s->upload;
    struct oss_call call = xfer_step_call(s);
    struct oss_part_list left = {0};
    int r = oss_abort_upload(u->engine->client, &call, u->key, u->upload_id, err);

    if (r < 0 || !u->parts_sent)
        return r;
    r = oss_list_parts(u->engine->client, &call, u->key, u->upload_id, &left, err);
    oss_part_list_fini(&left);
    if (r <= 0)
        return r;
    (void)ou_error_say(err, EIO, "abort %s: the upload id is still there", u->key);
    (void)snprintf(err->code, sizeof(err->code), "InternalError");
    return -EIO;
}

void xfer_step_forget(struct xfer_step *s)
{
    struct xfer_upload *u = s->upload;
    struct xfer_event event = {.kind = XFER_EVENT_FORGET, .upload_id = u->upload_id};
    struct ou_error err = OU_ERROR_INIT;
    bool must_abort;

    ou_mutex_lock(&u->engine->lock);
    must_abort = u->forget_abort; /* a replan may set it meanwhile, of an id that is dead already */
    ou_mutex_unlock(&u->engine->lock);
    if (must_abort && abort_for_good(s, &err) < 0) {
        if (abort_failed(u, &err))
            return;
        ou_log_warn(OU_LOG_XFER, &err, "unfinished upload is left behind key=%s upload_id=%s",
                    u->key, u->upload_id);
    }
    if (xfer_record(u, &event, &err) < 0) {
        ended(u, &err);
        return;
    }
    ou_lock_scope(&u->engine->lock);
    u->upload_id[0] = '\0';
    u->forget = u->forget_abort = u->list = false;
    u->abort_tries = u->invalid_parts = 0;
    xfer_parts_forget(&u->parts);
}

void xfer_step_abort(struct xfer_step *s)
{
    struct xfer_upload *u = s->upload;
    struct ou_error err = OU_ERROR_INIT;

    if (abort_for_good(s, &err) < 0) {
        if (abort_failed(u, &err))
            return;
        ou_log_warn(OU_LOG_XFER, &err, "unfinished upload is left behind key=%s upload_id=%s",
                    u->key, u->upload_id);
        ou_lock_scope(&u->engine->lock);
        u->result.upload_left = true;
        return;
    }
    ou_lock_scope(&u->engine->lock);
    u->upload_id[0] = '\0';
}

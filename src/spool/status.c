/*
 * What the spool says of itself, as members of a JSON object: pending, uploads, failed,
 * spool, cache.
 */
#include "spool/cache.h"
#include "spool/file.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LISTED_MAX 1000u /* uploads, and failed files, that are told one by one */

static const char *way_out(const struct ou_error *e)
{
    if (!strcmp(e->code, "NoSuchBucket"))
        return "create the bucket, or correct its name and mount again";
    if (e->errnum == ENOSPC || e->errnum == EDQUOT)
        return "make room: it is tried again by itself";
    if (e->http_status == 403 || e->errnum == EACCES)
        return "correct the credentials or the bucket's policy: it is tried again by itself";
    if (e->errnum == ESTALE)
        return "ossfs-up spool export, then ossfs-up spool discard";
    return "ossfs-up spool resume tries again now; ossfs-up spool export saves the bytes";
}

static void put_pending(struct spool *spool, struct ou_buf *json)
{
    struct spool_pending p;

    spool_pending(spool, "", &p);
    ou_buf_addf(json,
                "\"pending\":{\"files\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"failed\":%" PRIu64
                ",\"deletes\":%" PRIu64 ",\"open\":%" PRIu64 "}",
                p.files, p.bytes, p.failed, p.deletes, p.open_only);
}

static void put_error(struct ou_buf *json, const struct ou_error *e)
{
    ou_buf_adds(json, ",\"error\":");
    ou_json_quote(json, e->message);
    ou_buf_adds(json, ",\"code\":");
    ou_json_quote(json, e->code);
    ou_buf_adds(json, ",\"request_id\":");
    ou_json_quote(json, e->request_id);
}

static uint64_t age_s(const struct spool_file *f)
{
    int64_t age = ou_wall().tv_sec - f->s.time;

    return age > 0 ? (uint64_t)age : 0;
}

/* A file that is on its way or waits; parked ones are told by put_failed(). */
static void put_upload_locked(struct ou_buf *json, struct spool_file *f)
{
    struct xfer_upload_status st = {.state = "settling", .total = f->s.size};

    uint64_t size = f->early.on ? f->size : f->s.size;

    if (f->up && spool_upload_handle(f->up))
        xfer_upload_status(spool_upload_handle(f->up), &st);
    else if (f->writers)
        st.state = "open";
    if (f->early.on) /* before the close */
        st.state = "early";
    ou_buf_adds(json, "{\"key\":");
    ou_json_quote(json, f->s.key);
    ou_buf_addf(json,
                ",\"id\":\"%s\",\"state\":\"%s\",\"size\":%" PRIu64 ",\"confirmed\":%" PRIu64
                ",\"bytes_sent\":%" PRIu64 ",\"in_flight\":%u,\"attempts\":%u,\"age_s\":%" PRIu64,
                f->id, st.state, size, st.confirmed, st.bytes_sent, st.in_flight, st.attempts,
                age_s(f));
    put_error(json, &st.last);
    ou_buf_adds(json, "}");
}

static void put_failed_locked(struct ou_buf *json, const struct spool_file *f)
{
    const struct ou_error *e = f->poisoned ? &f->poison_error : &f->s.failed;
    uint64_t now = ou_now_ms();

    ou_buf_adds(json, "{\"key\":");
    ou_json_quote(json, f->s.key);
    ou_buf_addf(json, ",\"id\":\"%s\",\"size\":%" PRIu64 ",\"age_s\":%" PRIu64, f->id, f->s.size,
                age_s(f));
    put_error(json, e);
    if (f->retry_ms)
        ou_buf_addf(json, ",\"retry_in_s\":%" PRIu64,
                    f->retry_ms > now ? (f->retry_ms - now) / 1000 : 0);
    ou_buf_adds(json, ",\"way_out\":");
    ou_json_quote(json, f->poisoned ? "write the file again" : way_out(e));
    ou_buf_adds(json, "}");
}

static bool is_failed_locked(const struct spool_file *f)
{
    return f->poisoned || (f->retry_ms && f->s.failed.errnum && !f->up);
}

static void put_files(struct spool *spool, struct ou_buf *json, bool failed)
{
    struct spool_node *n = NULL;
    unsigned count = 0;

    ou_buf_addf(json, ",\"%s\":[", failed ? "failed" : "uploads");
    ou_mutex_lock(&spool->lock);
    while (count < LISTED_MAX && (n = spool_table_next(&spool->locked.files, n)) != NULL) {
        struct spool_file *f = spool_container(n, struct spool_file, node);

        ou_lock_scope(&f->lock);
        if ((!spool_file_pending_locked(f) && !f->poisoned && !f->early.on) ||
            is_failed_locked(f) != failed)
            continue;
        if (count++)
            ou_buf_adds(json, ",");
        if (failed)
            put_failed_locked(json, f);
        else
            put_upload_locked(json, f);
    }
    ou_mutex_unlock(&spool->lock);
    ou_buf_adds(json, "]");
}

static void put_cache(struct spool *spool, struct ou_buf *json)
{
    struct spool_cache_numbers n;

    spool_cache_numbers(spool->cache, &n);
    ou_buf_addf(json,
                ",\"cache\":{\"used\":%" PRIu64 ",\"limit\":%" PRIu64 ",\"files\":%" PRIu64
                ",\"hits\":%" PRIu64 ",\"misses\":%" PRIu64 ",\"damaged\":%" PRIu64 "}",
                n.used, n.limit, n.files, n.hits, n.misses, n.damaged);
}

void spool_status(struct spool *spool, struct ou_buf *json)
{
    uint64_t used, disk_free;
    unsigned waiting;

    put_pending(spool, json);
    put_files(spool, json, false);
    put_files(spool, json, true);
    spool_space_numbers(spool, &used, &disk_free, &waiting);
    ou_buf_adds(json, ",\"spool\":{\"dir\":");
    ou_json_quote(json, spool->dir);
    ou_buf_addf(json,
                ",\"used\":%" PRIu64 ",\"limit\":%" PRIu64 ",\"free\":%" PRIu64
                ",\"reserve\":%" PRIu64 ",\"writers_waiting\":%u,\"orphans\":%zu,"
                "\"damaged\":%zu}",
                used, spool->config.spool_size, disk_free, spool->config.spool_reserve, waiting,
                spool->locked.orphans, spool->locked.damaged);
    put_cache(spool, json);
}

/*
 * How a stable version becomes an object, and what an earlier run has done of that.
 */
#include "spool/early.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The ranges of the stable version that equal the base: the complement of what changed. */
static int unchanged_ranges(const struct spool_file *f, struct xfer_range **ranges, size_t *count,
                            struct ou_error *err)
{
    ou_auto(extent_map_fini) struct extent_map changed = {0};
    uint64_t end = f->s.size < f->s.base.size ? f->s.size : f->s.base.size;
    uint64_t at = 0;
    struct extent e;
    int r = spool_sidecar_all_changed(&f->s, &changed, err);

    if (r < 0)
        return r;
    *count = 0;
    *ranges = calloc(changed.count + 1, sizeof(**ranges));
    if (!*ranges)
        return ou_error_set(err, ENOMEM, "plan the upload of %s", f->s.key);
    while (at < end) {
        uint64_t stop = end;
        bool more = extent_map_next(&changed, at, &e);

        if (more && e.offset < end)
            stop = e.offset;
        if (stop > at)
            (*ranges)[(*count)++] = (struct xfer_range){.offset = at, .size = stop - at};
        at = more && e.offset < end ? e.offset + e.size : end;
    }
    return 0;
}

int spool_upload_plan(struct spool_file *f, struct xfer_plan *plan, bool *uses_base,
                      struct ou_error *err)
{
    const struct spool_config *c = &f->spool->config;
    ou_autofree struct xfer_range *ranges = NULL;
    struct xfer_plan_input in = {
        .size = f->s.size, .part_size = c->part_size, .put_threshold = c->put_threshold};
    int r = 0;

    ou_mutex_assert_held(&f->io);
    in.growing = true; /* parts may have been sent before the file was closed */
    if (extent_map_has(&f->s.map, EXTENT_SENT, 0, f->s.size))
        in.put_threshold = 0;
    if (f->s.base.present) {
        in.base_size = f->s.base.size;
        in.base_is_target = !strcmp(f->s.base.key, f->s.key);
        r = unchanged_ranges(f, &ranges, &in.base_count, err);
        in.base = ranges;
    }
    if (r == 0)
        r = xfer_plan_make(&in, plan, err);
    if (r == 0)
        *uses_base = plan->kind == XFER_PLAN_COPY || in.base_count > 0;
    return r;
}

/* -- what an earlier run left -- */

static struct xfer_plan_part plan_part(const struct spool_part *p)
{
    return (struct xfer_plan_part){
        .number = p->part.number, .copy = p->copy, .offset = p->offset, .size = p->part.size};
}

void spool_upload_resume(const struct spool_file *f, bool with_stale, struct xfer_resume *resume,
                         struct oss_part **parts, struct xfer_plan_part **where)
{
    const struct spool_upload_state *u = &f->s.upload;

    *resume = (struct xfer_resume){.upload_id = *u->upload_id ? u->upload_id : NULL,
                                   .initiating = u->initiating,
                                   .publishing = u->publishing,
                                   .initiated = u->initiated};
    *parts = calloc(u->part_count + 1, sizeof(**parts));
    *where = calloc(u->part_count + 1, sizeof(**where));
    if (!*parts || !*where)
        return; /* without them the local bytes are compared with the server's list */
    for (size_t i = 0; i < u->part_count; i++) {
        if (u->parts[i].stale && !with_stale)
            continue;
        (*parts)[resume->part_count] = u->parts[i].part;
        (*where)[resume->part_count++] = plan_part(&u->parts[i]);
    }
    resume->parts = *parts;
    resume->where = *where;
}

static int by_number(const void *a, const void *b)
{
    const struct xfer_plan_part *x = a, *y = b;

    return x->number < y->number ? -1 : x->number > y->number;
}

int spool_upload_plan_of_published(const struct spool_file *f, struct xfer_plan *plan,
                                   struct ou_error *err)
{
    const struct spool_upload_state *u = &f->s.upload;
    uint64_t at = 0;

    if (!u->publishing || !*u->upload_id || u->version == f->s.version || !u->part_count ||
        strcmp(u->key, f->s.key) != 0)
        return 0;
    plan->parts = calloc(u->part_count, sizeof(*plan->parts));
    if (!plan->parts)
        return ou_error_set(err, ENOMEM, "resume the upload of %s", u->key);
    for (size_t i = 0; i < u->part_count; i++)
        plan->parts[i] = plan_part(&u->parts[i]);
    qsort(plan->parts, u->part_count, sizeof(*plan->parts), by_number);
    for (size_t i = 0; i < u->part_count; i++) {
        if (plan->parts[i].number != i + 1 || plan->parts[i].offset != at ||
            (plan->parts[i].copy && !f->s.base.present))
            break;
        at += plan->parts[i].size;
    }
    if (at != u->size) {
        xfer_plan_fini(plan);
        return 0;
    }
    plan->kind = XFER_PLAN_MULTIPART;
    plan->size = u->size;
    plan->part_size = plan->parts[0].size;
    plan->count = u->part_count;
    return 1;
}

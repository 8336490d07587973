/*
 * The state that a sidecar tells: values, and what follows from them.
 */
#include "spool/sidecar_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void spool_base_fini(struct spool_base *b)
{
    free(b->key);
    *b = (struct spool_base){0};
}

int spool_base_copy(struct spool_base *to, const struct spool_base *from, struct ou_error *err)
{
    char *key = NULL;

    if (from->present) {
        key = strdup(from->key);
        if (!key)
            return ou_error_set(err, ENOMEM, "copy a base");
    }
    *to = *from;
    to->key = key;
    return 0;
}

bool spool_base_same(const struct spool_base *a, const struct spool_base *b)
{
    if (!a->present || !b->present)
        return a->present == b->present;
    return a->size == b->size && !strcmp(a->etag, b->etag) && !strcmp(a->key, b->key);
}

void spool_upload_state_fini(struct spool_upload_state *u)
{
    free(u->key);
    free(u->parts);
    extent_map_fini(&u->moved);
    *u = (struct spool_upload_state){0};
}

void spool_sidecar_fini(struct spool_sidecar *s)
{
    free(s->key);
    spool_base_fini(&s->base);
    spool_attr_fini(&s->attr);
    extent_map_fini(&s->map);
    extent_map_fini(&s->changed);
    extent_map_fini(&s->unsynced);
    extent_map_fini(&s->coming);
    spool_upload_state_fini(&s->upload);
    *s = (struct spool_sidecar){0};
}

bool spool_sidecar_exists(const struct spool_sidecar *s)
{
    return s->version > 0 || s->base.present;
}

bool spool_sidecar_dirty(const struct spool_sidecar *s)
{
    if (!spool_sidecar_exists(s))
        return false;
    return !s->base.present || s->size != s->base.size || s->changed.count ||
           s->upload.moved.count || s->upload.publishing || strcmp(s->base.key, s->key) != 0;
}

bool spool_sidecar_pending(const struct spool_sidecar *s)
{
    return spool_sidecar_exists(s) &&
           (spool_sidecar_dirty(s) || s->attr_number != s->attr_published);
}

/* -- sets of ranges -- */

int spool_set_add(struct extent_map *set, uint64_t begin, uint64_t end, struct ou_error *err)
{
    return begin < end ? extent_map_set(set, begin, end - begin, EXTENT_A, err) : 0;
}

/* Adds what @map covers below @end to @set. */
int spool_set_add_map(struct extent_map *set, const struct extent_map *map, uint64_t end,
                      struct ou_error *err)
{
    struct extent e;
    uint64_t at = 0;

    while (extent_map_next(map, at, &e) && e.offset < end) {
        int r;

        at = e.offset + e.size;
        r = spool_set_add(set, e.offset, at < end ? at : end, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* -- what was let go -- */

static uint64_t end_of_sent(const struct extent_map *map)
{
    uint64_t at = 0, end = 0;
    struct extent e;

    while (extent_map_next(map, at, &e)) {
        at = e.offset + e.size;
        if (e.slot == EXTENT_SENT)
            end = at;
    }
    return end;
}

int spool_sent_to_base(struct extent_map *map, uint64_t *base_limit, struct ou_error *err)
{
    uint64_t end = end_of_sent(map);
    int r = 0;

    for (uint64_t at = 0; r == 0 && at < end;) {
        struct extent e = extent_map_at(map, at);

        if (e.size > end - at)
            e.size = end - at;
        if (e.slot == EXTENT_NONE && at < *base_limit && e.size > *base_limit - at)
            e.size = *base_limit - at;
        if (e.slot == EXTENT_SENT)
            r = extent_map_set(map, at, e.size, EXTENT_NONE, err);
        else if (e.slot == EXTENT_NONE && at >= *base_limit)
            r = extent_map_set(map, at, e.size, EXTENT_ZERO, err);
        at += e.size;
    }
    if (r == 0 && end > *base_limit)
        *base_limit = end;
    return r;
}

int spool_sidecar_all_changed(const struct spool_sidecar *s, struct extent_map *out,
                              struct ou_error *err)
{
    int r = spool_set_add_map(out, &s->changed, s->size, err);

    return r < 0 ? r : spool_set_add_map(out, &s->upload.moved, s->size, err);
}

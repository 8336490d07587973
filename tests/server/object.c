#include "server/object.h"

#include "server/datadir.h"

struct srv_datafile *srv_datafile_ref(struct srv_datafile *f)
{
    (void)atomic_fetch_add(&f->refs, 1);
    return f;
}

void srv_datafile_unref(struct srv_datafile *f)
{
    if (f == NULL || atomic_fetch_sub(&f->refs, 1) != 1)
        return;
    srv_datadir_forget(f->dir, f->id);
    free(f->marks);
    free(f);
}

void srv_segments_fini(struct srv_segments *s)
{
    for (size_t i = 0; i < s->count; i++)
        srv_datafile_unref(s->items[i].file);
    free(s->items);
    *s = (struct srv_segments){0};
}

void srv_segments_add(struct srv_segments *s, struct srv_datafile *file, uint64_t offset,
                      uint64_t length)
{
    if (length == 0)
        return;
    if (s->count == s->cap) {
        s->cap = s->cap == 0 ? 1 : s->cap * 2;
        s->items = srv_xrealloc(s->items, s->cap * sizeof(*s->items));
    }
    s->items[s->count++] = (struct srv_segment){srv_datafile_ref(file), offset, length};
    s->size += length;
}

void srv_segments_slice(struct srv_segments *to, const struct srv_segments *from, uint64_t first,
                        uint64_t length)
{
    for (size_t i = 0; i < from->count && length > 0; i++) {
        const struct srv_segment *seg = &from->items[i];
        uint64_t n;

        if (first >= seg->length) {
            first -= seg->length;
            continue;
        }
        n = seg->length - first < length ? seg->length - first : length;
        srv_segments_add(to, seg->file, seg->offset + first, n);
        length -= n;
        first = 0;
    }
}

void srv_attrs_fini(struct srv_attrs *a)
{
    srv_pairs_fini(&a->headers);
    free(a->storage_class);
    free(a->acl);
    free(a->tags);
    *a = (struct srv_attrs){0};
}

void srv_attrs_copy(struct srv_attrs *to, const struct srv_attrs *from)
{
    srv_pairs_copy(&to->headers, &from->headers);
    to->storage_class = srv_xstrdup(from->storage_class);
    to->acl = srv_xstrdup(from->acl);
    to->tags = srv_xstrdup(from->tags);
}

const char *srv_object_type_name(enum srv_object_type type)
{
    static const char *const names[] = {"Normal", "Multipart", "Appendable", "Symlink", "Normal"};

    return names[type];
}

struct srv_object *srv_object_new(enum srv_object_type type)
{
    struct srv_object *o = srv_xcalloc(1, sizeof(*o));

    atomic_init(&o->refs, 1);
    o->type = type;
    return o;
}

struct srv_object *srv_object_ref(struct srv_object *o)
{
    (void)atomic_fetch_add(&o->refs, 1);
    return o;
}

void srv_object_unref(struct srv_object *o)
{
    if (o == NULL || atomic_fetch_sub(&o->refs, 1) != 1)
        return;
    free(o->target);
    srv_attrs_fini(&o->attrs);
    srv_segments_fini(&o->segments);
    free(o);
}

struct srv_object *srv_object_copy(const struct srv_object *o)
{
    struct srv_object *copy = srv_object_new(o->type);

    copy->sealed = o->sealed;
    copy->has_crc = o->has_crc;
    copy->has_md5 = o->has_md5;
    copy->crc = o->crc;
    memcpy(copy->md5, o->md5, sizeof(copy->md5));
    memcpy(copy->etag, o->etag, sizeof(copy->etag));
    copy->mtime_ms = o->mtime_ms;
    copy->restore_ready_ms = o->restore_ready_ms;
    copy->target = srv_xstrdup(o->target);
    srv_attrs_copy(&copy->attrs, &o->attrs);
    srv_segments_slice(&copy->segments, &o->segments, 0, o->segments.size);
    return copy;
}

uint64_t srv_object_size(const struct srv_object *o)
{
    return o->type == SRV_SYMLINK ? strlen(o->target) : o->segments.size;
}

void srv_part_fini(struct srv_part *p)
{
    srv_segments_fini(&p->segments);
    *p = (struct srv_part){0};
}

void srv_upload_free(struct srv_upload *u)
{
    if (u == NULL)
        return;
    for (size_t i = 0; i < u->part_count; i++)
        srv_part_fini(&u->parts[i]);
    free(u->parts);
    free(u->key);
    free(u->id);
    srv_attrs_fini(&u->attrs);
    free(u);
}

/* Where part @number is, or would have to be inserted. */
static size_t position(const struct srv_upload *u, unsigned number)
{
    size_t low = 0, high = u->part_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (u->parts[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void srv_upload_set_part(struct srv_upload *u, struct srv_part *part)
{
    size_t at = position(u, part->number);

    if (at < u->part_count && u->parts[at].number == part->number) {
        srv_part_fini(&u->parts[at]);
    } else {
        if (u->part_count == u->part_cap) {
            u->part_cap = u->part_cap == 0 ? 16 : u->part_cap * 2;
            u->parts = srv_xrealloc(u->parts, u->part_cap * sizeof(*u->parts));
        }
        memmove(&u->parts[at + 1], &u->parts[at], (u->part_count - at) * sizeof(*u->parts));
        u->part_count++;
    }
    u->parts[at] = *part;
    *part = (struct srv_part){0};
}

const struct srv_part *srv_upload_part(const struct srv_upload *u, unsigned number)
{
    size_t at = position(u, number);

    return at < u->part_count && u->parts[at].number == number ? &u->parts[at] : NULL;
}

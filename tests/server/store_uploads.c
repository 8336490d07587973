#include "server/store_impl.h"

#include "server/clock.h"
#include "server/listing.h"
#include "server/text.h"

#include <inttypes.h>
#include <stdio.h>

#define PART_BYTES_MIN UINT64_C(102400)

/* key, NUL, id: the order of ListMultipartUploads */
static void upload_name(struct srv_buf *name, const char *key, const char *id)
{
    srv_buf_add(name, key, strlen(key) + 1);
    srv_buf_puts(name, id);
}

struct srv_upload *srv_bucket_upload(const struct srv_bucket *b, const char *key, const char *id)
{
    srv_autobuf struct srv_buf name = {0};

    upload_name(&name, key, id);
    return srv_index_get(&b->uploads, name.data, name.len);
}

void srv_apply_upload(struct srv_bucket *b, struct srv_upload *upload)
{
    srv_autobuf struct srv_buf name = {0};

    upload_name(&name, upload->key, upload->id);
    srv_upload_free(srv_index_set(&b->uploads, name.data, name.len, upload));
}

void srv_apply_upload_gone(struct srv_bucket *b, const char *key, const char *id)
{
    srv_autobuf struct srv_buf name = {0};

    upload_name(&name, key, id);
    srv_upload_free(srv_index_remove(&b->uploads, name.data, name.len));
}

static struct srv_upload *find_locked(struct srv_store *s, const char *bucket, const char *key,
                                      const char *id, struct srv_bucket **b, struct srv_error *err)
{
    struct srv_upload *u;

    *b = srv_store_bucket_locked(s, bucket, err);
    if (*b == NULL)
        return NULL;
    u = srv_bucket_upload(*b, key, id);
    if (u == NULL) {
        (void)srv_fail(err, "NoSuchUpload",
                       "The specified upload does not exist. The upload ID may be invalid, or the "
                       "upload may have been aborted or completed.");
        srv_error_detail(err, "UploadId", id);
    }
    return u;
}

int srv_store_upload_new(struct srv_store *s, const char *bucket, const char *key,
                         const struct srv_attrs *attrs, bool sequential, char **id,
                         struct srv_error *err)
{
    struct srv_upload *u = srv_xcalloc(1, sizeof(*u));
    struct srv_bucket *b;

    u->key = srv_xstrdup(key);
    u->initiated_ms = srv_clock_ms();
    u->sequential = sequential;
    srv_attrs_copy(&u->attrs, attrs);
    srv_lock_scope(&s->lock);
    b = srv_store_bucket_locked(s, bucket, err);
    u->id = srv_xasprintf("%016" PRIX64 "%016" PRIX64, s->id_seed, ++s->upload_counter);
    if (b == NULL || srv_journal_append_locked(s, srv_journal_upload(bucket, u), err) < 0) {
        srv_upload_free(u);
        return -1;
    }
    *id = srv_xstrdup(u->id);
    srv_apply_upload(b, u);
    return 0;
}

int srv_store_upload_check(struct srv_store *s, const char *bucket, const char *key, const char *id,
                           bool *sequential, unsigned *next_part, struct srv_error *err)
{
    const struct srv_upload *u;
    struct srv_bucket *b;

    srv_lock_scope(&s->lock);
    u = find_locked(s, bucket, key, id, &b, err);
    if (u == NULL)
        return -1;
    if (sequential != NULL)
        *sequential = u->sequential;
    if (next_part != NULL)
        *next_part = u->part_count == 0 ? 1 : u->parts[u->part_count - 1].number + 1;
    return 0;
}

int srv_store_part_put(struct srv_store *s, const char *bucket, const char *key, const char *id,
                       struct srv_part *part, struct srv_error *err)
{
    struct json_object *entry = srv_journal_entry("part", bucket, key);
    struct srv_upload *u;
    struct srv_bucket *b;

    (void)json_object_object_add(entry, "u", json_object_new_string(id));
    (void)json_object_object_add(entry, "p", srv_record_part(part));
    srv_lock_scope(&s->lock);
    u = find_locked(s, bucket, key, id, &b, err);
    if (u == NULL) {
        (void)json_object_put(entry);
        return -1;
    }
    if (srv_journal_append_locked(s, entry, err) < 0)
        return -1;
    srv_upload_set_part(u, part);
    return 0;
}

static int invalid_part(struct srv_error *err, const char *number, const char *why)
{
    (void)srv_fail(err, "InvalidPart", "One or more of the specified parts %s.", why);
    srv_error_detail(err, "PartNumber", number);
    return -1;
}

/* The parts the client listed, checked one by one. */
static int choose_parts(const struct srv_upload *u, const struct srv_pairs *wanted,
                        const struct srv_part **chosen, struct srv_error *err)
{
    uint64_t last = 0;

    for (size_t i = 0; i < wanted->count; i++) {
        uint64_t number = 0;

        if (!srv_parse_u64(wanted->items[i].name, &number) || number < 1 || number > 10000)
            return srv_fail(err, "InvalidArgument",
                            "PartNumber must be an integer between 1 and 10000, inclusive.");
        if (number <= last)
            return srv_fail(err, "InvalidPartOrder",
                            "The list of parts was not in ascending order.");
        last = number;
    }
    for (size_t i = 0; i < wanted->count; i++) {
        uint64_t number = 0;

        (void)srv_parse_u64(wanted->items[i].name, &number);
        chosen[i] = srv_upload_part(u, (unsigned)number);
        if (chosen[i] == NULL)
            return invalid_part(err, wanted->items[i].name, "could not be found");
        if (!srv_streq(chosen[i]->etag, wanted->items[i].value))
            return invalid_part(err, wanted->items[i].name, "has another entity tag");
    }
    for (size_t i = 0; i + 1 < wanted->count; i++) {
        if (chosen[i]->segments.size < PART_BYTES_MIN) {
            (void)srv_fail(err, "EntityTooSmall",
                           "Your proposed upload smaller than the minimum allowed size.");
            srv_error_detail(err, "PartNumber", wanted->items[i].name);
            return -1;
        }
    }
    return 0;
}

static struct srv_object *join_parts(const struct srv_upload *u, const struct srv_part **parts,
                                     size_t count)
{
    struct srv_object *o = srv_object_new(SRV_MULTIPART);
    srv_autobuf struct srv_buf etags = {0};

    srv_attrs_copy(&o->attrs, &u->attrs);
    o->mtime_ms = srv_clock_ms();
    o->has_crc = true;
    for (size_t i = 0; i < count; i++) {
        srv_buf_puts(&etags, parts[i]->etag);
        o->has_crc = o->has_crc && parts[i]->has_crc;
        o->crc = srv_crc64_combine(o->crc, parts[i]->crc, parts[i]->segments.size);
        srv_segments_slice(&o->segments, &parts[i]->segments, 0, parts[i]->segments.size);
    }
    srv_etag_multipart(srv_buf_str(&etags), etags.len, count, o->etag);
    return o;
}

int srv_store_complete(struct srv_store *s, const char *bucket, const char *key, const char *id,
                       const struct srv_pairs *wanted, bool forbid_overwrite,
                       struct srv_object **object, struct srv_error *err)
{
    srv_autoobject struct srv_object *o = NULL;
    srv_autofree const struct srv_part **chosen = NULL;
    const struct srv_upload *u;
    struct json_object *entry;
    struct srv_bucket *b;
    size_t count;

    srv_lock_scope(&s->lock);
    u = find_locked(s, bucket, key, id, &b, err);
    if (u == NULL)
        return -1;
    count = wanted == NULL ? u->part_count : wanted->count;
    chosen = srv_xcalloc(count, sizeof(const struct srv_part *));
    for (size_t i = 0; wanted == NULL && i < count; i++)
        chosen[i] = &u->parts[i];
    if (wanted != NULL && choose_parts(u, wanted, chosen, err) < 0)
        return -1;
    if (forbid_overwrite && srv_bucket_object(b, key) != NULL)
        return srv_fail(err, "FileAlreadyExists",
                        "The object you specified already exists and can not be overwritten.");
    o = join_parts(u, chosen, count);
    entry = srv_journal_entry("complete", bucket, key);
    (void)json_object_object_add(entry, "u", json_object_new_string(id));
    (void)json_object_object_add(entry, "o", srv_record_object(o));
    if (srv_journal_append_locked(s, entry, err) < 0)
        return -1;
    srv_apply_object(b, key, srv_object_ref(o));
    srv_apply_upload_gone(b, key, id);
    *object = o;
    o = NULL;
    return 0;
}

int srv_store_abort(struct srv_store *s, const char *bucket, const char *key, const char *id,
                    struct srv_error *err)
{
    struct json_object *entry;
    struct srv_bucket *b;

    srv_lock_scope(&s->lock);
    if (find_locked(s, bucket, key, id, &b, err) == NULL)
        return -1;
    entry = srv_journal_entry("abort", bucket, key);
    (void)json_object_object_add(entry, "u", json_object_new_string(id));
    if (srv_journal_append_locked(s, entry, err) < 0)
        return -1;
    srv_apply_upload_gone(b, key, id);
    return 0;
}

void srv_upload_view_fini(struct srv_upload_view *view)
{
    free(view->storage_class);
    free(view->parts);
    *view = (struct srv_upload_view){0};
}

int srv_store_parts(struct srv_store *s, const char *bucket, const char *key, const char *id,
                    unsigned after, size_t max, struct srv_upload_view *view, struct srv_error *err)
{
    const struct srv_upload *u;
    struct srv_bucket *b;

    srv_lock_scope(&s->lock);
    u = find_locked(s, bucket, key, id, &b, err);
    if (u == NULL)
        return -1;
    *view = (struct srv_upload_view){.storage_class = srv_xstrdup(u->attrs.storage_class),
                                     .parts = srv_xcalloc(max, sizeof(*view->parts))};
    for (size_t i = 0; i < u->part_count; i++) {
        const struct srv_part *p = &u->parts[i];

        if (p->number <= after)
            continue;
        if (view->count == max) {
            view->truncated = true;
            break;
        }
        view->parts[view->count] = *p;
        view->parts[view->count++].segments = (struct srv_segments){.size = p->segments.size};
    }
    return 0;
}

void srv_upload_page_fini(struct srv_upload_page *page)
{
    for (size_t i = 0; i < page->count; i++) {
        free(page->entries[i].key);
        free(page->entries[i].id);
        free(page->entries[i].storage_class);
    }
    free(page->entries);
    *page = (struct srv_upload_page){0};
}

static void add_upload(void *arg, const char *name, const struct srv_index_node *node)
{
    struct srv_upload_page *page = arg;
    struct srv_upload_entry *e = &page->entries[page->count++];
    const struct srv_upload *u = node == NULL ? NULL : node->value;

    e->key = srv_xstrdup(name);
    e->id = u == NULL ? NULL : srv_xstrdup(u->id);
    e->storage_class = u == NULL ? NULL : srv_xstrdup(u->attrs.storage_class);
    e->initiated_ms = u == NULL ? 0 : u->initiated_ms;
}

/* The first upload behind the markers: those of key_after itself count only with an id. */
static const struct srv_index_node *first_upload(const struct srv_index *uploads,
                                                 const char *prefix, const char *key_after,
                                                 const char *id_after)
{
    srv_autobuf struct srv_buf name = {0};
    const struct srv_index_node *node;

    if (strcmp(key_after, prefix) < 0)
        return srv_index_seek(uploads, prefix, strlen(prefix));
    upload_name(&name, key_after, id_after[0] != '\0' ? id_after : "\x7F");
    node = key_after[0] == '\0' ? srv_index_seek(uploads, NULL, 0)
                                : srv_index_seek(uploads, name.data, name.len);
    if (node != NULL && node->len == name.len && memcmp(node->key, name.data, name.len) == 0)
        node = srv_index_next(node);
    return node;
}

int srv_store_uploads(struct srv_store *s, const char *bucket, const char *prefix,
                      const char *delimiter, const char *key_after, const char *id_after,
                      size_t max, struct srv_upload_page *page, struct srv_error *err)
{
    const struct srv_bucket *b;

    srv_lock_scope(&s->lock);
    b = srv_store_bucket_locked(s, bucket, err);
    if (b == NULL)
        return -1;
    *page = (struct srv_upload_page){.entries = srv_xcalloc(max, sizeof(*page->entries))};
    page->truncated =
        srv_listing_from(&b->uploads, first_upload(&b->uploads, prefix, key_after, id_after),
                         prefix, delimiter, key_after, max, add_upload, page);
    return 0;
}

/* A hash table threaded by a list in order of use. */
#include "fs/attrs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct fs_record *find(const struct fs_attrs *a, const char *key)
{
    struct fs_link *link = fs_table_find(&a->table, fs_hash(key, strlen(key), 0));

    for (; link; link = fs_table_next(link)) {
        struct fs_record *r = fs_container(link, struct fs_record, link);

        if (strcmp(r->key, key) == 0)
            return r;
    }
    return NULL;
}

static void order_out(struct fs_attrs *a, struct fs_record *r)
{
    *(r->newer ? &r->newer->older : &a->newest) = r->older;
    *(r->older ? &r->older->newer : &a->oldest) = r->newer;
}

static void order_in(struct fs_attrs *a, struct fs_record *r)
{
    r->older = a->newest;
    r->newer = NULL;
    *(a->newest ? &a->newest->newer : &a->oldest) = r;
    a->newest = r;
}

static void unsaved(struct fs_attrs *a, struct fs_record *r)
{
    if (r->unsaved_at)
        return;
    r->next_unsaved = a->unsaved;
    if (r->next_unsaved)
        r->next_unsaved->unsaved_at = &r->next_unsaved;
    r->unsaved_at = &a->unsaved;
    a->unsaved = r;
}

void fs_attrs_saved(struct fs_record *r)
{
    if (!r->unsaved_at)
        return;
    *r->unsaved_at = r->next_unsaved;
    if (r->next_unsaved)
        r->next_unsaved->unsaved_at = r->unsaved_at;
    r->next_unsaved = NULL;
    r->unsaved_at = NULL;
}

static void record_free(struct fs_attrs *a, struct fs_record *r)
{
    fs_attrs_saved(r);
    order_out(a, r);
    fs_table_remove(&a->table, &r->link);
    spool_attr_fini(&r->attr);
    free(r->target);
    free(r);
}

void fs_attrs_fini(struct fs_attrs *a)
{
    while (a->oldest)
        record_free(a, a->oldest);
    fs_table_fini(&a->table);
}

struct fs_record *fs_attrs_get(struct fs_attrs *a, const char *key)
{
    struct fs_record *r = find(a, key);

    if (r) {
        order_out(a, r);
        order_in(a, r);
    }
    return r;
}

struct fs_record *fs_attrs_match(struct fs_attrs *a, const char *key, const struct fs_version *seen)
{
    struct fs_record *r = fs_attrs_get(a, key);

    if (!r || r->implied || !fs_version_same(&r->seen, seen))
        return NULL;
    if (r->seen.modified_s == FS_MODIFIED_UNKNOWN && seen->modified_s != FS_MODIFIED_UNKNOWN)
        unsaved(a, r);
    fs_version_adopt(&r->seen, seen);
    if (!seen->link)
        fs_version_adopt(&r->object, seen);
    return r;
}

#define YOUNG_S 3 /* a record reaches the disk within two seconds, the time is cut to one */

void fs_attrs_distrust(struct fs_attrs *a)
{
    struct fs_record *r, *newer;
    int64_t newest_s = INT64_MIN;

    for (r = a->oldest; r; r = r->newer)
        if (!r->implied && r->seen.modified_s != FS_MODIFIED_UNKNOWN &&
            r->seen.modified_s > newest_s)
            newest_s = r->seen.modified_s;
    for (r = a->oldest; r; r = newer) {
        newer = r->newer;
        if (!r->implied &&
            (r->seen.modified_s == FS_MODIFIED_UNKNOWN || r->seen.modified_s >= newest_s - YOUNG_S))
            record_free(a, r);
    }
}

static struct fs_record *record_new(struct fs_attrs *a, const char *key)
{
    struct fs_record *r = find(a, key);
    size_t len = strlen(key);

    if (r)
        record_free(a, r);
    while (a->table.count >= (a->max ? a->max : FS_ATTRS_MAX))
        record_free(a, a->oldest);
    r = calloc(1, sizeof(*r) + len + 1);
    if (!r)
        return NULL;
    memcpy(r->key, key, len + 1);
    order_in(a, r);
    fs_table_add(&a->table, &r->link, fs_hash(key, len, 0));
    return r;
}

/* What the record of @key says about the target of @seen, taken out of it. */
static char *take_target(struct fs_attrs *a, const char *key, const struct fs_version *seen)
{
    struct fs_record *old = find(a, key);
    char *target;

    if (!old || !old->target || !fs_version_same(&old->seen, seen))
        return NULL;
    target = old->target;
    old->target = NULL;
    return target;
}

int fs_attrs_put(struct fs_attrs *a, const char *key, const struct fs_version *seen,
                 const struct fs_version *object, const struct spool_attr *attr,
                 struct ou_error *err)
{
    char *target = take_target(a, key, seen);
    struct fs_record *r = record_new(a, key);
    int e;

    if (!r) {
        free(target);
        return ou_error_set(err, ENOMEM, "attributes of %s", key);
    }
    r->target = target;
    e = spool_attr_copy(&r->attr, attr, err);
    if (e < 0) {
        r->attr = (struct spool_attr){.mode = 0};
        record_free(a, r);
        return e;
    }
    r->seen = *seen;
    r->object = *object;
    unsaved(a, r);
    return 0;
}

void fs_attrs_put_target(struct fs_attrs *a, const char *key, const struct fs_version *seen,
                         const char *target)
{
    struct fs_record *r = fs_attrs_match(a, key, seen);

    if (!r || (r->target && strcmp(r->target, target) == 0))
        return;
    free(r->target);
    r->target = strdup(target);
    unsaved(a, r);
}

int fs_attrs_put_implied(struct fs_attrs *a, const char *key, struct ou_error *err)
{
    struct fs_record *r = find(a, key);

    if (r && r->implied)
        return 0;
    r = record_new(a, key);
    if (!r)
        return ou_error_set(err, ENOMEM, "attributes of %s", key);
    r->implied = true;
    unsaved(a, r);
    return 0;
}

void fs_attrs_remove(struct fs_attrs *a, const char *key)
{
    struct fs_record *r = find(a, key);

    if (r)
        record_free(a, r);
}

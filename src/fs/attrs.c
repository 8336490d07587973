/* A hash table threaded by two lists; each record is in one of them. */
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

static void list_out(struct fs_attrs *a, struct fs_record *r)
{
    struct fs_attrs_list *l = r->unsaved ? &a->unsaved : &a->saved;

    *(r->newer ? &r->newer->older : &l->newest) = r->older;
    *(r->older ? &r->older->newer : &l->oldest) = r->newer;
    l->count--;
}

static void list_in(struct fs_attrs *a, struct fs_record *r, bool unsaved)
{
    struct fs_attrs_list *l = unsaved ? &a->unsaved : &a->saved;

    r->unsaved = unsaved;
    r->older = l->newest;
    r->newer = NULL;
    *(l->newest ? &l->newest->newer : &l->oldest) = r;
    l->newest = r;
    l->count++;
}

static void move(struct fs_attrs *a, struct fs_record *r, bool unsaved)
{
    list_out(a, r);
    list_in(a, r, unsaved);
}

void fs_attrs_saved(struct fs_attrs *a, struct fs_record *r)
{
    if (r->unsaved)
        move(a, r, false);
}

static void unsaved(struct fs_attrs *a, struct fs_record *r)
{
    if (!r->unsaved)
        move(a, r, true);
}

static void record_free(struct fs_attrs *a, struct fs_record *r)
{
    if (r->unsaved)
        fs_attrs_index_remove(&a->disk, r->link.hash);
    list_out(a, r);
    fs_table_remove(&a->table, &r->link);
    spool_attr_fini(&r->attr);
    free(r->listed);
    free(r->target);
    free(r);
}

void fs_attrs_fini(struct fs_attrs *a)
{
    while (a->saved.oldest)
        record_free(a, a->saved.oldest);
    while (a->unsaved.oldest)
        record_free(a, a->unsaved.oldest);
    fs_table_fini(&a->table);
    fs_attrs_index_fini(&a->disk);
}

bool fs_attrs_on_disk(const struct fs_attrs *a, const char *key)
{
    uint64_t offset;

    return fs_attrs_index_get(&a->disk, fs_hash(key, strlen(key), 0), &offset) &&
           offset != FS_ATTRS_WRITING && !find(a, key);
}

bool fs_attrs_known(const struct fs_attrs *a, const char *key)
{
    return find(a, key) || fs_attrs_on_disk(a, key);
}

struct fs_record *fs_attrs_get(struct fs_attrs *a, const char *key)
{
    struct fs_record *r = find(a, key);

    if (r && !r->unsaved)
        move(a, r, false);
    return r;
}

struct fs_record *fs_attrs_match(struct fs_attrs *a, const char *key, const struct fs_version *seen)
{
    struct fs_record *r = fs_attrs_get(a, key);
    struct fs_version *known = r && !r->implied ? fs_record_seen(r) : NULL;

    if (!known || !fs_version_same(known, seen))
        return NULL;
    if (known->modified_s == FS_MODIFIED_UNKNOWN && seen->modified_s != FS_MODIFIED_UNKNOWN)
        unsaved(a, r);
    fs_version_adopt(known, seen);
    return r;
}

static void make_room(const struct fs_attrs_list *l, size_t max, struct fs_attrs *a)
{
    while (l->count >= (max ? max : FS_ATTRS_MAX))
        record_free(a, l->oldest);
}

static struct fs_record *record_new(struct fs_attrs *a, const char *key)
{
    struct fs_record *r = find(a, key);
    size_t len = strlen(key);

    if (r)
        record_free(a, r);
    make_room(&a->saved, a->saved_max, a);
    make_room(&a->unsaved, a->unsaved_max, a);
    r = calloc(1, sizeof(*r) + len + 1);
    if (!r)
        return NULL;
    memcpy(r->key, key, len + 1);
    list_in(a, r, true);
    fs_table_add(&a->table, &r->link, fs_hash(key, len, 0));
    return r;
}

/* What the record of @key says about the target of @seen, taken out of it. */
static char *take_target(struct fs_attrs *a, const char *key, const struct fs_version *seen)
{
    struct fs_record *old = find(a, key);
    char *target;

    if (!old || !old->target || !fs_version_same(fs_record_seen(old), seen))
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
    r->object = *object;
    e = fs_version_listed(&r->object, &r->listed, seen, err);
    if (e == 0)
        e = spool_attr_copy(&r->attr, attr, err);
    if (e < 0) {
        r->attr = (struct spool_attr){.mode = 0};
        record_free(a, r);
    }
    return e;
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
    return 0;
}

void fs_attrs_remove(struct fs_attrs *a, const char *key)
{
    struct fs_record *r = find(a, key);

    fs_attrs_index_remove(&a->disk, fs_hash(key, strlen(key), 0));
    if (r)
        record_free(a, r);
}

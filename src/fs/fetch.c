/* Requests and their way into the caches, told in fs/fetch.h. */
#include "fs/fetch.h"

#include "base/log.h"
#include "fs/attrs_file.h"
#include "fs/hide.h"
#include "fs/names.h"
#include "fs/rename_whole.h"
#include "fs/stat.h"
#include "oss/ops.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_PAGE_KEYS 100u /* of a LIST for one name: it, its directory, and names that begin so */
#define OFFLINE_MS     3000u

uint64_t fs_trust_until(const struct fs *fs)
{
    return ou_now_ms() + fs->config.attr_timeout_ms;
}

static void note_network(struct fs *fs, int r, const struct ou_error *err)
{
    ou_lock_scope(&fs->lock);
    if (r >= 0)
        fs->offline_until_ms = 0;
    else if (err->http_status == 0 && r != -EINTR && r != -ENOMEM)
        fs->offline_until_ms = ou_now_ms() + OFFLINE_MS;
}

/* A page with something in it, or the last: an empty one may come before others (protocol 6.3). */
static int list(struct fs *fs, const struct fs_call *call, const char *prefix,
                const char *delimiter, const char *start_after, const char *token, unsigned keys,
                struct oss_list_page *page, struct ou_error *err)
{
    struct oss_call oss = fs_oss_call(call);
    unsigned asking = fs_asking(fs);
    ou_autofree char *next = NULL;
    int r;

    for (;;) {
        *page = (struct oss_list_page){.entries = NULL};
        r = oss_list_objects(fs->client, &oss, prefix, delimiter, start_after, token, keys, page,
                             err);
        note_network(fs, r, err);
        if (fs_asked_in_vain(fs, prefix, &asking, call)) {
            oss_list_page_fini(page);
            continue;
        }
        if (r < 0)
            return ou_error_prefix(err, "list %s", prefix);
        if (page->count || !page->truncated || !page->next_token)
            return 0;
        free(next);
        next = page->next_token;
        page->next_token = NULL;
        token = next;
        start_after = NULL;
        oss_list_page_fini(page);
    }
}

static int inode_key(struct fs *fs, const struct fs_inode *inode, char **key, struct ou_error *err)
{
    ou_lock_scope(&fs->lock);
    return fs_inode_key(&fs->tree, inode, key, err);
}

static int child_key(struct fs *fs, const struct fs_inode *parent, const char *name, bool is_dir,
                     char **key, struct ou_error *err)
{
    ou_lock_scope(&fs->lock);
    return fs_child_key(&fs->tree, parent, name, is_dir, key, err);
}

char *fs_fetch_flight(enum fs_fetch what, const char *key)
{
    char *name = NULL;

    return asprintf(&name, "%c %s", (char)what, key) < 0 ? NULL : name;
}

/* What is learnt from a LIST gets into @dir's listing, unless @dir has another key by now. */
static int install(struct fs *fs, struct fs_inode *dir, const char *dir_key, bool hide,
                   struct fs_segment *segment, const struct fs_call *call, struct ou_error *err)
{
    ou_autofree char *now = NULL;
    int r = hide ? fs_hide_deleted(fs, dir, dir_key, segment, call, err) : 0;

    fs_attrs_recall_page(fs, dir_key, segment);
    if (r == 0) {
        ou_lock_scope(&fs->lock);
        r = fs_inode_key(&fs->tree, dir, &now, err);
        if (r == 0 && strcmp(now, dir_key) == 0) {
            fs_listing_install(&dir->dir->listing, segment);
            return 0;
        }
    }
    fs_segment_unref(segment);
    return r;
}

/* What a request begun at @begun_ms tells, unless this mount has changed the name since. */
static void change_locked(struct fs *fs, struct fs_inode *parent, const char *name,
                          enum fs_known state, const struct fs_version *version, uint64_t begun_ms)
{
    struct fs_listing *l = &parent->dir->listing;
    const struct fs_inode *child = fs_inode_child(&fs->tree, parent, name);
    const struct fs_change *ours = fs_listing_changed(l, name);

    if ((child && child->pins) || (ours && ours->changed_ms >= begun_ms))
        return;
    fs_listing_change(l, name, state, version, ou_now_ms(), fs_trust_until(fs));
}

static void change(struct fs *fs, struct fs_inode *parent, const char *name, enum fs_known state,
                   const struct fs_version *version, uint64_t begun_ms)
{
    ou_lock_scope(&fs->lock);
    change_locked(fs, parent, name, state, version, begun_ms);
}

static bool hidden(struct fs *fs, const char *key, uint64_t begun_ms)
{
    ou_lock_scope(&fs->lock);
    return fs_hidden_locked(fs, key, begun_ms);
}

/* -- LIST -- */

/* The credentials may read objects but not list them: two HEADs find what is not implied. */
static int name_without_list(struct fs *fs, struct fs_inode *parent, const char *name,
                             const char *key, const struct fs_call *call, struct ou_error *err)
{
    ou_autofree char *marker = fs_key_join("", key, true);
    struct oss_call oss = fs_oss_call(call);
    ou_auto(oss_object_fini) struct oss_object object = {.size = 0};
    uint64_t begun_ms = ou_now_ms();
    struct fs_version version;
    int r;

    if (!marker)
        return ou_error_set(err, ENOMEM, "%s", key);
    r = oss_head_object(fs->client, &oss, marker, &object, err);
    if (r < 0)
        return r;
    if (r == 1 && !hidden(fs, marker, begun_ms)) {
        change(fs, parent, name, FS_DIR, NULL, begun_ms);
        return 0;
    }
    r = oss_head_object(fs->client, &oss, key, &object, err);
    if (r < 0)
        return r;
    if (r == 1 && hidden(fs, key, begun_ms))
        r = 0;
    version = fs_version_of_object(&object);
    change(fs, parent, name, r ? FS_FILE : FS_ABSENT, r ? &version : NULL, begun_ms);
    return 0;
}

int fs_fetch_name(struct fs *fs, struct fs_inode *parent, const char *name,
                  const struct fs_call *call, struct ou_error *err)
{
    ou_auto(oss_list_page_fini) struct oss_list_page page = {.entries = NULL};
    ou_autofree char *key = NULL, *dir = NULL;
    uint64_t begun_ms = ou_now_ms();
    struct fs_segment *segment;
    bool hide;
    int r = child_key(fs, parent, name, false, &key, err);

    if (r < 0)
        return r;
    hide = fs_hide_needed(fs, key);
    r = list(fs, call, key, "/", NULL, NULL, NAME_PAGE_KEYS, &page, err);
    if (r == -EACCES)
        return name_without_list(fs, parent, name, key, call, err);
    if (r < 0)
        return r;
    dir = strndup(key, strlen(key) - strlen(name));
    if (!dir)
        return ou_error_set(err, ENOMEM, "%s", key);
    segment = fs_segment_new(&page, dir, NULL, name, begun_ms, fs_trust_until(fs), err);
    return segment ? install(fs, parent, dir, hide, segment, call, err) : -ENOMEM;
}

int fs_fetch_below(struct fs *fs, struct fs_inode *parent, const char *name,
                   const struct fs_call *call, struct ou_error *err)
{
    ou_auto(oss_list_page_fini) struct oss_list_page page = {.entries = NULL};
    ou_autofree char *key = NULL, *dir = NULL, *position = fs_key_join("", name, true);
    struct oss_list_entry entry = {.is_prefix = true};
    struct oss_list_page told = {.entries = &entry};
    uint64_t begun_ms = ou_now_ms();
    struct fs_segment *segment;
    bool hide = true;
    int r = child_key(fs, parent, name, true, &key, err);

    if (r == 0) {
        hide = fs_hide_needed(fs, key);
        r = list(fs, call, key, NULL, NULL, NULL, 1, &page, err);
    }
    if (r < 0)
        return r;
    dir = strndup(key, strlen(key) - strlen(name) - 1);
    if (!dir || !position)
        return ou_error_set(err, ENOMEM, "%s", key);
    entry.key = key;
    entry.key_len = strlen(key);
    told.count = page.count ? 1 : 0;
    segment = fs_segment_new(&told, dir, NULL, position, begun_ms, fs_trust_until(fs), err);
    return segment ? install(fs, parent, dir, hide, segment, call, err) : -ENOMEM;
}

/* What a page from the start tells about the directory itself. */
static void page_told_locked(struct fs_inode *dir, const struct fs_segment *segment)
{
    struct fs_dir *d = dir->dir;

    if (!segment->from_start)
        return;
    d->listed_ms = segment->begun_ms;
    d->huge = segment->last != NULL;
    d->marker_known = true;
    d->has_marker = segment->count > 0 && segment->entries[0].position[0] == '\0';
}

#define DIR_MOVED 1

/* The page is taken in. Return: 0, or DIR_MOVED: it is about the key that @dir had before. */
static int page_in(struct fs *fs, struct fs_inode *dir, const char *key, struct fs_segment *segment,
                   struct fs_segment **out, struct ou_error *err)
{
    ou_autofree char *now = NULL;
    int r;

    ou_lock_scope(&fs->lock);
    r = fs_inode_key(&fs->tree, dir, &now, err);
    if (r < 0)
        return r;
    if (strcmp(now, key) != 0)
        return DIR_MOVED;
    page_told_locked(dir, segment);
    if (out)
        *out = fs_segment_ref(segment);
    fs_listing_install(&dir->dir->listing, fs_segment_ref(segment));
    return 0;
}

static int page_flight(struct fs *fs, struct fs_inode *dir, const char *after, const char *token,
                       const struct fs_call *call, struct fs_segment **out, char **next,
                       struct ou_error *err)
{
    ou_auto(oss_list_page_fini) struct oss_list_page page = {.entries = NULL};
    ou_autofree char *key = NULL, *start_after = NULL;
    uint64_t begun_ms = ou_now_ms();
    struct fs_segment *segment;
    bool hide;
    int r = inode_key(fs, dir, &key, err);

    if (r < 0)
        return r;
    if (after && !token) {
        start_after = fs_key_join(key, after, false);
        if (!start_after)
            return ou_error_set(err, ENOMEM, "%s", key);
    }
    hide = fs_hide_needed(fs, key);
    r = list(fs, call, key, "/", start_after, token, OSS_LIST_MAX, &page, err);
    if (r < 0)
        return r;
    segment = fs_segment_new(&page, key, after, NULL, begun_ms, fs_trust_until(fs), err);
    if (!segment)
        return -ENOMEM;
    if (hide)
        r = fs_hide_deleted(fs, dir, key, segment, call, err);
    fs_attrs_recall_page(fs, key, segment);
    if (r == 0)
        r = page_in(fs, dir, key, segment, out, err);
    fs_segment_unref(segment);
    if (r == 0 && next) {
        *next = page.next_token;
        page.next_token = NULL;
    }
    return r;
}

int fs_fetch_page(struct fs *fs, struct fs_inode *dir, const char *after, const char *token,
                  const struct fs_call *call, struct fs_segment **out, char **next,
                  struct ou_error *err)
{
    int r;

    do {
        r = page_flight(fs, dir, after, token, call, out, next, err);
        token = NULL; /* it is of the key before */
    } while (r == DIR_MOVED);
    return r;
}

int fs_fetch_start(struct fs *fs, struct fs_inode *dir, const struct fs_call *call,
                   struct ou_error *err)
{
    return fs_fetch_page(fs, dir, NULL, NULL, call, NULL, NULL, err);
}

/* -- HEAD -- */

static int head(struct fs *fs, const char *key, const struct fs_call *call,
                struct oss_object *object, struct spool_attr *attr, struct ou_error *err)
{
    struct oss_call oss = fs_oss_call(call);
    unsigned asking = fs_asking(fs);
    int r;

    do {
        oss_object_fini(object);
        *object = (struct oss_object){.size = 0};
        r = oss_head_object(fs->client, &oss, key, object, err);
        note_network(fs, r, err);
    } while (fs_asked_in_vain(fs, key, &asking, call));
    if (r < 0)
        return ou_error_prefix(err, "attributes of %s", key);
    if (r == 1) {
        int e = spool_attr_from_object(object, key, &fs->config.defaults, attr, err);

        if (e < 0)
            return e;
    }
    return r;
}

int fs_fetch_head(struct fs *fs, struct fs_inode *parent, const char *name, const char *key,
                  const struct fs_version *seen, const struct fs_call *call, struct ou_error *err)
{
    ou_auto(oss_object_fini) struct oss_object object = {.size = 0};
    ou_auto(spool_attr_fini) struct spool_attr attr = {.mode = 0};
    ou_autofree char *now = NULL;
    uint64_t begun_ms = ou_now_ms();
    int r = head(fs, key, call, &object, &attr, err), e = 0;
    struct fs_version version, shown;

    if (r < 0)
        return r;
    if (r == 0) {
        if (child_key(fs, parent, name, false, &now, err) == 0 && strcmp(now, key) != 0)
            return 0; /* renamed meanwhile: nothing was learnt */
        change(fs, parent, name, FS_ABSENT, NULL, begun_ms);
        return 0;
    }
    version = shown = fs_version_of_object(&object);
    ou_lock_scope(&fs->lock);
    if (seen && seen->link)
        shown = *seen;
    else if (!seen || !fs_version_same(&version, seen)) /* it changed after the listing */
        change_locked(fs, parent, name, FS_FILE, &version, begun_ms);
    e = fs_attrs_put(&fs->tree.attrs, key, &shown, &version, &attr, err);
    fs_attrs_hurry_locked(fs);
    return e < 0 ? e : 1;
}

int fs_fetch_marker(struct fs *fs, struct fs_inode *dir, const struct fs_call *call,
                    struct ou_error *err)
{
    ou_auto(oss_object_fini) struct oss_object object = {.size = 0};
    ou_auto(spool_attr_fini) struct spool_attr attr = {.mode = 0};
    ou_autofree char *key = NULL, *now = NULL;
    uint64_t begun_ms = ou_now_ms();
    struct fs_version version;
    int r = inode_key(fs, dir, &key, err), e;

    if (r == 0)
        r = head(fs, key, call, &object, &attr, err);
    if (r < 0)
        return r;
    version = fs_version_of_object(&object);
    ou_lock_scope(&fs->lock);
    if (r == 0 && fs_inode_key(&fs->tree, dir, &now, err) == 0 && strcmp(now, key) != 0)
        return 0; /* renamed meanwhile: the caller looks again */
    if (r == 0 || fs_hidden_locked(fs, key, begun_ms)) {
        (void)fs_attrs_put_implied(&fs->tree.attrs, key, err);
        fs_apply_implied_locked(fs, dir, fs_trust_until(fs), begun_ms);
        return 0;
    }
    e = fs_attrs_put(&fs->tree.attrs, key, &version, &version, &attr, err);
    if (e < 0)
        return e;
    fs_apply_record_locked(fs, dir, fs_attrs_get(&fs->tree.attrs, key), fs_trust_until(fs),
                           begun_ms);
    return 0;
}

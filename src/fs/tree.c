/*
 * Inodes and dentries, told in fs/tree.h.
 *
 * Invariants: a linked inode other than the root is in .by_name and among its parent's
 * .children; each inode is in .by_id and .by_ino; a staged one in .by_file; .pins of an
 * inode is the number of staged ones at and below it; an inode that nothing holds is gone.
 */
#include "fs/tree.h"

#include "fs/names.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* -- tables -- */

static uint64_t name_hash(const struct fs_inode *parent, const char *name)
{
    return fs_hash(name, strlen(name), parent->id);
}

static uint64_t file_hash(const struct spool_file *file)
{
    uintptr_t address = (uintptr_t)file;

    return fs_hash(&address, sizeof(address), 0);
}

static uint64_t id_hash(uint64_t id)
{
    return fs_hash(&id, sizeof(id), 0);
}

struct fs_inode *fs_inode_find(const struct fs_tree *t, uint64_t id)
{
    struct fs_link *link = fs_table_find(&t->by_id, id_hash(id));

    for (; link; link = fs_table_next(link)) {
        struct fs_inode *i = fs_container(link, struct fs_inode, by_id);

        if (i->id == id)
            return i;
    }
    return NULL;
}

struct fs_inode *fs_inode_child(const struct fs_tree *t, const struct fs_inode *parent,
                                const char *name)
{
    struct fs_link *link = fs_table_find(&t->by_name, name_hash(parent, name));

    for (; link; link = fs_table_next(link)) {
        struct fs_inode *i = fs_container(link, struct fs_inode, by_name);

        if (i->parent == parent && strcmp(i->name, name) == 0)
            return i;
    }
    return NULL;
}

struct fs_inode *fs_inode_of_file(const struct fs_tree *t, const struct spool_file *file)
{
    struct fs_link *link = fs_table_find(&t->by_file, file_hash(file));

    for (; link; link = fs_table_next(link)) {
        struct fs_inode *i = fs_container(link, struct fs_inode, by_file);

        if (i->staged == file)
            return i;
    }
    return NULL;
}

static bool ino_taken(const struct fs_tree *t, uint64_t ino)
{
    return fs_table_find(&t->by_ino, id_hash(ino)) != NULL;
}

uint64_t fs_ino_of_key(const char *key)
{
    uint64_t ino = fs_hash(key, strlen(key), 0);

    /* 0 and 1 have meanings; the top bit frightens programs that print it as signed. */
    ino &= INT64_MAX;
    return ino > FS_ROOT_ID ? ino : ino + 2;
}

static uint64_t choose_ino(const struct fs_tree *t, const struct fs_inode *i)
{
    struct ou_error err;
    char *key = NULL;
    uint64_t ino = i->id;

    if (fs_inode_key(t, i, &key, &err) == 0)
        ino = fs_ino_of_key(key);
    free(key);
    while (ino_taken(t, ino) || ino <= FS_ROOT_ID)
        ino = fs_hash(&ino, sizeof(ino), 1) & INT64_MAX;
    return ino;
}

/* -- names -- */

static void link_child(struct fs_tree *t, struct fs_inode *i, struct fs_inode *parent)
{
    i->parent = parent;
    i->sibling = parent->children;
    if (i->sibling)
        i->sibling->sibling_at = &i->sibling;
    i->sibling_at = &parent->children;
    parent->children = i;
    fs_table_add(&t->by_name, &i->by_name, name_hash(parent, i->name));
}

static void unlink_child(struct fs_tree *t, struct fs_inode *i)
{
    fs_table_remove(&t->by_name, &i->by_name);
    *i->sibling_at = i->sibling;
    if (i->sibling)
        i->sibling->sibling_at = i->sibling_at;
    i->sibling = NULL;
    i->sibling_at = NULL;
    i->parent = NULL;
}

static void pin(struct fs_inode *i, unsigned pins)
{
    for (; i; i = i->parent)
        i->pins += pins;
}

static void unpin(struct fs_inode *i, unsigned pins)
{
    for (; i; i = i->parent)
        i->pins -= pins;
}

bool fs_inode_linked(const struct fs_tree *t, const struct fs_inode *i)
{
    while (i->parent)
        i = i->parent;
    return i == t->root;
}

bool fs_inode_under(const struct fs_inode *i, const struct fs_inode *top)
{
    while (i && i != top)
        i = i->parent;
    return i != NULL;
}

int fs_inode_key(const struct fs_tree *t, const struct fs_inode *i, char **key,
                 struct ou_error *err)
{
    bool is_dir = S_ISDIR(i->type);
    const struct fs_inode *at;
    size_t len = strlen(t->prefix), end;

    for (at = i; at->parent; at = at->parent)
        len += strlen(at->name) + (at != i || is_dir ? 1 : 0);
    if (at != t->root)
        return ou_error_set(err, ENOENT, "inode %llu", (unsigned long long)i->id);
    *key = malloc(len + 1);
    if (!*key)
        return ou_error_set(err, ENOMEM, "key");
    memcpy(*key, t->prefix, strlen(t->prefix));
    end = len;
    (*key)[end] = '\0';
    for (at = i; at->parent; at = at->parent) {
        size_t n = strlen(at->name);

        if (at != i || is_dir)
            (*key)[--end] = '/';
        end -= n;
        memcpy(*key + end, at->name, n);
    }
    return 0;
}

int fs_child_key(const struct fs_tree *t, const struct fs_inode *parent, const char *name,
                 bool is_dir, char **key, struct ou_error *err)
{
    char *dir = NULL;
    int r = fs_inode_key(t, parent, &dir, err);

    if (r < 0)
        return r;
    *key = fs_key_join(dir, name, is_dir);
    free(dir);
    return *key ? 0 : ou_error_set(err, ENOMEM, "key");
}

/* -- life -- */

static struct fs_inode *inode_alloc(struct fs_tree *t, const char *name, mode_t type)
{
    struct fs_inode *i = calloc(1, sizeof(*i));

    if (!i)
        return NULL;
    i->type = type & S_IFMT;
    i->id = t->next_id;
    i->kept_fd = -1;
    i->name = strdup(name);
    if (!i->name)
        goto undo;
    if (S_ISDIR(type)) {
        i->dir = calloc(1, sizeof(*i->dir));
        if (!i->dir)
            goto undo;
        fs_listing_init(&i->dir->listing, &t->listings);
    }
    t->next_id++;
    return i;

undo:
    free(i->name);
    free(i);
    return NULL;
}

static void inode_free(struct fs_inode *i)
{
    if (i->dir) {
        fs_listing_fini(&i->dir->listing);
        free(i->dir->missed);
        free(i->dir->order.asked);
        free(i->dir->order.sent);
    }
    free(i->dir);
    spool_attr_fini(&i->attr);
    free(i->listed);
    free(i->target);
    free(i->doomed);
    if (i->kept_fd >= 0)
        (void)close(i->kept_fd);
    free(i->moved_to);
    free(i->name);
    free(i);
}

static bool held(const struct fs_tree *t, const struct fs_inode *i)
{
    return i->lookups || i->uses || i->children || i->staged || i == t->root;
}

/* What was learnt about it outlives it, in the attribute cache. */
static void remember(struct fs_tree *t, struct fs_inode *i)
{
    struct ou_error err;
    char *key = NULL;

    if (!i->attr_known || !i->has_remote || fs_inode_key(t, i, &key, &err) < 0)
        return;
    if (!fs_attrs_on_disk(&t->attrs, key) && !fs_attrs_match(&t->attrs, key, fs_inode_seen(i)))
        (void)fs_attrs_put(&t->attrs, key, fs_inode_seen(i), &i->remote, &i->attr, &err);
    if (i->target)
        fs_attrs_put_target(&t->attrs, key, fs_inode_seen(i), i->target);
    free(key);
}

/* Frees @i if nothing holds it, and then perhaps what only it held. */
static void settle(struct fs_tree *t, struct fs_inode *i)
{
    while (i && !held(t, i)) {
        struct fs_inode *parent = i->parent;

        if (parent) {
            remember(t, i);
            unlink_child(t, i);
        }
        fs_table_remove(&t->by_id, &i->by_id);
        fs_table_remove(&t->by_ino, &i->by_ino);
        inode_free(i);
        i = parent;
    }
}

struct fs_inode *fs_inode_new(struct fs_tree *t, struct fs_inode *parent, const char *name,
                              mode_t type)
{
    struct fs_inode *i = inode_alloc(t, name, type);

    if (!i)
        return NULL;
    link_child(t, i, parent);
    i->ino = choose_ino(t, i);
    fs_table_add(&t->by_id, &i->by_id, id_hash(i->id));
    fs_table_add(&t->by_ino, &i->by_ino, id_hash(i->ino));
    return i;
}

struct fs_inode *fs_inode_use(struct fs_inode *i)
{
    i->uses++;
    return i;
}

void fs_inode_unuse(struct fs_tree *t, struct fs_inode *i)
{
    if (!i)
        return;
    assert(i->uses > 0);
    i->uses--;
    settle(t, i);
}

void fs_inode_set_remote(struct fs_inode *i, const struct fs_version *remote,
                         const struct fs_version *seen)
{
    struct ou_error err;

    i->remote = *remote;
    i->has_remote = true;
    /* Without memory the listing is taken for that of another version, and asked about again. */
    (void)fs_version_listed(&i->remote, &i->listed, seen, &err);
}

bool fs_inode_look_up(struct fs_tree *t, struct fs_inode *i)
{
    if (i != t->root)
        fs_lru_use(&t->lru, i);
    return i->lookups++ == 0;
}

void fs_inode_forget(struct fs_tree *t, struct fs_inode *i, uint64_t lookups)
{
    i->lookups -= lookups < i->lookups ? lookups : i->lookups;
    if (!i->lookups) {
        fs_lru_remove(&t->lru, i);
        i->opened = false; /* its pages are gone, too */
    }
    settle(t, i);
}

void fs_inode_unlink(struct fs_tree *t, struct fs_inode *i)
{
    struct fs_inode *parent = i->parent;

    if (!parent)
        return;
    unpin(parent, i->pins);
    unlink_child(t, i);
    settle(t, i);
    settle(t, parent);
}

int fs_inode_move(struct fs_tree *t, struct fs_inode *i, struct fs_inode *parent, const char *name,
                  struct ou_error *err)
{
    struct fs_inode *old = i->parent;
    char *copy = strdup(name);

    if (!copy)
        return ou_error_set(err, ENOMEM, "rename to %s", name);
    unpin(old, i->pins);
    unlink_child(t, i);
    free(i->name);
    i->name = copy;
    link_child(t, i, parent);
    pin(parent, i->pins);
    settle(t, old);
    return 0;
}

struct spool_file *fs_inode_stage(struct fs_tree *t, struct fs_inode *i, struct spool_file *file)
{
    struct spool_file *old = i->staged;

    if (old)
        fs_table_remove(&t->by_file, &i->by_file);
    i->staged = file;
    if (file)
        fs_table_add(&t->by_file, &i->by_file, file_hash(file));
    if (file && !old)
        pin(i, 1);
    else if (!file && old)
        unpin(i, 1);
    if (!file)
        settle(t, i);
    return old;
}

struct fs_inode *fs_tree_next(struct fs_inode *at, const struct fs_inode *top)
{
    if (at->children)
        return at->children;
    while (at && at != top) {
        if (at->sibling)
            return at->sibling;
        at = at->parent;
    }
    return NULL;
}

int fs_tree_init(struct fs_tree *t, const char *prefix, struct ou_error *err)
{
    *t = (struct fs_tree){.prefix = prefix, .next_id = FS_ROOT_ID};
    t->root = inode_alloc(t, "", S_IFDIR);
    if (!t->root)
        return ou_error_set(err, ENOMEM, "root inode");
    t->root->ino = FS_ROOT_ID;
    fs_table_add(&t->by_id, &t->root->by_id, id_hash(t->root->id));
    fs_table_add(&t->by_ino, &t->root->by_ino, id_hash(t->root->ino));
    return 0;
}

void fs_tree_fini(struct fs_tree *t)
{
    for (size_t b = 0; b < (t->by_id.buckets ? t->by_id.size : 1); b++) {
        struct fs_link *link = t->by_id.buckets ? t->by_id.buckets[b] : t->by_id.first;

        while (link) {
            struct fs_inode *i = fs_container(link, struct fs_inode, by_id);

            link = link->next;
            spool_file_unref(i->staged);
            inode_free(i);
        }
    }
    fs_table_fini(&t->by_id);
    fs_table_fini(&t->by_name);
    fs_table_fini(&t->by_ino);
    fs_table_fini(&t->by_file);
    fs_attrs_fini(&t->attrs);
    *t = (struct fs_tree){.prefix = NULL};
}

/* Told in fs/readdir.h. */
#include "fs/readdir.h"

#include "fs/fetch.h"
#include "fs/resolve.h"
#include "fs/stat.h"

#include <stdlib.h>
#include <string.h>

static bool known_now(struct fs_inode *child, const struct fs_name *name)
{
    uint64_t now_ms = ou_now_ms();

    if (child->staged)
        return true;
    if (!child->attr_known)
        return false;
    if (name->version && child->has_remote && fs_version_same(fs_inode_seen(child), name->version))
        return true;
    return now_ms < child->until_ms;
}

static struct fs_inode *from_cache_locked(struct fs *fs, struct fs_inode *dir, const char *key,
                                          const struct fs_name *name, bool want_inode, mode_t *type)
{
    struct fs_record *record =
        name->version ? fs_attrs_match(&fs->tree.attrs, key, name->version) : NULL;
    struct fs_inode *child = fs_inode_child(&fs->tree, dir, name->name);

    if (!record)
        return NULL;
    *type = record->attr.mode & S_IFMT;
    if (!want_inode || (child && child->type != *type))
        return NULL;
    if (!child)
        child = fs_inode_new(&fs->tree, dir, name->name, *type);
    if (child)
        fs_apply_record_locked(fs, child, record, name->until_ms, name->begun_ms);
    return child;
}

void fs_entry_known_locked(struct fs *fs, struct fs_inode *dir, const struct fs_name *name,
                           bool want_inode, struct fs_entry_known *out)
{
    struct fs_inode *child = fs_inode_child(&fs->tree, dir, name->name);
    ou_autofree char *key = NULL;
    struct ou_error err;

    *out = (struct fs_entry_known){.type = name->is_dir ? S_IFDIR : 0};
    if (child && (child->dir != NULL) == name->is_dir && known_now(child, name)) {
        out->inode = child;
        out->type = child->type;
        out->ino = child->ino;
        out->until_ms = child->staged ? fs_trust_until(fs) : child->until_ms;
        return;
    }
    if (fs_child_key(&fs->tree, dir, name->name, name->is_dir, &key, &err) < 0)
        return;
    if (!name->is_dir) {
        out->inode = from_cache_locked(fs, dir, key, name, want_inode, &out->type);
        if (!out->type &&
            (fs->config.attrs_from_list || (name->version && name->version->size > FS_LINK_MAX)))
            out->type = S_IFREG;
        if (out->inode)
            child = out->inode;
        out->until_ms = name->until_ms;
    }
    out->ino = child ? child->ino : fs_ino_of_key(key);
}

/*
 * Extended attributes: user.* lie in the object's metadata; two are virtual (fs/fs.h). Others
 * are refused from memory: the kernel asks for security.capability at each write.
 */
#include "fs/resolve.h"
#include "fs/setattr.h"
#include "fs/stage.h"

#include <errno.h>
#include <string.h>

#define OURS "user.ossfs-up."

static bool is_user(const char *name)
{
    return strncmp(name, "user.", 5) == 0;
}

static bool is_ours(const char *name)
{
    return strncmp(name, OURS, sizeof(OURS) - 1) == 0;
}

static ssize_t give(const char *text, void *value, size_t size, struct ou_error *err)
{
    size_t len = strlen(text);

    if (size == 0)
        return (ssize_t)len;
    if (len > size)
        return ou_error_set(err, ERANGE, "getxattr");
    memcpy(value, text, len);
    return (ssize_t)len;
}

static void state_of(struct fs *fs, struct fs_inode *inode, struct ou_buf *text)
{
    struct spool_file *file;
    struct ou_error why;

    if (!fs_stage_held(fs, inode, &file)) {
        ou_buf_adds(text, "synced");
        return;
    }
    if (spool_file_failed(file, &why))
        ou_buf_addf(text, "failed: %s", why.message);
    else if (!spool_file_pending(file))
        ou_buf_adds(text, "synced");
    else
        ou_buf_adds(text, "pending");
    fs_stage_done(fs, inode, file);
}

static ssize_t get_ours(struct fs *fs, struct fs_inode *inode, const char *name, void *value,
                        size_t size, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf text = {.data = NULL};

    if (strcmp(name, FS_XATTR_CONTROL) == 0) {
        ou_lock_scope(&fs->lock);
        if (fs->control_path)
            ou_buf_adds(&text, fs->control_path);
    } else if (strcmp(name, FS_XATTR_STATE) == 0) {
        state_of(fs, inode, &text);
    }
    if (ou_buf_check(&text, err) < 0)
        return -ENOMEM;
    return text.len ? give(ou_buf_str(&text), value, size, err)
                    : ou_error_set(err, ENODATA, "%s", name);
}

/* @inode's attributes with their strings, for the caller to fini. */
static int attr_of(struct fs *fs, struct fs_inode *inode, const struct fs_call *call,
                   struct spool_attr *attr, struct ou_error *err)
{
    struct spool_file *file;
    uint64_t size;
    int r;

    *attr = (struct spool_attr){.mode = 0};
    if (fs_stage_held(fs, inode, &file)) {
        r = spool_file_stat(file, attr, &size, err);
        fs_stage_done(fs, inode, file);
        return r;
    }
    r = fs_need_attr(fs, inode, call, err);
    if (r != 0)
        return r;
    ou_lock_scope(&fs->lock);
    return spool_attr_copy(attr, &inode->attr, err);
}

ssize_t fs_xattr_get(struct fs *fs, uint64_t id, const char *name, void *value, size_t size,
                     const struct fs_call *call, struct ou_error *err)
{
    struct spool_attr attr;
    struct fs_inode *inode;
    ssize_t n;
    int r;

    if (!is_user(name)) /* security.capability: once a write */
        return strncmp(name, "security.", 9) == 0 ? ou_error_set(err, ENODATA, "%s", name)
                                                  : ou_error_set(err, EOPNOTSUPP, "%s", name);
    r = fs_inode_get(fs, id, &inode, err);
    if (r < 0)
        return r;
    if (is_ours(name)) {
        n = get_ours(fs, inode, name, value, size, err);
    } else {
        r = attr_of(fs, inode, call, &attr, err);
        n = r == 0              ? spool_xattr_get(&attr, name, value, size, err)
            : r == FS_MUST_WAIT ? FS_READ_MUST_WAIT
                                : r;
        if (r == 0)
            spool_attr_fini(&attr);
    }
    fs_unuse(fs, inode);
    return n;
}

ssize_t fs_xattr_list(struct fs *fs, uint64_t id, char *list, size_t size,
                      const struct fs_call *call, struct ou_error *err)
{
    struct spool_attr attr;
    struct fs_inode *inode;
    ssize_t n;
    int r = fs_inode_get(fs, id, &inode, err);

    if (r < 0)
        return r;
    r = attr_of(fs, inode, call, &attr, err);
    n = r == 0              ? spool_xattr_list(&attr, list, size, err)
        : r == FS_MUST_WAIT ? FS_READ_MUST_WAIT
                            : r;
    if (r == 0)
        spool_attr_fini(&attr);
    fs_unuse(fs, inode);
    return n;
}

static int change_xattr(struct spool_file *file, const char *name, const void *value, size_t size,
                        int flags, struct ou_error *err)
{
    ou_auto(spool_attr_fini) struct spool_attr attr = {.mode = 0};
    uint64_t file_size;
    int r = spool_file_stat(file, &attr, &file_size, err);

    if (r == 0)
        r = value ? spool_xattr_set(&attr, name, value, size, flags, err)
                  : spool_xattr_remove(&attr, name, err);
    if (r < 0)
        return r;
    attr.ctime = ou_wall();
    return spool_file_set_attr(file, &attr, SPOOL_SET_XATTR | SPOOL_SET_CTIME, err);
}

int fs_xattr_set(struct fs *fs, uint64_t id, const char *name, const void *value, size_t size,
                 int flags, const struct fs_call *call, struct ou_error *err)
{
    struct spool_file *file;
    struct fs_inode *inode;
    int r;

    if (!is_user(name))
        return ou_error_set(err, EOPNOTSUPP, "%s", name);
    if (strcmp(name, "user.") == 0)
        return ou_error_set(err, EINVAL, "%s", name);
    if (is_ours(name))
        return ou_error_set(err, EPERM, "%s", name);
    r = fs_inode_get(fs, id, &inode, err);
    if (r < 0)
        return r;
    if (inode == fs->tree.root && fs->prefix[0] == '\0')
        r = ou_error_set(err, EOPNOTSUPP, "the bucket itself holds no attributes");
    else
        r = fs_refresh(fs, inode, call, err);
    if (r == 0)
        r = fs_stage(fs, inode, call, &file, err);
    if (r == 0) {
        r = change_xattr(file, name, value, size, flags, err);
        fs_stage_done(fs, inode, file);
    }
    fs_unuse(fs, inode);
    return r;
}

/* Told in fs/local_root.h. */
#include "fs/local_root.h"

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "fs/stat.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#define FILE_NAME "root.attr"
#define FILE_MAX  4096u
#define ROOT_MODE 0755u

static bool read_time(const struct ou_json *object, const char *name, struct timespec *t)
{
    const struct ou_json *array = ou_json_get(object, name);
    uint64_t sec, nsec;

    if (ou_json_length(array) != 2 || !ou_json_value_u64(ou_json_at(array, 0), &sec) ||
        !ou_json_value_u64(ou_json_at(array, 1), &nsec) || nsec > 999999999)
        return false;
    *t = (struct timespec){.tv_sec = (time_t)sec, .tv_nsec = (long)nsec};
    return true;
}

static void read_attr(const char *text, size_t len, struct spool_attr *attr)
{
    ou_auto(ou_json_free_at) struct ou_json *root = NULL;
    struct ou_error err;
    uint64_t n;

    if (ou_json_parse(text, len, &root, &err) < 0) {
        ou_log_warn(OU_LOG_FS, &err, "attributes of the root are lost");
        return;
    }
    if (ou_json_u64(root, "mode", &n))
        attr->mode = S_IFDIR | ((mode_t)n & 07777);
    if (ou_json_u64(root, "uid", &n))
        attr->uid = (uid_t)n;
    if (ou_json_u64(root, "gid", &n))
        attr->gid = (gid_t)n;
    (void)read_time(root, "mtime", &attr->mtime);
    attr->has_atime = read_time(root, "atime", &attr->atime);
}

void fs_local_root_load(struct fs *fs)
{
    ou_autoclose int dir = open(spool_dir(fs->spool), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ou_auto(ou_buf_fini) struct ou_buf text = {.data = NULL};
    struct spool_attr *attr = &fs->tree.root->attr;
    struct ou_error err;

    *attr = (struct spool_attr){
        .mode = S_IFDIR | (ROOT_MODE & ~fs->config.defaults.umask),
        .uid = fs->config.defaults.uid,
        .gid = fs->config.defaults.gid,
        .mtime = fs->started,
    };
    fs->tree.root->attr_known = true;
    fs->tree.root->until_ms = UINT64_MAX;
    if (dir >= 0 && ou_read_file(dir, FILE_NAME, FILE_MAX, &text, &err) == 0)
        read_attr(ou_buf_str(&text), text.len, attr);
}

static int save(struct fs *fs, const struct spool_attr *attr, struct ou_error *err)
{
    ou_autoclose int dir = open(spool_dir(fs->spool), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ou_auto(ou_buf_fini) struct ou_buf text = {.data = NULL};
    int r;

    if (dir < 0)
        return ou_error_set(err, errno, "%s", spool_dir(fs->spool));
    ou_buf_addf(&text, "{\"mode\":%u,\"uid\":%u,\"gid\":%u,\"mtime\":[%" PRIu64 ",%ld]",
                attr->mode & 07777u, attr->uid, attr->gid, (uint64_t)attr->mtime.tv_sec,
                attr->mtime.tv_nsec);
    if (attr->has_atime)
        ou_buf_addf(&text, ",\"atime\":[%" PRIu64 ",%ld]", (uint64_t)attr->atime.tv_sec,
                    attr->atime.tv_nsec);
    ou_buf_adds(&text, "}\n");
    r = ou_buf_check(&text, err);
    return r < 0 ? r : ou_file_replace(dir, FILE_NAME, text.data, text.len, err);
}

int fs_local_root_set(struct fs *fs, const struct spool_attr *attr, unsigned which,
                      struct ou_error *err)
{
    struct fs_inode *root = fs->tree.root;
    struct spool_attr copy;

    {
        ou_lock_scope(&fs->lock);
        if (which & SPOOL_SET_MODE)
            root->attr.mode = S_IFDIR | (attr->mode & 07777);
        if (which & SPOOL_SET_UID)
            root->attr.uid = attr->uid;
        if (which & SPOOL_SET_GID)
            root->attr.gid = attr->gid;
        if (which & SPOOL_SET_MTIME) {
            root->attr.mtime = attr->mtime;
            root->dir->touched = (struct timespec){.tv_sec = 0};
        }
        if (which & SPOOL_SET_ATIME) {
            root->attr.atime = attr->atime;
            root->attr.has_atime = true;
        }
        copy = root->attr; /* its strings are not written, so borrowing them is fine */
    }
    return save(fs, &copy, err);
}

void fs_local_root_keep(struct fs *fs)
{
    struct fs_inode *root = fs->tree.root;
    struct spool_attr copy;
    struct ou_error err;
    struct stat st;

    {
        ou_lock_scope(&fs->lock);
        fs_stat_locked(fs, root, &st);
        copy = root->attr;
        copy.mtime = st.st_mtim;
    }
    if (save(fs, &copy, &err) < 0)
        ou_log_warn(OU_LOG_FS, &err, "the root's times are not kept");
}

/*
 * /proc/self/mounts, one virtual xattr, and stat(2): the daemon answers all of
 * them from memory, so they work with a dead network too.
 */
#include "cli/mounts.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "fs/fs.h"

#include <errno.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

int cli_mounts_each(int (*fn)(void *ctx, const char *mountpoint, struct ou_error *err), void *ctx,
                    struct ou_error *err)
{
    FILE *table = setmntent("/proc/self/mounts", "re");
    char strings[4 * PATH_MAX];
    struct mntent entry;
    int r = 0;

    if (!table)
        return ou_error_set(err, errno, "/proc/self/mounts");
    while (r == 0 && getmntent_r(table, &entry, strings, sizeof(strings)))
        if (strcmp(entry.mnt_type, "fuse.ossfs-up") == 0)
            r = fn(ctx, entry.mnt_dir, err);
    (void)endmntent(table);
    return r;
}

int cli_mounts_control(const char *path, char **socket, struct ou_error *err)
{
    char value[PATH_MAX];
    ssize_t n = getxattr(path, FS_XATTR_CONTROL, value, sizeof(value) - 1);

    if (n < 0 && (errno == ENODATA || errno == ENOTSUP))
        return ou_error_say(err, ENODATA, "%s is not in a mount of ossfs-up", path);
    if (n < 0 && errno == ENOTCONN)
        return ou_error_say(err, ENOTCONN,
                            "%s: its daemon is gone; run umount -l on the mountpoint and mount "
                            "again: what was closed is in the spool",
                            path);
    if (n < 0)
        return ou_error_set(err, errno, "%s", path);
    value[n] = '\0';
    *socket = strdup(value);
    return *socket ? 0 : ou_error_set(err, ENOMEM, "%s", path);
}

int cli_mounts_relative(const char *path, char **relative, struct ou_error *err)
{
    ou_autofree char *full = realpath(path, NULL);
    ou_autofree char *up = full ? strdup(full) : NULL;
    struct stat here, parent;
    size_t root;

    if (!full || !up || stat(full, &here) < 0)
        return ou_error_set(err, errno, "%s", path);
    root = strlen(up);
    for (;;) { /* up until the device changes: that directory is above the mount */
        char *slash = strrchr(up, '/');

        if (!slash || slash == up)
            break;
        *slash = '\0';
        if (stat(up, &parent) < 0 || parent.st_dev != here.st_dev)
            break;
        root = strlen(up);
    }
    while (full[root] == '/')
        root++;
    if (asprintf(relative, "%s%s", full + root, full[root] && S_ISDIR(here.st_mode) ? "/" : "") <
        0) {
        *relative = NULL;
        return ou_error_set(err, ENOMEM, "%s", path);
    }
    return 0;
}

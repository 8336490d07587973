/*
 * /proc/self/mountinfo, one virtual xattr, and stat(2): the daemon answers all of
 * them from memory, so they work with a dead network too.
 */
#include "cli/mounts.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "fs/fs.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define FSTYPE "fuse.ossfs-up"

/* The kernel writes blank, tab, newline and backslash as \ooo. */
static void unescape(char *s)
{
    char *out = s;

    for (; *s; s++) {
        if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
            *out++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
            s += 3;
        } else {
            *out++ = *s;
        }
    }
    *out = '\0';
}

/* "36 35 98:0 / /mnt rw,noatime shared:1 - fuse.ossfs-up source options": the mountpoint, or NULL. */
static char *mountpoint_of(char *line)
{
    char *type = strstr(line, " - "), *field = line;

    if (!type || strncmp(type + 3, FSTYPE " ", sizeof(FSTYPE)) != 0)
        return NULL;
    for (int i = 0; i < 4; i++) {
        field = strchr(field, ' ');
        if (!field)
            return NULL;
        field++;
    }
    field[strcspn(field, " ")] = '\0';
    unescape(field);
    return field;
}

int cli_mounts_each(int (*fn)(void *ctx, const char *mountpoint, struct ou_error *err), void *ctx,
                    struct ou_error *err)
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    ou_autofree char *line = NULL;
    size_t cap = 0;
    int r = 0;

    if (!f)
        return ou_error_set(err, errno, "/proc/self/mountinfo");
    while (r == 0 && getline(&line, &cap, f) > 0) {
        char *mountpoint = mountpoint_of(line);

        if (mountpoint)
            r = fn(ctx, mountpoint, err);
    }
    (void)fclose(f);
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

/* Told in fs/mountpoint.h. */
#include "fs/mountpoint.h"

#include "base/cleanup.h"

#include <errno.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Is a FUSE filesystem mounted on @path already? */
static bool mounted_on(const char *path)
{
    ou_autofree char *real = realpath(path, NULL);
    FILE *table = setmntent("/proc/self/mounts", "re");
    char strings[4 * PATH_MAX];
    struct mntent entry;
    bool found = false;

    while (table && real && !found && getmntent_r(table, &entry, strings, sizeof(strings)))
        found = strcmp(entry.mnt_dir, real) == 0 && strncmp(entry.mnt_type, "fuse", 4) == 0;
    if (table)
        (void)endmntent(table);
    return found;
}

static bool users_may_allow_other(void)
{
    ou_autofree char *line = NULL;
    FILE *f = fopen("/etc/fuse.conf", "re");
    bool found = false;
    size_t room = 0;

    while (f && !found && getline(&line, &room, f) > 0)
        found = strncmp(line, "user_allow_other", 16) == 0;
    if (f)
        (void)fclose(f);
    return found;
}

static int check_fuse(struct ou_error *err)
{
    if (access("/dev/fuse", F_OK) < 0)
        return ou_error_say(err, ENODEV,
                            "there is no /dev/fuse: load the kernel module (modprobe fuse), or "
                            "give the container the device (--device /dev/fuse)");
    if (access("/dev/fuse", R_OK | W_OK) < 0) /* fusermount3 opens it as us, too */
        return ou_error_say(err, EACCES, "/dev/fuse cannot be opened: %s%s", strerror(errno),
                            geteuid() != 0 ? "; as root: chmod 666 /dev/fuse" : "");
    return 0;
}

int fs_mountpoint_check(const char *path, bool allow_other, struct ou_error *err)
{
    struct stat st;

    if (stat(path, &st) < 0) {
        int e = errno;

        if (e == ENOENT)
            return ou_error_say(err, e, "mountpoint %s does not exist: make it (mkdir -p %s)", path,
                                path);
        if (e == ENOTCONN)
            return ou_error_say(err, e,
                                "mountpoint %s is left over from a mount that has died: unmount "
                                "it (fusermount3 -u %s)",
                                path, path);
        return ou_error_set(err, e, "mountpoint %s", path);
    }
    if (!S_ISDIR(st.st_mode))
        return ou_error_say(err, ENOTDIR, "mountpoint %s is not a directory", path);
    if (mounted_on(path))
        return ou_error_say(err, EBUSY,
                            "mountpoint %s is in use: a FUSE filesystem is mounted there already "
                            "(fusermount3 -u %s)",
                            path, path);
    if (allow_other && geteuid() != 0 && !users_may_allow_other())
        return ou_error_say(err, EPERM,
                            "allow_other: only root may say it, unless /etc/fuse.conf has a line "
                            "user_allow_other");
    return check_fuse(err);
}

int fs_mountpoint_failed(const char *path, const char *message, struct ou_error *err)
{
    int e = errno;

    if (geteuid() != 0 && e == ENOENT)
        return ou_error_say(err, e, "mount %s: fusermount3 is not installed (package fuse3)", path);
    if (!e)
        e = EPERM;
    if (message[0])
        return ou_error_say(err, e, "mount %s: %s", path, message);
    return ou_error_set(err, e, "mount %s", path);
}

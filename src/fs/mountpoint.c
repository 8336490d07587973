/* Told in fs/mountpoint.h. */
#include "fs/mountpoint.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The octal escapes of /proc/self/mountinfo. */
static void unescape(char *s)
{
    char *to = s;

    while (*s) {
        if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
            *to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
            s += 4;
        } else {
            *to++ = *s++;
        }
    }
    *to = '\0';
}

/* Is a FUSE filesystem mounted on @path already? */
static bool mounted_on(const char *path)
{
    ou_autofree char *real = realpath(path, NULL), *line = NULL;
    FILE *f = fopen("/proc/self/mountinfo", "re");
    bool found = false;
    size_t room = 0;

    while (f && real && !found && getline(&line, &room, f) > 0) {
        char *save = NULL, *field = strtok_r(line, " ", &save), *point = NULL, *dash;

        for (int i = 0; field && i < 4; i++)
            point = field = strtok_r(NULL, " ", &save);
        dash = save ? strstr(save, "- ") : NULL;
        if (!point || !dash)
            continue;
        unescape(point);
        found = strcmp(point, real) == 0 && strncmp(dash + 2, "fuse", 4) == 0;
    }
    if (f)
        (void)fclose(f);
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

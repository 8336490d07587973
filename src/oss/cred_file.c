/*
 * Reading files that hold secrets. See oss/cred_file.h.
 *
 * The mode is that of the file that was opened, so that nobody can swap it between the look and the
 * reading. Opened without waiting: a FIFO in the place of the file must not stop the mount.
 */
#include "oss/cred_file.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MODE_FORBIDDEN 0137 /* execute for anybody, write for the group, anything for others */
#define PASSWD_BUFFER  4096 /* for getpwuid_r(); real entries have a hundred bytes */

static int check_file(const char *path, const struct stat *st, bool secret, struct ou_error *err)
{
    unsigned mode = st->st_mode & 07777u;

    if (!S_ISREG(st->st_mode))
        return ou_error_say(err, EBADMSG, "%s: not a regular file", path);
    if (secret && (mode & MODE_FORBIDDEN) != 0)
        return ou_error_say(err, EACCES,
                            "%s: mode %04o does not keep its keys secret; run chmod 600 on it",
                            path, mode);
    if (st->st_size > OSS_CRED_FILE_MAX)
        return ou_error_say(err, EFBIG, "%s: larger than %u bytes", path, OSS_CRED_FILE_MAX);
    return 0;
}

int oss_cred_file_read(const char *path, bool secret, struct oss_cred_text *out,
                       struct ou_error *err)
{
    ou_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    ssize_t got;
    int r;

    if (fd < 0)
        return ou_error_set(err, errno, "%s", path);
    if (fstat(fd, &st) < 0)
        return ou_error_set(err, errno, "%s", path);
    r = check_file(path, &st, secret, err);
    if (r < 0)
        return r;
    r = oss_cred_text_init(out, (size_t)st.st_size, err);
    if (r < 0)
        return r;
    got = ou_pread_full(fd, out->data, out->room, 0, err);
    if (got >= 0)
        out->len = (size_t)got;
    if (got >= 0 && strlen(out->data) == out->len)
        return 0;
    oss_cred_text_fini(out);
    if (got >= 0)
        return ou_error_say(err, EBADMSG, "%s: not a text file", path);
    return ou_error_prefix(err, "%s", path);
}

int oss_cred_home_path(const char *relative, char out[PATH_MAX], struct ou_error *err)
{
    const char *home = getenv("HOME");
    char buffer[PASSWD_BUFFER];
    struct passwd entry, *found = NULL;

    if (!home || *home != '/') { /* mount(8) at boot sets none */
        (void)getpwuid_r(geteuid(), &entry, buffer, sizeof(buffer), &found);
        if (!found)
            return ou_error_say(err, ENOENT, "no home directory: HOME is not set");
        home = found->pw_dir;
    }
    if (snprintf(out, PATH_MAX, "%s/%s", home, relative) >= PATH_MAX)
        return ou_error_set(err, ENAMETOOLONG, "%s/%s", home, relative);
    return 0;
}

bool oss_cred_file_exists(const char *path)
{
    return faccessat(AT_FDCWD, path, F_OK, AT_EACCESS) == 0 || errno == EACCES;
}

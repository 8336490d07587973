/*
 * A spool that nobody has mounted: its sidecars are read and nothing is changed.
 */
#include "spool/internal.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef void list_fn(void *ctx, const struct spool_listed *item);

static const char *state_of(int dirfd, const struct spool_sidecar *s)
{
    if (s->doubtful || !spool_data_intact(dirfd, s))
        return "damaged";
    if (spool_was_open(dirfd, s))
        return "open";
    return s->failed.errnum ? "failed" : "pending";
}

static void list_sidecar(int dirfd, const char *name, const char *id, const char *boot, list_fn *fn,
                         void *ctx)
{
    ou_auto(spool_sidecar_fini) struct spool_sidecar s = {0};
    struct ou_error err = OU_ERROR_INIT;
    struct spool_listed item = {
        .id = id, .key = "", .state = "damaged", .error = "", .upload_id = ""};

    if (spool_sidecar_load(dirfd, name, boot, &s, NULL, &err) < 0) {
        if (err.errnum == ENOENT)
            return; /* published meanwhile */
        item.error = err.message;
        item.key = s.key ? s.key : "";
        fn(ctx, &item);
        return;
    }
    if (s.unlinked || (!spool_sidecar_pending(&s) && !spool_was_open(dirfd, &s)))
        return; /* it is over; the next mount clears it away */
    item.key = s.key;
    item.state = state_of(dirfd, &s);
    item.size = s.size;
    item.error = s.failed.message;
    item.upload_id = s.upload.upload_id;
    item.changed = (time_t)s.time;
    fn(ctx, &item);
}

static void list_orphan(int dirfd, const char *name, const char *id, list_fn *fn, void *ctx)
{
    char sidecar[SPOOL_ID_SIZE + sizeof(SPOOL_SIDECAR_SUFFIX)];
    struct spool_listed item = {.id = id,
                                .key = "",
                                .state = "damaged",
                                .error = "data without a sidecar: its name is not known",
                                .upload_id = ""};
    struct stat st;

    (void)snprintf(sidecar, sizeof(sidecar), "%s" SPOOL_SIDECAR_SUFFIX, id);
    if (faccessat(dirfd, sidecar, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
        fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    item.size = (uint64_t)st.st_size;
    item.changed = st.st_mtime;
    fn(ctx, &item);
}

int spool_list_dir(const char *path, list_fn *fn, void *ctx, struct ou_error *err)
{
    DIR *dir = opendir(path);
    char boot[SPOOL_BOOT_SIZE], id[SPOOL_ID_SIZE];
    struct dirent *e;
    int r = 0;

    if (!dir)
        return ou_error_set(err, errno, "read the spool %s", path);
    spool_read_boot_id(boot);
    while (errno = 0, (e = readdir(dir)) != NULL) {
        if (spool_id_of(e->d_name, SPOOL_SIDECAR_SUFFIX, id))
            list_sidecar(dirfd(dir), e->d_name, id, boot, fn, ctx);
        else if (spool_id_of(e->d_name, ".data", id))
            list_orphan(dirfd(dir), e->d_name, id, fn, ctx);
    }
    if (errno)
        r = ou_error_set(err, errno, "read the spool %s", path);
    (void)closedir(dir);
    return r;
}

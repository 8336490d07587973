/*
 * A checkpoint that cannot be read may own anything: that is an error, and nothing is aborted.
 */
#include "cli/owned.h"

#include "base/cleanup.h"
#include "cli/spools.h"
#include "spool/spool.h"
#include "transfer/checkpoint.h"
#include "transfer/registry.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct collecting {
    struct cli_owned *owned;
    bool failed;
};

void cli_owned_fini(struct cli_owned *owned)
{
    for (size_t i = 0; i < owned->count; i++)
        free(owned->ids[i]);
    free(owned->ids);
    memset(owned, 0, sizeof(*owned));
}

/* Return: false: no memory. */
static bool add(struct cli_owned *owned, const char *upload_id)
{
    char **grown = realloc(owned->ids, (owned->count + 1) * sizeof(*grown)), *id;

    if (!grown)
        return false;
    owned->ids = grown;
    id = strdup(upload_id);
    if (!id)
        return false;
    owned->ids[owned->count++] = id;
    return true;
}

bool cli_owned_has(const struct cli_owned *owned, const char *upload_id)
{
    for (size_t i = 0; i < owned->count; i++)
        if (strcmp(owned->ids[i], upload_id) == 0)
            return true;
    return false;
}

/* -- spools -- */

static void take(void *ctx, const struct spool_listed *item)
{
    struct collecting *c = ctx;

    if (item->upload_id && item->upload_id[0] && !add(c->owned, item->upload_id))
        c->failed = true;
}

static int collect_dir(void *ctx, const char *dir, struct ou_error *err)
{
    return spool_list_dir(dir, take, ctx, err);
}

int cli_owned_spools(const char *spool, struct cli_owned *owned, struct ou_error *err)
{
    struct collecting c = {.owned = owned};
    int r = cli_spools_each(spool, collect_dir, &c, err);

    if (r == -ENOENT)
        return 0;
    if (r == 0 && c.failed)
        return ou_error_set(err, ENOMEM, "upload ids in %s", spool);
    return r;
}

/* -- checkpoints -- */

static int take_checkpoint(void *ctx, const char *path, struct ou_error *err)
{
    struct cli_owned *owned = ctx;
    struct ou_error why = OU_ERROR_INIT;
    char upload_id[OSS_UPLOAD_ID_SIZE];
    int r = xfer_checkpoint_upload_id(path, upload_id, &why);

    if (r == -ENOENT)
        return 0; /* it has ended just now */
    if (r < 0) {
        *err = why;
        return ou_error_prefix(err, "%s: what it owns is not known, so nothing is aborted", path);
    }
    if (upload_id[0] && !add(owned, upload_id))
        return ou_error_set(err, ENOMEM, "%s", path);
    return 0;
}

int cli_owned_registry(const char *registry, struct cli_owned *owned, struct ou_error *err)
{
    return xfer_registry_each(registry, take_checkpoint, owned, err);
}

static int is_checkpoint(const struct dirent *e)
{
    return xfer_checkpoint_is_name(e->d_name);
}

int cli_owned_directory(const char *dir, struct cli_owned *owned, struct ou_error *err)
{
    struct dirent **entries = NULL;
    int count = scandir(dir, &entries, is_checkpoint, alphasort), r = 0;

    if (count < 0)
        return ou_error_set(err, errno, "checkpoint directory %s", dir);
    for (int i = 0; i < count; i++) {
        ou_autofree char *path = NULL;

        if (r == 0 && asprintf(&path, "%s/%s", dir, entries[i]->d_name) < 0) {
            path = NULL;
            r = ou_error_set(err, ENOMEM, "checkpoint directory %s", dir);
        }
        if (r == 0)
            r = take_checkpoint(owned, path, err);
        free(entries[i]);
    }
    free(entries);
    return r;
}

char *cli_registry_dir(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char *dir = NULL;
    int r;

    if (state && state[0] == '/')
        r = asprintf(&dir, "%s/ossfs-up/put", state);
    else if (geteuid() == 0)
        return strdup("/var/lib/ossfs-up/put");
    else
        r = asprintf(&dir, "%s/.local/state/ossfs-up/put", home ? home : "");
    return r < 0 ? NULL : dir;
}

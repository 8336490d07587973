#include "cli/owned.h"

#include "base/cleanup.h"
#include "cli/spools.h"
#include "spool/spool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

static void take(void *ctx, const struct spool_listed *item)
{
    struct collecting *c = ctx;
    char **grown, *id;

    if (!item->upload_id || !item->upload_id[0])
        return;
    id = strdup(item->upload_id);
    grown = realloc(c->owned->ids, (c->owned->count + 1) * sizeof(*grown));
    if (grown)
        c->owned->ids = grown;
    if (!id || !grown) {
        free(id);
        c->failed = true;
        return;
    }
    c->owned->ids[c->owned->count++] = id;
}

static int collect_dir(void *ctx, const char *dir, struct ou_error *err)
{
    return spool_list_dir(dir, take, ctx, err);
}

int cli_owned_collect(const char *spool, struct cli_owned *owned, struct ou_error *err)
{
    struct collecting c = {.owned = owned};
    int r = cli_spools_each(spool, collect_dir, &c, err);

    if (r == -ENOENT)
        return 0;
    if (r == 0 && c.failed)
        return ou_error_set(err, ENOMEM, "upload ids in %s", spool);
    return r;
}

bool cli_owned_has(const struct cli_owned *owned, const char *upload_id)
{
    for (size_t i = 0; i < owned->count; i++)
        if (strcmp(owned->ids[i], upload_id) == 0)
            return true;
    return false;
}

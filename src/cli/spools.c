#include "cli/spools.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int is_subdirectory(const struct dirent *e)
{
    return e->d_name[0] != '.' && (e->d_type == DT_DIR || e->d_type == DT_UNKNOWN);
}

int cli_spools_each(const char *spool, int (*fn)(void *ctx, const char *dir, struct ou_error *err),
                    void *ctx, struct ou_error *err)
{
    struct dirent **entries = NULL;
    int count = scandir(spool, &entries, is_subdirectory, alphasort), r = 0;

    if (count < 0)
        return ou_error_set(err, errno, "spool %s", spool);
    for (int i = 0; i < count; i++) {
        ou_autofree char *dir = NULL;

        if (r == 0 && asprintf(&dir, "%s/%s", spool, entries[i]->d_name) < 0) {
            dir = NULL;
            r = ou_error_set(err, ENOMEM, "spool %s", spool);
        }
        if (r == 0)
            r = fn(ctx, dir, err);
        free(entries[i]);
    }
    free(entries);
    return r;
}

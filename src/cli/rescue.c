#include "cli/rescue.h"

#include "base/cleanup.h"
#include "cli/session.h"
#include "cli/spools.h"
#include "spool/spool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct found {
    char *dir, *id, *key;
};

/* The staged files that are meant, collected before anything is done to them. */
struct choice {
    const char *const *ids;
    size_t id_count;
    const char *dir; /* being listed */
    struct found *found;
    size_t count;
    bool failed;
};

static void choice_fini(struct choice *c)
{
    for (size_t i = 0; i < c->count; i++) {
        free(c->found[i].dir);
        free(c->found[i].id);
        free(c->found[i].key);
    }
    free(c->found);
}

static bool is_meant(const struct choice *c, const char *id)
{
    for (size_t i = 0; i < c->id_count; i++)
        if (strcmp(c->ids[i], id) == 0)
            return true;
    return c->id_count == 0;
}

static void take(void *ctx, const struct spool_listed *item)
{
    struct choice *c = ctx;
    struct found *grown, f;

    if (!is_meant(c, item->id))
        return;
    f = (struct found){strdup(c->dir), strdup(item->id), strdup(item->key)};
    grown = realloc(c->found, (c->count + 1) * sizeof(*grown));
    if (grown)
        c->found = grown;
    if (!grown || !f.dir || !f.id || !f.key) {
        free(f.dir);
        free(f.id);
        free(f.key);
        c->failed = true;
        return;
    }
    c->found[c->count++] = f;
}

static int take_dir(void *ctx, const char *dir, struct ou_error *err)
{
    struct choice *c = ctx;

    c->dir = dir;
    return spool_list_dir(dir, take, ctx, err);
}

static int choose(const char *spool, struct choice *c, struct ou_error *err)
{
    int r = cli_spools_each(spool, take_dir, c, err);

    if (r < 0 && r != -ENOENT) /* never used: nothing waits */
        return r;
    if (c->failed)
        return ou_error_set(err, ENOMEM, "spool %s", spool);
    if (c->count == 0 && c->id_count == 0)
        return ou_error_say(err, ENOENT, "nothing waits in %s; -o spool=DIR names another spool",
                            spool);
    if (c->count < c->id_count)
        return ou_error_say(err, ENOENT,
                            "%s has no such staged file; ossfs-up spool list shows all", spool);
    return 0;
}

int cli_rescue_export(const char *spool, const char *const *ids, size_t count, const char *to,
                      struct ou_error *err)
{
    ou_auto(choice_fini) struct choice c = {.ids = ids, .id_count = count};
    int r = choose(spool, &c, err), worst = 0;

    if (r < 0)
        return r;
    for (size_t i = 0; i < c.count; i++) {
        ou_autofree char *path = NULL;
        struct ou_error why;
        uint64_t missing;

        if (spool_export(c.found[i].dir, c.found[i].id, to, &path, &missing, &why) < 0) {
            *err = why;
            worst = -why.errnum;
            if (i + 1 < c.count)
                cli_say(&why); /* the others are worth having all the same */
            continue;
        }
        (void)printf("%s\n", path);
        if (missing > 0)
            (void)fprintf(stderr,
                          "ossfs-up: %s: %" PRIu64
                          " bytes are only in the object in the bucket and "
                          "are zeros here\n",
                          path, missing);
    }
    return worst;
}

static bool confirmed(const struct choice *c)
{
    char answer[16] = "";

    for (size_t i = 0; i < c->count; i++)
        (void)printf("%s %s\n", c->found[i].id, c->found[i].key);
    (void)printf("throw away these %zu staged files for good? [y/N] ", c->count);
    (void)fflush(stdout);
    return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

int cli_rescue_discard(const char *spool, const char *const *ids, size_t count, bool yes,
                       struct ou_error *err)
{
    ou_auto(choice_fini) struct choice c = {.ids = ids, .id_count = count};
    int r;

    if (count == 0)
        return ou_error_say(err, EINVAL,
                            "name the ids to throw away; ossfs-up spool list shows "
                            "them");
    r = choose(spool, &c, err);
    if (r < 0)
        return r;
    if (!yes && !isatty(STDIN_FILENO))
        return ou_error_say(err, EINVAL,
                            "nothing is thrown away without a terminal to ask on; --yes does it");
    if (!yes && !confirmed(&c))
        return ou_error_say(err, ECANCELED, "nothing was thrown away");
    for (size_t i = 0; i < c.count && r == 0; i++)
        r = spool_discard(c.found[i].dir, c.found[i].id, err);
    return r;
}

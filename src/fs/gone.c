/* A table by key, and a list by age; told in fs/gone.h. */
#include "fs/gone.h"

#include <stdlib.h>
#include <string.h>

struct fs_gone_key *fs_gone_find(const struct fs_gone *g, const char *key)
{
    struct fs_link *link = fs_table_find(&g->table, fs_hash(key, strlen(key), 0));

    for (; link; link = fs_table_next(link)) {
        struct fs_gone_key *k = fs_container(link, struct fs_gone_key, link);

        if (strcmp(k->key, key) == 0)
            return k;
    }
    return NULL;
}

static void drop(struct fs_gone *g, struct fs_gone_key *k)
{
    *(k->newer ? &k->newer->older : &g->newest) = k->older;
    *(k->older ? &k->older->newer : &g->oldest) = k->newer;
    fs_table_remove(&g->table, &k->link);
    free(k);
}

void fs_gone_fini(struct fs_gone *g)
{
    while (g->oldest)
        drop(g, g->oldest);
    fs_table_fini(&g->table);
}

void fs_gone_remove(struct fs_gone *g, const char *key)
{
    struct fs_gone_key *k = fs_gone_find(g, key);

    if (k)
        drop(g, k);
}

void fs_gone_add(struct fs_gone *g, const char *key, bool subtree, uint64_t now_ms)
{
    size_t len = strlen(key);
    struct fs_gone_key *k;

    fs_gone_remove(g, key);
    k = calloc(1, sizeof(*k) + len + 1);
    if (!k)
        return;
    memcpy(k->key, key, len + 1);
    k->subtree = subtree;
    k->added_ms = now_ms;
    k->older = g->newest;
    *(g->newest ? &g->newest->newer : &g->oldest) = k;
    g->newest = k;
    fs_table_add(&g->table, &k->link, fs_hash(key, len, 0));
    while (g->table.count > FS_GONE_MAX)
        drop(g, g->oldest);
}

void fs_gone_again(struct fs_gone *g, const char *key, uint64_t now_ms)
{
    char *dir = strdup(key), *slash;

    fs_gone_add(g, key, false, now_ms);
    while (dir && (slash = strrchr(dir, '/')) != NULL) {
        struct fs_gone_key *k;

        slash[1] = '\0';
        k = fs_gone_find(g, dir);
        if (k && k->subtree)
            k->confirmed_ms = 0;
        *slash = '\0';
    }
    free(dir);
}

bool fs_gone_hides(struct fs_gone_key *k, bool pending, uint64_t begun_ms, uint64_t now_ms)
{
    if (pending)
        return true;
    if (!k->confirmed_ms)
        k->confirmed_ms = now_ms;
    return begun_ms <= k->confirmed_ms;
}

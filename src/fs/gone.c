/* Two tables by key, each with a list by age; told in fs/gone.h. */
#include "fs/gone.h"

#include <stdlib.h>
#include <string.h>

static struct fs_gone_key *find(const struct fs_gone_set *s, const char *key, size_t len)
{
    struct fs_link *link = fs_table_find(&s->table, fs_hash(key, len, 0));

    for (; link; link = fs_table_next(link)) {
        struct fs_gone_key *k = fs_container(link, struct fs_gone_key, link);

        if (strncmp(k->key, key, len) == 0 && k->key[len] == '\0')
            return k;
    }
    return NULL;
}

static void order_out(struct fs_gone_set *s, struct fs_gone_key *k)
{
    *(k->newer ? &k->newer->older : &s->newest) = k->older;
    *(k->older ? &k->older->newer : &s->oldest) = k->newer;
}

static void order_in(struct fs_gone_set *s, struct fs_gone_key *k)
{
    k->older = s->newest;
    k->newer = NULL;
    *(s->newest ? &s->newest->newer : &s->oldest) = k;
    s->newest = k;
}

static void drop(struct fs_gone_set *s, struct fs_gone_key *k)
{
    order_out(s, k);
    fs_table_remove(&s->table, &k->link);
    free(k);
}

/* The entry of @key, pending from now on and the youngest; NULL: no memory. */
static struct fs_gone_key *note(struct fs_gone_set *s, const char *key, size_t len, uint64_t now_ms)
{
    struct fs_gone_key *k = find(s, key, len);

    if (k) {
        order_out(s, k);
    } else {
        k = calloc(1, sizeof(*k) + len + 1);
        if (!k)
            return NULL;
        memcpy(k->key, key, len);
        fs_table_add(&s->table, &k->link, fs_hash(key, len, 0));
    }
    order_in(s, k);
    k->added_ms = now_ms;
    k->confirmed_ms = 0;
    while (s->table.count > FS_GONE_MAX)
        drop(s, s->oldest);
    return k;
}

struct fs_gone_key *fs_gone_find(const struct fs_gone *g, const char *key)
{
    return find(&g->keys, key, strlen(key));
}

struct fs_gone_key *fs_gone_find_dir(const struct fs_gone *g, const char *key)
{
    return find(&g->dirs, key, strlen(key));
}

void fs_gone_fini(struct fs_gone *g)
{
    while (g->keys.oldest)
        drop(&g->keys, g->keys.oldest);
    while (g->dirs.oldest)
        drop(&g->dirs, g->dirs.oldest);
    fs_table_fini(&g->keys.table);
    fs_table_fini(&g->dirs.table);
}

void fs_gone_add(struct fs_gone *g, const char *key, uint64_t now_ms)
{
    (void)note(&g->keys, key, strlen(key), now_ms);
    for (const char *slash = strchr(key, '/'); slash; slash = strchr(slash + 1, '/'))
        (void)note(&g->dirs, key, (size_t)(slash - key) + 1, now_ms);
}

void fs_gone_add_dir(struct fs_gone *g, const char *key, uint64_t now_ms)
{
    struct fs_gone_key *k;

    fs_gone_add(g, key, now_ms);
    k = fs_gone_find_dir(g, key);
    if (!k)
        return;
    k->removed = true;
    k->remade = false;
}

void fs_gone_made(struct fs_gone *g, const char *key)
{
    struct fs_gone_key *k = fs_gone_find(g, key);

    if (k)
        drop(&g->keys, k);
    for (const char *slash = strchr(key, '/'); slash; slash = strchr(slash + 1, '/')) {
        k = find(&g->dirs, key, (size_t)(slash - key) + 1);
        if (!k || !k->removed)
            continue;
        k->removed = false;
        k->remade = true;
    }
}

bool fs_gone_remade(const struct fs_gone *g, const char *key)
{
    for (const char *slash = strchr(key, '/'); slash; slash = strchr(slash + 1, '/')) {
        const struct fs_gone_key *k = find(&g->dirs, key, (size_t)(slash - key) + 1);

        if (k && k->remade)
            return true;
    }
    return false;
}

bool fs_gone_hides(struct fs_gone_key *k, bool pending, uint64_t begun_ms, uint64_t now_ms)
{
    if (pending)
        return true;
    if (!k->confirmed_ms)
        k->confirmed_ms = now_ms;
    return begun_ms <= k->confirmed_ms;
}

/* Lists threaded through the inodes by .older and .newer; .lru_list tells in which one is. */
#include "fs/lru.h"

#include "fs/tree.h"

static void out(struct fs_lru *lru, struct fs_inode *i)
{
    struct fs_lru_ends *l = &lru->lists[i->lru_list];

    *(i->newer ? &i->newer->older : &l->newest) = i->older;
    *(i->older ? &i->older->newer : &l->oldest) = i->newer;
    i->older = i->newer = NULL;
    l->count--;
    i->lru_list = FS_LRU_NONE;
}

static void in(struct fs_lru *lru, struct fs_inode *i, enum fs_lru_list list)
{
    struct fs_lru_ends *l = &lru->lists[list];

    i->older = l->newest;
    i->newer = NULL;
    *(l->newest ? &l->newest->newer : &l->oldest) = i;
    l->newest = i;
    l->count++;
    i->lru_list = list;
}

void fs_lru_use(struct fs_lru *lru, struct fs_inode *i)
{
    fs_lru_remove(lru, i);
    if (lru->dirs || !i->dir)
        in(lru, i, i->opened ? FS_LRU_OPENED : FS_LRU_SEEN);
}

void fs_lru_open(struct fs_lru *lru, struct fs_inode *i)
{
    i->opened = true;
    if (i->lru_list)
        fs_lru_use(lru, i);
}

void fs_lru_remove(struct fs_lru *lru, struct fs_inode *i)
{
    if (i->lru_list)
        out(lru, i);
}

size_t fs_lru_count(const struct fs_lru *lru)
{
    return lru->lists[FS_LRU_SEEN].count + lru->lists[FS_LRU_OPENED].count;
}

struct fs_lru_scan fs_lru_scan(const struct fs_lru *lru)
{
    struct fs_lru_scan scan = {.left = {0}};

    for (int list = FS_LRU_SEEN; list < FS_LRU_LISTS; list++)
        scan.left[list] = lru->lists[list].count;
    return scan;
}

struct fs_inode *fs_lru_next(struct fs_lru *lru, struct fs_lru_scan *scan)
{
    bool opened = lru->lists[FS_LRU_OPENED].count > lru->lists[FS_LRU_SEEN].count;
    const enum fs_lru_list order[] = {opened ? FS_LRU_OPENED : FS_LRU_SEEN,
                                      opened ? FS_LRU_SEEN : FS_LRU_OPENED};

    for (size_t o = 0; o < sizeof(order) / sizeof(*order); o++) {
        struct fs_inode *i = lru->lists[order[o]].oldest;

        if (!i || !scan->left[order[o]])
            continue;
        scan->left[order[o]]--;
        fs_lru_use(lru, i);
        return i;
    }
    return NULL;
}

/* Open addressing, linear probing; at most three quarters full; no tombstones. */
#include "fs/attrs_index.h"

#include <stdlib.h>
#include <string.h>

#define SIZE_MIN 64u

static uint64_t used(uint64_t hash) /* 0 means free */
{
    return hash ? hash : 1;
}

void fs_attrs_index_fini(struct fs_attrs_index *ix)
{
    free(ix->slots);
    ou_buf_fini(&ix->removed);
    *ix = (struct fs_attrs_index){.slots = NULL};
}

/* Where @hash is, or would be. */
static size_t place(const struct fs_attrs_index *ix, uint64_t hash)
{
    size_t at = hash & (ix->size - 1);

    while (ix->slots[at].hash && ix->slots[at].hash != hash)
        at = (at + 1) & (ix->size - 1);
    return at;
}

static bool grow(struct fs_attrs_index *ix)
{
    struct fs_attrs_index larger = {.size = ix->size ? ix->size * 2 : SIZE_MIN};

    larger.slots = calloc(larger.size, sizeof(*larger.slots));
    if (!larger.slots)
        return false;
    for (size_t i = 0; i < ix->size; i++)
        if (ix->slots[i].hash)
            larger.slots[place(&larger, ix->slots[i].hash)] = ix->slots[i];
    free(ix->slots);
    ix->slots = larger.slots;
    ix->size = larger.size;
    return true;
}

void fs_attrs_index_set(struct fs_attrs_index *ix, uint64_t hash, uint64_t offset)
{
    struct fs_attrs_slot *slot;

    if (ix->count + 1 > ix->size - ix->size / 4 && !grow(ix)) {
        fs_attrs_index_remove(ix, hash);
        return;
    }
    slot = &ix->slots[place(ix, used(hash))];
    if (!slot->hash)
        ix->count++;
    *slot = (struct fs_attrs_slot){.hash = used(hash), .offset = offset};
}

bool fs_attrs_index_get(const struct fs_attrs_index *ix, uint64_t hash, uint64_t *offset)
{
    size_t at;

    if (!ix->count)
        return false;
    at = place(ix, used(hash));
    *offset = ix->slots[at].offset;
    return ix->slots[at].hash != 0;
}

/* Those behind @hole move up that are looked for from it or before. */
static void close_up(struct fs_attrs_index *ix, size_t hole)
{
    size_t mask = ix->size - 1;

    for (size_t at = (hole + 1) & mask; ix->slots[at].hash; at = (at + 1) & mask) {
        size_t home = ix->slots[at].hash & mask;

        if (((at - home) & mask) < ((at - hole) & mask))
            continue;
        ix->slots[hole] = ix->slots[at];
        hole = at;
    }
    ix->slots[hole] = (struct fs_attrs_slot){.hash = 0};
}

void fs_attrs_index_remove(struct fs_attrs_index *ix, uint64_t hash)
{
    size_t at;

    hash = used(hash);
    if (ix->watching)
        ou_buf_add(&ix->removed, &hash, sizeof(hash));
    if (!ix->count)
        return;
    at = place(ix, hash);
    if (!ix->slots[at].hash)
        return;
    ix->count--;
    close_up(ix, at);
}

void fs_attrs_index_watch(struct fs_attrs_index *ix)
{
    ou_buf_clear(&ix->removed);
    ix->watching = true;
}

void fs_attrs_index_unwatch(struct fs_attrs_index *ix)
{
    ou_buf_clear(&ix->removed);
    ix->watching = false;
}

bool fs_attrs_index_replace(struct fs_attrs_index *ix, struct fs_attrs_index *with)
{
    const char *at = ix->removed.data, *end = at ? at + ix->removed.len : NULL;
    uint64_t hash;

    ix->watching = false;
    if (ix->removed.failed)
        return false;
    for (; at < end; at += sizeof(hash)) {
        memcpy(&hash, at, sizeof(hash));
        fs_attrs_index_remove(with, hash);
    }
    fs_attrs_index_fini(ix);
    *ix = *with;
    *with = (struct fs_attrs_index){.slots = NULL};
    return true;
}

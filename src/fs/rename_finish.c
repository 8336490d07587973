/*
 * Renames that a crash has cut short, at the next mount.
 *
 * Of an object: if it is as it was, and the new name has a copy of it (the same bytes and the
 * same metadata), the copy had been made, and the old name goes; else the old name stands.
 */
#include "fs/rename.h"

#include "base/log.h"
#include "fs/fetch.h"
#include "fs/rename_impl.h"
#include "fs/rename_journal.h"
#include "fs/rename_whole.h"
#include "fs/resolve.h"
#include "fs/stage.h"
#include "oss/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool same_metadata(const struct oss_object *a, const struct oss_object *b)
{
    if (a->meta_count != b->meta_count || strcmp(a->content_type, b->content_type) != 0)
        return false;
    for (size_t i = 0; i < a->meta_count; i++) {
        const char *value = oss_object_meta(b, a->meta[i].name);

        if (!value || strcmp(value, a->meta[i].value) != 0)
            return false;
    }
    return true;
}

/* A copy of a multipart object may have another ETag; its CRC-64 is the same. */
static bool is_copy(const struct oss_object *from, const struct oss_object *to)
{
    if (from->size != to->size || strcmp(from->type, to->type) != 0 || !same_metadata(from, to))
        return false;
    return (from->has_crc64 && to->has_crc64 && from->crc64 == to->crc64) ||
           strcmp(from->etag, to->etag) == 0;
}

static bool is_pending(struct fs *fs, const char *key)
{
    return spool_is_deleted(fs->spool, key) || fs_mover_made_since(fs, key);
}

int fs_rename_target(struct fs *fs, const char *from, const char *to, const struct fs_call *call,
                     struct ou_error *err)
{
    ou_auto(oss_object_fini) struct oss_object source = {.size = 0}, target = {.size = 0};
    struct oss_call oss = fs_oss_call(call);
    int r;

    if (is_pending(fs, to))
        return FS_TARGET_TAKEN;
    r = oss_head_object(fs->client, &oss, to, &target, err);
    if (r == 1)
        r = oss_head_object(fs->client, &oss, from, &source, err);
    else if (r == 0)
        return FS_TARGET_FREE;
    if (r < 0)
        return r;
    return r == 1 && is_copy(&source, &target) ? FS_TARGET_COPIED : FS_TARGET_TAKEN;
}

/* Return: 1 the copy had been made, 0 it had not, or something else is there by now. */
static int was_copied(struct fs *fs, const struct fs_rename_left *left, struct ou_error *err)
{
    ou_auto(oss_object_fini) struct oss_object from = {.size = 0}, to = {.size = 0};
    struct fs_call call = fs_call_own(fs);
    struct oss_call oss = fs_oss_call(&call);
    int r = oss_head_object(fs->client, &oss, left->from, &from, err);

    if (r == 1 && strcmp(from.etag, left->etag) != 0)
        return 0;
    if (r == 1)
        r = oss_head_object(fs->client, &oss, left->to, &to, err);
    return r == 1 ? is_copy(&from, &to) : r;
}

/* The name @key is gone: the tree and the kernel hear of it. */
static void forget_name(struct fs *fs, const char *key)
{
    const char *slash = strrchr(key, '/'), *name = slash ? slash + 1 : key;
    ou_autofree char *dir = strndup(key, (size_t)(name - key));
    struct fs_inode *parent;
    uint64_t id;

    {
        ou_lock_scope(&fs->lock);
        fs_gone_add(&fs->gone, key, ou_now_ms());
        parent = dir && strlen(dir) >= strlen(fs->prefix) ? fs_walk_locked(fs, dir) : NULL;
        if (!parent || !parent->dir)
            return;
        fs_listing_change(&parent->dir->listing, name, FS_ABSENT, NULL, ou_now_ms(),
                          fs_trust_until(fs));
        id = parent->id;
    }
    fs_notify_entry(fs, id, name);
}

static int finish_object(struct fs *fs, const struct fs_rename_left *left, struct ou_error *err)
{
    struct fs_call call = fs_call_own(fs);
    struct spool_file *file;
    int r;

    /* Deleted since, or something newer has that name. */
    if (spool_is_deleted(fs->spool, left->from) || fs_mover_made_since(fs, left->to))
        return 0;
    r = was_copied(fs, left, err);
    if (r <= 0)
        return r;
    if (spool_find(fs->spool, left->from, &file)) { /* changed, and not uploaded yet */
        r = fs_rename_file(file, left->to, &call, err);
        if (r == 0)
            fs_stage_again(fs, file);
        spool_file_unref(file);
    } else {
        r = spool_delete(fs->spool, left->from, NULL, err);
    }
    if (r == 0)
        forget_name(fs, left->from);
    return r < 0 ? r : 0;
}

struct fs_rename_todo {
    struct fs_rename_left left;
    struct spool_move move; /* begun if .whole */
    bool whole;
    struct fs_rename_todo *next;
};

int fs_find_renames(struct fs *fs, struct ou_error *err)
{
    struct fs_rename_todo **at = &fs->todo;
    struct fs_rename_left left;

    while (fs_renames_left(fs->renames, &left)) {
        struct fs_rename_todo *todo = calloc(1, sizeof(*todo));

        if (!todo) {
            free(left.from);
            free(left.to);
            return ou_error_set(err, ENOMEM, "renames that were cut short");
        }
        todo->left = left;
        todo->whole = strcmp(left.etag, FS_RENAME_WHOLE) == 0;
        todo->move = (struct spool_move){.from = left.from, .to = left.to};
        if (todo->whole)
            spool_move_begin(fs->spool, &todo->move);
        *at = todo;
        at = &todo->next;
    }
    return 0;
}

static void drop_first(struct fs *fs)
{
    struct fs_rename_todo *todo = fs->todo;

    if (todo->whole)
        spool_move_end(fs->spool, &todo->move);
    fs->todo = todo->next;
    free(todo->left.from);
    free(todo->left.to);
    free(todo);
}

void fs_forget_renames(struct fs *fs)
{
    while (fs->todo)
        drop_first(fs);
}

static int finish(struct fs *fs, const struct fs_rename_todo *todo, struct ou_error *err)
{
    const struct fs_rename_left *left = &todo->left;

    if (todo->whole)
        return fs_whole_finish(fs, left->from, left->to, err);
    return *left->etag ? finish_object(fs, left, err)
                       : fs_finish_rename_dir(fs, left->from, left->to, err);
}

void fs_finish_renames(struct fs *fs)
{
    for (; fs->todo; drop_first(fs)) {
        const struct fs_rename_left *left = &fs->todo->left;
        struct ou_error err = OU_ERROR_INIT;

        ou_log_info(OU_LOG_FS, "finishing a rename from=%s to=%s", left->from, left->to);
        if (finish(fs, fs->todo, &err) == 0)
            fs_renames_end(fs->renames, left->id);
        else
            ou_log_error(OU_LOG_FS, &err,
                         "rename stays half done until the next mount from=%s to=%s", left->from,
                         left->to);
    }
}

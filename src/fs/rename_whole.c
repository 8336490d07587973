/* Told in fs/rename_whole.h. */
#include "fs/rename_whole.h"

#include "base/log.h"
#include "fs/resolve.h"
#include "fs/stage.h"
#include "oss/ops.h"
#include "spool/deleted.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOK_MS  UINT64_C(10000) /* how long it is asked what has become of a request */
#define PAUSE_MS UINT64_C(50)

static void pause_a_moment(void)
{
    const struct timespec t = {.tv_nsec = (long)PAUSE_MS * 1000000};

    (void)nanosleep(&t, NULL);
}

/* -- those who ask about names meanwhile -- */

static bool may_go_on(const struct fs_call *call)
{
    return !ou_cancel_triggered(call->cancel) &&
           (!call->deadline_ms || ou_now_ms() < call->deadline_ms);
}

unsigned fs_asking(struct fs *fs)
{
    return spool_moves_begun(fs->spool);
}

bool fs_asked_in_vain(struct fs *fs, const char *key, unsigned *asking, const struct fs_call *call)
{
    bool moving = spool_is_moving(fs->spool, key);

    if (!moving && *asking == spool_moves_begun(fs->spool))
        return false;
    while (spool_is_moving(fs->spool, key) && may_go_on(call))
        pause_a_moment();
    *asking = spool_moves_begun(fs->spool);
    return may_go_on(call);
}

/* -- the request -- */

static bool is_dir_key(const char *key)
{
    return key[strlen(key) - 1] == '/';
}

static char *without_slash(const char *key)
{
    return strndup(key, strlen(key) - is_dir_key(key));
}

/* 1, 0, negative. A directory is found by its name, or by what is in it. */
static int exists(struct fs *fs, const char *key, const struct oss_call *oss, struct ou_error *err)
{
    ou_auto(oss_object_fini) struct oss_object object = {.size = 0};
    ou_auto(oss_list_page_fini) struct oss_list_page page = {.entries = NULL};
    ou_autofree char *name = without_slash(key);
    int r = name ? oss_head_object(fs->client, oss, name, &object, err)
                 : ou_error_set(err, ENOMEM, "%s", key);

    if (r != 0 || !is_dir_key(key))
        return r;
    r = oss_list_objects(fs->client, oss, key, NULL, NULL, NULL, 1, &page, err);
    return r < 0 ? r : page.count > 0;
}

/* 1 it took effect, 0 it did not, negative: not to be learnt. */
static int took_effect(struct fs *fs, const char *from, const char *to, const struct oss_call *oss,
                       struct ou_error *err)
{
    int r = exists(fs, from, oss, err);

    if (r != 0)
        return r < 0 ? r : 0;
    return exists(fs, to, oss, err);
}

/* The directory that @key is in. */
static int make_parent(struct fs *fs, const char *key, const struct oss_call *oss,
                       struct ou_error *err)
{
    ou_autofree char *parent = without_slash(key);
    char *slash = parent ? strrchr(parent, '/') : NULL;

    if (!slash)
        return parent ? 0 : ou_error_set(err, ENOMEM, "%s", key);
    slash[1] = '\0';
    return oss_create_directory(fs->client, oss, parent, NULL, err);
}

/*
 * What is in the way is mended once: the directory that @to is in was made here and is not in the
 * bucket yet, or an empty directory is there still, as its delete has not been sent.
 * Return: 1 try again, 0 or negative: as fs_whole_request().
 */
static int mend(struct fs *fs, const char *to, int why, bool *mended, const struct oss_call *oss,
                struct ou_error *err)
{
    bool missing = why == -ENOENT, taken = why == -EEXIST && is_dir_key(to);
    int r;

    if (*mended || (!missing && !taken))
        return why == -ENOENT || why == -EEXIST || why == -ENOTSUP || why == -EINVAL ? 0 : why;
    *mended = true;
    r = missing ? make_parent(fs, to, oss, err) : oss_delete_directory(fs->client, oss, to, err);
    return r < 0 ? r : 1;
}

int fs_whole_request(struct fs *fs, const char *from, const char *to, const struct fs_call *call,
                     bool *unknown, struct ou_error *err)
{
    const struct oss_call oss = {.cancel = call->cancel};
    bool mended = false;

    *unknown = false;
    for (;;) {
        struct oss_call look = {.deadline_ms = ou_now_ms() + LOOK_MS};
        struct ou_error ignored = OU_ERROR_INIT;
        int r = oss_rename_object(fs->client, &oss, from, to, err), effect;

        if (r == 0)
            return 1;
        if (r != -EINTR && oss_error_verdict(err) == OSS_FINAL) {
            r = mend(fs, to, r, &mended, &oss, err);
            if (r != 1)
                return r;
            continue;
        }
        /* No answer: OSS may have done it. */
        effect = took_effect(fs, from, to, &look, &ignored);
        if (effect == 1)
            return 1;
        *unknown = effect < 0;
        if (effect < 0 || r == -EINTR || ou_cancel_triggered(call->cancel))
            return r;
        pause_a_moment();
        if (call->deadline_ms && ou_now_ms() >= call->deadline_ms)
            return r;
    }
}

/* -- a rename -- */

int fs_whole_begin(struct fs *fs, struct spool_move *move, const struct fs_call *call,
                   struct ou_error *err)
{
    uint64_t patience_ms = ou_now_ms() + fs->config.request_timeout_ms;
    int r;

    if (!oss_client_hierarchical(fs->client))
        return 0;
    {
        ou_lock_scope(&fs->lock); /* they are read, and deleted, under their old names */
        if (fs_doomed_below_locked(fs, move->from))
            return 0;
    }
    if (call->deadline_ms && call->deadline_ms < patience_ms)
        patience_ms = call->deadline_ms;
    spool_move_begin(fs->spool, move);
    r = spool_move_await(fs->spool, move, patience_ms, call->cancel, err);
    if (r == 0)
        return 1;
    spool_move_end(fs->spool, move);
    return r == -EINTR ? r : 0;
}

/* Somebody has begun to write it meanwhile. */
static int move_staged(struct fs *fs, struct fs_move *m, struct ou_error *err)
{
    struct spool_file *file;
    int r;

    if (!fs_stage_held(fs, m->inode, &file))
        return 0;
    r = spool_move_file(file, m->new_key, err);
    fs_stage_done(fs, m->inode, file);
    return r;
}

int fs_whole_object(struct fs *fs, struct fs_move *m, const struct fs_call *call,
                    struct ou_error *err)
{
    struct spool_move move = {.from = m->key, .to = m->new_key};
    struct fs_version version;
    bool unknown;
    int r;

    if (m->over)
        return 0;
    r = fs_whole_begin(fs, &move, call, err);
    if (r != 1)
        return r;
    r = fs_whole_request(fs, m->key, m->new_key, call, &unknown, err);
    if (r == 1) {
        int e = move_staged(fs, m, err);

        if (e < 0)
            ou_log_error(OU_LOG_FS, err, "renamed in the bucket only key=%s", m->key);
        ou_lock_scope(&fs->lock);
        version = m->inode->remote;
        m->inode->own_changes++;
        e = fs_move_locked(fs, m, &version, err);
        if (e == 0)
            (void)fs_attrs_put(&fs->tree.attrs, m->new_key, fs_inode_seen(m->inode), &version,
                               &m->inode->attr, err);
        r = e < 0 ? e : 1;
    }
    spool_move_end(fs->spool, &move);
    return r;
}

/* -- after a crash -- */

struct finishing {
    struct fs *fs;
    const char *from, *to;
    struct ou_buf keys; /* deleted below .from: what they are called now, each with its NUL */
    int r;
    struct ou_error *err;
};

static char *new_name(const struct finishing *f, const char *key)
{
    char *name = NULL;

    if (strncmp(key, f->from, strlen(f->from)) != 0)
        return NULL;
    return asprintf(&name, "%s%s", f->to, key + strlen(f->from)) < 0 ? NULL : name;
}

static void note_deleted(void *ctx, const char *key)
{
    struct finishing *f = ctx;
    ou_autofree char *name = new_name(f, key);

    if (name)
        ou_buf_add(&f->keys, name, strlen(name) + 1);
}

static void finish_file(void *ctx, struct spool_file *file)
{
    struct finishing *f = ctx;
    ou_autofree char *key = spool_file_key(file), *name = key ? new_name(f, key) : NULL;
    struct ou_error err = OU_ERROR_INIT;

    if (!name)
        return;
    if (spool_move_file(file, name, &err) == 0) {
        fs_stage_again(f->fs, file);
        return;
    }
    f->r = -err.errnum;
    *f->err = err;
}

int fs_whole_finish(struct fs *fs, const char *from, const char *to, struct ou_error *err)
{
    struct finishing f = {.fs = fs, .from = from, .to = to, .err = err};
    const char *key, *end;
    int r;

    do {
        struct oss_call look = {.deadline_ms = ou_now_ms() + LOOK_MS, .cancel = fs->ending};

        r = took_effect(fs, from, to, &look, err);
        if (r < 0 && !ou_cancel_triggered(fs->ending))
            pause_a_moment();
    } while (r < 0 && !ou_cancel_triggered(fs->ending) && oss_error_verdict(err) != OSS_FINAL);
    if (r <= 0)
        return r;

    /* Before the files: a delete that is newer than a file is taken for the file's. */
    spool_each_deleted(fs->spool, note_deleted, &f);
    key = ou_buf_str(&f.keys);
    for (end = key + f.keys.len; f.r == 0 && key < end; key += strlen(key) + 1)
        f.r = spool_delete(fs->spool, key, NULL, err);
    if (f.r == 0)
        spool_each(fs->spool, finish_file, &f);
    ou_buf_fini(&f.keys);
    return f.r;
}

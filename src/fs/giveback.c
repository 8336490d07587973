/*
 * Told in fs/giveback.h.
 *
 * A thread of its own, as it may have to wait for requests that programs have under way, and so
 * for all other threads; it holds no lock meanwhile. It sleeps until there are too many, and then
 * until so many have come, or are free to go, that it is worth while to go through all of them.
 */
#include "fs/giveback.h"

#include "base/log.h"
#include "fs/request.h"
#include "fs/session.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SHARE    8u         /* one of so many is given back at a time */
#define STUCK_MS 3000u      /* where a call waits for longer, it may do so for long */
#define ANYWHERE UINT64_MAX /* for patience: whatever is under way there */
#define AGAIN_MS 50u
#define LOOKS    1024u /* inodes looked at in one go, the lock held */

struct victim {
    uint64_t parent_id;
    char *name;
};

struct fs_giveback {
    struct fs *fs;
    pthread_t thread;
    bool prune; /* the kernel can be asked for inodes */
    /* filesystem's lock */
    pthread_cond_t wake;    /* there is something to do, or .stopping */
    pthread_cond_t stopped; /* .ended */
    bool stopping, ended;
    size_t news; /* that have come or are free to go since it was looked last */
    /* the thread's */
    struct fs_lru_scan scan;
    uint64_t patience_ms; /* with calls in a directory: see busy_locked() */
    uint64_t ids[FS_PRUNE_MAX];
    struct victim victims[FS_PRUNE_MAX];
};

static size_t share(const struct fs *fs)
{
    return (fs->config.inodes_max + SHARE - 1) / SHARE;
}

static bool due_locked(const struct fs_giveback *g)
{
    const struct fs *fs = g->fs;

    return g->news >= share(fs) && fs_lru_count(&fs->tree.lru) > fs->config.inodes_max;
}

void fs_giveback_note_locked(struct fs *fs)
{
    struct fs_giveback *g = fs->giveback;

    if (!g)
        return;
    g->news++;
    if (due_locked(g))
        (void)pthread_cond_signal(&g->wake);
}

/* -- what may go -- */

/* Has a call waited in @dir for @patience_ms, or is one likely to? */
static bool busy_locked(struct fs *fs, const struct fs_inode *dir, uint64_t patience_ms)
{
    return dir->dir->renaming ||
           fs_running_waits(fs_session_running(fs), dir->id, ou_now_ms() - patience_ms);
}

static bool may_go_locked(const struct fs_giveback *g, const struct fs_inode *i)
{
    if (i->uses || i->staged || i->pins || i->children || !i->parent || (i->dir && !g->prune))
        return false;
    return g->patience_ms == ANYWHERE || !busy_locked(g->fs, i->parent, g->patience_ms);
}

/* Up to @max of them, into .ids and, where names are needed, .victims. */
static size_t choose_locked(struct fs_giveback *g, size_t max, bool *end)
{
    struct fs *fs = g->fs;
    size_t count = 0;

    for (unsigned looks = 0; looks < LOOKS && count < max && !*end; looks++) {
        struct fs_inode *i = fs_lru_next(&fs->tree.lru, &g->scan);

        *end = !i || g->stopping;
        if (*end || !may_go_locked(g, i))
            continue;
        g->ids[count] = i->id;
        g->victims[count] = (struct victim){.parent_id = i->parent->id};
        if (!g->prune)
            g->victims[count].name = strdup(i->name);
        count++;
    }
    return count;
}

/* -- asking -- */

static void ask(struct fs_giveback *g, size_t count)
{
    if (g->prune) {
        (void)fs_prune(g->fs, g->ids, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (g->victims[i].name)
            fs_drop_entry(g->fs, g->victims[i].parent_id, g->victims[i].name);
        free(g->victims[i].name);
    }
}

/* Goes through all that the kernel knows. Return: how many it was asked for. */
static size_t go_through(struct fs_giveback *g, size_t wanted, uint64_t patience_ms)
{
    size_t asked = 0;
    bool end = false;

    g->patience_ms = patience_ms;
    {
        ou_lock_scope(&g->fs->lock);
        g->scan = fs_lru_scan(&g->fs->tree.lru);
    }
    while (asked < wanted && !end) {
        size_t count, max = wanted - asked < FS_PRUNE_MAX ? wanted - asked : FS_PRUNE_MAX;

        {
            ou_lock_scope(&g->fs->lock);
            count = choose_locked(g, max, &end);
        }
        if (count)
            ask(g, count);
        asked += count;
    }
    return asked;
}

static void give_back(struct fs_giveback *g, size_t wanted)
{
    size_t asked = go_through(g, wanted, 0);

    if (asked < wanted) /* all in one directory, in which there is always a call */
        asked += go_through(g, wanted - asked, g->prune ? ANYWHERE : STUCK_MS);
    ou_log_debug(OU_LOG_FS, "inodes given back asked=%zu wanted=%zu", asked, wanted);
}

/* Return: how many are to be given back; 0: the end. */
static size_t wait_for_work(struct fs_giveback *g)
{
    struct fs *fs = g->fs;

    ou_lock_scope(&fs->lock);
    while (!g->stopping && !due_locked(g))
        ou_cond_wait(&g->wake, &fs->lock);
    if (g->stopping)
        return 0;
    g->news = 0;
    return fs_lru_count(&fs->tree.lru) - fs->config.inodes_max + share(fs);
}

static void *run(void *arg)
{
    struct fs_giveback *g = arg;
    size_t wanted;

    if (!g->prune)
        fs_own_descriptors(g->fs);
    while ((wanted = wait_for_work(g)) != 0)
        give_back(g, wanted);
    ou_lock_scope(&g->fs->lock);
    g->ended = true;
    (void)pthread_cond_signal(&g->stopped);
    return NULL;
}

/* -- life -- */

static void giveback_free(struct fs_giveback *g)
{
    (void)pthread_cond_destroy(&g->wake);
    (void)pthread_cond_destroy(&g->stopped);
    free(g);
}

int fs_giveback_start(struct fs *fs, struct ou_error *err)
{
    struct fs_giveback *g = calloc(1, sizeof(*g));
    int r;

    if (!g)
        return ou_error_set(err, ENOMEM, "give back inodes");
    g->fs = fs;
    g->prune = fs_prune(fs, g->ids, 0) == 0;
    ou_cond_init(&g->wake);
    ou_cond_init(&g->stopped);
    {
        ou_lock_scope(&fs->lock);
        fs->tree.lru.dirs = g->prune;
        fs->giveback = g;
    }
    r = ou_thread_start(&g->thread, "giveback", run, g, err);
    if (r < 0) {
        ou_lock_scope(&fs->lock);
        fs->giveback = NULL;
        giveback_free(g);
    }
    return r;
}

void fs_giveback_stop(struct fs *fs)
{
    struct fs_giveback *g = fs->giveback;

    if (!g)
        return;
    ou_mutex_lock(&fs->lock);
    g->stopping = true;
    (void)pthread_cond_signal(&g->wake);
    while (!g->ended && ou_cond_wait_until(&g->stopped, &fs->lock, ou_now_ms() + AGAIN_MS) != 0) {
        ou_mutex_unlock(&fs->lock); /* it may be waiting for calls that wait for the network */
        fs_running_cancel(fs_session_running(fs));
        ou_mutex_lock(&fs->lock);
    }
    fs->giveback = NULL;
    ou_mutex_unlock(&fs->lock);
    (void)pthread_join(g->thread, NULL);
    giveback_free(g);
}

/* One queue, one condition, threads that never end before fs_pool_free(). */
#include "fs/pool.h"

#include "base/mutex.h"
#include "base/thread.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_SIZE 16

struct fs_pool {
    unsigned threads_max; /* constant, like .name */
    char name[NAME_SIZE];
    pthread_t *threads;   /* .threads_max; the first .locked.threads are running */
    struct ou_mutex lock; /* rank OU_RANK_FS + 30 */
    pthread_cond_t wake;  /* .first is not NULL, or .stopping */
    pthread_cond_t calm;  /* all threads are idle and nothing waits */
    struct {
        struct fs_task *first, **last;
        size_t waiting;
        unsigned threads, idle;
        bool stopping;
    } locked;
};

static struct fs_task *next_task(struct fs_pool *pool)
{
    struct fs_task *task;

    ou_lock_scope(&pool->lock);
    while (!pool->locked.first) {
        if (pool->locked.stopping)
            return NULL;
        if (++pool->locked.idle == pool->locked.threads)
            (void)pthread_cond_broadcast(&pool->calm);
        ou_cond_wait(&pool->wake, &pool->lock);
        pool->locked.idle--;
    }
    task = pool->locked.first;
    pool->locked.first = task->next;
    if (!pool->locked.first)
        pool->locked.last = &pool->locked.first;
    pool->locked.waiting--;
    return task;
}

static void *work(void *arg)
{
    struct fs_pool *pool = arg;
    struct fs_task *task;

    while ((task = next_task(pool)) != NULL)
        task->run(task);
    return NULL;
}

/* With the lock: a thread that was just started looks at .threads, too. */
static int start_locked(struct fs_pool *pool, struct ou_error *err)
{
    int r = ou_thread_start(&pool->threads[pool->locked.threads], pool->name, work, pool, err);

    if (r == 0)
        pool->locked.threads++;
    return r;
}

int fs_pool_new(const char *thread_name, unsigned threads_max, struct fs_pool **pool,
                struct ou_error *err)
{
    struct fs_pool *p = calloc(1, sizeof(*p));
    int r;

    if (p)
        p->threads = calloc(threads_max, sizeof(*p->threads));
    if (!p || !p->threads) {
        free(p);
        return ou_error_set(err, ENOMEM, "request pool");
    }
    p->threads_max = threads_max;
    (void)snprintf(p->name, sizeof(p->name), "%s", thread_name);
    p->locked.last = &p->locked.first;
    ou_mutex_init(&p->lock, OU_RANK_FS + 30);
    ou_cond_init(&p->wake);
    ou_cond_init(&p->calm);
    ou_mutex_lock(&p->lock);
    r = start_locked(p, err);
    ou_mutex_unlock(&p->lock);
    if (r < 0) {
        fs_pool_free(p);
        return r;
    }
    *pool = p;
    return 0;
}

void fs_pool_add(struct fs_pool *pool, struct fs_task *task)
{
    struct ou_error err;

    task->next = NULL;
    ou_lock_scope(&pool->lock);
    if (pool->locked.idle <= pool->locked.waiting && pool->locked.threads < pool->threads_max)
        (void)start_locked(pool, &err); /* fewer will do */
    *pool->locked.last = task;
    pool->locked.last = &task->next;
    pool->locked.waiting++;
    (void)pthread_cond_signal(&pool->wake);
}

void fs_pool_numbers(struct fs_pool *pool, unsigned *running, size_t *waiting)
{
    ou_lock_scope(&pool->lock);
    *running = pool->locked.threads - pool->locked.idle;
    *waiting = pool->locked.waiting;
}

void fs_pool_drain(struct fs_pool *pool)
{
    ou_lock_scope(&pool->lock);
    while (pool->locked.first || pool->locked.idle < pool->locked.threads)
        ou_cond_wait(&pool->calm, &pool->lock);
}

void fs_pool_free(struct fs_pool *pool)
{
    if (!pool)
        return;
    {
        ou_lock_scope(&pool->lock);
        pool->locked.stopping = true;
        (void)pthread_cond_broadcast(&pool->wake);
    }
    for (unsigned i = 0; i < pool->locked.threads; i++)
        (void)pthread_join(pool->threads[i], NULL);
    (void)pthread_cond_destroy(&pool->wake);
    (void)pthread_cond_destroy(&pool->calm);
    ou_mutex_fini(&pool->lock);
    free(pool->threads);
    free(pool);
}

/*
 * Mounting, serving, stopping.
 *
 * fs_run() has libfuse's loop run in a thread of its own and waits for two things: that the
 * loop ends (somebody has unmounted), or that fs_stop() has written to an eventfd, which is
 * all that it does. Then the loop is told to end: its thread sleeps in a semaphore, and only a
 * signal with a handler wakes it.
 */
#include "fs/session.h"

#include "base/log.h"
#include "fs/giveback.h"
#include "fs/handle.h"
#include "fs/mountpoint.h"
#include "fs/rename.h"
#include "fs/request.h"
#include "fs/resolve.h"
#include "fs/stream.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#define MAX_WRITE       (1u << 20)
#define MAX_READAHEAD   (4u << 20)
#define MAX_BACKGROUND  128u /* read-ahead and the like that the kernel has under way at once */
#define THREADS_DEFAULT 4u
#define WAKE_SIGNAL     (SIGRTMIN + 5)
#define WAKE_AGAIN_MS   50

struct fs_running *fs_session_running(struct fs *fs)
{
    return fs->session->running;
}

/* -- libfuse's messages -- */

static _Thread_local char last_message[256]; /* what libfuse has said on this thread */

static void take_message(enum fuse_log_level level, const char *fmt, va_list ap)
{
    size_t len;

    (void)vsnprintf(last_message, sizeof(last_message), fmt, ap);
    len = strlen(last_message);
    while (len && last_message[len - 1] == '\n')
        last_message[--len] = '\0';
    ou_log(OU_LOG_FS, level <= FUSE_LOG_ERR ? OU_LOG_WARN : OU_LOG_DEBUG, "libfuse: %s",
           last_message);
}

/* -- what the kernel is told at the start -- */

static void want(struct fuse_conn_info *conn, unsigned flag, bool wanted)
{
    if (wanted && (conn->capable & flag))
        conn->want |= flag;
    if (!wanted)
        conn->want &= ~flag;
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
    (void)userdata;
    conn->max_write = MAX_WRITE;
    if (conn->max_readahead > MAX_READAHEAD)
        conn->max_readahead = MAX_READAHEAD;
    conn->max_background = MAX_BACKGROUND;
    conn->congestion_threshold = MAX_BACKGROUND * 3 / 4;
    conn->time_gran = 1;
    want(conn, FUSE_CAP_ASYNC_READ, true);
    want(conn, FUSE_CAP_ATOMIC_O_TRUNC, true);
    want(conn, FUSE_CAP_PARALLEL_DIROPS, true);
    want(conn, FUSE_CAP_READDIRPLUS, true);
    want(conn, FUSE_CAP_READDIRPLUS_AUTO, true);
    want(conn, FUSE_CAP_ASYNC_DIO, true);
    want(conn, FUSE_CAP_CACHE_SYMLINKS, false);     /* a link may be replaced by another mount */
    want(conn, FUSE_CAP_EXPLICIT_INVAL_DATA, true); /* our own writes change times, not pages */
    want(conn, FUSE_CAP_AUTO_INVAL_DATA, false);
    want(conn, FUSE_CAP_WRITEBACK_CACHE, false); /* it would hide writes from close and fsync */
    want(conn, FUSE_CAP_EXPORT_SUPPORT, false);
    want(conn, FUSE_CAP_SPLICE_READ, false);
    want(conn, FUSE_CAP_IOCTL_DIR, false);
}

static struct fuse_lowlevel_ops operations(void)
{
    struct fuse_lowlevel_ops ops = {.init = op_init};

    fs_ops_names(&ops);
    fs_ops_files(&ops);
    fs_ops_attrs(&ops);
    fs_ops_dirs(&ops);
    return ops;
}

/* -- mount -- */

static int add_option(struct fuse_args *args, struct ou_error *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int add_option(struct fuse_args *args, struct ou_error *err, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        return ou_error_set(err, ENOMEM, "mount");
    n = fuse_opt_add_arg(args, "-o") < 0 || fuse_opt_add_arg(args, text) < 0;
    free(text);
    return n ? ou_error_set(err, ENOMEM, "mount") : 0;
}

static int arguments(const struct fs *fs, const char *more, struct fuse_args *args,
                     struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf name = {.data = NULL};
    int r;

    for (const char *c = fs->fsname; *c; c++) { /* commas and backslashes are libfuse's */
        if (*c == ',' || *c == '\\')
            ou_buf_adds(&name, "\\");
        ou_buf_add(&name, c, 1);
    }
    r = ou_buf_check(&name, err);
    if (r < 0)
        return r;
    if (fuse_opt_add_arg(args, "ossfs-up") < 0)
        return ou_error_set(err, ENOMEM, "mount");
    r = add_option(args, err, "fsname=%s,subtype=ossfs-up", ou_buf_str(&name));
    if (r == 0 && fs->config.default_permissions)
        r = add_option(args, err, "default_permissions");
    if (r == 0 && fs->config.allow_other)
        r = add_option(args, err, "allow_other");
    if (r == 0 && fs->config.read_only)
        r = add_option(args, err, "ro");
    if (r == 0 && more && more[0])
        r = add_option(args, err, "%s", more);
    return r;
}

static int session_new(struct fs *fs, struct fs_session **session, struct ou_error *err)
{
    struct fs_session *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return ou_error_set(err, ENOMEM, "mount");
    *session = s;
    s->done_fd = -1;
    s->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->stop_fd >= 0)
        s->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->done_fd < 0)
        return ou_error_set(err, errno, "eventfd");
    r = fs_running_new(&s->running, err);
    (void)fs;
    return r;
}

void fs_session_free(struct fs *fs)
{
    struct fs_session *s = fs->session;

    if (!s)
        return;
    if (s->mounted)
        fuse_session_unmount(s->fuse);
    if (s->fuse)
        fuse_session_destroy(s->fuse);
    fs_running_free(s->running);
    if (s->stop_fd >= 0)
        (void)close(s->stop_fd);
    if (s->done_fd >= 0)
        (void)close(s->done_fd);
    free(s);
    fs->session = NULL;
}

int fs_mount(struct fs *fs, const char *mountpoint, const char *fuse_options, struct ou_error *err)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    struct fuse_lowlevel_ops ops = operations();
    int r = fs_mountpoint_check(mountpoint, fs->config.allow_other, err);

    if (r < 0)
        return r;
    fuse_set_log_func(take_message);
    r = session_new(fs, &fs->session, err);
    if (r == 0)
        r = arguments(fs, fuse_options, &args, err);
    if (r == 0) {
        last_message[0] = '\0';
        fs->session->fuse = fuse_session_new(&args, &ops, sizeof(ops), fs);
        if (!fs->session->fuse)
            r = ou_error_say(err, EINVAL, "mount %s: %s", mountpoint, last_message);
    }
    if (r == 0) {
        last_message[0] = '\0';
        errno = 0;
        if (fuse_session_mount(fs->session->fuse, mountpoint) != 0)
            r = fs_mountpoint_failed(mountpoint, last_message, err);
        else
            fs->session->mounted = true;
    }
    fuse_opt_free_args(&args);
    if (r < 0)
        fs_session_free(fs);
    return r;
}

/* -- serve -- */

static void ignore_signal(int signal)
{
    (void)signal;
}

static void *loop(void *arg)
{
    struct fs *fs = arg;
    struct fs_session *s = fs->session;
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    const uint64_t one = 1;
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, WAKE_SIGNAL);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    if (config) {
        fuse_loop_cfg_set_clone_fd(config, 1);
        fuse_loop_cfg_set_max_threads(config, s->threads);
        fuse_loop_cfg_set_idle_threads(config, s->threads);
        s->loop_result = fuse_session_loop_mt(s->fuse, config);
        fuse_loop_cfg_destroy(config);
    } else {
        s->loop_result = -ENOMEM;
    }
    (void)!write(s->done_fd, &one, sizeof(one));
    return NULL;
}

static int start_loop(struct fs *fs, pthread_t *thread, struct ou_error *err)
{
    struct sigaction action = {.sa_handler = ignore_signal}; /* no SA_RESTART: to be woken by it */

    (void)sigaction(WAKE_SIGNAL, &action, NULL);
    return ou_thread_start(thread, "fuse", loop, fs, err);
}

/* Return: the loop ended because it was told to; else somebody has unmounted. */
static bool wait_for_end(struct fs *fs, pthread_t thread)
{
    struct fs_session *s = fs->session;
    struct pollfd fds[2] = {{.fd = s->stop_fd, .events = POLLIN},
                            {.fd = s->done_fd, .events = POLLIN}};
    bool stopping = false;

    for (;;) {
        (void)poll(fds, 2, stopping ? WAKE_AGAIN_MS : -1);
        if (fds[1].revents)
            return stopping;
        if (fds[0].revents || stopping) {
            fs_giveback_stop(fs); /* it may have to wait for replies to requests not read yet */
            stopping = true;
            fds[0].fd = -1;
            fuse_session_exit(s->fuse);
            (void)pthread_kill(thread, WAKE_SIGNAL); /* again, if it was not asleep yet */
        }
    }
}

static void finish_renames(struct fs_task *task)
{
    struct fs *fs = fs_container(task, struct fs, startup);

    fs_finish_renames(fs);
}

int fs_run(struct fs *fs, unsigned threads, struct ou_error *err)
{
    struct fs_session *s = fs->session;
    pthread_t thread;
    bool stopped;
    int r;

    s->threads = threads ? threads : THREADS_DEFAULT;
    fs->startup.run = finish_renames;
    fs_pool_add(fs->waits, &fs->startup);
    r = fs_giveback_start(fs, err);
    if (r < 0)
        return r;
    r = start_loop(fs, &thread, err);
    if (r < 0) {
        fs_giveback_stop(fs);
        return r;
    }
    stopped = wait_for_end(fs, thread);
    (void)pthread_join(thread, NULL);
    fs_giveback_stop(fs);

    /* No request comes any more; those in the pools are of no use to anybody now. */
    fs_running_cancel(s->running);
    fs_pool_drain(fs->requests);
    fs_pool_drain(fs->waits);
    fs_streams_end(fs);
    fs_handles_end(fs, !stopped && s->loop_result == 0);
    fs_pool_drain(fs->requests); /* what the ended streams had under way */
    r = s->loop_result < 0 ? ou_error_set(err, -s->loop_result, "serve the mount") : 0;
    fuse_session_unmount(s->fuse);
    s->mounted = false;
    return r;
}

void fs_stop(struct fs *fs)
{
    const uint64_t one = 1;
    int saved = errno;

    if (fs->session)
        (void)!write(fs->session->stop_fd, &one, sizeof(one));
    errno = saved;
}

/*
 * Running a program with a deadline and collecting what it prints. See oss/cred_remote.h.
 *
 * posix_spawn(), so that the heap of a process with many threads is not copied. The loop below ends
 * when both pipes are at their end and the program was waited for, or at the deadline. A program
 * whose background children keep a pipe open is done when it has itself ended and the pipes are
 * empty.
 */
#include "oss/cred_remote.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#define READS_MAX 256 /* of a stream between two looks at the clock */
#define SLICE_MS  100 /* how late the end of a program is seen that has closed its pipes before */

struct stream {
    int fd; /* our end; -1: at its end */
    struct oss_cred_text *text;
    bool strict; /* what does not fit is an error */
};

/* Return: 1 there was something, 0 nothing now or the end, negative errno. */
static int drain(struct stream *s, struct ou_error *err)
{
    char scratch[512];
    size_t room = s->text->room - s->text->len;
    ssize_t got = room > 0 ? read(s->fd, s->text->data + s->text->len, room)
                           : read(s->fd, scratch, sizeof(scratch));

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (got < 0)
        return ou_error_set(err, errno, "read its output");
    if (got == 0) {
        (void)close(s->fd);
        s->fd = -1;
        return 0;
    }
    if (room > 0)
        s->text->len += (size_t)got;
    else if (s->strict)
        return ou_error_say(err, EMSGSIZE, "it prints more than %zu bytes", s->text->room);
    return 1;
}

static int drain_all(struct stream streams[2], struct ou_error *err)
{
    for (int i = 0; i < 2; i++) {
        int r = 1;

        /* So many and no more: one that never stops talking must not outlive the deadline. */
        for (int reads = 0; streams[i].fd >= 0 && r > 0 && reads < READS_MAX; reads++)
            r = drain(&streams[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Return: 1 @status is there, 0 it is running. A status that somebody else took counts as 0. */
static int reap(pid_t pid, int *status)
{
    pid_t r = waitpid(pid, status, WNOHANG);

    if (r < 0 && errno == ECHILD) {
        *status = 0;
        return 1;
    }
    return r == pid;
}

static int collect(pid_t pid, uint64_t deadline_ms, struct stream streams[2], int *status,
                   struct ou_error *err)
{
    for (;;) {
        struct pollfd fds[2] = {{.fd = streams[0].fd, .events = POLLIN},
                                {.fd = streams[1].fd, .events = POLLIN}};
        bool ended = reap(pid, status) != 0; /* before the last look at the pipes */
        uint64_t now = ou_now_ms();
        int r = drain_all(streams, err);

        if (r < 0 || ended)
            return r;
        if (now >= deadline_ms)
            return ou_error_say(err, ETIMEDOUT, "not done in time, killed");
        fds[0].fd = streams[0].fd; /* poll() passes over -1 */
        fds[1].fd = streams[1].fd;
        (void)poll(fds, 2, deadline_ms - now < SLICE_MS ? (int)(deadline_ms - now) : SLICE_MS);
    }
}

static int spawn(char *const argv[], int out, int complain, pid_t *pid, struct ou_error *err)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    int r = posix_spawn_file_actions_init(&files);

    if (r != 0)
        return ou_error_set(err, r, "prepare a process");
    r = posix_spawnattr_init(&attr);
    if (r != 0) {
        posix_spawn_file_actions_destroy(&files);
        return ou_error_set(err, r, "prepare a process");
    }
    sigemptyset(&none);
    sigfillset(&all);
    r = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(&files, complain, STDERR_FILENO);
    if (r == 0) {
        (void)posix_spawnattr_setsigmask(&attr, &none); /* our threads block them all */
        (void)posix_spawnattr_setsigdefault(&attr, &all);
        (void)posix_spawnattr_setpgroup(&attr, 0);
        (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                  POSIX_SPAWN_SETPGROUP);
        r = posix_spawn(pid, argv[0], &files, &attr, argv, environ);
    }
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    return r == 0 ? 0 : ou_error_set(err, r, "%s", argv[0]);
}

/* Both ends out of the way of 0, 1 and 2, which the child's are moved to. */
static int make_pipe(int ends[2], struct ou_error *err)
{
    int raw[2];

    if (pipe2(raw, O_CLOEXEC) < 0)
        return ou_error_set(err, errno, "pipe");
    for (int i = 0; i < 2; i++) {
        ends[i] = fcntl(raw[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        (void)close(raw[i]);
    }
    if (ends[0] < 0 || ends[1] < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
        return ou_error_set(err, errno, "pipe");
    return 0;
}

static int judge(int status, struct ou_error *err)
{
    if (WIFSIGNALED(status))
        return ou_error_say(err, EIO, "ended by signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

static void close_ends(int ends[2])
{
    for (int i = 0; i < 2; i++) {
        if (ends[i] >= 0)
            (void)close(ends[i]);
        ends[i] = -1;
    }
}

int oss_cred_spawn(char *const argv[], uint64_t timeout_ms, struct oss_cred_text *output,
                   struct oss_cred_text *complaint, struct ou_error *err)
{
    uint64_t deadline_ms = ou_now_ms() + timeout_ms;
    int out[2] = {-1, -1}, complain[2] = {-1, -1}, status = 0;
    struct stream streams[2];
    pid_t pid = -1;
    int r = make_pipe(out, err);

    if (r == 0)
        r = make_pipe(complain, err);
    if (r == 0)
        r = spawn(argv, out[1], complain[1], &pid, err);
    if (r < 0) {
        close_ends(out);
        close_ends(complain);
        return r;
    }
    (void)close(out[1]);
    (void)close(complain[1]);
    streams[0] = (struct stream){.fd = out[0], .text = output, .strict = true};
    streams[1] = (struct stream){.fd = complain[0], .text = complaint};

    r = collect(pid, deadline_ms, streams, &status, err);
    if (r < 0) {
        (void)kill(-pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
    }
    for (int i = 0; i < 2; i++) {
        if (streams[i].fd >= 0)
            (void)close(streams[i].fd);
    }
    return r < 0 ? r : judge(status, err);
}

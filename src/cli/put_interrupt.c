/*
 * The thread polls a signalfd and an eventfd that ends it. What it found stands in .signal, the
 * cancel, and a second eventfd that stays readable.
 */
#include "cli/put_interrupt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct cli_interrupt {
    /* Constant after new. */
    int signal_fd, stop_fd, told_fd;
    struct ou_cancel *cancel;
    void (*wake)(void *ctx);
    void *ctx;
    pthread_t thread;
    bool started;

    atomic_int signal; /* written once by the thread */
};

static void raise_fd(int fd)
{
    const uint64_t one = 1;

    (void)!write(fd, &one, sizeof(one)); /* an eventfd takes it */
}

static void take_signal(struct cli_interrupt *i)
{
    struct signalfd_siginfo info;

    if (read(i->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    if (atomic_load(&i->signal))
        _exit(128 + (int)info.ssi_signo); /* asked twice: what is on disk is enough to go on */
    atomic_store(&i->signal, (int)info.ssi_signo);
    ou_cancel_trigger(i->cancel);
    raise_fd(i->told_fd);
    if (i->wake)
        i->wake(i->ctx);
}

static void *run(void *arg)
{
    struct cli_interrupt *i = arg;
    struct pollfd fds[] = {{.fd = i->signal_fd, .events = POLLIN},
                           {.fd = i->stop_fd, .events = POLLIN}};

    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return NULL;
        if (fds[1].revents)
            return NULL;
        if (fds[0].revents)
            take_signal(i);
    }
}

static int open_all(struct cli_interrupt *i, struct ou_error *err)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    i->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
    i->stop_fd = eventfd(0, EFD_CLOEXEC);
    i->told_fd = eventfd(0, EFD_CLOEXEC);
    i->cancel = ou_cancel_new();
    if (i->signal_fd < 0 || i->stop_fd < 0 || i->told_fd < 0)
        return ou_error_set(err, errno, "wait for signals");
    if (!i->cancel)
        return ou_error_set(err, ENOMEM, "wait for signals");
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return ou_error_set(err, EINVAL, "block signals");
    return 0;
}

int cli_interrupt_new(void (*wake)(void *ctx), void *ctx, struct cli_interrupt **interrupt,
                      struct ou_error *err)
{
    struct cli_interrupt *i = calloc(1, sizeof(*i));
    int r;

    if (!i)
        return ou_error_set(err, ENOMEM, "wait for signals");
    i->signal_fd = i->stop_fd = i->told_fd = -1;
    i->wake = wake;
    i->ctx = ctx;
    r = open_all(i, err);
    if (r == 0)
        r = ou_thread_start(&i->thread, "ossup-signals", run, i, err);
    if (r < 0) {
        cli_interrupt_free(i);
        return r;
    }
    i->started = true;
    *interrupt = i;
    return 0;
}

void cli_interrupt_free(struct cli_interrupt *i)
{
    if (!i)
        return;
    if (i->started) {
        raise_fd(i->stop_fd);
        (void)pthread_join(i->thread, NULL);
    }
    if (i->signal_fd >= 0)
        (void)close(i->signal_fd);
    if (i->stop_fd >= 0)
        (void)close(i->stop_fd);
    if (i->told_fd >= 0)
        (void)close(i->told_fd);
    ou_cancel_unref(i->cancel);
    free(i);
}

int cli_interrupt_signal(const struct cli_interrupt *i)
{
    return atomic_load(&i->signal);
}

struct ou_cancel *cli_interrupt_cancel(const struct cli_interrupt *i)
{
    return i->cancel;
}

int cli_interrupt_fd(const struct cli_interrupt *i)
{
    return i->told_fd;
}

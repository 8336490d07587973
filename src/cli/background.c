/*
 * The pipe carries one byte '+' for ready, or the sentence. A child that dies
 * without a word is reported too: a mount that failed silently is the worst.
 */
#include "cli/background.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "cli/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Noreturn void wait_for_word(int fd)
{
    char word[1024];
    size_t len = 0;

    while (len < sizeof(word) - 1) {
        ssize_t n = read(fd, word + len, sizeof(word) - 1 - len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    word[len] = '\0';
    if (word[0] == '+')
        _exit(EXIT_SUCCESS);
    if (len == 0)
        (void)fprintf(stderr, "ossfs-up: the daemon died before it had mounted; "
                              "-d shows how far it came\n");
    else
        (void)fprintf(stderr, "ossfs-up: %s\n", word);
    _exit(EXIT_FAILURE);
}

int cli_background_fork(struct cli_background *b, struct ou_error *err)
{
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return ou_error_set(err, errno, "pipe");
    pid = fork();
    if (pid < 0) {
        int errnum = errno;

        (void)close(fds[0]);
        (void)close(fds[1]);
        return ou_error_set(err, errnum, "fork");
    }
    if (pid > 0) {
        (void)close(fds[1]);
        wait_for_word(fds[0]);
    }
    (void)close(fds[0]);
    b->report_fd = fds[1];
    (void)setsid();
    return 0;
}

static void let_go_of_terminal(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (chdir("/") < 0 || null < 0)
        return; /* nothing worse than a held directory or terminal */
    for (int fd = 0; fd < 3; fd++)
        (void)dup2(null, fd);
    if (null > 2)
        (void)close(null);
}

void cli_background_ready(struct cli_background *b)
{
    struct ou_error ignored;

    if (b->report_fd < 0)
        return;
    let_go_of_terminal();
    (void)ou_write_all(b->report_fd, "+", 1, &ignored);
    (void)close(b->report_fd);
    b->report_fd = -1;
}

void cli_background_failed(struct cli_background *b, const struct ou_error *err)
{
    struct ou_error ignored;

    if (b->report_fd < 0) {
        cli_say(err);
        return;
    }
    (void)ou_write_all(b->report_fd, err->message, strlen(err->message), &ignored);
    (void)close(b->report_fd);
    b->report_fd = -1;
}

/*
 * One thread accepts and watches; each request runs on a thread of its own, at
 * most CLIENTS_MAX at once. The watcher sees a client hang up (POLLRDHUP) and
 * triggers that request's cancel.
 *
 * The socket is bound and reached through /proc/self/fd/N, because a spool may
 * lie deeper than the 107 bytes that a socket address holds.
 */
#include "cli/control.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mutex.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define CLIENTS_MAX  64
#define REQUEST_MAX  (64u << 10)
#define REPLY_MAX    (64u << 20)
#define REQUEST_WAIT 5 /* seconds for a client to say what it wants */

struct client {
    struct cli_control *control;
    int fd;
    pthread_t thread;
    struct ou_cancel *cancel;
    _Atomic bool finished; /* set last by the client's thread, read by the watcher */
};

struct cli_control {
    int dirfd, listen_fd, wake_fd; /* constant after start */
    cli_control_handler *handler;
    void *ctx;
    pthread_t watcher;
    _Atomic bool stopping;
    struct client *clients[CLIENTS_MAX]; /* the watcher's own */
    size_t count;
};

static void wake(const struct cli_control *c)
{
    const uint64_t one = 1;

    (void)!write(c->wake_fd, &one, sizeof(one));
}

/* A line, bounded; false when the client says nothing sensible. */
static bool read_request(int fd, struct ou_buf *line)
{
    const struct timeval patience = {.tv_sec = REQUEST_WAIT};
    char chunk[4096];

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    while (!memchr(ou_buf_str(line), '\n', line->len)) {
        ssize_t n = recv(fd, chunk, sizeof(chunk), 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        ou_buf_add(line, chunk, (size_t)n);
        if (line->failed)
            return false;
    }
    return true;
}

static void send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return; /* the client has gone; nobody is left to be told */
        data += n;
        len -= (size_t)n;
    }
}

static void *serve(void *arg)
{
    struct client *client = arg;
    ou_auto(ou_buf_fini) struct ou_buf line = {.max = REQUEST_MAX}, reply = {.max = REPLY_MAX};
    ou_auto(ou_json_free_at) struct ou_json *request = NULL;
    struct ou_error err;

    if (read_request(client->fd, &line)) {
        if (ou_json_parse(line.data, line.len, &request, &err) == 0)
            client->control->handler(client->control->ctx, request, client->cancel, &reply);
        else
            ou_buf_adds(&reply, "{\"error\":\"not a JSON object\"}");
        ou_buf_adds(&reply, "\n");
        send_all(client->fd, ou_buf_str(&reply), reply.len);
    }
    (void)shutdown(client->fd, SHUT_WR);
    client->finished = true;
    wake(client->control);
    return NULL;
}

static void client_free(struct client *client)
{
    (void)pthread_join(client->thread, NULL);
    (void)close(client->fd);
    ou_cancel_unref(client->cancel);
    free(client);
}

static void accept_client(struct cli_control *c)
{
    ou_autoclose int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    struct client *client;
    struct ou_error err;

    if (fd < 0 || c->count == CLIENTS_MAX)
        return; /* hung up on: the caller reads an empty answer and says so */
    client = calloc(1, sizeof(*client));
    if (!client)
        return;
    client->control = c;
    client->fd = fd;
    client->cancel = ou_cancel_new();
    if (!client->cancel ||
        ou_thread_start(&client->thread, "control-client", serve, client, &err) < 0) {
        ou_cancel_unref(client->cancel);
        free(client);
        return;
    }
    (void)ou_take_fd(&fd); /* the client's now */
    c->clients[c->count++] = client;
}

static void reap(struct cli_control *c)
{
    for (size_t i = 0; i < c->count;) {
        if (!c->clients[i]->finished) {
            i++;
            continue;
        }
        client_free(c->clients[i]);
        c->clients[i] = c->clients[--c->count];
    }
}

static void *watch(void *arg)
{
    struct cli_control *c = arg;

    while (!c->stopping) {
        struct pollfd fds[2 + CLIENTS_MAX] = {{.fd = c->listen_fd, .events = POLLIN},
                                              {.fd = c->wake_fd, .events = POLLIN}};
        size_t watched = c->count;
        uint64_t drained;

        for (size_t i = 0; i < watched; i++) {
            fds[2 + i].fd = ou_cancel_triggered(c->clients[i]->cancel) ? -1 : c->clients[i]->fd;
            fds[2 + i].events = POLLRDHUP;
        }
        if (poll(fds, 2 + watched, -1) < 0)
            continue;
        if (fds[1].revents)
            (void)!read(c->wake_fd, &drained, sizeof(drained));
        for (size_t i = 0; i < watched; i++)
            if (fds[2 + i].revents & (POLLRDHUP | POLLHUP | POLLERR))
                ou_cancel_trigger(c->clients[i]->cancel);
        reap(c);
        if (fds[0].revents && !c->stopping)
            accept_client(c);
    }
    for (size_t i = 0; i < c->count; i++)
        ou_cancel_trigger(c->clients[i]->cancel);
    while (c->count > 0)
        client_free(c->clients[--c->count]);
    return NULL;
}

static void set_address(struct sockaddr_un *address, int dirfd, const char *name)
{
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    (void)snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/%s", dirfd,
                   name);
}

static int listen_at(struct cli_control *c, const char *dir, struct ou_error *err)
{
    struct sockaddr_un address;

    c->dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (c->dirfd < 0)
        return ou_error_set(err, errno, "open %s", dir);
    c->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->listen_fd < 0 || c->wake_fd < 0)
        return ou_error_set(err, errno, "control socket");
    set_address(&address, c->dirfd, CLI_CONTROL_NAME);
    (void)unlinkat(c->dirfd, CLI_CONTROL_NAME, 0);
    if (bind(c->listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        fchmodat(c->dirfd, CLI_CONTROL_NAME, 0600, 0) < 0 || listen(c->listen_fd, 16) < 0)
        return ou_error_set(err, errno, "control socket in %s", dir);
    return 0;
}

static void control_free(struct cli_control *c)
{
    if (c->listen_fd >= 0)
        (void)close(c->listen_fd);
    if (c->wake_fd >= 0)
        (void)close(c->wake_fd);
    if (c->dirfd >= 0)
        (void)close(c->dirfd);
    free(c);
}

int cli_control_start(const char *dir, cli_control_handler *handler, void *ctx,
                      struct cli_control **control, struct ou_error *err)
{
    struct cli_control *c = calloc(1, sizeof(*c));
    int r;

    if (!c)
        return ou_error_set(err, ENOMEM, "control socket");
    c->dirfd = c->listen_fd = c->wake_fd = -1;
    c->handler = handler;
    c->ctx = ctx;
    r = listen_at(c, dir, err);
    if (r == 0)
        r = ou_thread_start(&c->watcher, "control", watch, c, err);
    if (r < 0) {
        control_free(c);
        return r;
    }
    *control = c;
    return 0;
}

void cli_control_stop(struct cli_control *control)
{
    if (!control)
        return;
    control->stopping = true;
    wake(control);
    (void)pthread_join(control->watcher, NULL);
    (void)unlinkat(control->dirfd, CLI_CONTROL_NAME, 0);
    control_free(control);
}

static int connect_to(const char *path, struct ou_error *err)
{
    const char *slash = strrchr(path, '/');
    ou_autofree char *dir = slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
    ou_autoclose int dirfd = dir ? open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    ou_autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address;

    if (dirfd < 0 || fd < 0)
        return ou_error_set(err, errno, "%s", path);
    set_address(&address, dirfd, slash ? slash + 1 : path);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return ou_error_set(err, errno, "%s", path);
    return ou_take_fd(&fd);
}

int cli_control_call(const char *path, const char *request, struct ou_buf *text,
                     struct ou_json **reply, struct ou_error *err)
{
    ou_autoclose int fd = connect_to(path, err);
    char chunk[16384];
    ssize_t n;

    if (fd < 0)
        return fd;
    send_all(fd, request, strlen(request));
    send_all(fd, "\n", 1);
    text->max = REPLY_MAX;
    while ((n = recv(fd, chunk, sizeof(chunk), 0)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ou_error_set(err, errno, "%s", path);
        ou_buf_add(text, chunk, (size_t)n);
    }
    if (text->len == 0)
        return ou_error_say(err, ECONNRESET, "%s: the daemon hung up without an answer", path);
    return ou_json_parse(text->data, text->len, reply, err);
}

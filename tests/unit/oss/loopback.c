/* See loopback.h. Plain sockets: every test of this folder is linked with it. */
#include "loopback.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define ANSWER_MAX (256u << 10)
#define KEPT_MAX   16

struct loopback {
    loopback_handler *handler;
    void *ctx;
    int fd;
    pthread_t thread;
    char url[64];
    int kept[KEPT_MAX];
    size_t kept_count;
};

static size_t body_length(const char *head)
{
    for (const char *line = strchr(head, '\n'); line; line = strchr(line + 1, '\n')) {
        if (strncasecmp(line + 1, "Content-Length:", 15) == 0)
            return strtoul(line + 16, NULL, 10);
    }
    return 0;
}

/* 0: a whole request. */
static int read_request(int fd, struct loopback_request *request)
{
    char text[sizeof(request->head) + sizeof(request->body)];
    size_t len = 0, body;
    char *end = NULL;

    *request = (struct loopback_request){0};
    while (!end || len - (size_t)(end + 4 - text) < body_length(text)) {
        ssize_t got = read(fd, text + len, sizeof(text) - 1 - len);

        if (got <= 0)
            return -1;
        len += (size_t)got;
        text[len] = '\0';
        end = strstr(text, "\r\n\r\n");
    }
    body = len - (size_t)(end + 4 - text);
    end[2] = '\0';
    if ((size_t)(end + 2 - text) >= sizeof(request->head) || body >= sizeof(request->body))
        return -1;
    memcpy(request->head, text, (size_t)(end + 3 - text));
    memcpy(request->body, end + 4, body);
    return sscanf(request->head, "%15s %1023s", request->method, request->target) == 2 ? 0 : -1;
}

static void send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);

        if (sent <= 0)
            return;
        data += sent;
        len -= (size_t)sent;
    }
}

static void serve(struct loopback *server, int fd, char *answer)
{
    struct loopback_request request;
    char head[256];
    int status, len;

    if (read_request(fd, &request) < 0) {
        (void)close(fd);
        return;
    }
    answer[0] = '\0';
    status = server->handler(server->ctx, &request, answer, ANSWER_MAX);
    if (status < 0 && server->kept_count < KEPT_MAX) {
        server->kept[server->kept_count++] = fd;
        return;
    }
    if (status > 0) {
        len = snprintf(head, sizeof(head),
                       "HTTP/1.1 %d x\r\nContent-Length: %zu\r\nConnection: close\r\n"
                       "%s\r\n",
                       status, strlen(answer), status == 302 ? "Location: /elsewhere\r\n" : "");
        send_all(fd, head, (size_t)len);
        send_all(fd, answer, strlen(answer));
    }
    (void)shutdown(fd, SHUT_WR);
    (void)close(fd);
}

static void *run(void *arg)
{
    struct loopback *server = arg;
    char *answer = malloc(ANSWER_MAX);
    int fd;

    if (!answer)
        return NULL;
    while ((fd = accept(server->fd, NULL, NULL)) >= 0)
        serve(server, fd, answer);
    free(answer);
    return NULL;
}

struct loopback *loopback_start(loopback_handler *handler, void *ctx)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    struct loopback *server = calloc(1, sizeof(*server));

    assert_non_null(server);
    server->handler = handler;
    server->ctx = ctx;
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(server->fd >= 0);
    assert_int_equal(bind(server->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(server->fd, 64), 0);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&address, &size), 0);
    (void)snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%u",
                   ntohs(address.sin_port));
    assert_int_equal(pthread_create(&server->thread, NULL, run, server), 0);
    return server;
}

const char *loopback_url(const struct loopback *server)
{
    return server->url;
}

void loopback_stop(struct loopback *server)
{
    (void)shutdown(server->fd, SHUT_RDWR); /* ends accept() */
    (void)pthread_join(server->thread, NULL);
    for (size_t i = 0; i < server->kept_count; i++)
        (void)close(server->kept[i]);
    (void)close(server->fd);
    free(server);
}

int loopback_has_header(const struct loopback_request *request, const char *line)
{
    const char *at = strchr(request->head, '\n');

    for (; at; at = strchr(at + 1, '\n')) {
        if (strncasecmp(at + 1, line, strlen(line)) == 0 && strchr("\r\n", at[1 + strlen(line)]))
            return 1;
    }
    return 0;
}

#include "server/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* Half of it is the read buffer: uploads come in pieces of this order. */
#define CONNECTION_MEMORY  ((size_t)1 << 20)
#define CONNECTION_LIMIT   4096u
#define CONNECTION_TIMEOUT 120u /* seconds a connection may be idle */
#define THREAD_STACK       ((size_t)512 << 10)
#define BACKLOG            512

static void *on_target(void *arg, const char *target, struct MHD_Connection *conn)
{
    return srv_request_new(arg, conn, target);
}

/* Keys are decoded by target.c, once; MHD shall leave everything as it came. */
static size_t keep_escapes(void *arg, struct MHD_Connection *conn, char *s)
{
    (void)arg;
    (void)conn;
    return strlen(s);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *conn, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *len, void **state)
{
    struct srv_request *r = *state;
    size_t n = *len;

    (void)arg;
    (void)conn;
    (void)url;
    (void)version;
    if (r == NULL)
        return MHD_NO;
    if (!r->begun)
        return srv_request_begin(r, method);
    if (n == 0)
        return srv_request_end(r);
    *len = 0;
    return srv_request_body(r, data, n);
}

static void on_completed(void *arg, struct MHD_Connection *conn, void **state,
                         enum MHD_RequestTerminationCode code)
{
    struct srv_request *r = *state;

    (void)arg;
    (void)conn;
    if (r == NULL)
        return;
    if (code != MHD_REQUEST_TERMINATED_COMPLETED_OK)
        r->aborted = true;
    srv_request_settle(r);
    srv_request_free(r);
    *state = NULL;
}

static int fill_address(const struct srv_http_options *options, struct sockaddr_storage *storage,
                        socklen_t *len)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)storage;

    memset(storage, 0, sizeof(*storage));
    if (inet_pton(AF_INET, options->bind, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(options->port);
        *len = sizeof(*v4);
        return AF_INET;
    }
    if (inet_pton(AF_INET6, options->bind, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(options->port);
        *len = sizeof(*v6);
        return AF_INET6;
    }
    return -1;
}

/* Our own socket, so that a server that was just killed can be back on its port at once. */
static int listen_socket(struct srv_server *srv, const struct srv_http_options *options)
{
    struct sockaddr_storage address;
    socklen_t len = 0;
    const int on = 1;
    int family = fill_address(options, &address, &len);
    int fd = family < 0 ? -1 : socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (family < 0) {
        (void)fprintf(stderr, "oss-local-server: %s is no IP address\n", options->bind);
        return -1;
    }
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0) {
        (void)fprintf(stderr, "oss-local-server: listen on %s port %u: %s\n", options->bind,
                      options->port, strerror(errno));
        if (fd >= 0)
            (void)close(fd);
        return -1;
    }
    srv->port = ntohs(family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port
                                        : ((struct sockaddr_in6 *)&address)->sin6_port);
    return fd;
}

struct MHD_Daemon *srv_http_start(struct srv_server *srv, const struct srv_http_options *options)
{
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
                     MHD_USE_POLL | MHD_USE_SUPPRESS_DATE_NO_CLOCK;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, options->tls_cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, options->tls_key},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    int fd = listen_socket(srv, options);
    struct MHD_Daemon *daemon;

    if (fd < 0)
        return NULL;
    srv->tls = options->tls_cert != NULL;
    if (srv->tls)
        flags |= MHD_USE_TLS;
    daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, srv, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, srv, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes,
        NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed, srv, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        CONNECTION_MEMORY, MHD_OPTION_CONNECTION_LIMIT, CONNECTION_LIMIT,
        MHD_OPTION_CONNECTION_TIMEOUT, CONNECTION_TIMEOUT, MHD_OPTION_THREAD_STACK_SIZE,
        THREAD_STACK, MHD_OPTION_ARRAY, srv->tls ? tls : none, MHD_OPTION_END);
    if (daemon == NULL) {
        (void)fprintf(stderr, "oss-local-server: start the HTTP server: %s\n",
                      srv->tls ? "is the TLS certificate or key bad?" : strerror(errno));
        (void)close(fd);
    }
    return daemon;
}

void srv_http_stop(struct srv_server *srv, struct MHD_Daemon *daemon)
{
    atomic_store(&srv->stopping, true);
    MHD_stop_daemon(daemon);
}

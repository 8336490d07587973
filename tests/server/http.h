/*
 * libmicrohttpd: the daemon, a thread a connection, and its callbacks.
 */
#ifndef SRV_HTTP_H
#define SRV_HTTP_H

#include "server/request.h"

struct srv_http_options {
    const char *bind; /* IPv4 or IPv6 address */
    uint16_t port;    /* 0: any free one */
    char *tls_cert;   /* PEM text, NULL for plain HTTP */
    char *tls_key;
};

/* srv_http_start() - NULL after a message on stderr; sets srv->port */
struct MHD_Daemon *srv_http_start(struct srv_server *srv, const struct srv_http_options *options);
/* srv_http_stop() - ends all connections and joins their threads */
void srv_http_stop(struct srv_server *srv, struct MHD_Daemon *daemon);

#endif

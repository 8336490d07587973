/*
 * The local OSS server as a child process, with a bucket, for tests of the client.
 *
 * One for an executable: server_start() in the group's setup. Tests speak to its control path
 * (tests/server/README.md) with server_control(), and make clients with server_client().
 */
#ifndef OSSUP_TESTS_OSS_SERVER_H
#define OSSUP_TESTS_OSS_SERVER_H

#include "base/json.h"
#include "oss/client.h"

#define SERVER_BUCKET "unit-bucket"
#define SERVER_KEY_ID "LTAIunit"
#define SERVER_SECRET "unit-secret"
#define SERVER_REGION "cn-hangzhou"

struct server;

/** server_start() - @arguments: further ones, NULL-terminated; NULL: none. Asserts. */
struct server *server_start(const char *const *arguments);
/** server_stop() - ends it and removes its files. */
void server_stop(struct server *s);
const char *server_url(const struct server *s);  /* "http://127.0.0.1:PORT" */
const char *server_root(const struct server *s); /* its directory */

/** server_control() - one control request, asserted to succeed; its answer is freed by the caller. */
char *server_control(const struct server *s, const char *method, const char *command,
                     const char *json);
/** server_tell() - likewise, the answer is dropped. */
void server_tell(const struct server *s, const char *method, const char *command, const char *json);
/** server_fault() - adds a rule (JSON). */
void server_fault(const struct server *s, const char *rule);
/** server_calm() - no faults, no clock offset, an empty log. */
void server_calm(const struct server *s);
/** server_count() - requests of @operation in the log. */
unsigned server_count(const struct server *s, const char *operation);

/* A client with its chain; zeroed memory may be finied. */
struct server_client {
    struct oss_cred_chain *chain;
    struct oss_client *client;
};
/** server_client() - @config: what differs from the default; NULL: nothing */
void server_client(const struct server *s, struct server_client *c, enum oss_sign_choice sign,
                   const struct oss_config *config);
void server_client_fini(struct server_client *c);

#endif

/*
 * Who may sign: pairs of access key id and secret, and STS triples that expire.
 * Any thread may call; a lock inside guards the list.
 */
#ifndef SRV_CREDENTIALS_H
#define SRV_CREDENTIALS_H

#include "server/error.h"

#include <stdint.h>

struct srv_credentials;

struct srv_credentials *srv_credentials_new(void);
void srv_credentials_free(struct srv_credentials *c);

/* @token: NULL for a permanent key; @expires: Unix seconds, 0 for never */
void srv_credentials_add(struct srv_credentials *c, const char *key_id, const char *secret,
                         const char *token, int64_t expires);

/* srv_credentials_expire() - the token is expired from now on; false if nobody has it */
bool srv_credentials_expire(struct srv_credentials *c, const char *token);

/*
 * srv_credentials_secret() - the secret for a key id, if the token that came along fits
 * @token: NULL if none came
 * Return: the secret (the caller frees), or NULL after InvalidAccessKeyId,
 * InvalidSecurityToken, SecurityTokenExpired or AccessKeyIdAndSecurityTokenNotMatch.
 */
char *srv_credentials_secret(struct srv_credentials *c, const char *key_id, const char *token,
                             int64_t now, struct srv_error *err);

#endif

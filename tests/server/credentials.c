#include "server/credentials.h"

#include "server/lock.h"

struct credential {
    char *key_id;
    char *secret;
    char *token; /* NULL: permanent */
    int64_t expires;
    bool expired; /* by the control path */
};

struct srv_credentials {
    pthread_mutex_t lock; /* guards all below */
    struct credential *items;
    size_t count;
};

struct srv_credentials *srv_credentials_new(void)
{
    struct srv_credentials *c = srv_xcalloc(1, sizeof(*c));

    (void)pthread_mutex_init(&c->lock, NULL);
    return c;
}

void srv_credentials_free(struct srv_credentials *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->count; i++) {
        free(c->items[i].key_id);
        free(c->items[i].secret);
        free(c->items[i].token);
    }
    free(c->items);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

void srv_credentials_add(struct srv_credentials *c, const char *key_id, const char *secret,
                         const char *token, int64_t expires)
{
    srv_lock_scope(&c->lock);
    c->items = srv_xrealloc(c->items, (c->count + 1) * sizeof(*c->items));
    c->items[c->count++] = (struct credential){
        .key_id = srv_xstrdup(key_id),
        .secret = srv_xstrdup(secret),
        .token = srv_xstrdup(token),
        .expires = expires,
    };
}

static struct credential *by_token_locked(struct srv_credentials *c, const char *token)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->items[i].token != NULL && srv_streq(c->items[i].token, token))
            return &c->items[i];
    return NULL;
}

bool srv_credentials_expire(struct srv_credentials *c, const char *token)
{
    struct credential *found;

    srv_lock_scope(&c->lock);
    found = by_token_locked(c, token);
    if (found != NULL)
        found->expired = true;
    return found != NULL;
}

/* A key id may have had several tokens: the one that came along decides. */
static const struct credential *find_locked(struct srv_credentials *c, const char *key_id,
                                            const char *token)
{
    const struct credential *any = NULL;

    for (size_t i = 0; i < c->count; i++) {
        const struct credential *item = &c->items[i];

        if (!srv_streq(item->key_id, key_id))
            continue;
        any = item;
        if (item->token == NULL ? token == NULL : token != NULL && srv_streq(item->token, token))
            return item;
    }
    return any;
}

char *srv_credentials_secret(struct srv_credentials *c, const char *key_id, const char *token,
                             int64_t now, struct srv_error *err)
{
    const struct credential *found;

    srv_lock_scope(&c->lock);
    found = find_locked(c, key_id, token);
    if (found == NULL || (found->token != NULL && token == NULL)) {
        (void)srv_fail(err, "InvalidAccessKeyId",
                       "The OSS Access Key Id you provided does not exist in our records.");
        srv_error_detail(err, "OSSAccessKeyId", key_id);
        return NULL;
    }
    if (token != NULL && (found->token == NULL || !srv_streq(found->token, token))) {
        if (by_token_locked(c, token) != NULL)
            (void)srv_fail(err, "AccessKeyIdAndSecurityTokenNotMatch",
                           "The AccessKeyId and the security token do not belong together.");
        else
            (void)srv_fail(err, "InvalidSecurityToken",
                           "The security token you provided is invalid.");
        return NULL;
    }
    if (found->token != NULL &&
        (found->expired || (found->expires != 0 && now >= found->expires))) {
        (void)srv_fail(err, "SecurityTokenExpired", "The security token you provided has expired.");
        return NULL;
    }
    return srv_xstrdup(found->secret);
}

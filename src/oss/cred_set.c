/*
 * Sets of credentials: made, copied, compared, wiped.
 */
#include "oss/cred_provider.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#define PART_MAX (16u << 10) /* bytes; STS tokens have some hundred, more is no key */

void oss_cred_wipe(char **s)
{
    if (*s) {
        OPENSSL_cleanse(*s, strlen(*s));
        free(*s);
        *s = NULL;
    }
}

void oss_cred_wipe_buf(struct ou_buf *b)
{
    if (b->data)
        OPENSSL_cleanse(b->data, b->len);
    ou_buf_fini(b);
}

int oss_cred_text_init(struct oss_cred_text *t, size_t room, struct ou_error *err)
{
    t->data = calloc(1, room + 1);
    t->len = 0;
    t->room = room;
    return t->data ? 0 : ou_error_set(err, ENOMEM, "credentials");
}

void oss_cred_text_fini(struct oss_cred_text *t)
{
    if (t->data)
        OPENSSL_cleanse(t->data, t->room);
    free(t->data);
    *t = (struct oss_cred_text){0};
}

static void clean(char *s)
{
    for (; *s; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = ' ';
    }
}

int oss_cred_clean(struct ou_error *err)
{
    clean(err->message);
    clean(err->code);
    clean(err->request_id);
    return -err->errnum;
}

int oss_cred_dup(char **out, const char *s, struct ou_error *err)
{
    *out = NULL;
    if (!s)
        return 0;
    *out = strdup(s);
    return *out ? 0 : ou_error_set(err, ENOMEM, "credentials");
}

void oss_credentials_fini(struct oss_credentials *c)
{
    oss_cred_wipe(&c->access_key_id);
    oss_cred_wipe(&c->access_key_secret);
    oss_cred_wipe(&c->security_token);
    c->expires = 0;
}

int oss_credentials_copy(struct oss_credentials *to, const struct oss_credentials *from,
                         struct ou_error *err)
{
    struct oss_credentials copy = {.expires = from->expires};
    int r = oss_cred_dup(&copy.access_key_id, from->access_key_id, err);

    if (r == 0)
        r = oss_cred_dup(&copy.access_key_secret, from->access_key_secret, err);
    if (r == 0)
        r = oss_cred_dup(&copy.security_token, from->security_token, err);
    if (r < 0) {
        oss_credentials_fini(&copy);
        return r;
    }
    *to = copy;
    return 0;
}

static bool is_usable(const char *s)
{
    size_t len = 0;

    for (; s[len] != '\0'; len++) {
        if (s[len] < 0x21 || s[len] > 0x7e || len >= PART_MAX)
            return false;
    }
    return true;
}

static int check(const char *what, const char *part, const char *s, struct ou_error *err)
{
    if (!s || *s == '\0')
        return ou_error_say(err, EINVAL, "%s: the %s is missing", what, part);
    if (!is_usable(s))
        return ou_error_say(err, EINVAL, "%s: the %s holds a character that no key has", what,
                            part);
    return 0;
}

int oss_cred_set_make(struct oss_credentials *out, const char *what, const char *access_key_id,
                      const char *access_key_secret, const char *token, struct ou_error *err)
{
    /* The strings are only read; the struct has no const form. */
    struct oss_credentials borrowed = {.access_key_id = (char *)access_key_id,
                                       .access_key_secret = (char *)access_key_secret};
    int r = check(what, "access key id", access_key_id, err);

    if (r == 0)
        r = check(what, "access key secret", access_key_secret, err);
    if (r == 0 && token && *token != '\0') {
        borrowed.security_token = (char *)token;
        r = check(what, "security token", token, err);
    }
    return r < 0 ? r : oss_credentials_copy(out, &borrowed, err);
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool oss_cred_set_equal(const struct oss_credentials *a, const struct oss_credentials *b)
{
    return same(a->access_key_id, b->access_key_id) &&
           same(a->access_key_secret, b->access_key_secret) &&
           same(a->security_token, b->security_token);
}

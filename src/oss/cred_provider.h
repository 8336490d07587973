/*
 * Providers: one source of credentials each, in a file of its own. Private to oss/cred*.c.
 *
 * X_find() looks at the configuration and at the machine and says whether this source is there;
 * fetch() then gets a set from it, as often as the chain likes, reading files and asking services
 * anew each time. fetch() is called by one thread at a time and with no lock held; it ends by
 * itself (every request and every process has a deadline). Sentences never hold a secret.
 */
#ifndef OSSUP_OSS_CRED_PROVIDER_H
#define OSSUP_OSS_CRED_PROVIDER_H

#include "base/buf.h"
#include "base/error.h"
#include "oss/credentials.h"

#include <stddef.h>

struct oss_cred_provider {
    char description[160]; /* for people: "environment (OSS_ACCESS_KEY_ID)" */
    /*
     * Return: 0 and a set for the caller to fini, or a negative errno: -ENOKEY, the source is there
     * but holds no credentials; anything else, it is unusable as it is.
     */
    int (*fetch)(struct oss_cred_provider *provider, struct oss_credentials *out,
                 struct ou_error *err);
    void (*free)(struct oss_cred_provider *provider);
};

/*
 * The sources. Return: 1 @provider is for the caller to free, 0 there is no such source here,
 * negative errno: it is there and unusable.
 */
typedef int oss_cred_find(const struct oss_cred_config *config, struct oss_cred_provider **provider,
                          struct ou_error *err);
oss_cred_find oss_cred_explicit_find;
oss_cred_find oss_cred_passwd_find;   /* passwd_file= */
oss_cred_find oss_cred_process_find;  /* credential_process= */
oss_cred_find oss_cred_metadata_find; /* ram_role= */
oss_cred_find oss_cred_env_find;
oss_cred_find oss_cred_oidc_find;        /* the variables that Kubernetes sets */
oss_cred_find oss_cred_passwd_env_find;  /* OSS_CREDENTIAL_FILE */
oss_cred_find oss_cred_ossutil_find;     /* ~/.ossutilconfig */
oss_cred_find oss_cred_aliyun_find;      /* ~/.aliyun/config.json */
oss_cred_find oss_cred_passwd_home_find; /* ~/.passwd-ossfs */
oss_cred_find oss_cred_passwd_etc_find;  /* /etc/passwd-ossfs */

/* -- sets -- */

/**
 * oss_cred_set_make() - check and copy
 * @what:  the source, for the sentence
 * @token: NULL or "": none
 *
 * Return: 0; -EINVAL a part is missing, or holds a byte that no key has (blank, control, not
 * ASCII), which would let it forge headers; -ENOMEM.
 */
int oss_cred_set_make(struct oss_credentials *out, const char *what, const char *access_key_id,
                      const char *access_key_secret, const char *token, struct ou_error *err);
bool oss_cred_set_equal(const struct oss_credentials *a, const struct oss_credentials *b);
/** oss_cred_wipe() - overwrite and free a string that may be secret, and set it to NULL. */
void oss_cred_wipe(char **s);
/** oss_cred_wipe_buf() - the same for a buffer. */
void oss_cred_wipe_buf(struct ou_buf *b);

/* Text from outside, in memory that does not move and is wiped as a whole. */
struct oss_cred_text {
    char *data; /* NUL-terminated */
    size_t len;
    size_t room; /* bytes that fit, without the NUL */
};
int oss_cred_text_init(struct oss_cred_text *t, size_t room, struct ou_error *err);
void oss_cred_text_fini(struct oss_cred_text *t);
/** oss_cred_clean() - blanks for control bytes in @err, which quotes foreign text. Return: -errnum. */
int oss_cred_clean(struct ou_error *err);
/** oss_cred_dup() - a copy of @s into @out; NULL stays NULL. */
int oss_cred_dup(char **out, const char *s, struct ou_error *err);

#endif

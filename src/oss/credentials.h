/*
 * Credentials: a set taken from the first source that has one, refreshed before it expires.
 *
 * A *provider* fetches a set; the *chain* asks one provider and caches its answer.
 * oss_cred_get() hands out a consistent copy (id, secret, token belong together).
 * Thread-safe. Secrets are wiped when freed and reach no log.
 *
 * A set that expires is fetched anew after 80 % of its life, or 20 minutes before its end if that is
 * earlier (but not in the first half), by one thread in the background: callers get the old set
 * as long as it is valid. Once it has expired they wait for the new one. A refresh that goes wrong
 * is repeated (each minute, each 5 s once the set has expired), logged once and told by
 * oss_cred_status(). The background thread does not survive fork(): create the chain after it.
 */
#ifndef OSSUP_OSS_CREDENTIALS_H
#define OSSUP_OSS_CREDENTIALS_H

#include "base/error.h"

#include <stdbool.h>
#include <time.h>

struct oss_credentials {
    char *access_key_id;
    char *access_key_secret;
    char *security_token; /* NULL: none */
    time_t expires;       /* 0: never */
};
void oss_credentials_fini(struct oss_credentials *c); /* wipes */
int oss_credentials_copy(struct oss_credentials *to, const struct oss_credentials *from,
                         struct ou_error *err);

/* Where to look. NULL members are skipped; what is set explicitly wins over what is found. */
struct oss_cred_config {
    const char *access_key_id, *access_key_secret, *security_token; /* from a configuration file */
    const char *passwd_file;       /* ossfs format, [bucket:]ak:secret[:token]; mode 0600 or 0640 */
    const char *bucket;            /* picks the line of passwd_file */
    const char *ram_role;          /* "auto" or a role's name: ECS metadata service */
    const char *metadata_endpoint; /* NULL: http://100.100.100.200 */
    const char *credential_process; /* absolute path and arguments, split at blanks, no shell */
    const char *sts_endpoint;       /* NULL: https://sts.aliyuncs.com */
    const char *cacert;             /* PEM file: STS may have an authority of it, too; NULL: none */
    bool environment;               /* look at OSS_* and ALIBABA_CLOUD_* */
    bool files;                     /* look at ~/.ossutilconfig, ~/.aliyun/config.json */
};

struct oss_cred_chain;

/**
 * oss_cred_chain_new() - find the first source that has credentials and load them
 *
 * Order: explicit, passwd_file, credential_process, ram_role, environment (OSS_*, then
 * ALIBABA_CLOUD_*, then OIDC), ~/.ossutilconfig, ~/.aliyun/config.json, ~/.passwd-ossfs and
 * /etc/passwd-ossfs. @config is copied.
 *
 * Return: 0; -ENOKEY nobody has any (the sentence lists where it looked); -EACCES, -EBADMSG... a
 * source that was named explicitly is unusable.
 */
int oss_cred_chain_new(const struct oss_cred_config *config, struct oss_cred_chain **chain,
                       struct ou_error *err);
void oss_cred_chain_free(struct oss_cred_chain *chain);

/**
 * oss_cred_get() - a copy of the current set, for the caller to fini
 *
 * Waits only when the set has expired, and then no longer than its source takes (about 15 s).
 */
int oss_cred_get(struct oss_cred_chain *chain, struct oss_credentials *out, struct ou_error *err);
/**
 * oss_cred_reject() - the service refused @access_key_id/@token: fetch anew unless somebody did already
 * Return: 1 there is a different set now, 0 it is the same, negative: the refresh went wrong.
 */
int oss_cred_reject(struct oss_cred_chain *chain, const struct oss_credentials *refused,
                    struct ou_error *err);
/**
 * oss_cred_reload() - read the source again (SIGHUP). The old set stays when that goes wrong.
 *
 * It is also kept in the background when the new one differs: should the service refuse the new
 * one (oss_cred_reject()) and the source have nothing better, the old one returns.
 */
int oss_cred_reload(struct oss_cred_chain *chain, struct ou_error *err);
/** oss_cred_describe() - "environment (OSS_ACCESS_KEY_ID)"; never a secret. Valid as long as the chain. */
const char *oss_cred_describe(const struct oss_cred_chain *chain);

/* For `status --json`: no secret in it. */
struct oss_cred_status {
    char source[160];
    time_t fetched;             /* when the current set was got */
    time_t expires;             /* 0: never */
    bool refreshing;            /* a refresh is under way now */
    unsigned failures;          /* refreshes that went wrong since the last good one */
    struct ou_error last_error; /* of the latest of them; errnum 0: none */
};
void oss_cred_status(struct oss_cred_chain *chain, struct oss_cred_status *out);

#endif

/*
 * A profile of ~/.ossutilconfig or ~/.aliyun/config.json: how to get credentials. Private to
 * oss/cred*.c and tests.
 *
 * The parsers are pure; any thread. oss_cred_profile_get() asks services and runs programs.
 * Source: oss-protocol 11.2.
 */
#ifndef OSSUP_OSS_CRED_PROFILE_H
#define OSSUP_OSS_CRED_PROFILE_H

#include "oss/cred_provider.h"

struct oss_cred_profile { /* owned strings; NULL: not said */
    char *mode; /* "AK", "StsToken", "EcsRamRole", ... in any case; NULL: by what is there */
    char *access_key_id, *access_key_secret, *security_token;
    time_t expires; /* of the token, as another program noted it; 0: unknown */
    char *ram_role; /* EcsRamRole: a name, a URL, or NULL: the one attached */
    char *role_arn, *oidc_provider_arn, *oidc_token_file, *session_name; /* OIDC */
    char *sts_region;                                                    /* OIDC */
    char *process_command;                                               /* External */
};
void oss_cred_profile_fini(struct oss_cred_profile *p); /* wipes */
/** oss_cred_profile_set() - replace one member: "" is as good as nothing. */
int oss_cred_profile_set(char **member, const char *value, struct ou_error *err);

/**
 * oss_cred_profile_get() - the credentials of @profile
 * @what:   the file's name, for sentences
 * @config: only its endpoints are looked at
 *
 * Return: as a provider's fetch(). -ENOKEY: nothing in it that could be credentials. -ENOTSUP: a
 * mode that we do not do and whose token, if another program has left one, is over.
 */
int oss_cred_profile_get(const struct oss_cred_profile *profile, const char *what,
                         const struct oss_cred_config *config, struct oss_credentials *out,
                         struct ou_error *err);

/**
 * oss_cred_ossutil_parse() - ~/.ossutilconfig of ossutil 1 ([Credentials]) or 2 ([default])
 * @text: the content
 *
 * Return: 0 and a profile for the caller to fini (perhaps an empty one), -EBADMSG, -ENOMEM.
 */
int oss_cred_ossutil_parse(const char *what, const char *text, struct oss_cred_profile *out,
                           struct ou_error *err);
/**
 * oss_cred_aliyun_parse() - ~/.aliyun/config.json
 * @name: of the profile; NULL: the one that the file says is current, else "default"
 *
 * Return: 0 and a profile for the caller to fini, -ENOKEY no such profile, -EBADMSG, -ENOMEM.
 */
int oss_cred_aliyun_parse(const char *what, const char *text, size_t len, const char *name,
                          struct oss_cred_profile *out, struct ou_error *err);

/** oss_cred_profile_file_new() - a provider that reads @path, parses it and gets the profile. */
int oss_cred_profile_file_new(const struct oss_cred_config *config, const char *path,
                              int (*parse)(const char *what, const struct oss_cred_text *text,
                                           struct oss_cred_profile *out, struct ou_error *err),
                              struct oss_cred_provider **provider, struct ou_error *err);

#endif

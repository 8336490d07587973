/*
 * Profiles: what their mode means, and the provider that reads one from its file each time.
 *
 *   mode               credentials
 *   -----------------  ----------------------------------------------------------------
 *   AK                 id and secret
 *   StsToken           id, secret and token
 *   EcsRamRole         the metadata service
 *   OIDC               AssumeRoleWithOIDC
 *   External           a program
 *   any other          a token that the program which owns the file has left there, while it is
 *                      valid (RamRoleArn, CloudSSO, OAuth, ... need calls that are not ours)
 *   none               StsToken or AK by what is there
 */
#include "oss/cred_profile.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "oss/cred_file.h"
#include "oss/cred_remote.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void oss_cred_profile_fini(struct oss_cred_profile *p)
{
    char **const members[] = {
        &p->mode,         &p->access_key_id, &p->access_key_secret, &p->security_token,
        &p->ram_role,     &p->role_arn,      &p->oidc_provider_arn, &p->oidc_token_file,
        &p->session_name, &p->sts_region,    &p->process_command};

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        oss_cred_wipe(members[i]);
    p->expires = 0;
}

int oss_cred_profile_set(char **member, const char *value, struct ou_error *err)
{
    oss_cred_wipe(member);
    return value && *value != '\0' ? oss_cred_dup(member, value, err) : 0;
}

static int get_keys(const struct oss_cred_profile *p, const char *what, const char *token,
                    struct oss_credentials *out, struct ou_error *err)
{
    return oss_cred_set_make(out, what, p->access_key_id, p->access_key_secret, token, err);
}

static int get_sts(const struct oss_cred_profile *p, const char *what, struct oss_credentials *out,
                   struct ou_error *err)
{
    int r;

    if (!p->security_token)
        return ou_error_say(err, EINVAL, "%s: mode StsToken without a token", what);
    r = get_keys(p, what, p->security_token, out, err);
    if (r == 0)
        out->expires = p->expires;
    return r;
}

static int get_oidc(const struct oss_cred_profile *p, const char *what,
                    const struct oss_cred_config *config, struct oss_credentials *out,
                    struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf url = {0};
    struct oss_cred_oidc oidc = {.role_arn = p->role_arn,
                                 .provider_arn = p->oidc_provider_arn,
                                 .token_file = p->oidc_token_file,
                                 .session_name = p->session_name,
                                 .endpoint = config->sts_endpoint,
                                 .cacert = config->cacert};
    int r;

    if (!p->role_arn || !p->oidc_provider_arn || !p->oidc_token_file)
        return ou_error_say(err, EINVAL,
                            "%s: mode OIDC takes ram_role_arn, oidc_provider_arn and "
                            "oidc_token_file",
                            what);
    if (!oidc.endpoint) {
        r = oss_cred_sts_endpoint(p->sts_region, false, &url, err);
        if (r < 0)
            return ou_error_prefix(err, "%s", what);
        oidc.endpoint = ou_buf_str(&url);
    }
    r = oss_cred_oidc_get(&oidc, out, err);
    return r < 0 ? ou_error_prefix(err, "%s", what) : 0;
}

static int get_left_token(const struct oss_cred_profile *p, const char *what,
                          struct oss_credentials *out, struct ou_error *err)
{
    if (p->access_key_id && p->security_token && p->expires > ou_wall().tv_sec)
        return get_sts(p, what, out, err);
    (void)ou_error_say(err, ENOTSUP,
                       "%s: mode %.32s is not done here; use AK, StsToken, EcsRamRole, OIDC or "
                       "External, or credential_process=",
                       what, p->mode);
    return oss_cred_clean(err);
}

int oss_cred_profile_get(const struct oss_cred_profile *p, const char *what,
                         const struct oss_cred_config *config, struct oss_credentials *out,
                         struct ou_error *err)
{
    const char *mode = p->mode ? p->mode : p->security_token ? "StsToken" : "AK";
    int r;

    if (!p->mode && p->ram_role)
        mode = "EcsRamRole"; /* [AkService] of ossutil 1 */
    if (strcasecmp(mode, "AK") == 0 && !p->access_key_id && !p->access_key_secret)
        return ou_error_say(err, ENOKEY, "%s: no keys in it", what);
    if (strcasecmp(mode, "AK") == 0)
        return get_keys(p, what, NULL, out, err);
    if (strcasecmp(mode, "StsToken") == 0)
        return get_sts(p, what, out, err);
    if (strcasecmp(mode, "OIDC") == 0)
        return get_oidc(p, what, config, out, err);
    if (strcasecmp(mode, "EcsRamRole") == 0)
        r = oss_cred_metadata_get(config->metadata_endpoint, p->ram_role, out, err);
    else if (strcasecmp(mode, "External") == 0)
        r = oss_cred_process_get(p->process_command ? p->process_command : "", out, err);
    else
        return get_left_token(p, what, out, err);
    return r < 0 ? ou_error_prefix(err, "%s", what) : 0;
}

/* -- the provider -- */

struct provider_profile {
    struct oss_cred_provider base;
    int (*parse)(const char *what, const struct oss_cred_text *text, struct oss_cred_profile *out,
                 struct ou_error *err);
    char *path, *metadata_endpoint, *sts_endpoint, *cacert;
};

static int profile_fetch(struct oss_cred_provider *provider, struct oss_credentials *out,
                         struct ou_error *err)
{
    const struct provider_profile *p = (const struct provider_profile *)provider;
    const struct oss_cred_config endpoints = {.metadata_endpoint = p->metadata_endpoint,
                                              .sts_endpoint = p->sts_endpoint,
                                              .cacert = p->cacert};
    ou_auto(oss_cred_text_fini) struct oss_cred_text text = {0};
    ou_auto(oss_cred_profile_fini) struct oss_cred_profile profile = {0};
    int r = oss_cred_file_read(p->path, true, &text, err);

    if (r == 0)
        r = p->parse(p->path, &text, &profile, err);
    return r < 0 ? r : oss_cred_profile_get(&profile, p->path, &endpoints, out, err);
}

static void profile_free(struct oss_cred_provider *provider)
{
    struct provider_profile *p = (struct provider_profile *)provider;

    free(p->path);
    free(p->metadata_endpoint);
    free(p->sts_endpoint);
    free(p->cacert);
    free(p);
}

int oss_cred_profile_file_new(const struct oss_cred_config *config, const char *path,
                              int (*parse)(const char *what, const struct oss_cred_text *text,
                                           struct oss_cred_profile *out, struct ou_error *err),
                              struct oss_cred_provider **provider, struct ou_error *err)
{
    struct provider_profile *p = calloc(1, sizeof(*p));
    int r;

    if (!p)
        return ou_error_set(err, ENOMEM, "credentials");
    (void)snprintf(p->base.description, sizeof(p->base.description), "%s", path);
    p->base.fetch = profile_fetch;
    p->base.free = profile_free;
    p->parse = parse;
    r = oss_cred_dup(&p->path, path, err);
    if (r == 0)
        r = oss_cred_dup(&p->metadata_endpoint, config->metadata_endpoint, err);
    if (r == 0)
        r = oss_cred_dup(&p->sts_endpoint, config->sts_endpoint, err);
    if (r == 0)
        r = oss_cred_dup(&p->cacert, config->cacert, err);
    if (r < 0) {
        profile_free(&p->base);
        return r;
    }
    *provider = &p->base;
    return 1;
}

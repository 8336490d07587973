/*
 * Credentials from the environment, under the names of three families of programs.
 *
 * The first family whose key id is set is taken, never a mix of two. Source: oss-protocol 11.1.
 */
#include "oss/cred_provider.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct family {
    const char *id, *secret, *token;
};

static const struct family families[] = {
    {"OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN"},
    {"ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
     "ALIBABA_CLOUD_SECURITY_TOKEN"},
    {"OSSACCESSKEYID", "OSSSECRETACCESSKEY", "OSSSESSIONTOKEN"}, /* ossfs */
};

struct provider_env {
    struct oss_cred_provider base;
    const struct family *family;
};

static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value && *value != '\0' ? value : NULL;
}

static int env_fetch(struct oss_cred_provider *provider, struct oss_credentials *out,
                     struct ou_error *err)
{
    const struct family *f = ((const struct provider_env *)provider)->family;

    if (!variable(f->secret))
        return ou_error_say(err, EINVAL, "%s is set but %s is not", f->id, f->secret);
    return oss_cred_set_make(out, provider->description, variable(f->id), variable(f->secret),
                             variable(f->token), err);
}

static void env_free(struct oss_cred_provider *provider)
{
    free(provider);
}

int oss_cred_env_find(const struct oss_cred_config *config, struct oss_cred_provider **provider,
                      struct ou_error *err)
{
    struct provider_env *p;
    size_t i = 0;

    while (i < sizeof(families) / sizeof(families[0]) && !variable(families[i].id))
        i++;
    if (!config->environment || i == sizeof(families) / sizeof(families[0]))
        return 0;
    p = calloc(1, sizeof(*p));
    if (!p)
        return ou_error_set(err, ENOMEM, "credentials");
    p->family = &families[i];
    (void)snprintf(p->base.description, sizeof(p->base.description), "environment (%s)",
                   p->family->id);
    p->base.fetch = env_fetch;
    p->base.free = env_free;
    *provider = &p->base;
    return 1;
}

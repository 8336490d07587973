/*
 * Credentials that were given as they are: by the configuration file or by a caller of the library.
 */
#include "oss/cred_provider.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct provider_explicit {
    struct oss_cred_provider base; /* first, so that the pointers are the same */
    struct oss_credentials set;
};

static int explicit_fetch(struct oss_cred_provider *provider, struct oss_credentials *out,
                          struct ou_error *err)
{
    const struct provider_explicit *p = (const struct provider_explicit *)provider;

    return oss_credentials_copy(out, &p->set, err);
}

static void explicit_free(struct oss_cred_provider *provider)
{
    struct provider_explicit *p = (struct provider_explicit *)provider;

    oss_credentials_fini(&p->set);
    free(p);
}

int oss_cred_explicit_find(const struct oss_cred_config *config,
                           struct oss_cred_provider **provider, struct ou_error *err)
{
    struct provider_explicit *p;
    int r;

    if (!config->access_key_id && !config->access_key_secret)
        return 0;
    p = calloc(1, sizeof(*p));
    if (!p)
        return ou_error_set(err, ENOMEM, "credentials");
    (void)snprintf(p->base.description, sizeof(p->base.description), "configuration");
    p->base.fetch = explicit_fetch;
    p->base.free = explicit_free;
    r = oss_cred_set_make(&p->set, "configuration", config->access_key_id,
                          config->access_key_secret, config->security_token, err);
    if (r < 0) {
        explicit_free(&p->base);
        return r;
    }
    *provider = &p->base;
    return 1;
}

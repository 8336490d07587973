/*
 * Which source: the first that has credentials, in the order of oss/credentials.h.
 *
 * A source that was named in the configuration must work, or the search ends there with its
 * sentence. One that is merely lying about (a variable, a file in the home directory) is passed over
 * when it holds nothing or is unusable; why is logged, and told if nobody else has any.
 */
#include "oss/credentials.h"

#include "base/log.h"
#include "oss/cred_chain.h"
#include "oss/cred_provider.h"

#include <errno.h>
#include <stdbool.h>

static const struct source {
    oss_cred_find *find;
    bool named; /* in the configuration */
} sources[] = {
    {oss_cred_explicit_find, true},    {oss_cred_passwd_find, true},
    {oss_cred_process_find, true},     {oss_cred_metadata_find, true},
    {oss_cred_env_find, false},        {oss_cred_oidc_find, false},
    {oss_cred_passwd_env_find, false}, {oss_cred_ossutil_find, false},
    {oss_cred_aliyun_find, false},     {oss_cred_passwd_home_find, false},
    {oss_cred_passwd_etc_find, false},
};

/* Return: 1 @chain is there, 0 go on, negative: it is there and unusable. */
static int try_source(const struct source *source, const struct oss_cred_config *config,
                      struct oss_cred_chain **chain, struct ou_error *err)
{
    struct oss_cred_provider *provider = NULL;
    int r = source->find(config, &provider, err);

    if (r <= 0)
        return r;
    r = oss_cred_chain_with(provider, NULL, chain, err);
    if (r == -ENOKEY && !source->named)
        return 0;
    return r < 0 ? r : 1;
}

int oss_cred_chain_new(const struct oss_cred_config *config, struct oss_cred_chain **chain,
                       struct ou_error *err)
{
    struct ou_error first = OU_ERROR_INIT; /* of the sources passed over */

    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        struct ou_error why = OU_ERROR_INIT;
        int r = try_source(&sources[i], config, chain, &why);

        if (r > 0)
            return 0;
        if (r < 0 && (sources[i].named || r == -ENOMEM)) {
            *err = why;
            return r;
        }
        if (r < 0) {
            ou_log_warn(OU_LOG_OSS, &why, "credentials source passed over");
            if (first.errnum == 0)
                first = why;
        }
    }
    return ou_error_say(err, ENOKEY,
                        "no credentials: set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET, or "
                        "passwd_file=; looked in the configuration%s%s%s%s",
                        config->environment ? ", the environment" : "",
                        config->files ? ", ~/.ossutilconfig, ~/.aliyun/config.json, "
                                        "~/.passwd-ossfs, /etc/passwd-ossfs"
                                      : "",
                        first.errnum ? "; " : "", first.errnum ? first.message : "");
}

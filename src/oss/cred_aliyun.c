/*
 * ~/.aliyun/config.json, the file of the aliyun command line.
 *
 * Another path by ALIBABA_CLOUD_CONFIG_FILE, another profile by ALIBABA_CLOUD_PROFILE, not looked at
 * if ALIBABA_CLOUD_CLI_PROFILE_DISABLED is "true". Source: oss-protocol 11.2.
 */
#include "oss/cred_file.h"
#include "oss/cred_profile.h"

#include "base/cleanup.h"
#include "base/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct ou_json *find_profile(const struct ou_json *root, const char *name)
{
    const struct ou_json *profiles = ou_json_get(root, "profiles");

    for (size_t i = 0; i < ou_json_length(profiles); i++) {
        const struct ou_json *profile = ou_json_at(profiles, i);
        const char *its_name = ou_json_string(profile, "name");

        if (its_name && strcmp(its_name, name) == 0)
            return profile;
    }
    return NULL;
}

static int copy_members(const struct ou_json *json, struct oss_cred_profile *p,
                        struct ou_error *err)
{
    const struct {
        const char *name;
        char **member;
    } table[] = {{"mode", &p->mode},
                 {"access_key_id", &p->access_key_id},
                 {"access_key_secret", &p->access_key_secret},
                 {"sts_token", &p->security_token},
                 {"ram_role_name", &p->ram_role},
                 {"ram_role_arn", &p->role_arn},
                 {"ram_session_name", &p->session_name},
                 {"oidc_provider_arn", &p->oidc_provider_arn},
                 {"oidc_token_file", &p->oidc_token_file},
                 {"sts_region", &p->sts_region},
                 {"process_command", &p->process_command}};
    int64_t expires = 0;

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        int r = oss_cred_profile_set(table[i].member, ou_json_string(json, table[i].name), err);

        if (r < 0)
            return r;
    }
    if (ou_json_i64(json, "sts_expiration", &expires) && expires > 0)
        p->expires = (time_t)expires;
    return 0;
}

int oss_cred_aliyun_parse(const char *what, const char *text, size_t len, const char *name,
                          struct oss_cred_profile *out, struct ou_error *err)
{
    ou_auto(ou_json_free_at) struct ou_json *root = NULL;
    struct oss_cred_profile profile = {0};
    const struct ou_json *found;
    int r;

    if (ou_json_parse(text, len, &root, err) < 0) {
        if (err->errnum == ENOMEM)
            return -ENOMEM;
        return ou_error_say(err, EBADMSG, "%s: not JSON", what); /* never its text */
    }
    if (!name)
        name = ou_json_string(root, "current");
    if (!name || *name == '\0')
        name = "default";
    found = find_profile(root, name);
    if (!found) {
        (void)ou_error_say(err, ENOKEY, "%s: no profile \"%.64s\"", what, name);
        return oss_cred_clean(err);
    }
    r = copy_members(found, &profile, err);
    if (r < 0) {
        oss_cred_profile_fini(&profile);
        return r;
    }
    *out = profile;
    return 0;
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value && *value != '\0' ? value : NULL;
}

static int parse(const char *what, const struct oss_cred_text *text, struct oss_cred_profile *out,
                 struct ou_error *err)
{
    return oss_cred_aliyun_parse(what, text->data, text->len, variable("ALIBABA_CLOUD_PROFILE"),
                                 out, err);
}

int oss_cred_aliyun_find(const struct oss_cred_config *config, struct oss_cred_provider **provider,
                         struct ou_error *err)
{
    const char *disabled = variable("ALIBABA_CLOUD_CLI_PROFILE_DISABLED");
    const char *given = variable("ALIBABA_CLOUD_CONFIG_FILE");
    char path[PATH_MAX];

    if (!config->files || (disabled && strcasecmp(disabled, "true") == 0))
        return 0;
    if (given)
        return oss_cred_profile_file_new(config, given, parse, provider, err);
    if (oss_cred_home_path(".aliyun/config.json", path, err) < 0)
        return 0;
    return oss_cred_file_exists(path)
               ? oss_cred_profile_file_new(config, path, parse, provider, err)
               : 0;
}

/*
 * ~/.ossutilconfig, of both versions of ossutil.
 *
 *   version 1:  [Credentials] accessKeyID accessKeySecret stsToken mode ecsRoleName ...
 *               [AkService] ecsAk=URL of a role's credentials in the metadata service
 *   version 2:  [default], also written [profile default]; keys in any case and with - or _
 *
 * Names are compared without case, '-' and '_', which covers both. Endpoint and region are the
 * command line's business. Source: oss-protocol 11.2.
 */
#include "oss/cred_file.h"
#include "oss/cred_profile.h"

#include "base/ini.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#define NAME_SIZE 32 /* of the names that we know */

struct state {
    struct oss_cred_profile *profile;
    struct ou_error *err;
};

/* Lower case, without '-' and '_'. What is longer than all we know becomes "". */
static void plain_name(const char *name, char out[NAME_SIZE])
{
    size_t len = 0;

    for (; *name; name++) {
        if (*name == '-' || *name == '_')
            continue;
        if (len == NAME_SIZE - 1) {
            len = 0;
            break;
        }
        out[len++] = (char)tolower((unsigned char)*name);
    }
    out[len] = '\0';
}

static char **member_of(struct oss_cred_profile *p, const char *name)
{
    const struct {
        const char *name;
        char **member;
    } table[] = {{"mode", &p->mode},
                 {"accesskeyid", &p->access_key_id},
                 {"accesskeysecret", &p->access_key_secret},
                 {"ststoken", &p->security_token},
                 {"ecsrolename", &p->ram_role},
                 {"ramrolearn", &p->role_arn},
                 {"rolesessionname", &p->session_name},
                 {"oidcproviderarn", &p->oidc_provider_arn},
                 {"oidctokenfile", &p->oidc_token_file},
                 {"stsregion", &p->sts_region},
                 {"processcommand", &p->process_command}};

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (strcmp(table[i].name, name) == 0)
            return table[i].member;
    }
    return NULL;
}

static bool is_profile(const char *section)
{
    return strcasecmp(section, "Credentials") == 0 || strcasecmp(section, "default") == 0 ||
           strcasecmp(section, "profile default") == 0;
}

static int take(const char *section, const char *name, const char *value, void *ctx)
{
    const struct state *s = ctx;
    char plain[NAME_SIZE];
    char **member;

    plain_name(name, plain);
    if (strcasecmp(section, "AkService") == 0 && strcmp(plain, "ecsak") == 0)
        return oss_cred_profile_set(&s->profile->ram_role, value, s->err);
    member = is_profile(section) ? member_of(s->profile, plain) : NULL;
    return member ? oss_cred_profile_set(member, value, s->err) : 0;
}

int oss_cred_ossutil_parse(const char *what, const char *text, struct oss_cred_profile *out,
                           struct ou_error *err)
{
    struct oss_cred_profile profile = {0};
    struct state state = {.profile = &profile, .err = err};
    int r = ou_ini_read(what, text, take, &state, err);

    if (r < 0) {
        oss_cred_profile_fini(&profile);
        return r;
    }
    *out = profile;
    return 0;
}

static int parse(const char *what, const struct oss_cred_text *text, struct oss_cred_profile *out,
                 struct ou_error *err)
{
    return oss_cred_ossutil_parse(what, text->data, out, err);
}

int oss_cred_ossutil_find(const struct oss_cred_config *config, struct oss_cred_provider **provider,
                          struct ou_error *err)
{
    char path[PATH_MAX];

    if (!config->files || oss_cred_home_path(".ossutilconfig", path, err) < 0)
        return 0;
    return oss_cred_file_exists(path)
               ? oss_cred_profile_file_new(config, path, parse, provider, err)
               : 0;
}

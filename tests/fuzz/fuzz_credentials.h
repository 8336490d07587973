/*
 * What holds for any set or profile that comes out of a reader.
 */
#ifndef OSSUP_TESTS_FUZZ_CREDENTIALS_H
#define OSSUP_TESTS_FUZZ_CREDENTIALS_H

#include "oss/cred_profile.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A string of its own, so that ASan sees a read beyond it. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    if (!text)
        abort();
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

static inline void fuzz_check_part(const char *s)
{
    assert(s && *s);
    for (; *s; s++)
        assert(*s > ' ' && *s < 0x7f);
}

/* Finis @set. */
static inline void fuzz_check_set(int r, struct oss_credentials *set, const struct ou_error *err)
{
    if (r == 0) {
        fuzz_check_part(set->access_key_id);
        fuzz_check_part(set->access_key_secret);
        if (set->security_token)
            fuzz_check_part(set->security_token);
        assert(set->expires >= 0);
    } else {
        assert(r < 0 && r == -err->errnum && err->message[0] && !strchr(err->message, '\n'));
        assert(!set->access_key_id && !set->access_key_secret && !set->security_token);
    }
    oss_credentials_fini(set);
}

static inline int fuzz_mode_is(const struct oss_cred_profile *p, const char *mode)
{
    return p->mode && strcasecmp(p->mode, mode) == 0;
}

static inline void fuzz_check_profile(int r, const struct oss_cred_profile *p,
                                      const struct ou_error *err)
{
    const char *const members[] = {p->mode,
                                   p->access_key_id,
                                   p->access_key_secret,
                                   p->ram_role,
                                   p->role_arn,
                                   p->security_token,
                                   p->session_name,
                                   p->sts_region,
                                   p->oidc_provider_arn,
                                   p->oidc_token_file,
                                   p->process_command};
    const struct oss_cred_config config = {0};
    struct oss_credentials set = {0};
    struct ou_error why = OU_ERROR_INIT;

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        assert(!members[i] || (r == 0 && members[i][0] != '\0'));
    assert(r == 0 || (r < 0 && r == -err->errnum && err->message[0]));
    assert(!strchr(err->message, '\n'));
    /* Those that go out and ask are not asked here. */
    if (r < 0 || fuzz_mode_is(p, "EcsRamRole") || fuzz_mode_is(p, "External") ||
        fuzz_mode_is(p, "OIDC") || (!p->mode && p->ram_role))
        return;
    r = oss_cred_profile_get(p, "f", &config, &set, &why);
    fuzz_check_set(r, &set, &why);
}

#endif

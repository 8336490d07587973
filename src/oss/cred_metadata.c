/*
 * The RAM role of an ECS instance, from the metadata service.
 *
 *   PUT /latest/api/token                                      -> token (hardened mode needs it)
 *   GET /latest/meta-data/ram/security-credentials/            -> the role's name, if none is given
 *   GET /latest/meta-data/ram/security-credentials/ROLE        -> JSON
 *
 * Plain HTTP to a link-local address, never through a proxy. Source: oss-protocol 11.3.
 */
#include "oss/cred_remote.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "oss/cred_json.h"
#include "oss/http_simple.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_ENDPOINT   "http://100.100.100.200"
#define CREDENTIALS_PATH   "/latest/meta-data/ram/security-credentials/"
#define TOKEN_PATH         "/latest/api/token"
#define TOKEN_TTL_HEADER   "X-aliyun-ecs-metadata-token-ttl-seconds: 60" /* of one use each */
#define TOKEN_HEADER       "X-aliyun-ecs-metadata-token: "
#define CONNECT_TIMEOUT_MS 2000 /* it is on this host; elsewhere nobody answers */
#define TIMEOUT_MS         5000
#define ROLE_NAME_MAX      64u
#define TOKEN_MAX          4096u
#define STATUS_OK          200
#define STATUS_NOT_FOUND   404

static bool is_true(const char *variable)
{
    const char *value = getenv(variable);

    return value && strcasecmp(value, "true") == 0;
}

static bool is_url(const char *s)
{
    return strncmp(s, "http://", 7) == 0 || strncmp(s, "https://", 8) == 0;
}

/* "http://host:port" of @url. */
static size_t origin_length(const char *url)
{
    const char *host = strstr(url, "://");

    return host ? (size_t)(host + 3 - url) + strcspn(host + 3, "/?#") : strlen(url);
}

static int ask(const char *method, const char *url, const char *header,
               struct oss_http_answer *answer, struct ou_error *err)
{
    const char *const headers[] = {header, NULL};
    const struct oss_http_simple request = {.method = method,
                                            .url = url,
                                            .headers = headers,
                                            .direct = true,
                                            .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                                            .timeout_ms = TIMEOUT_MS};

    if (oss_http_simple(&request, answer, err) == 0)
        return 0;
    return ou_error_prefix(err, "ram_role: the metadata service, which only an ECS instance has");
}

/* The text of @answer without blanks around; false: it cannot be a header's value or a name. */
static bool one_word(struct oss_http_answer *answer, size_t max, const char **word)
{
    char *s = answer->body;
    size_t len;

    while (*s && strchr(" \t\r\n", *s))
        s++;
    len = strlen(s);
    while (len > 0 && strchr(" \t\r\n", s[len - 1]))
        s[--len] = '\0';
    for (size_t i = 0; i < len; i++) {
        if (s[i] < 0x21 || s[i] > 0x7e)
            return false;
    }
    *word = s;
    return len > 0 && len <= max;
}

/* @header: the line that proves the token, or empty where the service has none. */
static int get_token(const char *origin, struct oss_cred_text *header, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf url = {0};
    ou_auto(oss_http_answer_fini) struct oss_http_answer answer = {0};
    const char *word;
    int r;

    ou_buf_addf(&url, "%s" TOKEN_PATH, origin);
    r = ou_buf_check(&url, err);
    if (r == 0)
        r = ask("PUT", ou_buf_str(&url), TOKEN_TTL_HEADER, &answer, err);
    if (r < 0)
        return r;
    if (answer.status == STATUS_OK && one_word(&answer, TOKEN_MAX, &word)) {
        header->len = (size_t)snprintf(header->data, header->room + 1, TOKEN_HEADER "%s", word);
        return 0;
    }
    if (is_true("ALIBABA_CLOUD_IMDSV1_DISABLED"))
        return oss_cred_json_refusal("ram_role: token of the metadata service", answer.status, "",
                                     0, err);
    return 0;
}

static int get_role_name(const char *origin, const char *token, struct ou_buf *name,
                         struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf url = {0};
    ou_auto(oss_http_answer_fini) struct oss_http_answer answer = {0};
    const char *word;
    int r;

    ou_buf_addf(&url, "%s" CREDENTIALS_PATH, origin);
    r = ou_buf_check(&url, err);
    if (r == 0)
        r = ask("GET", ou_buf_str(&url), token, &answer, err);
    if (r < 0)
        return r;
    if (answer.status == STATUS_NOT_FOUND)
        return ou_error_say(err, ENOKEY, "ram_role: no RAM role is attached to this instance");
    if (answer.status != STATUS_OK)
        return oss_cred_json_refusal("ram_role: metadata service", answer.status, answer.body,
                                     answer.len, err);
    if (!one_word(&answer, ROLE_NAME_MAX, &word))
        return ou_error_say(err, EBADMSG, "ram_role: the metadata service names no role");
    ou_buf_adds(name, word);
    return ou_buf_check(name, err);
}

static int get_set(const char *url, const char *token, struct oss_credentials *out,
                   struct ou_error *err)
{
    ou_auto(oss_http_answer_fini) struct oss_http_answer answer = {0};
    int r = ask("GET", url, token, &answer, err);

    if (r < 0)
        return r;
    if (answer.status == STATUS_NOT_FOUND)
        return ou_error_say(err, ENOKEY, "ram_role: %s: no such role is attached to this instance",
                            strrchr(url, '/') + 1);
    if (answer.status != STATUS_OK)
        return oss_cred_json_refusal("ram_role: metadata service", answer.status, answer.body,
                                     answer.len, err);
    return oss_cred_json_parse("ram_role", answer.body, answer.len, out, err);
}

static int get_with_token(const char *origin, const char *role, const char *token,
                          struct oss_credentials *out, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf name = {0};
    ou_auto(ou_buf_fini) struct ou_buf url = {0};
    int r;

    if (role && is_url(role))
        return get_set(role, token, out, err);
    if (role && *role && strcmp(role, "auto") != 0) {
        ou_buf_adds(&name, role);
    } else {
        r = get_role_name(origin, token, &name, err);
        if (r < 0)
            return r;
    }
    ou_buf_addf(&url, "%s" CREDENTIALS_PATH, origin);
    ou_percent_encode(&url, ou_buf_str(&name), name.len, "");
    r = ou_buf_check(&url, err);
    return r < 0 ? r : get_set(ou_buf_str(&url), token, out, err);
}

int oss_cred_metadata_get(const char *endpoint, const char *role, struct oss_credentials *out,
                          struct ou_error *err)
{
    ou_auto(oss_cred_text_fini) struct oss_cred_text token = {0};
    ou_auto(ou_buf_fini) struct ou_buf origin = {0};
    const char *url = role && is_url(role) ? role : endpoint ? endpoint : DEFAULT_ENDPOINT;
    int r;

    if (is_true("ALIBABA_CLOUD_ECS_METADATA_DISABLED"))
        return ou_error_say(err, EPERM,
                            "ram_role: switched off by ALIBABA_CLOUD_ECS_METADATA_DISABLED=true");
    ou_buf_add(&origin, url, origin_length(url));
    r = ou_buf_check(&origin, err);
    if (r == 0)
        r = oss_cred_text_init(&token, sizeof(TOKEN_HEADER) + TOKEN_MAX, err);
    if (r == 0)
        r = get_token(ou_buf_str(&origin), &token, err);
    if (r < 0)
        return r;
    return get_with_token(ou_buf_str(&origin), role, token.len > 0 ? token.data : NULL, out, err);
}

/* -- the provider of ram_role= -- */

struct provider_metadata {
    struct oss_cred_provider base;
    char *endpoint, *role;
};

static int metadata_fetch(struct oss_cred_provider *provider, struct oss_credentials *out,
                          struct ou_error *err)
{
    const struct provider_metadata *p = (const struct provider_metadata *)provider;

    return oss_cred_metadata_get(p->endpoint, p->role, out, err);
}

static void metadata_free(struct oss_cred_provider *provider)
{
    struct provider_metadata *p = (struct provider_metadata *)provider;

    free(p->endpoint);
    free(p->role);
    free(p);
}

int oss_cred_metadata_find(const struct oss_cred_config *config,
                           struct oss_cred_provider **provider, struct ou_error *err)
{
    struct provider_metadata *p;
    int r;

    if (!config->ram_role)
        return 0;
    p = calloc(1, sizeof(*p));
    if (!p)
        return ou_error_set(err, ENOMEM, "credentials");
    (void)snprintf(p->base.description, sizeof(p->base.description), "ram_role %s",
                   config->ram_role);
    p->base.fetch = metadata_fetch;
    p->base.free = metadata_free;
    r = oss_cred_dup(&p->endpoint, config->metadata_endpoint, err);
    if (r == 0)
        r = oss_cred_dup(&p->role, config->ram_role, err);
    if (r < 0) {
        metadata_free(&p->base);
        return r;
    }
    *provider = &p->base;
    return 1;
}

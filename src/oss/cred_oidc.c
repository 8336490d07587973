/*
 * A RAM role for a service account of Kubernetes (RRSA): STS AssumeRoleWithOIDC, an unsigned request
 * that carries the token of a file. Source: oss-protocol 11.5.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "oss/cred_file.h"
#include "oss/cred_json.h"
#include "oss/cred_remote.h"
#include "oss/http_simple.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/rand.h>

#define DEFAULT_SESSION "ossfs-up"
#define LIFE_SECONDS    "3600" /* what each role allows at least */
#define NONCE_BYTES     16u
#define STATUS_OK       200
#define ISO_SIZE        24 /* "2024-03-05T08:09:10Z" */

int oss_cred_sts_endpoint(const char *region, bool vpc, struct ou_buf *out, struct ou_error *err)
{
    ou_buf_adds(out, "https://");
    if (!region || *region == '\0') {
        ou_buf_adds(out, "sts.aliyuncs.com");
        return ou_buf_check(out, err);
    }
    if (region[strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-")] != '\0')
        return ou_error_say(err, EINVAL, "STS region %.64s: no such name", region);
    ou_buf_addf(out, "%s.%s.aliyuncs.com", vpc ? "sts-vpc" : "sts", region);
    return ou_buf_check(out, err);
}

static int build_url(const char *endpoint, struct ou_buf *url, struct ou_error *err)
{
    unsigned char nonce[NONCE_BYTES];
    time_t now = ou_wall().tv_sec;
    char stamp[ISO_SIZE];
    struct tm tm;
    size_t len = strlen(endpoint);

    while (len > 0 && endpoint[len - 1] == '/')
        len--;
    if (RAND_bytes(nonce, sizeof(nonce)) != 1)
        return ou_error_set(err, EIO, "random bytes");
    (void)gmtime_r(&now, &tm);
    (void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
    ou_buf_add(url, endpoint, len);
    ou_buf_adds(url, "/?Action=AssumeRoleWithOIDC&Format=JSON&Version=2015-04-01&Timestamp=");
    ou_percent_encode(url, stamp, strlen(stamp), "");
    ou_buf_adds(url, "&SignatureNonce=");
    for (size_t i = 0; i < sizeof(nonce); i++)
        ou_buf_addf(url, "%02x", nonce[i]);
    return ou_buf_check(url, err);
}

static void add_field(struct ou_buf *body, const char *name, const char *value)
{
    if (body->len > 0)
        ou_buf_adds(body, "&");
    ou_buf_adds(body, name);
    ou_buf_adds(body, "=");
    ou_percent_encode(body, value, strlen(value), "");
}

static int build_body(const struct oss_cred_oidc *oidc, struct ou_buf *body, struct ou_error *err)
{
    ou_auto(oss_cred_text_fini) struct oss_cred_text token = {0};
    /* Not checked for its mode: the kubelet projects it world-readable into the container. */
    int r = oss_cred_file_read(oidc->token_file, false, &token, err);

    if (r < 0)
        return r;
    token.data[strcspn(token.data, " \t\r\n")] = '\0';
    if (token.data[0] == '\0')
        return ou_error_say(err, EBADMSG, "%s: no token in it", oidc->token_file);
    add_field(body, "RoleArn", oidc->role_arn);
    add_field(body, "OIDCProviderArn", oidc->provider_arn);
    add_field(body, "OIDCToken", token.data);
    add_field(body, "RoleSessionName", oidc->session_name ? oidc->session_name : DEFAULT_SESSION);
    add_field(body, "DurationSeconds", LIFE_SECONDS);
    return ou_buf_check(body, err);
}

int oss_cred_oidc_get(const struct oss_cred_oidc *oidc, struct oss_credentials *out,
                      struct ou_error *err)
{
    static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded",
                                          "Accept: application/json", NULL};
    ou_auto(ou_buf_fini) struct ou_buf url = {0};
    ou_auto(oss_cred_wipe_buf) struct ou_buf body = {0};
    ou_auto(oss_http_answer_fini) struct oss_http_answer answer = {0};
    struct oss_http_simple request = {.method = "POST", .headers = headers, .cacert = oidc->cacert};
    int r = build_url(oidc->endpoint, &url, err);

    if (r == 0)
        r = build_body(oidc, &body, err);
    if (r < 0)
        return ou_error_prefix(err, "OIDC");
    request.url = ou_buf_str(&url);
    request.body = ou_buf_str(&body);
    if (oss_http_simple(&request, &answer, err) < 0)
        return ou_error_prefix(err, "AssumeRoleWithOIDC");
    if (answer.status != STATUS_OK)
        return oss_cred_json_refusal("AssumeRoleWithOIDC", answer.status, answer.body, answer.len,
                                     err);
    return oss_cred_json_parse("AssumeRoleWithOIDC", answer.body, answer.len, out, err);
}

/* -- the provider: what the webhook of Kubernetes sets -- */

struct provider_oidc {
    struct oss_cred_provider base;
    char *role_arn, *provider_arn, *token_file, *session_name, *endpoint, *cacert;
};

static int oidc_fetch(struct oss_cred_provider *provider, struct oss_credentials *out,
                      struct ou_error *err)
{
    const struct provider_oidc *p = (const struct provider_oidc *)provider;
    const struct oss_cred_oidc oidc = {.role_arn = p->role_arn,
                                       .provider_arn = p->provider_arn,
                                       .token_file = p->token_file,
                                       .session_name = p->session_name,
                                       .endpoint = p->endpoint,
                                       .cacert = p->cacert};

    return oss_cred_oidc_get(&oidc, out, err);
}

static void oidc_free(struct oss_cred_provider *provider)
{
    struct provider_oidc *p = (struct provider_oidc *)provider;

    free(p->role_arn);
    free(p->provider_arn);
    free(p->token_file);
    free(p->session_name);
    free(p->endpoint);
    free(p->cacert);
    free(p);
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value && *value != '\0' ? value : NULL;
}

static int choose_endpoint(const struct oss_cred_config *config, char **endpoint,
                           struct ou_error *err)
{
    const char *vpc = variable("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED");
    ou_auto(ou_buf_fini) struct ou_buf url = {0};
    int r;

    if (config->sts_endpoint)
        return oss_cred_dup(endpoint, config->sts_endpoint, err);
    r = oss_cred_sts_endpoint(variable("ALIBABA_CLOUD_STS_REGION"),
                              vpc && strcasecmp(vpc, "true") == 0, &url, err);
    return r < 0 ? r : oss_cred_dup(endpoint, ou_buf_str(&url), err);
}

int oss_cred_oidc_find(const struct oss_cred_config *config, struct oss_cred_provider **provider,
                       struct ou_error *err)
{
    const char *role = variable("ALIBABA_CLOUD_ROLE_ARN");
    const char *issuer = variable("ALIBABA_CLOUD_OIDC_PROVIDER_ARN");
    const char *file = variable("ALIBABA_CLOUD_OIDC_TOKEN_FILE");
    struct provider_oidc *p;
    int r;

    if (!config->environment || !role || !issuer || !file)
        return 0;
    p = calloc(1, sizeof(*p));
    if (!p)
        return ou_error_set(err, ENOMEM, "credentials");
    (void)snprintf(p->base.description, sizeof(p->base.description),
                   "environment (ALIBABA_CLOUD_OIDC_TOKEN_FILE)");
    p->base.fetch = oidc_fetch;
    p->base.free = oidc_free;
    r = oss_cred_dup(&p->role_arn, role, err);
    if (r == 0)
        r = oss_cred_dup(&p->provider_arn, issuer, err);
    if (r == 0)
        r = oss_cred_dup(&p->token_file, file, err);
    if (r == 0)
        r = oss_cred_dup(&p->session_name, variable("ALIBABA_CLOUD_ROLE_SESSION_NAME"), err);
    if (r == 0)
        r = choose_endpoint(config, &p->endpoint, err);
    if (r == 0)
        r = oss_cred_dup(&p->cacert, config->cacert, err);
    if (r < 0) {
        oidc_free(&p->base);
        return r;
    }
    *provider = &p->base;
    return 1;
}

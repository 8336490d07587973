/*
 * The client's configuration, checked and copied, and its numbers.
 */
#include "oss/client_impl.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "oss/types.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTIONS        16u
#define CONNECTIONS_MAX    1024u
#define CONNECT_TIMEOUT_MS UINT64_C(10000)
#define IDLE_TIMEOUT_MS    UINT64_C(60000)
#define REQUEST_TIMEOUT_MS UINT64_C(60000)
#define TIMEOUT_MAX_MS     UINT64_C(86400000)
#define TRAFFIC_LIMIT_MIN  UINT64_C(819200) /* bits per second; oss-protocol 4.1 */
#define TRAFFIC_LIMIT_MAX  UINT64_C(838860800)

static bool is_one_of(const char *value, const char *const *list)
{
    for (; *list; list++)
        if (!strcmp(value, *list))
            return true;
    return false;
}

static int check_words(const struct oss_config *f, struct ou_error *err)
{
    static const char *const encryptions[] = {"AES256", "KMS", "SM4", NULL};

    if (f->storage_class && !oss_storage_class_of(f->storage_class))
        return ou_error_say(err, EINVAL,
                            "storage_class=%s: it takes Standard, IA, Archive, ColdArchive or "
                            "DeepColdArchive",
                            f->storage_class);
    if (f->sse && !is_one_of(f->sse, encryptions))
        return ou_error_say(err, EINVAL, "sse=%s: it takes AES256, KMS or SM4", f->sse);
    if (f->sse_key_id && (!f->sse || strcmp(f->sse, "KMS") != 0))
        return ou_error_say(err, EINVAL, "a key id for encryption goes with sse=KMS only");
    if (f->sse_key_id && !*f->sse_key_id)
        return ou_error_say(err, EINVAL,
                            "sse=KMS: has no key id: write sse=KMS:KEY-ID, or sse=KMS for the "
                            "bucket owner's default key");
    if (f->cacert && access(f->cacert, R_OK) < 0)
        return ou_error_set(err, errno, "cacert=%s", f->cacert);
    return 0;
}

static int check_numbers(const struct oss_config *f, struct ou_error *err)
{
    if (f->connections > CONNECTIONS_MAX)
        return ou_error_say(err, EINVAL, "connections=%u: it takes 1 to %u", f->connections,
                            CONNECTIONS_MAX);
    if (f->connect_timeout_ms > TIMEOUT_MAX_MS || f->idle_timeout_ms > TIMEOUT_MAX_MS)
        return ou_error_say(err, EINVAL, "a timeout of more than a day is none");
    if (f->traffic_limit &&
        (f->traffic_limit < TRAFFIC_LIMIT_MIN || f->traffic_limit > TRAFFIC_LIMIT_MAX))
        return ou_error_say(err, EINVAL,
                            "traffic_limit=%" PRIu64 ": it takes %" PRIu64 " to %" PRIu64
                            " bits per second",
                            f->traffic_limit, TRAFFIC_LIMIT_MIN, TRAFFIC_LIMIT_MAX);
    return 0;
}

/* Region and version of the signature; the address is known. */
static int choose_signature(struct oss_client *c, const struct oss_config *f, struct ou_error *err)
{
    const char *region = f->region && *f->region ? f->region : c->address.region;
    int r;

    if (!strncmp(region, "oss-", 4)) /* as OSS writes its locations; not so in signatures */
        region += 4;
    if (*region) {
        r = oss_region_check(region, err);
        if (r < 0)
            return r;
        memcpy(c->region, region, strlen(region) + 1); /* its length was checked */
    }
    if (f->sign == OSS_SIGN_CHOICE_V4 && !*region)
        return ou_error_say(err, EINVAL, "sign=v4 needs region=, endpoint=%s does not tell it",
                            f->endpoint);
    c->sign = f->sign == OSS_SIGN_CHOICE_V1 || !*region ? OSS_SIGN_V1 : OSS_SIGN_V4;
    return 0;
}

static const char *copy(const char *s, bool *failed)
{
    char *c = s ? strdup(s) : NULL;

    if (s && !c)
        *failed = true;
    return c;
}

/* With its scheme, and without a bucket's name that stood in it. */
static const char *copy_endpoint(const struct oss_address *a, bool *failed)
{
    char text[OSS_HOST_SIZE + 32];

    if (a->port)
        (void)snprintf(text, sizeof(text), "%s://%s:%u", a->scheme, a->host, a->port);
    else
        (void)snprintf(text, sizeof(text), "%s://%s", a->scheme, a->host);
    return copy(text, failed);
}

static int copy_config(struct oss_client *c, const struct oss_config *f, struct ou_error *err)
{
    struct oss_config *to = &c->config;
    bool failed = false;

    *to = *f;
    to->endpoint = copy_endpoint(&c->address, &failed);
    to->bucket = copy(f->bucket, &failed);
    to->storage_class = copy(f->storage_class, &failed);
    to->sse = copy(f->sse, &failed);
    to->sse_key_id = copy(f->sse_key_id, &failed);
    to->region = to->cacert = to->user_agent = NULL; /* kept elsewhere */
    if (!to->connections)
        to->connections = CONNECTIONS;
    if (!to->connect_timeout_ms)
        to->connect_timeout_ms = CONNECT_TIMEOUT_MS;
    if (!to->idle_timeout_ms)
        to->idle_timeout_ms = IDLE_TIMEOUT_MS;
    return failed ? ou_error_set(err, ENOMEM, "set up the client") : 0;
}

static int fill(struct oss_client *c, const struct oss_config *f, struct ou_error *err)
{
    struct oss_http_options http = {
        .user_agent = f->user_agent,
        .cacert = f->cacert,
        .no_verify = f->no_verify,
        .up = f->limit_up ? &c->up : NULL,
        .down = f->limit_down ? &c->down : NULL,
    };
    int r = oss_address_init(&c->address, f->endpoint, f->addressing, f->bucket, err);

    if (r == 0)
        r = choose_signature(c, f, err);
    if (r == 0)
        r = check_words(f, err);
    if (r == 0)
        r = check_numbers(f, err);
    if (r == 0)
        r = copy_config(c, f, err);
    if (r < 0)
        return r;
    http.connect_timeout_ms = c->config.connect_timeout_ms;
    r = oss_http_new(&http, &c->http, err);
    if (r < 0)
        return r;
    if (f->no_verify)
        ou_log_write(OU_LOG_OSS, OU_LOG_WARN,
                     "endpoint=%s no_verify: anybody on the way can read and change everything",
                     f->endpoint);
    ou_log_debug(OU_LOG_OSS, "client bucket=%s endpoint=%s region=%s sign=v%d connections=%u",
                 f->bucket, f->endpoint, c->region, (int)c->sign, c->config.connections);
    return 0;
}

int oss_client_new(const struct oss_config *config, struct oss_cred_chain *chain,
                   struct oss_client **client, struct ou_error *err)
{
    struct oss_client *c = calloc(1, sizeof(*c));
    int r;

    if (!c)
        return ou_error_set(err, ENOMEM, "set up the client");
    c->chain = chain;
    atomic_init(&c->request_timeout_ms, REQUEST_TIMEOUT_MS);
    oss_limit_init(&c->up, config->limit_up);
    oss_limit_init(&c->down, config->limit_down);
    oss_gate_init(&c->gate, config->connections ? config->connections : CONNECTIONS);
    r = fill(c, config, err);
    if (r < 0) {
        oss_client_free(c);
        return r;
    }
    *client = c;
    return 0;
}

void oss_client_free(struct oss_client *c)
{
    if (!c)
        return;
    oss_http_free(c->http);
    oss_gate_fini(&c->gate);
    oss_limit_fini(&c->up);
    oss_limit_fini(&c->down);
    free((char *)c->config.endpoint);
    free((char *)c->config.bucket);
    free((char *)c->config.storage_class);
    free((char *)c->config.sse);
    free((char *)c->config.sse_key_id);
    free(c);
}

const char *oss_client_bucket(const struct oss_client *client)
{
    return client->config.bucket;
}

const char *oss_client_endpoint(const struct oss_client *client)
{
    return client->config.endpoint;
}

const char *oss_client_region(const struct oss_client *client)
{
    return client->region;
}

struct oss_cred_chain *oss_client_credentials(struct oss_client *client)
{
    return client->chain;
}

void oss_client_set_request_timeout(struct oss_client *client, uint64_t ms)
{
    atomic_store(&client->request_timeout_ms, ms ? ms : REQUEST_TIMEOUT_MS);
}

void oss_client_stats(struct oss_client *client, struct oss_client_stats *out)
{
    *out = (struct oss_client_stats){
        .requests = atomic_load(&client->requests),
        .retries = atomic_load(&client->retries),
        .throttled = atomic_load(&client->throttled),
        .bytes_up = atomic_load(&client->bytes_up),
        .bytes_down = atomic_load(&client->bytes_down),
        .clock_offset_s = atomic_load(&client->clock_offset_s),
        .server_ahead_s = atomic_load(&client->server_ahead_s),
    };
    oss_gate_look(&client->gate, &out->in_flight, &out->connections_allowed);
}

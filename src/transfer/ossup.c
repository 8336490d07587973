/*
 * The library's client: configuration, credentials, one OSS client for each bucket.
 *
 * Structs of the caller are of the size that the header had when it was compiled: they are copied by
 * their struct_size, in and out.
 */
#include "transfer/ossup_internal.h"

#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RANK_CLIENT        (OU_RANK_XFER + 10)
#define SIZE_MAX_OF_STRUCT 65536u /* more is no struct_size, but what was on the stack */

/* -- structs -- */

int ossup_take_struct(void *to, size_t size, const void *from, const char *name,
                      struct ou_error *err)
{
    size_t theirs;

    memset(to, 0, size);
    if (!from)
        return ou_error_say(err, EINVAL, "%s is NULL", name);
    memcpy(&theirs, from, sizeof(theirs));
    if (theirs <= sizeof(theirs) || theirs > SIZE_MAX_OF_STRUCT)
        return ou_error_say(err, EINVAL, "%s: set its struct_size to sizeof, and the rest to 0",
                            name);
    memcpy(to, from, theirs < size ? theirs : size);
    return 0;
}

void ossup_give_struct(void *to, const void *from, size_t size)
{
    size_t theirs;

    if (!to)
        return;
    memcpy(&theirs, to, sizeof(theirs));
    if (theirs <= sizeof(theirs) || theirs > SIZE_MAX_OF_STRUCT)
        return;
    size = theirs < size ? theirs : size;
    memcpy((char *)to + sizeof(theirs), (const char *)from + sizeof(theirs), size - sizeof(theirs));
}

static const char *code_of(const struct ou_error *err)
{
    static const struct {
        int errnum;
        const char *code;
    } ours[] = {
        {EINVAL, "InvalidArgument"}, {ECANCELED, "Canceled"},       {ESTALE, "FileChanged"},
        {EBUSY, "UploadInProgress"}, {EPROTO, "CheckpointVersion"},
    };
    const char *name;

    if (err->code[0])
        return err->code;
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (ours[i].errnum == err->errnum)
            return ours[i].code;
    name = strerrorname_np(err->errnum);
    return name ? name : "Unknown";
}

int ossup_give_error(struct ossup_error *error, const struct ou_error *err)
{
    struct ossup_error full = {.errnum = err->errnum, .http_status = err->http_status};

    (void)snprintf(full.code, sizeof(full.code), "%s", code_of(err));
    (void)snprintf(full.request_id, sizeof(full.request_id), "%s", err->request_id);
    (void)snprintf(full.message, sizeof(full.message), "%s", err->message);
    ossup_give_struct(error, &full, sizeof(full));
    return -err->errnum;
}

/* -- client -- */

static void be_silent(void)
{
    ou_log_to_fd(-1); /* what there is to say is in the errors */
}

static int copy_string(const char **to, const char *from, struct ou_error *err)
{
    *to = from ? strdup(from) : NULL;
    return *to || !from ? 0 : ou_error_set(err, ENOMEM, "client");
}

static int copy_config(struct ossup_client *c, const struct ossup_config *f, struct ou_error *err)
{
    static const enum oss_addressing addressing[] = {
        [OSSUP_ADDRESS_AUTO] = OSS_ADDRESS_AUTO,
        [OSSUP_ADDRESS_PATH] = OSS_ADDRESS_PATH,
        [OSSUP_ADDRESS_VIRTUAL] = OSS_ADDRESS_VIRTUAL,
        [OSSUP_ADDRESS_CNAME] = OSS_ADDRESS_CNAME,
    };
    static const enum oss_sign_choice sign[] = {
        [OSSUP_SIGN_AUTO] = OSS_SIGN_AUTO,
        [OSSUP_SIGN_V1] = OSS_SIGN_CHOICE_V1,
        [OSSUP_SIGN_V4] = OSS_SIGN_CHOICE_V4,
    };
    struct oss_config *to = &c->config;
    int r;

    if (!f->endpoint)
        return ou_error_say(err, EINVAL, "ossup_config: endpoint is not set");
    if ((unsigned)f->addressing > OSSUP_ADDRESS_CNAME || (unsigned)f->signature > OSSUP_SIGN_V4)
        return ou_error_say(err, EINVAL, "ossup_config: no such addressing or signature");
    to->addressing = addressing[f->addressing];
    to->sign = sign[f->signature];
    to->connections = f->connections;
    to->connect_timeout_ms = f->connect_timeout_ms;
    to->limit_up = f->limit_up;
    c->patience_ms = f->patience_ms;
    r = copy_string(&to->endpoint, f->endpoint, err);
    if (r == 0)
        r = copy_string(&to->region, f->region, err);
    if (r == 0)
        r = copy_string(&to->cacert, f->cacert, err);
    if (r == 0)
        r = copy_string(&to->user_agent, f->user_agent ? f->user_agent : "libossup", err);
    return r;
}

static int find_credentials(struct ossup_client *c, const struct ossup_config *f,
                            struct ou_error *err)
{
    const struct oss_cred_config config = {
        .access_key_id = f->access_key_id,
        .access_key_secret = f->access_key_secret,
        .security_token = f->security_token,
        .environment = true,
        .files = true,
    };

    if (!f->access_key_id != !f->access_key_secret)
        return ou_error_say(err, EINVAL,
                            "ossup_config: access_key_id and access_key_secret go together");
    return oss_cred_chain_new(&config, &c->chain, err);
}

int ossup_client_new(const struct ossup_config *config, struct ossup_client **client,
                     struct ossup_error *error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct ossup_config full;
    struct ossup_client *c;
    struct ou_error err = OU_ERROR_INIT;
    int r = ossup_take_struct(&full, sizeof(full), config, "ossup_config", &err);

    (void)pthread_once(&once, be_silent);
    if (r < 0)
        return ossup_give_error(error, &err);
    c = calloc(1, sizeof(*c));
    if (!c) {
        (void)ou_error_set(&err, ENOMEM, "client");
        return ossup_give_error(error, &err);
    }
    ou_mutex_init(&c->lock, RANK_CLIENT);
    r = copy_config(c, &full, &err);
    if (r == 0)
        r = find_credentials(c, &full, &err);
    if (r < 0) {
        ossup_client_free(c);
        return ossup_give_error(error, &err);
    }
    *client = c;
    return 0;
}

static void bucket_free(struct ossup_bucket *b)
{
    oss_client_free(b->client);
    free(b->name);
    free(b);
}

void ossup_client_free(struct ossup_client *c)
{
    if (!c)
        return;
    while (c->locked.buckets) {
        struct ossup_bucket *b = c->locked.buckets;

        c->locked.buckets = b->next;
        bucket_free(b);
    }
    oss_cred_chain_free(c->chain);
    free((char *)c->config.endpoint);
    free((char *)c->config.region);
    free((char *)c->config.cacert);
    free((char *)c->config.user_agent);
    ou_mutex_fini(&c->lock);
    free(c);
}

/* Return: NULL: @err tells. */
static struct ossup_bucket *bucket_new(struct ossup_client *c, const char *name,
                                       uint64_t traffic_limit, struct ou_error *err)
{
    struct ossup_bucket *b = calloc(1, sizeof(*b));
    struct oss_config config = c->config;

    if (b)
        b->name = strdup(name);
    if (!b || !b->name) {
        free(b);
        (void)ou_error_set(err, ENOMEM, "bucket %s", name);
        return NULL;
    }
    config.bucket = name;
    config.traffic_limit = b->traffic_limit = traffic_limit;
    if (oss_client_new(&config, c->chain, &b->client, err) < 0) {
        bucket_free(b);
        return NULL;
    }
    return b;
}

static struct ossup_bucket *bucket_find_locked(struct ossup_client *c, const char *name,
                                               uint64_t traffic_limit)
{
    struct ossup_bucket *b = c->locked.buckets;

    while (b && (strcmp(b->name, name) != 0 || b->traffic_limit != traffic_limit))
        b = b->next;
    return b;
}

int ossup_bucket_client(struct ossup_client *c, const char *name, uint64_t traffic_limit,
                        struct oss_client **out, struct ou_error *err)
{
    struct ossup_bucket *b;

    ou_lock_scope(&c->lock);
    b = bucket_find_locked(c, name, traffic_limit);
    if (!b) {
        b = bucket_new(c, name, traffic_limit, err);
        if (!b)
            return -err->errnum;
        b->next = c->locked.buckets;
        c->locked.buckets = b;
    }
    *out = b->client;
    return 0;
}

/* -- cancel -- */

struct ossup_cancel *ossup_cancel_new(void)
{
    struct ossup_cancel *c = malloc(sizeof(*c));

    if (!c)
        return NULL;
    c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->fd < 0) {
        free(c);
        return NULL;
    }
    return c;
}

void ossup_cancel_trigger(struct ossup_cancel *c)
{
    const uint64_t one = 1;
    int saved = errno; /* a signal handler must not change it */

    (void)!write(c->fd, &one, sizeof(one)); /* full means triggered already */
    errno = saved;
}

void ossup_cancel_free(struct ossup_cancel *c)
{
    if (!c)
        return;
    (void)close(c->fd);
    free(c);
}

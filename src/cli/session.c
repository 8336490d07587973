/*
 * Options in, client out; and the sentence a user reads when the bucket cannot
 * be reached. The probe is one ListObjectsV2 of one key: it needs no more rights
 * than the mount itself (oss-protocol section 7). What kind of bucket it is is asked, too; that
 * may be refused.
 */
#include "cli/session.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "oss/ops.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define BUCKET_MIN 3
#define BUCKET_MAX 63

#define PROBE_PATIENCE_MS 15000u /* a person is waiting; fstab at boot tries again */
#define KIND_PATIENCE_MS  5000u  /* for what is good to know, and seldom matters */

void cli_session_fini(struct cli_session *s)
{
    oss_client_free(s->client);
    oss_cred_chain_free(s->chain);
    free(s->bucket);
    free(s->prefix);
    cli_options_fini(&s->options);
    memset(s, 0, sizeof(*s));
}

void cli_say(const struct ou_error *err)
{
    (void)fprintf(stderr, "ossfs-up: %s\n", err->message);
}

bool cli_is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

int cli_help(const char *usage)
{
    (void)fputs(usage, stdout);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

void cli_harden(void)
{
    /* A limit of 1 byte also keeps a core_pattern that is a pipe from being fed; 0 would not. */
    const struct rlimit none = {.rlim_cur = 1, .rlim_max = 1};

    (void)setrlimit(RLIMIT_CORE, &none);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    (void)prctl(PR_SET_DUMPABLE, 0); /* sanitizers trace themselves and need it */
#endif
}

static int check_bucket(const char *bucket, struct ou_error *err)
{
    size_t len = strlen(bucket);

    if (len < BUCKET_MIN || len > BUCKET_MAX || bucket[0] == '-' || bucket[len - 1] == '-' ||
        strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
        return ou_error_say(err, EINVAL,
                            "bucket \"%s\": a bucket's name is 3 to 63 of a-z, 0-9 and \"-\", not "
                            "at its ends; name one as BUCKET, with -o bucket= or OSS_BUCKET",
                            bucket);
    return 0;
}

/* "a//b/" and "." cannot be mounted: no path in the mount would say them. */
static int set_prefix(struct cli_session *s, const char *prefix, struct ou_error *err)
{
    size_t len;

    while (*prefix == '/')
        prefix++;
    len = strlen(prefix);
    if (asprintf(&s->prefix, "%s%s", prefix, len > 0 && prefix[len - 1] != '/' ? "/" : "") < 0) {
        s->prefix = NULL;
        return ou_error_set(err, ENOMEM, "prefix");
    }
    if (strstr(s->prefix, "//") || strlen(s->prefix) >= OSS_KEY_MAX ||
        !ou_utf8_valid(s->prefix, strlen(s->prefix)))
        return ou_error_say(err, EINVAL,
                            "prefix \"%s\": it must be UTF-8 of at most 1022 bytes, without \"//\"",
                            prefix);
    return 0;
}

int cli_session_target(struct cli_session *s, const char *target, const char *fallback,
                       struct ou_error *err)
{
    const char *colon;
    int r;

    if (!target)
        target = cli_text(&s->options, CLI_OPT_BUCKET);
    if (!target)
        target = fallback;
    if (!target)
        return ou_error_say(err, EINVAL,
                            "no bucket was named: give BUCKET, -o bucket= or "
                            "OSS_BUCKET");
    colon = strchr(target, ':');
    s->bucket = colon ? strndup(target, (size_t)(colon - target)) : strdup(target);
    if (!s->bucket)
        return ou_error_set(err, ENOMEM, "bucket");
    r = check_bucket(s->bucket, err);
    if (r < 0)
        return r;
    if (!colon && cli_given(&s->options, CLI_OPT_PREFIX))
        return set_prefix(s, cli_text(&s->options, CLI_OPT_PREFIX), err);
    return set_prefix(s, colon ? colon + 1 : "", err);
}

static enum oss_addressing addressing_of(const struct cli_options *o)
{
    if (cli_choice_is(o, CLI_OPT_ADDRESSING, "path"))
        return OSS_ADDRESS_PATH;
    if (cli_choice_is(o, CLI_OPT_ADDRESSING, "virtual"))
        return OSS_ADDRESS_VIRTUAL;
    if (cli_choice_is(o, CLI_OPT_ADDRESSING, "cname"))
        return OSS_ADDRESS_CNAME;
    return OSS_ADDRESS_AUTO;
}

static enum oss_sign_choice sign_of(const struct cli_options *o)
{
    if (cli_choice_is(o, CLI_OPT_SIGN, "v1"))
        return OSS_SIGN_CHOICE_V1;
    if (cli_choice_is(o, CLI_OPT_SIGN, "v4"))
        return OSS_SIGN_CHOICE_V4;
    return OSS_SIGN_AUTO;
}

static int open_chain(struct cli_session *s, struct ou_error *err)
{
    const struct cli_options *o = &s->options;
    const struct oss_cred_config config = {
        .access_key_id = o->access_key_id,
        .access_key_secret = o->access_key_secret,
        .security_token = o->security_token,
        .passwd_file = cli_text(o, CLI_OPT_PASSWD_FILE),
        .bucket = s->bucket,
        .ram_role = cli_text(o, CLI_OPT_RAM_ROLE),
        .metadata_endpoint = cli_text(o, CLI_OPT_METADATA_ENDPOINT),
        .credential_process = cli_text(o, CLI_OPT_CREDENTIAL_PROCESS),
        .sts_endpoint = cli_text(o, CLI_OPT_STS_ENDPOINT),
        .cacert = cli_text(o, CLI_OPT_CACERT),
        .environment = true,
        .files = true,
    };

    return oss_cred_chain_new(&config, &s->chain, err);
}

/* Named, or that of the region. malloc'ed; NULL: neither is known. */
static char *endpoint_of(const struct cli_options *o)
{
    const char *endpoint = cli_text(o, CLI_OPT_ENDPOINT), *region = cli_text(o, CLI_OPT_REGION);
    char *made;

    if (endpoint)
        return strdup(endpoint);
    if (!region)
        return NULL;
    if (strncmp(region, "oss-", 4) == 0)
        region += 4;
    return asprintf(&made, "oss-%s.aliyuncs.com", region) < 0 ? NULL : made;
}

int cli_session_connect(struct cli_session *s, struct ou_error *err)
{
    const struct cli_options *o = &s->options;
    const char *sse = cli_text(o, CLI_OPT_SSE);
    ou_autofree char *sse_name = sse ? strndup(sse, strcspn(sse, ":")) : NULL;
    const char *colon = sse ? strchr(sse, ':') : NULL;
    const char *region = cli_text(o, CLI_OPT_REGION);
    ou_autofree char *endpoint = endpoint_of(o);
    const struct oss_config config = {
        .endpoint = endpoint,
        .region = region,
        .bucket = s->bucket,
        .addressing = addressing_of(o),
        .sign = sign_of(o),
        .connections = (unsigned)cli_number(o, CLI_OPT_CONNECTIONS),
        .connect_timeout_ms = cli_number(o, CLI_OPT_CONNECT_TIMEOUT),
        .limit_up = cli_number(o, CLI_OPT_LIMIT_UP),
        .limit_down = cli_number(o, CLI_OPT_LIMIT_DOWN),
        .traffic_limit = cli_number(o, CLI_OPT_TRAFFIC_LIMIT),
        .requester_pays = cli_flag(o, CLI_OPT_REQUESTER_PAYS),
        .storage_class = cli_text(o, CLI_OPT_STORAGE_CLASS),
        .sse = sse_name,
        .sse_key_id = colon ? colon + 1 : NULL,
        .cacert = cli_text(o, CLI_OPT_CACERT),
        .no_verify = cli_flag(o, CLI_OPT_NO_VERIFY),
    };
    int r;

    if (!config.endpoint)
        return ou_error_say(err, EINVAL,
                            "no endpoint was named: give -o endpoint=oss-REGION.aliyuncs.com, set "
                            "OSS_ENDPOINT (or OSS_REGION), or write it into "
                            "~/.config/ossfs-up.conf");
    r = open_chain(s, err);
    if (r < 0)
        return r;
    r = oss_client_new(&config, s->chain, &s->client, err);
    if (r < 0)
        return r;
    oss_client_set_request_timeout(s->client, cli_number(o, CLI_OPT_REQUEST_TIMEOUT));
    ou_log_debug(OU_LOG_CLI, "bucket=%s endpoint=%s (%s) region=%s credentials=\"%s\"", s->bucket,
                 config.endpoint,
                 cli_given(o, CLI_OPT_ENDPOINT) ? o->source[CLI_OPT_ENDPOINT] : "by region",
                 oss_client_region(s->client), oss_cred_describe(s->chain));
    return 0;
}

/* The errno table speaks to programs; this speaks to the person at the keyboard. */
void cli_session_explain(const struct cli_session *s, struct ou_error *err)
{
    const char *endpoint = oss_client_endpoint(s->client);
    /* What was asked for is of no interest here, only why it went wrong. */
    const char *why = strncmp(err->message, "list: ", 6) == 0 ? err->message + 6 : err->message;
    bool has_advice = oss_error_is(err, "HostNotFound") || strncmp(err->code, "Tls", 3) == 0;
    char detail[sizeof(err->message)];

    (void)snprintf(detail, sizeof(detail), "%s", why);
    if (oss_error_is(err, "NoSuchBucket"))
        (void)ou_error_say(err, err->errnum,
                           "bucket %s does not exist at %s: check the name and the endpoint's "
                           "region",
                           s->bucket, endpoint);
    else if (oss_error_is(err, "SignatureDoesNotMatch"))
        (void)ou_error_say(err, err->errnum,
                           "the access key secret is wrong for this access key id (%s): check "
                           "OSS_ACCESS_KEY_SECRET, or where you keep it",
                           oss_cred_describe(s->chain));
    else if (oss_error_is(err, "InvalidAccessKeyId"))
        (void)ou_error_say(err, err->errnum,
                           "%s does not know this access key id (%s): check OSS_ACCESS_KEY_ID, or "
                           "where you keep it",
                           endpoint, oss_cred_describe(s->chain));
    else if (err->http_status == 0 && !err->code[0]) /* ours: a file, the credentials */
        (void)ou_error_say(err, err->errnum, "%s", detail);
    else if (err->http_status == 0)
        (void)ou_error_say(err, err->errnum, "cannot reach %s: %.300s%s", endpoint, detail,
                           has_advice ? ""
                                      : "; check the endpoint (-o endpoint=, OSS_ENDPOINT) and "
                                        "the network");
    else if (oss_error_is(err, "AccessDenied"))
        (void)ou_error_say(err, err->errnum,
                           "bucket %s at %s: %s; grant it to the key in RAM or in the bucket's "
                           "policy, or use another key (%s)",
                           s->bucket, endpoint, detail, oss_cred_describe(s->chain));
    else
        (void)ou_error_prefix(err, "bucket %s at %s", s->bucket, endpoint);
}

/* Without the right to ask, or an answer, it counts as an ordinary bucket, as most are. */
static void learn_kind(struct cli_session *s)
{
    const struct oss_call call = {.deadline_ms = ou_now_ms() + KIND_PATIENCE_MS};
    struct oss_bucket_info info;
    struct ou_error err = OU_ERROR_INIT;

    if (oss_bucket_info(s->client, &call, &info, &err) == 0)
        oss_client_set_hierarchical(s->client, info.hierarchical);
    else if (oss_error_verdict(&err) == OSS_FINAL)
        ou_log_debug(OU_LOG_CLI, "not told whether the bucket is hierarchical: %s", err.message);
    else
        ou_log_warn(OU_LOG_CLI, &err, "not told whether the bucket is hierarchical");
}

int cli_session_probe(struct cli_session *s, struct ou_error *err)
{
    struct oss_list_page page = {0};
    const struct oss_call call = {.deadline_ms = ou_now_ms() + PROBE_PATIENCE_MS};
    int r = oss_list_objects(s->client, &call, s->prefix, "/", NULL, NULL, 1, &page, err);

    oss_list_page_fini(&page);
    if (r < 0)
        cli_session_explain(s, err);
    else
        learn_kind(s);
    return r;
}

char *cli_spool_dir(const struct cli_options *o)
{
    const char *given = cli_text(o, CLI_OPT_SPOOL), *cache = getenv("XDG_CACHE_HOME"),
               *home = getenv("HOME");
    char *dir = NULL;

    if (given)
        return strdup(given);
    if (geteuid() == 0)
        return strdup("/var/spool/ossfs-up");
    if (cache && cache[0] == '/') {
        if (asprintf(&dir, "%s/ossfs-up", cache) < 0)
            dir = NULL;
    } else if (asprintf(&dir, "%s/.cache/ossfs-up", home ? home : "") < 0) {
        dir = NULL;
    }
    return dir;
}

void cli_spool_config(const struct cli_session *s, const char *dir, struct spool_config *out)
{
    const struct cli_options *o = &s->options;

    memset(out, 0, sizeof(*out));
    out->dir = dir;
    out->client = s->client;
    out->prefix = s->prefix;
    out->part_size = cli_number(o, CLI_OPT_PART_SIZE);
    out->threads = (unsigned)cli_number(o, CLI_OPT_THREADS);
    out->connections = (unsigned)cli_number(o, CLI_OPT_CONNECTIONS);
    out->read_memory = cli_number(o, CLI_OPT_READ_MEMORY);
    out->settle_ms = cli_number(o, CLI_OPT_SETTLE);
    out->open_flush_ms = cli_number(o, CLI_OPT_OPEN_FLUSH);
    out->spool_size = cli_number(o, CLI_OPT_SPOOL_SIZE);
    out->spool_reserve = cli_number(o, CLI_OPT_SPOOL_RESERVE);
    out->cache_size = cli_number(o, CLI_OPT_CACHE_SIZE);
    out->early = cli_flag(o, CLI_OPT_EARLY);
    out->delete_sync = cli_choice_is(o, CLI_OPT_DELETE, "sync");
    if (cli_choice_is(o, CLI_OPT_CONFLICT, "keep-both"))
        out->conflict = SPOOL_CONFLICT_KEEP_BOTH;
    else if (cli_choice_is(o, CLI_OPT_CONFLICT, "fail"))
        out->conflict = SPOOL_CONFLICT_FAIL;
    out->defaults.uid = cli_given(o, CLI_OPT_UID) ? (uid_t)cli_number(o, CLI_OPT_UID) : geteuid();
    out->defaults.gid = cli_given(o, CLI_OPT_GID) ? (gid_t)cli_number(o, CLI_OPT_GID) : getegid();
    out->defaults.umask = (mode_t)cli_number(o, CLI_OPT_UMASK);
}

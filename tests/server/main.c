/*
 * oss-local-server: the OSS protocol on localhost, for tests, benchmarks and the quickstart.
 */
#include "server/clock.h"
#include "server/http.h"
#include "server/text.h"

#include <getopt.h>
#include <libxml/parser.h>
#include <signal.h>
#include <stdio.h>

static const char usage[] =
    "usage: oss-local-server --root DIR --access-key AK --secret SK [options]\n"
    "  --port N              0 (the default) picks a free one\n"
    "  --bind ADDRESS        default 127.0.0.1\n"
    "  --bucket NAME         make this bucket if it is not there; may be repeated\n"
    "  --region R            default cn-hangzhou\n"
    "  --domain SUFFIX       BUCKET.SUFFIX is virtual-host style\n"
    "  --sts AK:SK:TOKEN[:EXPIRES]   temporary credentials, Unix seconds; may be repeated\n"
    "  --tls-cert FILE --tls-key FILE   HTTPS, PEM files\n"
    "  --request-log FILE    default DIR/request.log\n"
    "  --hns                 new buckets have a hierarchical namespace\n"
    "  --s3                  take S3's signatures and x-amz- headers, too\n";

struct arguments {
    const char *root, *key_id, *secret, *region, *domain, *log, *tls_cert, *tls_key;
    struct srv_http_options http;
    struct srv_pairs buckets;
    bool hns, s3;
};

static int add_sts(struct srv_credentials *credentials, const char *text)
{
    srv_autofree char *copy = srv_xstrdup(text);
    char *rest = copy;
    const char *key_id = strsep(&rest, ":");
    const char *secret = rest == NULL ? NULL : strsep(&rest, ":");
    const char *token = rest == NULL ? NULL : strsep(&rest, ":");
    uint64_t expires = 0;

    if (token == NULL || (rest != NULL && !srv_parse_u64(rest, &expires))) {
        (void)fprintf(stderr, "oss-local-server: --sts wants AK:SK:TOKEN[:EXPIRES]\n");
        return -1;
    }
    srv_credentials_add(credentials, key_id, secret, token, (int64_t)expires);
    return 0;
}

enum {
    OPT_ROOT = 256,
    OPT_PORT,
    OPT_BIND,
    OPT_ACCESS_KEY,
    OPT_SECRET,
    OPT_BUCKET,
    OPT_REGION,
    OPT_DOMAIN,
    OPT_STS,
    OPT_TLS_CERT,
    OPT_TLS_KEY,
    OPT_LOG,
    OPT_HNS,
    OPT_S3,
};

static const struct option options[] = {
    {"root", required_argument, NULL, OPT_ROOT},
    {"port", required_argument, NULL, OPT_PORT},
    {"bind", required_argument, NULL, OPT_BIND},
    {"access-key", required_argument, NULL, OPT_ACCESS_KEY},
    {"secret", required_argument, NULL, OPT_SECRET},
    {"bucket", required_argument, NULL, OPT_BUCKET},
    {"region", required_argument, NULL, OPT_REGION},
    {"domain", required_argument, NULL, OPT_DOMAIN},
    {"sts", required_argument, NULL, OPT_STS},
    {"tls-cert", required_argument, NULL, OPT_TLS_CERT},
    {"tls-key", required_argument, NULL, OPT_TLS_KEY},
    {"request-log", required_argument, NULL, OPT_LOG},
    {"hns", no_argument, NULL, OPT_HNS},
    {"s3", no_argument, NULL, OPT_S3},
    {NULL, 0, NULL, 0},
};

static int parse_port(const char *text, uint16_t *port)
{
    uint64_t value = 0;

    if (!srv_parse_u64(text, &value) || value > UINT16_MAX) {
        (void)fprintf(stderr, "oss-local-server: --port %s is none\n", text);
        return -1;
    }
    *port = (uint16_t)value;
    return 0;
}

static int take_option(int c, struct arguments *a, struct srv_credentials *credentials)
{
    switch (c) {
    case OPT_ROOT:
        a->root = optarg;
        return 0;
    case OPT_PORT:
        return parse_port(optarg, &a->http.port);
    case OPT_BIND:
        a->http.bind = optarg;
        return 0;
    case OPT_ACCESS_KEY:
        a->key_id = optarg;
        return 0;
    case OPT_SECRET:
        a->secret = optarg;
        return 0;
    case OPT_BUCKET:
        srv_pairs_add(&a->buckets, optarg, NULL);
        return 0;
    case OPT_REGION:
        a->region = optarg;
        return 0;
    case OPT_DOMAIN:
        a->domain = optarg;
        return 0;
    case OPT_STS:
        return add_sts(credentials, optarg);
    case OPT_TLS_CERT:
        a->tls_cert = optarg;
        return 0;
    case OPT_TLS_KEY:
        a->tls_key = optarg;
        return 0;
    case OPT_LOG:
        a->log = optarg;
        return 0;
    case OPT_HNS:
        a->hns = true;
        return 0;
    case OPT_S3:
        a->s3 = true;
        return 0;
    default:
        (void)fputs(usage, stderr);
        return -1;
    }
}

static int parse(int argc, char **argv, struct arguments *a, struct srv_credentials *credentials)
{
    int c;

    *a = (struct arguments){.region = "cn-hangzhou", .http = {.bind = "127.0.0.1"}};
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) // NOLINT(concurrency-mt-unsafe)
        if (take_option(c, a, credentials) < 0)
            return -1;
    if (optind != argc || a->root == NULL || a->key_id == NULL || a->secret == NULL ||
        (a->tls_cert == NULL) != (a->tls_key == NULL)) {
        (void)fputs(usage, stderr);
        return -1;
    }
    srv_credentials_add(credentials, a->key_id, a->secret, NULL, 0);
    return 0;
}

static char *read_file(const char *path)
{
    FILE *in = fopen(path, "re");
    struct srv_buf text = {0};
    char block[4096];
    size_t n;

    if (in == NULL) {
        (void)fprintf(stderr, "oss-local-server: cannot read %s\n", path);
        return NULL;
    }
    while ((n = fread(block, 1, sizeof(block), in)) > 0)
        srv_buf_add(&text, block, n);
    (void)fclose(in);
    return srv_buf_take(&text);
}

static int make_bucket(struct srv_server *srv, const char *name)
{
    struct srv_error err = {0};
    struct srv_bucket_info there = {0};
    struct srv_bucket_info info = {.acl = srv_xstrdup("private"),
                                   .storage_class = srv_xstrdup("Standard"),
                                   .hns = srv->hns,
                                   .created_ms = (int64_t)(srv_real_seconds() * 1000)};
    int r = 0;

    info.name = srv_xstrdup(name);
    if (!srv_bucket_name_valid(name)) {
        (void)fprintf(stderr, "oss-local-server: --bucket %s: not a valid bucket name\n", name);
        r = -1;
    } else if (srv_store_bucket_info(srv->store, name, &there, &err) < 0) {
        srv_error_fini(&err);
        r = srv_store_bucket_put(srv->store, &info, &err);
    }
    srv_bucket_info_fini(&there);
    srv_bucket_info_fini(&info);
    srv_error_fini(&err);
    return r;
}

static int serve(struct srv_server *srv, struct arguments *a, const sigset_t *signals)
{
    srv_autofree char *cert = a->tls_cert == NULL ? NULL : read_file(a->tls_cert);
    srv_autofree char *key = a->tls_key == NULL ? NULL : read_file(a->tls_key);
    struct MHD_Daemon *daemon;
    bool v6 = strchr(a->http.bind, ':') != NULL;
    int number = 0;

    if (a->tls_cert != NULL && (cert == NULL || key == NULL))
        return -1;
    a->http.tls_cert = cert;
    a->http.tls_key = key;
    daemon = srv_http_start(srv, &a->http);
    if (daemon == NULL)
        return -1;
    (void)printf("listening on %s://%s%s%s:%u\n", srv->tls ? "https" : "http", v6 ? "[" : "",
                 a->http.bind, v6 ? "]" : "", (unsigned)srv->port);
    (void)fflush(stdout);
    (void)sigwait(signals, &number);
    srv_http_stop(srv, daemon);
    return 0;
}

static int run(struct srv_server *srv, struct arguments *a, const sigset_t *signals)
{
    srv_autofree char *log =
        a->log != NULL ? srv_xstrdup(a->log) : srv_xasprintf("%s/request.log", a->root);
    int r = 0;

    srv->region = a->region;
    srv->domain = a->domain;
    srv->hns = a->hns;
    srv->s3 = a->s3;
    srv->store = srv_store_open(a->root);
    if (srv->store == NULL)
        return -1;
    srv->log = srv_reqlog_open(log);
    if (srv->log == NULL)
        return -1;
    for (size_t i = 0; r == 0 && i < a->buckets.count; i++)
        r = make_bucket(srv, a->buckets.items[i].name);
    return r < 0 ? r : serve(srv, a, signals);
}

int main(int argc, char **argv)
{
    static struct srv_server srv;
    struct arguments arguments;
    sigset_t signals;
    int r;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL); /* in all threads: main waits for them */
    (void)signal(SIGPIPE, SIG_IGN);
    xmlInitParser();
    srv.credentials = srv_credentials_new();
    srv.faults = srv_faults_new();
    srv_limiter_init(&srv.up);
    srv_limiter_init(&srv.down);
    srv_limiter_init(&srv.requests);

    r = parse(argc, argv, &arguments, srv.credentials);
    if (r == 0)
        r = run(&srv, &arguments, &signals);

    srv_pairs_fini(&arguments.buckets);
    srv_store_free(srv.store);
    srv_reqlog_free(srv.log);
    srv_faults_free(srv.faults);
    srv_credentials_free(srv.credentials);
    srv_limiter_fini(&srv.up);
    srv_limiter_fini(&srv.down);
    srv_limiter_fini(&srv.requests);
    xmlCleanupParser();
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/*
 * TLS, tokens that end, and what never reaches the log.
 */
#include "server.h"

#include "unit/unit.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "oss/cred_remote.h"
#include "oss/ops.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static struct ou_error err;
static struct oss_object object;
static const struct oss_call one_attempt = {.deadline_ms = OSS_ONE_ATTEMPT};

static void ok_at(int r, int line)
{
    if (r < 0)
        print_error("line %d: %s\n", line, err.message);
    assert_true(r >= 0);
}

#define ok(call) ok_at((call), __LINE__)

/* -- certificates: self-signed, so each is its own authority -- */

struct certificate {
    char cert[4200], key[4200];
};

static void write_certificate(const char *dir, const char *name, const char *subject,
                              struct certificate *c)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_NAME *who = X509_get_subject_name(x);
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, subject);
    FILE *out;

    assert_int_equal(X509_set_version(x, X509_VERSION_3), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x), 1), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), -86400));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), 86400));
    assert_int_equal(
        X509_NAME_add_entry_by_txt(who, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0),
        1);
    assert_int_equal(X509_set_issuer_name(x, who), 1);
    assert_int_equal(X509_set_pubkey(x, key), 1);
    assert_int_equal(X509_add_ext(x, names, -1), 1);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);

    (void)snprintf(c->cert, sizeof(c->cert), "%s/%s.crt", dir, name);
    (void)snprintf(c->key, sizeof(c->key), "%s/%s.key", dir, name);
    out = fopen(c->cert, "we");
    assert_non_null(out);
    assert_int_equal(PEM_write_X509(out, x), 1);
    assert_int_equal(fclose(out), 0);
    out = fopen(c->key, "we");
    assert_non_null(out);
    assert_int_equal(PEM_write_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(out), 0);
    X509_EXTENSION_free(names);
    X509_free(x);
    EVP_PKEY_free(key);
}

static struct server *start_tls(const struct certificate *c)
{
    const char *const arguments[] = {"--tls-cert", c->cert, "--tls-key", c->key, NULL};

    return server_start(arguments);
}

static int head(const struct server *s, const struct oss_config *config)
{
    struct server_client c = {.chain = NULL};
    int r;

    err = (struct ou_error)OU_ERROR_INIT;
    server_client(s, &c, OSS_SIGN_CHOICE_V4, config);
    r = oss_head_object(c.client, &one_attempt, "x", &object, &err);
    server_client_fini(&c);
    return r;
}

static ssize_t read_zeros(void *ctx, void *buf, size_t len, uint64_t offset, struct ou_error *e)
{
    (void)ctx, (void)offset, (void)e;
    memset(buf, 0, len);
    return (ssize_t)len;
}

static int count_zeros(void *ctx, const void *data, size_t len, uint64_t offset, struct ou_error *e)
{
    (void)ctx, (void)offset, (void)e;
    for (size_t i = 0; i < len; i++)
        assert_int_equal(((const char *)data)[i], 0);
    return 0;
}

static void a_private_authority_is_trusted_when_it_is_named_and_only_then(void **state)
{
    struct certificate right, other;
    struct server *s;
    struct oss_config config = {.cacert = right.cert};
    struct server_client c = {.chain = NULL};
    const struct oss_body body = {.size = 3 << 20, .read = read_zeros};
    const struct oss_sink sink = {.write = count_zeros};

    write_certificate(*state, "right", "IP:127.0.0.1", &right);
    write_certificate(*state, "other", "DNS:other.example", &other);
    s = start_tls(&right);
    ok(head(s, &config));
    assert_int_equal(head(s, NULL), -EPROTO);
    assert_string_equal(err.code, "TlsRefused");
    assert_int_equal(oss_error_verdict(&err), OSS_FINAL);
    assert_non_null(strstr(err.message, "cacert=FILE"));
    config.cacert = other.cert;
    assert_int_equal(head(s, &config), -EPROTO);
    assert_non_null(strstr(err.message, "cacert=FILE"));
    ok(head(s, &(struct oss_config){.no_verify = true}));

    /* Bodies, both ways. */
    config.cacert = right.cert;
    server_client(s, &c, OSS_SIGN_CHOICE_V4, &config);
    ok(oss_put_object(c.client, NULL, "big", NULL, &body, NULL, &err));
    ok(oss_get_object(c.client, NULL, "big", 0, body.size, NULL, &sink, NULL, &err));
    server_client_fini(&c);
    server_stop(s);
}

static void a_certificate_for_another_name_is_refused(void **state)
{
    struct certificate other;
    struct server *s;
    struct oss_config config = {.cacert = other.cert};

    write_certificate(*state, "other", "DNS:other.example", &other);
    s = start_tls(&other);
    assert_int_equal(head(s, &config), -EPROTO);
    assert_string_equal(err.code, "TlsRefused");
    assert_non_null(strstr(err.message, "another name"));
    server_stop(s);
}

static void sts_may_have_the_private_authority_too(void **state)
{
    struct certificate right;
    struct server *s;
    char token[4200];
    struct oss_cred_oidc oidc = {.role_arn = "r", .provider_arn = "p", .token_file = token};
    struct oss_credentials got = {0};
    FILE *out;

    write_certificate(*state, "right", "IP:127.0.0.1", &right);
    (void)snprintf(token, sizeof(token), "%s/token", (const char *)*state);
    out = fopen(token, "we");
    assert_non_null(out);
    assert_true(fputs("jwt", out) >= 0);
    assert_int_equal(fclose(out), 0);
    s = start_tls(&right);
    oidc.endpoint = server_url(s);
    assert_true(oss_cred_oidc_get(&oidc, &got, &err) < 0);
    assert_string_equal(err.code, "TlsRefused");
    assert_non_null(strstr(err.message, "cacert="));
    oidc.cacert = right.cert;
    assert_true(oss_cred_oidc_get(&oidc, &got, &err) < 0);
    assert_in_range(err.http_status, 400, 599); /* it was reached; it is no STS */
    server_stop(s);
}

static void the_wrong_scheme_is_told(void **state)
{
    struct server *s = server_start(NULL);
    char url[64];
    struct oss_config config = {.endpoint = url};

    (void)state;
    (void)snprintf(url, sizeof(url), "https%s", server_url(s) + strlen("http"));
    assert_int_equal(head(s, &config), -EPROTO);
    assert_string_equal(err.code, "TlsFailed");
    assert_non_null(strstr(err.message, "http://"));
    server_stop(s);
}

static void a_file_of_certificates_that_holds_none_is_named(void **state)
{
    char path[4200];
    struct oss_config config = {.endpoint = "https://127.0.0.1:1", .bucket = SERVER_BUCKET};
    struct oss_client *c;

    (void)snprintf(path, sizeof(path), "%s/absent.pem", (const char *)*state);
    config.cacert = path;
    assert_int_equal(oss_client_new(&config, NULL, &c, &err), -ENOENT);
    assert_non_null(strstr(err.message, "cacert="));
}

/* -- tokens -- */

static void write_set(const char *dir, const char *token)
{
    struct ou_error e;
    ou_autoclose int fd = unit_open_dir(dir);
    char json[256];
    int len = snprintf(json, sizeof(json),
                       "{\"AccessKeyId\":\"STS.unit\",\"AccessKeySecret\":\"sts-secret\","
                       "\"SecurityToken\":\"%s\",\"Expiration\":\"2099-01-01T00:00:00Z\"}",
                       token);

    assert_int_equal(ou_file_replace(fd, "set", json, (size_t)len, &e), 0);
}

static void a_refused_token_is_renewed_once_also_with_one_attempt(void **state)
{
    static const char *const arguments[] = {"--sts", "STS.unit:sts-secret:token-one", NULL};
    struct server *s = server_start(arguments);
    char command[4200];
    struct oss_cred_config cred = {.credential_process = command};
    struct server_client c = {.chain = NULL};
    const struct oss_body body = {.size = 1 << 20, .read = read_zeros};

    (void)snprintf(command, sizeof(command), "/bin/cat %s/set", (const char *)*state);
    write_set(*state, "token-one");
    ok(oss_cred_chain_new(&cred, &c.chain, &err));
    server_client(s, &c, OSS_SIGN_CHOICE_V4, NULL);
    ok(oss_head_object(c.client, &one_attempt, "x", &object, &err));

    server_tell(s, "POST", "expire-token", "{\"token\":\"token-one\"}");
    server_tell(s, "POST", "add-credential",
                "{\"access_key\":\"STS.unit\",\"secret\":\"sts-secret\",\"token\":\"token-two\"}");
    write_set(*state, "token-two");
    server_tell(s, "DELETE", "log", NULL);
    ok(oss_put_object(c.client, &one_attempt, "x", NULL, &body, NULL, &err));
    assert_int_equal(server_count(s, "PutObject"), 2);
    ok(oss_delete_object(c.client, &one_attempt, "x", &err));
    assert_int_equal(server_count(s, "DeleteObject"), 1);

    /* There is no newer one: it fails, and does not go round in circles. */
    server_tell(s, "POST", "expire-token", "{\"token\":\"token-two\"}");
    assert_int_equal(oss_head_object(c.client, NULL, "x", &object, &err), -EACCES);
    assert_int_equal(oss_error_verdict(&err), OSS_REFRESH);
    assert_true(server_count(s, "HeadObject") <= 2);
    server_client_fini(&c);
    server_stop(s);
}

/* -- the log -- */

static void nothing_secret_reaches_the_log_at_debug(void **state)
{
    static const char *const arguments[] = {"--sts", "STS.unit:sts-secret:token-one", NULL};
    struct oss_cred_config cred = {.access_key_id = "STS.unit",
                                   .access_key_secret = "sts-secret",
                                   .security_token = "token-one"};
    struct server *s = server_start(arguments);
    struct server_client c = {.chain = NULL};
    ou_auto(ou_buf_fini) struct ou_buf log = {0};
    ou_autoclose int dir = unit_open_dir(*state);
    ou_autoclose int fd = openat(dir, "log", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct ou_error e;

    ok(ou_log_configure("debug", &err));
    ou_log_to_fd(fd);
    for (int version = 0; version < 2; version++) {
        ok(oss_cred_chain_new(&cred, &c.chain, &err));
        server_client(s, &c, version ? OSS_SIGN_CHOICE_V4 : OSS_SIGN_CHOICE_V1, NULL);
        ok(oss_head_object(c.client, NULL, "a key", &object, &err));
        server_fault(s, "{\"operation\":\"HeadObject\",\"count\":1,\"action\":{\"type\":\"status\","
                        "\"status\":403,\"code\":\"SignatureDoesNotMatch\"}}");
        assert_int_equal(oss_head_object(c.client, NULL, "a key", &object, &err), -EACCES);
        server_client_fini(&c);
    }
    ou_log_to_fd(STDERR_FILENO);
    ok(ou_log_configure("warn", &err));
    assert_int_equal(ou_read_file(dir, "log", 1 << 20, &log, &e), 0);
    assert_non_null(strstr(log.data, "op=head"));
    assert_non_null(strstr(log.data, "status=403"));
    assert_non_null(strstr(log.data, "code=SignatureDoesNotMatch"));
    assert_null(strstr(log.data, "sts-secret"));
    assert_null(strstr(log.data, "token-one"));
    assert_null(strstr(log.data, "OSS4-HMAC"));
    assert_null(strstr(log.data, "Signature="));
    assert_null(strstr(log.data, "Authorization"));
    server_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_in_dir(a_private_authority_is_trusted_when_it_is_named_and_only_then),
        unit_test_in_dir(a_certificate_for_another_name_is_refused),
        unit_test_in_dir(sts_may_have_the_private_authority_too),
        unit_test_in_dir(the_wrong_scheme_is_told),
        unit_test_in_dir(a_file_of_certificates_that_holds_none_is_named),
        unit_test_in_dir(a_refused_token_is_renewed_once_also_with_one_attempt),
        unit_test_in_dir(nothing_secret_reaches_the_log_at_debug),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Which source is taken, in a home directory and an environment of the test's own.
 */
#include "base/cleanup.h"
#include "base/log.h"
#include "loopback.h"
#include "oss/credentials.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const variables[] = {"OSS_ACCESS_KEY_ID",
                                        "OSS_ACCESS_KEY_SECRET",
                                        "OSS_SESSION_TOKEN",
                                        "ALIBABA_CLOUD_ACCESS_KEY_ID",
                                        "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
                                        "ALIBABA_CLOUD_SECURITY_TOKEN",
                                        "OSSACCESSKEYID",
                                        "OSSSECRETACCESSKEY",
                                        "OSSSESSIONTOKEN",
                                        "OSS_CREDENTIAL_FILE",
                                        "ALIBABA_CLOUD_ROLE_ARN",
                                        "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
                                        "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
                                        "ALIBABA_CLOUD_CONFIG_FILE",
                                        "ALIBABA_CLOUD_PROFILE",
                                        "ALIBABA_CLOUD_CLI_PROFILE_DISABLED"};

static const char *const files[] = {
    "passwd", ".passwd-ossfs", ".ossutilconfig", ".aliyun/config.json", "script", "token"};

static char home[PATH_MAX];

static void write_file(const char *name, const char *text, mode_t mode)
{
    char path[PATH_MAX + 64];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s", home, name);
    f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void set(const char *name, const char *value)
{
    assert_int_equal(setenv(name, value, 1), 0);
}

static void remove_files(void)
{
    char path[PATH_MAX + 64];

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", home, files[i]);
        (void)unlink(path);
    }
}

static int clear(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
        (void)unsetenv(variables[i]);
    remove_files();
    return 0;
}

static struct oss_cred_chain *open_chain(const struct oss_cred_config *config)
{
    struct oss_cred_chain *chain = NULL;
    struct ou_error err = OU_ERROR_INIT;
    int r = oss_cred_chain_new(config, &chain, &err);

    if (r < 0)
        print_message("%s\n", err.message);
    assert_int_equal(r, 0);
    return chain;
}

static void assert_set(struct oss_cred_chain *chain, const char *id, const char *token)
{
    struct oss_credentials got = {0};
    struct ou_error err = OU_ERROR_INIT;

    assert_int_equal(oss_cred_get(chain, &got, &err), 0);
    assert_string_equal(got.access_key_id, id);
    if (token)
        assert_string_equal(got.security_token, token);
    else
        assert_null(got.security_token);
    oss_credentials_fini(&got);
}

static void assert_found(const struct oss_cred_config *config, const char *id, const char *source)
{
    struct oss_cred_chain *chain = open_chain(config);

    assert_set(chain, id, NULL);
    assert_non_null(strstr(oss_cred_describe(chain), source));
    oss_cred_chain_free(chain);
}

static void sources_are_asked_in_the_order_of_the_header(void **state)
{
    char passwd[PATH_MAX + 64], script[PATH_MAX + 64];
    struct oss_cred_config config = {.environment = true, .files = true, .bucket = "b-1"};

    (void)state;
    (void)snprintf(passwd, sizeof(passwd), "%s/passwd", home);
    (void)snprintf(script, sizeof(script), "%s/script", home);
    write_file(".passwd-ossfs", "home:s\n", 0600);
    assert_found(&config, "home", ".passwd-ossfs");
    write_file(".aliyun/config.json",
               "{\"profiles\":[{\"name\":\"default\",\"mode\":\"AK\",\"access_key_id\":\"aliyun\","
               "\"access_key_secret\":\"s\"}]}",
               0600);
    assert_found(&config, "aliyun", ".aliyun/config.json");
    write_file(".ossutilconfig", "[Credentials]\naccessKeyID=ossutil\naccessKeySecret=s\n", 0600);
    assert_found(&config, "ossutil", ".ossutilconfig");
    write_file("passwd", "b-1:passwd:s\n", 0600);
    set("OSS_CREDENTIAL_FILE", passwd);
    assert_found(&config, "passwd", "passwd_file");
    set("OSSACCESSKEYID", "ossfs");
    set("OSSSECRETACCESSKEY", "s");
    assert_found(&config, "ossfs", "environment (OSSACCESSKEYID)");
    set("ALIBABA_CLOUD_ACCESS_KEY_ID", "alibaba");
    set("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "s");
    assert_found(&config, "alibaba", "environment (ALIBABA_CLOUD_ACCESS_KEY_ID)");
    set("OSS_ACCESS_KEY_ID", "oss");
    set("OSS_ACCESS_KEY_SECRET", "s");
    assert_found(&config, "oss", "environment (OSS_ACCESS_KEY_ID)");
    write_file("script", "#!/bin/sh\necho '{\"AccessKeyId\":\"run\",\"AccessKeySecret\":\"s\"}'",
               0700);
    config.credential_process = script;
    assert_found(&config, "run", "credential_process");
    config.passwd_file = passwd;
    assert_found(&config, "passwd", "passwd_file");
    config.access_key_id = "given";
    config.access_key_secret = "s";
    assert_found(&config, "given", "configuration");
}

/* Metadata service and STS in one: both give a set that says who was asked. */
static int answer(void *ctx, const struct loopback_request *request, char *text, size_t size)
{
    const char *id = strcmp(request->method, "POST") == 0 ? "sts" : "metadata";

    (void)ctx;
    if (strcmp(request->method, "PUT") == 0)
        return 404;
    (void)snprintf(text, size,
                   "{\"AccessKeyId\":\"%s\",\"AccessKeySecret\":\"s\",\"SecurityToken\":\"t\","
                   "\"Expiration\":\"2038-01-19T03:14:07Z\"}",
                   id);
    return 200;
}

static void assert_role(const struct oss_cred_config *config, const char *id, const char *source)
{
    struct oss_cred_chain *chain = open_chain(config);
    struct oss_cred_status status;

    assert_set(chain, id, "t");
    oss_cred_status(chain, &status);
    assert_int_equal(status.expires, 2147483647);
    assert_non_null(strstr(status.source, source));
    oss_cred_chain_free(chain);
}

static void roles_come_by_option_by_environment_and_by_profiles(void **state)
{
    struct loopback *server = loopback_start(answer, NULL);
    struct oss_cred_config config = {.files = true,
                                     .environment = true,
                                     .metadata_endpoint = loopback_url(server),
                                     .sts_endpoint = loopback_url(server)};
    char token[PATH_MAX + 64], profile[2 * PATH_MAX];

    (void)state;
    (void)snprintf(token, sizeof(token), "%s/token", home);
    write_file("token", "jwt", 0644);
    write_file(".ossutilconfig", "[default]\nmode=ecsramrole\necs-role-name=r\n", 0600);
    assert_role(&config, "metadata", ".ossutilconfig");
    (void)snprintf(profile, sizeof(profile),
                   "{\"profiles\":[{\"name\":\"default\",\"mode\":\"OIDC\",\"ram_role_arn\":\"a\","
                   "\"oidc_provider_arn\":\"p\",\"oidc_token_file\":\"%s\"}]}",
                   token);
    write_file(".aliyun/config.json", profile, 0600);
    write_file(".ossutilconfig", "[default]\nregion=r\n", 0600);
    assert_role(&config, "sts", ".aliyun/config.json");

    set("ALIBABA_CLOUD_ROLE_ARN", "a");
    set("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "p");
    set("ALIBABA_CLOUD_OIDC_TOKEN_FILE", token);
    assert_role(&config, "sts", "environment (ALIBABA_CLOUD_OIDC_TOKEN_FILE)");
    set("OSS_ACCESS_KEY_ID", "oss");
    set("OSS_ACCESS_KEY_SECRET", "s");
    config.ram_role = "auto-named";
    assert_role(&config, "metadata", "ram_role auto-named");
    loopback_stop(server);
}

static void environment_and_files_are_left_alone_unless_asked_for(void **state)
{
    const struct oss_cred_config config = {0};
    struct oss_cred_chain *chain = NULL;
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    set("OSS_ACCESS_KEY_ID", "oss");
    set("OSS_ACCESS_KEY_SECRET", "s");
    write_file(".passwd-ossfs", "home:s\n", 0600);
    assert_int_equal(oss_cred_chain_new(&config, &chain, &err), -ENOKEY);
    assert_string_equal(err.message,
                        "no credentials: set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET, or "
                        "passwd_file=; looked in the configuration");
}

static void a_named_source_that_is_unusable_ends_the_search(void **state)
{
    char passwd[PATH_MAX + 64], wanted[PATH_MAX + 256];
    struct oss_cred_config config = {.environment = true, .passwd_file = passwd};
    struct oss_cred_chain *chain = NULL;
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    set("OSS_ACCESS_KEY_ID", "oss");
    set("OSS_ACCESS_KEY_SECRET", "s");
    (void)snprintf(passwd, sizeof(passwd), "%s/passwd", home);
    write_file("passwd", "ak:s\n", 0644);
    assert_int_equal(oss_cred_chain_new(&config, &chain, &err), -EACCES);
    (void)snprintf(wanted, sizeof(wanted),
                   "passwd_file: %s: mode 0644 does not keep its keys secret; run chmod 600 on it",
                   passwd);
    assert_string_equal(err.message, wanted);

    write_file("passwd", "b-9:ak:s\n", 0600);
    assert_int_equal(oss_cred_chain_new(&config, &chain, &err), -ENOKEY);

    config = (struct oss_cred_config){.access_key_id = "id", .environment = true};
    assert_int_equal(oss_cred_chain_new(&config, &chain, &err), -EINVAL);
    assert_string_equal(err.message, "configuration: the access key secret is missing");
}

static void a_source_that_lies_about_and_is_unusable_is_passed_over_and_told(void **state)
{
    const struct oss_cred_config config = {.environment = true, .files = true};
    ou_autoclose int log = memfd_create("log", MFD_CLOEXEC);
    struct oss_cred_chain *chain = NULL;
    struct ou_error err = OU_ERROR_INIT;
    char text[4096] = "";

    (void)state;
    ou_log_to_fd(log);
    set("OSS_ACCESS_KEY_ID", "oss");
    if (access("/etc/passwd-ossfs", F_OK) != 0) {
        assert_int_equal(oss_cred_chain_new(&config, &chain, &err), -ENOKEY);
        assert_non_null(
            strstr(err.message, "; OSS_ACCESS_KEY_ID is set but OSS_ACCESS_KEY_SECRET is not"));
    }
    write_file(".ossutilconfig", "[Credentials]\naccessKeyID=x\naccessKeySecret=sesame\n", 0666);
    write_file(".passwd-ossfs", "home:sesame\n", 0600);
    assert_found(&config, "home", ".passwd-ossfs");
    ou_log_to_fd(STDERR_FILENO);

    assert_true(pread(log, text, sizeof(text) - 1, 0) > 0);
    assert_non_null(strstr(text, "OSS_ACCESS_KEY_SECRET is not"));
    assert_non_null(strstr(text, ".ossutilconfig: mode 0666"));
    assert_null(strstr(text, "sesame"));
}

static void a_file_without_keys_is_passed_over_in_silence(void **state)
{
    const struct oss_cred_config config = {.files = true};
    ou_autoclose int log = memfd_create("log", MFD_CLOEXEC);
    struct oss_cred_chain *chain = NULL;
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    ou_log_to_fd(log);
    write_file(".ossutilconfig", "[Credentials]\nlanguage=EN\n", 0600);
    write_file(".passwd-ossfs", "home:s\n", 0600);
    assert_found(&config, "home", ".passwd-ossfs");
    if (access("/etc/passwd-ossfs", F_OK) != 0) {
        remove_files();
        write_file(".ossutilconfig", "[Credentials]\nlanguage=EN\n", 0600);
        assert_int_equal(oss_cred_chain_new(&config, &chain, &err), -ENOKEY);
        assert_null(strstr(err.message, "no keys in it"));
    }
    ou_log_to_fd(STDERR_FILENO);
    assert_int_equal(lseek(log, 0, SEEK_END), 0);
}

static void a_changed_file_is_taken_over_by_reload_and_a_broken_one_is_not(void **state)
{
    const struct oss_cred_config config = {.files = true};
    struct oss_cred_chain *chain;
    struct ou_error err = OU_ERROR_INIT;
    struct oss_cred_status status;

    (void)state;
    write_file(".ossutilconfig", "[default]\naccessKeyID=one\naccessKeySecret=s\n", 0600);
    chain = open_chain(&config);
    write_file(".ossutilconfig", "[default]\naccessKeyID=two\naccessKeySecret=s\nststoken=t\n",
               0600);
    assert_set(chain, "one", NULL);
    assert_int_equal(oss_cred_reload(chain, &err), 0);
    assert_set(chain, "two", "t");

    ou_log_to_fd(-1);
    write_file(".ossutilconfig", "[default]\naccessKeyID=three\naccessKeySecret=s\n", 0644);
    assert_int_equal(oss_cred_reload(chain, &err), -EACCES);
    ou_log_to_fd(STDERR_FILENO);
    assert_set(chain, "two", "t");
    oss_cred_status(chain, &status);
    assert_int_equal(status.failures, 1);
    assert_int_equal(status.last_error.errnum, EACCES);
    assert_non_null(strstr(status.source, ".ossutilconfig"));
    oss_cred_chain_free(chain);
}

static void a_part_that_could_forge_a_header_is_refused(void **state)
{
    static const char *const ids[] = {"a b", "a\nx-oss-acl:public", "\x7f", "\xc3\xa9"};

    (void)state;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        const struct oss_cred_config config = {.access_key_id = ids[i], .access_key_secret = "s"};
        struct oss_cred_chain *chain = NULL;
        struct ou_error err = OU_ERROR_INIT;

        assert_int_equal(oss_cred_chain_new(&config, &chain, &err), -EINVAL);
        assert_string_equal(err.message,
                            "configuration: the access key id holds a character that no key has");
    }
}

static int make_home(void **state)
{
    char template[] = "/tmp/ossup-home-XXXXXX";
    char path[PATH_MAX + 64];

    (void)state;
    if (!mkdtemp(template))
        return -1;
    (void)snprintf(home, sizeof(home), "%s", template);
    (void)snprintf(path, sizeof(path), "%s/.aliyun", home);
    return mkdir(path, 0700) == 0 && setenv("HOME", home, 1) == 0 ? 0 : -1;
}

static int remove_home(void **state)
{
    char path[PATH_MAX + 64];

    (void)state;
    remove_files();
    (void)snprintf(path, sizeof(path), "%s/.aliyun", home);
    (void)rmdir(path);
    (void)rmdir(home);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(sources_are_asked_in_the_order_of_the_header, clear),
        cmocka_unit_test_setup(roles_come_by_option_by_environment_and_by_profiles, clear),
        cmocka_unit_test_setup(environment_and_files_are_left_alone_unless_asked_for, clear),
        cmocka_unit_test_setup(a_named_source_that_is_unusable_ends_the_search, clear),
        cmocka_unit_test_setup(a_source_that_lies_about_and_is_unusable_is_passed_over_and_told,
                               clear),
        cmocka_unit_test_setup(a_file_without_keys_is_passed_over_in_silence, clear),
        cmocka_unit_test_setup(a_changed_file_is_taken_over_by_reload_and_a_broken_one_is_not,
                               clear),
        cmocka_unit_test_setup(a_part_that_could_forge_a_header_is_refused, clear),
    };

    return cmocka_run_group_tests_name("credentials", tests, make_home, remove_home);
}

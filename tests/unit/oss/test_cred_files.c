/*
 * Files with credentials: their modes and their texts.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "oss/cred_file.h"
#include "oss/cred_passwd.h"
#include "oss/cred_profile.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* -- modes -- */

static void write_file(const char *path, const char *text, size_t len, mode_t mode)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void only_modes_that_keep_a_secret_are_taken(void **state)
{
    const struct {
        mode_t mode;
        int result;
    } cases[] = {{0600, 0},       {0640, 0},       {0400, 0},       {0440, 0},
                 {0644, -EACCES}, {0660, -EACCES}, {0604, -EACCES}, {0602, -EACCES},
                 {0700, -EACCES}, {0610, -EACCES}, {0601, -EACCES}, {0620, -EACCES}};
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/f", (const char *)*state);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ou_auto(oss_cred_text_fini) struct oss_cred_text text = {0};
        ou_auto(oss_cred_text_fini) struct oss_cred_text open_text = {0};
        struct ou_error err = OU_ERROR_INIT;

        write_file(path, "hello", 5, cases[i].mode);
        assert_int_equal(oss_cred_file_read(path, true, &text, &err), cases[i].result);
        if (cases[i].result == 0)
            assert_string_equal(text.data, "hello");
        else
            assert_non_null(strstr(err.message, "run chmod 600 on it"));
        assert_int_equal(oss_cred_file_read(path, false, &open_text, &err), 0);
    }
    assert_int_equal(unlink(path), 0);
}

static void what_is_no_small_text_file_is_refused(void **state)
{
    char path[PATH_MAX];
    struct oss_cred_text text = {0};
    struct ou_error err = OU_ERROR_INIT;

    (void)snprintf(path, sizeof(path), "%s/f", (const char *)*state);
    assert_int_equal(oss_cred_file_read(path, true, &text, &err), -ENOENT);
    assert_int_equal(oss_cred_file_read(*state, true, &text, &err), -EBADMSG);

    assert_int_equal(mkfifo(path, 0600), 0); /* nobody writes into it: must not wait */
    assert_int_equal(oss_cred_file_read(path, true, &text, &err), -EBADMSG);
    assert_int_equal(unlink(path), 0);

    write_file(path, "a\0b", 3, 0600);
    assert_int_equal(oss_cred_file_read(path, true, &text, &err), -EBADMSG);
    assert_int_equal(truncate(path, OSS_CRED_FILE_MAX + 1), 0);
    assert_int_equal(oss_cred_file_read(path, true, &text, &err), -EFBIG);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(oss_cred_file_read(path, true, &text, &err), 0);
    assert_string_equal(text.data, "");
    oss_cred_text_fini(&text);
    assert_int_equal(unlink(path), 0);
}

/* -- passwd_file -- */

static void passwd_lines_are_read_as_ossfs_reads_them(void **state)
{
    const struct {
        const char *text, *bucket;
        int result;
        const char *found; /* id secret token */
    } cases[] = {
        {"ak:sk", NULL, 0, "ak sk -"},
        {"ak:sk\n", "b-1", 0, "ak sk -"},
        {"\n# c\nb-1:ak1:sk1\r\nb-2:ak2:sk2\n ak:sk\n", "b-2", -EBADMSG, NULL},
        {"\n# c\nb-1:ak1:sk1\r\nb-2:ak2:sk2 \n\t\nak:sk\n", "b-2", 0, "ak2 sk2 -"},
        {"b-1:ak1:sk1\nak:sk\n", "b-3", 0, "ak sk -"},
        {"ak:sk\nb-1:ak1:sk1\n", "b-1", 0, "ak1 sk1 -"},
        {"b-1:ak1:sk1\n", "b-3", -ENOKEY, NULL},
        {"b-1:ak1:sk1\n", NULL, -ENOKEY, NULL},
        {"", "b-1", -ENOKEY, NULL},
        {"b-1:STS.ak:sk:token\n", "b-1", 0, "STS.ak sk token"},
        {"STS.ak:sk:token\n", "b-1", 0, "STS.ak sk token"},
        {":ak:sk:token\n", "b-1", 0, "ak sk token"},
        {":ak:sk\n", "b-1", 0, "ak sk -"},
        {"OSSAccessKeyId=ak\nOSSSecretKey=sk\n", "b-1", 0, "ak sk -"},
        {"OSSAccessKeyId=ak\n", "b-1", -EBADMSG, NULL},
        {"OSSAccessKeyId=ak\nOSSSecretKey=sk\nak2:sk2\n", "b-1", -EBADMSG, NULL},
        {"ak:sk\nak2:sk2\n", "b-1", -EBADMSG, NULL},
        {"b-1:ak:sk\nb-1:ak:sk\n", "b-2", -EBADMSG, NULL},
        {"b-1:ak:sk:t:x\n", "b-1", -EBADMSG, NULL},
        {"ak\n", "b-1", -EBADMSG, NULL},
        {"ak:\n", "b-1", -EBADMSG, NULL},
        {":sk\n", "b-1", -EBADMSG, NULL},
        {"[default]\n", "b-1", -EBADMSG, NULL},
        {"ak : sk\n", "b-1", -EBADMSG, NULL},
        {"ak:s\x01k\n", "b-1", -EINVAL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ou_autofree char *text = strdup(cases[i].text);
        struct oss_credentials got = {0};
        struct ou_error err = OU_ERROR_INIT;
        char found[256];
        int r = oss_cred_passwd_parse("f", text, cases[i].bucket, &got, &err);

        if (r != cases[i].result)
            print_message("case %zu\n", i);
        assert_int_equal(r, cases[i].result);
        if (r == 0) {
            (void)snprintf(found, sizeof(found), "%s %s %s", got.access_key_id,
                           got.access_key_secret, got.security_token ? got.security_token : "-");
            assert_string_equal(found, cases[i].found);
        }
        oss_credentials_fini(&got);
    }
}

static void a_bad_line_is_named_by_its_number_and_not_shown(void **state)
{
    char text[] = "# keys\nb-1:ak:sk\nLTAIxxx secretsecret\n";
    struct oss_credentials got = {0};
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    assert_int_equal(oss_cred_passwd_parse("pw", text, NULL, &got, &err), -EBADMSG);
    assert_string_equal(err.message, "pw: line 3: a blank within the line");
}

/* -- ~/.ossutilconfig -- */

static int get_ossutil(const char *text, struct oss_credentials *out, struct ou_error *err)
{
    ou_auto(oss_cred_profile_fini) struct oss_cred_profile profile = {0};
    const struct oss_cred_config config = {0};
    int r = oss_cred_ossutil_parse("f", text, &profile, err);

    return r < 0 ? r : oss_cred_profile_get(&profile, "f", &config, out, err);
}

static void both_versions_of_ossutilconfig_are_read(void **state)
{
    const struct {
        const char *text;
        int result;
        const char *found;
    } cases[] = {
        {"[Credentials]\nlanguage=EN\nendpoint=e\naccessKeyID = ak\naccessKeySecret=s;k\n", 0,
         "ak s;k -"},
        {"[Credentials]\naccessKeyID=ak\naccessKeySecret=sk\nstsToken=t=\n", 0, "ak sk t="},
        {"[default]\naccess-key-id=ak\nAccess_Key_Secret=sk\nregion=r\n", 0, "ak sk -"},
        {"[profile default]\naccessKeyId=ak\naccesskeysecret=sk\nmode=AK\nststoken=ignored\n", 0,
         "ak sk -"},
        {"[profile other]\naccessKeyId=ak\naccessKeySecret=sk\n", -ENOKEY, NULL},
        {"[Credentials]\nlanguage=EN\n", -ENOKEY, NULL},
        {"[Credentials]\naccessKeyID=ak\n", -EINVAL, NULL},
        {"[Credentials]\nmode=StsToken\naccessKeyID=ak\naccessKeySecret=sk\n", -EINVAL, NULL},
        {"[Credentials]\nmode=RamRoleArn\naccessKeyID=ak\naccessKeySecret=sk\nramRoleArn=x\n",
         -ENOTSUP, NULL},
        {"[Bucket-Endpoint]\nb=e\n[Credentials]\nmode=\naccessKeyID=ak\naccessKeySecret=sk\n", 0,
         "ak sk -"},
        {"nonsense\n", -EBADMSG, NULL},
        {"", -ENOKEY, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct oss_credentials got = {0};
        struct ou_error err = OU_ERROR_INIT;
        char found[256];
        int r = get_ossutil(cases[i].text, &got, &err);

        if (r != cases[i].result)
            print_message("case %zu\n", i);
        assert_int_equal(r, cases[i].result);
        if (r == 0) {
            (void)snprintf(found, sizeof(found), "%s %s %s", got.access_key_id,
                           got.access_key_secret, got.security_token ? got.security_token : "-");
            assert_string_equal(found, cases[i].found);
        }
        oss_credentials_fini(&got);
    }
}

static void a_token_of_a_thousand_bytes_is_read_whole(void **state)
{
    char token[1001], text[1200];
    struct oss_credentials got = {0};
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    memset(token, 'T', 1000);
    token[1000] = '\0';
    (void)snprintf(text, sizeof(text),
                   "[Credentials]\naccessKeyID=ak\naccessKeySecret=sk\nstsToken=%s\n", token);
    assert_int_equal(get_ossutil(text, &got, &err), 0);
    assert_string_equal(got.security_token, token);
    oss_credentials_fini(&got);
}

static void ak_service_of_ossutil_1_is_a_role_by_its_url(void **state)
{
    ou_auto(oss_cred_profile_fini) struct oss_cred_profile profile = {0};
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    assert_int_equal(oss_cred_ossutil_parse("f", "[AkService]\necsAk=http://100.100.100.200/x/r\n",
                                            &profile, &err),
                     0);
    assert_string_equal(profile.ram_role, "http://100.100.100.200/x/r");
    assert_null(profile.mode);
}

/* -- ~/.aliyun/config.json -- */

#define PROFILES                                                                                   \
    "{\"current\":\"two\",\"profiles\":["                                                          \
    "{\"name\":\"default\",\"mode\":\"AK\",\"access_key_id\":\"a1\",\"access_key_secret\":"        \
    "\"s1\",\"sts_token\":\"\",\"region_id\":\"cn-hangzhou\"},"                                    \
    "{\"name\":\"two\",\"mode\":\"StsToken\",\"access_key_id\":\"a2\","                            \
    "\"access_key_secret\":\"s2\",\"sts_token\":\"t2\"},"                                          \
    "{\"name\":\"sso\",\"mode\":\"CloudSSO\",\"access_key_id\":\"a3\","                            \
    "\"access_key_secret\":\"s3\",\"sts_token\":\"t3\",\"sts_expiration\":4102444800},"            \
    "{\"name\":\"sso-old\",\"mode\":\"CloudSSO\",\"access_key_id\":\"a3\","                        \
    "\"access_key_secret\":\"s3\",\"sts_token\":\"t3\",\"sts_expiration\":1000000000},"            \
    "{\"name\":\"arn\",\"mode\":\"RamRoleArn\",\"access_key_id\":\"a4\","                          \
    "\"access_key_secret\":\"s4\",\"ram_role_arn\":\"x\"},"                                        \
    "{\"name\":\"ext\",\"mode\":\"External\",\"process_command\":\"relative x\"},"                 \
    "{\"name\":\"oidc\",\"mode\":\"OIDC\",\"ram_role_arn\":\"x\"},"                                \
    "{\"name\":\"odd\",\"mode\":7,\"access_key_id\":{}},[],7]}"

static int get_aliyun(const char *text, const char *name, struct oss_credentials *out,
                      struct ou_error *err)
{
    ou_auto(oss_cred_profile_fini) struct oss_cred_profile profile = {0};
    const struct oss_cred_config config = {0};
    int r = oss_cred_aliyun_parse("f", text, strlen(text), name, &profile, err);

    return r < 0 ? r : oss_cred_profile_get(&profile, "f", &config, out, err);
}

static void profiles_of_the_aliyun_command_are_read(void **state)
{
    const struct {
        const char *text, *name;
        int result;
        const char *id;
    } cases[] = {
        {PROFILES, NULL, 0, "a2"},
        {PROFILES, "default", 0, "a1"},
        {PROFILES, "two", 0, "a2"},
        {PROFILES, "sso", 0, "a3"},
        {PROFILES, "sso-old", -ENOTSUP, NULL},
        {PROFILES, "arn", -ENOTSUP, NULL},
        {PROFILES, "ext", -EINVAL, NULL},
        {PROFILES, "oidc", -EINVAL, NULL},
        {PROFILES, "odd", -ENOKEY, NULL},
        {PROFILES, "none", -ENOKEY, NULL},
        {"{}", NULL, -ENOKEY, NULL},
        {"[]", NULL, -ENOKEY, NULL},
        {"{\"profiles\":[{\"name\":\"default\",\"access_key_id\":\"a\",\"access_key_secret\":"
         "\"s\"}]}",
         NULL, 0, "a"},
        {"{", NULL, -EBADMSG, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct oss_credentials got = {0};
        struct ou_error err = OU_ERROR_INIT;
        int r = get_aliyun(cases[i].text, cases[i].name, &got, &err);

        if (r != cases[i].result)
            print_message("case %zu\n", i);
        assert_int_equal(r, cases[i].result);
        if (r == 0)
            assert_string_equal(got.access_key_id, cases[i].id);
        oss_credentials_fini(&got);
    }
}

static void a_mode_that_is_not_done_says_what_is(void **state)
{
    struct oss_credentials got = {0};
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    assert_int_equal(get_aliyun(PROFILES, "arn", &got, &err), -ENOTSUP);
    assert_string_equal(err.message,
                        "f: mode RamRoleArn is not done here; use AK, StsToken, EcsRamRole, OIDC "
                        "or External, or credential_process=");
}

static void no_sentence_about_json_shows_its_text(void **state)
{
    struct oss_credentials got = {0};
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    assert_int_equal(get_aliyun("{\"access_key_secret\":\"sesame\" oops", NULL, &got, &err),
                     -EBADMSG);
    assert_null(strstr(err.message, "sesame"));
    assert_string_equal(err.message, "f: not JSON");
}

static int make_folder(void **state)
{
    char template[] = "/tmp/ossup-cred-XXXXXX";

    if (!mkdtemp(template))
        return -1;
    *state = strdup(template);
    return *state ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)rmdir(*state);
    free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_modes_that_keep_a_secret_are_taken),
        cmocka_unit_test(what_is_no_small_text_file_is_refused),
        cmocka_unit_test(passwd_lines_are_read_as_ossfs_reads_them),
        cmocka_unit_test(a_bad_line_is_named_by_its_number_and_not_shown),
        cmocka_unit_test(both_versions_of_ossutilconfig_are_read),
        cmocka_unit_test(a_token_of_a_thousand_bytes_is_read_whole),
        cmocka_unit_test(ak_service_of_ossutil_1_is_a_role_by_its_url),
        cmocka_unit_test(profiles_of_the_aliyun_command_are_read),
        cmocka_unit_test(a_mode_that_is_not_done_says_what_is),
        cmocka_unit_test(no_sentence_about_json_shows_its_text),
    };

    return cmocka_run_group_tests_name("cred_files", tests, make_folder, remove_folder);
}

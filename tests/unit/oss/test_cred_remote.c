/*
 * Credentials from the metadata service, from STS and from a program, against a loopback server and
 * against scripts in a folder of the test's own.
 */
#include "base/cleanup.h"
#include "loopback.h"
#include "oss/cred_json.h"
#include "oss/cred_remote.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define EXPIRATION   "2024-03-05T14:09:10Z"
#define EXPIRATION_S 1709647750
#define ROLE_PATH    "/latest/meta-data/ram/security-credentials/"

/* -- the metadata service -- */

struct metadata {
    bool has_tokens, demands_token; /* the two modes, and what lies between */
    bool broken;                    /* 500 to everything but the token */
    const char *code;               /* NULL: Success */
    const char *role;               /* attached; NULL: none */
    unsigned requests, with_token;
};

static int answer_metadata(void *ctx, const struct loopback_request *request, char *answer,
                           size_t size)
{
    struct metadata *m = ctx;

    m->requests++;
    if (strcmp(request->target, "/latest/api/token") == 0) {
        if (!m->has_tokens || strcmp(request->method, "PUT") != 0)
            return 404;
        (void)snprintf(answer, size, "the-token\n");
        return 200;
    }
    if (loopback_has_header(request, "X-aliyun-ecs-metadata-token: the-token"))
        m->with_token++;
    else if (m->demands_token)
        return 403;
    if (m->broken)
        return 500;
    if (!m->role || strncmp(request->target, ROLE_PATH, strlen(ROLE_PATH)) != 0)
        return 404;
    if (strcmp(request->target, ROLE_PATH) == 0) {
        (void)snprintf(answer, size, "%s\n", m->role);
        return 200;
    }
    if (strcmp(request->target + strlen(ROLE_PATH), m->role) != 0)
        return 404;
    (void)snprintf(answer, size,
                   "{\"AccessKeyId\":\"STS.m\",\"AccessKeySecret\":\"ms\",\"Expiration\":"
                   "\"" EXPIRATION "\",\"SecurityToken\":\"mt\",\"Code\":\"%s\"}",
                   m->code ? m->code : "Success");
    return 200;
}

static int ask_metadata(struct metadata *m, const char *role, struct oss_credentials *out,
                        struct ou_error *err)
{
    struct loopback *server = loopback_start(answer_metadata, m);
    int r = oss_cred_metadata_get(loopback_url(server), role, out, err);

    loopback_stop(server);
    return r;
}

static void a_role_is_got_in_both_modes_of_the_metadata_service(void **state)
{
    struct metadata modes[] = {{.has_tokens = true, .demands_token = true, .role = "r"},
                               {.has_tokens = true, .role = "r"},
                               {.role = "r"}};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct oss_credentials got = {0};
        struct ou_error err = OU_ERROR_INIT;

        assert_int_equal(ask_metadata(&modes[i], i == 1 ? NULL : "auto", &got, &err), 0);
        assert_string_equal(got.access_key_id, "STS.m");
        assert_string_equal(got.access_key_secret, "ms");
        assert_string_equal(got.security_token, "mt");
        assert_int_equal(got.expires, EXPIRATION_S);
        assert_int_equal(modes[i].requests, 3);
        assert_int_equal(modes[i].with_token, i < 2 ? 2 : 0);
        oss_credentials_fini(&got);
    }
}

static void a_named_role_saves_the_request_for_its_name(void **state)
{
    struct metadata m = {.has_tokens = true, .role = "r"};
    struct oss_credentials got = {0};
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    assert_int_equal(ask_metadata(&m, "r", &got, &err), 0);
    assert_int_equal(m.requests, 2);
    oss_credentials_fini(&got);
}

static void a_whole_url_is_taken_as_ossfs_takes_it(void **state)
{
    struct metadata m = {.has_tokens = true, .demands_token = true, .role = "r"};
    struct loopback *server = loopback_start(answer_metadata, &m);
    struct oss_credentials got = {0};
    struct ou_error err = OU_ERROR_INIT;
    char url[256];

    (void)state;
    (void)snprintf(url, sizeof(url), "%s%sr", loopback_url(server), ROLE_PATH);
    assert_int_equal(oss_cred_metadata_get(NULL, url, &got, &err), 0);
    loopback_stop(server);
    assert_int_equal(m.requests, 2);
    oss_credentials_fini(&got);
}

static void the_metadata_service_is_never_asked_through_a_proxy(void **state)
{
    struct metadata m = {.has_tokens = true, .role = "r"};
    struct oss_credentials got = {0};
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    assert_int_equal(ask_metadata(&m, "auto", &got, &err), 0);
    assert_int_equal(unsetenv("http_proxy"), 0);
    oss_credentials_fini(&got);
}

static void no_role_another_role_and_a_broken_service_are_told_apart(void **state)
{
    struct metadata none = {.has_tokens = true};
    struct metadata other = {.has_tokens = true, .role = "r"};
    struct metadata broken = {.has_tokens = true, .role = "r", .broken = true};
    struct metadata refused = {.role = "r", .code = "NoPermission"};
    struct metadata odd = {.role = "a b"};
    struct oss_credentials got = {0};
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    assert_int_equal(ask_metadata(&none, "auto", &got, &err), -ENOKEY);
    assert_string_equal(err.message, "ram_role: no RAM role is attached to this instance");
    assert_int_equal(ask_metadata(&other, "x", &got, &err), -ENOKEY);
    assert_string_equal(err.message, "ram_role: x: no such role is attached to this instance");
    assert_int_equal(ask_metadata(&broken, "auto", &got, &err), -EIO);
    assert_int_equal(err.http_status, 500);
    assert_int_equal(ask_metadata(&refused, "auto", &got, &err), -EACCES);
    assert_string_equal(err.code, "NoPermission");
    assert_int_equal(ask_metadata(&odd, "auto", &got, &err), -EBADMSG);
}

static void the_environment_can_forbid_the_plain_mode_and_the_service(void **state)
{
    struct metadata plain = {.role = "r"};
    struct oss_credentials got = {0};
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    assert_int_equal(setenv("ALIBABA_CLOUD_IMDSV1_DISABLED", "True", 1), 0);
    assert_int_equal(ask_metadata(&plain, "auto", &got, &err), -EACCES);
    assert_int_equal(plain.requests, 1);
    assert_int_equal(unsetenv("ALIBABA_CLOUD_IMDSV1_DISABLED"), 0);

    plain.requests = 0;
    assert_int_equal(setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true", 1), 0);
    assert_int_equal(ask_metadata(&plain, "auto", &got, &err), -EPERM);
    assert_int_equal(plain.requests, 0);
    assert_int_equal(unsetenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED"), 0);
}

/* -- STS -- */

struct sts {
    int status;
    const char *answer;
    struct loopback_request last;
};

static int answer_sts(void *ctx, const struct loopback_request *request, char *answer, size_t size)
{
    struct sts *s = ctx;

    s->last = *request;
    (void)snprintf(answer, size, "%s", s->answer);
    return s->status;
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static int ask_sts(struct sts *s, const char *token_file, struct oss_credentials *out,
                   struct ou_error *err)
{
    struct loopback *server = loopback_start(answer_sts, s);
    const struct oss_cred_oidc oidc = {.role_arn = "acs:ram::1:role/r",
                                       .provider_arn = "acs:ram::1:oidc-provider/p",
                                       .token_file = token_file,
                                       .endpoint = loopback_url(server)};
    int r = oss_cred_oidc_get(&oidc, out, err);

    loopback_stop(server);
    return r;
}

static void a_service_account_becomes_a_role(void **state)
{
    struct sts s = {.status = 200,
                    .answer = "{\"RequestId\":\"R\",\"Credentials\":{\"AccessKeyId\":\"STS.o\","
                              "\"AccessKeySecret\":\"os\",\"SecurityToken\":\"o-token\","
                              "\"Expiration\":\"" EXPIRATION "\"}}"};
    struct oss_credentials got = {0};
    struct ou_error err = OU_ERROR_INIT;
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/token", (const char *)*state);
    write_file(path, "ey.A+b/c=\n", 0644); /* as the kubelet projects it */
    assert_int_equal(ask_sts(&s, path, &got, &err), 0);
    assert_string_equal(got.access_key_id, "STS.o");
    assert_string_equal(got.security_token, "o-token");
    assert_int_equal(got.expires, EXPIRATION_S);
    oss_credentials_fini(&got);

    assert_string_equal(s.last.method, "POST");
    assert_non_null(strstr(s.last.target, "/?Action=AssumeRoleWithOIDC&Format=JSON"));
    assert_non_null(strstr(s.last.target, "&Version=2015-04-01&Timestamp=2"));
    assert_true(loopback_has_header(&s.last, "Content-Type: application/x-www-form-urlencoded"));
    assert_string_equal(s.last.body, "RoleArn=acs%3Aram%3A%3A1%3Arole%2Fr&OIDCProviderArn=acs%3Aram"
                                     "%3A%3A1%3Aoidc-provider%2Fp&OIDCToken=ey.A%2Bb%2Fc%3D&"
                                     "RoleSessionName=ossfs-up&DurationSeconds=3600");

    write_file(path, "rotated", 0644);
    assert_int_equal(ask_sts(&s, path, &got, &err), 0);
    assert_non_null(strstr(s.last.body, "&OIDCToken=rotated&"));
    oss_credentials_fini(&got);
}

static void a_refusal_of_sts_keeps_its_code_and_request_id(void **state)
{
    struct sts s = {.status = 400,
                    .answer = "{\"RequestId\":\"R-1\",\"HostId\":\"h\",\"Code\":"
                              "\"AuthenticationFail.NoPermission\",\"Message\":\"not you\"}"};
    struct oss_credentials got = {0};
    struct ou_error err = OU_ERROR_INIT;
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/token2", (const char *)*state);
    assert_int_equal(ask_sts(&s, path, &got, &err), -ENOENT);
    write_file(path, "t", 0600);
    assert_int_equal(ask_sts(&s, path, &got, &err), -EACCES);
    assert_string_equal(err.code, "AuthenticationFail.NoPermission");
    assert_string_equal(err.request_id, "R-1");
    assert_int_equal(err.http_status, 400);
    assert_string_equal(err.message, "AssumeRoleWithOIDC: HTTP 400: "
                                     "AuthenticationFail.NoPermission: not you");
    s.status = 503;
    s.answer = "<html>";
    assert_int_equal(ask_sts(&s, path, &got, &err), -EIO);
    s.status = 200;
    assert_int_equal(ask_sts(&s, path, &got, &err), -EBADMSG);
    write_file(path, " \n", 0600);
    assert_int_equal(ask_sts(&s, path, &got, &err), -EBADMSG);
}

static void the_sts_host_follows_region_and_network(void **state)
{
    const struct {
        const char *region;
        bool vpc;
        const char *url; /* NULL: refused */
    } cases[] = {{NULL, false, "https://sts.aliyuncs.com"},
                 {"", true, "https://sts.aliyuncs.com"},
                 {"cn-hangzhou", false, "https://sts.cn-hangzhou.aliyuncs.com"},
                 {"cn-hangzhou", true, "https://sts-vpc.cn-hangzhou.aliyuncs.com"},
                 {"evil.example/", false, NULL}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ou_auto(ou_buf_fini) struct ou_buf url = {0};
        struct ou_error err = OU_ERROR_INIT;
        int r = oss_cred_sts_endpoint(cases[i].region, cases[i].vpc, &url, &err);

        assert_int_equal(r, cases[i].url ? 0 : -EINVAL);
        if (cases[i].url)
            assert_string_equal(ou_buf_str(&url), cases[i].url);
    }
}

/* -- a program -- */

static int run_script(const char *folder, const char *script, const char *arguments,
                      struct oss_credentials *out, struct ou_error *err)
{
    char path[PATH_MAX], command[PATH_MAX + 128];

    (void)snprintf(path, sizeof(path), "%s/script", folder);
    write_file(path, script, 0700);
    (void)snprintf(command, sizeof(command), "%s%s", path, arguments);
    return oss_cred_process_get(command, out, err);
}

static void a_program_may_answer_in_both_formats(void **state)
{
    struct oss_credentials got = {0};
    struct ou_error err = OU_ERROR_INIT;

    assert_int_equal(
        run_script(*state, "#!/bin/sh\necho '{\"AccessKeyId\":\"P\",\"AccessKeySecret\":\"s\"}'",
                   "", &got, &err),
        0);
    assert_string_equal(got.access_key_id, "P");
    assert_null(got.security_token);
    assert_int_equal(got.expires, 0);
    oss_credentials_fini(&got);

    assert_int_equal(
        run_script(*state,
                   "#!/bin/sh\necho '{\"mode\":\"StsToken\",\"access_key_id\":\"Q\","
                   "\"access_key_secret\":\"s\",\"sts_token\":\"t\",\"expiration\":1709647750}'",
                   "", &got, &err),
        0);
    assert_string_equal(got.access_key_id, "Q");
    assert_string_equal(got.security_token, "t");
    assert_int_equal(got.expires, EXPIRATION_S);
    oss_credentials_fini(&got);
}

static void arguments_reach_the_program_as_they_are(void **state)
{
    struct oss_credentials got = {0};
    struct ou_error err = OU_ERROR_INIT;

    assert_int_equal(
        run_script(*state,
                   "#!/bin/sh\n[ $# = 3 ] && printf "
                   "'{\"AccessKeyId\":\"%s\",\"AccessKeySecret\":\"%s\"}' \"$1\" \"$3\"",
                   "  $HOME\t--x ;id", &got, &err),
        0);
    assert_string_equal(got.access_key_id, "$HOME");
    assert_string_equal(got.access_key_secret, ";id");
    oss_credentials_fini(&got);
}

static void a_program_that_fails_is_told_with_its_own_words(void **state)
{
    struct oss_credentials got = {0};
    struct ou_error err = OU_ERROR_INIT;
    char wanted[PATH_MAX + 128];

    (void)snprintf(wanted, sizeof(wanted),
                   "credential_process: %s/script: exit status 3: log in first",
                   (const char *)*state);
    assert_int_equal(run_script(*state, "#!/bin/sh\necho log in first >&2\necho more >&2\nexit 3",
                                "", &got, &err),
                     -EIO);
    assert_string_equal(err.message, wanted);

    assert_int_equal(run_script(*state, "#!/bin/sh\nkill -TERM $$", "", &got, &err), -EIO);
    assert_string_equal(err.message, "credential_process: ended by signal 15");
    assert_int_equal(run_script(*state, "#!/bin/sh\necho no json", "", &got, &err), -EBADMSG);
    assert_int_equal(
        run_script(*state, "#!/bin/sh\necho '{\"AccessKeyId\":\"x\"}'", "", &got, &err), -EINVAL);
    assert_int_equal(run_script(*state, "#!/bin/sh\nhead -c 70000 /dev/zero", "", &got, &err),
                     -EMSGSIZE);
}

static void only_an_absolute_path_is_started(void **state)
{
    static const char *const commands[] = {"sh -c id", "", "   ", "./x", "~/x"};
    struct oss_credentials got = {0};
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        assert_int_equal(oss_cred_process_get(commands[i], &got, &err), -EINVAL);
        assert_string_equal(err.message, "credential_process: begin it with an absolute path");
    }
    assert_int_equal(oss_cred_process_get("/nonexistent/program", &got, &err), -ENOENT);
}

static int spawn_shell(const char *script, uint64_t timeout_ms, struct oss_cred_text *output,
                       struct ou_error *err)
{
    char *const argv[] = {"/bin/sh", "-c", (char *)script, NULL};
    ou_auto(oss_cred_text_fini) struct oss_cred_text complaint = {0};

    assert_int_equal(oss_cred_text_init(output, 4096, err), 0);
    assert_int_equal(oss_cred_text_init(&complaint, 64, err), 0);
    return oss_cred_spawn(argv, timeout_ms, output, &complaint, err);
}

static void a_program_that_does_not_end_is_killed_with_its_children(void **state)
{
    static const char *const scripts[] = {
        "sleep 1000 & sleep 1000",  /* silent */
        "sleep 1000 & exec yes >&2" /* faster than we read */
    };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        ou_auto(oss_cred_text_fini) struct oss_cred_text output = {0};
        struct pollfd end = {.events = POLLIN};
        struct ou_error err = OU_ERROR_INIT;
        int ends[2];

        assert_int_equal(pipe(ends), 0); /* inherited: at its end when none of them lives */
        assert_int_equal(spawn_shell(scripts[i], 300, &output, &err), -ETIMEDOUT);
        assert_int_equal(close(ends[1]), 0);
        end.fd = ends[0];
        assert_int_equal(poll(&end, 1, 30000), 1);
        assert_int_equal(close(ends[0]), 0);
    }
}

static void a_child_left_behind_does_not_hold_up_the_answer(void **state)
{
    ou_auto(oss_cred_text_fini) struct oss_cred_text output = {0};
    struct ou_error err = OU_ERROR_INIT;
    long pid;

    (void)state;
    assert_int_equal(spawn_shell("sleep 1000 & echo $!; exit 7", 60000, &output, &err), 7);
    pid = strtol(output.data, NULL, 10);
    assert_true(pid > 1);
    assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
}

static unsigned long long signal_mask(const char *status, const char *name)
{
    const char *at = strstr(status, name);

    assert_non_null(at);
    return strtoull(at + strlen(name), NULL, 16);
}

static void the_program_has_default_signals_and_no_input(void **state)
{
    static const char script[] = "cat; grep -E 'SigBlk|SigIgn' /proc/self/status";
    ou_auto(oss_cred_text_fini) struct oss_cred_text output = {0};
    struct ou_error err = OU_ERROR_INIT;
    void (*before)(int) = signal(SIGUSR1, SIG_IGN);
    sigset_t all, old;

    (void)state;
    sigfillset(&all);
    assert_int_equal(sigprocmask(SIG_SETMASK, &all, &old), 0);
    assert_int_equal(spawn_shell(script, 60000, &output, &err), 0);
    assert_int_equal(sigprocmask(SIG_SETMASK, &old, NULL), 0);
    (void)signal(SIGUSR1, before);
    assert_int_equal(signal_mask(output.data, "SigBlk:"), 0);
    assert_int_equal(signal_mask(output.data, "SigIgn:") & 0x7fffffff, 0); /* 32, 33: glibc's */
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
    static const char *const names[] = {"token", "token2", "script"};
    char path[PATH_MAX];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", (const char *)*state, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(*state);
    free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_role_is_got_in_both_modes_of_the_metadata_service),
        cmocka_unit_test(a_named_role_saves_the_request_for_its_name),
        cmocka_unit_test(a_whole_url_is_taken_as_ossfs_takes_it),
        cmocka_unit_test(the_metadata_service_is_never_asked_through_a_proxy),
        cmocka_unit_test(no_role_another_role_and_a_broken_service_are_told_apart),
        cmocka_unit_test(the_environment_can_forbid_the_plain_mode_and_the_service),
        cmocka_unit_test(a_service_account_becomes_a_role),
        cmocka_unit_test(a_refusal_of_sts_keeps_its_code_and_request_id),
        cmocka_unit_test(the_sts_host_follows_region_and_network),
        cmocka_unit_test(a_program_may_answer_in_both_formats),
        cmocka_unit_test(arguments_reach_the_program_as_they_are),
        cmocka_unit_test(a_program_that_fails_is_told_with_its_own_words),
        cmocka_unit_test(only_an_absolute_path_is_started),
        cmocka_unit_test(a_program_that_does_not_end_is_killed_with_its_children),
        cmocka_unit_test(a_child_left_behind_does_not_hold_up_the_answer),
        cmocka_unit_test(the_program_has_default_signals_and_no_input),
    };

    return cmocka_run_group_tests_name("cred_remote", tests, make_folder, remove_folder);
}

/*
 * Options: their sources, their bounds, and what ossfs's and mount's options become.
 */
#include "unit/unit.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "cli/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct ou_error err;

static void take(struct cli_options *o, const char *text)
{
    *o = (struct cli_options){0};
    if (cli_options_o(o, text, &err) < 0 || cli_options_check(o, &err) < 0) {
        print_error("%s: %s\n", text, err.message);
        fail();
    }
}

/* The value that option @id has after -o @text. */
static void assert_becomes(const char *text, enum cli_option id, const char *value)
{
    struct cli_options o;

    take(&o, text);
    assert_non_null(cli_text(&o, id));
    assert_string_equal(cli_text(&o, id), value);
    assert_null(o.ignored);
    cli_options_fini(&o);
}

static void options_of_ossfs_become_ours_with_their_units(void **state)
{
    static const struct {
        const char *text;
        enum cli_option id;
        const char *value;
    } table[] = {
        {"url=http://oss-cn-hangzhou.aliyuncs.com", CLI_OPT_ENDPOINT,
         "http://oss-cn-hangzhou.aliyuncs.com"},
        {"endpoint=oss-cn-hangzhou.aliyuncs.com", CLI_OPT_ENDPOINT, "oss-cn-hangzhou.aliyuncs.com"},
        {"endpoint=cn-hangzhou", CLI_OPT_REGION, "cn-hangzhou"}, /* beside url= */
        {"endpoint=localhost", CLI_OPT_ENDPOINT, "localhost"},
        {"oss_bucket_prefix=a/b", CLI_OPT_PREFIX, "a/b"},
        {"multipart_size=10", CLI_OPT_PART_SIZE, "10M"},
        {"upload_buffer_size=8388608", CLI_OPT_PART_SIZE, "8388608"},
        {"parallel_count=5", CLI_OPT_THREADS, "5"},
        {"multireq_max=20", CLI_OPT_CONNECTIONS, "20"},
        {"use_cache=/tmp/x", CLI_OPT_SPOOL, "/tmp/x"},
        {"ensure_diskfree=2048", CLI_OPT_SPOOL_RESERVE, "2048M"},
        {"stat_cache_expire=900", CLI_OPT_ATTR_TIMEOUT, "900s"},
        {"readwrite_timeout=60", CLI_OPT_REQUEST_TIMEOUT, "60s"},
        {"oss_request_timeout_ms=3000", CLI_OPT_REQUEST_TIMEOUT, "3000ms"},
        {"sigv1", CLI_OPT_SIGN, "v1"},
        {"no_check_certificate", CLI_OPT_NO_VERIFY, "on"},
        {"requester_pays=1", CLI_OPT_REQUESTER_PAYS, "1"},
        {"use_path_request_style", CLI_OPT_ADDRESSING, "path"},
        {"ram_role", CLI_OPT_RAM_ROLE, "auto"},
        {"iam_role=r", CLI_OPT_RAM_ROLE, "r"},
        {"use_sse", CLI_OPT_SSE, "AES256"},
        {"use_sse=1", CLI_OPT_SSE, "AES256"},
        {"use_sse=kmsid:abc", CLI_OPT_SSE, "KMS:abc"},
        {"use_sse=k", CLI_OPT_SSE, "KMS"},
        {"storage_class=standard_ia", CLI_OPT_STORAGE_CLASS, "IA"},
        {"dbglevel=crit", CLI_OPT_LOG, "error"},
        {"dbglevel=debug", CLI_OPT_LOG, "debug"},
        {"logfile=/tmp/l", CLI_OPT_LOG_FILE, "/tmp/l"},
        {"upload_traffic_limit=819200", CLI_OPT_TRAFFIC_LIMIT, "819200"},
        {"rw", CLI_OPT_RO, "off"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        assert_becomes(table[i].text, table[i].id, table[i].value);
}

static void what_asks_nothing_of_us_is_taken_and_what_is_ossfs_alone_is_remembered(void **state)
{
    struct cli_options o;

    (void)state;
    take(&o, "defaults,_netdev,nofail,noauto,users,nosuid,x-systemd.automount,comment=x,"
             "max_stat_cache_size=1000,direct_read,enable_noobj_cache,default_acl=private");
    assert_string_equal(o.ignored,
                        "default_acl,enable_noobj_cache,direct_read,max_stat_cache_size");
    for (int id = 0; id < CLI_OPT_COUNT; id++)
        assert_false(cli_given(&o, (enum cli_option)id));
    cli_options_fini(&o);
}

static void what_would_change_more_than_it_may_is_refused_with_a_way_out(void **state)
{
    static const struct {
        const char *text, *word;
    } table[] = {
        {"use_sse=custom:/k", "sse=KMS"},        {"load_sse_c=/k", "sse=KMS"},
        {"public_bucket=1", "access key"},       {"proxy=http://p", "https_proxy"},
        {"access_key_secret=x", "command line"}, {"oss_access_key_id=x", "command line"},
        {"part_sise=8M", "part_size"},           {"endpoint", "wants a value"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct cli_options o = {0};

        assert_int_equal(cli_options_o(&o, table[i].text, &err), -EINVAL);
        if (!strstr(err.message, table[i].word))
            print_error("%s\n", err.message);
        assert_non_null(strstr(err.message, table[i].word));
        cli_options_fini(&o);
    }
}

static void use_cache_keeps_what_was_read_unless_a_size_is_given(void **state)
{
    (void)state;
    assert_becomes("use_cache=/tmp/x", CLI_OPT_CACHE_SIZE, "1024T");
    assert_becomes("use_cache=/tmp/x,cache_size=5G", CLI_OPT_CACHE_SIZE, "5G");
    assert_becomes("cache_size=5G,use_cache=/tmp/x", CLI_OPT_CACHE_SIZE, "5G");
}

static void the_last_of_one_list_wins_and_a_backslash_takes_a_comma(void **state)
{
    (void)state;
    assert_becomes("threads=4,threads=5", CLI_OPT_THREADS, "5");
    assert_becomes("spool=/a\\,b,threads=5", CLI_OPT_SPOOL, "/a,b");
}

static void paths_are_absolute(void **state)
{
    ou_autofree char *here = getcwd(NULL, 0), *there = NULL;

    (void)state;
    assert_int_equal(setenv("HOME", "/home/me", 1), 0);
    assert_true(asprintf(&there, "%s/a/b", here) > 0);
    assert_becomes("spool=a/b", CLI_OPT_SPOOL, there);
    assert_becomes("use_cache=a/b", CLI_OPT_SPOOL, there);
    assert_becomes("passwd_file=~/.keys", CLI_OPT_PASSWD_FILE, "/home/me/.keys");
    assert_becomes("cacert=/a", CLI_OPT_CACERT, "/a");
    assert_becomes("credential_process=a", CLI_OPT_CREDENTIAL_PROCESS, "a"); /* has its own check */
}

static void values_out_of_bounds_are_told_with_the_bounds(void **state)
{
    static const struct {
        const char *text, *word;
    } table[] = {
        {"part_size=99K", "100K to 5G"},
        {"part_size=6G", "100K to 5G"},
        {"threads=0", "1 to 64"},
        {"connections=257", "1 to 256"},
        {"settle=2h", "0s to 3600s"},
        {"umask=8", "octal"},
        {"conflict=maybe", "keep-both"},
        {"drain=never", "wait, no"},
        {"early=perhaps", "on or off"},
        {"uid=root", "no number"},
        {"spool=", "a path"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct cli_options o = {0};

        assert_int_equal(cli_options_o(&o, table[i].text, &err), 0);
        assert_int_equal(cli_options_check(&o, &err), -EINVAL);
        if (!strstr(err.message, table[i].word))
            print_error("%s\n", err.message);
        assert_non_null(strstr(err.message, table[i].word));
        cli_options_fini(&o);
    }
}

static void write_conf(const char *path, const char *text)
{
    FILE *out = fopen(path, "we");

    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static void a_name_before_any_section_is_told(void **state)
{
    struct cli_options o = {0};
    char path[4200];

    (void)snprintf(path, sizeof(path), "%s/conf", (const char *)*state);
    write_conf(path, "endpoint = x\n[default]\nregion = cn-a\n");
    assert_int_equal(cli_options_set(&o, "config", path, "-o", &err), 0);
    assert_int_equal(cli_options_files(&o, "/mnt/b", &err), -EINVAL);
    assert_non_null(strstr(err.message, "endpoint stands before any section"));
    cli_options_fini(&o);
}

static void a_slash_ends_the_name_of_a_section(void **state)
{
    struct cli_options o = {0};
    char path[4200];

    (void)snprintf(path, sizeof(path), "%s/conf", (const char *)*state);
    write_conf(path, "[/mnt/b/]\nregion = cn-a\n[/mnt/bc]\nthreads = 7\n");
    assert_int_equal(cli_options_set(&o, "config", path, "-o", &err), 0);
    assert_int_equal(cli_options_files(&o, "/mnt/b", &err), 0);
    assert_string_equal(cli_text(&o, CLI_OPT_REGION), "cn-a");
    assert_false(cli_given(&o, CLI_OPT_THREADS));
    cli_options_fini(&o);
}

static void a_section_is_better_than_default_and_a_word_better_than_a_file(void **state)
{
    struct cli_options o = {0};
    char path[4200], given[4300];

    (void)snprintf(path, sizeof(path), "%s/conf", (const char *)*state);
    (void)snprintf(given, sizeof(given), "threads=9,config=%s", path);
    write_conf(path, "[default]\nthreads = 1\nconnections = 2\nregion = cn-a\n"
                     "[/mnt/b]\nconnections = 3\noss_access_key_id = id\n"
                     "access_key_secret = secret\n[/mnt/other]\nregion = cn-c\n");
    assert_int_equal(setenv("HOME", *state, 1), 0);
    assert_int_equal(setenv("OSS_REGION", "cn-env", 1), 0);
    assert_int_equal(cli_options_o(&o, given, &err), 0);
    assert_int_equal(cli_options_environment(&o, &err), 0);
    assert_int_equal(cli_options_files(&o, "/mnt/b", &err), 0);
    assert_int_equal(cli_options_check(&o, &err), 0);
    assert_int_equal(cli_number(&o, CLI_OPT_THREADS), 9);
    assert_int_equal(cli_number(&o, CLI_OPT_CONNECTIONS), 3);
    assert_string_equal(cli_text(&o, CLI_OPT_REGION), "cn-env");
    assert_string_equal(o.source[CLI_OPT_REGION], "environment");
    assert_string_equal(o.source[CLI_OPT_CONNECTIONS], path);
    assert_string_equal(o.access_key_id, "id");
    assert_string_equal(o.access_key_secret, "secret");
    cli_options_fini(&o);
    assert_int_equal(unsetenv("OSS_REGION"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_of_ossfs_become_ours_with_their_units),
        cmocka_unit_test(what_asks_nothing_of_us_is_taken_and_what_is_ossfs_alone_is_remembered),
        cmocka_unit_test(what_would_change_more_than_it_may_is_refused_with_a_way_out),
        cmocka_unit_test(use_cache_keeps_what_was_read_unless_a_size_is_given),
        cmocka_unit_test(the_last_of_one_list_wins_and_a_backslash_takes_a_comma),
        cmocka_unit_test(paths_are_absolute),
        cmocka_unit_test(values_out_of_bounds_are_told_with_the_bounds),
        unit_test_in_dir(a_name_before_any_section_is_told),
        unit_test_in_dir(a_slash_ends_the_name_of_a_section),
        unit_test_in_dir(a_section_is_better_than_default_and_a_word_better_than_a_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

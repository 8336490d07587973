/*
 * Signing against tests/data/oss-vectors.json: 113 vectors that three official signers agree on.
 */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "oss/sign.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define VECTORS_MAX (1u << 20)
#define LIST_MAX    64

struct vector {
    struct oss_sign_input in;
    struct oss_param query[LIST_MAX];
    struct oss_param headers[LIST_MAX];
    const char *additional[LIST_MAX];
    struct oss_credentials cred; /* borrowed strings */
};

static int load(void **state)
{
    ou_auto(ou_buf_fini) struct ou_buf text = {0};
    struct ou_error err = OU_ERROR_INIT;
    struct ou_json *root = NULL;

    if (ou_read_file(AT_FDCWD, OSSUP_TEST_DATA "/oss-vectors.json", VECTORS_MAX, &text, &err) < 0 ||
        ou_json_parse(text.data, text.len, &root, &err) < 0)
        return -1;
    *state = root;
    return 0;
}

static int unload(void **state)
{
    ou_json_free(*state);
    return 0;
}

static size_t read_pairs(const struct ou_json *array, struct oss_param *out)
{
    size_t count = ou_json_length(array);

    assert_true(count <= LIST_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct ou_json *pair = ou_json_at(array, i);

        out[i].name = ou_json_value_string(ou_json_at(pair, 0));
        out[i].value = ou_json_value_string(ou_json_at(pair, 1));
    }
    return count;
}

static void read_vector(const struct ou_json *input, struct vector *v)
{
    const struct ou_json *additional = ou_json_get(input, "additional_headers");

    *v = (struct vector){0};
    v->in.method = ou_json_string(input, "method");
    v->in.bucket = ou_json_string(input, "bucket");
    v->in.key = ou_json_string(input, "key");
    v->in.region = ou_json_string(input, "region");
    v->in.product = ou_json_string(input, "product");
    v->in.query = v->query;
    v->in.query_count = read_pairs(ou_json_get(input, "query"), v->query);
    v->in.headers = v->headers;
    v->in.header_count = read_pairs(ou_json_get(input, "headers"), v->headers);
    v->in.additional_count = ou_json_length(additional);
    assert_true(v->in.additional_count <= LIST_MAX);
    for (size_t i = 0; i < v->in.additional_count; i++)
        v->additional[i] = ou_json_value_string(ou_json_at(additional, i));
    v->in.additional_headers = v->additional;
    v->cred.access_key_id = (char *)ou_json_string(input, "access_key_id");
    v->cred.access_key_secret = (char *)ou_json_string(input, "access_key_secret");
    v->cred.security_token = (char *)ou_json_string(input, "security_token");
}

static void check_header(enum oss_sign_version version, const struct vector *v,
                         const struct ou_json *expect)
{
    ou_auto(ou_buf_fini) struct ou_buf authorization = {0};
    ou_auto(ou_buf_fini) struct ou_buf text = {0};
    struct ou_error err = OU_ERROR_INIT;

    assert_int_equal(oss_sign_authorization(version, &v->in, v->cred.access_key_id,
                                            v->cred.access_key_secret, &authorization, &text, &err),
                     0);
    assert_string_equal(ou_buf_str(&text), ou_json_string(expect, "string_to_sign"));
    assert_string_equal(ou_buf_str(&authorization), ou_json_string(expect, "authorization"));
}

/* "YYYYMMDDTHHMMSSZ" */
static time_t basic_time(const char *s)
{
    struct tm tm = {0};

    assert_non_null(strptime(s, "%Y%m%dT%H%M%SZ", &tm));
    return timegm(&tm);
}

static void check_presign(enum oss_sign_version version, const struct vector *v,
                          const struct ou_json *input, const struct ou_json *expect)
{
    ou_auto(ou_buf_fini) struct ou_buf query = {0};
    ou_auto(ou_buf_fini) struct ou_buf text = {0};
    struct ou_error err = OU_ERROR_INIT;
    uint64_t life = 60;
    int64_t expires;
    time_t now;

    if (version == OSS_SIGN_V4) {
        assert_true(ou_json_u64(input, "expires_seconds", &life));
        now = basic_time(ou_json_string(input, "date"));
    } else {
        assert_true(ou_json_i64(input, "expires_unix", &expires));
        now = (time_t)(expires - (int64_t)life);
    }
    assert_int_equal(
        oss_sign_presign(version, &v->in, &v->cred, now, (uint32_t)life, &query, &text, &err), 0);
    assert_string_equal(ou_buf_str(&text), ou_json_string(expect, "string_to_sign"));
    assert_string_equal(ou_buf_str(&query), ou_json_string(expect, "query_string"));
}

static void each_vector_is_signed_as_the_official_signers_do(void **state)
{
    const struct ou_json *signing = ou_json_get(*state, "signing");
    size_t count = ou_json_length(signing), kinds[4] = {0};

    assert_int_equal(count, 113);
    for (size_t i = 0; i < count; i++) {
        const struct ou_json *vector = ou_json_at(signing, i);
        const struct ou_json *input = ou_json_get(vector, "input");
        const struct ou_json *expect = ou_json_get(vector, "expect");
        const char *kind = ou_json_string(vector, "kind");
        enum oss_sign_version version = kind[1] == '4' ? OSS_SIGN_V4 : OSS_SIGN_V1;
        bool presign = strcmp(kind + 2, "-presign") == 0;
        struct vector v;

        read_vector(input, &v);
        kinds[(version == OSS_SIGN_V4 ? 2 : 0) + (presign ? 1 : 0)]++;
        if (presign)
            check_presign(version, &v, input, expect);
        else
            check_header(version, &v, expect);
    }
    for (size_t i = 0; i < 4; i++)
        assert_true(kinds[i] > 0);
}

static void keys_are_encoded_with_slashes_in_paths_and_without_in_queries(void **state)
{
    const struct ou_json *cases = ou_json_get(*state, "url_encoding");

    assert_true(ou_json_length(cases) > 0);
    for (size_t i = 0; i < ou_json_length(cases); i++) {
        const struct ou_json *c = ou_json_at(cases, i);
        const char *key = ou_json_string(c, "key");
        struct oss_param param = {.name = "k", .value = key};
        ou_auto(ou_buf_fini) struct ou_buf path = {0};
        ou_auto(ou_buf_fini) struct ou_buf query = {0};

        ou_buf_adds(&path, "/");
        ou_percent_encode(&path, key, strlen(key), "/");
        assert_string_equal(ou_buf_str(&path), ou_json_string(c, "path"));

        oss_sign_query(&param, 1, &query);
        assert_string_equal(ou_buf_str(&query) + 2, ou_json_string(c, "query_value"));
    }
}

/* -- what the vectors leave out -- */

static int sign(enum oss_sign_version version, const struct oss_sign_input *in, struct ou_buf *text,
                struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf authorization = {0};

    return oss_sign_authorization(version, in, "ak", "sk", &authorization, text, err);
}

static void only_listed_parameters_enter_a_v1_signature(void **state)
{
    const struct ou_json *names =
        ou_json_get(ou_json_get(*state, "v1_signed_query_names"), "names");
    const struct oss_param headers[] = {{"Date", "Tue, 05 Mar 2024 08:09:10 GMT"}};
    struct oss_sign_input in = {
        .method = "GET", .bucket = "b", .headers = headers, .header_count = 1, .query_count = 1};

    assert_int_equal(ou_json_length(names), 91);
    for (size_t i = 0; i < ou_json_length(names); i++) {
        struct oss_param param = {.name = ou_json_value_string(ou_json_at(names, i))};
        ou_auto(ou_buf_fini) struct ou_buf text = {0};
        struct ou_error err = OU_ERROR_INIT;
        const char *mark;

        in.query = &param;
        assert_int_equal(sign(OSS_SIGN_V1, &in, &text, &err), 0);
        mark = strchr(ou_buf_str(&text), '?');
        assert_non_null(mark);
        assert_string_equal(mark + 1, param.name);
    }

    const char *const unsigned_names[] = {"list-type", "prefix",   "max-keys", "start-after",
                                          "ACL",       "uploadid", "x-osS-a",  "zzz"};

    for (size_t i = 0; i < sizeof(unsigned_names) / sizeof(unsigned_names[0]); i++) {
        struct oss_param param = {.name = unsigned_names[i], .value = "v"};
        ou_auto(ou_buf_fini) struct ou_buf text = {0};
        struct ou_error err = OU_ERROR_INIT;

        in.query = &param;
        assert_int_equal(sign(OSS_SIGN_V1, &in, &text, &err), 0);
        assert_null(strchr(ou_buf_str(&text), '?'));
    }
}

static void query_order_does_not_depend_on_the_order_given(void **state)
{
    struct oss_param query[] = {{"b", "2"}, {"a", NULL}, {"b", "1"}, {"|", "x"}, {"a-b", ""}};
    struct oss_param turned[5];
    ou_auto(ou_buf_fini) struct ou_buf one = {0};
    ou_auto(ou_buf_fini) struct ou_buf two = {0};

    (void)state;
    for (size_t i = 0; i < 5; i++)
        turned[i] = query[4 - i];
    oss_sign_query(query, 5, &one);
    oss_sign_query(turned, 5, &two);
    assert_string_equal(ou_buf_str(&one), "%7C=x&a&a-b&b=1&b=2");
    assert_string_equal(ou_buf_str(&two), ou_buf_str(&one));
}

static void values_of_one_header_are_joined_in_the_order_given(void **state)
{
    const struct oss_param headers[] = {
        {"X-OSS-Meta-A", " 1 "}, {"date", "today"}, {"x-oss-meta-a", "0\t"}, {"x-oss-Meta-A", "2"}};
    struct oss_sign_input in = {
        .method = "GET", .bucket = "b", .key = "k", .headers = headers, .header_count = 4};
    ou_auto(ou_buf_fini) struct ou_buf text = {0};
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    assert_int_equal(sign(OSS_SIGN_V1, &in, &text, &err), 0);
    assert_string_equal(ou_buf_str(&text), "GET\n\n\ntoday\nx-oss-meta-a:1,0,2\n/b/k");
}

static void a_line_break_in_a_header_is_refused(void **state)
{
    const struct oss_param headers[] = {{"Date", "today"}, {"x-oss-meta-a", "1\nx-oss-acl:public"}};
    struct oss_sign_input in = {
        .method = "GET", .bucket = "b", .headers = headers, .header_count = 2};
    ou_auto(ou_buf_fini) struct ou_buf text = {0};
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    assert_int_equal(sign(OSS_SIGN_V1, &in, &text, &err), -EINVAL);
    assert_string_equal(err.message, "header x-oss-meta-a: a line break in its value");
}

static void what_cannot_be_signed_is_said(void **state)
{
    const struct oss_param gmt[] = {{"x-oss-date", "Tue, 05 Mar 2024 08:09:10 GMT"}};
    const struct oss_param basic[] = {{"x-oss-date", "20240305T080910Z"}};
    struct oss_sign_input in = {.method = "GET", .bucket = "b"};
    ou_auto(ou_buf_fini) struct ou_buf text = {0};
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    assert_int_equal(sign(OSS_SIGN_V1, &in, &text, &err), -EINVAL);
    in.header_count = 1;
    in.headers = gmt;
    in.region = "cn-hangzhou";
    assert_int_equal(sign(OSS_SIGN_V4, &in, &text, &err), -EINVAL);
    in.headers = basic;
    assert_int_equal(sign(OSS_SIGN_V4, &in, &text, &err), 0);
    in.region = NULL;
    assert_int_equal(sign(OSS_SIGN_V4, &in, &text, &err), -EINVAL);
    assert_string_equal(err.message, "signature V4 needs the region (region=)");
}

static void a_v4_url_lives_a_second_to_a_week(void **state)
{
    struct oss_sign_input in = {.method = "GET", .bucket = "b", .key = "k", .region = "r"};
    struct oss_credentials cred = {.access_key_id = "ak", .access_key_secret = "sk"};
    struct ou_error err = OU_ERROR_INIT;
    const struct {
        uint32_t life;
        int result;
    } cases[] = {{0, -EINVAL}, {1, 0}, {604800, 0}, {604801, -EINVAL}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ou_auto(ou_buf_fini) struct ou_buf query = {0};

        assert_int_equal(
            oss_sign_presign(OSS_SIGN_V4, &in, &cred, 0, cases[i].life, &query, NULL, &err),
            cases[i].result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_vector_is_signed_as_the_official_signers_do),
        cmocka_unit_test(keys_are_encoded_with_slashes_in_paths_and_without_in_queries),
        cmocka_unit_test(only_listed_parameters_enter_a_v1_signature),
        cmocka_unit_test(query_order_does_not_depend_on_the_order_given),
        cmocka_unit_test(values_of_one_header_are_joined_in_the_order_given),
        cmocka_unit_test(a_line_break_in_a_header_is_refused),
        cmocka_unit_test(what_cannot_be_signed_is_said),
        cmocka_unit_test(a_v4_url_lives_a_second_to_a_week),
    };

    return cmocka_run_group_tests_name("sign", tests, load, unload);
}

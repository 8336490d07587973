/*
 * Addresses, regions and names.
 */
#include "unit/unit.h"

#include "base/cleanup.h"
#include "oss/address.h"
#include "oss/types.h"

static struct ou_error err;

static void assert_url(const char *endpoint, enum oss_addressing style, const char *key,
                       const char *query, const char *url)
{
    ou_auto(ou_buf_fini) struct ou_buf out = {0};
    struct oss_address a;

    if (oss_address_init(&a, endpoint, style, "abc", &err) < 0)
        fail_msg("%s", err.message);
    oss_address_url(&a, key, query, &out);
    assert_string_equal(ou_buf_str(&out), url);
}

static void urls_follow_the_style(void **state)
{
    (void)state;
    assert_url("oss-cn-hangzhou.aliyuncs.com", OSS_ADDRESS_AUTO, "k", "",
               "https://abc.oss-cn-hangzhou.aliyuncs.com/k");
    assert_url("HTTP://OSS-cn-hangzhou.aliyuncs.com/", OSS_ADDRESS_AUTO, NULL, "a=b",
               "http://abc.oss-cn-hangzhou.aliyuncs.com/?a=b");
    assert_url("abc.oss-cn-hangzhou.aliyuncs.com", OSS_ADDRESS_AUTO, "k", "",
               "https://abc.oss-cn-hangzhou.aliyuncs.com/k");
    assert_url("http://127.0.0.1:9000", OSS_ADDRESS_AUTO, "a/b c", "uploads",
               "http://127.0.0.1:9000/abc/a/b%20c?uploads");
    assert_url("http://localhost:9000", OSS_ADDRESS_AUTO, NULL, "", "http://localhost:9000/abc/");
    assert_url("http://[::1]:9000", OSS_ADDRESS_AUTO, "k", "", "http://[::1]:9000/abc/k");
    assert_url("files.example.com", OSS_ADDRESS_CNAME, "k", "", "https://files.example.com/k");
    assert_url("store.example.com:8443", OSS_ADDRESS_PATH, "k", "",
               "https://store.example.com:8443/abc/k");
    assert_url("http://localhost", OSS_ADDRESS_VIRTUAL, "k", "", "http://abc.localhost/k");
}

static void keys_are_encoded_as_the_vectors_say(void **state)
{
    struct ou_json *root = unit_vectors();
    const struct ou_json *cases = ou_json_get(root, "url_encoding");
    struct oss_address a;

    (void)state;
    assert_int_equal(oss_address_init(&a, "http://127.0.0.1", OSS_ADDRESS_AUTO, "abc", &err), 0);
    for (size_t i = 0; i < ou_json_length(cases); i++) {
        const struct ou_json *c = ou_json_at(cases, i);
        ou_auto(ou_buf_fini) struct ou_buf url = {0};

        oss_address_url(&a, ou_json_string(c, "key"), "", &url);
        assert_string_equal(ou_buf_str(&url) + strlen("http://127.0.0.1/abc"),
                            ou_json_string(c, "path"));
    }
    ou_json_free(root);
}

static void the_host_tells_the_region(void **state)
{
    static const struct {
        const char *host, *region, *product;
    } cases[] = {
        {"oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou", "oss"},
        {"oss-cn-hangzhou-internal.aliyuncs.com", "cn-hangzhou", "oss"},
        {"cn-hangzhou.oss.aliyuncs.com", "cn-hangzhou", "oss"},
        {"vpc100-oss-cn-beijing.aliyuncs.com", "cn-beijing", "oss"},
        {"oss-us-west-1.aliyuncs.com", "us-west-1", "oss"},
        {"oss-us-west-internal-1.aliyuncs.com", "us-west-1", "oss"},
        {"oss-accelerate.aliyuncs.com", "", "oss"},
        {"oss-accelerate-overseas.aliyuncs.com", "", "oss"},
        {"oss.aliyuncs.com", "", "oss"},
        {"cb-f8z7yvzgwfkl9q0h.cn-hangzhou.oss-cloudbox.aliyuncs.com", "cb-f8z7yvzgwfkl9q0h",
         "oss-cloudbox"},
        {"127.0.0.1", "", "oss"},
        {"files.example.com", "", "oss"},
        {"oss-cn-hangzhou.example.com", "", "oss"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct oss_address a;

        assert_int_equal(oss_address_init(&a, cases[i].host, OSS_ADDRESS_AUTO, "abc", &err), 0);
        assert_string_equal(a.region, cases[i].region);
        assert_string_equal(a.product, cases[i].product);
    }
}

static void a_typo_in_the_endpoint_has_its_sentence(void **state)
{
    static const struct {
        const char *endpoint, *text;
    } cases[] = {
        {"", "missing"},
        {"ftp://h", "https:// or http://"},
        {"https//oss-cn-hangzhou.aliyuncs.com", "https:// or http://"},
        {"http:/h", "https:// or http://"},
        {"oss-cn-hangzhou.aliyuncs.com/bucket", "nothing may follow"},
        {"oss-cn-hangzhou.aliyuncs.com?x", "nothing may follow"},
        {"oss cn-hangzhou.aliyuncs.com", "blank"},
        {"oss-cn-hangzhou.aliyuncs.com\n", "blank"},
        {"h:99999", "port is a number"},
        {"h:", "port is a number"},
        {"h:80a", "port is a number"},
        {"https://", "host is missing"},
        {"https://:80", "host is missing"},
        {"oss_cn?", "nothing may follow"},
        {"a..b", "no host name"},
        {"-a", "no host name"},
        {"a,b", "no host name"},
        {"https://user:secret@h", "no user or password"},
        {"http://[::1", "] is missing"},
        {"http://[zz]", "no IPv6"},
        {"http://[]", "no IPv6"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct oss_address a;

        assert_int_equal(oss_address_init(&a, cases[i].endpoint, OSS_ADDRESS_AUTO, "abc", &err),
                         -EINVAL);
        if (!strstr(err.message, cases[i].text))
            fail_msg("%s: %s", cases[i].endpoint, err.message);
        assert_memory_equal(err.message, "endpoint=", 9);
        assert_null(strstr(err.message, "secret"));
    }
    assert_int_equal(oss_address_init(&(struct oss_address){.port = 0}, "127.0.0.1",
                                      OSS_ADDRESS_VIRTUAL, "abc", &err),
                     -EINVAL);
}

static void names_are_judged_as_the_vectors_say(void **state)
{
    struct ou_json *root = unit_vectors();
    const struct ou_json *buckets = ou_json_get(root, "bucket_name_validity");
    const struct ou_json *keys = ou_json_get(root, "object_key_validity");
    bool valid = false;

    (void)state;
    for (size_t i = 0; i < ou_json_length(buckets); i++) {
        const struct ou_json *c = ou_json_at(buckets, i);

        assert_true(ou_json_bool(c, "valid", &valid));
        assert_int_equal(oss_bucket_check(ou_json_string(c, "bucket"), &err), valid ? 0 : -EINVAL);
    }
    for (size_t i = 0; i < ou_json_length(keys); i++) {
        const struct ou_json *c = ou_json_at(keys, i);

        assert_true(ou_json_bool(c, "valid", &valid));
        assert_int_equal(oss_key_check(ou_json_string(c, "key"), &err) == 0, valid);
    }
    assert_int_equal(oss_key_check("a\xc0\x80", &err), -EILSEQ);
    assert_int_equal(oss_region_check("cn-hangzhou", &err), 0);
    assert_int_equal(oss_region_check("cn hangzhou", &err), -EINVAL);
    assert_int_equal(oss_region_check("", &err), -EINVAL);
    ou_json_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_follow_the_style),
        cmocka_unit_test(keys_are_encoded_as_the_vectors_say),
        cmocka_unit_test(the_host_tells_the_region),
        cmocka_unit_test(a_typo_in_the_endpoint_has_its_sentence),
        cmocka_unit_test(names_are_judged_as_the_vectors_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

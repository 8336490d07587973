#include "server/clock.h"
#include "server/digest.h"
#include "server/target.h"
#include "server/text.h"
#include "server/unit/vectors.h"

#include <inttypes.h>
#include <stdio.h>

static void percent_encoding_follows_the_table_and_comes_back(void **state)
{
    json_object *list = vectors_get("url_encoding");

    (void)state;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *json = json_object_array_get_idx(list, i);
        const char *key = vectors_text(json, "key");
        struct srv_buf path = {0}, value = {0};
        srv_autofree char *back = NULL;

        srv_percent_encode(&path, key, true);
        srv_percent_encode(&value, key, false);
        assert_string_equal(srv_buf_str(&path), vectors_text(json, "path") + 1);
        assert_string_equal(srv_buf_str(&value), vectors_text(json, "query_value"));
        back = srv_percent_decode(value.data, value.len);
        assert_string_equal(back, key);
        srv_buf_fini(&path);
        srv_buf_fini(&value);
    }
    assert_null(srv_percent_decode("%4", 2));
    assert_null(srv_percent_decode("%zz", 3));
    assert_null(srv_percent_decode("a%00b", 5));
}

static void names_are_judged_as_the_table_says(void **state)
{
    json_object *keys = vectors_get("object_key_validity");
    json_object *buckets = vectors_get("bucket_name_validity");

    (void)state;
    for (size_t i = 0; i < json_object_array_length(keys); i++) {
        json_object *json = json_object_array_get_idx(keys, i);

        assert_int_equal(srv_key_valid(vectors_text(json, "key")),
                         json_object_get_boolean(vectors_member(json, "valid")));
    }
    for (size_t i = 0; i < json_object_array_length(buckets); i++) {
        json_object *json = json_object_array_get_idx(buckets, i);

        assert_int_equal(srv_bucket_name_valid(vectors_text(json, "bucket")),
                         json_object_get_boolean(vectors_member(json, "valid")));
    }
    assert_false(srv_key_valid("\xC0\x80"));
    assert_false(srv_key_valid("\xED\xA0\x80"));
    assert_false(srv_key_valid("a\xFF"));
}

static void times_are_written_and_read_in_each_form(void **state)
{
    json_object *list = vectors_get("time");

    (void)state;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *json = json_object_array_get_idx(list, i);
        int64_t epoch = (int64_t)vectors_u64(json, "epoch");
        char text[SRV_TIME_TEXT_MAX];
        int64_t back = -1;

        srv_time_http(epoch, text);
        assert_string_equal(text, vectors_text(json, "http_date"));
        assert_true(srv_time_parse_http(text, &back));
        assert_int_equal(back, epoch);
        srv_time_basic(epoch, text);
        assert_string_equal(text, vectors_text(json, "iso_basic"));
        assert_true(srv_time_parse_basic(text, &back));
        assert_int_equal(back, epoch);
        srv_time_xml(epoch, text);
        assert_string_equal(text, vectors_text(json, "iso_xml"));
    }
}

static void a_time_of_another_form_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "Wed, 28 Dec 2022 10:27:41 GMT ",
        "Tue, 28 Dec 2022 10:27:41 GMT", /* it was a Wednesday */
        "Wed, 28 Dec 2022 10:27:61 GMT",
        "Wed, 31 Feb 2022 10:27:41 GMT",
        "20221228T102741",
        "20221328T102741Z",
        "2022-12-28T10:27:41Z",
    };
    int64_t seconds;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(srv_time_parse_http(bad[i], &seconds));
        assert_false(srv_time_parse_basic(bad[i], &seconds));
    }
}

static uint64_t crc_of_case(json_object *json)
{
    const char *text = vectors_text(json, "text");
    srv_autofree uint8_t *bytes = NULL;
    size_t len;

    if (text != NULL)
        return srv_crc64(text, strlen(text), 0);
    len = (size_t)vectors_u64(json, "length");
    bytes = srv_xcalloc(len, 1);
    memset(bytes, (int)vectors_u64(json, "repeat_byte"), len);
    return srv_crc64(bytes, len, 0);
}

static void crc64_and_its_combination_match_the_table(void **state)
{
    json_object *crc64 = vectors_get("crc64");
    json_object *cases = vectors_member(crc64, "cases");
    json_object *combine = vectors_member(crc64, "combine");

    (void)state;
    for (size_t i = 0; i < json_object_array_length(cases); i++) {
        json_object *json = json_object_array_get_idx(cases, i);

        assert_true(crc_of_case(json) == vectors_u64(json, "decimal"));
    }
    for (size_t i = 0; i < json_object_array_length(combine); i++) {
        json_object *json = json_object_array_get_idx(combine, i);

        assert_true(srv_crc64_combine(vectors_u64(json, "crc1"), vectors_u64(json, "crc2"),
                                      vectors_u64(json, "len2")) == vectors_u64(json, "expect"));
    }
}

static void a_digest_fed_in_pieces_equals_one_over_the_whole(void **state)
{
    srv_autofree uint8_t *bytes = srv_xcalloc(100000, 1);
    uint8_t whole[SRV_MD5_BYTES], pieces[SRV_MD5_BYTES];
    struct srv_digest digest;

    (void)state;
    for (size_t i = 0; i < 100000; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    srv_digest_init(&digest, true);
    for (size_t at = 0, n = 1; at < 100000; at += n, n = n * 3 + 1)
        srv_digest_add(&digest, bytes + at, n < 100000 - at ? n : 100000 - at);
    assert_true(digest.crc == srv_crc64(bytes, 100000, 0));
    assert_true(srv_digest_md5(&digest, pieces));
    srv_md5(bytes, 100000, whole);
    assert_memory_equal(whole, pieces, sizeof(whole));
    srv_digest_fini(&digest);
}

static void etags_match_the_recorded_ones(void **state)
{
    json_object *simple = vectors_get("content_md5_and_simple_etag");
    json_object *multipart = vectors_get("multipart_etag");
    json_object *cases = vectors_member(multipart, "cases");

    (void)state;
    for (size_t i = 0; i < json_object_array_length(simple); i++) {
        json_object *json = json_object_array_get_idx(simple, i);
        const char *body = vectors_text(json, "body");
        srv_autofree char *base64 = NULL;
        srv_autofree char *quoted = NULL;
        uint8_t md5[SRV_MD5_BYTES];
        char etag[SRV_ETAG_MAX];

        srv_md5(body, strlen(body), md5);
        base64 = srv_base64(md5, sizeof(md5));
        srv_etag_simple(md5, etag);
        quoted = srv_xasprintf("\"%s\"", etag);
        assert_string_equal(base64, vectors_text(json, "content_md5"));
        assert_string_equal(quoted, vectors_text(json, "etag"));
    }
    for (size_t i = 0; i < json_object_array_length(cases); i++) {
        json_object *json = json_object_array_get_idx(cases, i);
        json_object *parts = vectors_member(json, "parts");
        struct srv_buf text = {0};
        char etag[SRV_ETAG_MAX];

        for (size_t n = 0; n < json_object_array_length(parts); n++)
            srv_buf_puts(&text, json_object_get_string(json_object_array_get_idx(parts, n)));
        srv_etag_multipart(srv_buf_str(&text), text.len, json_object_array_length(parts), etag);
        assert_string_equal(etag, vectors_text(json, "etag"));
        srv_buf_fini(&text);
    }
}

static void base64_comes_back_and_garbage_does_not(void **state)
{
    static const char *const bad[] = {"", "a", "ab=", "a===", "ab!=", " YQ=="};
    srv_autofree uint8_t *bytes = NULL;

    (void)state;
    assert_int_equal(srv_base64_decode("eB5eJF1ptWaXm4bijSPyxw==", &bytes), SRV_MD5_BYTES);
    assert_int_equal(bytes[0], 0x78);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t *none = NULL;

        assert_int_equal(srv_base64_decode(bad[i], &none), -1);
        assert_null(none);
    }
}

static void check_address(const char *path, const char *host, const char *domain,
                          const char *bucket, const char *key, const char *code)
{
    struct srv_error err = {0};
    char *got_bucket = NULL, *got_key = NULL;
    int r = srv_target_address(path, host, domain, &got_bucket, &got_key, &err);

    if (code != NULL) {
        assert_int_equal(r, -1);
        assert_string_equal(err.code, code);
    } else {
        assert_int_equal(r, 0);
        assert_string_equal(got_bucket == NULL ? "-" : got_bucket, bucket);
        assert_string_equal(got_key == NULL ? "-" : got_key, key);
    }
    free(got_bucket);
    free(got_key);
    srv_error_fini(&err);
}

static void addresses_are_read_in_both_styles(void **state)
{
    (void)state;
    check_address("/", "127.0.0.1:80", NULL, "-", "-", NULL);
    check_address("/bkt", "127.0.0.1", NULL, "bkt", "-", NULL);
    check_address("/bkt/", "localhost:1", "oss.test", "bkt", "-", NULL);
    check_address("/bkt/a//b%2F+", "127.0.0.1", "oss.test", "bkt", "a//b/+", NULL);
    check_address("/a%20b", "bkt.oss.test:8080", "oss.test", "bkt", "a b", NULL);
    check_address("/", "bkt.oss.test", "oss.test", "bkt", "-", NULL);
    check_address("/", "oss.test", "oss.test", "-", "-", NULL);
    check_address("/bkt/a", "oss.test", "oss.test", NULL, NULL, "SecondLevelDomainForbidden");
    check_address("/Bkt/a", "127.0.0.1", NULL, NULL, NULL, "InvalidBucketName");
    check_address("/bkt//a", "127.0.0.1", NULL, NULL, NULL, "InvalidObjectName");
    check_address("/bkt/%5Ca", "127.0.0.1", NULL, NULL, NULL, "InvalidObjectName");
    check_address("/bkt/%zz", "127.0.0.1", NULL, NULL, NULL, "InvalidURI");
}

static void a_query_that_no_client_should_send_is_refused(void **state)
{
    static const char *const bad[] = {"a=b+c", "a=%", "a=%4", "a b", "a=\xC3\xA9", "a=<", "a|b"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct srv_pairs pairs = {0};
        struct srv_error err = {0};

        assert_int_equal(srv_target_query(bad[i], &pairs, &err), -1);
        assert_string_equal(err.code, "InvalidURI");
        srv_pairs_fini(&pairs);
        srv_error_fini(&err);
    }
}

static void a_query_keeps_bare_names_apart_from_empty_values(void **state)
{
    struct srv_pairs pairs = {0};
    struct srv_error err = {0};

    (void)state;
    assert_int_equal(srv_target_query("acl&prefix=&a=b%3Dc%26%2B", &pairs, &err), 0);
    assert_int_equal(pairs.count, 3);
    assert_null(pairs.items[0].value);
    assert_string_equal(pairs.items[1].value, "");
    assert_string_equal(pairs.items[2].value, "b=c&+");
    srv_pairs_fini(&pairs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percent_encoding_follows_the_table_and_comes_back),
        cmocka_unit_test(names_are_judged_as_the_table_says),
        cmocka_unit_test(times_are_written_and_read_in_each_form),
        cmocka_unit_test(a_time_of_another_form_is_refused),
        cmocka_unit_test(crc64_and_its_combination_match_the_table),
        cmocka_unit_test(a_digest_fed_in_pieces_equals_one_over_the_whole),
        cmocka_unit_test(etags_match_the_recorded_ones),
        cmocka_unit_test(base64_comes_back_and_garbage_does_not),
        cmocka_unit_test(addresses_are_read_in_both_styles),
        cmocka_unit_test(a_query_that_no_client_should_send_is_refused),
        cmocka_unit_test(a_query_keeps_bare_names_apart_from_empty_values),
    };

    return cmocka_run_group_tests_name("server text", tests, vectors_setup, vectors_teardown);
}

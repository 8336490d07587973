/*
 * What the client's options put on the wire: headers of each request, and the way through a proxy.
 */
#include "unit/unit.h"

#include "loopback.h"
#include "oss/ops.h"

static struct loopback_request last;
static struct ou_error err;

static int answer(void *ctx, const struct loopback_request *request, char *text, size_t size)
{
    (void)ctx;
    last = *request;
    (void)snprintf(text, size, "<Error><Code>AccessDenied</Code></Error>");
    return 403;
}

static ssize_t read_nothing(void *ctx, void *buf, size_t len, uint64_t offset, struct ou_error *e)
{
    (void)ctx, (void)buf, (void)len, (void)offset;
    return ou_error_set(e, EIO, "read");
}

/* Sends one request of each kind that matters and keeps the last one. */
static void put_with(struct oss_config *config)
{
    const struct oss_call call = {.deadline_ms = OSS_ONE_ATTEMPT};
    const struct oss_body body = {.size = 0, .read = read_nothing};
    struct oss_client *client = NULL;

    config->bucket = "bucket";
    config->sign = OSS_SIGN_CHOICE_V4;
    config->region = "cn-hangzhou";
    assert_int_equal(oss_client_new(config, NULL, &client, &err), 0);
    memset(&last, 0, sizeof(last));
    assert_int_equal(oss_put_object(client, &call, "a b", NULL, &body, NULL, &err), -EACCES);
    oss_client_free(client);
}

static void writes_carry_what_the_options_ask_for(void **state)
{
    struct loopback *server = loopback_start(answer, NULL);
    struct oss_config config = {.endpoint = loopback_url(server),
                                .storage_class = "IA",
                                .sse = "KMS",
                                .sse_key_id = "key-1",
                                .requester_pays = true,
                                .traffic_limit = 819200};
    struct oss_config plain = {.endpoint = loopback_url(server)};

    (void)state;
    put_with(&config);
    assert_string_equal(last.target, "/bucket/a%20b");
    assert_true(loopback_has_header(&last, "x-oss-storage-class: IA"));
    assert_true(loopback_has_header(&last, "x-oss-server-side-encryption: KMS"));
    assert_true(loopback_has_header(&last, "x-oss-server-side-encryption-key-id: key-1"));
    assert_true(loopback_has_header(&last, "x-oss-request-payer: requester"));
    assert_true(loopback_has_header(&last, "x-oss-traffic-limit: 819200"));
    put_with(&plain);
    assert_null(strstr(last.head, "x-oss-storage-class"));
    assert_null(strstr(last.head, "x-oss-server-side-encryption"));
    assert_null(strstr(last.head, "x-oss-request-payer"));
    assert_null(strstr(last.head, "x-oss-traffic-limit"));
    loopback_stop(server);
}

static void a_copy_carries_class_and_encryption_and_its_metadata_only_to_replace(void **state)
{
    const struct oss_call call = {.deadline_ms = OSS_ONE_ATTEMPT};
    const struct oss_object_headers of_source = {.storage_class = "IA", .of_source = true};
    const struct oss_object_headers new = {.storage_class = "IA", .content_type = "text/plain"};
    struct loopback *server = loopback_start(answer, NULL);
    struct oss_config config = {
        .endpoint = loopback_url(server), .bucket = "bucket", .sse = "AES256"};
    struct oss_client *client = NULL;

    (void)state;
    assert_int_equal(oss_client_new(&config, NULL, &client, &err), 0);
    assert_int_equal(oss_copy_object(client, &call, "a", "E", "b", &of_source, NULL, &err),
                     -EACCES);
    assert_true(loopback_has_header(&last, "x-oss-copy-source: /bucket/a"));
    assert_true(loopback_has_header(&last, "x-oss-copy-source-if-match: \"E\""));
    assert_true(loopback_has_header(&last, "x-oss-storage-class: IA"));
    assert_true(loopback_has_header(&last, "x-oss-server-side-encryption: AES256"));
    assert_null(strcasestr(last.head, "content-type"));
    assert_null(strstr(last.head, "x-oss-metadata-directive"));
    assert_int_equal(oss_copy_object(client, &call, "a", NULL, "b", &new, NULL, &err), -EACCES);
    assert_true(loopback_has_header(&last, "x-oss-metadata-directive: REPLACE"));
    assert_true(loopback_has_header(&last, "content-type: text/plain"));
    oss_client_free(client);
    loopback_stop(server);
}

static void a_proxy_of_the_environment_is_used_and_no_proxy_heeded(void **state)
{
    struct loopback *proxy = loopback_start(answer, NULL);
    struct oss_config config = {.endpoint = "http://oss.example"};
    struct oss_config near = {.endpoint = loopback_url(proxy)};

    (void)state;
    assert_int_equal(setenv("http_proxy", loopback_url(proxy), 1), 0);
    put_with(&config);
    assert_string_equal(last.target, "http://bucket.oss.example/a%20b");
    assert_true(loopback_has_header(&last, "Host: bucket.oss.example"));
    assert_int_equal(setenv("no_proxy", "127.0.0.1", 1), 0);
    put_with(&near);
    assert_string_equal(last.target, "/bucket/a%20b");
    assert_int_equal(unsetenv("http_proxy") | unsetenv("no_proxy"), 0);
    loopback_stop(proxy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_carry_what_the_options_ask_for),
        cmocka_unit_test(a_copy_carries_class_and_encryption_and_its_metadata_only_to_replace),
        cmocka_unit_test(a_proxy_of_the_environment_is_used_and_no_proxy_heeded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

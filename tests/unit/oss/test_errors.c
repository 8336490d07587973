/*
 * The error table against the one of the wire, and the sentences.
 */
#include "unit/unit.h"

#include "oss/errors.h"

struct name {
    const char *name;
    int errnum;
};

static int errno_called(const char *name)
{
    static const struct name names[] = {
        {"EIO", EIO},
        {"EACCES", EACCES},
        {"EREMOTEIO", EREMOTEIO},
        {"EINVAL", EINVAL},
        {"ENOENT", ENOENT},
        {"EEXIST", EEXIST},
        {"EPERM", EPERM},
        {"ESTALE", ESTALE},
        {"EALREADY", EALREADY},
        {"ENOTEMPTY", ENOTEMPTY},
        {"EFBIG", EFBIG},
        {"ELOOP", ELOOP},
        {"ENOTSUP", ENOTSUP},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!strcmp(names[i].name, name))
            return names[i].errnum;
    fail_msg("unknown errno %s", name);
    return 0;
}

static struct ou_error error_of(int status, const char *code)
{
    struct ou_error err = {.errnum = oss_errno_of(status, code), .http_status = status};

    (void)snprintf(err.code, sizeof(err.code), "%s", code);
    return err;
}

static void the_table_is_the_one_of_the_protocol(void **state)
{
    struct ou_json *root = unit_vectors();
    const struct ou_json *errors = ou_json_get(root, "errors");
    size_t count = ou_json_length(errors);

    (void)state;
    assert_true(count > 60);
    for (size_t i = 0; i < count; i++) {
        const struct ou_json *row = ou_json_at(errors, i);
        const char *code = ou_json_string(row, "code"), *retry = ou_json_string(row, "retry");
        const char *errnum = ou_json_string(row, "errno");
        enum oss_verdict verdict;
        struct ou_error err;
        uint64_t status;

        assert_true(ou_json_u64(row, "status", &status));
        err = error_of((int)status, code);
        verdict = oss_error_verdict(&err);
        /* The one difference: ops.h promises -ENOENT, as Complete's caller must tell it apart. */
        if (!strcmp(code, "NoSuchUpload"))
            assert_int_equal(err.errnum, ENOENT);
        else if (errnum) /* null: NotModified is no error to those who asked for it */
            assert_int_equal(err.errnum, errno_called(errnum));
        if (!strcmp(retry, "yes"))
            assert_true(verdict == OSS_RETRY || verdict == OSS_THROTTLE);
        else
            assert_int_equal(verdict, !strcmp(retry, "no") ? OSS_FINAL : OSS_REFRESH);
        if (status == 503)
            assert_int_equal(verdict, OSS_THROTTLE);
    }
    ou_json_free(root);
}

static void an_unknown_code_is_judged_by_its_status(void **state)
{
    static const struct {
        int status, errnum;
        enum oss_verdict verdict;
    } cases[] = {
        {400, EINVAL, OSS_FINAL}, {403, EACCES, OSS_FINAL}, {404, ENOENT, OSS_FINAL},
        {408, EIO, OSS_RETRY},    {409, EBUSY, OSS_FINAL},  {412, ESTALE, OSS_FINAL},
        {429, EIO, OSS_THROTTLE}, {500, EIO, OSS_RETRY},    {502, EIO, OSS_RETRY},
        {503, EIO, OSS_THROTTLE}, {504, EIO, OSS_RETRY},    {501, ENOTSUP, OSS_FINAL},
        {302, EIO, OSS_FINAL},    {418, EIO, OSS_FINAL},    {200, EIO, OSS_RETRY},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ou_error named = error_of(cases[i].status, "NeverHeardOf");
        struct ou_error bare = error_of(cases[i].status, "");

        assert_int_equal(named.errnum, cases[i].errnum);
        assert_int_equal(oss_error_verdict(&named), cases[i].verdict);
        assert_int_equal(bare.errnum, cases[i].errnum);
        assert_int_equal(oss_error_verdict(&bare), cases[i].verdict);
    }
}

static void every_spelling_of_a_limit_asks_for_less(void **state)
{
    struct ou_error a = error_of(503, "PutObjectQpsLimitExceeded");
    struct ou_error b = error_of(400, "UserReadTrafficRateLimitExceeded");
    struct ou_error c = error_of(503, "SomethingLimitExceeded");

    (void)state;
    assert_int_equal(oss_error_verdict(&a), OSS_THROTTLE);
    assert_int_equal(oss_error_verdict(&b), OSS_THROTTLE);
    assert_int_equal(oss_error_verdict(&c), OSS_THROTTLE);
}

static void a_full_bucket_is_told_as_one(void **state)
{
    struct ou_error a = error_of(403, "BucketQuotaExceeded");
    struct ou_error b = error_of(409, "StorageCapacityExceeded");
    struct ou_error c = error_of(507, "");

    (void)state;
    assert_int_equal(a.errnum, EDQUOT);
    assert_int_equal(b.errnum, EDQUOT);
    assert_int_equal(c.errnum, EDQUOT);
    assert_int_equal(oss_error_verdict(&a), OSS_FINAL);
    assert_int_equal(oss_error_verdict(&b), OSS_FINAL);
    assert_int_equal(oss_error_verdict(&c), OSS_FINAL);
}

static void local_failures_are_final_and_network_ones_are_not(void **state)
{
    struct ou_error disk = {.errnum = EIO}, memory = {.errnum = ENOMEM}, cancel = {.errnum = EINTR};
    struct ou_error refused = {.errnum = ECONNREFUSED};
    struct ou_error lost = error_of(0, "ConnectionLost"), tls = error_of(0, "TlsRefused");

    (void)state;
    assert_int_equal(oss_error_verdict(&disk), OSS_FINAL);
    assert_int_equal(oss_error_verdict(&memory), OSS_FINAL);
    assert_int_equal(oss_error_verdict(&cancel), OSS_FINAL);
    assert_int_equal(oss_error_verdict(&refused), OSS_RETRY);
    assert_int_equal(oss_error_verdict(&lost), OSS_RETRY);
    assert_int_equal(oss_error_verdict(&tls), OSS_FINAL);
    assert_int_equal(tls.errnum, EPROTO);
}

static void a_refusal_becomes_one_line_with_everything_in_it(void **state)
{
    struct oss_refusal r = {.code = "AccessDenied",
                            .message = "You have no right to access this object.",
                            .request_id = "566B6C3D6086505A0CFF0F68",
                            .ec = "0003-00000001"};
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    assert_int_equal(oss_error_refused(&err, "head a/b", 403, &r), -EACCES);
    assert_string_equal(err.message,
                        "head a/b: HTTP 403: AccessDenied: You have no right to access this "
                        "object. [EC 0003-00000001]");
    assert_string_equal(err.request_id, "566B6C3D6086505A0CFF0F68");
    assert_string_equal(err.code, "AccessDenied");
    assert_int_equal(err.http_status, 403);
    assert_true(oss_error_is(&err, "AccessDenied"));

    /* A proxy's HTML: no code, no message. */
    r = (struct oss_refusal){.code = ""};
    assert_int_equal(oss_error_refused(&err, "put a", 502, &r), -EIO);
    assert_string_equal(err.message, "put a: HTTP 502: Input/output error");
}

static void the_sentence_names_what_to_mend(void **state)
{
    static const struct {
        const char *code, *endpoint, *text;
        int errnum;
        const char *ec;
    } cases[] = {
        {"AccessDenied", "oss-cn-beijing.aliyuncs.com", "use endpoint=oss-cn-beijing.aliyuncs.com",
         EINVAL, ""},
        {"PermanentRedirect", "oss-cn-beijing.aliyuncs.com",
         "use endpoint=oss-cn-beijing.aliyuncs.com", EINVAL, ""},
        {"SecondLevelDomainForbidden", "", "addressing=virtual", EINVAL, ""},
        {"NoSuchBucket", "", "check the bucket's name", ENOENT, ""},
        {"InvalidArgument", "", "set region=", EINVAL, "0002-00000226"},
        {"SignatureDoesNotMatch", "", "access key secret", EACCES, ""},
        {"InvalidAccessKeyId", "", "access key id", EACCES, ""},
        {"InvalidObjectState", "", "restore it", EREMOTEIO, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct oss_refusal r = {.message = "The service's own words."};
        struct ou_error err = OU_ERROR_INIT;

        (void)snprintf(r.code, sizeof(r.code), "%s", cases[i].code);
        (void)snprintf(r.endpoint, sizeof(r.endpoint), "%s", cases[i].endpoint);
        (void)snprintf(r.ec, sizeof(r.ec), "%s", cases[i].ec);
        assert_int_equal(oss_error_refused(&err, "list", 403, &r), -cases[i].errnum);
        assert_non_null(strstr(err.message, cases[i].text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_the_one_of_the_protocol),
        cmocka_unit_test(an_unknown_code_is_judged_by_its_status),
        cmocka_unit_test(every_spelling_of_a_limit_asks_for_less),
        cmocka_unit_test(a_full_bucket_is_told_as_one),
        cmocka_unit_test(local_failures_are_final_and_network_ones_are_not),
        cmocka_unit_test(a_refusal_becomes_one_line_with_everything_in_it),
        cmocka_unit_test(the_sentence_names_what_to_mend),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

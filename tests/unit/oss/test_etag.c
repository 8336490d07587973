/* The multipart ETag against recorded exchanges. */
#include "unit/unit.h"

#include "oss/etag.h"

static void multipart_etag_is_that_of_the_vectors(void **state)
{
    struct ou_json *root = unit_vectors();
    struct ou_json *cases = ou_json_get(ou_json_get(root, "multipart_etag"), "cases");

    (void)state;
    assert_true(ou_json_length(cases) > 0);
    for (size_t i = 0; i < ou_json_length(cases); i++) {
        struct ou_json *c = ou_json_at(cases, i), *etags = ou_json_get(c, "parts");
        struct oss_part parts[2];
        char etag[OSS_ETAG_SIZE];
        size_t count = ou_json_length(etags);

        assert_true(count <= 2);
        for (size_t p = 0; p < count; p++) {
            parts[p] = (struct oss_part){.number = (unsigned)p + 1};
            (void)snprintf(parts[p].etag, sizeof(parts[p].etag), "%s",
                           ou_json_value_string(ou_json_at(etags, p)));
        }
        assert_true(oss_multipart_etag(parts, count, etag));
        assert_string_equal(etag, ou_json_string(c, "etag"));
    }
    ou_json_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(multipart_etag_is_that_of_the_vectors)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

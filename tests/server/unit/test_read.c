/* Ranges, conditions, listings, and the sorted index beneath them. */
#include "server/listing.h"
#include "server/range.h"
#include "server/unit/vectors.h"

#include <inttypes.h>
#include <stdio.h>

static void ranges_select_what_the_table_says(void **state)
{
    json_object *list = vectors_get("range");

    (void)state;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *json = json_object_array_get_idx(list, i);
        bool standard = vectors_text(json, "behavior") != NULL;
        uint64_t first = 0, last = 0;
        enum srv_range got = srv_range_parse(vectors_text(json, "range"), standard,
                                             vectors_u64(json, "size"), &first, &last);

        switch (vectors_u64(json, "status")) {
        case 200:
            assert_int_equal(got, SRV_RANGE_WHOLE);
            break;
        case 206:
            assert_int_equal(got, SRV_RANGE_PARTIAL);
            assert_int_equal(first, vectors_u64(json, "first"));
            assert_int_equal(last, vectors_u64(json, "last"));
            break;
        default:
            assert_int_equal(got, SRV_RANGE_UNSATISFIABLE);
        }
    }
}

static void nothing_of_an_empty_object_satisfies_a_range(void **state)
{
    uint64_t first = 0, last = 0;

    (void)state;
    assert_int_equal(srv_range_parse("bytes=0-0", true, 0, &first, &last), SRV_RANGE_UNSATISFIABLE);
    assert_int_equal(srv_range_parse("bytes=0-0", false, 0, &first, &last), SRV_RANGE_WHOLE);
    assert_int_equal(srv_range_parse("bytes=-5", true, 0, &first, &last), SRV_RANGE_UNSATISFIABLE);
    assert_int_equal(srv_range_parse(NULL, true, 0, &first, &last), SRV_RANGE_WHOLE);
}

static int condition(const char *name, const char *value)
{
    /* the object: ETag ABC, changed at Tue, 05 Mar 2024 08:09:10 GMT */
    struct srv_pairs headers = {0};
    int status;

    srv_pairs_add(&headers, name, value);
    status = srv_condition_status(&headers, "", "ABC", 1709626150);
    srv_pairs_fini(&headers);
    return status;
}

static void conditions_hold_or_answer_304_or_412(void **state)
{
    (void)state;
    assert_int_equal(condition("if-match", "\"ABC\""), 0);
    assert_int_equal(condition("if-match", "ABC"), 0);
    assert_int_equal(condition("if-match", "\"abc\""), 412);
    assert_int_equal(condition("if-match", "\"AB\""), 412);
    assert_int_equal(condition("if-none-match", "\"ABC\""), 304);
    assert_int_equal(condition("if-none-match", "\"X\""), 0);
    assert_int_equal(condition("if-modified-since", "Tue, 05 Mar 2024 08:09:10 GMT"), 304);
    assert_int_equal(condition("if-modified-since", "Tue, 05 Mar 2024 08:09:09 GMT"), 0);
    assert_int_equal(condition("if-unmodified-since", "Tue, 05 Mar 2024 08:09:10 GMT"), 0);
    assert_int_equal(condition("if-unmodified-since", "Tue, 05 Mar 2024 08:09:09 GMT"), 412);
    assert_int_equal(condition("x-oss-copy-source-if-match", "X"), 0);
}

struct seen {
    json_object *contents;
    json_object *prefixes;
    struct srv_buf last_name;
};

static void see(void *arg, const char *name, const struct srv_index_node *node)
{
    struct seen *seen = arg;

    (void)json_object_array_add(node != NULL ? seen->contents : seen->prefixes,
                                json_object_new_string(name));
    seen->last_name.len = 0;
    srv_buf_puts(&seen->last_name, name);
}

static void check_listing(const struct srv_index *index, json_object *json)
{
    json_object *query = vectors_member(json, "query");
    json_object *expect = vectors_member(json, "expect");
    struct seen seen = {.contents = json_object_new_array(), .prefixes = json_object_new_array()};
    bool truncated =
        srv_listing_page(index, vectors_text(query, "prefix"), vectors_text(query, "delimiter"),
                         vectors_text(query, "marker_or_start_after"),
                         (size_t)vectors_u64(query, "max_keys"), see, &seen);

    assert_true(json_object_equal(seen.contents, vectors_member(expect, "contents")));
    assert_true(json_object_equal(seen.prefixes, vectors_member(expect, "common_prefixes")));
    assert_int_equal(truncated, json_object_get_boolean(vectors_member(expect, "is_truncated")));
    if (truncated)
        assert_string_equal(srv_buf_str(&seen.last_name), vectors_text(expect, "next"));
    (void)json_object_put(seen.contents);
    (void)json_object_put(seen.prefixes);
    srv_buf_fini(&seen.last_name);
}

static void fill_index(struct srv_index *index)
{
    json_object *keys = vectors_member(vectors_get("listing"), "keys");

    for (size_t i = json_object_array_length(keys); i > 0; i--) {
        const char *key = json_object_get_string(json_object_array_get_idx(keys, i - 1));

        assert_null(srv_index_set(index, key, strlen(key), index));
    }
}

static void listings_show_what_the_table_says(void **state)
{
    json_object *cases = vectors_member(vectors_get("listing"), "cases");
    struct srv_index index = {0};

    (void)state;
    fill_index(&index);
    for (size_t i = 0; i < json_object_array_length(cases); i++)
        check_listing(&index, json_object_array_get_idx(cases, i));
    srv_index_fini(&index);
}

static void pages_of_every_size_join_to_the_whole_listing(void **state)
{
    struct srv_index index = {0};

    (void)state;
    fill_index(&index);
    for (size_t max = 1; max <= 14; max++) {
        struct seen whole = {.contents = json_object_new_array(),
                             .prefixes = json_object_new_array()};
        struct seen pages = {.contents = json_object_new_array(),
                             .prefixes = json_object_new_array()};
        bool more = true;

        assert_false(srv_listing_page(&index, "", "/", "", 1000, see, &whole));
        while (more) {
            srv_autofree char *after = srv_xstrdup(srv_buf_str(&pages.last_name));

            more = srv_listing_page(&index, "", "/", after, max, see, &pages);
        }
        assert_true(json_object_equal(whole.contents, pages.contents));
        assert_true(json_object_equal(whole.prefixes, pages.prefixes));
        (void)json_object_put(whole.contents);
        (void)json_object_put(whole.prefixes);
        (void)json_object_put(pages.contents);
        (void)json_object_put(pages.prefixes);
        srv_buf_fini(&whole.last_name);
        srv_buf_fini(&pages.last_name);
    }
    srv_index_fini(&index);
}

/* The slow, obvious model of the index: an array of flags, keys are their numbers in text. */
#define MODEL_KEYS 500u

static void check_against_model(const struct srv_index *index, const bool there[MODEL_KEYS])
{
    const struct srv_index_node *node = srv_index_seek(index, NULL, 0);
    size_t count = 0;

    for (unsigned k = 0; k < MODEL_KEYS; k++) {
        char key[8];

        (void)snprintf(key, sizeof(key), "%04u", k);
        if (!there[k]) {
            assert_null(srv_index_get(index, key, 4));
            continue;
        }
        assert_non_null(node);
        assert_string_equal(node->key, key);
        assert_ptr_equal(srv_index_get(index, key, 4), &there[k]);
        node = srv_index_next(node);
        count++;
    }
    assert_null(node);
    assert_int_equal(index->count, count);
}

static void the_index_behaves_like_its_model(void **state)
{
    static bool there[MODEL_KEYS];
    struct srv_index index = {0};
    uint64_t random = 12345;

    (void)state;
    for (unsigned step = 0; step < 5000; step++) {
        char key[8];
        unsigned k;

        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        k = (unsigned)(random >> 33) % MODEL_KEYS;
        (void)snprintf(key, sizeof(key), "%04u", k);
        if ((random >> 62) != 0) {
            assert_ptr_equal(srv_index_set(&index, key, 4, &there[k]), there[k] ? &there[k] : NULL);
            there[k] = true;
        } else {
            assert_ptr_equal(srv_index_remove(&index, key, 4), there[k] ? &there[k] : NULL);
            there[k] = false;
        }
        if (step % 500 == 499)
            check_against_model(&index, there);
    }
    srv_index_fini(&index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_select_what_the_table_says),
        cmocka_unit_test(nothing_of_an_empty_object_satisfies_a_range),
        cmocka_unit_test(conditions_hold_or_answer_304_or_412),
        cmocka_unit_test(listings_show_what_the_table_says),
        cmocka_unit_test(pages_of_every_size_join_to_the_whole_listing),
        cmocka_unit_test(the_index_behaves_like_its_model),
    };

    return cmocka_run_group_tests_name("server read", tests, vectors_setup, vectors_teardown);
}

#include "base/buf.h"
#include "base/cleanup.h"

#include "unit/unit.h"

static void zeroed_memory_is_an_empty_buffer(void **state)
{
    struct ou_buf b = {0};
    struct ou_error err;

    (void)state;
    assert_string_equal(ou_buf_str(&b), "");
    assert_int_equal(ou_buf_check(&b, &err), 0);
    ou_buf_clear(&b);
    ou_buf_fini(&b);
    ou_buf_fini(NULL);
}

static void what_was_appended_comes_back_and_ends_in_a_nul(void **state)
{
    ou_auto(ou_buf_fini) struct ou_buf b = {0};
    struct unit_random r = {5};
    static unsigned char all[60000];
    size_t len = 0;

    (void)state;
    for (int i = 0; i < 200; i++) {
        size_t n = unit_random_below(&r, 300);

        unit_random_bytes(&r, all + len, n);
        ou_buf_add(&b, all + len, n);
        len += n;
        assert_int_equal(b.len, len);
        assert_true(!b.data || b.data[b.len] == '\0');
    }
    assert_memory_equal(b.data, all, len);
}

static void formatted_text_of_any_length_fits(void **state)
{
    (void)state;
    for (int len = 0; len < 300; len++) {
        ou_auto(ou_buf_fini) struct ou_buf b = {0};

        ou_buf_addf(&b, "%0*d", len + 1, 7);
        assert_int_equal(b.len, len + 1);
        assert_int_equal(b.data[len], '7');
        assert_int_equal(b.data[len + 1], '\0');
    }
}

static void an_append_beyond_the_bound_changes_nothing_and_is_told_at_the_end(void **state)
{
    ou_auto(ou_buf_fini) struct ou_buf b = {.max = 5};
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    ou_buf_adds(&b, "abcde");
    assert_int_equal(ou_buf_check(&b, &err), 0);
    ou_buf_adds(&b, "f");
    ou_buf_addf(&b, "%d", 1);
    assert_string_equal(ou_buf_str(&b), "abcde");
    assert_int_equal(ou_buf_check(&b, &err), -EMSGSIZE);
    assert_int_equal(err.errnum, EMSGSIZE);
    assert_null(ou_buf_take(&b));
}

static void nothing_is_appended_after_a_failure(void **state)
{
    ou_auto(ou_buf_fini) struct ou_buf b = {.max = 5};

    (void)state;
    ou_buf_adds(&b, "abc");
    ou_buf_adds(&b, "too long");
    ou_buf_adds(&b, "d"); /* would fit, but the text would have a hole */
    assert_string_equal(ou_buf_str(&b), "abc");
    ou_buf_clear(&b);
    ou_buf_adds(&b, "d");
    assert_string_equal(ou_buf_str(&b), "d");
}

static void memory_that_ran_out_is_enomem(void **state)
{
    ou_auto(ou_buf_fini) struct ou_buf b = {.failed = ENOMEM};
    struct ou_error err;

    (void)state;
    assert_int_equal(ou_buf_check(&b, &err), -ENOMEM);
}

static void a_size_that_no_memory_holds_is_refused(void **state)
{
    ou_auto(ou_buf_fini) struct ou_buf b = {0};
    struct ou_error err;

    (void)state;
    ou_buf_add(&b, "x", 1);
    ou_buf_add(&b, "y", SIZE_MAX);
    assert_string_equal(ou_buf_str(&b), "x");
    assert_true(ou_buf_check(&b, &err) < 0);
}

static void taking_empties_the_buffer(void **state)
{
    ou_auto(ou_buf_fini) struct ou_buf b = {0};
    ou_autofree char *first = NULL;
    ou_autofree char *second = NULL;

    (void)state;
    ou_buf_adds(&b, "abc");
    first = ou_buf_take(&b);
    assert_string_equal(first, "abc");
    assert_int_equal(b.len, 0);
    second = ou_buf_take(&b);
    assert_string_equal(second, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroed_memory_is_an_empty_buffer),
        cmocka_unit_test(what_was_appended_comes_back_and_ends_in_a_nul),
        cmocka_unit_test(formatted_text_of_any_length_fits),
        cmocka_unit_test(an_append_beyond_the_bound_changes_nothing_and_is_told_at_the_end),
        cmocka_unit_test(nothing_is_appended_after_a_failure),
        cmocka_unit_test(memory_that_ran_out_is_enomem),
        cmocka_unit_test(a_size_that_no_memory_holds_is_refused),
        cmocka_unit_test(taking_empties_the_buffer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

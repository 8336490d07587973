#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"

#include "unit/unit.h"

static struct ou_json *parse(const char *text)
{
    struct ou_json *root = NULL;
    struct ou_error err = OU_ERROR_INIT;

    if (ou_json_parse(text, strlen(text), &root, &err) < 0)
        fail_msg("%s: %s", text, err.message);
    return root;
}

static void what_is_no_json_is_ebadmsg(void **state)
{
    static const char *const bad[] = {
        "",     " ",     "{",    "}",  "[1,]",    "{\"a\":1,}", "[1 2]",        "{a:1}",
        "'a'",  "nul",   "True", "01", "+1",      "-",          "\"a",          "\"\\x\"",
        "[1]x", "{} {}", "1 2",  "//", "[1]/**/", "\"\xff\"",   "\"\xc0\xaf\"", "\"\xed\xa0\x80\""};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ou_json *root = NULL;
        struct ou_error err = OU_ERROR_INIT;
        /* exact, so that ASan sees a read beyond it */
        char *text = strlen(bad[i]) ? malloc(strlen(bad[i])) : NULL;

        if (text)
            memcpy(text, bad[i], strlen(bad[i]));
        if (ou_json_parse(text ? text : "", strlen(bad[i]), &root, &err) != -EBADMSG)
            fail_msg("taken for JSON: %s", bad[i]);
        assert_null(root);
        assert_int_equal(err.errnum, EBADMSG);
        free(text);
    }
}

static void a_nul_byte_does_not_end_the_text(void **state)
{
    struct ou_json *root = NULL;
    struct ou_error err;

    (void)state;
    assert_int_equal(ou_json_parse("{}\0{}", 5, &root, &err), -EBADMSG);
    assert_int_equal(ou_json_parse("\"a\0b\"", 5, &root, &err), -EBADMSG);
    assert_int_equal(ou_json_parse("1\0", 2, &root, &err), -EBADMSG);
}

static void depth_is_bounded(void **state)
{
    (void)state;
    for (size_t depth = 1; depth < 40; depth++) {
        struct ou_json *root = NULL;
        struct ou_error err;
        char text[128];

        memset(text, '[', depth);
        text[depth] = '1';
        memset(text + depth + 1, ']', depth);
        assert_int_equal(ou_json_parse(text, 2 * depth + 1, &root, &err),
                         depth <= OU_JSON_DEPTH_MAX ? 0 : -EBADMSG);
        ou_json_free(root);
    }
}

static void members_are_read_by_their_type_only(void **state)
{
    ou_auto(ou_json_free_at) struct ou_json *root =
        parse("{\"s\":\"x\",\"n\":7,\"b\":true,\"z\":null,\"f\":7.0,\"ns\":\"7\",\"a\":[1,\"y\"],"
              "\"o\":{\"s\":\"in\"}}");
    uint64_t u = 42;
    int64_t i = 42;
    bool b = false;

    (void)state;
    assert_string_equal(ou_json_string(root, "s"), "x");
    assert_true(ou_json_u64(root, "n", &u) && u == 7);
    assert_true(ou_json_i64(root, "n", &i) && i == 7);
    assert_true(ou_json_bool(root, "b", &b) && b);
    assert_string_equal(ou_json_string(ou_json_get(root, "o"), "s"), "in");
    assert_int_equal(ou_json_length(ou_json_get(root, "a")), 2);
    assert_string_equal(ou_json_value_string(ou_json_at(ou_json_get(root, "a"), 1)), "y");

    u = 42;
    assert_null(ou_json_string(root, "n"));
    assert_null(ou_json_string(root, "absent"));
    assert_null(ou_json_get(root, "z"));
    assert_false(ou_json_u64(root, "ns", &u));
    assert_false(ou_json_u64(root, "f", &u));
    assert_false(ou_json_u64(root, "b", &u));
    assert_false(ou_json_i64(root, "s", &i));
    assert_false(ou_json_bool(root, "n", &b));
    assert_int_equal(ou_json_length(root), 0);
    assert_null(ou_json_at(ou_json_get(root, "a"), 2));
    assert_null(ou_json_get(ou_json_get(root, "a"), "s"));
    assert_null(ou_json_string(NULL, "s"));
    assert_int_equal(ou_json_length(NULL), 0);
    assert_int_equal(u, 42);
}

static void integers_keep_all_64_bits(void **state)
{
    ou_auto(ou_json_free_at) struct ou_json *root =
        parse("{\"max\":18446744073709551615,\"big\":9223372036854775808,"
              "\"imax\":9223372036854775807,\"imin\":-9223372036854775808,\"minus\":-1}");
    uint64_t u;
    int64_t i;

    (void)state;
    assert_true(ou_json_u64(root, "max", &u) && u == UINT64_MAX);
    assert_true(ou_json_u64(root, "big", &u) && u == UINT64_C(9223372036854775808));
    assert_true(ou_json_u64(root, "imax", &u) && u == INT64_MAX);
    assert_false(ou_json_u64(root, "imin", &u));
    assert_false(ou_json_u64(root, "minus", &u));
    assert_false(ou_json_i64(root, "max", &i));
    assert_false(ou_json_i64(root, "big", &i));
    assert_true(ou_json_i64(root, "imax", &i) && i == INT64_MAX);
    assert_true(ou_json_i64(root, "imin", &i) && i == INT64_MIN);
    assert_true(ou_json_i64(root, "minus", &i) && i == -1);
}

static void a_string_with_a_nul_is_no_c_string(void **state)
{
    ou_auto(ou_json_free_at) struct ou_json *root = parse("{\"s\":\"a\\u0000b\"}");
    ou_autofree char *bytes = NULL;
    size_t len;

    (void)state;
    assert_null(ou_json_string(root, "s"));
    bytes = ou_json_bytes(root, "s", &len);
    assert_int_equal(len, 3);
    assert_memory_equal(bytes, "a\0b", 4);
}

static void append_name(const char *name, const struct ou_json *value, void *ctx)
{
    ou_buf_addf(ctx, "%s%s,", name, value ? "" : "=null");
}

static void members_are_visited_in_order(void **state)
{
    ou_auto(ou_json_free_at) struct ou_json *root = parse("{\"z\":1,\"a\":null,\"m\":{\"q\":1}}");
    ou_auto(ou_buf_fini) struct ou_buf names = {0};

    (void)state;
    ou_json_each(root, append_name, &names);
    assert_string_equal(ou_buf_str(&names), "z,a=null,m,");
    ou_json_each(NULL, append_name, &names);
    assert_string_equal(ou_buf_str(&names), "z,a=null,m,");
}

static void quoted_text_is_read_back(void **state)
{
    static const char *const texts[] = {"", "plain", "\"\\/\b\f\n\r\t\x01\x7f",
                                        "\xe6\x96\x87 \xf0\x9f\x98\x80"};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        ou_auto(ou_buf_fini) struct ou_buf out = {0};
        ou_auto(ou_json_free_at) struct ou_json *root = NULL;

        ou_json_quote(&out, texts[i]);
        root = parse(ou_buf_str(&out));
        assert_string_equal(ou_json_value_string(root), texts[i]);
    }
}

static void what_is_no_utf8_is_quoted_as_the_replacement_character(void **state)
{
    ou_auto(ou_buf_fini) struct ou_buf out = {0};

    (void)state;
    ou_json_quote(&out, "a\xff\xc3z");
    assert_string_equal(ou_buf_str(&out), "\"a\xef\xbf\xbd\xef\xbf\xbdz\"");
}

static void bytes_come_back(const char *bytes, size_t len)
{
    ou_auto(ou_buf_fini) struct ou_buf out = {0};
    ou_auto(ou_json_free_at) struct ou_json *root = NULL;
    ou_autofree char *back = NULL;
    size_t back_len;

    ou_buf_adds(&out, "{\"k\":");
    ou_json_quote_bytes(&out, bytes, len);
    ou_buf_adds(&out, "}");
    assert_true(ou_utf8_valid(out.data, out.len));
    root = parse(out.data);
    back = ou_json_bytes(root, "k", &back_len);
    assert_non_null(back);
    assert_int_equal(back_len, len);
    assert_memory_equal(back, bytes, len);
    assert_int_equal(back[len], '\0');
}

static void every_byte_and_pair_of_bytes_comes_back(void **state)
{
    (void)state;
    bytes_come_back("", 0);
    for (int a = 0; a < 256; a++)
        bytes_come_back((char[]){(char)a}, 1);
    for (int a = 0; a < 256; a++)
        for (int b = 0; b < 256; b += a < 0x80 ? 17 : 1)
            bytes_come_back((char[]){(char)a, (char)b}, 2);
}

static void random_byte_strings_come_back(void **state)
{
    /* Mostly bytes from which characters, broken characters and our own escapes are made. */
    static const unsigned char likely[] = {0xf4, 0x8f, 0xbf, 0xbe, 0xbd, 0x80, 0xc3, 0xa9, 0xe6,
                                           0xed, 0xa0, 0xff, '"',  '\\', 'u',  'a',  0,    '\n'};
    struct unit_random r = {9};

    (void)state;
    for (int i = 0; i < 20000; i++) {
        char bytes[24];
        size_t len = unit_random_below(&r, sizeof(bytes));

        unit_random_bytes(&r, bytes, len);
        for (size_t k = 0; i % 4 && k < len; k++)
            bytes[k] = (char)likely[unit_random_below(&r, sizeof(likely))];
        bytes_come_back(bytes, len);
    }
}

static void characters_that_look_like_our_escapes_come_back(void **state)
{
    (void)state;
    for (int c = 0x00; c < 0x100; c++) { /* U+10FF00..U+10FFFF */
        char bytes[] = {(char)0xf4, (char)0x8f, (char)(0xbc | c >> 6), (char)(0x80 | (c & 0x3f))};

        assert_true(ou_utf8_valid(bytes, 4));
        bytes_come_back(bytes, 4);
    }
}

static void well_formed_text_stays_legible(void **state)
{
    ou_auto(ou_buf_fini) struct ou_buf out = {0};

    (void)state;
    ou_json_quote_bytes(&out, "dir/\xe6\x96\x87.txt\xff", 12);
    assert_string_equal(ou_buf_str(&out), "\"dir/\xe6\x96\x87.txt\\udbff\\udfff\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_json_is_ebadmsg),
        cmocka_unit_test(a_nul_byte_does_not_end_the_text),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(members_are_read_by_their_type_only),
        cmocka_unit_test(integers_keep_all_64_bits),
        cmocka_unit_test(a_string_with_a_nul_is_no_c_string),
        cmocka_unit_test(members_are_visited_in_order),
        cmocka_unit_test(quoted_text_is_read_back),
        cmocka_unit_test(what_is_no_utf8_is_quoted_as_the_replacement_character),
        cmocka_unit_test(every_byte_and_pair_of_bytes_comes_back),
        cmocka_unit_test(random_byte_strings_come_back),
        cmocka_unit_test(characters_that_look_like_our_escapes_come_back),
        cmocka_unit_test(well_formed_text_stays_legible),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

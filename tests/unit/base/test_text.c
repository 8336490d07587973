#include "base/cleanup.h"
#include "base/text.h"

#include "unit/unit.h"

static void sizes_are_powers_of_1024(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {
        {"0", 0},
        {"1", 1},
        {"512B", 512},
        {"100K", 102400},
        {"100k", 102400},
        {"8M", 8388608},
        {"8MB", 8388608},
        {"8MiB", 8388608},
        {"8mib", 8388608},
        {"5G", UINT64_C(5368709120)},
        {"1T", UINT64_C(1099511627776)},
        {"16777215T", UINT64_C(18446742974197923840)},
        {"18446744073709551615", UINT64_MAX},
    };
    struct ou_error err;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t bytes = 1;

        assert_int_equal(ou_parse_size(cases[i].text, &bytes, &err), 0);
        assert_int_equal(bytes, cases[i].bytes);
    }
}

static void durations_are_milliseconds_and_bare_numbers_seconds(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } cases[] = {
        {"0", 0},       {"30", 30000},   {"500ms", 500},    {"30s", 30000},
        {"5m", 300000}, {"2h", 7200000}, {"7d", 604800000}, {"18446744073709551615ms", UINT64_MAX},
    };
    struct ou_error err;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t ms = 1;

        assert_int_equal(ou_parse_duration(cases[i].text, &ms, &err), 0);
        assert_int_equal(ms, cases[i].ms);
    }
}

static void nonsense_is_refused_in_a_sentence_that_quotes_it(void **state)
{
    static const char *const bad[] = {"",
                                      " 8M",
                                      "8M ",
                                      "8 M",
                                      "M",
                                      "-1",
                                      "+1",
                                      "0x10",
                                      "1.5G",
                                      "8X",
                                      "8MiBs",
                                      "8Mi",
                                      "8iB",
                                      "1e3",
                                      "8M8M",
                                      "8\n",
                                      "16777216T",
                                      "18446744073709551616",
                                      "99999999999999999999999"};
    struct ou_error err;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t v = 42;
        char quoted[64];

        (void)snprintf(quoted, sizeof(quoted), "\"%s\" is no size", bad[i]);
        if (ou_parse_size(bad[i], &v, &err) != -EINVAL || v != 42)
            fail_msg("taken for a size: \"%s\"", bad[i]);
        assert_non_null(strstr(err.message, quoted));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t v = 42;

        if (ou_parse_duration(bad[i], &v, &err) != -EINVAL || v != 42)
            fail_msg("taken for a duration: \"%s\"", bad[i]);
    }
}

static void numbers_are_digits_only(void **state)
{
    static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "1a", "18446744073709551616"};
    uint64_t v = 42;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(ou_parse_u64(bad[i], &v));
    assert_int_equal(v, 42);
    assert_true(ou_parse_u64("18446744073709551615", &v));
    assert_int_equal(v, UINT64_MAX);
    assert_true(ou_parse_u64("007", &v));
    assert_int_equal(v, 7);
}

static void every_byte_survives_percent_coding(void **state)
{
    ou_auto(ou_buf_fini) struct ou_buf out = {0};

    (void)state;
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;
        size_t len;

        ou_buf_clear(&out);
        ou_percent_encode(&out, &byte, 1, NULL);
        assert_int_equal(out.len, strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                         "0123456789-._~",
                                         c) &&
                                          c
                                      ? 1
                                      : 3);
        len = ou_percent_decode(out.data, out.len, true);
        assert_int_equal(len, 1);
        assert_int_equal((unsigned char)out.data[0], c);
    }
}

static void random_text_survives_percent_coding(void **state)
{
    ou_auto(ou_buf_fini) struct ou_buf out = {0};
    struct unit_random r = {7};

    (void)state;
    for (int i = 0; i < 500; i++) {
        char text[200];
        size_t len = unit_random_below(&r, sizeof(text));

        unit_random_bytes(&r, text, len);
        ou_buf_clear(&out);
        ou_percent_encode(&out, text, len, i % 2 ? "/" : NULL);
        assert_int_equal(out.len == 0 ? 0 : ou_percent_decode(out.data, out.len, i % 3 == 0), len);
        assert_true(len == 0 || memcmp(out.data, text, len) == 0);
    }
}

static void the_vectors_are_percent_encoded(void **state)
{
    ou_auto(ou_buf_fini) struct ou_buf out = {0};
    struct ou_json *root = unit_vectors();
    const struct ou_json *cases = ou_json_get(root, "url_encoding");

    (void)state;
    assert_true(ou_json_length(cases) > 3);
    for (size_t i = 0; i < ou_json_length(cases); i++) {
        const struct ou_json *c = ou_json_at(cases, i);
        const char *key = ou_json_string(c, "key");

        if (!key)
            continue;
        ou_buf_clear(&out);
        ou_buf_adds(&out, "/");
        ou_percent_encode(&out, key, strlen(key), "/");
        assert_string_equal(ou_buf_str(&out), ou_json_string(c, "path"));
        ou_buf_clear(&out);
        ou_percent_encode(&out, key, strlen(key), NULL);
        assert_string_equal(ou_buf_str(&out), ou_json_string(c, "query_value"));
    }
    ou_json_free(root);
}

static void malformed_escapes_stay_as_they_are(void **state)
{
    static const char *const cases[][2] = {
        {"%", "%"},     {"%4", "%4"},           {"%4g", "%4g"}, {"%g4", "%g4"},   {"%%41", "%A"},
        {"%41%", "A%"}, {"%e6%96", "\xe6\x96"}, {"a+b", "a+b"}, {"%2525", "%25"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[32];
        size_t len;

        (void)snprintf(text, sizeof(text), "%s", cases[i][0]);
        len = ou_percent_decode(text, strlen(text), false);
        text[len] = '\0';
        assert_string_equal(text, cases[i][1]);
    }
}

static void base64_is_that_of_rfc_4648(void **state)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ou_auto(ou_buf_fini) struct ou_buf out = {0};

        ou_base64_encode(&out, cases[i][0], strlen(cases[i][0]));
        assert_string_equal(ou_buf_str(&out), cases[i][1]);
    }
}

static void random_bytes_survive_base64(void **state)
{
    struct unit_random r = {8};

    (void)state;
    for (int i = 0; i < 500; i++) {
        ou_auto(ou_buf_fini) struct ou_buf text = {0}, back = {0};
        char bytes[100];
        size_t len = unit_random_below(&r, sizeof(bytes));

        unit_random_bytes(&r, bytes, len);
        ou_base64_encode(&text, bytes, len);
        assert_true(ou_base64_decode(&back, ou_buf_str(&text), text.len));
        assert_int_equal(back.len, len);
        assert_true(len == 0 || memcmp(back.data, bytes, len) == 0);
    }
}

static void what_is_no_base64_leaves_the_buffer_alone(void **state)
{
    static const char *const bad[] = {"Z",    "Zg",       "Zg=",  "Zg==Zg==", "Zm9=",
                                      "Zh==", "====",     "Z===", "Zm9v\n",   "Zm9-",
                                      "=m9v", "Zm9vZ=9v", "Zm 9", "Zm9vZm9*"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ou_auto(ou_buf_fini) struct ou_buf out = {0};

        ou_buf_adds(&out, "before");
        if (ou_base64_decode(&out, bad[i], strlen(bad[i])))
            fail_msg("taken for base64: \"%s\"", bad[i]);
        assert_string_equal(ou_buf_str(&out), "before");
    }
}

/* Slow and obvious: decode one character by its bits, then ask whether it was the shortest form. */
static bool model_utf8(const unsigned char *s, size_t len)
{
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};

    for (size_t i = 0; i < len;) {
        size_t n = s[i] < 0x80         ? 1
                   : s[i] >> 5 == 0x06 ? 2
                   : s[i] >> 4 == 0x0e ? 3
                   : s[i] >> 3 == 0x1e ? 4
                                       : 0;
        uint32_t c;

        if (n == 0 || i + n > len)
            return false;
        c = n == 1 ? s[i] : s[i] & (0xffu >> (n + 1));
        for (size_t k = 1; k < n; k++) {
            if (s[i + k] >> 6 != 2)
                return false;
            c = c << 6 | (s[i + k] & 0x3f);
        }
        if (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
            return false;
        i += n;
    }
    return true;
}

static void utf8_is_what_the_slow_model_takes(void **state)
{
    /* Bytes at the borders of the tables of RFC 3629; all strings of up to 4 of them. */
    static const unsigned char bytes[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0,
                                          0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef,
                                          0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf7, 0xf8, 0xff};
    size_t n = sizeof(bytes);

    (void)state;
    for (size_t i = 0; i < n * n * n * n; i++) {
        unsigned char s[4] = {bytes[i % n], bytes[i / n % n], bytes[i / n / n % n],
                              bytes[i / n / n / n]};

        for (size_t len = 1; len <= 4; len++)
            if (ou_utf8_valid((char *)s, len) != model_utf8(s, len))
                fail_msg("%02x %02x %02x %02x, %zu bytes", s[0], s[1], s[2], s[3], len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_powers_of_1024),
        cmocka_unit_test(durations_are_milliseconds_and_bare_numbers_seconds),
        cmocka_unit_test(nonsense_is_refused_in_a_sentence_that_quotes_it),
        cmocka_unit_test(numbers_are_digits_only),
        cmocka_unit_test(every_byte_survives_percent_coding),
        cmocka_unit_test(random_text_survives_percent_coding),
        cmocka_unit_test(the_vectors_are_percent_encoded),
        cmocka_unit_test(malformed_escapes_stay_as_they_are),
        cmocka_unit_test(base64_is_that_of_rfc_4648),
        cmocka_unit_test(random_bytes_survive_base64),
        cmocka_unit_test(what_is_no_base64_leaves_the_buffer_alone),
        cmocka_unit_test(utf8_is_what_the_slow_model_takes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

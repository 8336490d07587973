#include "base/crc64.h"

#include "unit/unit.h"

/* Slow and obvious: one bit at a time, as the standard tells it. */
static uint64_t model(uint64_t crc, const unsigned char *data, size_t len)
{
    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ UINT64_C(0xC96C5795D7870F42) : crc >> 1;
    }
    return ~crc;
}

static const struct ou_json *at(const struct ou_json *object, const char *name)
{
    const struct ou_json *value = ou_json_get(object, name);

    assert_non_null(value);
    return value;
}

static uint64_t decimal(const struct ou_json *object, const char *name)
{
    const char *s = ou_json_string(object, name);

    assert_non_null(s);
    return strtoull(s, NULL, 10);
}

static void it_is_the_crc_of_the_vectors(void **state)
{
    struct ou_json *root = unit_vectors();
    const struct ou_json *cases = at(at(root, "crc64"), "cases");
    size_t with_text = 0;

    (void)state;
    for (size_t i = 0; i < ou_json_length(cases); i++) {
        const struct ou_json *c = ou_json_at(cases, i);
        const char *text = ou_json_string(c, "text");

        if (!text)
            continue;
        with_text++;
        assert_int_equal(ou_crc64(0, text, strlen(text)), decimal(c, "decimal"));
    }
    assert_true(with_text > 2);
    ou_json_free(root);
}

static void it_is_the_slow_models_crc(void **state)
{
    struct unit_random r = {1};
    unsigned char data[777];

    (void)state;
    for (int i = 0; i < 200; i++) {
        size_t len = unit_random_below(&r, sizeof(data) + 1);

        unit_random_bytes(&r, data, len);
        assert_int_equal(ou_crc64(0, data, len), model(0, data, len));
    }
}

static void a_crc_continues_over_any_split(void **state)
{
    struct unit_random r = {2};
    unsigned char data[5000];

    (void)state;
    unit_random_bytes(&r, data, sizeof(data));
    for (int i = 0; i < 300; i++) {
        size_t split = unit_random_below(&r, sizeof(data) + 1);
        uint64_t first = ou_crc64(0, data, split);

        assert_int_equal(ou_crc64(first, data + split, sizeof(data) - split),
                         ou_crc64(0, data, sizeof(data)));
    }
}

static void combining_any_split_gives_the_crc_of_the_whole(void **state)
{
    struct unit_random r = {3};
    unsigned char data[5000];

    (void)state;
    for (int i = 0; i < 500; i++) {
        size_t len = unit_random_below(&r, sizeof(data) + 1);
        size_t split = unit_random_below(&r, len + 1);

        unit_random_bytes(&r, data, len);
        assert_int_equal(ou_crc64_combine(ou_crc64(0, data, split),
                                          ou_crc64(0, data + split, len - split), len - split),
                         ou_crc64(0, data, len));
    }
}

static void combining_with_nothing_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(ou_crc64_combine(UINT64_C(0x1234567890abcdef), 0, 0),
                     UINT64_C(0x1234567890abcdef));
    assert_int_equal(ou_crc64_combine(0, UINT64_C(0x1234567890abcdef), 17),
                     UINT64_C(0x1234567890abcdef));
}

/* Zeros can be counted by combining alone, so lengths beyond 32 bits need no such data. */
static void lengths_beyond_32_bits_combine(void **state)
{
    unsigned char zeros[4096] = {0};
    uint64_t crc = ou_crc64(0, zeros, sizeof(zeros));
    uint64_t len = sizeof(zeros);
    uint64_t a = UINT64_C(0x0123456789abcdef);
    uint64_t half, whole;

    (void)state;
    for (; len < UINT64_C(1) << 40; len *= 2)
        crc = ou_crc64_combine(crc, crc, len);
    /* A, then 2^40 zeros, then 2^40 zeros again == A, then 2^41 zeros */
    half = ou_crc64_combine(ou_crc64_combine(a, crc, len), crc, len);
    whole = ou_crc64_combine(a, ou_crc64_combine(crc, crc, len), 2 * len);
    assert_int_equal(half, whole);
    assert_int_not_equal(half, ou_crc64_combine(a, crc, (uint32_t)len));
}

static void combining_is_associative(void **state)
{
    struct unit_random r = {4};

    (void)state;
    for (int i = 0; i < 300; i++) {
        uint64_t a = unit_random(&r), b = unit_random(&r), c = unit_random(&r);
        uint64_t len_b = unit_random(&r) >> 2, len_c = unit_random(&r) >> 2;

        assert_int_equal(ou_crc64_combine(ou_crc64_combine(a, b, len_b), c, len_c),
                         ou_crc64_combine(a, ou_crc64_combine(b, c, len_c), len_b + len_c));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_crc_of_the_vectors),
        cmocka_unit_test(it_is_the_slow_models_crc),
        cmocka_unit_test(a_crc_continues_over_any_split),
        cmocka_unit_test(combining_any_split_gives_the_crc_of_the_whole),
        cmocka_unit_test(combining_with_nothing_changes_nothing),
        cmocka_unit_test(lengths_beyond_32_bits_combine),
        cmocka_unit_test(combining_is_associative),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

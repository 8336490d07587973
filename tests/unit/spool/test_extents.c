/* The extent map against the obvious model: an array with one slot per byte. */
#include "spool/extents.h"

#include <errno.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SPACE 256

static void assert_same(const struct extent_map *m, const signed char *model)
{
    struct extent e, last = {.slot = EXTENT_NONE};
    uint64_t bytes = 0;
    size_t count = 0;

    for (uint64_t at = 0; at < SPACE; at++) {
        e = extent_map_at(m, at);
        assert_int_equal(e.slot, model[at]);
        assert_true(e.size > 0);
        for (uint64_t i = at; i < SPACE && i < at + e.size; i++)
            assert_int_equal(model[i], e.slot);
        bytes += model[at] == EXTENT_A || model[at] == EXTENT_B;
    }
    assert_int_equal(extent_map_bytes(m), bytes);
    for (uint64_t at = 0; extent_map_next(m, at, &e); at = e.offset + e.size) {
        if (count > 0 && last.offset + last.size == e.offset)
            assert_int_not_equal(last.slot, e.slot); /* neighbours that can be one are one */
        last = e;
        count++;
    }
    assert_int_equal(m->count, count);
}

static void random_histories_equal_the_model(void **state)
{
    (void)state;
    srand(20240305);
    for (int round = 0; round < 200; round++) {
        struct extent_map m = {0}, copy = {0};
        signed char model[SPACE];
        struct ou_error err;

        memset(model, EXTENT_NONE, sizeof(model));
        for (int step = 0; step < 60; step++) {
            uint64_t offset = (uint64_t)(rand() % SPACE);
            uint64_t size = (uint64_t)(rand() % (int)(SPACE - offset + 1));
            int slot = rand() % 4 - 1;

            if (rand() % 10 == 0) {
                extent_map_cut(&m, offset);
                memset(model + offset, EXTENT_NONE, SPACE - offset);
            } else {
                assert_int_equal(extent_map_set(&m, offset, size, slot, &err), 0);
                memset(model + offset, slot, size);
            }
            assert_same(&m, model);
        }
        assert_int_equal(extent_map_copy(&copy, &m, &err), 0);
        extent_map_fini(&m);
        assert_same(&copy, model);
        extent_map_fini(&copy);
    }
}

static void a_slot_is_found_in_any_part_of_its_extent(void **state)
{
    struct extent_map m = {0};
    struct ou_error err;

    (void)state;
    assert_int_equal(extent_map_set(&m, 100, 100, EXTENT_SENT, &err), 0);
    assert_int_equal(extent_map_set(&m, 300, 100, EXTENT_A, &err), 0);
    assert_true(extent_map_has(&m, EXTENT_SENT, 0, UINT64_MAX));
    assert_true(extent_map_has(&m, EXTENT_SENT, 150, 1));
    assert_true(extent_map_has(&m, EXTENT_SENT, 199, 1000));
    assert_true(extent_map_has(&m, EXTENT_SENT, 0, 101));
    assert_false(extent_map_has(&m, EXTENT_SENT, 0, 100));
    assert_false(extent_map_has(&m, EXTENT_SENT, 200, UINT64_MAX));
    assert_false(extent_map_has(&m, EXTENT_SENT, 150, 0));
    assert_true(extent_map_has(&m, EXTENT_A, 150, 151));
    assert_false(extent_map_has(&m, EXTENT_A, 150, 150));
    extent_map_fini(&m);
}

static void a_range_beyond_64_bits_is_refused(void **state)
{
    struct extent_map m = {0};
    struct ou_error err;

    (void)state;
    assert_int_equal(extent_map_set(&m, UINT64_MAX - 1, 5, EXTENT_A, &err), -EFBIG);
    assert_int_equal(m.count, 0);
}

static void a_million_extents_stay_shallow(void **state)
{
    struct extent_map m = {0};
    struct ou_error err;

    (void)state;
    for (uint64_t i = 0; i < 1000000; i++)
        assert_int_equal(extent_map_set(&m, i * 2, 1, EXTENT_A, &err), 0);
    assert_int_equal(m.count, 1000000);
    assert_int_equal(extent_map_at(&m, 1999998).slot, EXTENT_A);
    assert_int_equal(extent_map_at(&m, 1999997).slot, EXTENT_NONE);
    extent_map_cut(&m, 1000000);
    assert_int_equal(m.count, 500000);
    extent_map_fini(&m); /* recursion as deep as the tree: a list would overflow the stack */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_histories_equal_the_model),
        cmocka_unit_test(a_slot_is_found_in_any_part_of_its_extent),
        cmocka_unit_test(a_range_beyond_64_bits_is_refused),
        cmocka_unit_test(a_million_extents_stay_shallow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

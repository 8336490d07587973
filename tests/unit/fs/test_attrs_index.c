/* The index of attrs.cache against an array; entries that collide; what is removed while it is made anew. */
#include "fs/attrs_index.h"

#include "unit/unit.h"

#define KEYS 200u

/* Few different places, so that they crowd. 0 and 1 are taken for the same. */
static uint64_t hash_of(size_t key)
{
    return 2 * (key % 7) + ((uint64_t)(key / 7) << 40);
}

static void check(const struct fs_attrs_index *ix, const uint64_t *offsets)
{
    size_t count = 0;

    for (size_t key = 0; key < KEYS; key++) {
        uint64_t offset = 0;
        bool there = fs_attrs_index_get(ix, hash_of(key), &offset);

        assert_int_equal(there, offsets[key] != 0);
        if (!there)
            continue;
        assert_int_equal(offset, offsets[key]);
        count++;
    }
    assert_int_equal(ix->count, count);
}

static void it_holds_what_an_array_does(void **state)
{
    uint64_t offsets[KEYS] = {0};
    struct fs_attrs_index ix = {.size = 0};
    unsigned seed = 11;

    (void)state;
    for (unsigned step = 1; step < 20000; step++) {
        size_t key = (size_t)rand_r(&seed) % KEYS;

        /* fuller and emptier in turn */
        if ((unsigned)rand_r(&seed) % 100 < (step / 2000 % 2 ? 30u : 70u)) {
            fs_attrs_index_set(&ix, hash_of(key), step);
            offsets[key] = step;
        } else {
            fs_attrs_index_remove(&ix, hash_of(key));
            offsets[key] = 0;
        }
        if (step % 16 == 0)
            check(&ix, offsets);
    }
    fs_attrs_index_fini(&ix);
}

static void what_is_removed_meanwhile_does_not_come_back(void **state)
{
    struct fs_attrs_index ix = {.size = 0}, with = {.size = 0};
    uint64_t offset;

    (void)state;
    for (uint64_t hash = 0; hash < 200; hash += 2)
        fs_attrs_index_set(&ix, hash, 1000 + hash);
    fs_attrs_index_watch(&ix);
    for (uint64_t hash = 0; hash < 200; hash += 2)
        fs_attrs_index_set(&with, hash, hash);
    fs_attrs_index_remove(&ix, 0);
    fs_attrs_index_remove(&ix, 50);
    assert_true(fs_attrs_index_replace(&ix, &with));
    assert_null(with.slots);
    assert_int_equal(ix.count, 98);
    assert_false(fs_attrs_index_get(&ix, 0, &offset));
    assert_false(fs_attrs_index_get(&ix, 50, &offset));
    assert_true(fs_attrs_index_get(&ix, 52, &offset));
    assert_int_equal(offset, 52);
    fs_attrs_index_remove(&ix, 52); /* not noted any more */
    assert_int_equal(ix.removed.len, 0);
    fs_attrs_index_fini(&ix);
}

static void what_is_removed_is_noted_while_it_is_watched_only(void **state)
{
    struct fs_attrs_index ix = {.size = 0};

    (void)state;
    fs_attrs_index_watch(&ix);
    fs_attrs_index_remove(&ix, 1);
    assert_true(ix.removed.len > 0);
    fs_attrs_index_unwatch(&ix);
    fs_attrs_index_remove(&ix, 2);
    assert_int_equal(ix.removed.len, 0);
    fs_attrs_index_fini(&ix);
}

static void without_memory_for_what_is_removed_all_stays_as_it_is(void **state)
{
    struct fs_attrs_index ix = {.removed = {.max = 8}}, with = {.size = 0};
    uint64_t offset;

    (void)state;
    for (uint64_t hash = 0; hash < 4; hash++) {
        fs_attrs_index_set(&ix, 2 + hash, 1002 + hash);
        fs_attrs_index_set(&with, 2 + hash, hash);
    }
    fs_attrs_index_watch(&ix);
    fs_attrs_index_remove(&ix, 4);
    fs_attrs_index_remove(&ix, 5);
    assert_false(fs_attrs_index_replace(&ix, &with));
    assert_int_equal(ix.count, 2);
    assert_true(fs_attrs_index_get(&ix, 3, &offset));
    assert_int_equal(offset, 1003);
    fs_attrs_index_fini(&ix);
    fs_attrs_index_fini(&with);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_holds_what_an_array_does),
        cmocka_unit_test(what_is_removed_meanwhile_does_not_come_back),
        cmocka_unit_test(what_is_removed_is_noted_while_it_is_watched_only),
        cmocka_unit_test(without_memory_for_what_is_removed_all_stays_as_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

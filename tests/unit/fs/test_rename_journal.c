/* Renames that were begun and not ended are found again. */
#include "fs/rename_journal.h"

#include "unit/unit.h"

static struct fs_renames *open_in(const char *dir)
{
    struct fs_renames *r = NULL;
    struct ou_error err;

    assert_int_equal(fs_renames_open(dir, &r, &err), 0);
    return r;
}

static void only_what_was_not_ended_is_left(void **state)
{
    struct fs_renames *r = open_in(*state);
    uint64_t first, second;
    struct fs_rename_left left;
    struct ou_error err;

    assert_int_equal(fs_renames_begin(r, "a/", "b/", "", &first, &err), 0);
    assert_int_equal(fs_renames_begin(r, "\xff\"", "d/e", "E\"1", &second, &err), 0);
    assert_int_equal(fs_renames_left(r, &left), 0); /* they are this mount's own */
    fs_renames_end(r, first);
    fs_renames_close(r);

    r = open_in(*state);
    assert_int_equal(fs_renames_left(r, &left), 1);
    assert_int_equal(left.id, second);
    assert_string_equal(left.from, "\xff\"");
    assert_string_equal(left.to, "d/e");
    assert_string_equal(left.etag, "E\"1");
    free(left.from);
    free(left.to);
    assert_int_equal(fs_renames_left(r, &left), 0);
    assert_int_equal(fs_renames_begin(r, "x/", "y/", "", &first, &err), 0);
    assert_true(first > second);
    fs_renames_end(r, first);
    fs_renames_end(r, second);
    fs_renames_close(r);

    r = open_in(*state);
    assert_int_equal(fs_renames_left(r, &left), 0);
    fs_renames_close(r);
}

static void the_journal_does_not_grow_for_ever(void **state)
{
    struct fs_renames *r = open_in(*state);
    char path[4200];
    struct stat st;
    uint64_t id;
    struct ou_error err;

    for (int i = 0; i < 2000; i++) {
        assert_int_equal(fs_renames_begin(r, "from/", "to/", "", &id, &err), 0);
        fs_renames_end(r, id);
    }
    fs_renames_close(r);
    (void)snprintf(path, sizeof(path), "%s/renames.journal", (const char *)*state);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size < 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_what_was_not_ended_is_left, unit_dir_setup,
                                        unit_dir_teardown),
        cmocka_unit_test_setup_teardown(the_journal_does_not_grow_for_ever, unit_dir_setup,
                                        unit_dir_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Deleted keys stay hidden until no LIST can show them any more. */
#include "fs/gone.h"

#include "unit/unit.h"

static void a_pending_delete_hides_always(void **state)
{
    struct fs_gone g = {.keys = {.oldest = NULL}};

    (void)state;
    fs_gone_add(&g, "a", 10);
    assert_true(fs_gone_hides(fs_gone_find(&g, "a"), true, 20, 30));
    fs_gone_fini(&g);
}

static void a_list_that_began_before_the_confirmation_is_not_believed(void **state)
{
    struct fs_gone g = {.keys = {.oldest = NULL}};

    (void)state;
    fs_gone_add(&g, "a", 10);
    assert_true(fs_gone_hides(fs_gone_find(&g, "a"), false, 20, 30)); /* seen confirmed at 30 */
    assert_true(fs_gone_hides(fs_gone_find(&g, "a"), false, 30, 40));
    assert_false(fs_gone_hides(fs_gone_find(&g, "a"), false, 31, 40));
    fs_gone_fini(&g);
}

static void what_is_made_anew_is_not_hidden(void **state)
{
    struct fs_gone g = {.keys = {.oldest = NULL}};

    (void)state;
    fs_gone_add(&g, "a", 10);
    fs_gone_made(&g, "a");
    assert_null(fs_gone_find(&g, "a"));
    fs_gone_made(&g, "a");
    fs_gone_fini(&g);
}

static void a_late_delete_makes_directories_above_it_pending_again(void **state)
{
    struct fs_gone g = {.keys = {.oldest = NULL}};

    (void)state;
    fs_gone_add_dir(&g, "d/e/", 10);
    fs_gone_add_dir(&g, "d/", 10);
    fs_gone_add(&g, "d/x", 10);
    assert_false(fs_gone_hides(fs_gone_find_dir(&g, "d/"), false, 31, 30));
    assert_false(fs_gone_hides(fs_gone_find_dir(&g, "d/e/"), false, 31, 30));
    assert_false(fs_gone_hides(fs_gone_find(&g, "d/x"), false, 31, 30));
    fs_gone_add(&g, "d/e/f", 40);
    assert_true(fs_gone_hides(fs_gone_find_dir(&g, "d/"), false, 45, 50));
    assert_true(fs_gone_hides(fs_gone_find_dir(&g, "d/e/"), false, 45, 50));
    assert_false(fs_gone_hides(fs_gone_find(&g, "d/x"), false, 45, 50));
    assert_non_null(fs_gone_find(&g, "d/e/f"));
    assert_true(fs_gone_find_dir(&g, "d/e/")->removed);
    fs_gone_fini(&g);
}

/* What is deleted below a directory that was removed and made anew does not hide the new one. */
static void a_directory_made_anew_is_in_doubt(void **state)
{
    struct fs_gone g = {.keys = {.oldest = NULL}};

    (void)state;
    fs_gone_add(&g, "d/e/f", 5);
    assert_false(fs_gone_remade(&g, "d/e/"));
    fs_gone_add_dir(&g, "d/", 10);
    assert_true(fs_gone_find_dir(&g, "d/")->removed);
    assert_false(fs_gone_remade(&g, "d/e/"));
    fs_gone_made(&g, "d/new/file");
    assert_false(fs_gone_find_dir(&g, "d/")->removed);
    assert_true(fs_gone_remade(&g, "d/"));
    assert_true(fs_gone_remade(&g, "d/e/"));
    assert_false(fs_gone_remade(&g, "x/"));
    fs_gone_add_dir(&g, "d/", 20);
    assert_true(fs_gone_find_dir(&g, "d/")->removed);
    assert_false(fs_gone_remade(&g, "d/e/"));
    fs_gone_fini(&g);
}

static void the_oldest_are_forgotten(void **state)
{
    struct fs_gone g = {.keys = {.oldest = NULL}};
    char key[16];

    (void)state;
    for (unsigned i = 0; i <= FS_GONE_MAX; i++) {
        (void)snprintf(key, sizeof(key), "%u", i);
        fs_gone_add(&g, key, i);
    }
    assert_int_equal(g.keys.table.count, FS_GONE_MAX);
    assert_null(fs_gone_find(&g, "0"));
    assert_non_null(fs_gone_find(&g, "1"));
    fs_gone_fini(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pending_delete_hides_always),
        cmocka_unit_test(a_list_that_began_before_the_confirmation_is_not_believed),
        cmocka_unit_test(what_is_made_anew_is_not_hidden),
        cmocka_unit_test(a_late_delete_makes_directories_above_it_pending_again),
        cmocka_unit_test(a_directory_made_anew_is_in_doubt),
        cmocka_unit_test(the_oldest_are_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Names: what can be a key, what a path can express, where a name stands in a listing. */
#include "fs/names.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "unit/unit.h"

static void names_that_oss_cannot_hold_are_told_apart(void **state)
{
    char long_name[FS_NAME_MAX + 2], long_dir[1024];
    struct ou_error err;

    (void)state;
    memset(long_name, 'n', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    assert_int_equal(fs_name_check("", long_name, false, &err), -ENAMETOOLONG);
    long_name[FS_NAME_MAX] = '\0';
    assert_int_equal(fs_name_check("", long_name, false, &err), 0);

    assert_int_equal(fs_name_check("a/", "\xff", false, &err), -EILSEQ);
    assert_int_equal(fs_name_check("a/", "gr\xc3\xbcn", false, &err), 0);
    assert_int_equal(fs_name_check("", "\\x", false, &err), -EILSEQ);
    assert_int_equal(fs_name_check("a/", "\\x", false, &err), 0);
    assert_int_equal(fs_name_check("", "..", false, &err), -EINVAL);

    memset(long_dir, 'd', sizeof(long_dir));
    long_dir[1020] = '/';
    long_dir[1021] = '\0'; /* 1021 bytes: two are left, or one and the directory's slash */
    assert_int_equal(fs_name_check(long_dir, "ab", false, &err), 0);
    assert_int_equal(fs_name_check(long_dir, "ab", true, &err), -ENAMETOOLONG);
    assert_int_equal(fs_name_check(long_dir, "abc", false, &err), -ENAMETOOLONG);
}

static void keys_that_no_path_expresses_are_hidden(void **state)
{
    (void)state;
    assert_true(fs_key_shown("a"));
    assert_true(fs_key_shown("a/b/"));
    assert_true(fs_key_shown("a/.../b"));
    assert_false(fs_key_shown(""));
    assert_false(fs_key_shown("/"));
    assert_false(fs_key_shown("a//b"));
    assert_false(fs_key_shown("a/./b"));
    assert_false(fs_key_shown("../b"));
    assert_false(fs_key_shown("a/.."));
}

static void name_of(char name[64], unsigned *seed)
{
    static const char *const pieces[] = {
        "a", "0", ".", "~", "!", "z", "-", "\xc3\xbc", "\xe4\xb8\xad", "9"};
    size_t count = 1 + (size_t)rand_r(seed) % 6, len = 0;

    while (count--)
        len += (size_t)snprintf(name + len, 64 - len, "%s", pieces[(size_t)rand_r(seed) % 10]);
}

static void what_is_before_a_name_sorts_before_it(void **state)
{
    unsigned seed = 1;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        char name[64], other[64], before[FS_NAME_BEFORE_SIZE];

        name_of(name, &seed);
        name_of(other, &seed);
        fs_name_before(name, before);
        assert_true(strcmp(before, name) < 0);
        assert_true(ou_utf8_valid(before, strlen(before)));
        assert_null(strchr(before, '/'));
    }
}

static void few_names_lie_between_a_name_and_what_is_before_it(void **state)
{
    char before[FS_NAME_BEFORE_SIZE];

    (void)state;
    fs_name_before("file0007", before);
    assert_true(strcmp("file0006", before) < 0);
    assert_true(strcmp("file0006.txt", before) < 0);
    fs_name_before("file0000", before); /* 0 stands behind the slash of a directory "file000/" */
    assert_true(strcmp(before, "file000/") < 0);
    assert_true(strcmp("file000", before) < 0);
}

static void directories_join_with_a_slash(void **state)
{
    ou_autofree char *file = fs_key_join("a/", "b", false), *dir = fs_key_join("", "b", true);

    (void)state;
    assert_string_equal(file, "a/b");
    assert_string_equal(dir, "b/");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_oss_cannot_hold_are_told_apart),
        cmocka_unit_test(keys_that_no_path_expresses_are_hidden),
        cmocka_unit_test(what_is_before_a_name_sorts_before_it),
        cmocka_unit_test(few_names_lie_between_a_name_and_what_is_before_it),
        cmocka_unit_test(directories_join_with_a_slash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Which command lines remove all that they find, and ask nobody. */
#include "fs/remover.h"

#include "unit/unit.h"

/* Words, as a command line has them, from a string in which a blank ends each. */
static bool removes(const char *words, bool root)
{
    char line[256];
    size_t len = strlen(words);

    assert_true(len < sizeof(line));
    memcpy(line, words, len);
    for (size_t i = 0; i < len; i++)
        if (line[i] == ' ')
            line[i] = '\0';
    return fs_command_removes(line, len, root);
}

static void rm_of_trees_removes(void **state)
{
    (void)state;
    assert_true(removes("rm -rf dir ", false));
    assert_true(removes("rm -fR dir ", false));
    assert_true(removes("rm -r -f dir ", false));
    assert_true(removes("rm dir -r other -f ", false));
    assert_true(removes("/usr/bin/rm --recursive --force -v dir ", false));
    assert_true(removes("rm -rf --one-file-system --preserve-root=all -- dir ", false));
    assert_true(removes("rm -rf - dir ", false));
    assert_true(removes("rm -rf -- -i ", false));
}

static void without_force_only_root_is_not_asked(void **state)
{
    (void)state;
    assert_true(removes("rm -r dir ", true));
    assert_true(removes("rm -rdv dir ", true));
    assert_false(removes("rm -r dir ", false));
    assert_false(removes("rm -r -- -f ", false));
}

static void what_may_ask_does_not(void **state)
{
    (void)state;
    assert_false(removes("rm -ri dir ", true));
    assert_false(removes("rm -rf dir -i ", true));
    assert_false(removes("rm -rI dir ", true));
    assert_false(removes("rm -r --interactive dir ", true));
    assert_false(removes("rm -r --interactive=once dir ", true));
    assert_false(removes("rm -r --int=never dir ", true));
}

static void what_is_not_known_does_not(void **state)
{
    (void)state;
    assert_false(removes("rm -rx dir ", true));
    assert_false(removes("rm -rf --recursively dir ", true));
    assert_false(removes("rm --rec dir ", true));
}

static void what_takes_no_tree_does_not(void **state)
{
    (void)state;
    assert_false(removes("rm -f a b c ", true));
    assert_false(removes("rm ", true));
    assert_false(removes("rm -- -r ", true));
}

static void other_programs_do_not(void **state)
{
    (void)state;
    assert_false(removes("find dir -type f -delete ", true));
    assert_false(removes("/bin/sh /usr/local/bin/rm -rf dir ", true)); /* a script called rm */
    assert_false(removes("busybox rm -rf dir ", true));
    assert_false(removes("rmdir -rf dir ", true));
    assert_false(removes("rm/ -rf dir ", true));
    assert_false(removes(" rm -rf dir ", true));
}

static void a_line_without_an_end_is_not_read(void **state)
{
    (void)state;
    assert_false(removes("", true));
    assert_false(removes("rm -rf", true));
    assert_false(fs_command_removes("rm\0-rf\0-", 8, true));
    assert_true(fs_command_removes("rm\0-rf", 7, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rm_of_trees_removes),
        cmocka_unit_test(without_force_only_root_is_not_asked),
        cmocka_unit_test(what_may_ask_does_not),
        cmocka_unit_test(what_is_not_known_does_not),
        cmocka_unit_test(what_takes_no_tree_does_not),
        cmocka_unit_test(other_programs_do_not),
        cmocka_unit_test(a_line_without_an_end_is_not_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Names that are about to be renamed, and names that are not. */
#include "spool/temporary.h"
#include "unit/unit.h"

static void names_of_programs_that_rename(void **state)
{
    static const char *const names[] = {
        ".big.iso.Ab3xY9", "d/.f.000000", "a/b/.x.y.z.QwErTy", "download.part",  "x.tmp",
        "d/notes.txt~",    ".#lock",      "d/.#notes",         ".notes.txt.swp", "x.swp"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (!spool_name_is_temporary(names[i]))
            fail_msg("%s is temporary", names[i]);
    }
}

static void names_that_stay(void **state)
{
    static const char *const names[] = {
        "big.iso",    ".profile", ".bashrc.d",  ".a.12345",   ".a.1234567", "..123456",
        ".a.12-456",  "x.Ab3xY9", "tmp",        ".tmp",       "part",       ".part",
        "a.tmp/file", "~",        "~user",      "d.swp/.swp", "x.partial",  "a/#x#",
        "",           "d/",       ".d.Ab3xY9/f"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (spool_name_is_temporary(names[i]))
            fail_msg("%s is not temporary", names[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_programs_that_rename),
        cmocka_unit_test(names_that_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

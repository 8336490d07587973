#include "base/cleanup.h"
#include "base/ini.h"

#include "unit/unit.h"

static int gather(const char *section, const char *name, const char *value, void *ctx)
{
    ou_buf_addf(ctx, "[%s]%s=%s|", section, name, value);
    return strcmp(name, "stop") == 0 ? -ECANCELED : 0;
}

static void reads_as(const char *text, const char *expected)
{
    ou_auto(ou_buf_fini) struct ou_buf seen = {0};
    struct ou_error err = OU_ERROR_INIT;

    if (ou_ini_read("f.conf", text, gather, &seen, &err) < 0)
        fail_msg("%s", err.message);
    assert_string_equal(ou_buf_str(&seen), expected);
}

static void sections_names_and_values_are_read_without_the_blanks_around(void **state)
{
    (void)state;
    reads_as("", "");
    reads_as("a=1", "[]a=1|");
    reads_as("a=1\n[default]\n b = two words \n\n[/mnt/a b]\nc:3\n",
             "[]a=1|[default]b=two words|[/mnt/a b]c=3|");
    reads_as("a =\nb=", "[]a=|[]b=|");
    reads_as("a=b=c:d\n", "[]a=b=c:d|");
    reads_as("[ s ]\r\na=1\r\n", "[s]a=1|");
    reads_as("\xef\xbb\xbf[s]\na=1\n", "[s]a=1|");
}

static void comments_are_skipped_and_secrets_are_not(void **state)
{
    (void)state;
    reads_as("; x\n# y\n  ; z\na=1 ; one\n[s] ; t\nb=2\t;", "[]a=1|[s]b=2|");
    reads_as("secret=a;b#c #d\nurl=https://h/p?q;r\n", "[]secret=a;b#c #d|[]url=https://h/p?q;r|");
    reads_as("a=;c\n", "[]a=;c|"); /* no blank before it */
    reads_as("a= ;c\n", "[]a=|");
}

static void an_indented_line_continues_nothing(void **state)
{
    (void)state;
    reads_as("[Credentials]\n  a=1\n  b=2\n\tc=3\n",
             "[Credentials]a=1|[Credentials]b=2|[Credentials]c=3|");
}

static void values_names_and_sections_may_be_long(void **state)
{
    (void)state;
    for (int len = 40; len < 5000; len = len * 3 / 2) {
        ou_auto(ou_buf_fini) struct ou_buf text = {0}, expected = {0};

        ou_buf_addf(&text, "[%0*d]\n%0*d = %0*d\nnext=1\n", len, 7, len, 8, len, 9);
        ou_buf_addf(&expected, "[%0*d]%0*d=%0*d|[%0*d]next=1|", len, 7, len, 8, len, 9, len, 7);
        reads_as(text.data, expected.data);
    }
}

static void the_first_bad_line_is_named(void **state)
{
    static const struct {
        const char *text, *where;
    } cases[] = {
        {"novalue", "line 1:"},      {"a=1\n\n; c\nnovalue\n", "line 4:"},
        {"a=1\n=2\n", "line 2:"},    {"[s\na=1\n", "line 1:"},
        {"a=1\n[s] x\n", "line 2:"}, {"a=1\n  continued\nb=2\n", "line 2:"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ou_auto(ou_buf_fini) struct ou_buf seen = {0};
        struct ou_error err = OU_ERROR_INIT;

        assert_int_equal(ou_ini_read("f.conf", cases[i].text, gather, &seen, &err), -EBADMSG);
        assert_memory_equal(err.message, "f.conf: ", 8);
        assert_non_null(strstr(err.message, cases[i].where));
    }
}

static void a_bad_line_is_not_repeated_for_it_may_be_a_secret(void **state)
{
    struct ou_buf seen = {0};
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    assert_int_equal(ou_ini_read("f.conf", "LTAIsecret\n", gather, &seen, &err), -EBADMSG);
    assert_null(strstr(err.message, "LTAI"));
}

static void the_callback_can_stop_it(void **state)
{
    ou_auto(ou_buf_fini) struct ou_buf seen = {0};
    struct ou_error err = OU_ERROR_INIT;

    (void)state;
    assert_int_equal(ou_ini_read("f.conf", "a=1\nstop=2\nb=3\n", gather, &seen, &err), -ECANCELED);
    assert_string_equal(ou_buf_str(&seen), "[]a=1|[]stop=2|");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sections_names_and_values_are_read_without_the_blanks_around),
        cmocka_unit_test(comments_are_skipped_and_secrets_are_not),
        cmocka_unit_test(an_indented_line_continues_nothing),
        cmocka_unit_test(values_names_and_sections_may_be_long),
        cmocka_unit_test(the_first_bad_line_is_named),
        cmocka_unit_test(a_bad_line_is_not_repeated_for_it_may_be_a_secret),
        cmocka_unit_test(the_callback_can_stop_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Attributes survive the trip through object metadata, in ossfs's names and formats. */
#include "spool/attr.h"

#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cmocka.h>

static const struct spool_attr_defaults defaults = {.uid = 7, .gid = 8, .umask = 022};

static const char *meta_of(const struct spool_headers *h, const char *name)
{
    for (size_t i = 0; i < h->headers.meta_count; i++)
        if (strcmp(h->headers.meta[i].name, name) == 0)
            return h->headers.meta[i].value;
    return NULL;
}

/* Reads back what was written as the headers of an object. */
static void read_back(const struct spool_headers *h, const char *key, struct spool_attr *out)
{
    struct oss_object o = {.meta = h->meta, .meta_count = h->headers.meta_count};
    struct ou_error err;

    assert_int_equal(spool_attr_from_object(&o, key, &defaults, out, &err), 0);
}

static void headers_have_the_names_and_formats_of_ossfs(void **state)
{
    struct spool_attr a = {.mode = S_IFREG | 0644,
                           .uid = 1000,
                           .gid = 100,
                           .mtime = {.tv_sec = 1700000000, .tv_nsec = 5},
                           .atime = {.tv_sec = 1},
                           .has_atime = true};
    struct spool_headers h;
    struct ou_error err;

    (void)state;
    assert_int_equal(spool_headers_init(&h, &a, &err), 0);
    assert_string_equal(meta_of(&h, "mode"), "33188");
    assert_string_equal(meta_of(&h, "uid"), "1000");
    assert_string_equal(meta_of(&h, "gid"), "100");
    assert_string_equal(meta_of(&h, "mtime"), "1700000000.000000005");
    assert_string_equal(meta_of(&h, "atime"), "1");
    assert_null(meta_of(&h, "ctime"));
    spool_headers_fini(&h);

    a.mode = S_IFDIR | 0755;
    assert_int_equal(spool_headers_init(&h, &a, &err), 0);
    assert_string_equal(meta_of(&h, "mode"), "16877");
    assert_string_equal(h.headers.content_type, "application/x-directory");
    spool_headers_fini(&h);
}

static void times_and_modes_come_back(void **state)
{
    static const struct timespec times[] = {
        {0, 0}, {0, 1}, {1700000000, 999999999}, {-1, 0}, {-1, 500000000}, {-2, 1}, {-86400, 7}};

    (void)state;
    for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++)
        for (mode_t mode = 0; mode <= 07777; mode += 0111) {
            struct spool_attr a = {.mode = S_IFREG | mode, .mtime = times[i]}, b;
            struct spool_headers h;
            struct ou_error err;

            assert_int_equal(spool_headers_init(&h, &a, &err), 0);
            read_back(&h, "k", &b);
            assert_int_equal(b.mode, a.mode);
            assert_int_equal(b.mtime.tv_sec, a.mtime.tv_sec);
            assert_int_equal(b.mtime.tv_nsec, a.mtime.tv_nsec);
            spool_attr_fini(&b);
            spool_headers_fini(&h);
        }
}

/* It is kept for each of very many files, and is what an object gets anyhow. */
static void the_default_type_is_not_remembered(void **state)
{
    const struct oss_object o = {.content_type = "application/octet-stream"};
    struct spool_headers h;
    struct spool_attr a;
    struct ou_error err;

    (void)state;
    assert_int_equal(spool_attr_from_object(&o, "k", &defaults, &a, &err), 0);
    assert_null(a.content_type);
    assert_int_equal(spool_headers_init(&h, &a, &err), 0);
    assert_null(h.headers.content_type); /* oss/types.h: application/octet-stream */
    spool_headers_fini(&h);
    spool_attr_fini(&a);
}

static void missing_and_malformed_metadata_fall_back(void **state)
{
    struct oss_meta meta[] = {
        {"mode", "banana"}, {"uid", "-1"}, {"mtime", "12x"}, {"color", "red"}};
    struct oss_object o = {.meta = meta,
                           .meta_count = 4,
                           .last_modified = {.tv_sec = 99},
                           .content_type = "text/plain"};
    struct spool_attr a;
    struct ou_error err;

    (void)state;
    assert_int_equal(spool_attr_from_object(&o, "k", &defaults, &a, &err), 0);
    assert_int_equal(a.mode, S_IFREG | 0640);
    assert_int_equal(a.uid, 7);
    assert_int_equal(a.gid, 8);
    assert_int_equal(a.mtime.tv_sec, 99);
    assert_int_equal(a.other_count, 1);
    assert_string_equal(a.other[0].name, "color");
    assert_string_equal(a.content_type, "text/plain");
    spool_attr_fini(&a);

    assert_int_equal(spool_attr_from_object(&o, "d/", &defaults, &a, &err), 0);
    assert_int_equal(a.mode, S_IFDIR | 0750);
    spool_attr_fini(&a);
}

static void short_fractions_are_read_as_fractions(void **state)
{
    struct oss_meta meta[] = {{"mtime", "1.5"}};
    struct oss_object o = {.meta = meta, .meta_count = 1};
    struct spool_attr a;
    struct ou_error err;

    (void)state;
    assert_int_equal(spool_attr_from_object(&o, "k", &defaults, &a, &err), 0);
    assert_int_equal(a.mtime.tv_nsec, 500000000);
    spool_attr_fini(&a);
}

static void unknown_headers_are_carried_through_a_change(void **state)
{
    struct oss_meta meta[] = {{"color", "red"}, {"mode", "33188"}};
    char cache[] = "no-cache";
    struct oss_object o = {.meta = meta, .meta_count = 2, .cache_control = cache};
    struct spool_attr a, b;
    struct spool_headers h;
    struct ou_error err;

    (void)state;
    assert_int_equal(spool_attr_from_object(&o, "k", &defaults, &a, &err), 0);
    assert_int_equal(spool_attr_copy(&b, &a, &err), 0);
    spool_attr_fini(&a);
    assert_int_equal(spool_headers_init(&h, &b, &err), 0);
    assert_string_equal(meta_of(&h, "color"), "red");
    assert_string_equal(h.headers.cache_control, "no-cache");
    spool_headers_fini(&h);
    spool_attr_fini(&b);
}

static void xattrs_set_get_list_remove(void **state)
{
    struct spool_attr a = {0};
    char value[300], list[64];
    struct ou_error err;

    (void)state;
    assert_int_equal(spool_xattr_get(&a, "user.a", value, sizeof(value), &err), -ENODATA);
    assert_int_equal(spool_xattr_set(&a, "user.a", "\0\xff x", 4, 0, &err), 0);
    assert_int_equal(spool_xattr_set(&a, "user.b", "", 0, XATTR_CREATE, &err), 0);
    assert_int_equal(spool_xattr_set(&a, "user.b", "2", 1, XATTR_CREATE, &err), -EEXIST);
    assert_int_equal(spool_xattr_set(&a, "user.c", "3", 1, XATTR_REPLACE, &err), -ENODATA);
    assert_int_equal(spool_xattr_get(&a, "user.a", NULL, 0, &err), 4);
    assert_int_equal(spool_xattr_get(&a, "user.a", value, 3, &err), -ERANGE);
    assert_int_equal(spool_xattr_get(&a, "user.a", value, sizeof(value), &err), 4);
    assert_memory_equal(value, "\0\xff x", 4);
    assert_int_equal(spool_xattr_get(&a, "user.b", value, sizeof(value), &err), 0);
    assert_int_equal(spool_xattr_list(&a, list, sizeof(list), &err), 14);
    assert_memory_equal(list, "user.a\0user.b", 14);
    assert_int_equal(spool_xattr_remove(&a, "user.a", &err), 0);
    assert_int_equal(spool_xattr_remove(&a, "user.a", &err), -ENODATA);
    assert_int_equal(spool_xattr_remove(&a, "user.b", &err), 0);
    assert_null(a.xattr);
    spool_attr_fini(&a);
}

static void xattrs_beyond_the_limit_of_oss_leave_all_as_it_was(void **state)
{
    struct spool_attr a = {0};
    ou_autofree char *big = calloc(1, 8192);
    char value[8];
    struct ou_error err;

    (void)state;
    assert_int_equal(spool_xattr_set(&a, "user.a", "1", 1, 0, &err), 0);
    assert_int_equal(spool_xattr_set(&a, "user.b", big, 8192, 0, &err), -ENOSPC);
    assert_int_equal(spool_xattr_get(&a, "user.a", value, sizeof(value), &err), 1);
    spool_attr_fini(&a);
}

static void the_format_of_ossfs_xattrs_is_read(void **state)
{
    char text[] = "%7B%22user.a%22%3A%22YQ%3D%3D%22%7D"; /* {"user.a":"YQ=="} */
    struct spool_attr a = {.xattr = text};
    char value[8];
    struct ou_error err;

    (void)state;
    assert_int_equal(spool_xattr_get(&a, "user.a", value, sizeof(value), &err), 1);
    assert_memory_equal(value, "a", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_have_the_names_and_formats_of_ossfs),
        cmocka_unit_test(times_and_modes_come_back),
        cmocka_unit_test(the_default_type_is_not_remembered),
        cmocka_unit_test(missing_and_malformed_metadata_fall_back),
        cmocka_unit_test(short_fractions_are_read_as_fractions),
        cmocka_unit_test(unknown_headers_are_carried_through_a_change),
        cmocka_unit_test(xattrs_set_get_list_remove),
        cmocka_unit_test(xattrs_beyond_the_limit_of_oss_leave_all_as_it_was),
        cmocka_unit_test(the_format_of_ossfs_xattrs_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

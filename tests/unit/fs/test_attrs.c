/* The attribute cache: which version a record holds for, the bound, and records on disk. */
#include "fs/attrs.h"
#include "fs/attrs_record.h"

#include "base/cleanup.h"
#include "unit/unit.h"

static struct fs_version version(const char *etag, uint64_t size, int64_t modified_s)
{
    struct fs_version v = {.size = size, .modified_s = modified_s};

    (void)snprintf(v.etag, sizeof(v.etag), "%s", etag);
    return v;
}

static void another_etag_size_or_time_is_another_version(void **state)
{
    struct fs_version v = version("E", 3, 100), w;

    (void)state;
    w = v;
    assert_true(fs_version_same(&v, &w));
    w = version("F", 3, 100);
    assert_false(fs_version_same(&v, &w));
    w = version("E", 4, 100);
    assert_false(fs_version_same(&v, &w));
    w = version("E", 3, 101);
    assert_false(fs_version_same(&v, &w));
}

/* OSS does not tell Last-Modified when it takes a write. Somebody else's copy would be later. */
static void what_we_wrote_is_known_again_by_a_time_that_is_not_later(void **state)
{
    struct fs_version ours = version("E", 3, FS_MODIFIED_UNKNOWN), listed;

    (void)state;
    ours.written_s = 100;
    listed = version("E", 3, 100 + FS_CLOCK_SLACK_S);
    assert_true(fs_version_same(&ours, &listed));
    listed = version("E", 3, 101 + FS_CLOCK_SLACK_S);
    assert_false(fs_version_same(&ours, &listed));
    listed = version("E", 3, 99);
    fs_version_adopt(&ours, &listed);
    listed.modified_s = 100;
    assert_false(fs_version_same(&ours, &listed)); /* from now on exactly that one */
}

/* Ours may be minutes wrong without OSS refusing our requests. */
static void the_time_of_a_write_is_told_by_the_clock_of_oss(void **state)
{
    const struct oss_written told = {.etag = "E", .date_s = 1000}, untold = {.etag = "E"};
    struct fs_version ours = fs_version_written(&told, 3, 500), listed = version("E", 3, 1000);

    (void)state;
    assert_true(fs_version_same(&ours, &listed));
    ours = fs_version_written(&untold, 3, 500);
    assert_false(fs_version_same(&ours, &listed));
    listed = version("E", 3, 500);
    assert_true(fs_version_same(&ours, &listed));
}

static void put(struct fs_attrs *a, const char *key, const struct fs_version *v, mode_t mode)
{
    struct spool_attr attr = {.mode = mode};
    struct ou_error err;

    assert_int_equal(fs_attrs_put(a, key, v, v, &attr, &err), 0);
}

/* A change within the same second may have been lost with the mount that made it. */
static void after_a_kill_only_old_records_are_trusted(void **state)
{
    struct fs_version old = version("E", 3, 90), young = version("E", 3, 98),
                      newest = version("E", 3, 100), unseen = version("E", 3, FS_MODIFIED_UNKNOWN);
    struct fs_attrs a = {.max = 10};
    struct ou_error err;

    (void)state;
    put(&a, "old", &old, 0100644);
    put(&a, "young", &young, 0100644);
    put(&a, "unseen", &unseen, 0100644);
    put(&a, "newest", &newest, 0100644);
    assert_int_equal(fs_attrs_put_implied(&a, "dir/", &err), 0);
    fs_attrs_distrust(&a);
    assert_non_null(fs_attrs_get(&a, "old"));
    assert_non_null(fs_attrs_get(&a, "dir/"));
    assert_null(fs_attrs_get(&a, "young"));
    assert_null(fs_attrs_get(&a, "unseen"));
    assert_null(fs_attrs_get(&a, "newest"));
    fs_attrs_fini(&a);
}

static void a_record_holds_for_its_version_only(void **state)
{
    struct fs_attrs a = {.max = 10};
    struct fs_version v = version("E", 3, 100), w = version("F", 3, 100);

    (void)state;
    put(&a, "k", &v, S_IFREG | 0600);
    assert_non_null(fs_attrs_match(&a, "k", &v));
    assert_null(fs_attrs_match(&a, "k", &w));
    assert_null(fs_attrs_match(&a, "l", &v));
    fs_attrs_remove(&a, "k");
    assert_null(fs_attrs_get(&a, "k"));
    fs_attrs_fini(&a);
}

static void the_least_recently_used_goes_first(void **state)
{
    struct fs_attrs a = {.max = 3};
    struct fs_version v = version("E", 3, 100);

    (void)state;
    put(&a, "1", &v, S_IFREG);
    put(&a, "2", &v, S_IFREG);
    put(&a, "3", &v, S_IFREG);
    assert_non_null(fs_attrs_get(&a, "1"));
    put(&a, "4", &v, S_IFREG);
    assert_null(fs_attrs_get(&a, "2"));
    assert_non_null(fs_attrs_get(&a, "1"));
    assert_int_equal(a.table.count, 3);
    fs_attrs_fini(&a);
    assert_null(a.unsaved);
}

static void a_target_is_kept_while_the_version_is(void **state)
{
    struct fs_attrs a = {.max = 3};
    struct fs_version v = version("E", 3, 100), w = version("F", 3, 100);

    (void)state;
    put(&a, "l", &v, S_IFLNK);
    fs_attrs_put_target(&a, "l", &v, "target");
    put(&a, "l", &v, S_IFLNK);
    assert_string_equal(fs_attrs_get(&a, "l")->target, "target");
    put(&a, "l", &w, S_IFLNK);
    assert_null(fs_attrs_get(&a, "l")->target);
    fs_attrs_fini(&a);
}

/* What is written and read again. */
static struct fs_record *again(struct fs_attrs *to, const struct fs_record *r)
{
    ou_auto(ou_buf_fini) struct ou_buf text = {.data = NULL};
    ou_auto(ou_json_free_at) struct ou_json *line = NULL;
    struct ou_error err;

    fs_record_write(&text, r);
    assert_int_equal(ou_json_parse(ou_buf_str(&text), text.len, &line, &err), 0);
    assert_int_equal(fs_record_read(to, line, &err), 0);
    return fs_attrs_get(to, r->key);
}

static void a_record_comes_back_from_disk_as_it_was(void **state)
{
    const char key[] = "d\xc3\xbc/\x01\xff\"\\k";
    struct oss_meta other[] = {{"a", "b"}, {"c\"", "\xfe"}};
    struct spool_attr attr = {.mode = S_IFLNK | 0777,
                              .uid = 4000000000u,
                              .gid = 5,
                              .mtime = {-5000000000, 999999999}, /* long before 1970 */
                              .atime = {2, 3},
                              .has_atime = true,
                              .xattr = (char *)"%7B%7D",
                              .content_type = (char *)"x/y",
                              .other = other,
                              .other_count = 2};
    struct fs_version seen = version("E", UINT64_C(1) << 50, 77);
    struct fs_attrs from = {.max = 9}, to = {.max = 9};
    struct fs_record *r;
    struct ou_error err;

    (void)state;
    seen.crc64 = UINT64_MAX;
    seen.has_crc64 = true;
    assert_int_equal(fs_attrs_put(&from, key, &seen, &seen, &attr, &err), 0);
    fs_attrs_put_target(&from, key, &seen, "../\xff");
    r = again(&to, fs_attrs_get(&from, key));
    assert_non_null(r);
    assert_true(fs_version_same(&r->seen, &seen));
    assert_true(r->object.crc64 == UINT64_MAX && r->object.has_crc64);
    assert_string_equal(r->target, "../\xff");
    assert_int_equal(r->attr.mode, attr.mode);
    assert_int_equal(r->attr.uid, attr.uid);
    assert_memory_equal(&r->attr.mtime, &attr.mtime, sizeof(attr.mtime));
    assert_true(r->attr.has_atime && !r->attr.has_ctime);
    assert_string_equal(r->attr.xattr, attr.xattr);
    assert_int_equal(r->attr.other_count, 2);
    assert_string_equal(r->attr.other[1].name, "c\"");
    fs_attrs_fini(&from);
    fs_attrs_fini(&to);
}

static void a_note_that_a_directory_is_implied_comes_back(void **state)
{
    struct fs_attrs from = {.max = 9}, to = {.max = 9};
    struct ou_error err;

    (void)state;
    assert_int_equal(fs_attrs_put_implied(&from, "d/", &err), 0);
    assert_true(again(&to, fs_attrs_get(&from, "d/"))->implied);
    fs_attrs_fini(&from);
    fs_attrs_fini(&to);
}

static void lines_that_are_no_records_are_skipped(void **state)
{
    static const char *const lines[] = {
        "{}",
        "{\"k\":1}",
        "{\"k\":\"a\"}",
        "{\"k\":\"a\",\"e\":\"E\",\"s\":1}",
        "{\"k\":\"a\",\"e\":\"E\",\"s\":1,\"m\":1,\"mode\":1,\"uid\":1,\"gid\":1,\"mt\":[1]}",
        "{\"k\":\"a\",\"e\":\"E\",\"s\":1,\"m\":1,\"mode\":1,\"uid\":1,\"gid\":1,\"mt\":[1,\"x\"]}",
        "{\"k\":\"a\",\"implied\":false}",
    };
    struct fs_attrs a = {.max = 9};

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        ou_auto(ou_json_free_at) struct ou_json *line = NULL;
        struct ou_error err;

        assert_int_equal(ou_json_parse(lines[i], strlen(lines[i]), &line, &err), 0);
        assert_int_equal(fs_record_read(&a, line, &err), 0);
        assert_int_equal(a.table.count, 0);
    }
    fs_attrs_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_etag_size_or_time_is_another_version),
        cmocka_unit_test(what_we_wrote_is_known_again_by_a_time_that_is_not_later),
        cmocka_unit_test(the_time_of_a_write_is_told_by_the_clock_of_oss),
        cmocka_unit_test(after_a_kill_only_old_records_are_trusted),
        cmocka_unit_test(a_record_holds_for_its_version_only),
        cmocka_unit_test(the_least_recently_used_goes_first),
        cmocka_unit_test(a_target_is_kept_while_the_version_is),
        cmocka_unit_test(a_record_comes_back_from_disk_as_it_was),
        cmocka_unit_test(a_note_that_a_directory_is_implied_comes_back),
        cmocka_unit_test(lines_that_are_no_records_are_skipped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

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

static void put_saved(struct fs_attrs *a, const char *key)
{
    struct fs_version v = version("E", 3, 100);

    put(a, key, &v, S_IFREG);
    fs_attrs_saved(a, fs_attrs_get(a, key));
}

/* What is on disk is not older than what was in memory. */
static void an_unsaved_record_takes_the_one_on_disk_with_it(void **state)
{
    struct fs_attrs a = {.saved_max = 2, .unsaved_max = 2};
    struct fs_version v = version("E", 3, 100);

    (void)state;
    fs_attrs_index_set(&a.disk, fs_hash("k", 1, 0), 7);
    fs_attrs_index_set(&a.disk, fs_hash("saved", 5, 0), 8);
    assert_true(fs_attrs_on_disk(&a, "k"));
    put(&a, "k", &v, S_IFREG);
    put_saved(&a, "saved");
    assert_false(fs_attrs_on_disk(&a, "k"));
    assert_true(fs_attrs_known(&a, "k"));
    for (char key[] = "0"; key[0] <= '9'; key[0]++)
        put_saved(&a, key);
    for (char key[] = "A"; key[0] <= 'Z'; key[0]++)
        put(&a, key, &v, S_IFREG);
    assert_false(fs_attrs_known(&a, "k"));
    assert_true(fs_attrs_on_disk(&a, "saved"));
    fs_attrs_remove(&a, "saved");
    assert_false(fs_attrs_known(&a, "saved"));
    fs_attrs_index_set(&a.disk, fs_hash("k", 1, 0), FS_ATTRS_WRITING);
    assert_false(fs_attrs_known(&a, "k"));
    fs_attrs_fini(&a);
}

static void a_record_holds_for_its_version_only(void **state)
{
    struct fs_attrs a = {.saved_max = 10, .unsaved_max = 10};
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
    struct fs_attrs a = {.saved_max = 3, .unsaved_max = 3};
    struct fs_version v = version("E", 3, 100);

    (void)state;
    put_saved(&a, "1");
    put_saved(&a, "2");
    put_saved(&a, "3");
    assert_non_null(fs_attrs_get(&a, "1"));
    put_saved(&a, "4");
    assert_null(fs_attrs_get(&a, "2"));
    assert_non_null(fs_attrs_get(&a, "1"));
    assert_int_equal(a.table.count, 3);
    put(&a, "5", &v, S_IFREG);
    assert_null(fs_attrs_get(&a, "3"));
    assert_int_equal(a.table.count, 3);
    fs_attrs_fini(&a);
    assert_null(a.unsaved.oldest);
}

static void unsaved_records_stay_until_they_alone_are_too_many(void **state)
{
    struct fs_attrs a = {.saved_max = 2, .unsaved_max = 2};
    struct fs_version v = version("E", 3, 100);

    (void)state;
    put(&a, "new", &v, S_IFREG);
    for (char key[] = "a"; key[0] <= 'z'; key[0]++)
        put_saved(&a, key);
    assert_non_null(fs_attrs_get(&a, "new"));
    assert_non_null(fs_attrs_get(&a, "z"));
    assert_int_equal(a.table.count, 3);
    put(&a, "newer", &v, S_IFREG);
    put(&a, "newest", &v, S_IFREG);
    assert_null(fs_attrs_get(&a, "new"));
    assert_non_null(fs_attrs_get(&a, "newer"));
    fs_attrs_fini(&a);
}

static void a_target_is_kept_while_the_version_is(void **state)
{
    struct fs_attrs a = {.saved_max = 3, .unsaved_max = 3};
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
    struct fs_attrs from = {.saved_max = 9, .unsaved_max = 9},
                    to = {.saved_max = 9, .unsaved_max = 9};
    struct fs_record *r;
    struct ou_error err;

    (void)state;
    seen.crc64 = UINT64_MAX;
    seen.has_crc64 = true;
    assert_int_equal(fs_attrs_put(&from, key, &seen, &seen, &attr, &err), 0);
    fs_attrs_put_target(&from, key, &seen, "../\xff");
    r = again(&to, fs_attrs_get(&from, key));
    assert_non_null(r);
    assert_true(fs_version_same(fs_record_seen(r), &seen));
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
    struct fs_attrs from = {.saved_max = 9, .unsaved_max = 9},
                    to = {.saved_max = 9, .unsaved_max = 9};
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
    struct fs_attrs a = {.saved_max = 9, .unsaved_max = 9};

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
        cmocka_unit_test(an_unsaved_record_takes_the_one_on_disk_with_it),
        cmocka_unit_test(a_record_holds_for_its_version_only),
        cmocka_unit_test(the_least_recently_used_goes_first),
        cmocka_unit_test(unsaved_records_stay_until_they_alone_are_too_many),
        cmocka_unit_test(a_target_is_kept_while_the_version_is),
        cmocka_unit_test(a_record_comes_back_from_disk_as_it_was),
        cmocka_unit_test(a_note_that_a_directory_is_implied_comes_back),
        cmocka_unit_test(lines_that_are_no_records_are_skipped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* attrs.cache: what is written is recalled, by the next mount too; after a kill; what is too much. */
#include "fs/attrs_file.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "fs/attrs_file_impl.h"
#include "unit/unit.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/ossup-attrs-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static int remove_file(void **state)
{
    ou_autofree char *path = NULL;

    (void)state;
    assert_true(asprintf(&path, "%s/" FS_ATTRS_FILE_NAME, folder) > 0);
    return unlink(path);
}

static struct fs *mounted(size_t memory, size_t disk)
{
    struct fs *fs = calloc(1, sizeof(*fs));
    struct ou_error err = OU_ERROR_INIT;

    assert_non_null(fs);
    ou_mutex_init(&fs->lock, OU_RANK_FS);
    fs->tree.attrs.saved_max = memory;
    fs->config.attrs_max = disk;
    assert_int_equal(fs_attrs_file_open(fs, folder, &fs->attrs_file, &err), 0);
    return fs;
}

static void unmounted(struct fs *fs)
{
    fs_attrs_file_close(fs->attrs_file);
    fs_attrs_fini(&fs->tree.attrs);
    ou_mutex_fini(&fs->lock);
    free(fs);
}

static struct fs_version version_of(unsigned number, int64_t modified_s)
{
    struct fs_version v = {.size = number, .modified_s = modified_s};

    (void)snprintf(v.etag, sizeof(v.etag), "E%u", number);
    return v;
}

static void put(struct fs *fs, const char *key, unsigned number, int64_t modified_s)
{
    struct fs_version v = version_of(number, modified_s);
    struct spool_attr attr = {.mode = S_IFREG | (number & 0777)};
    struct ou_error err;

    ou_lock_scope(&fs->lock);
    assert_int_equal(fs_attrs_put(&fs->tree.attrs, key, &v, &v, &attr, &err), 0);
}

/* The record of @key, wherever it is. */
static bool remembered(struct fs *fs, const char *key, unsigned number, int64_t modified_s)
{
    struct fs_version v = version_of(number, modified_s);
    const struct fs_record *record;

    fs_attrs_recall(fs, key);
    ou_lock_scope(&fs->lock);
    assert_false(fs_attrs_on_disk(&fs->tree.attrs, key));
    record = fs_attrs_match(&fs->tree.attrs, key, &v);
    if (record)
        assert_int_equal(record->attr.mode, S_IFREG | (number & 0777));
    return record != NULL;
}

static const char *key_of(unsigned number)
{
    static char key[64];
    /* plain, in another script, with what has to be escaped, no UTF-8 */
    static const char *const forms[] = {"plain/%u", "\xe5\x90\x8d/%u", "a\"b\\/%u", "\xff\xfe%u"};

    (void)snprintf(key, sizeof(key), forms[number % 4], number);
    return key;
}

#define COUNT 500u

static void many_more_are_remembered_than_there_is_room_for_in_memory(void **state)
{
    struct fs *fs;

    (void)state;
    for (unsigned mount = 0; mount < COUNT / 20; mount++) {
        fs = mounted(20, 10000);
        for (unsigned i = 0; i < 20; i++)
            put(fs, key_of(20 * mount + i), 20 * mount + i, 100);
        unmounted(fs); /* which saves them */
    }
    fs = mounted(20, 10000);
    assert_int_equal(fs->tree.attrs.table.count, 0);
    assert_int_equal(fs->tree.attrs.disk.count, COUNT);
    for (unsigned i = 0; i < COUNT; i++)
        assert_true(remembered(fs, key_of(i), i, 100));
    assert_int_equal(fs->tree.attrs.table.count, 20);
    assert_int_equal(fs->tree.attrs.unsaved.count, 0); /* they are on disk */
    assert_false(remembered(fs, "another", 1, 100));
    unmounted(fs);
}

static void a_page_of_a_listing_is_recalled_at_once(void **state)
{
    struct fs_entry entries[] = {{.position = (char *)""},
                                 {.position = (char *)"a"},
                                 {.position = (char *)"b"},
                                 {.position = (char *)"sub/"}};
    struct fs_segment segment = {.entries = entries, .count = 4};
    struct fs *fs = mounted(20, 100);

    (void)state;
    put(fs, "dir/", 1, 100);
    put(fs, "dir/a", 2, 100);
    put(fs, "dir/sub/", 3, 100);
    put(fs, "a", 4, 100);
    unmounted(fs);
    fs = mounted(20, 100);
    fs_attrs_recall_page(fs, "dir/", &segment);
    assert_int_equal(fs->tree.attrs.table.count, 3);
    assert_non_null(fs_attrs_get(&fs->tree.attrs, "dir/"));
    assert_non_null(fs_attrs_get(&fs->tree.attrs, "dir/a"));
    assert_non_null(fs_attrs_get(&fs->tree.attrs, "dir/sub/"));
    unmounted(fs);
}

static void the_last_line_of_a_key_holds(void **state)
{
    struct fs *fs = mounted(20, 100);

    (void)state;
    put(fs, "k", 1, 100);
    unmounted(fs);
    fs = mounted(20, 100);
    put(fs, "k", 2, 200);
    put(fs, "gone", 3, 200);
    unmounted(fs);
    fs = mounted(20, 100);
    fs_attrs_remove(&fs->tree.attrs, "gone");
    assert_true(remembered(fs, "k", 2, 200));
    assert_false(remembered(fs, "gone", 3, 200));
    unmounted(fs);
}

/* As a kill leaves it: without the line that a mount ends with. */
static void cut_end_off(void)
{
    int dirfd = open(folder, O_DIRECTORY | O_CLOEXEC);
    ou_auto(ou_buf_fini) struct ou_buf text = {.data = NULL};
    struct ou_error err;
    const char *end;

    assert_true(dirfd >= 0);
    assert_int_equal(ou_read_file(dirfd, FS_ATTRS_FILE_NAME, 1 << 20, &text, &err), 0);
    end = strstr(ou_buf_str(&text), "{\"mount\":\"ended\"");
    assert_non_null(end);
    assert_int_equal(
        ou_file_replace(dirfd, FS_ATTRS_FILE_NAME, text.data, (size_t)(end - text.data), &err), 0);
    (void)close(dirfd);
}

/* A change within the same second may have been lost with the mount that made it. */
static void after_a_kill_only_old_records_are_trusted_then_and_later(void **state)
{
    struct fs *fs = mounted(20, 100);
    struct ou_error err;

    (void)state;
    put(fs, "old", 1, 90);
    put(fs, "yo\"ung", 2, 98);
    put(fs, "unseen", 3, FS_MODIFIED_UNKNOWN);
    put(fs, "newest", 4, 100);
    assert_int_equal(fs_attrs_put_implied(&fs->tree.attrs, "dir/", &err), 0);
    unmounted(fs);
    cut_end_off();
    for (int mount = 0; mount < 3; mount++) {
        fs = mounted(20, 100);
        assert_true(remembered(fs, "old", 1, 90));
        assert_false(remembered(fs, "yo\"ung", 2, 98));
        assert_false(remembered(fs, "unseen", 3, FS_MODIFIED_UNKNOWN));
        assert_false(remembered(fs, "newest", 4, 100));
        assert_true(fs_attrs_known(&fs->tree.attrs, "dir/"));
        unmounted(fs);
    }
    fs = mounted(20, 100);
    put(fs, "newest", 5, 100); /* learnt anew */
    unmounted(fs);
    fs = mounted(20, 100);
    assert_true(remembered(fs, "newest", 5, 100));
    unmounted(fs);
}

static off_t file_size(void)
{
    ou_autofree char *path = NULL;
    struct stat st;

    assert_true(asprintf(&path, "%s/" FS_ATTRS_FILE_NAME, folder) > 0);
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static void wait_until_smaller_than(off_t size)
{
    while (file_size() >= size)
        (void)poll(NULL, 0, 10);
}

static void of_too_many_the_oldest_are_dropped(void **state)
{
    struct fs *fs = mounted(2000, 100);
    size_t left = 0;

    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        put(fs, key_of(i), i, 100);
    unmounted(fs);
    fs = mounted(2000, 100);
    wait_until_smaller_than(file_size());
    assert_true(remembered(fs, key_of(999), 999, 100));
    assert_false(remembered(fs, key_of(1), 1, 100));
    put(fs, "new", 1, 100);
    unmounted(fs);

    fs = mounted(2000, 100);
    assert_in_range(fs->tree.attrs.disk.count, 50, 100);
    for (unsigned i = 0; i < 1000; i++)
        left += remembered(fs, key_of(i), i, 100);
    assert_true(remembered(fs, "new", 1, 100));
    assert_int_equal(left + 1, fs->tree.attrs.disk.count);
    unmounted(fs);
}

static void superseded_lines_are_dropped(void **state)
{
    int dirfd = open(folder, O_DIRECTORY | O_CLOEXEC);
    struct ou_journal j;
    struct ou_error err;
    struct fs *fs;
    char line[128];

    (void)state;
    assert_int_equal(ou_journal_open(&j, dirfd, FS_ATTRS_FILE_NAME, true, NULL, NULL, &err), 0);
    for (unsigned i = 0; i < 12000; i++) {
        (void)snprintf(
            line, sizeof(line),
            "{\"k\":\"k%u\",\"e\":\"E%u\",\"s\":%u,\"m\":100,\"mode\":%u,\"uid\":0,\"gid\":0,"
            "\"mt\":[1,2]}",
            i % 7, i, i, S_IFREG | (i & 0777));
        assert_int_equal(ou_journal_append(&j, line, strlen(line), false, &err), 0);
    }
    assert_int_equal(ou_journal_append(&j, FS_ATTRS_ENDED, strlen(FS_ATTRS_ENDED), false, &err), 0);
    ou_journal_close(&j);
    (void)close(dirfd);

    fs = mounted(20, 100);
    wait_until_smaller_than(2000);
    for (unsigned mount = 0; mount < 2; mount++) {
        for (unsigned i = 12000 - 7; i < 12000; i++) {
            (void)snprintf(line, sizeof(line), "k%u", i % 7);
            assert_true(remembered(fs, line, i, 100));
        }
        unmounted(fs);
        fs = mounted(20, 100);
    }
    unmounted(fs);
}

static void a_line_that_was_damaged_is_not_recalled(void **state)
{
    ou_autofree char *path = NULL;
    struct fs *fs = mounted(20, 100);
    int fd;

    (void)state;
    put(fs, "k", 1, 100);
    unmounted(fs);
    fs = mounted(20, 100);
    assert_true(asprintf(&path, "%s/" FS_ATTRS_FILE_NAME, folder) > 0);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "#", 1, 60), 1);
    (void)close(fd);
    assert_true(fs_attrs_on_disk(&fs->tree.attrs, "k"));
    assert_false(remembered(fs, "k", 1, 100));
    assert_false(fs_attrs_known(&fs->tree.attrs, "k"));
    unmounted(fs);
}

static struct fs_attrs_line line_of(const char *text)
{
    return fs_attrs_line(text, strlen(text));
}

static void lines_are_told_apart_without_parsing_them(void **state)
{
    struct fs_attrs_line l = line_of("{\"k\":\"a/b\",\"e\":\"E\",\"s\":1,\"m\":-12,\"mode\":3}");

    (void)state;
    assert_int_equal(l.what, FS_LINE_RECORD);
    assert_int_equal(l.hash, fs_hash("a/b", 3, 0));
    assert_int_equal(l.key_len, 5);
    assert_int_equal(l.modified_s, -12);
    assert_false(l.implied);
    l = line_of("{\"k\":\"a\\\",\\\"m\\\":5\",\"e\":\"E\",\"s\":1,\"w\":7,\"mode\":3}");
    assert_int_equal(l.what, FS_LINE_RECORD);
    assert_int_equal(l.hash, fs_hash("a\",\"m\":5", 8, 0));
    assert_true(l.modified_s == FS_MODIFIED_UNKNOWN);
    assert_true(line_of("{\"k\":\"d/\",\"implied\":true}").implied);
    assert_int_equal(line_of("{\"k\":\"d/\",\"gone\":true}").what, FS_LINE_GONE);
    assert_int_equal(line_of("{\"mount\":\"ended\",\"sum\":\"\"}").what, FS_LINE_ENDED);
    assert_int_equal(line_of(FS_ATTRS_BEGUN).what, FS_LINE_OTHER);
    assert_int_equal(line_of("{\"k\":\"d").what, FS_LINE_OTHER);
    assert_int_equal(line_of("{\"k\":\"d\\").what, FS_LINE_OTHER);
    assert_int_equal(line_of("{\"k\":1}").what, FS_LINE_OTHER);
    assert_int_equal(line_of("").what, FS_LINE_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(many_more_are_remembered_than_there_is_room_for_in_memory,
                                  remove_file),
        cmocka_unit_test_teardown(a_page_of_a_listing_is_recalled_at_once, remove_file),
        cmocka_unit_test_teardown(the_last_line_of_a_key_holds, remove_file),
        cmocka_unit_test_teardown(after_a_kill_only_old_records_are_trusted_then_and_later,
                                  remove_file),
        cmocka_unit_test_teardown(of_too_many_the_oldest_are_dropped, remove_file),
        cmocka_unit_test_teardown(superseded_lines_are_dropped, remove_file),
        cmocka_unit_test_teardown(a_line_that_was_damaged_is_not_recalled, remove_file),
        cmocka_unit_test(lines_are_told_apart_without_parsing_them),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

/* The store: what survives a restart, what a torn journal does, what shares data files. */
#include "server/attrs.h"
#include "server/faults.h"
#include "server/segments.h"
#include "server/store.h"
#include "server/unit/vectors.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];
static struct srv_store *store;
static struct srv_error err;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int start(void **state)
{
    struct srv_bucket_info info = {.name = srv_xstrdup("bkt"),
                                   .acl = srv_xstrdup("private"),
                                   .storage_class = srv_xstrdup("Standard"),
                                   .created_ms = 1000};

    (void)state;
    (void)snprintf(root, sizeof(root), "/tmp/oss-server-unit-XXXXXX");
    if (mkdtemp(root) == NULL)
        return -1;
    store = srv_store_open(root);
    if (store == NULL || srv_store_bucket_put(store, &info, &err) < 0)
        return -1;
    srv_bucket_info_fini(&info);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    srv_store_free(store);
    srv_error_fini(&err);
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void reopen(void)
{
    srv_store_free(store);
    store = srv_store_open(root);
    assert_non_null(store);
}

/* The caller owns the reference. */
static struct srv_datafile *write_file(const char *body)
{
    struct srv_writer w;
    struct srv_datafile *file;

    srv_writer_init(&w, srv_store_datadir(store), true);
    assert_int_equal(srv_writer_add(&w, body, strlen(body), &err), 0);
    file = srv_writer_finish(&w);
    srv_writer_fini(&w);
    return file;
}

static void fill_attrs(struct srv_attrs *attrs)
{
    struct srv_pairs headers = {0};

    srv_pairs_add(&headers, "x-oss-meta-mode", "33188");
    assert_int_equal(srv_attrs_parse(&headers, "Standard", attrs, &err), 0);
    srv_pairs_fini(&headers);
}

static int put(const char *key, const char *body, bool forbid)
{
    srv_autoobject struct srv_object *o = srv_object_new(SRV_NORMAL);
    struct srv_datafile *file = write_file(body);

    fill_attrs(&o->attrs);
    srv_segments_add(&o->segments, file, 0, file->size);
    srv_set_checksums(o, file->crc, file->has_md5, file->md5);
    o->mtime_ms = 1709626150123;
    srv_datafile_unref(file);
    return srv_store_put(store, "bkt", key, o, forbid, &err);
}

static void assert_body(const char *key, const char *body)
{
    srv_autoobject struct srv_object *o = srv_store_get(store, "bkt", key, &err);
    char bytes[256] = "";
    uint64_t done = 0;

    assert_non_null(o);
    assert_int_equal(o->segments.size, strlen(body));
    while (done < o->segments.size) {
        int64_t n = srv_segments_read(&o->segments, done, bytes + done, sizeof(bytes) - done);

        assert_true(n > 0);
        done += (uint64_t)n;
    }
    assert_string_equal(bytes, body);
    assert_true(o->crc == srv_crc64(body, strlen(body), 0));
    assert_string_equal(srv_pairs_get(&o->attrs.headers, "x-oss-meta-mode"), "33188");
}

static void assert_missing(const char *key)
{
    assert_null(srv_store_get(store, "bkt", key, &err));
    assert_string_equal(err.code, "NoSuchKey");
    srv_error_fini(&err);
}

static int files_left;

static int count_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)ftw;
    files_left += type == FTW_F && strstr(path, "/data/") != NULL;
    return 0;
}

static int data_files(void)
{
    files_left = 0;
    (void)nftw(root, count_one, 16, FTW_PHYS);
    return files_left;
}

static void objects_survive_a_restart(void **state)
{
    (void)state;
    assert_int_equal(put("a/ b\n\xE4\xB8\xAD", "one", false), 0);
    assert_int_equal(put("gone", "two", false), 0);
    assert_int_equal(put("again", "three", false), 0);
    assert_int_equal(put("again", "four", false), 0);
    assert_int_equal(srv_store_delete(store, "bkt", "gone", &err), 0);
    reopen();
    assert_body("a/ b\n\xE4\xB8\xAD", "one");
    assert_body("again", "four");
    assert_missing("gone");
    assert_int_equal(data_files(), 2);
}

static void only_the_first_of_two_forbidding_writers_wins(void **state)
{
    (void)state;
    assert_int_equal(put("k", "first", true), 0);
    assert_int_equal(put("k", "second", true), -1);
    assert_string_equal(err.code, "FileAlreadyExists");
    srv_error_fini(&err);
    assert_body("k", "first");
}

static char *new_upload(const char *key)
{
    struct srv_attrs attrs = {0};
    char *id = NULL;

    fill_attrs(&attrs);
    assert_int_equal(srv_store_upload_new(store, "bkt", key, &attrs, false, &id, &err), 0);
    srv_attrs_fini(&attrs);
    return id;
}

static void put_part(const char *key, const char *id, unsigned number, const char *body,
                     struct srv_pairs *wanted)
{
    struct srv_datafile *file = write_file(body);
    struct srv_part part = {.number = number, .has_crc = true, .crc = file->crc};
    char text[16];

    srv_segments_add(&part.segments, file, 0, file->size);
    srv_etag_simple(file->md5, part.etag);
    (void)snprintf(text, sizeof(text), "%u", number);
    srv_pairs_add(wanted, text, part.etag);
    assert_int_equal(srv_store_part_put(store, "bkt", key, id, &part, &err), 0);
    srv_part_fini(&part);
    srv_datafile_unref(file);
}

static void an_upload_goes_on_after_a_restart_and_completes_once(void **state)
{
    srv_autopairs struct srv_pairs wanted = {0};
    srv_autopairs struct srv_pairs dropped = {0};
    srv_autofree char *id = new_upload("k");
    srv_autoobject struct srv_object *o = NULL;

    (void)state;
    put_part("k", id, 7, "the last one", &wanted);
    put_part("k", id, 3, "not listed", &dropped);
    reopen();
    assert_missing("k");
    assert_int_equal(srv_store_complete(store, "bkt", "k", id, &wanted, false, &o, &err), 0);
    srv_object_unref(o);
    o = NULL;
    reopen();
    assert_body("k", "the last one");
    assert_int_equal(data_files(), 1);
    assert_int_equal(srv_store_complete(store, "bkt", "k", id, &wanted, false, &o, &err), -1);
    assert_string_equal(err.code, "NoSuchUpload");
}

static void a_refused_complete_leaves_the_upload_usable(void **state)
{
    srv_autopairs struct srv_pairs wanted = {0};
    srv_autofree char *id = new_upload("k");
    srv_autoobject struct srv_object *o = NULL;

    (void)state;
    put_part("k", id, 1, "too small", &wanted);
    put_part("k", id, 2, "tail", &wanted);
    assert_int_equal(srv_store_complete(store, "bkt", "k", id, &wanted, false, &o, &err), -1);
    assert_string_equal(err.code, "EntityTooSmall");
    srv_error_fini(&err);
    assert_int_equal(srv_store_upload_check(store, "bkt", "k", id, NULL, NULL, &err), 0);
    assert_int_equal(srv_store_abort(store, "bkt", "k", id, &err), 0);
    assert_int_equal(data_files(), 0);
}

static void a_torn_last_line_is_dropped_and_nothing_else(void **state)
{
    srv_autofree char *path = srv_xasprintf("%s/journal", root);
    struct stat st;

    (void)state;
    assert_int_equal(put("kept", "one", false), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(put("torn", "two", false), 0);
    srv_store_free(store);
    store = NULL;
    assert_int_equal(truncate(path, st.st_size + 20), 0);
    store = srv_store_open(root);
    assert_non_null(store);
    assert_body("kept", "one");
    assert_missing("torn");
    assert_int_equal(data_files(), 1);
}

static void a_second_server_on_the_same_root_is_refused(void **state)
{
    (void)state;
    assert_null(srv_store_open(root));
}

static void a_slice_of_a_copy_reads_right_after_its_source_is_gone(void **state)
{
    srv_autoobject struct srv_object *copy = srv_object_new(SRV_NORMAL);
    uint8_t md5[SRV_MD5_BYTES];
    uint64_t crc = 0;

    (void)state;
    assert_int_equal(put("source", "0123456789", false), 0);
    {
        srv_autoobject struct srv_object *source = srv_store_get(store, "bkt", "source", &err);

        srv_segments_slice(&copy->segments, &source->segments, 2, 3);
        srv_segments_slice(&copy->segments, &source->segments, 8, 2);
    }
    fill_attrs(&copy->attrs);
    assert_int_equal(srv_segments_crc(&copy->segments, &crc), 0);
    assert_int_equal(srv_segments_md5(&copy->segments, 4, md5), 0);
    assert_int_equal(srv_segments_md5(&copy->segments, 5, md5), 1);
    srv_set_checksums(copy, crc, true, md5);
    assert_int_equal(srv_store_put(store, "bkt", "copy", copy, false, &err), 0);
    assert_int_equal(srv_store_delete(store, "bkt", "source", &err), 0);
    srv_object_unref(copy);
    copy = NULL;
    reopen();
    assert_body("copy", "23489");
}

static void uploads_are_listed_by_key_then_id_behind_the_markers(void **state)
{
    srv_autofree char *a1 = new_upload("a");
    srv_autofree char *a2 = new_upload("a");
    srv_autofree char *b = new_upload("b/x");
    struct srv_upload_page page = {0};

    (void)state;
    assert_int_equal(srv_store_uploads(store, "bkt", "", "/", "", "", 10, &page, &err), 0);
    assert_int_equal(page.count, 3);
    assert_string_equal(page.entries[1].id, a2);
    assert_string_equal(page.entries[2].key, "b/");
    assert_null(page.entries[2].id);
    srv_upload_page_fini(&page);
    assert_int_equal(srv_store_uploads(store, "bkt", "", "", "a", a1, 1, &page, &err), 0);
    assert_int_equal(page.count, 1);
    assert_string_equal(page.entries[0].id, a2);
    assert_true(page.truncated);
    srv_upload_page_fini(&page);
    assert_int_equal(srv_store_uploads(store, "bkt", "", "", "a", "", 10, &page, &err), 0);
    assert_int_equal(page.count, 1);
    assert_string_equal(page.entries[0].id, b);
    srv_upload_page_fini(&page);
}

static bool acts(struct srv_faults *f, const char *operation, const char *key, uint64_t part)
{
    struct srv_plan plan = {0};
    bool acted;

    srv_faults_match(f, operation, key, part, &plan);
    acted = plan.delay_ms > 0;
    srv_plan_fini(&plan);
    return acted;
}

static void check_rule(const char *selection, const char *expected)
{
    struct srv_faults *f = srv_faults_new();
    srv_autofree char *json = srv_xasprintf(
        "{\"operation\":\"UploadPart\"%s,\"action\":{\"type\":\"delay\",\"ms\":1}}", selection);
    struct srv_buf reply = {0};

    assert_int_equal(srv_faults_add(f, json, &reply), 0);
    for (; *expected != '\0'; expected++)
        assert_int_equal(acts(f, "UploadPart", "dir/k", 3), *expected == 'x');
    assert_false(acts(f, "PutObject", "dir/k", 3));
    srv_buf_fini(&reply);
    srv_faults_free(f);
}

static void rules_act_on_the_requests_they_name(void **state)
{
    (void)state;
    check_rule("", "xxx");
    check_rule(",\"nth\":2", ".x..");
    check_rule(",\"every\":3", "..x..x");
    check_rule(",\"from\":2,\"count\":2", ".xx..");
    check_rule(",\"key\":\"dir/*\"", "xx");
    check_rule(",\"key\":\"other\"", "..");
    check_rule(",\"part\":3", "xx");
    check_rule(",\"part\":4", "..");
    check_rule(",\"probability\":0.0", "....");
}

static void rules_that_make_no_sense_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "{}",
        "[{\"operation\":\"*\"}]",
        "{\"operation\":\"*\",\"action\":{\"type\":\"explode\"}}",
        "{\"operation\":\"*\",\"ntn\":1,\"action\":{\"type\":\"delay\"}}",
    };
    struct srv_faults *f = srv_faults_new();

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct srv_buf reply = {0};

        assert_int_equal(srv_faults_add(f, bad[i], &reply), -1);
        assert_non_null(strstr(srv_buf_str(&reply), "error"));
        srv_buf_fini(&reply);
    }
    srv_faults_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(objects_survive_a_restart, start, stop),
        cmocka_unit_test_setup_teardown(only_the_first_of_two_forbidding_writers_wins, start, stop),
        cmocka_unit_test_setup_teardown(an_upload_goes_on_after_a_restart_and_completes_once, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_refused_complete_leaves_the_upload_usable, start, stop),
        cmocka_unit_test_setup_teardown(a_torn_last_line_is_dropped_and_nothing_else, start, stop),
        cmocka_unit_test_setup_teardown(a_second_server_on_the_same_root_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(a_slice_of_a_copy_reads_right_after_its_source_is_gone,
                                        start, stop),
        cmocka_unit_test_setup_teardown(uploads_are_listed_by_key_then_id_behind_the_markers, start,
                                        stop),
        cmocka_unit_test(rules_act_on_the_requests_they_name),
        cmocka_unit_test(rules_that_make_no_sense_are_refused),
    };

    return cmocka_run_group_tests_name("server store", tests, NULL, NULL);
}

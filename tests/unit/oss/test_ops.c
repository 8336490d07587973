/*
 * Every operation against the local server, once signed with V1 and once with V4.
 */
#include "server.h"

#include "unit/unit.h"

#include "base/cleanup.h"
#include "base/crc64.h"
#include "oss/ops.h"

#include <inttypes.h>

static struct server *server;
static struct server_client v1, v4;

static int setup(void **state)
{
    static const char *const arguments[] = {"--region", SERVER_REGION, NULL};

    (void)state;
    server = server_start(arguments);
    server_client(server, &v1, OSS_SIGN_CHOICE_V1, NULL);
    server_client(server, &v4, OSS_SIGN_CHOICE_V4, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    server_client_fini(&v1);
    server_client_fini(&v4);
    server_stop(server);
    return 0;
}

#define ok(call)                                                                                   \
    do {                                                                                           \
        int ok_result_ = (call);                                                                   \
        if (ok_result_ < 0)                                                                        \
            print_error("%s\n", err.message);                                                      \
        assert_true(ok_result_ >= 0);                                                              \
    } while (0)

/* -- bodies and sinks in memory -- */

struct bytes {
    const unsigned char *data;
    size_t size;
};

static ssize_t read_bytes(void *ctx, void *buf, size_t len, uint64_t offset, struct ou_error *err)
{
    const struct bytes *b = ctx;

    (void)err;
    assert_true(offset + len <= b->size);
    if (len > 70000)
        len = 70000; /* fewer than asked for is fine */
    memcpy(buf, b->data + offset, len);
    return (ssize_t)len;
}

static int write_bytes(void *ctx, const void *data, size_t len, uint64_t offset,
                       struct ou_error *err)
{
    struct ou_buf *out = ctx;

    (void)err;
    assert_int_equal(offset, out->len);
    ou_buf_add(out, data, len);
    return 0;
}

static void put(struct oss_client *c, const char *key, const void *data, size_t size)
{
    struct bytes bytes = {.data = data, .size = size};
    struct oss_body body = {.size = size, .read = read_bytes, .ctx = &bytes};
    struct ou_error err;

    ok(oss_put_object(c, NULL, key, NULL, &body, NULL, &err));
}

static void assert_bytes(struct oss_client *c, const char *key, const void *data, size_t size)
{
    ou_auto(ou_buf_fini) struct ou_buf got = {0};
    struct oss_sink sink = {.write = write_bytes, .ctx = &got};
    struct ou_error err;

    ok(oss_get_object(c, NULL, key, 0, size, NULL, &sink, NULL, &err));
    assert_int_equal(got.len, size);
    assert_memory_equal(got.data, data, size);
}

/* -- tests; each runs with both clients -- */

static void what_was_put_is_told_by_head_and_got_by_ranges(void **state)
{
    struct oss_client *c = ((struct server_client *)*state)->client;
    static const struct oss_meta meta[] = {{"mode", "33188"}, {"mtime", "1700000000.000000001"}};
    const struct oss_object_headers headers = {.content_type = "text/plain",
                                               .cache_control = "no-cache",
                                               .content_disposition = "attachment",
                                               .expires = "Thu, 01 Jan 2099 00:00:00 GMT",
                                               .meta = meta,
                                               .meta_count = 2,
                                               .storage_class = "IA"};
    static unsigned char data[300000];
    struct unit_random random = {.state = 7};
    struct bytes bytes = {.data = data, .size = sizeof(data)};
    struct oss_body body = {.size = sizeof(data), .read = read_bytes, .ctx = &bytes};
    ou_auto(ou_buf_fini) struct ou_buf got = {0};
    struct oss_sink sink = {.write = write_bytes, .ctx = &got};
    const char *key = "dir/my file + 1%20 \xe7\x9b\xae&<>\"'.txt";
    struct oss_written written;
    struct oss_object object;
    struct ou_error err;

    unit_random_bytes(&random, data, sizeof(data));
    ok(oss_put_object(c, NULL, key, &headers, &body, &written, &err));
    assert_true(written.has_crc64);
    assert_int_equal(written.crc64, ou_crc64(0, data, sizeof(data)));
    assert_int_equal(strlen(written.etag), 32);
    assert_int_equal(strlen(written.request_id), 24);

    assert_int_equal(oss_head_object(c, NULL, key, &object, &err), 1);
    assert_int_equal(object.size, sizeof(data));
    assert_string_equal(object.etag, written.etag);
    assert_true(object.has_crc64);
    assert_int_equal(object.crc64, written.crc64);
    assert_string_equal(object.content_type, "text/plain");
    assert_string_equal(object.cache_control, "no-cache");
    assert_string_equal(object.content_disposition, "attachment");
    assert_string_equal(object.expires, headers.expires);
    assert_string_equal(object.type, "Normal");
    assert_string_equal(object.storage_class, "IA");
    assert_string_equal(oss_object_meta(&object, "mode"), "33188");
    assert_string_equal(oss_object_meta(&object, "mtime"), "1700000000.000000001");
    assert_null(oss_object_meta(&object, "uid"));
    assert_true(object.last_modified.tv_sec > 1600000000);
    oss_object_fini(&object);

    ok(oss_get_object(c, NULL, key, 100001, 50000, written.etag, &sink, &object, &err));
    assert_int_equal(got.len, 50000);
    assert_memory_equal(got.data, data + 100001, 50000);
    assert_int_equal(object.size, sizeof(data));
    assert_string_equal(oss_object_meta(&object, "mode"), "33188");
    oss_object_fini(&object);
    assert_bytes(c, key, data, sizeof(data));

    ok(oss_delete_object(c, NULL, key, &err));
    ok(oss_delete_object(c, NULL, key, &err)); /* also when there is none */
    assert_int_equal(oss_head_object(c, NULL, key, &object, &err), 0);
    assert_int_equal(oss_get_object(c, NULL, key, 0, 1, NULL, &sink, NULL, &err), -ENOENT);
    assert_string_equal(err.code, "NoSuchKey");
    assert_int_equal(strlen(err.request_id), 24);
}

static void an_empty_object_and_an_empty_range_work(void **state)
{
    struct oss_client *c = ((struct server_client *)*state)->client;
    struct oss_sink sink = {.write = NULL};
    struct oss_object object;
    struct ou_error err;

    put(c, "empty/", "", 0);
    assert_int_equal(oss_head_object(c, NULL, "empty/", &object, &err), 1);
    assert_int_equal(object.size, 0);
    oss_object_fini(&object);
    ok(oss_put_object(c, NULL, "empty2", NULL, NULL, NULL, &err)); /* no body at all */
    ok(oss_get_object(c, NULL, "empty/", 0, 0, NULL, &sink, NULL, &err));
    ok(oss_delete_object(c, NULL, "empty/", &err));
    ok(oss_delete_object(c, NULL, "empty2", &err));
}

static void a_changed_or_shorter_object_is_stale(void **state)
{
    struct oss_client *c = ((struct server_client *)*state)->client;
    ou_auto(ou_buf_fini) struct ou_buf got = {0};
    struct oss_sink sink = {.write = write_bytes, .ctx = &got};
    struct ou_error err;

    put(c, "s", "0123456789", 10);
    assert_int_equal(oss_get_object(c, NULL, "s", 0, 4, "0000", &sink, NULL, &err), -ESTALE);
    assert_int_equal(oss_get_object(c, NULL, "s", 5, 6, NULL, &sink, NULL, &err), -ESTALE);
    assert_int_equal(oss_get_object(c, NULL, "s", 10, 6, NULL, &sink, NULL, &err), -ESTALE);
    assert_int_equal(got.len, 0);
    ok(oss_delete_object(c, NULL, "s", &err));
}

static void forbid_overwrite_keeps_what_is_there(void **state)
{
    struct oss_client *c = ((struct server_client *)*state)->client;
    struct oss_object_headers headers = {.forbid_overwrite = true};
    struct ou_error err;

    put(c, "first", "1", 1);
    assert_int_equal(oss_put_object(c, NULL, "first", &headers, NULL, NULL, &err), -EEXIST);
    assert_string_equal(err.code, "FileAlreadyExists");
    assert_int_equal(err.http_status, 409);
    assert_bytes(c, "first", "1", 1);
    ok(oss_delete_object(c, NULL, "first", &err));
}

static void a_copy_takes_or_replaces_metadata_and_guards_its_source(void **state)
{
    struct oss_client *c = ((struct server_client *)*state)->client;
    static const struct oss_meta meta[] = {{"uid", "7"}};
    const struct oss_object_headers headers = {.meta = meta, .meta_count = 1};
    struct oss_written written;
    struct oss_object object;
    struct ou_error err;

    put(c, "src/a b+c", "copied", 6);
    ok(oss_copy_object(c, NULL, "src/a b+c", NULL, "dst", NULL, &written, &err));
    assert_bytes(c, "dst", "copied", 6);
    ok(oss_copy_object(c, NULL, "dst", written.etag, "dst", &headers, &written, &err));
    assert_int_equal(oss_head_object(c, NULL, "dst", &object, &err), 1);
    assert_string_equal(oss_object_meta(&object, "uid"), "7");
    oss_object_fini(&object);
    assert_int_equal(oss_copy_object(c, NULL, "dst", "AAAA", "dst2", NULL, NULL, &err), -ESTALE);
    assert_int_equal(oss_copy_object(c, NULL, "none", NULL, "dst2", NULL, NULL, &err), -ENOENT);
    server_tell(server, "POST", "option", "{\"copy-size-limit\":3}");
    assert_int_equal(oss_copy_object(c, NULL, "dst", NULL, "dst2", NULL, NULL, &err), -EFBIG);
    server_tell(server, "POST", "option", "{\"copy-size-limit\":0}");
    ok(oss_delete_object(c, NULL, "src/a b+c", &err));
    ok(oss_delete_object(c, NULL, "dst", &err));
}

static void upload_one(struct oss_client *c, const char *id, unsigned number, const void *data,
                       size_t size, struct oss_part *part)
{
    struct bytes bytes = {.data = data, .size = size};
    struct oss_body body = {.size = size, .read = read_bytes, .ctx = &bytes};
    struct oss_written written;
    struct ou_error err;

    ok(oss_upload_part(c, NULL, "big", id, number, &body, &written, &err));
    *part = (struct oss_part){.number = number, .size = size, .crc64 = written.crc64};
    memcpy(part->etag, written.etag, sizeof(part->etag));
}

static void an_upload_of_sent_and_copied_parts_becomes_one_object(void **state)
{
    struct oss_client *c = ((struct server_client *)*state)->client;
    static unsigned char data[300000];
    struct unit_random random = {.state = 9};
    char id[OSS_UPLOAD_ID_SIZE];
    struct oss_part parts[3];
    struct oss_part_list list;
    struct oss_upload_list uploads;
    struct oss_written written;
    struct ou_error err;

    unit_random_bytes(&random, data, sizeof(data));
    put(c, "base", data, sizeof(data));
    ok(oss_initiate_upload(c, NULL, "big", NULL, id, &err));
    upload_one(c, id, 1, data, 110000, &parts[0]);
    ok(oss_upload_part_copy(c, NULL, "big", id, 2, "base", 110000, 120000, NULL, &written, &err));
    parts[1] = (struct oss_part){.number = 2};
    memcpy(parts[1].etag, written.etag, sizeof(written.etag));
    upload_one(c, id, 7, data + 230000, 70000, &parts[2]);
    assert_int_equal(
        oss_upload_part_copy(c, NULL, "big", id, 3, "base", 0, 120000, "AB", NULL, &err), -ESTALE);

    assert_int_equal(oss_list_parts(c, NULL, "big", id, &list, &err), 1);
    assert_int_equal(list.count, 3);
    assert_int_equal(list.parts[1].size, 120000);
    assert_int_equal(list.parts[2].number, 7);
    assert_string_equal(list.parts[2].etag, parts[2].etag);
    assert_true(list.parts[0].has_crc64);
    assert_int_equal(list.parts[0].crc64, parts[0].crc64);
    oss_part_list_fini(&list);

    ok(oss_list_uploads(c, NULL, "big", NULL, NULL, &uploads, &err));
    assert_int_equal(uploads.count, 1);
    assert_string_equal(uploads.uploads[0].key, "big");
    assert_string_equal(uploads.uploads[0].upload_id, id);
    oss_upload_list_fini(&uploads);

    ok(oss_complete_upload(c, NULL, "big", id, parts, 3, false, &written, &err));
    assert_true(written.has_crc64);
    assert_int_equal(written.crc64, ou_crc64(0, data, sizeof(data)));
    assert_bytes(c, "big", data, sizeof(data));
    assert_int_equal(oss_complete_upload(c, NULL, "big", id, parts, 3, false, &written, &err),
                     -ENOENT);
    assert_string_equal(err.code, "NoSuchUpload");
    assert_int_equal(oss_list_parts(c, NULL, "big", id, &list, &err), 0);
    ok(oss_abort_upload(c, NULL, "big", id, &err)); /* also when there is none */

    ok(oss_initiate_upload(c, NULL, "big", NULL, id, &err));
    assert_int_equal(oss_list_parts(c, NULL, "big", id, &list, &err), 1);
    assert_int_equal(list.count, 0);
    oss_part_list_fini(&list);
    ok(oss_abort_upload(c, NULL, "big", id, &err));
    ok(oss_delete_object(c, NULL, "big", &err));
    ok(oss_delete_object(c, NULL, "base", &err));
}

static const char *const odd_keys[] = {"l/a",          "l/a b",          "l/a+b",
                                       "l/a/b",        "l/b\n",          "l/c\x01-d",
                                       "l/e&<>\"'%20", "l/\xe4\xb8\xad", "l/z/"};
#define ODD_KEYS (sizeof(odd_keys) / sizeof(odd_keys[0]))

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void listings_give_every_key_once_in_byte_order(void **state)
{
    struct oss_client *c = ((struct server_client *)*state)->client;
    const char *sorted[ODD_KEYS];
    bool deleted[ODD_KEYS];
    ou_autofree char *token = NULL;
    struct ou_error err;
    size_t seen = 0;
    struct oss_list_page page;

    for (size_t i = 0; i < ODD_KEYS; i++)
        put(c, odd_keys[i], "x", 1);
    memcpy(sorted, odd_keys, sizeof(sorted));
    qsort(sorted, ODD_KEYS, sizeof(sorted[0]), compare_keys);
    for (bool more = true; more;) {
        ok(oss_list_objects(c, NULL, "l/", NULL, NULL, token, 2, &page, &err));
        for (size_t i = 0; i < page.count; i++) {
            assert_true(seen < ODD_KEYS);
            assert_string_equal(page.entries[i].key, sorted[seen]);
            assert_int_equal(page.entries[i].key_len, strlen(sorted[seen++]));
            assert_int_equal(page.entries[i].size, 1);
            assert_string_equal(page.entries[i].type, "Normal");
            assert_int_equal(strlen(page.entries[i].etag), 32);
        }
        more = page.truncated;
        free(token);
        token = page.next_token;
        page.next_token = NULL;
        oss_list_page_fini(&page);
    }
    assert_int_equal(seen, ODD_KEYS);

    ok(oss_list_objects(c, NULL, "l/", "/", "l/a b", NULL, 1000, &page, &err));
    assert_false(page.truncated);
    assert_null(page.next_token);
    assert_string_equal(page.entries[0].key, "l/a+b");
    assert_string_equal(page.entries[1].key, "l/a/");
    assert_true(page.entries[1].is_prefix);
    oss_list_page_fini(&page);

    /* The key with a control character goes singly. */
    assert_int_equal(oss_delete_objects(c, NULL, odd_keys, ODD_KEYS, deleted, &err), ODD_KEYS);
    for (size_t i = 0; i < ODD_KEYS; i++)
        assert_true(deleted[i]);
    ok(oss_list_objects(c, NULL, "l/", NULL, NULL, NULL, 10, &page, &err));
    assert_int_equal(page.count, 0);
    oss_list_page_fini(&page);
}

static void a_key_left_out_of_a_batch_answer_counts_as_kept(void **state)
{
    struct oss_client *c = ((struct server_client *)*state)->client;
    const char *const keys[] = {"d/1", "d/2", "d/2", "d/3"};
    bool deleted[4];
    struct ou_error err;

    server_fault(server, "{\"operation\":\"DeleteMultipleObjects\",\"count\":1,"
                         "\"action\":{\"type\":\"omit-key\",\"omit\":\"d/3\"}}");
    assert_int_equal(oss_delete_objects(c, NULL, keys, 4, deleted, &err), 3);
    assert_true(deleted[0] && deleted[1] && deleted[2]);
    assert_false(deleted[3]);
    server_calm(server);
}

static void appends_continue_where_the_last_one_ended(void **state)
{
    struct oss_client *c = ((struct server_client *)*state)->client;
    struct bytes bytes = {.data = (const unsigned char *)"abc", .size = 3};
    struct oss_body body = {.size = 3, .read = read_bytes, .ctx = &bytes};
    struct oss_written written;
    struct ou_error err;
    uint64_t next = 0;

    ok(oss_append_object(c, NULL, "log", 0, NULL, &body, &next, &written, &err));
    ok(oss_append_object(c, NULL, "log", next, NULL, &body, &next, &written, &err));
    assert_int_equal(next, 6);
    assert_int_equal(written.crc64, ou_crc64(0, "abcabc", 6));
    assert_int_equal(oss_append_object(c, NULL, "log", 3, NULL, &body, &next, &written, &err),
                     -ESTALE);
    assert_bytes(c, "log", "abcabc", 6);
    ok(oss_delete_object(c, NULL, "log", &err));
}

static void symlinks_keep_their_target(void **state)
{
    struct oss_client *c = ((struct server_client *)*state)->client;
    ou_autofree char *target = NULL;
    struct ou_error err;

    ok(oss_put_symlink(c, NULL, "link", "dir/a b+c%", NULL, &err));
    ok(oss_get_symlink(c, NULL, "link", &target, &err));
    assert_string_equal(target, "dir/a b+c%");
    put(c, "plain", "x", 1);
    assert_int_equal(oss_get_symlink(c, NULL, "plain", &target, &err), -EINVAL);
    assert_string_equal(err.code, "NotSymlink");
    ok(oss_delete_object(c, NULL, "link", &err));
    ok(oss_delete_object(c, NULL, "plain", &err));
}

static void the_bucket_tells_its_region(void **state)
{
    struct oss_client *c = ((struct server_client *)*state)->client;
    struct oss_bucket_info info;
    struct ou_error err;

    ok(oss_bucket_info(c, NULL, &info, &err));
    assert_string_equal(info.location, SERVER_REGION);
    assert_string_equal(info.storage_class, "Standard");
    assert_false(info.versioning);
    assert_false(info.hierarchical);
    assert_string_equal(oss_client_bucket(c), SERVER_BUCKET);
    assert_string_equal(oss_client_endpoint(c), server_url(server));
}

static void a_hierarchical_bucket_renames_files_and_directories_in_one_request(void **state)
{
    static const char *const arguments[] = {"--region", SERVER_REGION, "--hns", NULL};
    struct server *hns = server_start(arguments);
    struct server_client client = {.chain = NULL};
    struct oss_bucket_info info;
    struct oss_object object;
    struct oss_client *c;
    struct ou_error err;

    (void)state;
    server_client(hns, &client, OSS_SIGN_CHOICE_V4, NULL);
    c = client.client;
    ok(oss_bucket_info(c, NULL, &info, &err));
    assert_true(info.hierarchical);
    put(c, "d/one", "1", 1);
    put(c, "d/two", "22", 2);
    put(c, "other", "333", 3);

    ok(oss_rename_object(c, NULL, "d", "d \xc3\xa4+%", &err)); /* all below it comes along */
    assert_bytes(c, "d \xc3\xa4+%/one", "1", 1);
    assert_bytes(c, "d \xc3\xa4+%/two", "22", 2);
    assert_int_equal(oss_head_object(c, NULL, "d/one", &object, &err), 0);
    assert_int_equal(server_count(hns, "RenameObject"), 1);

    assert_int_equal(oss_rename_object(c, NULL, "other", "d \xc3\xa4+%/one", &err), -EEXIST);
    assert_bytes(c, "other", "333", 3);
    assert_int_equal(oss_rename_object(c, NULL, "none", "new", &err), -ENOENT);
    assert_int_equal(oss_rename_object(c, NULL, "other", "no/parent", &err), -ENOENT);

    /* A lost answer is not asked for again: the second would say that nothing is there. */
    server_fault(hns, "{\"operation\":\"RenameObject\",\"count\":1,"
                      "\"action\":{\"type\":\"apply-no-answer\"}}");
    assert_int_equal(oss_rename_object(c, NULL, "other", "moved", &err), -EIO);
    assert_int_equal(oss_error_verdict(&err), OSS_RETRY);
    assert_bytes(c, "moved", "333", 3);
    server_client_fini(&client);
    server_stop(hns);
}

static void a_hierarchical_bucket_makes_and_deletes_directories(void **state)
{
    static const char *const arguments[] = {"--region", SERVER_REGION, "--hns", NULL};
    static const char *const keys[] = {"a/", "a/b/", "a/b/file", "c/", "none"};
    struct server *hns = server_start(arguments);
    struct server_client client = {.chain = NULL};
    struct oss_written written = {.etag = ""};
    struct ou_error err;
    struct oss_client *c;
    bool deleted[5];

    (void)state;
    server_client(hns, &client, OSS_SIGN_CHOICE_V4, NULL);
    c = client.client;
    oss_client_set_hierarchical(c, true);
    put(c, "a/b/file", "1", 1);
    put(c, "c/file", "1", 1);
    ok(oss_put_object(c, NULL, "a/b/", NULL, NULL, &written,
                      &err)); /* it is there, made by the file */
    assert_string_equal(written.etag, "null");
    ok(oss_copy_object(c, NULL, "a/b/", NULL, "a/b/", NULL, &written, &err));
    assert_int_equal(server_count(hns, "CreateDirectory"), 2);
    assert_int_equal(oss_delete_object(c, NULL, "a/b/", &err), -ENOTEMPTY);

    /* The deepest first, whatever the order of the keys; c/ is not empty, and stays. */
    assert_int_equal(oss_delete_objects(c, NULL, keys, 5, deleted, &err), 4);
    for (int i = 0; i < 5; i++)
        assert_int_equal(deleted[i], strcmp(keys[i], "c/") != 0);
    assert_int_equal(server_count(hns, "DeleteMultipleObjects"), 0);
    ok(oss_delete_object(c, NULL, "a/", &err)); /* gone already */
    server_client_fini(&client);
    server_stop(hns);
}

static void names_that_oss_cannot_hold_are_refused_before_anything_is_sent(void **state)
{
    struct oss_client *c = ((struct server_client *)*state)->client;
    struct oss_client_stats before, after;
    struct oss_object object;
    struct ou_error err;
    char longest[OSS_KEY_MAX + 2];

    oss_client_stats(c, &before);
    memset(longest, 'k', OSS_KEY_MAX + 1);
    longest[OSS_KEY_MAX + 1] = '\0';
    assert_int_equal(oss_head_object(c, NULL, longest, &object, &err), -ENAMETOOLONG);
    assert_int_equal(oss_head_object(c, NULL, "a\xff", &object, &err), -EILSEQ);
    assert_int_equal(oss_head_object(c, NULL, "/a", &object, &err), -EINVAL);
    assert_int_equal(oss_head_object(c, NULL, "", &object, &err), -EINVAL);
    oss_client_stats(c, &after);
    assert_int_equal(before.requests, after.requests);
    longest[OSS_KEY_MAX] = '\0';
    assert_int_equal(oss_head_object(c, NULL, longest, &object, &err), 0);
}

static void metadata_that_would_forge_a_header_is_refused(void **state)
{
    struct oss_client *c = ((struct server_client *)*state)->client;
    static const struct oss_meta forged[] = {{"a", "1\r\nx-oss-object-acl: public-read"}};
    static const struct oss_meta named[] = {{"a_b", "1"}};
    struct oss_object_headers headers = {.meta = forged, .meta_count = 1};
    struct ou_error err;

    assert_int_equal(oss_put_object(c, NULL, "k", &headers, NULL, NULL, &err), -EINVAL);
    headers.meta = named;
    assert_int_equal(oss_put_object(c, NULL, "k", &headers, NULL, NULL, &err), -EINVAL);
}

#define with_both(test) cmocka_unit_test_prestate(test, &v1), cmocka_unit_test_prestate(test, &v4)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_both(what_was_put_is_told_by_head_and_got_by_ranges),
        with_both(an_empty_object_and_an_empty_range_work),
        with_both(a_changed_or_shorter_object_is_stale),
        with_both(forbid_overwrite_keeps_what_is_there),
        with_both(a_copy_takes_or_replaces_metadata_and_guards_its_source),
        with_both(an_upload_of_sent_and_copied_parts_becomes_one_object),
        with_both(listings_give_every_key_once_in_byte_order),
        with_both(a_key_left_out_of_a_batch_answer_counts_as_kept),
        with_both(appends_continue_where_the_last_one_ended),
        with_both(symlinks_keep_their_target),
        with_both(the_bucket_tells_its_region),
        cmocka_unit_test(a_hierarchical_bucket_renames_files_and_directories_in_one_request),
        cmocka_unit_test(a_hierarchical_bucket_makes_and_deletes_directories),
        with_both(names_that_oss_cannot_hold_are_refused_before_anything_is_sent),
        with_both(metadata_that_would_forge_a_header_is_refused),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

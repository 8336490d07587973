/*
 * The checkpoint file: what is written is read back, and nothing else ever is: not from a torn
 * file, not from one with a wrong byte, not from another version's.
 */
#include "unit/unit.h"

#include "base/cleanup.h"

#include "base/crc64.h"
#include "transfer/checkpoint.h"
#include "transfer/checkpoint_lines.h"

#define NAME "file.0123456789abcdef.ossup-ckpt"
#define ID   "0004B9894A22E5B1888A1E29F8236E2D"

/* -- a clock and a disk that count -- */

static uint64_t fake_now;
static unsigned syncs;

uint64_t __wrap_ou_now_ms(void);
uint64_t __wrap_ou_now_ms(void)
{
    return fake_now;
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
    syncs++;
    return __real_fdatasync(fd);
}

/* -- one upload's life, line by line -- */

static const struct xfer_checkpoint_header header = {
    .bucket = "bucket",
    .key = "a/b \"c\"\xff",
    .endpoint = "https://oss-cn-hangzhou.aliyuncs.com",
    .path = "/srv/data/f\xc3\xa4\xfe",
    .identity = {.size = 250 << 10,
                 .mtime_ns = 1709626150123456789,
                 .ctime_ns = 1709626150987654321,
                 .ino = UINT64_MAX - 7,
                 .dev = 2049},
    .part_size = 100 << 10,
    .headers = UINT64_C(0xfedcba9876543210),
};

static const struct oss_part parts[] = {
    {.number = 2, .size = 102400, .etag = "A2", .crc64 = UINT64_MAX, .has_crc64 = true},
    {.number = 1, .size = 102400, .etag = "A1", .crc64 = 0, .has_crc64 = true},
    {.number = 3, .size = 51200, .etag = "A3", .crc64 = 77, .has_crc64 = true},
};
static const struct xfer_plan_part wheres[] = {
    {.number = 2, .offset = 102400, .size = 102400},
    {.number = 1, .offset = 0, .size = 102400},
    {.number = 3, .offset = 204800, .size = 51200},
};

/* The header and then these. */
static const struct xfer_event events[] = {
    {.kind = XFER_EVENT_INITIATING},
    {.kind = XFER_EVENT_UPLOAD_ID, .upload_id = ID},
    {.kind = XFER_EVENT_PART, .upload_id = ID, .part = &parts[0], .where = &wheres[0]},
    {.kind = XFER_EVENT_PART, .upload_id = ID, .part = &parts[1], .where = &wheres[1]},
    {.kind = XFER_EVENT_PART, .upload_id = ID, .part = &parts[2], .where = &wheres[2]},
    {.kind = XFER_EVENT_PUBLISHING, .upload_id = ID},
    {.kind = XFER_EVENT_FORGET, .upload_id = ID},
    {.kind = XFER_EVENT_INITIATING},
    {.kind = XFER_EVENT_UPLOAD_ID, .upload_id = "second"},
};
#define EVENTS (sizeof(events) / sizeof(events[0]))

static void open_ok(struct xfer_checkpoint *cp, int dirfd)
{
    struct ou_error err = OU_ERROR_INIT;

    assert_int_equal(xfer_checkpoint_open(cp, dirfd, NAME, true, &err), 0);
}

static void record_ok(struct xfer_checkpoint *cp, const struct xfer_event *event)
{
    struct ou_error err = OU_ERROR_INIT;

    assert_int_equal(xfer_checkpoint_record(cp, event, &err), 0);
}

static void write_life(int dirfd, size_t count)
{
    struct ou_error err = OU_ERROR_INIT;
    struct xfer_checkpoint cp;

    open_ok(&cp, dirfd);
    assert_int_equal(xfer_checkpoint_begin(&cp, &header, &err), 0);
    for (size_t i = 0; i < count; i++)
        record_ok(&cp, &events[i]);
    xfer_checkpoint_close(&cp);
}

/* What must be known after the header and @count events; @count -1: not even the header. */
static void assert_state(const struct xfer_checkpoint_state *s, int count)
{
    const char *id = count >= 9 ? "second" : count >= 7 ? "" : count >= 2 ? ID : "";
    size_t part_count = count >= 7 ? 0 : count >= 5 ? 3 : count >= 2 ? (size_t)count - 2 : 0;

    assert_false(s->damaged);
    assert_int_equal(s->has_header, count >= 0);
    if (count < 0)
        return;
    assert_null(xfer_checkpoint_differs(s, &header));
    assert_int_equal(s->header.identity.ctime_ns, header.identity.ctime_ns);
    assert_int_equal(s->initiating, count == 1 || count == 8);
    assert_string_equal(s->upload_id, id);
    assert_int_equal(s->publishing, count == 6);
    assert_int_equal(s->part_count, part_count);
    for (size_t i = 0; i < part_count; i++) {
        assert_int_equal(s->parts[i].number, parts[i].number);
        assert_int_equal(s->parts[i].size, parts[i].size);
        assert_int_equal(s->parts[i].crc64, parts[i].crc64);
        assert_true(s->parts[i].has_crc64);
        assert_string_equal(s->parts[i].etag, parts[i].etag);
        assert_int_equal(s->where[i].number, wheres[i].number);
        assert_int_equal(s->where[i].offset, wheres[i].offset);
        assert_int_equal(s->where[i].size, wheres[i].size);
    }
}

static void read_bytes(int dirfd, struct ou_buf *out)
{
    struct ou_error err = OU_ERROR_INIT;

    assert_int_equal(ou_read_file(dirfd, NAME, 1 << 20, out, &err), 0);
}

static void write_bytes(int dirfd, const char *data, size_t len)
{
    struct ou_error err = OU_ERROR_INIT;

    assert_int_equal(ou_file_replace(dirfd, NAME, data, len, &err), 0);
}

/* How many events lie wholly within the first @len bytes; -1: not even the header. */
static int events_within(const struct ou_buf *bytes, size_t len)
{
    int lines = 0;

    for (size_t i = 0; i < len; i++)
        lines += bytes->data[i] == '\n';
    return lines - 1;
}

static void each_event_is_read_back(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);

    for (size_t count = 0; count <= EVENTS; count++) {
        struct xfer_checkpoint cp;

        write_life(dirfd, count);
        open_ok(&cp, dirfd);
        assert_state(&cp.state, (int)count);
        xfer_checkpoint_close(&cp);
    }
}

static void torn_at_any_byte_it_is_what_was_whole_before(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    ou_auto(ou_buf_fini) struct ou_buf bytes = {0};

    write_life(dirfd, EVENTS);
    read_bytes(dirfd, &bytes);
    for (size_t len = 0; len <= bytes.len; len++) {
        struct xfer_checkpoint cp;

        write_bytes(dirfd, bytes.data, len);
        open_ok(&cp, dirfd);
        assert_state(&cp.state, events_within(&bytes, len));
        xfer_checkpoint_close(&cp);
    }
}

/* aliyun-oss-c-sdk's record checksum is a stub that is always true. */
static void a_wrong_byte_ends_what_is_believed(void **state)
{
    static const unsigned char flips[] = {0x01, 0x20, 0x80, 0xff};
    ou_autoclose int dirfd = unit_open_dir(*state);
    ou_auto(ou_buf_fini) struct ou_buf bytes = {0};

    write_life(dirfd, EVENTS);
    read_bytes(dirfd, &bytes);
    for (size_t at = 0; at < bytes.len; at++) {
        struct xfer_checkpoint cp;
        unsigned char flip = flips[at % sizeof(flips)];

        bytes.data[at] = (char)(bytes.data[at] ^ flip);
        write_bytes(dirfd, bytes.data, bytes.len);
        bytes.data[at] = (char)(bytes.data[at] ^ flip);
        open_ok(&cp, dirfd);
        assert_state(&cp.state, events_within(&bytes, at));
        xfer_checkpoint_close(&cp);
    }
}

static void what_follows_a_torn_line_is_written_over_it(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    ou_auto(ou_buf_fini) struct ou_buf bytes = {0};
    struct xfer_checkpoint cp;

    write_life(dirfd, 3);
    read_bytes(dirfd, &bytes);
    write_bytes(dirfd, bytes.data, bytes.len - 5); /* the part's line is torn */
    open_ok(&cp, dirfd);
    record_ok(&cp, &events[2]);
    record_ok(&cp, &events[3]);
    xfer_checkpoint_close(&cp);
    open_ok(&cp, dirfd);
    assert_state(&cp.state, 4);
    xfer_checkpoint_close(&cp);
}

/* -- other versions, and nonsense -- */

static void seal(struct ou_buf *out, const char *line)
{
    struct ou_error err = OU_ERROR_INIT;

    assert_int_equal(ou_journal_seal(out, line, strlen(line), &err), 0);
}

static void header_text(struct ou_buf *out)
{
    ou_buf_clear(out);
    xfer_checkpoint_header_line(out, &header);
}

static void another_version_is_left_alone(void **state)
{
    static const char *const firsts[] = {
        "{\"op\":\"file\",\"format\":2,\"what\":\"we do not know\"}",
        "{\"op\":\"file\"}",
        "{\"op\":\"header\",\"format\":1}",
        "{\"format\":1}",
    };
    ou_autoclose int dirfd = unit_open_dir(*state);
    ou_auto(ou_buf_fini) struct ou_buf bytes = {0}, after = {0}, text = {0};
    struct ou_error err = OU_ERROR_INIT;
    struct xfer_checkpoint cp;

    for (size_t i = 0; i <= sizeof(firsts) / sizeof(firsts[0]); i++) {
        ou_buf_clear(&bytes);
        if (i < sizeof(firsts) / sizeof(firsts[0])) {
            seal(&bytes, firsts[i]);
        } else {
            header_text(&text);
            seal(&bytes, text.data);
            seal(&bytes, "{\"op\":\"what a later version says\"}");
        }
        write_bytes(dirfd, bytes.data, bytes.len);
        assert_int_equal(xfer_checkpoint_open(&cp, dirfd, NAME, true, &err), -EPROTO);
        assert_non_null(strstr(err.message, NAME));
        assert_non_null(strstr(err.message, "another version"));
        read_bytes(dirfd, &after);
        assert_int_equal(after.len, bytes.len);
        assert_memory_equal(after.data, bytes.data, bytes.len);
    }
}

/* Lines with the right sum that we would never write: none of them is believed, nor what follows. */
static void nonsense_is_not_believed(void **state)
{
    static const char *const lines[] = {
        "{\"op\":\"part\",\"number\":0,\"offset\":0,\"size\":1,\"crc64\":1,\"etag\":\"E\"}",
        "{\"op\":\"part\",\"number\":10001,\"offset\":0,\"size\":1,\"crc64\":1,\"etag\":\"E\"}",
        "{\"op\":\"part\",\"number\":1,\"offset\":0,\"size\":0,\"crc64\":1,\"etag\":\"E\"}",
        "{\"op\":\"part\",\"number\":1,\"offset\":-1,\"size\":1,\"crc64\":1,\"etag\":\"E\"}",
        "{\"op\":\"part\",\"number\":1,\"offset\":0,\"size\":1,\"etag\":\"E\"}",
        "{\"op\":\"part\",\"number\":1,\"offset\":0,\"size\":1,\"crc64\":\"1\",\"etag\":\"E\"}",
        "{\"op\":\"part\",\"number\":1,\"offset\":0,\"size\":1,\"crc64\":1}",
        "{\"op\":\"upload_id\",\"id\":\"\"}",
        "{\"op\":\"upload_id\"}",
        "{\"op\":\"initiating\",\"at\":1,\"at_ns\":1000000000}",
        "{\"op\":\"file\",\"format\":1}",
    };
    ou_autoclose int dirfd = unit_open_dir(*state);

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        ou_auto(ou_buf_fini) struct ou_buf bytes = {0};
        struct xfer_checkpoint cp;

        write_life(dirfd, 2);
        read_bytes(dirfd, &bytes);
        seal(&bytes, lines[i]);
        seal(&bytes, "{\"op\":\"publishing\"}");
        write_bytes(dirfd, bytes.data, bytes.len);
        open_ok(&cp, dirfd);
        assert_true(cp.state.damaged);
        assert_non_null(xfer_checkpoint_differs(&cp.state, &header));
        assert_string_equal(cp.state.upload_id, ID); /* still good for aborting it */
        assert_int_equal(cp.state.part_count, 0);
        assert_false(cp.state.publishing);
        xfer_checkpoint_close(&cp);
    }
}

/* aliyun-oss-cpp-sdk checks 0 < n < 10000. */
static void part_10000_is_a_part(void **state)
{
    const struct oss_part part = {
        .number = 10000, .size = 5, .etag = "E", .crc64 = 1, .has_crc64 = true};
    const struct xfer_plan_part where = {.number = 10000, .offset = 9999, .size = 5};
    const struct xfer_event event = {
        .kind = XFER_EVENT_PART, .upload_id = ID, .part = &part, .where = &where};
    ou_autoclose int dirfd = unit_open_dir(*state);
    struct ou_error err = OU_ERROR_INIT;
    struct xfer_checkpoint cp;

    open_ok(&cp, dirfd);
    assert_int_equal(xfer_checkpoint_begin(&cp, &header, &err), 0);
    record_ok(&cp, &events[1]);
    record_ok(&cp, &event);
    xfer_checkpoint_close(&cp);
    open_ok(&cp, dirfd);
    assert_int_equal(cp.state.part_count, 1);
    assert_int_equal(cp.state.parts[0].number, 10000);
    xfer_checkpoint_close(&cp);
}

static void the_last_line_of_a_part_counts(void **state)
{
    struct oss_part part = {.size = 102400, .etag = "E", .has_crc64 = true};
    struct xfer_plan_part where = {.size = 102400};
    const struct xfer_event event = {
        .kind = XFER_EVENT_PART, .upload_id = ID, .part = &part, .where = &where};
    ou_autoclose int dirfd = unit_open_dir(*state);
    struct ou_error err = OU_ERROR_INIT;
    struct xfer_checkpoint cp;

    open_ok(&cp, dirfd);
    assert_int_equal(xfer_checkpoint_begin(&cp, &header, &err), 0);
    record_ok(&cp, &events[1]);
    for (unsigned i = 0; i < 600; i++) { /* 300 parts, each twice */
        part.number = where.number = i % 300 + 1;
        part.crc64 = i;
        record_ok(&cp, &event);
    }
    xfer_checkpoint_close(&cp);
    open_ok(&cp, dirfd);
    assert_int_equal(cp.state.part_count, 300);
    for (unsigned i = 0; i < 300; i++) {
        assert_int_equal(cp.state.parts[i].number, i + 1);
        assert_int_equal(cp.state.parts[i].crc64, 300 + i);
    }
    xfer_checkpoint_close(&cp);
}

/* -- what it is compared with -- */

/* The Go SDK compares neither path nor part size, the C SDK neither bucket nor key, others whole
 * seconds only; nobody the headers that went out with Initiate. */
static void each_field_is_compared(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    struct xfer_checkpoint_header now = header;
    struct xfer_checkpoint cp;

    write_life(dirfd, 2);
    open_ok(&cp, dirfd);
#define DIFFERS(member, value)                                                                     \
    do {                                                                                           \
        now = header;                                                                              \
        now.member = value;                                                                        \
        assert_non_null(xfer_checkpoint_differs(&cp.state, &now));                                 \
    } while (0)
    DIFFERS(bucket, "bucket2");
    DIFFERS(key, "a/b");
    DIFFERS(endpoint, "http://oss-cn-hangzhou.aliyuncs.com");
    DIFFERS(path, "/srv/data/f");
    DIFFERS(identity.size, header.identity.size + 1);
    DIFFERS(identity.mtime_ns, header.identity.mtime_ns + 1);
    DIFFERS(identity.ino, header.identity.ino - 1);
    DIFFERS(identity.dev, header.identity.dev + 1);
    DIFFERS(part_size, header.part_size + 1);
    DIFFERS(headers, header.headers ^ 1);
#undef DIFFERS
    now = header;
    now.identity.ctime_ns++; /* told apart elsewhere: the bytes are compared */
    assert_null(xfer_checkpoint_differs(&cp.state, &now));
    xfer_checkpoint_close(&cp);
}

static void assert_other_name(struct xfer_checkpoint_header other, const char *name)
{
    char now[NAME_MAX + 1];

    xfer_checkpoint_name(&other, now);
    assert_string_not_equal(now, name);
}

/* aliyun-oss-cpp-sdk leaves the endpoint out of it: the same bucket name elsewhere shares the file. */
static void source_and_target_make_the_name(void **state)
{
    struct xfer_checkpoint_header h = header;
    char name[NAME_MAX + 1], again[NAME_MAX + 1];

    (void)state;
    h.path = "/srv/data/file";
    xfer_checkpoint_name(&h, name);
    assert_true(xfer_checkpoint_is_name(name));
    assert_memory_equal(name, "file.", 5);
    h.identity.size++; /* what may change between two runs is no part of it */
    h.part_size++;
    xfer_checkpoint_name(&h, again);
    assert_string_equal(again, name);
#define OTHER(member, value)                                                                       \
    do {                                                                                           \
        struct xfer_checkpoint_header o = h;                                                       \
        o.member = value;                                                                          \
        assert_other_name(o, name);                                                                \
    } while (0)
    OTHER(endpoint, "https://oss-cn-beijing.aliyuncs.com");
    OTHER(bucket, "bucket2");
    OTHER(key, "a");
    OTHER(path, "/srv/other/file");
#undef OTHER
    assert_false(xfer_checkpoint_is_name("file"));
    assert_false(xfer_checkpoint_is_name("file.ossup-ckpt"));
    assert_false(xfer_checkpoint_is_name("file.0123456789abcdeX.ossup-ckpt"));
}

static void a_long_name_is_cut_between_characters(void **state)
{
    ou_auto(ou_buf_fini) struct ou_buf path = {0};
    char name[NAME_MAX + 1];
    struct xfer_checkpoint_header h = header;

    (void)state;
    ou_buf_adds(&path, "/x"); /* so that 200 bytes end within a character */
    for (size_t i = 0; i < 120; i++)
        ou_buf_adds(&path, "\xc3\xa4");
    h.path = ou_buf_str(&path);
    xfer_checkpoint_name(&h, name);
    assert_true(strlen(name) <= NAME_MAX - 4);
    assert_true(xfer_checkpoint_is_name(name));
    name[strlen(name) - 28] = '\0'; /* ".SUM.ossup-ckpt" */
    assert_int_equal(strlen(name), 199);
    assert_memory_equal(name + 197, "\xc3\xa4", 2);
}

/* -- the disk, and other processes -- */

static void lines_of_parts_are_synced_by_the_sixteen(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    struct ou_error err = OU_ERROR_INIT;
    struct xfer_checkpoint cp;

    fake_now = 1000000;
    open_ok(&cp, dirfd);
    syncs = 0;
    assert_int_equal(xfer_checkpoint_begin(&cp, &header, &err), 0);
    assert_int_equal(syncs, 1);
    record_ok(&cp, &events[0]);
    record_ok(&cp, &events[1]);
    assert_int_equal(syncs, 3);
    for (unsigned i = 0; i < XFER_CHECKPOINT_SYNC_PARTS - 1; i++)
        record_ok(&cp, &events[2]);
    assert_int_equal(syncs, 3);
    record_ok(&cp, &events[2]);
    assert_int_equal(syncs, 4);
    fake_now += XFER_CHECKPOINT_SYNC_AFTER_MS - 1;
    record_ok(&cp, &events[2]);
    assert_int_equal(syncs, 4);
    fake_now += 1;
    record_ok(&cp, &events[2]);
    assert_int_equal(syncs, 5);
    record_ok(&cp, &events[2]);
    record_ok(&cp, &events[5]); /* before Complete all of them are on the disk */
    assert_int_equal(syncs, 6);
    xfer_checkpoint_close(&cp);
}

static void nobody_else_may_read_or_have_it(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    struct ou_error err = OU_ERROR_INIT;
    struct xfer_checkpoint first, second;
    struct stat st;

    open_ok(&first, dirfd);
    assert_int_equal(fstatat(dirfd, NAME, &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(xfer_checkpoint_open(&second, dirfd, NAME, true, &err), -EBUSY);
    assert_non_null(strstr(err.message, "another process"));
    /* Also not after it began anew: the lock stays with the name. */
    assert_int_equal(xfer_checkpoint_begin(&first, &header, &err), 0);
    assert_int_equal(xfer_checkpoint_open(&second, dirfd, NAME, true, &err), -EBUSY);
    xfer_checkpoint_close(&first);
    open_ok(&second, dirfd);
    assert_int_equal(xfer_checkpoint_remove(&second, &err), 0);
    assert_int_equal(xfer_checkpoint_open(&second, dirfd, NAME, false, &err), -ENOENT);
    xfer_checkpoint_close(&second); /* closed is fine */
}

static void a_link_in_its_place_is_not_followed(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    struct ou_error err = OU_ERROR_INIT;
    struct xfer_checkpoint cp;

    assert_int_equal(symlinkat("target", dirfd, NAME), 0);
    assert_int_equal(xfer_checkpoint_open(&cp, dirfd, NAME, true, &err), -ELOOP);
    assert_int_equal(faccessat(dirfd, "target", F_OK, 0), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_in_dir(each_event_is_read_back),
        unit_test_in_dir(torn_at_any_byte_it_is_what_was_whole_before),
        unit_test_in_dir(a_wrong_byte_ends_what_is_believed),
        unit_test_in_dir(what_follows_a_torn_line_is_written_over_it),
        unit_test_in_dir(another_version_is_left_alone),
        unit_test_in_dir(nonsense_is_not_believed),
        unit_test_in_dir(part_10000_is_a_part),
        unit_test_in_dir(the_last_line_of_a_part_counts),
        unit_test_in_dir(each_field_is_compared),
        cmocka_unit_test(source_and_target_make_the_name),
        cmocka_unit_test(a_long_name_is_cut_between_characters),
        unit_test_in_dir(lines_of_parts_are_synced_by_the_sixteen),
        unit_test_in_dir(nobody_else_may_read_or_have_it),
        unit_test_in_dir(a_link_in_its_place_is_not_followed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

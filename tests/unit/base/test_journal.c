/*
 * Linked with -Wl,--wrap=...: a planned errno makes the next such call fail.
 */
#include "base/cleanup.h"
#include "base/crc64.h"
#include "base/file.h"
#include "base/journal.h"

#include "unit/unit.h"

#include <inttypes.h>

int __wrap_renameat(int olddir, const char *from, int newdir, const char *to);
int __real_renameat(int olddir, const char *from, int newdir, const char *to);
int __wrap_fdatasync(int fd);
int __real_fdatasync(int fd);
int __wrap_fsync(int fd);
int __real_fsync(int fd);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t len, off_t offset);
ssize_t __real_pwrite64(int fd, const void *data, size_t len, off_t offset);
int __wrap_ftruncate64(int fd, off_t size);
int __real_ftruncate64(int fd, off_t size);

static struct {
    int rename_errno, fdatasync_errno, fsync_errno, truncate_errno;
    int write_errno; /* after the bytes of .write_torn were written */
    size_t write_torn;
    int fdatasyncs; /* seen */
} plan;

static int fail_by(int errnum)
{
    errno = errnum;
    return errnum ? -1 : 0;
}

int __wrap_renameat(int olddir, const char *from, int newdir, const char *to)
{
    return fail_by(plan.rename_errno) ? -1 : __real_renameat(olddir, from, newdir, to);
}

int __wrap_fdatasync(int fd)
{
    plan.fdatasyncs++;
    return fail_by(plan.fdatasync_errno) ? -1 : __real_fdatasync(fd);
}

int __wrap_fsync(int fd)
{
    return fail_by(plan.fsync_errno) ? -1 : __real_fsync(fd);
}

ssize_t __wrap_pwrite64(int fd, const void *data, size_t len, off_t offset)
{
    if (plan.write_torn && len > plan.write_torn) {
        ssize_t n = __real_pwrite64(fd, data, plan.write_torn, offset);

        plan.write_torn = 0;
        return n;
    }
    return fail_by(plan.write_errno) ? -1 : __real_pwrite64(fd, data, len, offset);
}

int __wrap_ftruncate64(int fd, off_t size)
{
    return fail_by(plan.truncate_errno) ? -1 : __real_ftruncate64(fd, size);
}

static int setup(void **state)
{
    memset(&plan, 0, sizeof(plan));
    return unit_dir_setup(state);
}

static const char *const objects[] = {
    "{\"op\":\"intent\",\"key\":\"a/b\"}",
    "{\"op\":\"part\",\"number\":1,\"etag\":\"\\\"X\\\"\"}",
    "{\"op\":\",\\\"sum\\\":\\\"0000000000000000\\\"}\"}",
    "{\"op\":\"done\"}",
};
#define OBJECTS (sizeof(objects) / sizeof(objects[0]))

/* Gathers "op" of each line, separated by '|'. */
static int gather(const struct ou_json *line, void *ctx, struct ou_error *err)
{
    const char *op = ou_json_string(line, "op");

    assert_non_null(op);
    ou_buf_addf(ctx, "%s|", op);
    return strcmp(op, "stop") == 0 ? ou_error_say(err, ECANCELED, "stopped") : 0;
}

static const char *const gathered[] = {
    "",
    "intent|",
    "intent|part|",
    "intent|part|,\"sum\":\"0000000000000000\"}|",
    "intent|part|,\"sum\":\"0000000000000000\"}|done|",
};

static void append(struct ou_journal *j, const char *object)
{
    struct ou_error err = OU_ERROR_INIT;

    if (ou_journal_append(j, object, strlen(object), false, &err) < 0)
        fail_msg("%s", err.message);
}

/* The bytes of a journal of the first @count objects; @ends[i] is the end of line i. */
static void seal_all(struct ou_buf *out, size_t count, size_t *ends)
{
    struct ou_error err;

    for (size_t i = 0; i < count; i++) {
        assert_int_equal(ou_journal_seal(out, objects[i], strlen(objects[i]), &err), 0);
        ends[i] = out->len;
    }
}

static void put_file(int dirfd, const void *data, size_t len)
{
    ou_autoclose int fd = openat(dirfd, "j", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct ou_error err;

    assert_int_equal(ou_write_all(fd, data, len, &err), 0);
}

static void replays_as(int dirfd, const char *expected)
{
    ou_auto(ou_buf_fini) struct ou_buf seen = {0};
    struct ou_error err = OU_ERROR_INIT;
    struct ou_journal j;

    if (ou_journal_open(&j, dirfd, "j", false, gather, &seen, &err) < 0)
        fail_msg("%s", err.message);
    ou_journal_close(&j);
    assert_string_equal(ou_buf_str(&seen), expected);
}

static void what_was_appended_is_replayed_in_order(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    struct ou_error err;
    struct ou_journal j;
    struct stat st;

    assert_int_equal(ou_journal_open(&j, dirfd, "j", true, NULL, NULL, &err), 0);
    for (size_t i = 0; i < OBJECTS; i++) {
        append(&j, objects[i]);
        replays_as(dirfd, gathered[i + 1]);
    }
    assert_int_equal(fstatat(dirfd, "j", &st, 0), 0);
    assert_int_equal(st.st_size, j.size);
    assert_int_equal(st.st_mode & 07777, 0600);
    ou_journal_close(&j);
    ou_journal_close(&j); /* a second time is nothing */
}

static void a_line_is_the_object_its_sum_and_a_line_feed(void **state)
{
    ou_auto(ou_buf_fini) struct ou_buf line = {0};
    char expected[128];
    struct ou_error err;

    (void)state;
    assert_int_equal(ou_journal_seal(&line, "{\"a\":1}", 7, &err), 0);
    (void)snprintf(expected, sizeof(expected), "{\"a\":1,\"sum\":\"%016" PRIx64 "\"}\n",
                   ou_crc64(0, "{\"a\":1", 6));
    assert_string_equal(line.data, expected);
}

static void only_objects_of_one_line_are_sealed(void **state)
{
    static const char *const bad[] = {"",        "{",           "[1]",        "1",          "{}",
                                      "{ }",     " {\"a\":1}",  "{\"a\":1} ", "{\"a\":1}x", "null",
                                      "{\"a\"}", "{\"a\":\n1}", "{\"a\":1}\n"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ou_auto(ou_buf_fini) struct ou_buf line = {0};
        struct ou_error err;

        if (ou_journal_seal(&line, bad[i], strlen(bad[i]), &err) != -EINVAL)
            fail_msg("sealed: %s", bad[i]);
        assert_int_equal(line.len, 0);
    }
}

static void a_torn_tail_is_dropped_wherever_it_was_torn(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    ou_auto(ou_buf_fini) struct ou_buf all = {0};
    size_t ends[OBJECTS];

    seal_all(&all, OBJECTS, ends);
    for (size_t len = 0; len <= all.len; len++) {
        size_t whole = 0;

        while (whole < OBJECTS && ends[whole] <= len)
            whole++;
        put_file(dirfd, all.data, len);
        replays_as(dirfd, gathered[whole]);
    }
}

static void an_append_after_a_torn_tail_follows_the_last_good_line(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    ou_auto(ou_buf_fini) struct ou_buf all = {0};
    size_t ends[2];

    seal_all(&all, 2, ends);
    for (size_t len = ends[0]; len < ends[1]; len++) {
        struct ou_error err;
        struct ou_journal j;

        put_file(dirfd, all.data, len);
        assert_int_equal(ou_journal_open(&j, dirfd, "j", false, NULL, NULL, &err), 0);
        assert_int_equal(j.size, ends[0]);
        append(&j, "{\"op\":\"next\"}");
        ou_journal_close(&j);
        replays_as(dirfd, "intent|next|");
    }
}

static void reading_alone_cuts_nothing(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);

    put_file(dirfd, "{\"torn", 6);
    replays_as(dirfd, "");
    unit_assert_content(dirfd, "j", "{\"torn");
}

/* Every byte, by every other value: what is replayed is a prefix of the truth. */
static void a_flipped_byte_never_yields_a_wrong_line(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    ou_auto(ou_buf_fini) struct ou_buf all = {0};
    size_t ends[2];

    seal_all(&all, 2, ends);
    for (size_t at = 0; at < all.len; at++) {
        char good = all.data[at];

        for (int flip = 1; flip < 256; flip += (flip & (flip - 1)) && at % 8 ? 16 : 1) {
            all.data[at] = (char)(good ^ flip);
            put_file(dirfd, all.data, all.len);
            replays_as(dirfd, gathered[at < ends[0] ? 0 : 1]);
        }
        all.data[at] = good;
    }
}

static void a_line_longer_than_a_read_is_replayed(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    ou_auto(ou_buf_fini) struct ou_buf object = {0};
    struct ou_error err;
    struct ou_journal j;

    assert_int_equal(ou_journal_open(&j, dirfd, "j", true, NULL, NULL, &err), 0);
    for (int len = 65400; len < 65700; len += 7) { /* around a chunk, and several of them */
        ou_buf_clear(&object);
        ou_buf_addf(&object, "{\"op\":\"long\",\"pad\":\"%0*d\"}", len, 1);
        append(&j, object.data);
    }
    append(&j, "{\"op\":\"last\"}");
    ou_journal_close(&j);
    {
        ou_auto(ou_buf_fini) struct ou_buf seen = {0};

        assert_int_equal(ou_journal_open(&j, dirfd, "j", false, gather, &seen, &err), 0);
        ou_journal_close(&j);
        assert_int_equal(seen.len, 43 * strlen("long|") + strlen("last|"));
    }
}

static void lines_are_bounded(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    static char big[OU_JOURNAL_LINE_MAX + 100000];
    struct ou_error err;
    struct ou_journal j;

    memset(big, ' ', sizeof(big));
    assert_int_equal(ou_journal_open(&j, dirfd, "j", true, NULL, NULL, &err), 0);
    assert_int_equal(ou_journal_append(&j, big, OU_JOURNAL_LINE_MAX, false, &err), -EMSGSIZE);
    ou_journal_close(&j);
    put_file(dirfd, big, sizeof(big));
    replays_as(dirfd, "");
}

static void a_sealed_line_that_is_no_object_stops_it_and_drops_nothing(void **state)
{
    static const char *const bodies[] = {"hello", "[1", "{\"a\":[}", "{"};
    ou_autoclose int dirfd = unit_open_dir(*state);

    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct ou_error err;
        struct ou_journal j;
        char line[128];

        (void)snprintf(line, sizeof(line), "%s,\"sum\":\"%016" PRIx64 "\"}\n", bodies[i],
                       ou_crc64(0, bodies[i], strlen(bodies[i])));
        put_file(dirfd, line, strlen(line));
        assert_int_equal(ou_journal_open(&j, dirfd, "j", false, NULL, NULL, &err), -EBADMSG);
        assert_int_equal(j.fd, -1);
        unit_assert_content(dirfd, "j", line);
    }
}

static void the_callback_can_stop_it(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    ou_auto(ou_buf_fini) struct ou_buf seen = {0};
    struct ou_error err = OU_ERROR_INIT;
    struct ou_journal j;

    assert_int_equal(ou_journal_open(&j, dirfd, "j", true, NULL, NULL, &err), 0);
    append(&j, "{\"op\":\"stop\"}");
    append(&j, "{\"op\":\"after\"}");
    ou_journal_close(&j);
    assert_int_equal(ou_journal_open(&j, dirfd, "j", false, gather, &seen, &err), -ECANCELED);
    assert_string_equal(ou_buf_str(&seen), "stop|");
    assert_string_equal(err.message, "replay j from byte 0: stopped");
    assert_int_equal(j.fd, -1);
}

static void an_absent_file_is_made_only_when_asked_for(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    struct ou_error err;
    struct ou_journal j;

    assert_int_equal(ou_journal_open(&j, dirfd, "j", false, NULL, NULL, &err), -ENOENT);
    assert_int_equal(faccessat(dirfd, "j", F_OK, 0), -1);
    plan.fsync_errno = EIO; /* the directory: the name would not last */
    assert_int_equal(ou_journal_open(&j, dirfd, "j", true, NULL, NULL, &err), -EIO);
    assert_int_equal(j.fd, -1);
}

static void open_intent(struct ou_journal *j, int dirfd)
{
    struct ou_error err;

    assert_int_equal(ou_journal_open(j, dirfd, "j", true, NULL, NULL, &err), 0);
    append(j, objects[0]);
}

static void a_sync_is_done_when_it_is_asked_for(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    struct ou_error err;
    struct ou_journal j;

    open_intent(&j, dirfd);
    assert_int_equal(plan.fdatasyncs, 0);
    assert_int_equal(ou_journal_append(&j, objects[1], strlen(objects[1]), true, &err), 0);
    assert_int_equal(plan.fdatasyncs, 1);
    assert_int_equal(ou_journal_sync(&j, &err), 0);
    assert_int_equal(plan.fdatasyncs, 2);
    plan.fdatasync_errno = EIO;
    assert_int_equal(ou_journal_sync(&j, &err), -EIO);
    ou_journal_close(&j);
}

static void a_full_disk_leaves_the_good_lines_only(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    struct ou_error err;
    struct ou_journal j;
    struct stat st;

    open_intent(&j, dirfd);
    plan.write_torn = 5;
    plan.write_errno = ENOSPC;
    assert_int_equal(ou_journal_append(&j, objects[1], strlen(objects[1]), true, &err), -ENOSPC);
    assert_int_equal(fstatat(dirfd, "j", &st, 0), 0);
    assert_int_equal(st.st_size, j.size);
    plan.write_errno = 0;
    append(&j, objects[1]);
    replays_as(dirfd, gathered[2]);
    ou_journal_close(&j);
}

static void a_tail_that_could_not_be_cut_is_cut_by_the_next_append(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    struct ou_error err;
    struct ou_journal j;

    open_intent(&j, dirfd);
    plan.write_torn = 20;
    plan.write_errno = EIO;
    plan.truncate_errno = EIO;
    assert_int_equal(ou_journal_append(&j, objects[1], strlen(objects[1]), true, &err), -EIO);
    plan.write_errno = 0;
    assert_int_equal(ou_journal_append(&j, "{\"op\":1}", 8, true, &err), -EIO); /* still no cut */
    replays_as(dirfd, gathered[1]);
    plan.truncate_errno = 0;
    append(&j, "{\"op\":\"x\"}");
    replays_as(dirfd, "intent|x|");
    ou_journal_close(&j);
}

static void a_line_that_was_not_synced_is_taken_back(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    struct ou_error err;
    struct ou_journal j;

    open_intent(&j, dirfd);
    plan.fdatasync_errno = EIO;
    assert_int_equal(ou_journal_append(&j, objects[1], strlen(objects[1]), true, &err), -EIO);
    assert_string_equal(err.message, "append to j: sync: Input/output error");
    replays_as(dirfd, gathered[1]);
    ou_journal_close(&j);
}

static void fill(struct ou_buf out[2])
{
    ou_buf_adds(&out[0], "{\"op\":\"new1\"}");
    ou_buf_adds(&out[1], "{\"op\":\"new2\"}");
}

static void rewriting_replaces_all_lines_and_appends_go_on(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    struct ou_buf lines[2] = {{0}};
    struct ou_error err;
    struct ou_journal j;

    fill(lines);
    open_intent(&j, dirfd);
    assert_int_equal(ou_journal_rewrite(&j, lines, 2, &err), 0);
    replays_as(dirfd, "new1|new2|");
    append(&j, objects[3]);
    replays_as(dirfd, "new1|new2|done|");
    assert_int_equal(ou_journal_rewrite(&j, NULL, 0, &err), 0);
    replays_as(dirfd, "");
    append(&j, objects[0]);
    replays_as(dirfd, "intent|");
    ou_journal_close(&j);
    ou_buf_fini(&lines[0]);
    ou_buf_fini(&lines[1]);
}

static void a_failed_rewrite_leaves_the_old_lines_whole(void **state)
{
    ou_autoclose int dirfd = unit_open_dir(*state);
    struct ou_buf lines[2] = {{0}};
    struct ou_error err;
    struct ou_journal j;

    fill(lines);
    open_intent(&j, dirfd);
    plan.rename_errno = EIO;
    assert_int_equal(ou_journal_rewrite(&j, lines, 2, &err), -EIO);
    plan.rename_errno = 0;
    plan.fsync_errno = ENOSPC;
    assert_int_equal(ou_journal_rewrite(&j, lines, 2, &err), -ENOSPC);
    plan.fsync_errno = 0;
    ou_buf_adds(&lines[1], "no object any more");
    assert_int_equal(ou_journal_rewrite(&j, lines, 2, &err), -EINVAL);
    assert_int_equal(faccessat(dirfd, "j.tmp", F_OK, 0), -1);
    replays_as(dirfd, gathered[1]);
    append(&j, objects[1]);
    replays_as(dirfd, gathered[2]);
    ou_journal_close(&j);
    ou_buf_fini(&lines[0]);
    ou_buf_fini(&lines[1]);
}

static void a_rewrite_of_many_lines_is_whole(void **state)
{
    enum { COUNT = 3000 };
    ou_autoclose int dirfd = unit_open_dir(*state);
    ou_autofree struct ou_buf *lines = calloc(COUNT, sizeof(*lines));
    ou_auto(ou_buf_fini) struct ou_buf expected = {0}, seen = {0};
    struct ou_error err;
    struct ou_journal j;

    for (int i = 0; i < COUNT; i++) {
        ou_buf_addf(&lines[i], "{\"op\":\"%d\",\"pad\":\"%0*d\"}", i, 200, i);
        ou_buf_addf(&expected, "%d|", i);
    }
    open_intent(&j, dirfd);
    assert_int_equal(ou_journal_rewrite(&j, lines, COUNT, &err), 0);
    ou_journal_close(&j);
    assert_int_equal(ou_journal_open(&j, dirfd, "j", false, gather, &seen, &err), 0);
    ou_journal_close(&j);
    assert_string_equal(seen.data, expected.data);
    for (int i = 0; i < COUNT; i++)
        ou_buf_fini(&lines[i]);
}

#define in_dir(f) cmocka_unit_test_setup_teardown(f, setup, unit_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_dir(what_was_appended_is_replayed_in_order),
        in_dir(a_line_is_the_object_its_sum_and_a_line_feed),
        in_dir(only_objects_of_one_line_are_sealed),
        in_dir(a_torn_tail_is_dropped_wherever_it_was_torn),
        in_dir(an_append_after_a_torn_tail_follows_the_last_good_line),
        in_dir(reading_alone_cuts_nothing),
        in_dir(a_flipped_byte_never_yields_a_wrong_line),
        in_dir(a_line_longer_than_a_read_is_replayed),
        in_dir(lines_are_bounded),
        in_dir(a_sealed_line_that_is_no_object_stops_it_and_drops_nothing),
        in_dir(the_callback_can_stop_it),
        in_dir(an_absent_file_is_made_only_when_asked_for),
        in_dir(a_sync_is_done_when_it_is_asked_for),
        in_dir(a_full_disk_leaves_the_good_lines_only),
        in_dir(a_tail_that_could_not_be_cut_is_cut_by_the_next_append),
        in_dir(a_line_that_was_not_synced_is_taken_back),
        in_dir(rewriting_replaces_all_lines_and_appends_go_on),
        in_dir(a_failed_rewrite_leaves_the_old_lines_whole),
        in_dir(a_rewrite_of_many_lines_is_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/cleanup.h"
#include "base/log.h"
#include "base/thread.h"

#include "unit/unit.h"

/* What is logged goes into the file "log" of the test's directory. */
struct captured {
    void *dir;
    int dirfd, fd;
};

static int setup(void **state)
{
    struct captured *c = calloc(1, sizeof(*c));
    struct ou_error err;

    if (!c)
        return -1;
    *state = c; /* teardown's from here on */
    if (unit_dir_setup(&c->dir))
        return -1;
    c->dirfd = unit_open_dir(c->dir);
    c->fd = openat(c->dirfd, "log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ou_log_to_fd(c->fd);
    return ou_log_configure("", &err);
}

static int teardown(void **state)
{
    struct captured *c = *state;
    int r;

    ou_log_to_fd(2);
    (void)close(c->fd);
    (void)close(c->dirfd);
    r = unit_dir_teardown(&c->dir);
    free(c);
    return r;
}

static void read_log(struct captured *c, struct ou_buf *out)
{
    struct ou_error err;

    assert_int_equal(ou_read_file(c->dirfd, "log", 64 << 20, out, &err), 0);
}

static void configure(const char *spec)
{
    struct ou_error err = OU_ERROR_INIT;

    if (ou_log_configure(spec, &err) < 0)
        fail_msg("%s", err.message);
}

static void the_default_is_warn(void **state)
{
    (void)state;
    for (int s = 0; s < OU_LOG_SUBJECTS; s++) {
        assert_true(ou_log_enabled((enum ou_log_subject)s, OU_LOG_ERROR));
        assert_true(ou_log_enabled((enum ou_log_subject)s, OU_LOG_WARN));
        assert_false(ou_log_enabled((enum ou_log_subject)s, OU_LOG_INFO));
    }
}

static void later_entries_win(void **state)
{
    (void)state;
    configure("info,oss:debug");
    assert_true(ou_log_enabled(OU_LOG_OSS, OU_LOG_DEBUG));
    assert_true(ou_log_enabled(OU_LOG_FS, OU_LOG_INFO));
    assert_false(ou_log_enabled(OU_LOG_FS, OU_LOG_DEBUG));
    configure("oss:debug,error");
    assert_false(ou_log_enabled(OU_LOG_OSS, OU_LOG_WARN));
    assert_true(ou_log_enabled(OU_LOG_OSS, OU_LOG_ERROR));
}

static void an_unknown_word_is_named_and_changes_nothing(void **state)
{
    static const char *const cases[][2] = {
        {"debug,loud", "\"loud\""}, {"debug,disk:info", "\"disk\""},      {"oss:", "\"\""},
        {"info,,debug", "\"\""},    {"oss:debug:info", "\"debug:info\""}, {"INFO", "\"INFO\""}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ou_error err = OU_ERROR_INIT;

        assert_int_equal(ou_log_configure(cases[i][0], &err), -EINVAL);
        assert_non_null(strstr(err.message, cases[i][1]));
        assert_false(ou_log_enabled(OU_LOG_OSS, OU_LOG_INFO));
    }
}

static void a_line_has_time_level_subject_and_text(void **state)
{
    ou_auto(ou_buf_fini) struct ou_buf out = {0};

    configure("info");
    ou_log_info(OU_LOG_SPOOL, "staged key=%s size=%d", "a/b", 7);
    ou_log_debug(OU_LOG_SPOOL, "unseen");
    read_log(*state, &out);
    /* 2024-03-05T08:09:10.123Z */
    assert_int_equal(out.data[10], 'T');
    assert_int_equal(out.data[23], 'Z');
    assert_string_equal(out.data + 24, " info spool: staged key=a/b size=7\n");
}

static void a_failure_tells_all_that_is_known(void **state)
{
    ou_auto(ou_buf_fini) struct ou_buf out = {0};
    struct ou_error err = {.errnum = EIO,
                           .http_status = 503,
                           .code = "SlowDown",
                           .request_id = "5C06",
                           .message = "put \"a\\b\": HTTP 503"};

    ou_log_warn(OU_LOG_OSS, &err, "upload part=%d", 3);
    read_log(*state, &out);
    assert_string_equal(out.data + 24,
                        " warn oss: upload part=3 error=\"put \\\"a\\\\b\\\": HTTP 503\" "
                        "errno=5 status=503 code=SlowDown request_id=5C06\n");
}

static void a_local_failure_has_no_empty_fields(void **state)
{
    ou_auto(ou_buf_fini) struct ou_buf out = {0};
    struct ou_error err = OU_ERROR_INIT;

    (void)ou_error_set(&err, ENOENT, "open x");
    ou_log_error(OU_LOG_FS, &err, "release");
    read_log(*state, &out);
    assert_string_equal(out.data + 24,
                        " error fs: release error=\"open x: No such file or directory\" errno=2\n");
}

static void no_key_can_forge_a_line(void **state)
{
    ou_auto(ou_buf_fini) struct ou_buf out = {0};
    struct ou_error err = OU_ERROR_INIT;

    (void)ou_error_say(&err, EIO, "a\nb\x1b[2J\r");
    ou_log_error(OU_LOG_FS, &err, "key=%s", "x\n2024 error fs: forged\x7f");
    read_log(*state, &out);
    assert_ptr_equal(strchr(out.data, '\n'), out.data + out.len - 1);
    assert_non_null(strstr(out.data, "key=x\\n2024 error fs: forged\\x7f "));
    assert_non_null(strstr(out.data, "error=\"a\\nb\\x1b[2J\\x0d\""));
}

static void a_line_without_end_is_cut_and_says_so(void **state)
{
    ou_auto(ou_buf_fini) struct ou_buf out = {0}, text = {0};

    while (text.len < 20000)
        ou_buf_adds(&text, "text\n");
    ou_log_write(OU_LOG_FS, OU_LOG_ERROR, "%s", text.data);
    read_log(*state, &out);
    assert_true(out.len <= 4096);
    assert_string_equal(out.data + out.len - 4, "...\n");
    assert_ptr_equal(strchr(out.data, '\n'), out.data + out.len - 1);
}

static void logging_leaves_errno_alone(void **state)
{
    struct ou_error err = {.message = "x"};

    (void)state;
    ou_log_to_fd(-1); /* the write fails by EBADF */
    errno = ENOSPC;
    ou_log_write(OU_LOG_FS, OU_LOG_ERROR, "x");
    assert_int_equal(errno, ENOSPC);
    ou_log_error(OU_LOG_FS, &err, "x");
    assert_int_equal(errno, ENOSPC);
}

static void *write_lines(void *arg)
{
    for (int i = 0; i < 500; i++)
        ou_log_write(OU_LOG_XFER, OU_LOG_ERROR, "%s", (const char *)arg);
    return NULL;
}

static void lines_of_several_threads_do_not_mix(void **state)
{
    static const char texts[2][8] = {"aaaaaaa", "bbbbbbb"};
    ou_auto(ou_buf_fini) struct ou_buf out = {0};
    pthread_t threads[2];
    struct ou_error err;
    int lines = 0;

    for (int i = 0; i < 2; i++)
        assert_int_equal(ou_thread_start(&threads[i], "log", write_lines, (void *)texts[i], &err),
                         0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    read_log(*state, &out);
    for (char *rest = out.data, *line; (line = strsep(&rest, "\n")) && *line; lines++)
        assert_true(strcmp(line + 24, " error xfer: aaaaaaa") == 0 ||
                    strcmp(line + 24, " error xfer: bbbbbbb") == 0);
    assert_int_equal(lines, 1000);
}

#define captured(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        captured(the_default_is_warn),
        captured(later_entries_win),
        captured(an_unknown_word_is_named_and_changes_nothing),
        captured(a_line_has_time_level_subject_and_text),
        captured(a_failure_tells_all_that_is_known),
        captured(a_local_failure_has_no_empty_fields),
        captured(no_key_can_forge_a_line),
        captured(a_line_without_end_is_cut_and_says_so),
        captured(logging_leaves_errno_alone),
        captured(lines_of_several_threads_do_not_mix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

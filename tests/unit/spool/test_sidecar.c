/*
 * Sidecars from outside: torn at every byte, each byte flipped. Whatever is read is a version that
 * was written, or nothing; never a mix.
 */
#include "spool_bucket.h"

#define VERSIONS 12

static struct {
    unsigned char data[4096];
    size_t size;
} versions[VERSIONS];

static int setup(void **state)
{
    struct ou_error err = OU_ERROR_INIT;

    world_reset();
    assert_int_equal(ou_log_configure("error", &err), 0);
    ou_log_to_fd(open("/dev/null", O_WRONLY | O_CLOEXEC)); /* damage is logged, many times */
    return unit_dir_setup(state);
}

/* A file with VERSIONS stable versions, each of other bytes. */
static struct spool_file *make_versions(struct spool *spool)
{
    struct spool_file *f = world_create(spool, "k");
    struct unit_random random = {.state = 5};
    struct ou_error err = OU_ERROR_INIT;
    unsigned char data[sizeof(versions[0].data)] = {0};
    size_t size = 0;

    for (int v = 0; v < VERSIONS; v++) {
        uint64_t offset = unit_random_below(&random, 2000);
        size_t len = 1 + unit_random_below(&random, 2000);

        if (v % 4 == 3) {
            size = unit_random_below(&random, size);
            memset(data + size, 0, sizeof(data) - size);
            assert_int_equal(spool_file_truncate(f, size, &err), 0);
        }
        unit_random_bytes(&random, data + offset, len);
        world_write(f, data + offset, len, offset);
        size = offset + len > size ? offset + len : size;
        assert_int_equal(v % 5 == 2 ? spool_file_sync(f, &err) : spool_file_flush(f, &err), 0);
        memcpy(versions[v].data, data, sizeof(data));
        versions[v].size = size;
    }
    return f;
}

/* @version: what must be there; -1: nothing that could be mistaken for a version. */
static void check_what_is_found(const char *dir, int version)
{
    struct spool *spool = world_spool(dir);
    struct spool_file *f = NULL;

    assert_int_equal(spool_find(spool, "k", &f), version >= 0);
    if (f)
        world_assert_file(f, versions[version].data, versions[version].size);
    spool_file_unref(f);
    spool_close(spool);
}

static char *sidecar_path(const char *copy, const struct spool *spool, const struct spool_file *f)
{
    char *path = malloc(8192);

    (void)snprintf(path, 8192, "%s%s/%s.ckpt", copy, strrchr(spool_dir((struct spool *)spool), '/'),
                   f->id);
    return path;
}

static void replace(const char *path, const void *data, size_t len)
{
    ou_autoclose int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0600);
    struct ou_error err = OU_ERROR_INIT;

    assert_int_equal(ou_write_all(fd, data, len, &err), 0);
}

static void a_torn_or_damaged_sidecar_never_tells_a_wrong_version(void **state)
{
    struct spool *spool = world_spool(*state);
    struct spool_file *f = make_versions(spool);
    ou_autofree char *copy = world_crash(spool, *state, "copy");
    ou_autofree char *path = sidecar_path(copy, spool, f);
    ou_auto(ou_buf_fini) struct ou_buf whole = {0};
    struct ou_error err = OU_ERROR_INIT;
    size_t last;

    world_close(f);
    spool_close(spool);
    assert_int_equal(ou_read_file(AT_FDCWD, path, 1 << 20, &whole, &err), 0);
    check_what_is_found(copy, VERSIONS - 1);
    /* The last line is the last version's; what is torn off is a line's end. */
    last = (size_t)((char *)memrchr(whole.data, '\n', whole.len - 1) - whole.data) + 1;
    for (size_t len = last; len < whole.len; len += 3) {
        replace(path, whole.data, len);
        check_what_is_found(copy, VERSIONS - 2);
    }
    for (size_t at = 0; at < whole.len; at += at < last ? 9 : 2) {
        whole.data[at] ^= 0x20;
        replace(path, whole.data, whole.len);
        whole.data[at] ^= 0x20;
        /* Without its LF the last line cannot be told from a torn one. */
        check_what_is_found(copy, at + 1 == whole.len ? VERSIONS - 2 : -1);
    }
}

static int count_items(const struct spool_listed *item, const char *state)
{
    return !strcmp(item->state, state);
}

struct listing {
    int pending, open, failed, damaged;
};

static void on_item(void *ctx, const struct spool_listed *item)
{
    struct listing *l = ctx;

    l->pending += count_items(item, "pending");
    l->open += count_items(item, "open");
    l->failed += count_items(item, "failed");
    l->damaged += count_items(item, "damaged");
}

static struct listing list(const char *dir)
{
    struct listing l = {0};
    struct ou_error err = OU_ERROR_INIT;

    assert_int_equal(spool_list_dir(dir, on_item, &l, &err), 0);
    return l;
}

static void an_unknown_format_is_left_alone(void **state)
{
    static const char line[] = "{\"type\":\"file\",\"format\":99,\"id\":\"00000000000000aa\"}";
    struct spool *spool = world_spool(*state);
    ou_auto(ou_buf_fini) struct ou_buf text = {0};
    struct ou_error err = OU_ERROR_INIT;
    char path[8192];

    (void)snprintf(path, sizeof(path), "%s/00000000000000aa.ckpt", spool_dir(spool));
    assert_int_equal(ou_journal_seal(&text, line, strlen(line), &err), 0);
    replace(path, text.data, text.len);
    spool_close(spool);
    spool = world_spool(*state);
    assert_int_equal(list(spool_dir(spool)).damaged, 1);
    assert_int_equal(access(path, F_OK), 0);
    /* Its number is not given to another file. */
    assert_true(spool_next_seq(spool) > 0xaa);
    spool_close(spool);
}

static void data_without_a_sidecar_is_listed_and_kept(void **state)
{
    struct spool *spool = world_spool(*state);
    char path[8192];

    (void)snprintf(path, sizeof(path), "%s/00000000000000bb.data", spool_dir(spool));
    replace(path, "lost", 4);
    spool_close(spool);
    spool = world_spool(*state);
    assert_int_equal(list(spool_dir(spool)).damaged, 1);
    assert_int_equal(access(path, F_OK), 0);
    spool_close(spool);
}

static void what_was_open_is_listed_and_what_was_closed_is_pending(void **state)
{
    struct spool *spool = world_spool(*state);
    ou_autofree char *copy = NULL;
    struct spool_file *f;
    struct listing l;

    world_put(spool, "closed", "1", 1);
    f = world_create(spool, "open");
    world_write(f, "2", 1, 0);
    copy = world_crash(spool, *state, "copy");
    l = list(spool_dir(spool));
    assert_int_equal(l.pending, 1);
    assert_int_equal(l.open, 1);
    world_close(f);
    spool_close(spool);

    spool = world_spool(copy);
    l = list(spool_dir(spool));
    assert_int_equal(l.pending, 1);
    assert_int_equal(l.open, 1);
    spool_close(spool);
}

static void a_sidecar_that_grows_is_rewritten(void **state)
{
    struct spool *spool = world_spool(*state);
    struct spool_file *f = world_create(spool, "log");
    struct ou_error err = OU_ERROR_INIT;
    ou_autofree char *copy = NULL;
    unsigned char data[3000];
    struct stat st;
    char path[8192];

    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (unsigned char)i;
        assert_int_equal(spool_file_append(f, data + i, 1, NULL, &err), 1);
        assert_int_equal(spool_file_flush(f, &err), 0);
    }
    (void)snprintf(path, sizeof(path), "%s/%s.ckpt", spool_dir(spool), f->id);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size < 128 << 10); /* 3000 lines of 200 bytes without it */
    copy = world_crash(spool, *state, "copy");
    world_close(f);
    spool_close(spool);

    spool = world_spool(copy);
    f = world_find(spool, "log");
    world_assert_file(f, data, sizeof(data));
    spool_file_unref(f);
    spool_close(spool);
}

#define world_test(f) cmocka_unit_test_setup_teardown(f, setup, unit_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(a_torn_or_damaged_sidecar_never_tells_a_wrong_version),
        world_test(an_unknown_format_is_left_alone),
        world_test(data_without_a_sidecar_is_listed_and_kept),
        world_test(what_was_open_is_listed_and_what_was_closed_is_pending),
        world_test(a_sidecar_that_grows_is_rewritten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

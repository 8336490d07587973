/*
 * Listings: what one LIST tells, and that changes of ours and LISTs in any order never make
 * something wrong believed.
 */
#include "fs/listing.h"
#include "fs/names.h"

#include "unit/unit.h"

#define DIR_KEY "d/"

/* A page of a LIST made from positions in order. */
static void page_of(struct oss_list_page *page, struct oss_list_entry *entries,
                    char keys[][FS_NAME_MAX + 8], const char *const *positions, size_t count,
                    bool truncated)
{
    *page = (struct oss_list_page){.entries = entries, .count = count, .truncated = truncated};
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(positions[i]);

        (void)snprintf(keys[i], FS_NAME_MAX + 8, DIR_KEY "%s", positions[i]);
        entries[i] = (struct oss_list_entry){.key = keys[i],
                                             .key_len = len + strlen(DIR_KEY),
                                             .is_prefix = len && positions[i][len - 1] == '/',
                                             .size = len};
    }
}

static struct fs_segment *segment_of(const char *const *positions, size_t count, bool truncated,
                                     const char *after, const char *prefix, uint64_t begun_ms,
                                     uint64_t until_ms)
{
    struct oss_list_entry entries[64];
    char keys[64][FS_NAME_MAX + 8];
    struct oss_list_page page;
    struct ou_error err;

    page_of(&page, entries, keys, positions, count, truncated);
    return fs_segment_new(&page, DIR_KEY, after, prefix, begun_ms, until_ms, &err);
}

#define SEGMENT(truncated, after, prefix, begun, until, ...)                                       \
    segment_of((const char *const[]){__VA_ARGS__},                                                 \
               sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), truncated, after,      \
               prefix, begun, until)

struct fixture {
    struct fs_listings all;
    struct fs_listing l;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (!f)
        return -1;
    fs_listing_init(&f->l, &f->all);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    fs_listing_fini(&f->l);
    assert_int_equal(f->all.names, 0);
    assert_null(f->all.oldest);
    free(f);
    return 0;
}

static enum fs_known ask(struct fixture *f, const char *name, uint64_t now_ms)
{
    struct fs_found found;

    return fs_listing_find(&f->l, name, now_ms, UINT64_MAX, &found);
}

static void a_whole_listing_tells_who_is_not_there(void **state)
{
    struct fixture *f = *state;

    fs_listing_install(&f->l, SEGMENT(false, NULL, NULL, 10, 100, "", "a", "b/", "c"));
    assert_int_equal(ask(f, "a", 50), FS_FILE);
    assert_int_equal(ask(f, "b", 50), FS_DIR);
    assert_int_equal(ask(f, "x", 50), FS_ABSENT);
    assert_int_equal(ask(f, "x", 100), FS_UNKNOWN);
}

static void the_directory_hides_the_object_of_its_name(void **state)
{
    struct fixture *f = *state;
    struct fs_segment *s = SEGMENT(false, NULL, NULL, 10, 100, "a", "a-", "a/", "b");

    assert_int_equal(s->hidden, 1);
    fs_listing_install(&f->l, s);
    assert_int_equal(ask(f, "a", 50), FS_DIR);
    assert_int_equal(ask(f, "a-", 50), FS_FILE);
}

static void keys_without_a_path_are_counted_and_left_out(void **state)
{
    struct fs_segment *s = SEGMENT(false, NULL, NULL, 10, 100, "", ".", "..", "../", "/", "a");

    (void)state;
    assert_int_equal(s->count, 2);
    assert_int_equal(s->hidden, 4);
    fs_segment_unref(s);
}

/* "a-x" stands between "a" and "a/": a page that ends there does not tell whether a is a directory. */
static void a_page_that_ends_between_a_name_and_its_directory_tells_nothing(void **state)
{
    struct fixture *f = *state;

    fs_listing_install(&f->l, SEGMENT(true, NULL, "a", 10, 100, "a", "a-x"));
    assert_int_equal(ask(f, "a", 50), FS_UNKNOWN);
    assert_int_equal(ask(f, "a-", 50), FS_ABSENT);
    assert_int_equal(ask(f, "a-y", 50), FS_UNKNOWN);
    fs_listing_install(&f->l, SEGMENT(false, NULL, "a/", 20, 100, "a/"));
    assert_int_equal(ask(f, "a", 50), FS_DIR);
}

static void the_marker_is_no_name(void **state)
{
    struct fixture *f = *state;
    struct fs_found found;

    assert_int_equal(fs_listing_marker(&f->l, 50, UINT64_MAX, &found), FS_UNKNOWN);
    fs_listing_install(&f->l, SEGMENT(false, NULL, NULL, 10, 100, "", "a"));
    assert_int_equal(fs_listing_marker(&f->l, 50, UINT64_MAX, &found), FS_FILE);
    fs_listing_install(&f->l, SEGMENT(false, NULL, NULL, 20, 100, "a"));
    assert_int_equal(fs_listing_marker(&f->l, 50, UINT64_MAX, &found), FS_ABSENT);
}

static void a_change_is_newer_than_a_list_that_began_before_it(void **state)
{
    struct fixture *f = *state;
    struct fs_version v = {.size = 7};

    fs_listing_change(&f->l, "a", FS_ABSENT, NULL, 30, 40);
    fs_listing_install(&f->l, SEGMENT(false, NULL, NULL, 20, 100, "a"));
    assert_int_equal(ask(f, "a", 50), FS_ABSENT);
    fs_listing_install(&f->l, SEGMENT(false, NULL, NULL, 35, 100, "a"));
    assert_int_equal(ask(f, "a", 50), FS_FILE);
    fs_listing_change(&f->l, "b", FS_FILE, &v, 60, 70);
    assert_int_equal(ask(f, "b", 65), FS_FILE);
}

static void a_newborn_directory_needs_no_listing(void **state)
{
    struct fixture *f = *state;

    f->l.born = true;
    f->l.born_until_ms = 100;
    assert_int_equal(ask(f, "a", 50), FS_ABSENT);
    fs_listing_change(&f->l, "a", FS_DIR, NULL, 10, 20);
    assert_int_equal(ask(f, "a", 50), FS_DIR);
    assert_int_equal(ask(f, "a", 100), FS_UNKNOWN);
}

static void forgotten_changes_take_their_segments_along(void **state)
{
    struct fixture *f = *state;

    fs_listing_install(&f->l, SEGMENT(false, NULL, NULL, 5, 100000, "a"));
    for (uint64_t i = 0; i <= FS_LISTING_CHANGES_MAX; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "n%llu", (unsigned long long)i);
        fs_listing_change(&f->l, name, FS_ABSENT, NULL, 10 + i, 20 + i);
    }
    assert_int_equal(ask(f, "a", 60000), FS_UNKNOWN);
    fs_listing_install(&f->l, SEGMENT(false, NULL, NULL, 9, 100000, "a")); /* too old */
    assert_int_equal(ask(f, "a", 60000), FS_UNKNOWN);
    fs_listing_install(&f->l, SEGMENT(false, NULL, NULL, 11, 100000, "a"));
    assert_int_equal(ask(f, "a", 60000), FS_FILE);
}

/* -- random histories -- */

#define NAMES 12

static const char *const names[NAMES] = {"a", "a-", "a.b", "a0", "b", "b!",
                                         "c", "ca", "d",   "d-", "e", "f"};

struct world {
    enum fs_known truth[NAMES];
    uint64_t now_ms;
    unsigned seed;
};

struct flight {
    bool flying, late; /* .late: OSS looks at the bucket at the end, else at the start */
    uint64_t begun_ms;
    int kind;
    const char *name;
    enum fs_known seen[NAMES];
};

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The LIST's answer: at most @most positions that begin with @prefix and lie behind @after. */
static struct fs_segment *answer(const struct flight *f, const char *after, const char *prefix,
                                 size_t most, uint64_t until_ms)
{
    char text[NAMES][8];
    const char *positions[NAMES];
    size_t count = 0, kept = 0;

    for (size_t i = 0; i < NAMES; i++) {
        if (f->seen[i] == FS_ABSENT)
            continue;
        (void)snprintf(text[i], sizeof(text[i]), "%s%s", names[i], f->seen[i] == FS_DIR ? "/" : "");
        if ((prefix && strncmp(text[i], prefix, strlen(prefix)) != 0) ||
            (after && strcmp(text[i], after) <= 0))
            continue;
        positions[count++] = text[i];
    }
    qsort(positions, count, sizeof(*positions), by_bytes);
    kept = count < most ? count : most;
    return segment_of(positions, kept, kept < count, after, prefix, f->begun_ms, until_ms);
}

static void land(struct fixture *f, struct world *w, struct flight *flight)
{
    uint64_t until_ms = w->now_ms + 20;
    size_t most = 2 + (size_t)rand_r(&w->seed) % 12;

    if (flight->late)
        memcpy(flight->seen, w->truth, sizeof(w->truth));
    if (flight->kind == 0)
        fs_listing_install(&f->l, answer(flight, NULL, NULL, most, until_ms));
    else if (flight->kind == 1)
        fs_listing_install(&f->l, answer(flight, flight->name, NULL, most, until_ms));
    else
        fs_listing_install(&f->l, answer(flight, NULL, flight->name, most, until_ms));
    flight->flying = false;
}

static void take_off(struct world *w, struct flight *flight)
{
    *flight = (struct flight){.flying = true,
                              .late = rand_r(&w->seed) % 2,
                              .begun_ms = w->now_ms,
                              .kind = rand_r(&w->seed) % 3,
                              .name = names[(size_t)rand_r(&w->seed) % NAMES]};
    memcpy(flight->seen, w->truth, sizeof(w->truth));
}

static void we_change(struct fixture *f, struct world *w)
{
    size_t i = (size_t)rand_r(&w->seed) % NAMES;
    enum fs_known to[3] = {FS_ABSENT, FS_FILE, FS_DIR};
    struct fs_version v = {.size = 1};

    w->truth[i] = to[rand_r(&w->seed) % 3];
    fs_listing_change(&f->l, names[i], w->truth[i], w->truth[i] == FS_FILE ? &v : NULL, w->now_ms,
                      w->now_ms + 20);
}

static void what_is_believed_is_true_as_long_as_only_we_change_the_bucket(void **state)
{
    struct fixture *f = *state;
    struct flight flights[3] = {{.flying = false}};
    struct world w = {.now_ms = 100, .seed = 7};
    size_t known = 0;

    for (size_t i = 0; i < NAMES; i++)
        w.truth[i] = FS_ABSENT;
    for (int step = 0; step < 200000; step++) {
        struct flight *flight = &flights[rand_r(&w.seed) % 3];

        w.now_ms += (uint64_t)rand_r(&w.seed) % 3;
        if (rand_r(&w.seed) % 4 == 0)
            we_change(f, &w);
        else if (flight->flying)
            land(f, &w, flight);
        else
            take_off(&w, flight);
        for (size_t i = 0; i < NAMES; i++) {
            enum fs_known told = ask(f, names[i], w.now_ms);

            if (told != FS_UNKNOWN)
                assert_int_equal(told, w.truth[i]);
            known += told != FS_UNKNOWN;
        }
    }
    assert_true(known > 100000); /* it does believe something */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_whole_listing_tells_who_is_not_there),
        TEST(the_directory_hides_the_object_of_its_name),
        TEST(keys_without_a_path_are_counted_and_left_out),
        TEST(a_page_that_ends_between_a_name_and_its_directory_tells_nothing),
        TEST(the_marker_is_no_name),
        TEST(a_change_is_newer_than_a_list_that_began_before_it),
        TEST(a_newborn_directory_needs_no_listing),
        TEST(forgotten_changes_take_their_segments_along),
        TEST(what_is_believed_is_true_as_long_as_only_we_change_the_bucket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

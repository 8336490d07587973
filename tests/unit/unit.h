/*
 * What unit tests share: cmocka with the headers it wants, a directory that is
 * gone afterwards, repeatable randomness, the vectors of the wire.
 *
 * Header only: #include "unit/unit.h". A test uses what it needs of it.
 */
#ifndef OSSUP_TESTS_UNIT_H
#define OSSUP_TESTS_UNIT_H

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* cmocka_unit_test_setup_teardown(test, unit_dir_setup, unit_dir_teardown): *state is a new
 * directory's path. */
static inline int unit_dir_setup(void **state)
{
    const char *base = getenv("TMPDIR");
    char *path = malloc(4096);

    if (!path)
        return -1;
    (void)snprintf(path, 4096, "%s/ossup-unit-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(path)) {
        free(path);
        return -1;
    }
    *state = path;
    return 0;
}

static inline int unit_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline int unit_dir_teardown(void **state)
{
    int r = nftw(*state, unit_remove, 8, FTW_DEPTH | FTW_PHYS);

    free(*state);
    return r;
}

#define unit_test_in_dir(f) cmocka_unit_test_setup_teardown(f, unit_dir_setup, unit_dir_teardown)

static inline int unit_open_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

/* Repeatable randomness (xorshift64*): a failure comes back in the next run. */
struct unit_random {
    uint64_t state; /* not 0 */
};

static inline uint64_t unit_random(struct unit_random *r)
{
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return r->state * UINT64_C(2685821657736338717);
}

/* 0 <= result < @bound */
static inline uint64_t unit_random_below(struct unit_random *r, uint64_t bound)
{
    return unit_random(r) % bound;
}

static inline void unit_random_bytes(struct unit_random *r, void *out, size_t len)
{
    unsigned char *p = out;

    for (; len >= sizeof(uint64_t); len -= sizeof(uint64_t), p += sizeof(uint64_t)) {
        uint64_t word = unit_random(r);

        memcpy(p, &word, sizeof(word));
    }
    for (; len > 0; len--)
        *p++ = (unsigned char)(unit_random(r) >> 32);
}

/* Asserts that the file @name in @dirfd holds exactly @text. */
static inline void unit_assert_content(int dirfd, const char *name, const char *text)
{
    struct ou_buf content = {0};
    struct ou_error err = OU_ERROR_INIT;

    assert_int_equal(ou_read_file(dirfd, name, 1 << 20, &content, &err), 0);
    assert_string_equal(ou_buf_str(&content), text);
    ou_buf_fini(&content);
}

/* tests/data/oss-vectors.json; ou_json_free() it. */
static inline struct ou_json *unit_vectors(void)
{
    struct ou_buf text = {0};
    struct ou_error err = OU_ERROR_INIT;
    struct ou_json *root = NULL;

    assert_int_equal(
        ou_read_file(AT_FDCWD, OSSUP_TEST_DATA "/oss-vectors.json", 4 << 20, &text, &err), 0);
    assert_int_equal(ou_json_parse(text.data, text.len, &root, &err), 0);
    ou_buf_fini(&text);
    return root;
}

#endif

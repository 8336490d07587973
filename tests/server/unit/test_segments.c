/* Segments: the checksums of a stretch of a data file. */
#include "server/datadir.h"
#include "server/segments.h"
#include "server/unit/vectors.h"

#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static char root[64];
static struct srv_datadir dir;
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
    (void)state;
    (void)snprintf(root, sizeof(root), "/tmp/oss-server-unit-XXXXXX");
    return mkdtemp(root) == NULL || srv_datadir_open(&dir, root) < 0 ? -1 : 0;
}

static int stop(void **state)
{
    (void)state;
    srv_datadir_fini(&dir);
    srv_error_fini(&err);
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A data file of 5 MiB and a bit, and its bytes. */
static struct srv_datafile *write_noise(uint8_t *bytes, size_t len)
{
    struct srv_writer w;
    struct srv_datafile *file;
    uint64_t random = 88172645463325252;

    for (size_t i = 0; i < len; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        bytes[i] = (uint8_t)random;
    }
    srv_writer_init(&w, &dir, true);
    for (size_t at = 0; at < len; at += 300007)
        assert_int_equal(
            srv_writer_add(&w, bytes + at, len - at < 300007 ? len - at : 300007, &err), 0);
    file = srv_writer_finish(&w);
    srv_writer_fini(&w);
    return file;
}

static void assert_crc(struct srv_datafile *file, uint64_t first, uint64_t length,
                       uint64_t expected)
{
    struct srv_segments s = {0};
    uint64_t crc = 0;

    srv_segments_add(&s, file, first, length);
    assert_int_equal(srv_segments_crc(&s, &crc), 0);
    assert_true(crc == expected);
    srv_segments_fini(&s);
}

static void the_crc_of_a_slice_is_that_of_its_bytes(void **state)
{
    const uint64_t edges[] = {0,           1,           MIB - 1, MIB,         MIB + 1,
                              3 * MIB - 7, 3 * MIB + 9, 5 * MIB, 5 * MIB + 77};
    const size_t count = sizeof(edges) / sizeof(edges[0]), len = 5 * MIB + 77;
    srv_autofree uint8_t *bytes = malloc(len);
    struct srv_datafile *file = write_noise(bytes, len);
    struct srv_segments s = {0};
    size_t marks = 0;
    uint64_t crc = 0;

    (void)state;
    for (int restarted = 0; restarted < 2; restarted++) {
        for (size_t i = 0; i < count; i++)
            for (size_t k = i + 1; k < count; k++)
                assert_crc(file, edges[i], edges[k] - edges[i],
                           srv_crc64(bytes + edges[i], edges[k] - edges[i], 0));
        if (!restarted)
            marks = file->mark_count;
        file->mark_count = 0; /* a restart forgets them */
    }
    file->mark_count = marks;
    assert_int_equal(marks, 5);
    srv_segments_add(&s, file, 2 * MIB + 5, len - 2 * MIB - 5);
    srv_segments_add(&s, file, 0, 2 * MIB + 5);
    assert_int_equal(srv_segments_crc(&s, &crc), 0);
    assert_true(
        crc == srv_crc64(bytes, 2 * MIB + 5, srv_crc64(bytes + 2 * MIB + 5, len - 2 * MIB - 5, 0)));
    srv_segments_fini(&s);
    srv_datafile_unref(file);
}

static void the_crc_of_a_large_slice_costs_no_reading_of_it(void **state)
{
    const size_t len = 5 * MIB + 77, first = MIB / 2, last = 4 * MIB + MIB / 2;
    srv_autofree uint8_t *bytes = malloc(len);
    struct srv_datafile *file = write_noise(bytes, len);
    srv_autofree char *path =
        srv_xasprintf("%s/data/%02x/%016" PRIx64, root, (unsigned)(file->id % 256), file->id);
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    (void)state;
    assert_int_equal(pwrite(fd, "?", 1, (off_t)(3 * MIB)), 1);
    (void)close(fd);
    assert_crc(file, first, last - first, srv_crc64(bytes + first, last - first, 0));
    srv_datafile_unref(file);
}

static void an_md5_is_known_of_whole_files_and_made_of_few_bytes(void **state)
{
    const size_t len = MIB + 9;
    srv_autofree uint8_t *bytes = malloc(len);
    struct srv_datafile *file = write_noise(bytes, len);
    struct srv_segments whole = {0}, most = {0};
    uint8_t md5[SRV_MD5_BYTES], expected[SRV_MD5_BYTES];

    (void)state;
    srv_segments_add(&whole, file, 0, len);
    srv_segments_add(&most, file, 1, len - 1);
    srv_md5(bytes, len, expected);
    assert_int_equal(srv_segments_md5(&whole, 0, md5), 1);
    assert_memory_equal(md5, expected, sizeof(md5));
    srv_md5(bytes + 1, len - 1, expected);
    assert_int_equal(srv_segments_md5(&most, len - 2, md5), 0);
    assert_int_equal(srv_segments_md5(&most, len - 1, md5), 1);
    assert_memory_equal(md5, expected, sizeof(md5));
    srv_segments_fini(&whole);
    srv_segments_fini(&most);
    srv_datafile_unref(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_crc_of_a_slice_is_that_of_its_bytes, start, stop),
        cmocka_unit_test_setup_teardown(the_crc_of_a_large_slice_costs_no_reading_of_it, start,
                                        stop),
        cmocka_unit_test_setup_teardown(an_md5_is_known_of_whole_files_and_made_of_few_bytes, start,
                                        stop),
    };

    return cmocka_run_group_tests_name("server segments", tests, NULL, NULL);
}

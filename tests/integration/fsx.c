/*
 * A model tester for one file: random operations on it and on its image in memory.
 *
 *   fsx run FILE IMAGE --seed S --from A --to B [--size MAX] [--end END] [--verbose]
 *   fsx check FILE IMAGE        is the file what the image says?
 *
 * `run` does the operations A..B-1 of the history S, compares what is read on the way, and
 * leaves the expected bytes in IMAGE. An operation follows from (S, its number, the file's size)
 * alone, so a history goes on where it stopped: in another process, after a remount. END says how:
 *
 *   close   (default) the file is closed
 *   fsync   it is fsynced and stays open: "ready" is printed, and the end of stdin awaited
 *   torn    it is fsynced, IMAGE is written, and then changed further, without close or fsync
 *
 * After `fsync` and `torn` the daemon is expected to be killed; what IMAGE says must be there then.
 * The idea is that of Apple's fsx; the code is not.
 *
 * Exit status: 0; 1 a difference or an unexpected errno (with the last operations); 2 usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LENGTH_MAX  (64u << 10) /* bytes of one operation */
#define TORN_OPS    20u         /* changes after the last fsync, with --end torn */
#define HISTORY     40u         /* operations that a failure tells */
#define HISTORY_LEN 120u

enum end { END_CLOSE, END_FSYNC, END_TORN };

struct fsx {
    const char *path, *image_path;
    uint64_t seed, from, to;
    size_t max;
    enum end end;
    bool verbose;

    unsigned char *image, *scratch;
    size_t size;
    int fd, other; /* two descriptors: what one writes the other reads */
    uint64_t now, random;
    char history[HISTORY][HISTORY_LEN];
    uint64_t told;
};

static uint64_t next(struct fsx *x) /* splitmix64 */
{
    uint64_t z = (x->random += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static size_t below(struct fsx *x, size_t limit)
{
    return limit == 0 ? 0 : (size_t)(next(x) % limit);
}

__attribute__((format(printf, 2, 3))) static void tell(struct fsx *x, const char *format, ...)
{
    char *line = x->history[x->told++ % HISTORY];
    va_list args;
    int used = snprintf(line, HISTORY_LEN, "%" PRIu64 ": ", x->now);

    va_start(args, format);
    (void)vsnprintf(line + used, HISTORY_LEN - (size_t)used, format, args);
    va_end(args);
    if (x->verbose)
        fprintf(stderr, "%s\n", line);
}

__attribute__((format(printf, 2, 3), noreturn)) static void fail(struct fsx *x, const char *format,
                                                                 ...)
{
    va_list args;

    for (uint64_t n = x->told > HISTORY ? x->told - HISTORY : 0; n < x->told; n++)
        fprintf(stderr, "  %s\n", x->history[n % HISTORY]);
    fprintf(stderr, "fsx: seed %" PRIu64 ", operation %" PRIu64 ": ", x->seed, x->now);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static void must(struct fsx *x, bool ok, const char *what)
{
    if (!ok)
        fail(x, "%s: %s", what, strerror(errno));
}

/* @got is what was read at @offset. */
static void compare(struct fsx *x, const unsigned char *got, size_t offset, size_t length,
                    const char *how)
{
    size_t at = 0, wrong = 0;

    if (memcmp(got, x->image + offset, length) == 0)
        return;
    while (got[at] == x->image[offset + at])
        at++;
    for (size_t n = at; n < length; n++)
        wrong += got[n] != x->image[offset + n];
    fail(x, "%s of [%zu, %zu): %zu bytes differ, the first at %zu: %02x for %02x; size %zu", how,
         offset, offset + length, wrong, offset + at, got[at], x->image[offset + at], x->size);
}

/* The image's size becomes at least @size, filled with zeros. */
static void grow(struct fsx *x, size_t size)
{
    if (size <= x->size)
        return;
    memset(x->image + x->size, 0, size - x->size);
    x->size = size;
}

static void pick_range(struct fsx *x, size_t limit, size_t *offset, size_t *length)
{
    size_t most = below(x, 4) == 0 ? 64 : LENGTH_MAX;

    *offset = below(x, limit);
    if (below(x, 4) == 0)
        *offset &= ~(size_t)4095;
    *length = 1 + below(x, most);
    if (below(x, 4) == 0)
        *length = (*length + 4095) & ~(size_t)4095;
    if (*length > limit - *offset)
        *length = limit - *offset;
}

static void fill(struct fsx *x, unsigned char *to, size_t length)
{
    uint64_t word = 0;

    for (size_t n = 0; n < length; n++) {
        if (n % 8 == 0)
            word = next(x);
        to[n] = (unsigned char)(word >> (n % 8 * 8));
    }
}

/* -- operations -- */

static void do_write(struct fsx *x)
{
    size_t offset, length;

    pick_range(x, x->max, &offset, &length);
    tell(x, "write [%zu, %zu)", offset, offset + length);
    fill(x, x->scratch, length);
    must(x, pwrite(x->fd, x->scratch, length, (off_t)offset) == (ssize_t)length, "pwrite");
    grow(x, offset + length);
    memcpy(x->image + offset, x->scratch, length);
}

static void do_append(struct fsx *x)
{
    size_t length = 1 + below(x, 5000);
    int fd;

    if (length > x->max - x->size)
        return;
    tell(x, "append [%zu, %zu)", x->size, x->size + length);
    fd = open(x->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    must(x, fd >= 0, "open O_APPEND");
    fill(x, x->scratch, length);
    must(x, write(fd, x->scratch, length) == (ssize_t)length, "append");
    memcpy(x->image + x->size, x->scratch, length);
    x->size += length;
    must(x, close(fd) == 0, "close of an appender");
}

static void do_read(struct fsx *x)
{
    size_t offset, length;
    ssize_t got;

    if (x->size == 0)
        return;
    pick_range(x, x->size, &offset, &length);
    tell(x, "read [%zu, %zu)", offset, offset + length);
    got = pread(below(x, 2) ? x->fd : x->other, x->scratch, length, (off_t)offset);
    must(x, got >= 0, "pread");
    if ((size_t)got != length)
        fail(x, "read of [%zu, %zu) gave %zd bytes; size %zu", offset, offset + length, got,
             x->size);
    compare(x, x->scratch, offset, length, "read");
}

static void do_map(struct fsx *x, bool write, bool torn)
{
    size_t offset, length, begin;
    unsigned char *map;

    if (x->size == 0)
        return;
    pick_range(x, x->size, &offset, &length);
    begin = offset & ~(size_t)4095;
    tell(x, "%s [%zu, %zu)", write ? "mapwrite" : "mapread", offset, offset + length);
    map = mmap(NULL, offset - begin + length, write ? PROT_READ | PROT_WRITE : PROT_READ,
               MAP_SHARED, x->fd, (off_t)begin);
    must(x, map != MAP_FAILED, "mmap");
    if (write) {
        fill(x, x->scratch, length);
        memcpy(map + (offset - begin), x->scratch, length);
        memcpy(x->image + offset, x->scratch, length);
        if (!torn && below(x, 2))
            must(x, msync(map, offset - begin + length, MS_SYNC) == 0, "msync");
    } else {
        compare(x, map + (offset - begin), offset, length, "mapread");
    }
    must(x, munmap(map, offset - begin + length) == 0, "munmap");
}

static void do_truncate(struct fsx *x, bool by_path)
{
    size_t size = below(x, 8) == 0 ? 0 : below(x, x->max);

    tell(x, "%s %zu to %zu", by_path ? "truncate" : "ftruncate", x->size, size);
    must(x, (by_path ? truncate(x->path, (off_t)size) : ftruncate(x->fd, (off_t)size)) == 0,
         "truncate");
    grow(x, size);
    x->size = size;
}

static void do_allocate(struct fsx *x)
{
    static const struct {
        int mode;
        bool zero, grows;
        const char *name;
    } ways[] = {
        {0, false, true, "allocate"},
        {FALLOC_FL_KEEP_SIZE, false, false, "allocate keep"},
        {FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, true, false, "punch"},
        {FALLOC_FL_ZERO_RANGE, true, true, "zero"},
        {FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, true, false, "zero keep"},
    };
    size_t way = below(x, sizeof(ways) / sizeof(ways[0])), offset, length, end;

    pick_range(x, x->max, &offset, &length);
    end = offset + length;
    tell(x, "%s [%zu, %zu), size %zu", ways[way].name, offset, end, x->size);
    must(x, fallocate(x->fd, ways[way].mode, (off_t)offset, (off_t)length) == 0, "fallocate");
    if (ways[way].grows)
        grow(x, end);
    if (end > x->size)
        end = x->size;
    if (ways[way].zero && offset < end)
        memset(x->image + offset, 0, end - offset);
}

/* Within the file; the ranges do not overlap. */
static void do_copy(struct fsx *x)
{
    size_t from, to, length, done = 0;

    if (x->size == 0)
        return;
    pick_range(x, x->size, &from, &length);
    to = below(x, x->max - length + 1);
    if (to < from + length && from < to + length)
        return;
    tell(x, "copy [%zu, %zu) to %zu", from, from + length, to);
    while (done < length) {
        off_t in = (off_t)(from + done), out = (off_t)(to + done);
        ssize_t r = copy_file_range(x->fd, &in, x->fd, &out, length - done, 0);

        must(x, r > 0, "copy_file_range");
        done += (size_t)r;
    }
    grow(x, to + length);
    memcpy(x->image + to, x->image + from, length);
}

/* Holes are zeros, and there is a hole at the end. */
static void do_seek(struct fsx *x)
{
    size_t offset = below(x, x->max);
    off_t hole = lseek(x->fd, (off_t)offset, SEEK_HOLE), data;

    tell(x, "seek from %zu, size %zu", offset, x->size);
    if (offset >= x->size) {
        if (hole >= 0 || errno != ENXIO)
            fail(x, "SEEK_HOLE beyond the end: %jd", (intmax_t)hole);
        return;
    }
    must(x, hole >= 0, "SEEK_HOLE");
    if ((size_t)hole < offset || (size_t)hole > x->size)
        fail(x, "SEEK_HOLE from %zu: %jd, size %zu", offset, (intmax_t)hole, x->size);
    data = lseek(x->fd, hole, SEEK_DATA);
    if (data < 0) {
        if (errno != ENXIO)
            fail(x, "SEEK_DATA: %s", strerror(errno));
        data = (off_t)x->size;
    }
    for (off_t n = hole; n < data; n++)
        if (x->image[n] != 0)
            fail(x, "there is data at %jd in the hole [%jd, %jd)", (intmax_t)n, (intmax_t)hole,
                 (intmax_t)data);
}

static void open_file(struct fsx *x)
{
    x->fd = open(x->path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    must(x, x->fd >= 0, "open");
    x->other = open(x->path, O_RDONLY | O_CLOEXEC);
    must(x, x->other >= 0, "open for reading");
}

static void close_file(struct fsx *x)
{
    must(x, close(x->other) == 0, "close of the reader");
    must(x, close(x->fd) == 0, "close");
}

static void check_size(struct fsx *x)
{
    struct stat by_fd, by_path;

    must(x, fstat(x->fd, &by_fd) == 0 && stat(x->path, &by_path) == 0, "stat");
    if ((size_t)by_fd.st_size != x->size || (size_t)by_path.st_size != x->size)
        fail(x, "the size is %jd (%jd by its name), not %zu", (intmax_t)by_fd.st_size,
             (intmax_t)by_path.st_size, x->size);
}

/* @torn: nothing that makes the state durable. */
static void operate(struct fsx *x, bool torn)
{
    unsigned dice;

    x->random = x->seed * UINT64_C(0x2545f4914f6cdd1d) + x->now * UINT64_C(0x9e3779b97f4a7c15);
    (void)next(x);
    dice = (unsigned)below(x, 100);
    if (dice < 25)
        do_write(x);
    else if (dice < 45)
        do_read(x);
    else if (dice < 55)
        do_map(x, false, torn);
    else if (dice < 65)
        do_map(x, true, torn);
    else if (dice < 73)
        do_truncate(x, !torn && below(x, 2));
    else if (dice < 83)
        do_allocate(x);
    else if (dice < 88)
        do_copy(x);
    else if (dice < 91)
        do_seek(x);
    else if (!torn && dice < 95)
        do_append(x);
    else if (!torn && dice < 98) {
        tell(x, "reopen");
        close_file(x);
        open_file(x);
    } else if (!torn && dice < 99) {
        tell(x, "fsync");
        must(x, fsync(x->fd) == 0, "fsync");
    }
    check_size(x);
}

/* -- the image -- */

static void read_all(struct fsx *x, int fd, unsigned char *to, size_t size, const char *what)
{
    size_t done = 0;

    while (done < size) {
        ssize_t r = pread(fd, to + done, size - done, (off_t)done);

        must(x, r >= 0, what);
        if (r == 0)
            fail(x, "%s ends at %zu, not at %zu", what, done, size);
        done += (size_t)r;
    }
}

static void load_image(struct fsx *x)
{
    struct stat st;
    int fd = open(x->image_path, O_RDONLY | O_CREAT | O_CLOEXEC, 0644);

    must(x, fd >= 0 && fstat(fd, &st) == 0, "the image");
    if ((size_t)st.st_size > x->max)
        x->max = (size_t)st.st_size;
    x->image = calloc(1, x->max + LENGTH_MAX);
    x->scratch = malloc(x->max + LENGTH_MAX);
    must(x, x->image != NULL && x->scratch != NULL, "memory");
    x->size = (size_t)st.st_size;
    read_all(x, fd, x->image, x->size, "the image");
    close(fd);
}

static void save_image(struct fsx *x)
{
    int fd = open(x->image_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    must(x, fd >= 0 && write(fd, x->image, x->size) == (ssize_t)x->size && close(fd) == 0,
         "save the image");
}

static void check_file(struct fsx *x)
{
    struct stat st;
    int fd = open(x->path, O_RDONLY | O_CLOEXEC);

    must(x, fd >= 0 && fstat(fd, &st) == 0, "open");
    if ((size_t)st.st_size != x->size)
        fail(x, "the file has %jd bytes, not %zu", (intmax_t)st.st_size, x->size);
    read_all(x, fd, x->scratch, x->size, "the file");
    compare(x, x->scratch, 0, x->size, "check");
    must(x, close(fd) == 0, "close");
}

static void await_end_of_stdin(void)
{
    char c;

    printf("ready\n");
    (void)fflush(stdout);
    while (read(STDIN_FILENO, &c, 1) > 0)
        ;
}

static void run(struct fsx *x)
{
    open_file(x);
    for (x->now = x->from; x->now < x->to; x->now++)
        operate(x, false);
    if (x->end == END_CLOSE) {
        close_file(x);
        save_image(x);
        return;
    }
    must(x, fsync(x->fd) == 0, "fsync");
    save_image(x);
    if (x->end == END_TORN)
        for (; x->now < x->to + TORN_OPS; x->now++)
            operate(x, true);
    await_end_of_stdin();
}

static int usage(void)
{
    fprintf(stderr, "usage: fsx run|check FILE IMAGE [--seed S] [--from A] [--to B] [--size MAX] "
                    "[--end close|fsync|torn] [--verbose]\n");
    return 2;
}

static bool option(struct fsx *x, const char *name, const char *value)
{
    if (strcmp(name, "--end") == 0) {
        static const char *const names[] = {"close", "fsync", "torn"};

        for (int n = END_CLOSE; n <= END_TORN; n++)
            if (strcmp(value, names[n]) == 0) {
                x->end = (enum end)n;
                return true;
            }
        return false;
    }

    char *rest;
    uint64_t number = strtoull(value, &rest, 10);

    if (*rest != '\0' || rest == value)
        return false;
    if (strcmp(name, "--seed") == 0)
        x->seed = number;
    else if (strcmp(name, "--from") == 0)
        x->from = number;
    else if (strcmp(name, "--to") == 0)
        x->to = number;
    else if (strcmp(name, "--size") == 0)
        x->max = (size_t)number;
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    static struct fsx x = {.max = 512u << 10, .to = 1000};

    if (argc < 4)
        return usage();
    x.path = argv[2];
    x.image_path = argv[3];
    for (int n = 4; n < argc; n++) {
        if (strcmp(argv[n], "--verbose") == 0)
            x.verbose = true;
        else if (n + 1 == argc || !option(&x, argv[n], argv[n + 1]))
            return usage();
        else
            n++;
    }
    if (x.max < LENGTH_MAX)
        return usage();

    load_image(&x);
    if (strcmp(argv[1], "run") == 0)
        run(&x);
    else if (strcmp(argv[1], "check") == 0)
        check_file(&x);
    else
        return usage();
    free(x.image);
    free(x.scratch);
    return 0;
}

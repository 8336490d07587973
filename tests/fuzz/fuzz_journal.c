/*
 * A journal as a crash, a bad disk or a stranger left it: replay takes a prefix of
 * whole lines, an append after it cuts the rest, and both are there when it is read again.
 */
#include "base/journal.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME "fuzz.journal"
#define LINE "{\"op\":\"after\"}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int count(const struct ou_json *line, void *ctx, struct ou_error *err)
{
    (void)err;
    assert(strlen(ou_json_string(line, "sum")) == 16);
    ++*(size_t *)ctx;
    return 0;
}

static char path[] = "/tmp/ossup-fuzz-XXXXXX";
static int dirfd = -1; /* one directory for all inputs of this process */

static void remove_directory(void)
{
    (void)unlinkat(dirfd, NAME, 0);
    (void)unlinkat(dirfd, NAME ".tmp", 0);
    (void)rmdir(path);
}

static void make_directory(void)
{
    assert(mkdtemp(path));
    dirfd = open(path, O_DIRECTORY | O_CLOEXEC);
    assert(dirfd >= 0);
    (void)atexit(remove_directory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t lines = 0, again = 0;
    struct ou_error err = OU_ERROR_INIT;
    struct ou_journal j;
    uint64_t good;
    int r;

    if (dirfd < 0)
        make_directory();
    assert(ou_file_replace(dirfd, NAME, data, size, &err) == 0);
    r = ou_journal_open(&j, dirfd, NAME, false, count, &lines, &err);
    if (r < 0) {
        assert(r == -EBADMSG && j.fd == -1);
        return 0;
    }
    good = j.size;
    assert(good <= size && (good == 0 || data[good - 1] == '\n'));
    assert((lines == 0) == (good == 0));
    assert(ou_journal_append(&j, LINE, strlen(LINE), false, &err) == 0);
    ou_journal_close(&j);

    assert(ou_journal_open(&j, dirfd, NAME, false, count, &again, &err) == 0);
    assert(again == lines + 1 && j.size > good);
    ou_journal_close(&j);
    return 0;
}

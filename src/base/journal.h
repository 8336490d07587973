/*
 * Journal: a file of JSON lines, appended, each with its own checksum.
 *
 * Format of a line: a JSON object whose last member is "sum", 16 hex digits, the
 * CRC-64 of all bytes of the line before `,"sum"`; then LF. Reading stops at the
 * first line that is torn or whose checksum is wrong: it and all after it are
 * dropped (and cut off before the next append). A journal is rewritten only to
 * compact it, by write-fsync-rename-fsync(directory).
 *
 * One writer at a time: the caller serialises.
 */
#ifndef OSSUP_BASE_JOURNAL_H
#define OSSUP_BASE_JOURNAL_H

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"

#include <stdbool.h>
#include <stdint.h>

#define OU_JOURNAL_LINE_MAX (UINT32_C(16) << 20)

struct ou_journal {
    int dirfd;     /* borrowed */
    int fd;        /* -1 while closed */
    uint64_t size; /* bytes of good lines */
    char name[256];
};

/**
 * ou_journal_open() - open or create, and replay
 * @name: in @dirfd itself, no path
 * @each: called for each good line in order; negative stops with that value. May be NULL
 *
 * Return: 0, -errno. A file that did not exist is created (mode 0600) if @create, else -ENOENT.
 * -EBADMSG: a line has its right sum and is no JSON object; nothing is dropped then. On
 * failure @j is closed.
 */
int ou_journal_open(struct ou_journal *j, int dirfd, const char *name, bool create,
                    int (*each)(const struct ou_json *line, void *ctx, struct ou_error *err),
                    void *ctx, struct ou_error *err);
void ou_journal_close(struct ou_journal *j);

/* A good line: @len bytes without its LF, at @offset. Negative stops. */
typedef int ou_journal_line(const char *line, size_t len, uint64_t offset, void *ctx,
                            struct ou_error *err);
/** ou_journal_open_lines() - likewise, for files of which few lines are read: they are not parsed */
int ou_journal_open_lines(struct ou_journal *j, int dirfd, const char *name, bool create,
                          ou_journal_line *each, void *ctx, struct ou_error *err);
/** ou_journal_lines() - once more all lines from the start. Return: 0, or what @each has stopped with. */
int ou_journal_lines(const struct ou_journal *j, ou_journal_line *each, void *ctx,
                     struct ou_error *err);
/**
 * ou_journal_read() - the line at @offset; beside a writer, too
 *
 * Return: 0, -EBADMSG: no line begins there; -EIO, ...
 */
int ou_journal_read(const struct ou_journal *j, uint64_t offset, struct ou_json **line,
                    struct ou_error *err);

/**
 * ou_journal_append() - seal @object and write it as one line by one write(2)
 * @object: text of a JSON object "{...}" with a member at least, without sum and LF
 * @sync:   fdatasync before returning
 *
 * Return: 0, -EINVAL (no such object), -EMSGSIZE (OU_JOURNAL_LINE_MAX), -ENOSPC, -EIO, ...
 * On failure the file is cut back to the good lines (a later append cuts again).
 */
int ou_journal_append(struct ou_journal *j, const char *object, size_t len, bool sync,
                      struct ou_error *err);
/** ou_journal_sync() - fdatasync. If it fails, lines since the last success are in doubt: rewrite. */
int ou_journal_sync(struct ou_journal *j, struct ou_error *err);
/**
 * ou_journal_rewrite() - atomically replace all lines; @objects are @count JSON objects
 *
 * On failure the old lines stand, except when the last step, syncing the directory, fails:
 * then the new ones do, but a power cut may bring the old ones back.
 */
int ou_journal_rewrite(struct ou_journal *j, const struct ou_buf *objects, size_t count,
                       struct ou_error *err);
/** ou_journal_seal() - append @object with its sum and LF to @out (for tests and rewriting). */
int ou_journal_seal(struct ou_buf *out, const char *object, size_t len, struct ou_error *err);

#endif

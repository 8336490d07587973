/*
 * What the files of attrs.cache share.
 *
 * The file is a journal (base/journal.h) whose lines are records (fs/attrs_record.h) and two more:
 *   {"k":KEY,"gone":true}                    no line of that key before this one holds
 *   {"mount":"begun"}, {"mount":"ended"}     before and behind the lines of a mount; if the second
 *                                            is missing it was killed, and what it wrote last may
 *                                            be missing, too
 * A later line of a key supersedes earlier ones.
 */
#ifndef OSSUP_FS_ATTRS_FILE_IMPL_H
#define OSSUP_FS_ATTRS_FILE_IMPL_H

#include "base/journal.h"
#include "fs/attrs_file.h"

#define FS_ATTRS_FILE_NAME "attrs.cache"
#define FS_ATTRS_BEGUN     "{\"mount\":\"begun\"}"
#define FS_ATTRS_ENDED     "{\"mount\":\"ended\"}"

struct fs_attrs_file {
    struct fs *fs;
    int dirfd;
    pthread_t thread;
    bool running;
    struct ou_mutex lock; /* rank OU_RANK_FS + 45 */
    pthread_cond_t wake;
    bool stopping;             /* .lock */
    struct ou_journal journal; /* .lock to read, and to replace; the thread's to append */
    /* the thread's, once it runs */
    size_t lines;
    size_t rewrite_at; /* .lines before which it is not tried (again) */
};

/* A line without parsing it: that takes longer than all else. */
struct fs_attrs_line {
    enum fs_attrs_what { FS_LINE_OTHER, FS_LINE_RECORD, FS_LINE_GONE, FS_LINE_ENDED } what;
    uint64_t hash;      /* of the key, as in the index */
    size_t key_len;     /* as it is written, in quotes, after {"k": */
    bool implied;       /* a directory without a marker: of no version */
    int64_t modified_s; /* or FS_MODIFIED_UNKNOWN */
};
struct fs_attrs_line fs_attrs_line(const char *line, size_t len);

/** fs_attrs_rewrite() - without what is superseded or too much; on failure the file stays as it is. */
int fs_attrs_rewrite(struct fs_attrs_file *file, struct ou_error *err);

#endif

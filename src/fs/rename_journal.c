/* A short list in memory, a journal of it on disk; told in fs/rename_journal.h. */
#include "fs/rename_journal.h"

#include "base/cleanup.h"
#include "base/journal.h"
#include "base/log.h"
#include "base/mutex.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define JOURNAL_NAME  "renames.journal"
#define COMPACT_LINES 256u

struct entry {
    uint64_t id;
    char *from, *to;
    char etag[OSS_ETAG_SIZE];
    bool old; /* from before this mount */
};

struct fs_renames {
    int dirfd;
    struct ou_mutex lock; /* rank OU_RANK_FS + 40 */
    struct {
        struct ou_journal journal;
        struct entry *entries;
        size_t count, room;
        size_t lines;
        uint64_t next_id;
    } locked;
};

static void remove_at(struct fs_renames *r, size_t i)
{
    free(r->locked.entries[i].from);
    free(r->locked.entries[i].to);
    r->locked.count--;
    memmove(&r->locked.entries[i], &r->locked.entries[i + 1],
            (r->locked.count - i) * sizeof(r->locked.entries[0]));
}

static void drop_id(struct fs_renames *r, uint64_t id)
{
    for (size_t i = 0; i < r->locked.count; i++)
        if (r->locked.entries[i].id == id) {
            remove_at(r, i);
            return;
        }
}

static int add(struct fs_renames *r, const struct entry *e, struct ou_error *err)
{
    if (r->locked.count == r->locked.room) {
        size_t room = r->locked.room ? 2 * r->locked.room : 16;
        struct entry *grown = realloc(r->locked.entries, room * sizeof(*grown));

        if (!grown)
            return ou_error_set(err, ENOMEM, JOURNAL_NAME);
        r->locked.entries = grown;
        r->locked.room = room;
    }
    r->locked.entries[r->locked.count++] = *e;
    return 0;
}

static int replay(const struct ou_json *line, void *ctx, struct ou_error *err)
{
    struct fs_renames *r = ctx;
    const char *op = ou_json_string(line, "op"), *etag = ou_json_string(line, "etag");
    struct entry e = {.old = true};
    size_t len;
    int result = -ENOMEM;

    r->locked.lines++;
    if (!op || !ou_json_u64(line, "id", &e.id))
        return 0; /* of a later version: not ours to judge */
    if (e.id >= r->locked.next_id)
        r->locked.next_id = e.id + 1;
    if (strcmp(op, "end") == 0)
        drop_id(r, e.id);
    if (strcmp(op, "begin") != 0)
        return 0;
    if (etag && strlen(etag) < sizeof(e.etag))
        memcpy(e.etag, etag, strlen(etag) + 1);
    e.from = ou_json_bytes(line, "from", &len);
    e.to = ou_json_bytes(line, "to", &len);
    if (e.from && e.to)
        result = add(r, &e, err);
    else
        (void)ou_error_set(err, ENOMEM, JOURNAL_NAME);
    if (result < 0) {
        free(e.from);
        free(e.to);
    }
    return result;
}

int fs_renames_open(const char *dir, struct fs_renames **renames, struct ou_error *err)
{
    struct fs_renames *r = calloc(1, sizeof(*r));
    int e;

    if (!r)
        return ou_error_set(err, ENOMEM, JOURNAL_NAME);
    ou_mutex_init(&r->lock, OU_RANK_FS + 40);
    r->locked.journal.fd = -1;
    r->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    e = r->dirfd < 0
            ? ou_error_set(err, errno, "%s", dir)
            : ou_journal_open(&r->locked.journal, r->dirfd, JOURNAL_NAME, true, replay, r, err);
    if (e < 0) {
        fs_renames_close(r);
        return e;
    }
    *renames = r;
    return 0;
}

void fs_renames_close(struct fs_renames *r)
{
    if (!r)
        return;
    while (r->locked.count)
        remove_at(r, 0);
    free(r->locked.entries);
    ou_journal_close(&r->locked.journal);
    if (r->dirfd >= 0)
        (void)close(r->dirfd);
    ou_mutex_fini(&r->lock);
    free(r);
}

int fs_renames_begin(struct fs_renames *r, const char *from, const char *to, const char *etag,
                     uint64_t *id, struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf line = {.data = NULL};
    struct entry e;
    int result;

    ou_lock_scope(&r->lock);
    e = (struct entry){.id = r->locked.next_id++, .from = strdup(from), .to = strdup(to)};
    ou_buf_addf(&line, "{\"op\":\"begin\",\"id\":%" PRIu64 ",\"from\":", e.id);
    ou_json_quote_bytes(&line, from, strlen(from));
    ou_buf_adds(&line, ",\"to\":");
    ou_json_quote_bytes(&line, to, strlen(to));
    if (*etag) {
        ou_buf_adds(&line, ",\"etag\":");
        ou_json_quote(&line, etag);
    }
    ou_buf_adds(&line, "}");
    result = e.from && e.to ? ou_buf_check(&line, err) : ou_error_set(err, ENOMEM, "rename");
    if (result == 0)
        result = add(r, &e, err);
    if (result == 0) {
        result = ou_journal_append(&r->locked.journal, line.data, line.len, true, err);
        if (result < 0)
            r->locked.count--;
    }
    if (result < 0) {
        free(e.from);
        free(e.to);
        return result;
    }
    r->locked.lines++;
    *id = e.id;
    return 0;
}

void fs_renames_end(struct fs_renames *r, uint64_t id)
{
    ou_auto(ou_buf_fini) struct ou_buf line = {.data = NULL};
    struct ou_error err;

    ou_lock_scope(&r->lock);
    drop_id(r, id);
    ou_buf_addf(&line, "{\"op\":\"end\",\"id\":%" PRIu64 "}", id);
    if (ou_buf_check(&line, &err) < 0 ||
        ou_journal_append(&r->locked.journal, line.data, line.len, false, &err) < 0)
        ou_log_warn(OU_LOG_FS, &err, "a finished rename will be looked at again at the next mount");
    if (++r->locked.lines < COMPACT_LINES || r->locked.count)
        return;
    if (ou_journal_rewrite(&r->locked.journal, NULL, 0, &err) < 0)
        ou_log_warn(OU_LOG_FS, &err, "%s keeps growing", JOURNAL_NAME);
    r->locked.lines = 0;
}

int fs_renames_left(struct fs_renames *r, struct fs_rename_left *left)
{
    ou_lock_scope(&r->lock);
    for (size_t i = 0; i < r->locked.count; i++) {
        struct entry *e = &r->locked.entries[i];

        if (!e->old)
            continue;
        e->old = false;
        *left = (struct fs_rename_left){.id = e->id, .from = strdup(e->from), .to = strdup(e->to)};
        memcpy(left->etag, e->etag, sizeof(left->etag));
        if (left->from && left->to)
            return 1;
        free(left->from);
        free(left->to);
    }
    return 0;
}

/*
 * ROOT/journal: what happened to the buckets, a JSON object a line.
 *
 *   {"op":"bucket","b":NAME,"acl":...,"class":...,"hns":bool,"t":created ms}
 *   {"op":"bucket-gone","b":NAME}
 *   {"op":"put","b":,"k":KEY,"o":OBJECT}            record.h has OBJECT, PART and ATTRS
 *   {"op":"delete","b":,"k":}
 *   {"op":"rename","b":,"k":FROM,"to":TO}
 *   {"op":"upload","b":,"k":,"u":ID,"t":initiated ms,"seq":bool,"a":ATTRS}
 *   {"op":"part","b":,"k":,"u":,"p":PART}
 *   {"op":"complete","b":,"k":,"u":,"o":OBJECT}
 *   {"op":"abort","b":,"k":,"u":}
 *
 * A line is written by one write() to a file opened with O_APPEND, so a killed
 * server leaves whole lines and at most one torn line at the end.
 */
#include "server/store_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct json_object *srv_journal_entry(const char *op, const char *bucket, const char *key)
{
    struct json_object *entry = json_object_new_object();

    (void)json_object_object_add(entry, "op", json_object_new_string(op));
    (void)json_object_object_add(entry, "b", json_object_new_string(bucket));
    if (key != NULL)
        (void)json_object_object_add(entry, "k", json_object_new_string(key));
    return entry;
}

struct json_object *srv_journal_bucket(const struct srv_bucket_info *info)
{
    struct json_object *entry = srv_journal_entry("bucket", info->name, NULL);

    (void)json_object_object_add(entry, "acl", json_object_new_string(info->acl));
    (void)json_object_object_add(entry, "class", json_object_new_string(info->storage_class));
    (void)json_object_object_add(entry, "hns", json_object_new_boolean(info->hns));
    (void)json_object_object_add(entry, "t", json_object_new_int64(info->created_ms));
    return entry;
}

struct json_object *srv_journal_upload(const char *bucket, const struct srv_upload *upload)
{
    struct json_object *entry = srv_journal_entry("upload", bucket, upload->key);

    (void)json_object_object_add(entry, "u", json_object_new_string(upload->id));
    (void)json_object_object_add(entry, "t", json_object_new_int64(upload->initiated_ms));
    (void)json_object_object_add(entry, "seq", json_object_new_boolean(upload->sequential));
    (void)json_object_object_add(entry, "a", srv_record_attrs(&upload->attrs));
    return entry;
}

static int write_line(int fd, struct json_object *entry)
{
    struct srv_buf line = {0};
    size_t len = 0;
    const char *text = json_object_to_json_string_length(entry, JSON_C_TO_STRING_PLAIN, &len);
    ssize_t n;

    srv_buf_add(&line, text, len);
    srv_buf_puts(&line, "\n");
    n = write(fd, line.data, line.len);
    if (n >= 0 && (size_t)n < line.len) { /* disk full: take the torn line back */
        if (ftruncate(fd, lseek(fd, 0, SEEK_END) - n) == 0)
            errno = ENOSPC;
        n = -1;
    }
    srv_buf_fini(&line);
    return n < 0 ? -1 : 0;
}

int srv_journal_append_locked(struct srv_store *s, struct json_object *entry, struct srv_error *err)
{
    int r = write_line(s->journal_fd, entry);

    if (r < 0)
        (void)srv_fail(err, "InternalError", "write the journal: %s", strerror(errno));
    (void)json_object_put(entry);
    return r;
}

/* State of the start: data files by number. The table holds a reference of its own to each. */
struct loading {
    struct srv_index *table;
    struct srv_datadir *dir;
};

static struct srv_datafile *share_file(void *arg, const struct srv_datafile *f)
{
    struct loading *loading = arg;
    struct srv_datafile *known = srv_index_get(loading->table, &f->id, sizeof(f->id));

    if (known != NULL)
        return known;
    known = srv_xcalloc(1, sizeof(*known));
    atomic_init(&known->refs, 1);
    known->dir = loading->dir;
    known->id = f->id;
    known->size = f->size;
    known->crc = f->crc;
    known->has_md5 = f->has_md5;
    memcpy(known->md5, f->md5, sizeof(known->md5));
    (void)srv_index_set(loading->table, &f->id, sizeof(f->id), known);
    return known;
}

static bool replay_upload(struct srv_bucket *b, struct json_object *entry, const char *key,
                          const char *id)
{
    struct srv_upload *u = srv_xcalloc(1, sizeof(*u));

    u->key = srv_xstrdup(key);
    u->id = srv_xstrdup(id);
    u->initiated_ms = srv_json_int(entry, "t", 0);
    u->sequential = srv_json_bool(entry, "seq", false);
    if (!srv_record_read_attrs(srv_json_member(entry, "a"), &u->attrs)) {
        srv_upload_free(u);
        return false;
    }
    srv_apply_upload(b, u);
    return true;
}

static bool replay_part(struct srv_bucket *b, struct json_object *entry, const char *key,
                        const char *id, struct loading *loading)
{
    struct srv_upload *u = srv_bucket_upload(b, key, id);
    struct srv_part part = {0};
    bool ok =
        u != NULL && srv_record_read_part(srv_json_member(entry, "p"), share_file, loading, &part);

    if (ok)
        srv_upload_set_part(u, &part);
    srv_part_fini(&part);
    return ok;
}

static bool replay_put(struct srv_bucket *b, struct json_object *entry, const char *key,
                       struct loading *loading)
{
    struct srv_object *o = srv_record_read_object(srv_json_member(entry, "o"), share_file, loading);

    if (o == NULL)
        return false;
    srv_apply_object(b, key, o);
    return true;
}

static bool replay_bucket(struct srv_store *s, struct json_object *entry, const char *bucket)
{
    struct srv_bucket_info info = {
        .name = srv_xstrdup(bucket),
        .acl = srv_xstrdup(srv_json_text(entry, "acl")),
        .storage_class = srv_xstrdup(srv_json_text(entry, "class")),
        .hns = srv_json_bool(entry, "hns", false),
        .created_ms = srv_json_int(entry, "t", 0),
    };
    bool ok = info.acl != NULL && info.storage_class != NULL;

    if (ok)
        (void)srv_apply_bucket(s, &info);
    srv_bucket_info_fini(&info);
    return ok;
}

static bool replay(struct srv_store *s, struct json_object *entry, struct loading *loading)
{
    const char *op = srv_json_text(entry, "op");
    const char *bucket = srv_json_text(entry, "b");
    const char *key = srv_json_text(entry, "k");
    const char *id = srv_json_text(entry, "u");
    const char *to = srv_json_text(entry, "to");
    struct srv_bucket *b;

    if (op == NULL || bucket == NULL)
        return false;
    if (srv_streq(op, "bucket"))
        return replay_bucket(s, entry, bucket);
    b = srv_index_get(&s->buckets, bucket, strlen(bucket));
    if (b == NULL)
        return false;
    if (srv_streq(op, "bucket-gone")) {
        srv_apply_bucket_gone(s, bucket);
        return true;
    }
    if (key == NULL)
        return false;
    if (srv_streq(op, "put"))
        return replay_put(b, entry, key, loading);
    if (srv_streq(op, "delete")) {
        srv_apply_object(b, key, NULL);
        return true;
    }
    if (srv_streq(op, "rename") && to != NULL) {
        srv_apply_rename(b, key, to);
        return true;
    }
    if (id == NULL)
        return false;
    if (srv_streq(op, "upload"))
        return replay_upload(b, entry, key, id);
    if (srv_streq(op, "part"))
        return replay_part(b, entry, key, id, loading);
    if (srv_streq(op, "complete") && !replay_put(b, entry, key, loading))
        return false;
    srv_apply_upload_gone(b, key, id);
    return srv_streq(op, "complete") || srv_streq(op, "abort");
}

static int replay_file(struct srv_store *s, FILE *in, struct loading *loading)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    unsigned long number = 0;
    bool ok = true;

    while (ok && (len = getline(&line, &cap, in)) > 0) {
        struct json_object *entry;

        if (line[len - 1] != '\n')
            break; /* torn: its change was never answered */
        number++;
        entry = json_tokener_parse(line);
        ok = entry != NULL && replay(s, entry, loading);
        (void)json_object_put(entry);
    }
    free(line);
    if (!ok)
        (void)fprintf(stderr, "oss-local-server: %s/journal line %lu makes no sense\n", s->root,
                      number);
    return ok ? 0 : -1;
}

static int put_entry(int fd, struct json_object *entry)
{
    int r = write_line(fd, entry);

    (void)json_object_put(entry);
    return r;
}

static int rewrite_upload(int fd, const char *bucket, const struct srv_upload *u)
{
    int r = put_entry(fd, srv_journal_upload(bucket, u));

    for (size_t i = 0; r == 0 && i < u->part_count; i++) {
        struct json_object *entry = srv_journal_entry("part", bucket, u->key);

        (void)json_object_object_add(entry, "u", json_object_new_string(u->id));
        (void)json_object_object_add(entry, "p", srv_record_part(&u->parts[i]));
        r = put_entry(fd, entry);
    }
    return r;
}

static int rewrite_bucket(int fd, const struct srv_bucket *b)
{
    const struct srv_index_node *node;
    int r = put_entry(fd, srv_journal_bucket(&b->info));

    for (node = srv_index_seek(&b->objects, NULL, 0); r == 0 && node != NULL;
         node = srv_index_next(node)) {
        struct json_object *entry = srv_journal_entry("put", b->info.name, node->key);

        (void)json_object_object_add(entry, "o", srv_record_object(node->value));
        r = put_entry(fd, entry);
    }
    for (node = srv_index_seek(&b->uploads, NULL, 0); r == 0 && node != NULL;
         node = srv_index_next(node))
        r = rewrite_upload(fd, b->info.name, node->value);
    return r;
}

static int rewrite(struct srv_store *s, const char *path)
{
    srv_autofree char *fresh = srv_xasprintf("%s.new", path);
    const struct srv_index_node *node;
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    int r = fd < 0 ? -1 : 0;

    for (node = srv_index_seek(&s->buckets, NULL, 0); r == 0 && node != NULL;
         node = srv_index_next(node))
        r = rewrite_bucket(fd, node->value);
    if (r == 0)
        r = rename(fresh, path);
    s->journal_fd = fd;
    if (r < 0)
        (void)fprintf(stderr, "oss-local-server: write %s: %s\n", fresh, strerror(errno));
    return r;
}

static bool is_known(void *table, uint64_t id)
{
    return srv_index_get(table, &id, sizeof(id)) != NULL;
}

int srv_journal_load(struct srv_store *s)
{
    srv_autofree char *path = srv_xasprintf("%s/journal", s->root);
    struct srv_index table = {0};
    struct loading loading = {&table, &s->data};
    struct srv_index_node *node;
    FILE *in = fopen(path, "re");
    int r = 0;

    if (in != NULL) {
        r = replay_file(s, in, &loading);
        (void)fclose(in);
    }
    if (r == 0) /* before the table lets go, so that only files in use stay known */
        r = rewrite(s, path);
    node = srv_index_seek(&table, NULL, 0);
    if (r < 0)
        atomic_store(&s->data.closing, true);
    while (node != NULL) {
        struct srv_datafile *f = node->value;
        uint64_t id = f->id;
        bool last = atomic_load(&f->refs) == 1;

        node = srv_index_next(node);
        srv_datafile_unref(f);
        if (last)
            (void)srv_index_remove(&table, &id, sizeof(id));
    }
    if (r == 0)
        srv_datadir_sweep(&s->data, is_known, &table);
    srv_index_fini(&table);
    return r;
}

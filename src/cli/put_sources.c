/*
 * Keys, as cp -r names files:
 *
 *   FILE oss://b/k          k               FILE oss://b/k/      k/FILE
 *   A B oss://b/k           k/A k/B         -r D oss://b/k       k/... (D becomes k)
 *   -r D oss://b/k/         k/D/...         -r D/. oss://b/k/    k/...
 */
#include "cli/put_sources.h"

#include "base/cleanup.h"
#include "transfer/checkpoint.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct cli_put_sources {
    const struct cli_put_args *args;
    size_t next;  /* index of the next word */
    char *prefix; /* "" or ends in "/"; NULL: the key is args->key */
    /* While a directory is walked: */
    FTS *fts;
    char *below; /* prefix of its keys: "", or ends in "/" */
    size_t skip; /* bytes of its path before what is relative */
};

void cli_put_source_fini(struct cli_put_source *s)
{
    free(s->path);
    free(s->key);
    *s = (struct cli_put_source){0};
}

/* The last component without the slashes around it; 0 for "/", "." and "..". */
static size_t last_component(const char *path, const char **start)
{
    size_t end = strlen(path), begin;

    while (end > 0 && path[end - 1] == '/')
        end--;
    begin = end;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    *start = path + begin;
    if ((end - begin == 1 && path[begin] == '.') ||
        (end - begin == 2 && !strncmp(path + begin, "..", 2)))
        return 0;
    return end - begin;
}

static bool key_is_whole(const struct cli_put_args *args)
{
    size_t len = strlen(args->key);

    return args->source_count == 1 && len > 0 && args->key[len - 1] != '/';
}

struct word {
    const char *text, *name; /* its last component */
    size_t len;
};

static int compare_names(const void *a, const void *b)
{
    const struct word *x = a, *y = b;
    int r = strncmp(x->name, y->name, x->len < y->len ? x->len : y->len);

    return r != 0 ? r : (x->len > y->len) - (x->len < y->len);
}

static int check_words(const struct cli_put_args *args, struct ou_error *err)
{
    ou_autofree struct word *words = calloc(args->source_count, sizeof(*words));

    if (!words)
        return ou_error_set(err, ENOMEM, "put");
    for (size_t i = 0; i < args->source_count; i++) {
        words[i].text = args->sources[i];
        words[i].len = last_component(words[i].text, &words[i].name);
        if (!strcmp(words[i].text, "-") && !key_is_whole(args))
            return ou_error_say(err, EINVAL,
                                "-: standard input has no name: give it alone, with a whole KEY");
    }
    qsort(words, args->source_count, sizeof(*words), compare_names);
    for (size_t i = 1; i < args->source_count; i++)
        if (compare_names(&words[i - 1], &words[i]) == 0)
            return ou_error_say(err, EINVAL, "%s and %s would become the same object",
                                words[i - 1].text, words[i].text);
    return 0;
}

int cli_put_sources_new(const struct cli_put_args *args, struct cli_put_sources **sources,
                        struct ou_error *err)
{
    size_t len = strlen(args->key);
    struct cli_put_sources *s;
    int r = check_words(args, err);

    if (r < 0)
        return r;
    s = calloc(1, sizeof(*s));
    if (!s)
        return ou_error_set(err, ENOMEM, "put");
    s->args = args;
    if (!key_is_whole(args) && asprintf(&s->prefix, "%s%s", args->key,
                                        len > 0 && args->key[len - 1] != '/' ? "/" : "") < 0) {
        free(s);
        return ou_error_set(err, ENOMEM, "put");
    }
    *sources = s;
    return 0;
}

static void leave_directory(struct cli_put_sources *s)
{
    if (s->fts)
        (void)fts_close(s->fts);
    s->fts = NULL;
    free(s->below);
    s->below = NULL;
}

void cli_put_sources_free(struct cli_put_sources *s)
{
    if (!s)
        return;
    leave_directory(s);
    free(s->prefix);
    free(s);
}

/* -- directories -- */

static int enter_directory(struct cli_put_sources *s, const char *path, struct ou_error *err)
{
    ou_autofree char *copy = strdup(path);
    char *words[] = {copy, NULL};
    const char *name;
    size_t len = last_component(path, &name), end = strlen(path);
    int n;

    if (!copy)
        return ou_error_set(err, ENOMEM, "%s", path);
    while (end > 1 && copy[end - 1] == '/') /* so that fts adds just one */
        copy[--end] = '\0';
    if (!s->prefix)
        n = asprintf(&s->below, "%s/", s->args->key);
    else
        n = asprintf(&s->below, "%s%.*s%s", s->prefix, (int)len, name, len > 0 ? "/" : "");
    if (n < 0) {
        s->below = NULL;
        return ou_error_set(err, ENOMEM, "%s", path);
    }
    s->skip = copy[end - 1] == '/' ? end : end + 1;
    s->fts = fts_open(words, FTS_LOGICAL | FTS_NOCHDIR, NULL);
    if (!s->fts) {
        (void)ou_error_set(err, errno, "%s", path);
        leave_directory(s);
        return -err->errnum;
    }
    return 0;
}

static int fill(struct cli_put_source *out, const char *path, const char *prefix, const char *rest,
                size_t len, struct ou_error *err)
{
    *out = (struct cli_put_source){.path = strdup(path)};
    if (asprintf(&out->key, "%s%.*s", prefix, (int)len, rest) < 0)
        out->key = NULL;
    if (out->path && out->key)
        return 1;
    cli_put_source_fini(out);
    return ou_error_set(err, ENOMEM, "%s", path);
}

/* Return: 1 a file, 0 the directory is through, negative. */
static int next_of_directory(struct cli_put_sources *s, struct cli_put_source *out,
                             struct ou_error *err)
{
    for (;;) {
        FTSENT *entry;

        errno = 0;
        entry = fts_read(s->fts);
        if (!entry && errno)
            return ou_error_set(err, errno, "read directory");
        if (!entry)
            return 0;
        switch (entry->fts_info) {
        case FTS_F:
            if (!xfer_checkpoint_is_name(entry->fts_name))
                return fill(out, entry->fts_path, s->below, entry->fts_path + s->skip,
                            strlen(entry->fts_path + s->skip), err);
            break;
        case FTS_D:
        case FTS_DP:
            break;
        case FTS_DNR:
        case FTS_ERR:
        case FTS_NS:
            return ou_error_set(err, entry->fts_errno, "%s", entry->fts_path);
        case FTS_DC:
            return ou_error_set(err, ELOOP, "%s", entry->fts_path);
        case FTS_SLNONE:
            return ou_error_say(err, ENOENT, "%s: a symbolic link that leads nowhere",
                                entry->fts_path);
        default:
            return ou_error_say(err, EINVAL, "%s: neither file nor directory", entry->fts_path);
        }
    }
}

/* -- words -- */

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int next_word(struct cli_put_sources *s, struct cli_put_source *out, struct ou_error *err)
{
    const char *path = s->args->sources[s->next++], *name;
    size_t len = last_component(path, &name);

    if (!strcmp(path, "-")) {
        *out = (struct cli_put_source){.key = strdup(s->args->key)};
        return out->key ? 1 : ou_error_set(err, ENOMEM, "-");
    }
    if (is_directory(path)) {
        if (!s->args->recursive)
            return ou_error_say(err, EISDIR, "%s: a directory; -r uploads what is in it", path);
        return enter_directory(s, path, err);
    }
    if (!s->prefix)
        return fill(out, path, "", s->args->key, strlen(s->args->key), err);
    return fill(out, path, s->prefix, name, len, err);
}

int cli_put_sources_next(struct cli_put_sources *s, struct cli_put_source *out,
                         struct ou_error *err)
{
    for (;;) {
        int r;

        if (s->fts) {
            r = next_of_directory(s, out, err);
            if (r != 0)
                return r;
            leave_directory(s);
        }
        if (s->next == s->args->source_count)
            return 0;
        r = next_word(s, out, err);
        if (r != 0)
            return r;
    }
}

void cli_put_sources_measure(const struct cli_put_args *args, uint64_t *files, uint64_t *bytes)
{
    struct cli_put_sources *s = NULL;
    struct ou_error ignored = OU_ERROR_INIT;
    int r;

    *files = *bytes = 0;
    if (cli_put_sources_new(args, &s, &ignored) < 0 || !s)
        return;
    do {
        struct cli_put_source source = {0};
        struct stat st;

        r = cli_put_sources_next(s, &source, &ignored);
        *files += r > 0;
        if (source.path && stat(source.path, &st) == 0)
            *bytes += (uint64_t)st.st_size;
        cli_put_source_fini(&source);
    } while (r != 0);
    cli_put_sources_free(s);
}

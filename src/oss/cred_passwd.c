/*
 * passwd_file: the parser, and the providers for the four places where such a file may lie.
 *
 * Each line is checked, also those of other buckets: a file that is half wrong is told, not guessed
 * at.
 */
#include "oss/cred_passwd.h"

#include "oss/cred_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX  4
#define BUCKET_MIN  3u
#define BUCKET_MAX  63u
#define BUCKETS_MAX 1024u /* lines of one file; more is no file of keys */

struct line {           /* borrowed from the text */
    const char *bucket; /* "" : all others */
    const char *id, *secret, *token;
};

struct state {
    const char *what;
    const char *bucket; /* wanted, "" for none */
    unsigned number;
    struct line exact, fallback;
    const char **seen; /* buckets so far */
    size_t seen_count;
    const char *old_id, *old_secret; /* OSSAccessKeyId=, OSSSecretKey= */
};

static int bad(const struct state *s, const char *why, struct ou_error *err)
{
    return ou_error_say(err, EBADMSG, "%s: line %u: %s", s->what, s->number, why);
}

static bool is_bucket_name(const char *s)
{
    size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");

    return s[len] == '\0' && len >= BUCKET_MIN && len <= BUCKET_MAX && s[0] != '-' &&
           s[len - 1] != '-';
}

/* Cuts at ':'. Return: how many fields; FIELDS_MAX + 1: too many. */
static size_t split(char *line, const char *fields[FIELDS_MAX])
{
    size_t count = 0;
    char *field;

    while ((field = strsep(&line, ":")) != NULL) {
        if (count == FIELDS_MAX)
            return FIELDS_MAX + 1;
        fields[count++] = field;
    }
    return count;
}

static int note_bucket(struct state *s, const char *bucket, struct ou_error *err)
{
    for (size_t i = 0; i < s->seen_count; i++) {
        if (strcmp(s->seen[i], bucket) != 0)
            continue;
        return bad(s,
                   *bucket ? "a second line for the same bucket" : "a second line for all buckets",
                   err);
    }
    if (s->seen_count == BUCKETS_MAX)
        return bad(s, "too many lines", err);
    s->seen[s->seen_count++] = bucket;
    return 0;
}

static int take_line(struct state *s, const struct line *line, struct ou_error *err)
{
    int r = note_bucket(s, line->bucket, err);

    if (r < 0)
        return r;
    if (*line->bucket == '\0')
        s->fallback = *line;
    else if (strcmp(line->bucket, s->bucket) == 0)
        s->exact = *line;
    return 0;
}

static int read_fields(struct state *s, char *text, struct ou_error *err)
{
    const char *f[FIELDS_MAX] = {0};
    struct line line = {.bucket = ""};
    size_t count = split(text, f), at = 0;

    if (count < 2 || count > FIELDS_MAX)
        return bad(s, "not [bucket:]ak:secret[:token]", err);
    if (count == FIELDS_MAX || (count == 3 && (*f[0] == '\0' || is_bucket_name(f[0]))))
        line.bucket = f[at++];
    line.id = f[at++];
    line.secret = f[at++];
    line.token = at < count ? f[at] : NULL;
    if (*line.id == '\0' || *line.secret == '\0')
        return bad(s, "not [bucket:]ak:secret[:token]", err);
    return take_line(s, &line, err);
}

/* Return: 1 it was such a line, 0 it was not, negative errno. */
static int read_assignment(struct state *s, const char *text, struct ou_error *err)
{
    static const char id[] = "OSSAccessKeyId=", secret[] = "OSSSecretKey=";
    struct line line = {.bucket = ""};

    if (strncmp(text, id, sizeof(id) - 1) == 0) {
        if (s->old_id)
            return bad(s, "a second OSSAccessKeyId", err);
        s->old_id = text + sizeof(id) - 1;
    } else if (strncmp(text, secret, sizeof(secret) - 1) == 0) {
        if (s->old_secret)
            return bad(s, "a second OSSSecretKey", err);
        s->old_secret = text + sizeof(secret) - 1;
    } else {
        return 0;
    }
    if (!s->old_id || !s->old_secret)
        return 1;
    line.id = s->old_id;
    line.secret = s->old_secret;
    return take_line(s, &line, err) < 0 ? -err->errnum : 1;
}

static int read_line(struct state *s, char *line, struct ou_error *err)
{
    size_t len = strlen(line);
    int r;

    while (len > 0 && strchr(" \t\r", line[len - 1]))
        line[--len] = '\0';
    if (len == 0 || line[0] == '#')
        return 0;
    if (line[0] == '[')
        return bad(s, "a [section] has no place here", err);
    if (strpbrk(line, " \t"))
        return bad(s, "a blank within the line", err);
    r = read_assignment(s, line, err);
    return r != 0 ? (r < 0 ? r : 0) : read_fields(s, line, err);
}

static int finish(const struct state *s, struct oss_credentials *out, struct ou_error *err)
{
    const struct line *line = s->exact.id ? &s->exact : &s->fallback;

    if (!s->old_id != !s->old_secret)
        return ou_error_say(err, EBADMSG, "%s: OSSAccessKeyId and OSSSecretKey go together",
                            s->what);
    if (!line->id && *s->bucket)
        return ou_error_say(err, ENOKEY, "%s: no line for bucket %s, and none for all buckets",
                            s->what, s->bucket);
    if (!line->id)
        return ou_error_say(err, ENOKEY, "%s: no line for all buckets", s->what);
    return oss_cred_set_make(out, s->what, line->id, line->secret, line->token, err);
}

int oss_cred_passwd_parse(const char *what, char *text, const char *bucket,
                          struct oss_credentials *out, struct ou_error *err)
{
    const char *seen[BUCKETS_MAX];
    struct state s = {.what = what, .bucket = bucket ? bucket : "", .seen = seen};
    char *line;

    while ((line = strsep(&text, "\n")) != NULL) {
        int r;

        s.number++;
        r = read_line(&s, line, err);
        if (r < 0)
            return r;
    }
    return finish(&s, out, err);
}

/* -- providers -- */

struct provider_passwd {
    struct oss_cred_provider base;
    char *path, *bucket;
};

static int passwd_fetch(struct oss_cred_provider *provider, struct oss_credentials *out,
                        struct ou_error *err)
{
    const struct provider_passwd *p = (const struct provider_passwd *)provider;
    struct oss_cred_text text = {0};
    int r = oss_cred_file_read(p->path, true, &text, err);

    if (r == 0)
        r = oss_cred_passwd_parse(p->path, text.data, p->bucket, out, err);
    oss_cred_text_fini(&text);
    return r < 0 ? ou_error_prefix(err, "passwd_file") : 0;
}

static void passwd_free(struct oss_cred_provider *provider)
{
    struct provider_passwd *p = (struct provider_passwd *)provider;

    free(p->path);
    free(p->bucket);
    free(p);
}

static int passwd_new(const struct oss_cred_config *config, const char *path,
                      struct oss_cred_provider **provider, struct ou_error *err)
{
    struct provider_passwd *p = calloc(1, sizeof(*p));
    int r;

    if (!p)
        return ou_error_set(err, ENOMEM, "credentials");
    (void)snprintf(p->base.description, sizeof(p->base.description), "passwd_file %s", path);
    p->base.fetch = passwd_fetch;
    p->base.free = passwd_free;
    r = oss_cred_dup(&p->path, path, err);
    if (r == 0)
        r = oss_cred_dup(&p->bucket, config->bucket, err);
    if (r < 0) {
        passwd_free(&p->base);
        return r;
    }
    *provider = &p->base;
    return 1;
}

int oss_cred_passwd_find(const struct oss_cred_config *config, struct oss_cred_provider **provider,
                         struct ou_error *err)
{
    return config->passwd_file ? passwd_new(config, config->passwd_file, provider, err) : 0;
}

int oss_cred_passwd_env_find(const struct oss_cred_config *config,
                             struct oss_cred_provider **provider, struct ou_error *err)
{
    const char *path = config->environment ? getenv("OSS_CREDENTIAL_FILE") : NULL;

    return path && *path ? passwd_new(config, path, provider, err) : 0;
}

int oss_cred_passwd_home_find(const struct oss_cred_config *config,
                              struct oss_cred_provider **provider, struct ou_error *err)
{
    char path[PATH_MAX];

    if (!config->files || oss_cred_home_path(".passwd-ossfs", path, err) < 0)
        return 0;
    return oss_cred_file_exists(path) ? passwd_new(config, path, provider, err) : 0;
}

int oss_cred_passwd_etc_find(const struct oss_cred_config *config,
                             struct oss_cred_provider **provider, struct ou_error *err)
{
    static const char path[] = "/etc/passwd-ossfs";

    return config->files && oss_cred_file_exists(path) ? passwd_new(config, path, provider, err)
                                                       : 0;
}

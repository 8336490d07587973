/*
 * Options from files: ossfs-up.conf (INI: a section for each mountpoint over
 * [default]) and the endpoint, region and bucket of ~/.ossutilconfig. What a
 * better source gave already stays (cli_options_set()).
 */
#include "cli/options.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/ini.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define CONF_MAX (1u << 20) /* bytes; nobody writes that much by hand */

struct reading {
    struct cli_options *o;
    const char *section; /* the one that is wanted in this pass */
    const char *path;
    mode_t mode;
    struct ou_error *err;
};

static int take_secret(struct reading *r, char **to, const char *name, const char *value)
{
    if (r->mode & 037)
        return ou_error_say(r->err, EACCES, "%s: it holds %s and others may read it; chmod 600 %s",
                            r->path, name, r->path);
    if (*to)
        return 0;
    *to = strdup(value);
    return *to ? 0 : ou_error_set(r->err, ENOMEM, "%s", r->path);
}

/* [/mnt/b/] is [/mnt/b] */
static bool is_wanted(const struct reading *r, const char *section)
{
    size_t len = strlen(section);

    if (len > 1 && section[len - 1] == '/')
        len--;
    return strlen(r->section) == len && memcmp(r->section, section, len) == 0;
}

static int conf_line(const char *section, const char *name, const char *value, void *ctx)
{
    struct reading *r = ctx;

    if (section[0] == '\0')
        return ou_error_say(r->err, EINVAL,
                            "%s: %s stands before any section; write [default] above it", r->path,
                            name);
    if (!is_wanted(r, section))
        return 0;
    if (strncmp(name, "oss_access_key", 14) == 0)
        name += 4; /* as ossfs 2 calls them */
    if (strcmp(name, "access_key_id") == 0)
        return take_secret(r, &r->o->access_key_id, name, value);
    if (strcmp(name, "access_key_secret") == 0)
        return take_secret(r, &r->o->access_key_secret, name, value);
    if (strcmp(name, "security_token") == 0)
        return take_secret(r, &r->o->security_token, name, value);
    return cli_options_set(r->o, name, value, r->o->kept_source, r->err);
}

/* Reads the file; -ENOENT when there is none. */
static int load(const char *path, struct ou_buf *text, mode_t *mode, struct ou_error *err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return ou_error_set(err, errno, "%s", path);
    *mode = st.st_mode & 0777;
    return ou_read_file(AT_FDCWD, path, CONF_MAX, text, err);
}

static int read_conf(struct cli_options *o, const char *path, const char *mountpoint,
                     struct ou_error *err)
{
    ou_auto(ou_buf_fini) struct ou_buf text = {0};
    struct reading r = {.o = o, .path = path, .err = err};
    int e = load(path, &text, &r.mode, err);

    if (e < 0)
        return ou_error_prefix(err, "configuration");
    if (!o->kept_source)
        o->kept_source = strdup(path);
    if (!o->kept_source)
        return ou_error_set(err, ENOMEM, "%s", path);
    if (mountpoint) {
        r.section = mountpoint;
        e = ou_ini_read(path, ou_buf_str(&text), conf_line, &r, err);
        if (e < 0)
            return e;
    }
    r.section = "default";
    return ou_ini_read(path, ou_buf_str(&text), conf_line, &r, err);
}

/* ossutil 1 writes [Credentials] endpoint=, ossutil 2 [default] or [profile default] endpoint=, region=. */
static int ossutil_line(const char *section, const char *name, const char *value, void *ctx)
{
    struct reading *r = ctx;

    if (strcasecmp(section, "Credentials") != 0 && strcasecmp(section, "default") != 0 &&
        strcasecmp(section, "profile default") != 0)
        return 0;
    if ((strcasecmp(name, "endpoint") == 0 || strcasecmp(name, "region") == 0) && value[0])
        return cli_options_set(r->o, strcasecmp(name, "region") == 0 ? "region" : "endpoint", value,
                               "~/.ossutilconfig", r->err);
    return 0;
}

static char *home_path(const char *rest)
{
    const char *home = getenv("HOME");
    char *path = NULL;

    if (!home || asprintf(&path, "%s/%s", home, rest) < 0)
        return NULL;
    return path;
}

static void read_ossutil(struct cli_options *o)
{
    ou_autofree char *path = home_path(".ossutilconfig");
    ou_auto(ou_buf_fini) struct ou_buf text = {0};
    struct ou_error ignored;
    struct reading r = {.o = o, .path = path, .err = &ignored};

    /* A file that is not ours: unreadable or odd, it is simply no source. */
    if (path && load(path, &text, &r.mode, &ignored) == 0)
        (void)ou_ini_read(path, ou_buf_str(&text), ossutil_line, &r, &ignored);
}

int cli_options_files(struct cli_options *o, const char *mountpoint, struct ou_error *err)
{
    ou_autofree char *in_home = home_path(".config/ossfs-up.conf");
    const char *named = o->value[CLI_OPT_CONFIG];
    const char *const places[] = {in_home, "/etc/ossfs-up.conf"};
    int r;

    if (named) {
        r = read_conf(o, named, mountpoint, err);
        if (r < 0)
            return r;
        read_ossutil(o);
        return 0;
    }
    for (size_t i = 0; i < 2; i++) {
        if (!places[i])
            continue;
        r = read_conf(o, places[i], mountpoint, err);
        if (r == -ENOENT)
            continue;
        if (r < 0)
            return r;
        break; /* the first file that exists is the one */
    }
    read_ossutil(o);
    return 0;
}

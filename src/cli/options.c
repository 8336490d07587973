/*
 * The option table at work. Options that ossfs users have in their fstab are
 * translated by aliases.c before they come here.
 */
#include "cli/options.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "cli/aliases.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct spec {
    const char *name;
    enum cli_kind kind;
    uint64_t min, max;
    const char *fallback, *choices, *help;
};

static const struct spec specs[CLI_OPT_COUNT] = {
#define X(id, ...) [CLI_OPT_##id] = {__VA_ARGS__},
    CLI_OPTIONS(X)
#undef X
};

static void wipe(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

void cli_options_fini(struct cli_options *o)
{
    for (size_t i = 0; i < CLI_OPT_COUNT; i++)
        free(o->value[i]);
    wipe(o->access_key_id);
    wipe(o->access_key_secret);
    wipe(o->security_token);
    free(o->kept_source);
    free(o->ignored);
    memset(o, 0, sizeof(*o));
}

static int find(const char *name)
{
    for (int i = 0; i < CLI_OPT_COUNT; i++)
        if (strcmp(specs[i].name, name) == 0)
            return i;
    return -1;
}

/* How many letters must change, for "did you mean"; names are short. */
static size_t distance(const char *a, const char *b)
{
    size_t row[64], n = strlen(b);

    if (n >= 64)
        return SIZE_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t above = row[j], best = diagonal + (a[i - 1] != b[j - 1]);

            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[n];
}

static int unknown(const char *name, const char *source, struct ou_error *err)
{
    const char *nearest = NULL;
    size_t best = 4;

    for (size_t i = 0; i < CLI_OPT_COUNT; i++) {
        size_t d = distance(name, specs[i].name);

        if (d < best) {
            best = d;
            nearest = specs[i].name;
        }
    }
    if (nearest)
        return ou_error_say(err, EINVAL, "%s: no option is called %s; did you mean %s?", source,
                            name, nearest);
    return ou_error_say(err, EINVAL, "%s: no option is called %s; ossfs-up --help lists them",
                        source, name);
}

static int remember_ignored(struct cli_options *o, const char *name, struct ou_error *err)
{
    char *longer;

    if (asprintf(&longer, "%s%s%s", o->ignored ? o->ignored : "", o->ignored ? "," : "", name) < 0)
        return ou_error_set(err, ENOMEM, "option %s", name);
    free(o->ignored);
    o->ignored = longer;
    return 0;
}

/* "~/" is the home directory, as a shell would have it at the beginning of a word. */
static char *absolute(const char *path)
{
    const char *home = getenv("HOME");
    ou_autofree char *here = NULL;
    char *whole;

    if (path[0] == '/' || path[0] == '\0')
        return strdup(path);
    if (strncmp(path, "~/", 2) == 0 && home)
        return asprintf(&whole, "%s%s", home, path + 1) < 0 ? NULL : whole;
    here = getcwd(NULL, 0);
    return here && asprintf(&whole, "%s/%s", here, path) >= 0 ? whole : NULL;
}

/* The source of what an alias stands for beside its own value: any that was given is better. */
static const char by_alias[] = "an option of ossfs";

int cli_options_set(struct cli_options *o, const char *name, const char *value, const char *source,
                    struct ou_error *err)
{
    struct cli_alias alias = {.name = name, .value = value};
    int id, r;

    if (strncmp(name, "access_key", 10) == 0 || strncmp(name, "oss_access_key", 14) == 0)
        return ou_error_say(err, EINVAL,
                            "%s: %s: secrets do not belong on a command line; put them into the "
                            "environment (OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET), into a "
                            "configuration file or a passwd_file of mode 0600",
                            source, name);
    r = cli_alias_translate(&alias, err);
    if (r == 0 && alias.ignored)
        return remember_ignored(o, name, err);
    if (r <= 0) /* refused, or nothing to do for us */
        return r;
    id = find(alias.name);
    if (id < 0)
        return unknown(name, source, err);
    if (alias.also && (r = cli_options_set(o, alias.also, alias.also_value, by_alias, err)) < 0)
        return r;
    if (o->value[id] && (o->source[id] != by_alias || source == by_alias))
        return 0; /* a better source was first */
    if (!alias.value && specs[id].kind != CLI_FLAG)
        return ou_error_say(err, EINVAL, "%s: %s wants a value: %s=...", source, name, name);
    free(o->value[id]);
    o->value[id] = specs[id].kind == CLI_PATH ? absolute(alias.value)
                                              : strdup(alias.value ? alias.value : "on");
    if (!o->value[id])
        return ou_error_set(err, errno, "option %s", name);
    o->source[id] = source;
    return 0;
}

/* The last one wins on one command line, as with mount(8): so words are taken from the end. */
static int set_words(struct cli_options *o, char **words, size_t count, struct ou_error *err)
{
    while (count > 0) {
        char *word = words[--count], *value = strchr(word, '=');
        int r;

        if (value)
            *value++ = '\0';
        if (word[0] == '\0')
            continue;
        r = cli_options_set(o, word, value, "-o", err);
        if (r < 0)
            return r;
    }
    return 0;
}

int cli_options_o(struct cli_options *o, const char *text, struct ou_error *err)
{
    ou_autofree char *copy = strdup(text);
    ou_autofree char **words = calloc(strlen(text) + 1, sizeof(*words));
    size_t count = 0;
    char *out;

    if (!copy || !words)
        return ou_error_set(err, ENOMEM, "-o");
    out = copy;
    words[count++] = copy;
    for (const char *in = text; *in; in++) {
        if (*in == '\\' && in[1]) {
            *out++ = *++in;
        } else if (*in == ',') {
            *out++ = '\0';
            words[count++] = out;
        } else {
            *out++ = *in;
        }
    }
    *out = '\0';
    return set_words(o, words, count, err);
}

int cli_options_environment(struct cli_options *o, struct ou_error *err)
{
    static const struct {
        const char *variable, *name;
    } known[] = {{"OSS_ENDPOINT", "endpoint"}, {"OSS_REGION", "region"}, {"OSS_BUCKET", "bucket"}};

    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        const char *value = getenv(known[i].variable);
        int r;

        if (!value || !value[0])
            continue;
        r = cli_options_set(o, known[i].name, value, "environment", err);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool is_choice(const char *choices, const char *value)
{
    size_t len = strlen(value);

    for (const char *p = choices; *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");

        if (n == len && memcmp(p, value, n) == 0)
            return true;
        p += n;
    }
    return false;
}

static int parse(const struct spec *s, const char *value, uint64_t *number, struct ou_error *err)
{
    char *end;

    switch (s->kind) {
    case CLI_SIZE:
        return ou_parse_size(value, number, err);
    case CLI_DURATION:
        return ou_parse_duration(value, number, err);
    case CLI_COUNT:
    case CLI_ID_NUMBER:
        if (!ou_parse_u64(value, number))
            return ou_error_say(err, EINVAL, "%s is no number", value);
        return 0;
    case CLI_OCTAL:
        errno = 0;
        *number = strtoul(value, &end, 8);
        if (errno || end == value || *end)
            return ou_error_say(err, EINVAL, "%s is no octal number", value);
        return 0;
    case CLI_FLAG:
        *number = is_choice("on 1 true yes", value);
        if (!*number && !is_choice("off 0 false no", value))
            return ou_error_say(err, EINVAL, "it takes on or off, not %s", value);
        return 0;
    case CLI_PATH:
        if (value[0] == '\0')
            return ou_error_say(err, EINVAL, "it takes a path");
        break;
    case CLI_CHOICE:
    case CLI_TEXT:
        break;
    }
    *number = 0;
    return 0;
}

static void format_bound(const struct spec *s, uint64_t n, char *out, size_t size)
{
    static const char units[] = "KMGT";
    int unit = -1;

    if (s->kind == CLI_DURATION) {
        if (n % 1000 == 0)
            (void)snprintf(out, size, "%llus", (unsigned long long)(n / 1000));
        else
            (void)snprintf(out, size, "%llums", (unsigned long long)n);
        return;
    }
    while (s->kind == CLI_SIZE && n > 0 && n % 1024 == 0 && unit < 3) {
        n /= 1024;
        unit++;
    }
    if (unit < 0)
        (void)snprintf(out, size, s->kind == CLI_OCTAL ? "%llo" : "%llu", (unsigned long long)n);
    else
        (void)snprintf(out, size, "%llu%c", (unsigned long long)n, units[unit]);
}

static int check_one(const struct spec *s, const char *value, struct ou_error *err)
{
    char min[32], max[32];
    uint64_t number = 0;
    int r;

    if (s->kind == CLI_CHOICE) {
        if (is_choice(s->choices, value))
            return 0;
        return ou_error_say(err, EINVAL, "%s=%s: it takes one of: %s", s->name, value, s->choices);
    }
    r = parse(s, value, &number, err);
    if (r < 0)
        return ou_error_prefix(err, "%s", s->name);
    if (s->max == 0 || (number >= s->min && number <= s->max))
        return 0;
    format_bound(s, s->min, min, sizeof(min));
    format_bound(s, s->max, max, sizeof(max));
    if (s->max >= UINT32_MAX - 1 && s->kind != CLI_SIZE)
        return ou_error_say(err, EINVAL, "%s=%s: it takes %s or more", s->name, value, min);
    return ou_error_say(err, EINVAL, "%s=%s: it takes %s to %s", s->name, value, min, max);
}

static int check_drain(const char *value, struct ou_error *err)
{
    uint64_t ms;

    if (strcmp(value, "wait") == 0 || strcmp(value, "no") == 0 ||
        ou_parse_duration(value, &ms, err) == 0)
        return 0;
    return ou_error_say(err, EINVAL, "drain=%s: it takes wait, no, or a number of seconds", value);
}

int cli_options_check(const struct cli_options *o, struct ou_error *err)
{
    for (int id = 0; id < CLI_OPT_COUNT; id++) {
        const char *value = cli_text(o, (enum cli_option)id);
        int r = value ? check_one(&specs[id], value, err) : 0;

        if (r < 0)
            return r;
    }
    return check_drain(cli_text(o, CLI_OPT_DRAIN), err);
}

const char *cli_option_name(enum cli_option id)
{
    return specs[id].name;
}

const char *cli_text(const struct cli_options *o, enum cli_option id)
{
    return o->value[id] ? o->value[id] : specs[id].fallback;
}

bool cli_given(const struct cli_options *o, enum cli_option id)
{
    return o->value[id] != NULL;
}

uint64_t cli_number(const struct cli_options *o, enum cli_option id)
{
    const char *value = cli_text(o, id);
    struct ou_error ignored;
    uint64_t number = 0;

    if (value)
        (void)parse(&specs[id], value, &number, &ignored); /* checked before */
    return number;
}

bool cli_flag(const struct cli_options *o, enum cli_option id)
{
    return cli_number(o, id) != 0;
}

bool cli_choice_is(const struct cli_options *o, enum cli_option id, const char *choice)
{
    const char *value = cli_text(o, id);

    return value && strcmp(value, choice) == 0;
}

void cli_options_help(FILE *out)
{
    for (size_t i = 0; i < CLI_OPT_COUNT; i++) {
        const struct spec *s = &specs[i];
        char left[64];

        (void)snprintf(left, sizeof(left), "%s%s", s->name, s->kind == CLI_FLAG ? "" : "=");
        (void)fprintf(out, "  %-20s %s", left, s->help);
        if (s->choices)
            (void)fprintf(out, " (%s)", s->choices);
        if (s->fallback)
            (void)fprintf(out, " [%s]", s->fallback);
        (void)fputc('\n', out);
    }
}

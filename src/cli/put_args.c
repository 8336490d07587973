/*
 * Options may stand anywhere among the words, as with GNU tools; "--" ends them. The last word is
 * the target.
 */
#include "cli/put_args.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

const char cli_put_usage[] =
    "usage: ossfs-up put [OPTIONS] FILE... oss://BUCKET/KEY\n"
    "\n"
    "FILE - is standard input. With several FILEs, or a KEY that ends in \"/\", the objects are\n"
    "called KEY/NAME. Interrupted, the same command goes on where it stopped.\n"
    "\n"
    "  -p, --part-size SIZE   100K to 5G [8M]; grows so that a file has at most 10000 parts\n"
    "  -t, --threads N        parts of one file in flight at once [3]\n"
    "  --checkpoint-dir DIR   where progress is recorded [beside each file]\n"
    "  --meta NAME=VALUE      user metadata, x-oss-meta-NAME; may be repeated\n"
    "  --content-type TYPE    [application/octet-stream]\n"
    "  -a, --preserve         keep mode, owner and mtime, as a mount shows them\n"
    "  -r, --recursive        directories with all that is in them\n"
    "  -v, --verbose          a line for each part instead of a bar\n"
    "  -o OPTIONS             as for mount: endpoint=, region=, limit_up=, storage_class=, ...\n";

enum { OPT_CHECKPOINT_DIR = 256, OPT_META, OPT_CONTENT_TYPE };

static const struct option long_options[] = {
    {"part-size", required_argument, NULL, 'p'},
    {"threads", required_argument, NULL, 't'},
    {"checkpoint-dir", required_argument, NULL, OPT_CHECKPOINT_DIR},
    {"meta", required_argument, NULL, OPT_META},
    {"content-type", required_argument, NULL, OPT_CONTENT_TYPE},
    {"preserve", no_argument, NULL, 'a'},
    {"recursive", no_argument, NULL, 'r'},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

void cli_put_args_fini(struct cli_put_args *a)
{
    for (size_t i = 0; i < a->meta_count; i++)
        free((char *)a->meta[i].name); /* the value lies behind it */
    free(a->meta);
    free(a->sources);
    free(a->bucket);
    *a = (struct cli_put_args){0};
}

/* Header names know no case; OSS takes letters, digits and "-". */
static bool meta_name_is_good(char *name)
{
    for (char *p = name; *p; p++) {
        *p = (char)tolower((unsigned char)*p);
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-_", *p))
            return false;
    }
    return *name != '\0';
}

static bool value_is_good(const char *value)
{
    for (const char *p = value; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return false;
    return true;
}

static int add_meta(struct cli_put_args *a, const char *word, struct ou_error *err)
{
    char *name = strdup(word), *value = name ? strchr(name, '=') : NULL;
    struct oss_meta *meta = realloc(a->meta, (a->meta_count + 1) * sizeof(*meta));

    if (meta)
        a->meta = meta;
    if (!name || !meta) {
        free(name);
        return ou_error_set(err, ENOMEM, "--meta");
    }
    if (value)
        *value++ = '\0';
    if (!value || !meta_name_is_good(name) || !value_is_good(value)) {
        free(name);
        return ou_error_say(err, EINVAL,
                            "--meta %s: it takes NAME=VALUE, the name of letters, digits and \"-\"",
                            word);
    }
    meta[a->meta_count++] = (struct oss_meta){.name = name, .value = value};
    return 0;
}

static int take_option(struct cli_put_args *a, int option, struct cli_options *options,
                       struct ou_error *err)
{
    switch (option) {
    case 'p':
        return cli_options_set(options, "part_size", optarg, "-p", err);
    case 't':
        return cli_options_set(options, "threads", optarg, "-t", err);
    case 'o':
        return cli_options_o(options, optarg, err);
    case 'a':
        a->preserve = true;
        return 0;
    case 'r':
        a->recursive = true;
        return 0;
    case 'v':
        a->verbose = true;
        return 0;
    case 'h':
        return 1;
    case OPT_CHECKPOINT_DIR:
        a->checkpoint_dir = optarg;
        return 0;
    case OPT_META:
        return add_meta(a, optarg, err);
    case OPT_CONTENT_TYPE:
        a->content_type = optarg;
        return value_is_good(optarg) ? 0
                                     : ou_error_say(err, EINVAL, "--content-type: not printable");
    default:
        return ou_error_say(err, EINVAL, "put: unknown option or missing argument; see put --help");
    }
}

static int take_target(struct cli_put_args *a, const char *word, struct ou_error *err)
{
    static const char scheme[] = "oss://";
    const char *bucket = word + sizeof(scheme) - 1, *slash;

    if (strncmp(word, scheme, sizeof(scheme) - 1) != 0)
        return ou_error_say(err, EINVAL,
                            "put: the last word is the target, oss://BUCKET/KEY, and "
                            "not \"%s\"",
                            word);
    slash = strchr(bucket, '/');
    a->key = slash ? slash + 1 : "";
    a->bucket = slash ? strndup(bucket, (size_t)(slash - bucket)) : strdup(bucket);
    if (!a->bucket)
        return ou_error_set(err, ENOMEM, "put");
    if (strchr(a->bucket, ':'))
        return ou_error_say(err, EINVAL,
                            "bucket \"%s\": a bucket's name is 3 to 63 of a-z, 0-9 "
                            "and \"-\"",
                            a->bucket);
    return 0;
}

int cli_put_args_parse(struct cli_put_args *a, int argc, char **argv, struct cli_options *options,
                       struct ou_error *err)
{
    int option;

    opterr = 0;
    optind = 1;
    while ((option = getopt_long(argc, argv, "p:t:o:arvh", long_options, NULL)) != -1) {
        int r = take_option(a, option, options, err);

        if (r != 0)
            return r;
    }
    if (argc - optind < 2)
        return ou_error_say(err, EINVAL,
                            "put: it takes FILE... and oss://BUCKET/KEY; see put --help");
    a->source_count = (size_t)(argc - optind - 1);
    a->sources = calloc(a->source_count, sizeof(*a->sources));
    if (!a->sources)
        return ou_error_set(err, ENOMEM, "put");
    memcpy(a->sources, argv + optind, a->source_count * sizeof(*a->sources));
    return take_target(a, argv[argc - 1], err);
}

/*
 * The words of `ossfs-up put`. Strings are argv's, or owned where they say so.
 */
#ifndef OSSUP_CLI_PUT_ARGS_H
#define OSSUP_CLI_PUT_ARGS_H

#include "cli/options.h"
#include "oss/types.h"

struct cli_put_args { /* zeroed memory is empty */
    char **sources;   /* FILE words, owned array; "-" is standard input */
    size_t source_count;
    char *bucket;    /* owned */
    const char *key; /* what follows oss://BUCKET/; may be "" */
    const char *checkpoint_dir, *content_type;
    struct oss_meta *meta; /* owned array and strings */
    size_t meta_count;
    bool recursive, verbose, preserve;
};
void cli_put_args_fini(struct cli_put_args *a);

/**
 * cli_put_args_parse() - @options gets -o, -p and -t
 *
 * Return: 0; 1: --help was asked for; -EINVAL with a sentence.
 */
int cli_put_args_parse(struct cli_put_args *a, int argc, char **argv, struct cli_options *options,
                       struct ou_error *err);

extern const char cli_put_usage[];

#endif

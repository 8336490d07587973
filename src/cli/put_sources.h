/*
 * What is to be uploaded: from the FILE words of `put` to pairs of path and key, one at a time.
 *
 * Directories are walked as they are reached, so that a million files take no memory. Symbolic links
 * are followed; what is neither file nor directory is told and skipped; checkpoints are passed over
 * in silence. One thread.
 */
#ifndef OSSUP_CLI_PUT_SOURCES_H
#define OSSUP_CLI_PUT_SOURCES_H

#include "cli/put_args.h"

struct cli_put_sources;

struct cli_put_source { /* owned strings */
    char *path;         /* NULL: standard input */
    char *key;
};
void cli_put_source_fini(struct cli_put_source *s);

/**
 * cli_put_sources_new() - @args is borrowed
 *
 * Return: 0, or -EINVAL: two FILEs would become one object, or standard input has no name.
 */
int cli_put_sources_new(const struct cli_put_args *args, struct cli_put_sources **sources,
                        struct ou_error *err);
void cli_put_sources_free(struct cli_put_sources *sources);
/**
 * cli_put_sources_next() - the next one
 *
 * Return: 1; 0: that was all; negative: this one cannot be read (a directory without -r, too), the
 * others may be: call again.
 */
int cli_put_sources_next(struct cli_put_sources *sources, struct cli_put_source *out,
                         struct ou_error *err);
/** cli_put_sources_measure() - how much it is in all, by a walk of its own; errors count for nothing */
void cli_put_sources_measure(const struct cli_put_args *args, uint64_t *files, uint64_t *bytes);

#endif

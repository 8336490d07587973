/*
 * Session: from options to a client that has reached the bucket.
 *
 * Shared by mount, put and gc. Owned by one thread until threads are started.
 */
#ifndef OSSUP_CLI_SESSION_H
#define OSSUP_CLI_SESSION_H

#include "base/error.h"
#include "cli/options.h"
#include "oss/client.h"
#include "spool/spool.h"

struct cli_session {
    struct cli_options options;
    char *bucket;
    char *prefix; /* "" or "a/b/" */
    struct oss_cred_chain *chain;
    struct oss_client *client;
};
void cli_session_fini(struct cli_session *s);

/**
 * cli_session_target() - BUCKET[:PREFIX], checked; NULL: the option bucket, else @fallback
 * @fallback: the mountpoint's last component, or NULL
 */
int cli_session_target(struct cli_session *s, const char *target, const char *fallback,
                       struct ou_error *err);
/** cli_session_connect() - credentials and client from the options; contacts only sources of credentials. */
int cli_session_connect(struct cli_session *s, struct ou_error *err);
/** cli_session_probe() - reach the bucket once; the sentence says what is wrong and how to mend it. */
int cli_session_probe(struct cli_session *s, struct ou_error *err);

/** cli_session_explain() - what a request for the whole bucket was refused for, as such a sentence */
void cli_session_explain(const struct cli_session *s, struct ou_error *err);

/** cli_spool_dir() - option spool, or its default; malloc'ed */
char *cli_spool_dir(const struct cli_options *o);
/** cli_spool_config() - borrowed strings from @s; @dir from cli_spool_dir() */
void cli_spool_config(const struct cli_session *s, const char *dir, struct spool_config *out);
/** cli_say() - "ossfs-up: message" on standard error */
void cli_say(const struct ou_error *err);

/** cli_is_help() - is @word --help or -h? */
bool cli_is_help(const char *word);
/** cli_help() - @usage on standard output. Return: the exit status. */
int cli_help(const char *usage);

/** cli_harden() - no core files with secrets in them; never fails */
void cli_harden(void);

#endif

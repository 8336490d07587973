/*
 * One file of `put`: its headers, its upload, and what has become of it.
 */
#ifndef OSSUP_CLI_PUT_JOB_H
#define OSSUP_CLI_PUT_JOB_H

#include "base/mutex.h"
#include "cli/put_args.h"
#include "cli/put_interrupt.h"
#include "cli/put_sources.h"
#include "cli/session.h"
#include "spool/attr.h"
#include "transfer/file_upload.h"

/* What all jobs share. */
struct cli_put {
    /* Constant while jobs run. */
    struct cli_put_args args;
    struct cli_session session;
    struct xfer_engine *engine;
    struct cli_interrupt *interrupt;
    uint64_t part_size;                     /* 0: not given */
    char *storage_class, *sse, *sse_key_id; /* NULL: the bucket's */
    char *registry;                         /* where checkpoints are noted, for gc */

    struct ou_mutex lock; /* rank OU_RANK_CLI */
    pthread_cond_t wake;  /* .news */
    struct {
        bool news; /* a job ended, or a signal came */
    } locked;
};

struct cli_put_job {
    /* Constant after start. */
    struct cli_put *put;
    struct cli_put_source source;
    struct spool_headers headers;
    struct xfer_file *file;
    uint64_t size;
    bool big;                 /* the main thread's */
    struct cli_put_job *next; /* the main thread's list */

    /* Under put->lock. */
    bool ended;
    uint64_t confirmed;
    size_t parts_resumed;
    struct xfer_result result;
    struct ou_error err; /* errnum 0: it went well, if ended */
};

/**
 * cli_put_job_start() - @source is taken on success
 *
 * Standard input is copied to a nameless temporary file first: in the checkpoint directory, else in
 * $TMPDIR, else in /var/tmp. Return: 0, -EINTR (a signal), or why not.
 */
int cli_put_job_start(struct cli_put *put, struct cli_put_source *source, struct cli_put_job **job,
                      struct ou_error *err);
/** cli_put_job_name() - the file, for people. */
const char *cli_put_job_name(const struct cli_put_job *job);
/** cli_put_job_free() - it has ended, or the engine was stopped. */
void cli_put_job_free(struct cli_put_job *job);

#endif

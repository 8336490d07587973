/*
 * Answers: what a running mount says to the commands of its control socket.
 *
 *   status     everything there is to know, the JSON of `ossfs-up status --json`
 *   sync       waits till what is pending under "path" is in the bucket, "timeout_ms" at most
 *   reload     credentials anew, parked files at once (SIGHUP does the same)
 *   handover   from a new mount of this bucket: a daemon that only drains stops and lets go
 */
#ifndef OSSUP_CLI_ANSWER_H
#define OSSUP_CLI_ANSWER_H

#include "cli/control.h"
#include "cli/session.h"
#include "fs/fs.h"
#include "spool/spool.h"

struct cli_answering { /* borrowed; constant while the control socket is there */
    struct cli_session *session;
    struct spool *spool;
    struct fs *fs;
    const char *mountpoint;
    uint64_t started_ms; /* ou_now_ms() scale */
    /* Any thread, several at once. */
    bool (*is_mounted)(void *ctx); /* else it is draining */
    void (*reload)(void *ctx);
    void (*stop_draining)(void *ctx);
    void *ctx;
};

/** cli_answer() - a cli_control_handler; its ctx is a struct cli_answering */
void cli_answer(void *ctx, const struct ou_json *request, struct ou_cancel *cancel,
                struct ou_buf *reply);

#endif

/*
 * Control socket: how `status`, `sync` and a new mount talk to a running daemon.
 *
 * A Unix socket named "control" in the bucket's spool directory (mode 0700). One
 * request a connection: a line of JSON {"command": ...}; the answer is a JSON
 * object, then the end. Whoever hangs up cancels what it asked for.
 */
#ifndef OSSUP_CLI_CONTROL_H
#define OSSUP_CLI_CONTROL_H

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/thread.h"

#include <stdint.h>

#define CLI_CONTROL_NAME "control"

struct cli_control;

/* Called on a thread of the control's; fills @reply with a JSON object. May block until @cancel. */
typedef void cli_control_handler(void *ctx, const struct ou_json *request, struct ou_cancel *cancel,
                                 struct ou_buf *reply);

/** cli_control_start() - listen in @dir; a stale socket is replaced (the spool's lock is held) */
int cli_control_start(const char *dir, cli_control_handler *handler, void *ctx,
                      struct cli_control **control, struct ou_error *err);
/** cli_control_stop() - cancel what runs, join, remove the socket; NULL is fine */
void cli_control_stop(struct cli_control *control);

/**
 * cli_control_call() - ask the daemon whose control socket is @path
 * @request: a JSON object
 *
 * Return: 0 and the parsed answer (the caller frees it; @text keeps the bytes), -ECONNREFUSED or
 * -ENOENT when no daemon is there.
 */
int cli_control_call(const char *path, const char *request, struct ou_buf *text,
                     struct ou_json **reply, struct ou_error *err);

#endif

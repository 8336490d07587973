/*
 * The lines of a checkpoint: from and to JSON. Pure; the format is told in checkpoint.h.
 * Private to src/transfer and its tests.
 */
#ifndef OSSUP_TRANSFER_CHECKPOINT_LINES_H
#define OSSUP_TRANSFER_CHECKPOINT_LINES_H

#include "transfer/checkpoint.h"

/**
 * xfer_checkpoint_apply() - one more line, whose checksum is right
 *
 * Return: 0; -EPROTO another version's line; -ENOMEM. A line that makes no sense sets
 * @state->damaged; it and all after it change nothing.
 */
int xfer_checkpoint_apply(struct xfer_checkpoint_state *state, const struct ou_json *line,
                          struct ou_error *err);
void xfer_checkpoint_state_fini(struct xfer_checkpoint_state *state);

/* Both append a JSON object without its sum. */
void xfer_checkpoint_header_line(struct ou_buf *out, const struct xfer_checkpoint_header *header);
void xfer_checkpoint_event_line(struct ou_buf *out, const struct xfer_event *event,
                                const struct timespec *now);

#endif

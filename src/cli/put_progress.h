/*
 * The bar of `put`: one line that is drawn over and over. One thread.
 *
 *   [=======>            ]  37%  2.9 GiB of 8.0 GiB  112.4 MiB/s  0:46 left  file 3 of 17
 */
#ifndef OSSUP_CLI_PUT_PROGRESS_H
#define OSSUP_CLI_PUT_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct cli_progress_now {
    uint64_t confirmed, total;       /* bytes */
    uint64_t moved;                  /* bytes read for sending; never falls: the rate's source */
    uint64_t files_done, file_count; /* the latter 1: files are not mentioned */
};

struct cli_progress { /* zeroed: nothing drawn yet */
    FILE *out;        /* a terminal; borrowed */
    uint64_t since_ms, last_ms, last_moved;
    double rate; /* bytes per second; smoothed over some seconds */
    bool drawn;
};

/** cli_progress_note() - take a new measure; @now_ms: ou_now_ms() scale */
void cli_progress_note(struct cli_progress *p, const struct cli_progress_now *now, uint64_t now_ms);
/** cli_progress_line() - the text, at most @width columns (ASCII), without line end; pure */
void cli_progress_line(const struct cli_progress_now *now, double rate, size_t width, char *out,
                       size_t size);
/** cli_progress_draw() - over the line before. */
void cli_progress_draw(struct cli_progress *p, const struct cli_progress_now *now);
/** cli_progress_clear() - an empty line, for other output. */
void cli_progress_clear(struct cli_progress *p);

#endif

/*
 * The rate is an exponential mean over about 5 s of what was read for sending: confirmed bytes move
 * a part at a time and would make it jump.
 */
#include "cli/put_progress.h"

#include "cli/render.h"

#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>

#define RATE_MEMORY_MS 5000u
#define WIDTH_DEFAULT  80u
#define WIDTH_MAX      200u
#define BAR_MIN        10u
#define BAR_MAX        50u

void cli_progress_note(struct cli_progress *p, const struct cli_progress_now *now, uint64_t now_ms)
{
    uint64_t passed = now_ms - p->last_ms, memory = now_ms - p->since_ms;

    if (p->last_ms && passed > 0) {
        double rate = (double)(now->moved - p->last_moved) * 1000.0 / (double)passed;

        /* At the start there is no past to smooth with: it weighs as much as has passed since. */
        memory = memory < RATE_MEMORY_MS ? memory : RATE_MEMORY_MS;
        p->rate += (passed < memory ? (double)passed / (double)memory : 1.0) * (rate - p->rate);
    }
    if (!p->last_ms)
        p->since_ms = now_ms;
    p->last_ms = now_ms;
    p->last_moved = now->moved;
}

static void format_left(uint64_t seconds, char *out, size_t size)
{
    if (seconds >= 360000)
        (void)snprintf(out, size, "%" PRIu64 " days left", seconds / 86400);
    else if (seconds >= 3600)
        (void)snprintf(out, size, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64 " left", seconds / 3600,
                       seconds / 60 % 60, seconds % 60);
    else
        (void)snprintf(out, size, "%" PRIu64 ":%02" PRIu64 " left", seconds / 60, seconds % 60);
}

static void draw_bar(double share, size_t width, char *out)
{
    size_t full = (size_t)(share * (double)width);

    *out++ = '[';
    memset(out, ' ', width);
    memset(out, '=', full);
    if (full < width)
        out[full] = '>';
    out[width] = ']';
    out[width + 1] = '\0';
}

void cli_progress_line(const struct cli_progress_now *now, double rate, size_t width, char *out,
                       size_t size)
{
    double share = now->total > 0 ? (double)now->confirmed / (double)now->total : 0.0;
    char done[32], total[32], per_second[32], left[48] = "", files[64] = "", bar[BAR_MAX + 3] = "";
    char tail[256];
    size_t used;

    share = share > 1.0 ? 1.0 : share;
    cli_format_bytes(now->confirmed, done);
    cli_format_bytes(now->total, total);
    cli_format_bytes((uint64_t)rate, per_second);
    if (rate >= 1.0 && now->total > now->confirmed)
        format_left((uint64_t)((double)(now->total - now->confirmed) / rate), left, sizeof(left));
    if (now->file_count > 1)
        (void)snprintf(files, sizeof(files), "  %" PRIu64 " of %" PRIu64 " files", now->files_done,
                       now->file_count);
    (void)snprintf(tail, sizeof(tail), " %3d%%  %s of %s  %s/s  %s%s", (int)(share * 100.0), done,
                   total, per_second, left, files);
    used = strlen(tail) + 2;
    if (width >= used + BAR_MIN)
        draw_bar(share, width - used < BAR_MAX ? width - used : BAR_MAX, bar);
    (void)snprintf(out, size, "%s%s", bar, bar[0] ? tail : tail + 1);
    if (width < size)
        out[width] = '\0';
}

static size_t columns(FILE *out)
{
    struct winsize size = {0};

    if (ioctl(fileno(out), TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return WIDTH_DEFAULT;
    return size.ws_col < WIDTH_MAX ? size.ws_col : WIDTH_MAX;
}

void cli_progress_draw(struct cli_progress *p, const struct cli_progress_now *now)
{
    char line[WIDTH_MAX + 1];

    cli_progress_line(now, p->rate, columns(p->out) - 1, line, sizeof(line));
    (void)fprintf(p->out, "\r%s\033[K", line);
    (void)fflush(p->out);
    p->drawn = true;
}

void cli_progress_clear(struct cli_progress *p)
{
    if (!p->drawn)
        return;
    (void)fputs("\r\033[K", p->out);
    (void)fflush(p->out);
    p->drawn = false;
}

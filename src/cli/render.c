/*
 * A few lines a mount, then a line for each file on its way or in trouble.
 */
#include "cli/render.h"

#include "base/clock.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define LINES_MAX 20 /* files shown; the JSON has them all */

void cli_format_bytes(uint64_t bytes, char out[32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024 && unit < 5) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(out, 32, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

static uint64_t number(const struct ou_json *object, const char *name)
{
    uint64_t value = 0;

    (void)ou_json_u64(object, name, &value);
    return value;
}

static const char *text(const struct ou_json *object, const char *name)
{
    const char *value = ou_json_string(object, name);

    return value ? value : "";
}

static void render_upload(const struct ou_json *upload, FILE *out)
{
    uint64_t size = number(upload, "size"), confirmed = number(upload, "confirmed");
    char bytes[32];

    cli_format_bytes(size, bytes);
    (void)fprintf(out, "  %-10s %3.0f%% of %-10s %s\n", text(upload, "state"),
                  size ? 100.0 * (double)confirmed / (double)size : 0.0, bytes,
                  text(upload, "key"));
    if (text(upload, "error")[0])
        (void)fprintf(out, "             attempt %" PRIu64 ": %s\n", number(upload, "attempts"),
                      text(upload, "error"));
}

static void render_failed(const struct ou_json *failed, FILE *out)
{
    (void)fprintf(out, "  FAILED %s: %s", text(failed, "key"), text(failed, "error"));
    if (text(failed, "request_id")[0])
        (void)fprintf(out, " (request %s)", text(failed, "request_id"));
    (void)fputc('\n', out);
    if (text(failed, "way_out")[0])
        (void)fprintf(out, "         %s\n", text(failed, "way_out"));
}

static void render_list(const struct ou_json *list, FILE *out,
                        void (*render)(const struct ou_json *item, FILE *out))
{
    size_t count = ou_json_length(list);

    for (size_t i = 0; i < count && i < LINES_MAX; i++)
        render(ou_json_at(list, i), out);
    if (count > LINES_MAX)
        (void)fprintf(out, "  ... and %zu more (--json lists them)\n", count - LINES_MAX);
}

static void render_credentials(const struct ou_json *credentials, FILE *out)
{
    uint64_t failures = number(credentials, "failures");
    time_t expires = (time_t)number(credentials, "expires");
    char until[64] = "";
    struct tm tm;

    if (expires && localtime_r(&expires, &tm))
        (void)strftime(until, sizeof(until),
                       expires > ou_wall().tv_sec ? ", valid until %F %T" : ", EXPIRED at %F %T",
                       &tm);
    (void)fprintf(out, "  credentials from %s%s\n", text(credentials, "source"), until);
    if (failures > 0)
        (void)fprintf(out, "  NOT REFRESHED, %" PRIu64 " tries: %s\n", failures,
                      text(credentials, "error"));
}

static void render_cache(const struct ou_json *cache, FILE *out)
{
    uint64_t hits = number(cache, "hits"), all = hits + number(cache, "misses");
    char used[32], limit[32];

    if (!number(cache, "limit"))
        return;
    cli_format_bytes(number(cache, "used"), used);
    cli_format_bytes(number(cache, "limit"), limit);
    (void)fprintf(out, "  cache %s of %s; %.0f%% of what was read came from it\n", used, limit,
                  all ? 100.0 * (double)hits / (double)all : 0.0);
}

void cli_render_status(const struct ou_json *status, FILE *out)
{
    const struct ou_json *pending = ou_json_get(status, "pending"),
                         *spool = ou_json_get(status, "spool"),
                         *requests = ou_json_get(status, "requests");
    char waiting[32], used[32], up[32], down[32];

    cli_format_bytes(number(pending, "bytes"), waiting);
    cli_format_bytes(number(spool, "used"), used);
    cli_format_bytes(number(requests, "bytes_up"), up);
    cli_format_bytes(number(requests, "bytes_down"), down);
    (void)fprintf(out, "%s on %s: %s, process %" PRIu64 "\n", text(status, "bucket"),
                  text(status, "mountpoint"), text(status, "state"), number(status, "pid"));
    (void)fprintf(
        out, "  pending %" PRIu64 " files (%s), %" PRIu64 " deletes; failed %" PRIu64 "\n",
        number(pending, "files"), waiting, number(pending, "deletes"), number(pending, "failed"));
    (void)fprintf(out, "  spool %s in %s\n", used, text(spool, "dir"));
    render_cache(ou_json_get(status, "cache"), out);
    (void)fprintf(out,
                  "  sent %s, received %s in %" PRIu64 " requests; %" PRIu64 " repeated, %" PRIu64
                  " throttled\n",
                  up, down, number(requests, "sent"), number(requests, "retried"),
                  number(requests, "throttled"));
    render_credentials(ou_json_get(status, "credentials"), out);
    render_list(ou_json_get(status, "uploads"), out, render_upload);
    render_list(ou_json_get(status, "failed"), out, render_failed);
}

/*
 * One engine for all files, some dozens at once, each with its own checkpoint; one bar.
 *
 * Big files take no more than half of the places, so that small ones, which the engine prefers, do
 * not wait behind them; those that are reached meanwhile are set aside, with a bound.
 *
 * A file that fails does not keep the others from being uploaded, unless what it failed of will
 * befall all: wrong keys, no such bucket. A signal stops the engine; checkpoints stay.
 */
#include "cli/put_run.h"

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/put_progress.h"
#include "cli/render.h"
#include "transfer/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define JOBS_MAX  64u    /* files open at once: enough to keep all connections busy */
#define BIG_MAX   32u    /* big ones among them: likewise */
#define ASIDE_MAX 10000u /* big ones that wait for a place; the walk goes on until then */
#define DRAW_MS   200u   /* between two pictures of the bar */

struct aside {
    struct cli_put_source source;
    struct aside *next;
};

/* The main thread's view. */
struct run {
    struct cli_put *put;
    struct cli_put_sources *sources;
    struct cli_put_job *jobs; /* running */
    unsigned job_count, big_count;
    struct aside *aside, **aside_end; /* big files, in order */
    unsigned aside_count;
    bool aside_turn; /* they take turns with what the walk finds */
    bool through;    /* no more sources */
    bool stopped;    /* no more are wanted */
    struct cli_progress bar;
    bool show_bar;
    uint64_t files, bytes; /* in all, if the bar is shown */
    uint64_t done_files, done_bytes, failed_files, resumed_bytes, moved;
    uint64_t since_ms;
};

/* -- telling -- */

static void say(struct run *run, const struct ou_error *err)
{
    cli_progress_clear(&run->bar);
    cli_say(err);
}

/* The rest of the files would fail of the same. */
static bool concerns_all(const struct ou_error *err)
{
    static const char *const codes[] = {"NoSuchBucket", "SignatureDoesNotMatch",
                                        "UserDisable",  "InvalidAccessKeyId",
                                        "HostNotFound", "TlsRefused"};

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (oss_error_is(err, codes[i]))
            return true;
    /* Nothing was answered for as long as we were told to try. */
    return err->http_status == 0 && err->code[0] && oss_error_verdict(err) == OSS_RETRY;
}

static void tell_failure(struct run *run, const struct cli_put_job *job)
{
    struct ou_error err = job->err;
    char request[64] = "";

    if (err.request_id[0])
        (void)snprintf(request, sizeof(request), " (request %s)", err.request_id);
    cli_progress_clear(&run->bar);
    (void)fprintf(stderr, "ossfs-up: %s%s\n", err.message, request);
    if (err.errnum != ESTALE && job->confirmed > 0 && xfer_file_has_checkpoint(job->file))
        (void)fprintf(stderr,
                      "ossfs-up: %s: %d%% of it is in the bucket; the same command goes on from "
                      "there\n",
                      cli_put_job_name(job),
                      (int)(100 * (double)job->confirmed / (double)job->size));
    run->failed_files++;
    run->stopped = run->stopped || concerns_all(&err);
}

static void draw(struct run *run)
{
    struct cli_progress_now now = {.confirmed = run->done_bytes,
                                   .total = run->bytes,
                                   .moved = run->moved,
                                   .files_done = run->done_files,
                                   .file_count = run->files};

    if (!run->show_bar)
        return;
    ou_mutex_lock(&run->put->lock);
    for (const struct cli_put_job *job = run->jobs; job; job = job->next) {
        now.confirmed += job->confirmed;
        now.moved += xfer_file_moved(job->file);
    }
    ou_mutex_unlock(&run->put->lock);
    cli_progress_note(&run->bar, &now, ou_now_ms());
    cli_progress_draw(&run->bar, &now);
}

static void tell_end(struct run *run)
{
    uint64_t ms = ou_now_ms() - run->since_ms;
    char bytes[32], rate[32], resumed[32], before[64] = "";

    cli_progress_clear(&run->bar);
    if (!run->put->args.verbose && !run->show_bar)
        return;
    cli_format_bytes(run->done_bytes, bytes);
    cli_format_bytes(ms ? (run->done_bytes - run->resumed_bytes) * 1000 / ms : 0, rate);
    cli_format_bytes(run->resumed_bytes, resumed);
    if (run->resumed_bytes > 0)
        (void)snprintf(before, sizeof(before), ", %s of it by an earlier run", resumed);
    (void)printf("%" PRIu64 " file%s, %s%s, in %.1f s (%s/s)\n", run->done_files,
                 run->done_files == 1 ? "" : "s", bytes, before, (double)ms / 1000.0, rate);
}

static void tell_interrupt(struct run *run)
{
    const struct cli_put_job *job = run->jobs;

    cli_progress_clear(&run->bar);
    if (job && !job->source.path)
        (void)fprintf(stderr, "ossfs-up: interrupted; standard input cannot be read again, so "
                              "nothing of it was left in the bucket\n");
    else if (job && !job->next && job->size > 0 && xfer_file_has_checkpoint(job->file))
        (void)fprintf(stderr,
                      "ossfs-up: interrupted: %d%% of %s is in the bucket; the same command goes "
                      "on from there\n",
                      (int)(100 * (double)job->confirmed / (double)job->size),
                      cli_put_job_name(job));
    else
        (void)fprintf(stderr,
                      "ossfs-up: interrupted: %" PRIu64 " file%s done; the same command sends what "
                      "is missing\n",
                      run->done_files, run->done_files == 1 ? " is" : "s are");
}

/* -- running -- */

/* More than a part: it goes by several requests. */
static bool is_big(const struct run *run, const struct cli_put_source *source)
{
    uint64_t part = run->put->part_size ? run->put->part_size : XFER_PART_SIZE_DEFAULT;
    struct stat st;

    return !source->path || stat(source->path, &st) < 0 || (uint64_t)st.st_size > part;
}

/* Return: 1 and @source is taken, or 0. */
static int set_aside(struct run *run, struct cli_put_source *source)
{
    struct aside *a = calloc(1, sizeof(*a));

    if (!a)
        return 0;
    a->source = *source;
    *source = (struct cli_put_source){0};
    *run->aside_end = a;
    run->aside_end = &a->next;
    run->aside_count++;
    return 1;
}

static struct cli_put_source take_aside(struct run *run)
{
    struct aside *a = run->aside;
    struct cli_put_source source = a->source;

    run->aside = a->next;
    if (!run->aside)
        run->aside_end = &run->aside;
    run->aside_count--;
    free(a);
    return source;
}

static void start(struct run *run, struct cli_put_source *source, bool big)
{
    struct cli_put_job *job = NULL;
    struct ou_error err = OU_ERROR_INIT;
    int r = cli_put_job_start(run->put, source, &job, &err);

    if (r == 0) {
        if (!job->source.path) /* now its size is known */
            run->bytes += job->size;
        job->big = big;
        run->big_count += big;
        job->next = run->jobs;
        run->jobs = job;
        run->job_count++;
        return;
    }
    if (r == -EINTR && cli_interrupt_signal(run->put->interrupt))
        return;
    say(run, &err);
    run->failed_files++;
    run->stopped = run->stopped || concerns_all(&err);
}

static bool aside_may_start(const struct run *run)
{
    return run->aside && run->big_count < BIG_MAX;
}

static bool may_walk(const struct run *run)
{
    return !run->through && run->aside_count < ASIDE_MAX;
}

static bool may_start(const struct run *run)
{
    return !run->stopped && run->job_count < JOBS_MAX && (aside_may_start(run) || may_walk(run));
}

static void start_next(struct run *run)
{
    struct cli_put_source source = {0};
    struct ou_error err = OU_ERROR_INIT;
    bool from_aside = aside_may_start(run) && (run->aside_turn || !may_walk(run)), big;
    int r = 1;

    if (from_aside)
        source = take_aside(run);
    else
        r = cli_put_sources_next(run->sources, &source, &err);
    if (r == 0) {
        run->through = true;
    } else if (r < 0) {
        say(run, &err);
        run->failed_files++;
    } else {
        big = is_big(run, &source);
        if (big && !from_aside && (run->aside || run->big_count == BIG_MAX) &&
            set_aside(run, &source))
            return;
        run->aside_turn = !run->aside_turn;
        start(run, &source, big);
    }
    cli_put_source_fini(&source);
}

static void settle(struct run *run, struct cli_put_job *job)
{
    run->moved += xfer_file_moved(job->file);
    if (job->err.errnum) {
        tell_failure(run, job);
    } else {
        run->done_files++;
        run->done_bytes += job->size;
        run->resumed_bytes += job->result.bytes_resumed;
        if (run->put->args.verbose)
            (void)printf("%s: oss://%s/%s\n", cli_put_job_name(job), run->put->session.bucket,
                         job->source.key);
    }
    cli_put_job_free(job);
}

/* Takes those that ended off the list. */
static void reap(struct run *run)
{
    struct cli_put_job **at = &run->jobs, *ended = NULL;

    ou_mutex_lock(&run->put->lock);
    run->put->locked.news = false;
    while (*at) {
        struct cli_put_job *job = *at;

        if (!job->ended) {
            at = &job->next;
            continue;
        }
        *at = job->next;
        job->next = ended;
        ended = job;
        run->job_count--;
        run->big_count -= job->big;
    }
    ou_mutex_unlock(&run->put->lock);
    while (ended) {
        struct cli_put_job *next = ended->next;

        settle(run, ended);
        ended = next;
    }
}

static void wait_for_news(struct run *run)
{
    uint64_t deadline = run->show_bar ? ou_now_ms() + DRAW_MS : 0;
    struct cli_put *put = run->put;

    ou_lock_scope(&put->lock);
    while (!put->locked.news)
        if (ou_cond_wait_until(&put->wake, &put->lock, deadline) == ETIMEDOUT)
            return;
}

static void loop(struct run *run)
{
    while (!cli_interrupt_signal(run->put->interrupt)) {
        if (may_start(run)) {
            start_next(run);
        } else if (run->job_count > 0) {
            draw(run);
            wait_for_news(run);
        } else {
            return;
        }
        reap(run);
    }
}

int cli_put_run(struct cli_put *put)
{
    struct run run = {.put = put, .bar = {.out = stderr}, .since_ms = ou_now_ms()};
    struct ou_error err = OU_ERROR_INIT;
    int signal;

    run.aside_end = &run.aside;
    if (cli_put_sources_new(&put->args, &run.sources, &err) < 0) {
        cli_say(&err);
        return CLI_EXIT_USAGE;
    }
    run.show_bar = !put->args.verbose && isatty(STDERR_FILENO);
    if (run.show_bar)
        cli_put_sources_measure(&put->args, &run.files, &run.bytes);
    loop(&run);
    signal = cli_interrupt_signal(put->interrupt);
    if (signal) {
        xfer_engine_stop(put->engine);
        reap(&run);
        tell_interrupt(&run);
    } else {
        tell_end(&run);
    }
    while (run.jobs) {
        struct cli_put_job *job = run.jobs;

        run.jobs = job->next;
        cli_put_job_free(job);
    }
    while (run.aside) {
        struct cli_put_source left = take_aside(&run);

        cli_put_source_fini(&left);
    }
    cli_put_sources_free(run.sources);
    if (signal)
        return 128 + signal;
    return run.failed_files > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

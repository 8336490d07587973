/*
 * A line is composed on the stack and goes out by one call, so that lines of
 * several threads never mix. Control characters are escaped: a key that holds a
 * line feed cannot forge a line. What does not fit is cut and marked by "...".
 */
#include "base/log.h"

#include "base/clock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define LINE_SIZE  4096 /* bytes; two keys of 1023 bytes and a message fit */
#define LINE_END   "..."
#define FD_INITIAL 2

static const char level_names[][8] = {"error", "warn", "info", "debug"};
static const char subject_names[OU_LOG_SUBJECTS][8] = {"base", "oss", "xfer", "spool", "fs", "cli"};
#define LEVELS (sizeof(level_names) / sizeof(level_names[0]))

/* Set at start, read by every thread: each value stands for itself, no order between them. */
static atomic_int levels[OU_LOG_SUBJECTS] = {OU_LOG_WARN, OU_LOG_WARN, OU_LOG_WARN,
                                             OU_LOG_WARN, OU_LOG_WARN, OU_LOG_WARN};
static atomic_int log_fd = FD_INITIAL;
static atomic_bool use_syslog;

struct line {
    char text[LINE_SIZE];
    size_t len; /* <= LINE_ROOM */
    bool cut;
};
#define LINE_ROOM (LINE_SIZE - sizeof(LINE_END) - 1) /* the mark, its NUL, LF */

static void put(struct line *l, const char *s, size_t len)
{
    if (l->cut || len > LINE_ROOM - l->len) {
        l->cut = true; /* whole characters and escapes only: nothing after the first that fails */
        return;
    }
    memcpy(l->text + l->len, s, len);
    l->len += len;
}

/* @quoted: within "", so a quote and a backslash are escaped as well. */
static void put_escaped(struct line *l, const char *s, bool quoted)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        char hex[5];

        if (c == '\n')
            put(l, "\\n", 2);
        else if (quoted && (c == '"' || c == '\\'))
            put(l, (char[]){'\\', *s}, 2);
        else if (c < 0x20 || c == 0x7f)
            put(l, hex, (size_t)snprintf(hex, sizeof(hex), "\\x%02x", c));
        else
            put(l, s, 1);
    }
}

static void put_name_value(struct line *l, const char *name, const char *value)
{
    put(l, " ", 1);
    put(l, name, strlen(name));
    put(l, "=", 1);
    put_escaped(l, value, false);
}

/* "2024-03-05T08:09:10.123Z error oss: "; syslog adds time and level itself */
static void begin(struct line *l, enum ou_log_subject subject, enum ou_log_level level)
{
    l->len = 0;
    l->cut = false;
    if (!atomic_load(&use_syslog)) {
        struct timespec now = ou_wall();
        struct tm tm;
        char stamp[64];

        (void)gmtime_r(&now.tv_sec, &tm);
        put(l, stamp, strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm));
        put(l, stamp, (size_t)snprintf(stamp, sizeof(stamp), ".%03ldZ ", now.tv_nsec / 1000000));
        put(l, level_names[level], strlen(level_names[level]));
        put(l, " ", 1);
    }
    put(l, subject_names[subject], strlen(subject_names[subject]));
    put(l, ": ", 2);
}

static void put_formatted(struct line *l, const char *fmt, va_list ap)
{
    char text[LINE_SIZE];

    if (vsnprintf(text, sizeof(text), fmt, ap) >= 0)
        put_escaped(l, text, false);
}

static void end(struct line *l, enum ou_log_level level)
{
    static const int priorities[LEVELS] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
    ssize_t n;

    if (l->cut) {
        memcpy(l->text + l->len, LINE_END, sizeof(LINE_END) - 1);
        l->len += sizeof(LINE_END) - 1;
    }
    if (atomic_load(&use_syslog)) {
        l->text[l->len] = '\0';
        syslog(priorities[level], "%s", l->text);
        return;
    }
    l->text[l->len++] = '\n';
    do {
        n = write(atomic_load(&log_fd), l->text, l->len);
    } while (n < 0 && errno == EINTR);
    /* A log that cannot be written has nowhere to say so. */
}

bool ou_log_enabled(enum ou_log_subject subject, enum ou_log_level level)
{
    return (int)level <= atomic_load_explicit(&levels[subject], memory_order_relaxed);
}

void ou_log_write(enum ou_log_subject subject, enum ou_log_level level, const char *fmt, ...)
{
    int errnum = errno;
    struct line l;
    va_list ap;

    if (!ou_log_enabled(subject, level))
        return;
    begin(&l, subject, level);
    va_start(ap, fmt);
    put_formatted(&l, fmt, ap);
    va_end(ap);
    end(&l, level);
    errno = errnum;
}

void ou_log_failure(enum ou_log_subject subject, enum ou_log_level level,
                    const struct ou_error *err, const char *fmt, ...)
{
    int errnum = errno;
    struct line l;
    char number[16];
    va_list ap;

    if (!ou_log_enabled(subject, level))
        return;
    begin(&l, subject, level);
    va_start(ap, fmt);
    put_formatted(&l, fmt, ap);
    va_end(ap);

    put(&l, " error=\"", 8);
    put_escaped(&l, err->message, true);
    put(&l, "\"", 1);
    if (err->errnum) {
        (void)snprintf(number, sizeof(number), "%d", err->errnum);
        put_name_value(&l, "errno", number);
    }
    if (err->http_status) {
        (void)snprintf(number, sizeof(number), "%d", err->http_status);
        put_name_value(&l, "status", number);
    }
    if (err->code[0])
        put_name_value(&l, "code", err->code);
    if (err->request_id[0])
        put_name_value(&l, "request_id", err->request_id);
    end(&l, level);
    errno = errnum;
}

void ou_log_to_syslog(const char *ident)
{
    openlog(ident, LOG_PID, LOG_DAEMON);
    atomic_store(&use_syslog, true);
}

void ou_log_to_fd(int fd)
{
    atomic_store(&log_fd, fd);
    atomic_store(&use_syslog, false);
}

static int find(const char (*names)[8], size_t count, const char *word, size_t len)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(names[i]) == len && memcmp(names[i], word, len) == 0)
            return (int)i;
    return -1;
}

/* One entry, "level" or "subject:level", into @wanted. */
static int configure_one(const char *entry, size_t len, int *wanted, struct ou_error *err)
{
    const char *colon = memchr(entry, ':', len);
    const char *word = colon ? colon + 1 : entry;
    int level = find(level_names, LEVELS, word, len - (size_t)(word - entry));
    int subject;

    if (level < 0)
        return ou_error_say(err, EINVAL, "log: \"%.*s\" is no level: error, warn, info or debug",
                            (int)(len - (size_t)(word - entry)), word);
    if (!colon) {
        for (int i = 0; i < OU_LOG_SUBJECTS; i++)
            wanted[i] = level;
        return 0;
    }
    subject = find(subject_names, OU_LOG_SUBJECTS, entry, (size_t)(colon - entry));
    if (subject < 0)
        return ou_error_say(err, EINVAL,
                            "log: \"%.*s\" is no subject: base, oss, xfer, spool, fs or cli",
                            (int)(colon - entry), entry);
    wanted[subject] = level;
    return 0;
}

int ou_log_configure(const char *spec, struct ou_error *err)
{
    int wanted[OU_LOG_SUBJECTS];

    for (int i = 0; i < OU_LOG_SUBJECTS; i++)
        wanted[i] = OU_LOG_WARN;
    for (const char *entry = spec; *entry;) {
        size_t len = strcspn(entry, ",");
        int r = configure_one(entry, len, wanted, err);

        if (r < 0)
            return r;
        entry += len;
        if (*entry == ',')
            entry++;
    }
    for (int i = 0; i < OU_LOG_SUBJECTS; i++)
        atomic_store(&levels[i], wanted[i]);
    return 0;
}

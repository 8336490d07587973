/*
 * Log: one line an event, `name=value`, a subject per layer.
 *
 * Levels: error (data or a mount is at risk, someone must act), warn (we go on,
 * something is off), info (a file's life), debug (requests). Callable from any
 * thread; a line is written by one write(2) or syslog(3) call. Never pass
 * secrets, tokens, Authorization headers or signed URLs.
 */
#ifndef OSSUP_BASE_LOG_H
#define OSSUP_BASE_LOG_H

#include "base/error.h"

#include <stdbool.h>

enum ou_log_level { OU_LOG_ERROR, OU_LOG_WARN, OU_LOG_INFO, OU_LOG_DEBUG };
enum ou_log_subject {
    OU_LOG_BASE,
    OU_LOG_OSS,
    OU_LOG_XFER,
    OU_LOG_SPOOL,
    OU_LOG_FS,
    OU_LOG_CLI,
    OU_LOG_SUBJECTS
};

/**
 * ou_log_configure() - set levels from a specification
 * @spec: comma-separated: a level for all ("info"), or "subject:level"; subjects are
 *        base oss xfer spool fs cli. Later entries win. Default: warn.
 *
 * Return: 0, or -EINVAL with a sentence that names the word it does not know.
 */
int ou_log_configure(const char *spec, struct ou_error *err);

/** ou_log_to_syslog() - from now on lines go to syslog(3) under @ident (kept by reference). */
void ou_log_to_syslog(const char *ident);
/** ou_log_to_fd() - from now on lines go to @fd (borrowed) with time and level; default is 2. */
void ou_log_to_fd(int fd);

bool ou_log_enabled(enum ou_log_subject subject, enum ou_log_level level);
void ou_log_write(enum ou_log_subject subject, enum ou_log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/** ou_log_failure() - @fmt, then error="message" errno= status= code= request_id= where known. */
void ou_log_failure(enum ou_log_subject subject, enum ou_log_level level,
                    const struct ou_error *err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#define ou_log(subject, level, ...)                                                                \
    do {                                                                                           \
        if (ou_log_enabled(subject, level))                                                        \
            ou_log_write(subject, level, __VA_ARGS__);                                             \
    } while (0)
#define ou_log_error(subject, err, ...) ou_log_failure(subject, OU_LOG_ERROR, err, __VA_ARGS__)
#define ou_log_warn(subject, err, ...)  ou_log_failure(subject, OU_LOG_WARN, err, __VA_ARGS__)
#define ou_log_info(subject, ...)       ou_log(subject, OU_LOG_INFO, __VA_ARGS__)
#define ou_log_debug(subject, ...)      ou_log(subject, OU_LOG_DEBUG, __VA_ARGS__)

#endif

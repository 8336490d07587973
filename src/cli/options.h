/*
 * Options: one table of names, kinds, bounds and defaults; values from several sources.
 *
 * A value comes from -o, else the environment, else the configuration file, else
 * ~/.ossutilconfig, else its default. Values are text until they are asked for;
 * cli_options_check() has looked at each before. Not thread-safe; built once at start.
 */
#ifndef OSSUP_CLI_OPTIONS_H
#define OSSUP_CLI_OPTIONS_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum cli_kind {
    CLI_TEXT,
    CLI_PATH,     /* kept absolute: a daemon leaves the directory that it was started in */
    CLI_FLAG,     /* name, name=on, name=off */
    CLI_SIZE,     /* bytes, ou_parse_size(); min and max in bytes */
    CLI_DURATION, /* milliseconds, ou_parse_duration() */
    CLI_COUNT,
    CLI_OCTAL,
    CLI_CHOICE,    /* .choices, blank-separated */
    CLI_ID_NUMBER, /* uid or gid */
};

/* X(id, name, kind, min, max, default or NULL, choices or NULL, help) */
#define CLI_OPTIONS(X)                                                                             \
    X(ENDPOINT, "endpoint", CLI_TEXT, 0, 0, NULL, NULL,                                            \
      "where OSS is: oss-cn-hangzhou.aliyuncs.com, http://127.0.0.1:9000")                         \
    X(REGION, "region", CLI_TEXT, 0, 0, NULL, NULL,                                                \
      "signing region; default: taken from the endpoint's name")                                   \
    X(BUCKET, "bucket", CLI_TEXT, 0, 0, NULL, NULL, "bucket, when it is not an argument")          \
    X(PREFIX, "prefix", CLI_TEXT, 0, 0, NULL, NULL,                                                \
      "only the keys below it, when the bucket is named without one")                              \
    X(PART_SIZE, "part_size", CLI_SIZE, 100 << 10, UINT64_C(5) << 30, "8M", NULL,                  \
      "part of a multipart upload, 100K to 5G; grows so that a file has at most 10000 parts")      \
    X(THREADS, "threads", CLI_COUNT, 1, 64, "3", NULL, "parts of one file in flight at once")      \
    X(CONNECTIONS, "connections", CLI_COUNT, 1, 256, "16", NULL,                                   \
      "requests in flight at once, all files together")                                            \
    X(SPOOL, "spool", CLI_PATH, 0, 0, NULL, NULL,                                                  \
      "where written files wait; default: ~/.cache/ossfs-up, for root /var/spool/ossfs-up")        \
    X(SPOOL_SIZE, "spool_size", CLI_SIZE, 0, UINT64_MAX, "0", NULL,                                \
      "most that the spool may take; 0: unlimited")                                                \
    X(SPOOL_RESERVE, "spool_reserve", CLI_SIZE, 0, UINT64_MAX, "1G", NULL,                         \
      "what the spool leaves free on its disk")                                                    \
    X(CLOSE, "close", CLI_CHOICE, 0, 0, "spool", "spool upload",                                   \
      "close(2) returns once the file is in the spool, or once it is in the bucket")               \
    X(FSYNC, "fsync", CLI_CHOICE, 0, 0, "spool", "spool upload", "likewise for fsync(2)")          \
    X(SETTLE, "settle", CLI_DURATION, 0, 3600000, "500ms", NULL,                                   \
      "quiet time between the last close and the upload")                                          \
    X(OPEN_FLUSH, "open_flush", CLI_DURATION, 1000, 86400000, "30s", NULL,                         \
      "a file that stays open is published after so long without a write")                         \
    X(ATTR_TIMEOUT, "attr_timeout", CLI_DURATION, 0, 86400000, "1s", NULL,                         \
      "how long attributes and listings are trusted")                                              \
    X(ATTRS, "attrs", CLI_CHOICE, 0, 0, "full", "full list",                                       \
      "list: never ask for more than a listing tells")                                             \
    X(SIGN, "sign", CLI_CHOICE, 0, 0, "auto", "auto v1 v4",                                        \
      "signature; auto: v4 where the region is known, else v1")                                    \
    X(ADDRESSING, "addressing", CLI_CHOICE, 0, 0, "auto", "auto path virtual cname",               \
      "how the bucket is addressed; auto: path for IP addresses and localhost, else virtual host") \
    X(EARLY, "early", CLI_FLAG, 0, 0, "on", NULL,                                                  \
      "parts well behind a sequential writer go out before close")                                 \
    X(READ_MEMORY, "read_memory", CLI_SIZE, 8 << 20, UINT64_C(1) << 40, "128M", NULL,              \
      "read-ahead of all handles together")                                                        \
    X(INODES, "inodes", CLI_COUNT, 100, UINT32_MAX, "100000", NULL,                                \
      "files and directories that the kernel may have us remember; about 1 KB each")               \
    X(ATTRIBUTES, "attributes", CLI_COUNT, 1000, UINT32_MAX, "1000000", NULL,                      \
      "objects whose attributes are remembered on disk; about 250 bytes there, 24 of memory each") \
    X(CACHE_SIZE, "cache_size", CLI_SIZE, 0, UINT64_MAX, "0", NULL,                                \
      "most that the disk cache of what was read may take; 0: there is none")                      \
    X(CONFLICT, "conflict", CLI_CHOICE, 0, 0, "overwrite", "overwrite keep-both fail",             \
      "what to do when the object changed under a staged file")                                    \
    X(DRAIN, "drain", CLI_TEXT, 0, 0, "wait", NULL,                                                \
      "after umount with uploads pending: wait, SECONDS, no; nothing is lost either way")          \
    X(DELETE, "delete", CLI_CHOICE, 0, 0, "batch", "batch sync",                                   \
      "deletes go in batches, or each is sent and awaited")                                        \
    X(REQUEST_TIMEOUT, "request_timeout", CLI_DURATION, 1000, 3600000, "60s", NULL,                \
      "a call that needs the network fails after so long")                                         \
    X(CONNECT_TIMEOUT, "connect_timeout", CLI_DURATION, 100, 600000, "10s", NULL,                  \
      "for a connection to be made")                                                               \
    X(LIMIT_UP, "limit_up", CLI_SIZE, 0, UINT64_MAX, "0", NULL,                                    \
      "bytes per second sent; 0: no limit")                                                        \
    X(LIMIT_DOWN, "limit_down", CLI_SIZE, 0, UINT64_MAX, "0", NULL,                                \
      "bytes per second received; 0: no limit")                                                    \
    X(TRAFFIC_LIMIT, "traffic_limit", CLI_SIZE, 0, 838860800, "0", NULL,                           \
      "x-oss-traffic-limit: bits per second of each request, 819200 to 838860800; 0: none")        \
    X(STORAGE_CLASS, "storage_class", CLI_TEXT, 0, 0, NULL, NULL,                                  \
      "Standard, IA, Archive, ColdArchive, DeepColdArchive; default: the bucket's")                \
    X(SSE, "sse", CLI_TEXT, 0, 0, NULL, NULL,                                                      \
      "server-side encryption: AES256, SM4, KMS, or KMS:KEY-ID")                                   \
    X(REQUESTER_PAYS, "requester_pays", CLI_FLAG, 0, 0, "off", NULL, "pay for the requests")       \
    X(CACERT, "cacert", CLI_PATH, 0, 0, NULL, NULL, "PEM file of the authorities to trust")        \
    X(NO_VERIFY, "no_verify", CLI_FLAG, 0, 0, "off", NULL,                                         \
      "do not verify the server's certificate (warns at every mount)")                             \
    X(UMASK, "umask", CLI_OCTAL, 0, 0777, "0", NULL,                                               \
      "taken off the modes of objects that have none")                                             \
    X(UID, "uid", CLI_ID_NUMBER, 0, UINT32_MAX - 1, NULL, NULL, "owner that all files show")       \
    X(GID, "gid", CLI_ID_NUMBER, 0, UINT32_MAX - 1, NULL, NULL, "group that all files show")       \
    X(ALLOW_OTHER, "allow_other", CLI_FLAG, 0, 0, "off", NULL, "other users may use the mount")    \
    X(DEFAULT_PERMISSIONS, "default_permissions", CLI_FLAG, 0, 0, "off", NULL,                     \
      "the kernel checks modes and owners")                                                        \
    X(RO, "ro", CLI_FLAG, 0, 0, "off", NULL, "read-only mount")                                    \
    X(NOEXEC, "noexec", CLI_FLAG, 0, 0, "off", NULL, "no program is run from the mount")           \
    X(PASSWD_FILE, "passwd_file", CLI_PATH, 0, 0, NULL, NULL,                                      \
      "credentials in ossfs's format, [bucket:]ak:secret[:token]; mode 0600 or 0640")              \
    X(RAM_ROLE, "ram_role", CLI_TEXT, 0, 0, NULL, NULL,                                            \
      "credentials of an ECS instance's role: auto, or its name")                                  \
    X(METADATA_ENDPOINT, "metadata_endpoint", CLI_TEXT, 0, 0, NULL, NULL,                          \
      "address of the ECS metadata service")                                                       \
    X(STS_ENDPOINT, "sts_endpoint", CLI_TEXT, 0, 0, NULL, NULL, "address of STS, for OIDC roles")  \
    X(CREDENTIAL_PROCESS, "credential_process", CLI_TEXT, 0, 0, NULL, NULL,                        \
      "absolute path of a program that prints credentials as JSON")                                \
    X(CONFIG, "config", CLI_PATH, 0, 0, NULL, NULL,                                                \
      "configuration file; default: ~/.config/ossfs-up.conf, /etc/ossfs-up.conf")                  \
    X(LOG, "log", CLI_TEXT, 0, 0, "info", NULL,                                                    \
      "levels: error warn info debug, or subject:level with oss xfer spool fs cli base")           \
    X(LOG_FILE, "log_file", CLI_PATH, 0, 0, NULL, NULL,                                            \
      "append the log to a file; default: syslog, in the foreground standard error")

enum cli_option {
#define X(id, ...) CLI_OPT_##id,
    CLI_OPTIONS(X)
#undef X
        CLI_OPT_COUNT
};

struct cli_options {
    char *value[CLI_OPT_COUNT];        /* NULL: not given */
    const char *source[CLI_OPT_COUNT]; /* "-o", "environment", a file's name; static or interned */
    char *access_key_id, *access_key_secret, *security_token; /* from a configuration file only */
    char *kept_source;                                        /* backs .source */
    char *ignored; /* options of ossfs that do nothing here, comma-separated; NULL: none */
};

void cli_options_fini(struct cli_options *o); /* wipes secrets */

/** cli_options_o() - what follows -o: comma-separated, a backslash takes a comma as it is */
int cli_options_o(struct cli_options *o, const char *text, struct ou_error *err);
/** cli_options_set() - one option by name (aliases of ossfs too), unless a better source gave it already */
int cli_options_set(struct cli_options *o, const char *name, const char *value, const char *source,
                    struct ou_error *err);
/** cli_options_environment() - OSS_ENDPOINT, OSS_REGION, OSS_BUCKET. */
int cli_options_environment(struct cli_options *o, struct ou_error *err);
/** cli_options_files() - the configuration file's [MOUNTPOINT] over [default], then ~/.ossutilconfig; @mountpoint may be NULL. */
int cli_options_files(struct cli_options *o, const char *mountpoint, struct ou_error *err);
/** cli_options_check() - every value is of its kind and within its bounds, else one sentence. */
int cli_options_check(const struct cli_options *o, struct ou_error *err);

/** cli_option_name() - as it is written after -o. */
const char *cli_option_name(enum cli_option id);

/* After cli_options_check(). */
const char *cli_text(const struct cli_options *o, enum cli_option id); /* default or NULL too */
bool cli_given(const struct cli_options *o, enum cli_option id);
bool cli_flag(const struct cli_options *o, enum cli_option id);
uint64_t cli_number(const struct cli_options *o,
                    enum cli_option id); /* bytes, ms, count, octal, id */
bool cli_choice_is(const struct cli_options *o, enum cli_option id, const char *choice);

/** cli_options_help() - the table for --help. */
void cli_options_help(FILE *out);

#endif

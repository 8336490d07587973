/*
 * ossfs's names on the left. Its sizes are megabytes and its times seconds, so
 * bare numbers get their unit here. Source: the option tables of ossfs 1 and 2.
 */
#include "cli/aliases.h"

#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct rule {
    const char *from;
    const char *to;
    const char *unit;  /* appended to a bare number; NULL: none */
    const char *value; /* the value it stands for, when it has none of its own */
};

static const struct rule rules[] = {
    {"url", "endpoint", NULL, NULL},
    {"host", "endpoint", NULL, NULL},
    {"oss_endpoint", "endpoint", NULL, NULL},
    {"oss_bucket", "bucket", NULL, NULL},
    {"oss_bucket_prefix", "prefix", NULL, NULL},
    {"oss_region", "region", NULL, NULL},
    {"multipart_size", "part_size", "M", NULL},
    {"upload_buffer_size", "part_size", NULL, NULL},
    {"parallel_count", "threads", NULL, NULL},
    {"multireq_max", "connections", NULL, NULL},
    {"upload_concurrency", "connections", NULL, NULL},
    {"use_cache", "spool", NULL, NULL},
    {"ensure_diskfree", "spool_reserve", "M", NULL},
    {"stat_cache_expire", "attr_timeout", "s", NULL},
    {"stat_cache_interval_expire", "attr_timeout", "s", NULL},
    {"readwrite_timeout", "request_timeout", "s", NULL},
    {"oss_request_timeout_ms", "request_timeout", "ms", NULL},
    {"upload_traffic_limit", "traffic_limit", NULL, NULL},
    {"download_traffic_limit", "traffic_limit", NULL, NULL},
    {"sigv1", "sign", NULL, "v1"},
    {"sigv4", "sign", NULL, "v4"},
    {"no_check_certificate", "no_verify", NULL, "on"},
    {"use_path_request_style", "addressing", NULL, "path"},
    {"iam_role", "ram_role", NULL, NULL},
    {"logfile", "log_file", NULL, NULL},
    {"log_level", "log", NULL, NULL},
    {"dbglevel", "log", NULL, NULL},
    {"use_sse", "sse", NULL, NULL},
    {"rw", "ro", NULL, "off"},
};

/* Words of a value that are spelt otherwise here, in any case; for the options that take them. */
static const struct {
    const char *option, *theirs, *ours;
} words[] = {
    {"log", "crit", "error"},
    {"log", "critical", "error"},
    {"log", "err", "error"},
    {"log", "warning", "warn"},
    {"sse", "1", "AES256"},
    {"sse", "kmsid", "KMS"},
    {"sse", "k", "KMS"},
    {"storage_class", "standard", "Standard"},
    {"storage_class", "ia", "IA"},
    {"storage_class", "standard_ia", "IA"},
    {"storage_class", "archive", "Archive"},
    {"storage_class", "coldarchive", "ColdArchive"},
    {"storage_class", "deepcoldarchive", "DeepColdArchive"},
};

/* ossfs and FUSE: what they tune is done here without being told, or is not there. */
static const char *const ignored[] = {
    "additional_header",
    "ahbe_conf",
    "allow_root",
    "appendable_object_autoswitch_threshold",
    "async_read",
    "auto_cache",
    "auto_unmount",
    "big_writes",
    "bucket_size",
    "check_cache_dir_exist",
    "cipher_suites",
    "clone_fd",
    "close_to_open",
    "compat_dir",
    "complement_stat",
    "congestion_threshold",
    "credential_refresh_interval",
    "curldbg",
    "default_acl",
    "del_cache",
    "dir_mode",
    "direct_io",
    "direct_read",
    "direct_read_backward_chunks",
    "direct_read_chunk_size",
    "direct_read_max_prefetch_thread",
    "direct_read_prefetch_chunks",
    "disable_noobj_cache",
    "enable_appendable_object",
    "enable_content_md5",
    "enable_noobj_cache",
    "enable_symlink",
    "enable_unsigned_payload",
    "enable_xattr",
    "entry_timeout",
    "file_mode",
    "free_space_ratio",
    "fsname",
    "hard_remove",
    "instance_name",
    "intr",
    "kernel_cache",
    "list_object_max_keys",
    "listobjectsv2",
    "log_dir",
    "log_file_max_count",
    "log_file_max_size",
    "max_background",
    "max_dirty_data",
    "max_read",
    "max_stat_cache_size",
    "max_thread_count",
    "max_write",
    "memory_data_cache_size",
    "mime",
    "mp_umask",
    "multipart_copy_size",
    "multipart_threshold",
    "negative_timeout",
    "no_time_stamp_msg",
    "nocopyapi",
    "nodnscache",
    "nomixupload",
    "nomultipart",
    "nonempty",
    "norenameapi",
    "noshallowcopy",
    "noshallowcopyapi",
    "nosscache",
    "notsup_compat_dir",
    "noua",
    "noxmlns",
    "oss_negative_cache_size",
    "oss_negative_cache_timeout",
    "prefetch_chunk_size",
    "prefetch_chunks",
    "prefetch_concurrency",
    "prefetch_concurrency_per_file",
    "readdir_check_size",
    "readdir_ino",
    "readdir_optimize",
    "readdirplus",
    "rename_dir_concurrency",
    "rename_dir_limit",
    "retries",
    "set_check_cache_sigusr1",
    "sigv2",
    "singlepart_copy_limit",
    "splice_move",
    "splice_read",
    "splice_write",
    "ssl_verify_hostname",
    "storage_class_by_size",
    "streamupload",
    "subtype",
    "symlink_in_meta",
    "sync_read",
    "tmpdir",
    "total_mem_limit",
    "update_parent_dir_stat",
    "upload_copy_concurrency",
    "use_ino",
    "use_rrs",
    "use_session_token",
    "use_wtf8",
    "use_xattr",
};

/* mount(8), fstab(5): the kernel's or mount's own affair. */
static const char *const of_mount[] = {
    "_netdev",    "async",  "atime",    "auto",       "defaults",      "dev",     "diratime",
    "dirsync",    "exec",   "group",    "iversion",   "lazytime",      "loud",    "mand",
    "noatime",    "noauto", "nodev",    "nodiratime", "nofail",        "nogroup", "noiversion",
    "nolazytime", "nomand", "noowner",  "norelatime", "nostrictatime", "nosuid",  "nouser",
    "nousers",    "owner",  "relatime", "silent",     "strictatime",   "suid",    "sync",
    "user",       "users",
};

static bool is_in(const char *const *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], name) == 0)
            return true;
    return false;
}

/* "cn-hangzhou", "oss-cn-hangzhou": what ossfs calls endpoint, beside its url. */
static bool is_region(const char *s)
{
    const char *dash = strchr(s, '-');

    if (!dash || dash - s < 2 || !dash[1])
        return false;
    for (; *s; s++)
        if (!islower((unsigned char)*s) && !isdigit((unsigned char)*s) && *s != '-')
            return false;
    return true;
}

static int add_unit(struct cli_alias *alias, const char *unit, struct ou_error *err)
{
    uint64_t number;

    if (!alias->value || !ou_parse_u64(alias->value, &number))
        return 1;
    if (snprintf(alias->text, sizeof(alias->text), "%s%s", alias->value, unit) >=
        (int)sizeof(alias->text))
        return ou_error_say(err, EINVAL, "%s=%s: the number is too large", alias->name,
                            alias->value);
    alias->value = alias->text;
    return 1;
}

static int refuse(const struct cli_alias *alias, struct ou_error *err)
{
    const char *v = alias->value;

    if (strcmp(alias->name, "load_sse_c") == 0 ||
        (strcmp(alias->name, "use_sse") == 0 && v &&
         (strncmp(v, "custom", 6) == 0 || strcmp(v, "c") == 0 || strncmp(v, "c:", 2) == 0 ||
          v[0] == '/')))
        return ou_error_say(err, EINVAL,
                            "%s: keys of your own (SSE-C) are not supported; use sse=KMS:KEY-ID",
                            alias->name);
    if (strcmp(alias->name, "public_bucket") == 0 && (!v || strcmp(v, "0") != 0))
        return ou_error_say(err, EINVAL,
                            "public_bucket: requests are always signed; give any access key, a "
                            "public bucket takes it");
    if (strcmp(alias->name, "proxy") == 0 || strcmp(alias->name, "proxy_cred_file") == 0)
        return ou_error_say(err, EINVAL,
                            "%s: a proxy is named by the environment: https_proxy, http_proxy",
                            alias->name);
    return 0;
}

/* The value in our words; alias->name is ours already. */
static int translate_value(struct cli_alias *alias, struct ou_error *err)
{
    if (!alias->value)
        return 1;
    if (strcmp(alias->name, "sse") == 0 &&
        (strncasecmp(alias->value, "kmsid:", 6) == 0 || strncasecmp(alias->value, "k:", 2) == 0)) {
        if (snprintf(alias->text, sizeof(alias->text), "KMS%s", strchr(alias->value, ':')) >=
            (int)sizeof(alias->text))
            return ou_error_say(err, EINVAL, "sse=%s: the key id is too long", alias->value);
        alias->value = alias->text;
        return 1;
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (strcmp(words[i].option, alias->name) == 0 &&
            strcasecmp(words[i].theirs, alias->value) == 0)
            alias->value = words[i].ours;
    return 1;
}

static int apply(struct cli_alias *alias, const struct rule *rule, struct ou_error *err)
{
    alias->name = rule->to;
    /* ossfs keeps what was read there, too, as long as ensure_diskfree allows it. */
    if (strcmp(rule->from, "use_cache") == 0) {
        alias->also = "cache_size";
        alias->also_value = "1024T";
    }
    if (rule->value)
        alias->value = rule->value;
    return rule->unit ? add_unit(alias, rule->unit, err) : 1;
}

int cli_alias_translate(struct cli_alias *alias, struct ou_error *err)
{
    int r = refuse(alias, err);

    if (r < 0)
        return r;
    if (strncmp(alias->name, "x-", 2) == 0 || strncmp(alias->name, "X-", 2) == 0 ||
        strncmp(alias->name, "comment", 7) == 0 ||
        is_in(of_mount, sizeof(of_mount) / sizeof(*of_mount), alias->name))
        return 0; /* x-systemd.requires and its kin are systemd's */
    alias->ignored = strcmp(alias->name, "public_bucket") == 0 ||
                     is_in(ignored, sizeof(ignored) / sizeof(*ignored), alias->name);
    if (alias->ignored)
        return 0;
    if (strcmp(alias->name, "endpoint") == 0 && alias->value && is_region(alias->value))
        alias->name = "region";
    if (!alias->value &&
        (strcmp(alias->name, "ram_role") == 0 || strcmp(alias->name, "iam_role") == 0))
        alias->value = "auto";
    if (!alias->value && strcmp(alias->name, "use_sse") == 0)
        alias->value = "1";
    for (size_t i = 0; i < sizeof(rules) / sizeof(*rules) && r == 0; i++)
        if (strcmp(rules[i].from, alias->name) == 0)
            r = apply(alias, &rules[i], err);
    return r < 0 ? r : translate_value(alias, err);
}

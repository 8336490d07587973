/*
 * ossfs's names on the left. Its sizes are megabytes and its times seconds, so
 * bare numbers get their unit here. Source: the option tables of ossfs 1 and 2.
 */
#include "cli/aliases.h"

#include "base/text.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct rule {
    const char *from;
    const char *to;    /* NULL: taken and ignored */
    const char *unit;  /* appended to a bare number; NULL: none */
    const char *value; /* the value it stands for, when it has none of its own */
};

static const struct rule rules[] = {
    {"url", "endpoint", NULL, NULL},
    {"oss_endpoint", "endpoint", NULL, NULL},
    {"oss_bucket", "bucket", NULL, NULL},
    {"oss_region", "region", NULL, NULL},
    {"multipart_size", "part_size", "M", NULL},
    {"parallel_count", "threads", NULL, NULL},
    {"multireq_max", "connections", NULL, NULL},
    {"use_cache", "spool", NULL, NULL},
    {"ensure_diskfree", "spool_reserve", "M", NULL},
    {"stat_cache_expire", "attr_timeout", "s", NULL},
    {"readwrite_timeout", "request_timeout", "s", NULL},
    {"sigv1", "sign", NULL, "v1"},
    {"sigv4", "sign", NULL, "v4"},
    {"no_check_certificate", "no_verify", NULL, "on"},
    {"use_path_request_style", "addressing", NULL, "path"},
    {"rw", "ro", NULL, "off"},
    /* ossfs: what it tunes is done here without being told */
    {"max_stat_cache_size", NULL, NULL, NULL},
    {"stat_cache_interval_expire", NULL, NULL, NULL},
    {"enable_noobj_cache", NULL, NULL, NULL},
    {"complement_stat", NULL, NULL, NULL},
    {"compat_dir", NULL, NULL, NULL},
    {"listobjectsv2", NULL, NULL, NULL},
    {"readdir_optimize", NULL, NULL, NULL},
    {"readdir_check_size", NULL, NULL, NULL},
    {"noshallowcopy", NULL, NULL, NULL},
    {"nomixupload", NULL, NULL, NULL},
    {"use_xattr", NULL, NULL, NULL},
    {"del_cache", NULL, NULL, NULL},
    {"retries", NULL, NULL, NULL},
    {"mp_umask", NULL, NULL, NULL},
    {"max_dirty_data", NULL, NULL, NULL},
    {"singlepart_copy_limit", NULL, NULL, NULL},
    {"instance_name", NULL, NULL, NULL},
    {"nonempty", NULL, NULL, NULL},
    {"big_writes", NULL, NULL, NULL},
    {"kernel_cache", NULL, NULL, NULL},
    /* mount(8), fstab */
    {"defaults", NULL, NULL, NULL},
    {"auto", NULL, NULL, NULL},
    {"noauto", NULL, NULL, NULL},
    {"nofail", NULL, NULL, NULL},
    {"_netdev", NULL, NULL, NULL},
    {"user", NULL, NULL, NULL},
    {"users", NULL, NULL, NULL},
    {"dev", NULL, NULL, NULL},
    {"nodev", NULL, NULL, NULL},
    {"suid", NULL, NULL, NULL},
    {"nosuid", NULL, NULL, NULL},
    {"exec", NULL, NULL, NULL},
    {"noatime", NULL, NULL, NULL},
    {"relatime", NULL, NULL, NULL},
    {"async", NULL, NULL, NULL},
    {"nodiratime", NULL, NULL, NULL},
};

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

int cli_alias_translate(struct cli_alias *alias, struct ou_error *err)
{
    if (strncmp(alias->name, "x-", 2) == 0 || strncmp(alias->name, "comment", 7) == 0)
        return 0; /* x-systemd.requires and its kin are systemd's */
    for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
        const struct rule *rule = &rules[i];

        if (strcmp(rule->from, alias->name) != 0)
            continue;
        if (!rule->to)
            return 0;
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
    return 1;
}

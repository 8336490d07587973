/*
 * Sets from elsewhere: a service or a program. Each call asks anew. Private to oss/cred*.c and tests.
 *
 * These are the acts; providers and the profiles of configuration files (oss/cred_profile.h) share
 * them. Any thread; each ends within its deadlines.
 */
#ifndef OSSUP_OSS_CRED_REMOTE_H
#define OSSUP_OSS_CRED_REMOTE_H

#include "oss/cred_provider.h"

#include <stdint.h>

/**
 * oss_cred_metadata_get() - the RAM role of the ECS instance we run on
 * @endpoint: NULL: http://100.100.100.200
 * @role:     NULL, "" or "auto": the one that is attached; a name; or the whole URL (as ossfs takes)
 *
 * Token first (IMDSv2); where the service has none, plain, unless ALIBABA_CLOUD_IMDSV1_DISABLED
 * is "true". -ENOKEY: no such role is attached. -EPERM: ALIBABA_CLOUD_ECS_METADATA_DISABLED is "true".
 */
int oss_cred_metadata_get(const char *endpoint, const char *role, struct oss_credentials *out,
                          struct ou_error *err);

struct oss_cred_oidc { /* borrowed strings */
    const char *role_arn, *provider_arn, *token_file;
    const char *session_name; /* NULL: "ossfs-up" */
    const char *endpoint;     /* of STS: "https://sts.aliyuncs.com" */
    const char *cacert;       /* PEM file of authorities beside the system's; NULL: none */
};
/** oss_cred_oidc_get() - AssumeRoleWithOIDC; the token file is read anew, the kubelet rotates it. */
int oss_cred_oidc_get(const struct oss_cred_oidc *oidc, struct oss_credentials *out,
                      struct ou_error *err);
/** oss_cred_sts_endpoint() - by region and network: "https://sts-vpc.cn-hangzhou.aliyuncs.com" */
int oss_cred_sts_endpoint(const char *region, bool vpc, struct ou_buf *out, struct ou_error *err);

/**
 * oss_cred_process_get() - run @command and read the set it prints
 * @command: absolute path and arguments, split at blanks; no quoting, no shell
 *
 * -EINVAL: not absolute. -ETIMEDOUT: not done within 15 s; it was killed. -EIO: it failed, the first
 * line of its stderr is in the sentence.
 */
int oss_cred_process_get(const char *command, struct oss_credentials *out, struct ou_error *err);

/**
 * oss_cred_spawn() - run a program, collect what it prints
 * @argv:      absolute path and arguments
 * @output:    its stdout; given with room, more is -EMSGSIZE
 * @complaint: its stderr; what exceeds the room is dropped
 *
 * Own process group, stdin /dev/null, default signals. Return: its exit status, or -ETIMEDOUT
 * (its group was killed), -EIO (it was ended by a signal), -ENOENT, -EACCES...
 */
int oss_cred_spawn(char *const argv[], uint64_t timeout_ms, struct oss_cred_text *output,
                   struct oss_cred_text *complaint, struct ou_error *err);

#endif

/*
 * credential_process: a program that prints a set of credentials.
 *
 * No shell: the command is cut at blanks and started as it is, so that nothing in it is interpreted.
 * Source: oss-protocol 11.4.
 */
#include "base/cleanup.h"
#include "oss/cred_json.h"
#include "oss/cred_remote.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROCESS_TIMEOUT_MS 15000u
#define OUTPUT_MAX         (64u << 10)
#define COMPLAINT_MAX      512u
#define ARGUMENTS_MAX      64u

/* Cuts @command at blanks. Return: 0, or -EINVAL. */
static int split(char *command, char *argv[ARGUMENTS_MAX + 1], struct ou_error *err)
{
    size_t count = 0;
    char *word;

    while ((word = strsep(&command, " \t")) != NULL) {
        if (*word == '\0')
            continue;
        if (count == ARGUMENTS_MAX)
            return ou_error_say(err, EINVAL, "credential_process: more than %u words",
                                ARGUMENTS_MAX);
        argv[count++] = word;
    }
    argv[count] = NULL;
    if (count == 0 || argv[0][0] != '/')
        return ou_error_say(err, EINVAL, "credential_process: begin it with an absolute path");
    return 0;
}

/* The first line, printable. */
static const char *first_line(struct oss_cred_text *complaint)
{
    char *s = complaint->data;

    if (!s)
        return "";
    for (; *s && *s != '\n'; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = ' ';
    }
    *s = '\0';
    return complaint->data;
}

static int run(char *const argv[], struct oss_credentials *out, struct ou_error *err)
{
    ou_auto(oss_cred_text_fini) struct oss_cred_text output = {0};
    ou_auto(oss_cred_text_fini) struct oss_cred_text complaint = {0};
    int r = oss_cred_text_init(&output, OUTPUT_MAX, err);

    if (r == 0)
        r = oss_cred_text_init(&complaint, COMPLAINT_MAX, err);
    if (r == 0)
        r = oss_cred_spawn(argv, PROCESS_TIMEOUT_MS, &output, &complaint, err);
    if (r < 0)
        return ou_error_prefix(err, "credential_process");
    if (r > 0)
        return ou_error_say(err, EIO, "credential_process: %s: exit status %d%s%.300s", argv[0], r,
                            complaint.len > 0 ? ": " : "", first_line(&complaint));
    return oss_cred_json_parse("credential_process", output.data, output.len, out, err);
}

int oss_cred_process_get(const char *command, struct oss_credentials *out, struct ou_error *err)
{
    char *argv[ARGUMENTS_MAX + 1];
    char *copy;
    int r = oss_cred_dup(&copy, command, err);

    if (r < 0)
        return r;
    r = split(copy, argv, err);
    if (r == 0)
        r = run(argv, out, err);
    free(copy);
    return r;
}

/* -- the provider -- */

struct provider_process {
    struct oss_cred_provider base;
    char *command;
};

static int process_fetch(struct oss_cred_provider *provider, struct oss_credentials *out,
                         struct ou_error *err)
{
    return oss_cred_process_get(((const struct provider_process *)provider)->command, out, err);
}

static void process_free(struct oss_cred_provider *provider)
{
    struct provider_process *p = (struct provider_process *)provider;

    free(p->command);
    free(p);
}

int oss_cred_process_find(const struct oss_cred_config *config, struct oss_cred_provider **provider,
                          struct ou_error *err)
{
    struct provider_process *p;
    int r;

    if (!config->credential_process)
        return 0;
    p = calloc(1, sizeof(*p));
    if (!p)
        return ou_error_set(err, ENOMEM, "credentials");
    /* The program only: what follows may be a secret. */
    (void)snprintf(p->base.description, sizeof(p->base.description), "credential_process %.*s",
                   (int)strcspn(config->credential_process, " \t"), config->credential_process);
    p->base.fetch = process_fetch;
    p->base.free = process_free;
    r = oss_cred_dup(&p->command, config->credential_process, err);
    if (r < 0) {
        process_free(&p->base);
        return r;
    }
    *provider = &p->base;
    return 1;
}

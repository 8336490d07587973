#include "cli/told.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"

static const char *source_of_bucket(const struct cli_session *s, const char *argument)
{
    if (argument)
        return "argument";
    return cli_given(&s->options, CLI_OPT_BUCKET) ? s->options.source[CLI_OPT_BUCKET]
                                                  : "mountpoint";
}

void cli_tell_options(const struct cli_session *s, const char *argument)
{
    const struct cli_options *o = &s->options;
    ou_auto(ou_buf_fini) struct ou_buf line = {0};

    for (int id = 0; id < CLI_OPT_COUNT; id++) {
        /* A command line may hold a secret of that program's. */
        bool hidden = id == CLI_OPT_CREDENTIAL_PROCESS;

        if (id != CLI_OPT_BUCKET && cli_given(o, (enum cli_option)id))
            ou_buf_addf(&line, " %s=%s (%s)", cli_option_name((enum cli_option)id),
                        hidden ? "..." : cli_text(o, (enum cli_option)id), o->source[id]);
    }
    if (!line.failed)
        ou_log_debug(OU_LOG_CLI, "options bucket=%s (%s)%s", s->bucket,
                     source_of_bucket(s, argument), ou_buf_str(&line));
}

/*
 * Aliases: options that ossfs and mount(8) users have in their fstab.
 */
#ifndef OSSUP_CLI_ALIASES_H
#define OSSUP_CLI_ALIASES_H

#include "base/error.h"

#include <stdbool.h>

struct cli_alias {
    const char *name;
    const char *value;             /* NULL: none was given */
    char text[192];                /* backs .value where it was converted */
    const char *also, *also_value; /* a second option that it stands for; NULL: none */
    bool ignored;                  /* an option of ossfs that does nothing here: worth a word */
};

/**
 * cli_alias_translate() - what an option is called here
 *
 * Return: 1 (name and value are ours now, changed or not), 0 (an option of ossfs or mount(8) that
 * asks nothing of us), -EINVAL with a sentence.
 */
int cli_alias_translate(struct cli_alias *alias, struct ou_error *err);

#endif

/*
 * INI files that users write: names and values are trimmed, whole, and out of the text.
 */
#include "base/ini.h"

#include "base/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void is_trimmed(const char *s)
{
    size_t len = strlen(s);

    assert(!strchr(s, '\n'));
    assert(len == 0 || (!strchr(" \t\r", s[0]) && !strchr(" \t\r", s[len - 1])));
}

static int each(const char *section, const char *name, const char *value, void *ctx)
{
    const char *text = ctx;

    is_trimmed(section);
    is_trimmed(name);
    is_trimmed(value);
    assert(*name && !strpbrk(name, "=:"));
    assert(strstr(text, section) && strstr(text, name) && strstr(text, value));
    return strcmp(name, "stop") == 0 ? -ECANCELED : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ou_autofree char *text = malloc(size + 1);
    struct ou_error err = OU_ERROR_INIT;
    int r;

    assert(text);
    memcpy(text, data, size);
    text[size] = '\0';
    r = ou_ini_read("f.conf", text, each, text, &err);
    assert(r == 0 || r == -ECANCELED || r == -EBADMSG);
    assert((r == -EBADMSG) == (strncmp(err.message, "f.conf: line ", 13) == 0));
    return 0;
}

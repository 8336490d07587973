/* Told in spool/temporary.h. */
#include "spool/temporary.h"

#include <ctype.h>
#include <string.h>

#define RSYNC_RANDOM 6u /* characters of mkstemp() */

static bool ends_in(const char *name, size_t len, const char *suffix)
{
    size_t n = strlen(suffix);

    return len > n && !strcmp(name + len - n, suffix);
}

/* .name.XXXXXX */
static bool is_rsync(const char *name, size_t len)
{
    const char *dot;

    if (name[0] != '.' || len < 1 + 1 + 1 + RSYNC_RANDOM)
        return false;
    dot = name + len - RSYNC_RANDOM - 1;
    if (*dot != '.' || dot == name + 1)
        return false;
    for (const char *c = dot + 1; *c; c++) {
        if (!isalnum((unsigned char)*c))
            return false;
    }
    return true;
}

bool spool_name_is_temporary(const char *key)
{
    static const char *const suffixes[] = {".tmp", ".part", "~", ".swp"};
    const char *slash = strrchr(key, '/');
    const char *name = slash ? slash + 1 : key;
    size_t len = strlen(name);

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
        if (ends_in(name, len, suffixes[i]))
            return true;
    }
    return !strncmp(name, ".#", 2) || is_rsync(name, len);
}

/*
 * Ours and not inih's: Debian builds inih with a line buffer of 200 bytes on the
 * stack. It cuts values at 194 bytes and section names at 49 without a word, which
 * is half a security token and half a mountpoint; and it takes an indented line
 * for the continuation of the value before. Its dialect is kept otherwise.
 */
#include "base/ini.h"

#include "base/buf.h"
#include "base/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define UTF8_BOM "\xef\xbb\xbf"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* The text between the blanks around @s, which is changed. */
static char *trim(char *s)
{
    size_t len;

    while (is_blank(*s))
        s++;
    for (len = strlen(s); len > 0 && is_blank(s[len - 1]); len--)
        continue;
    s[len] = '\0';
    return s;
}

/* A ';' after a blank begins a comment: URLs and secrets may hold one elsewhere. */
static void cut_comment(char *s)
{
    for (char *p = s; *p; p++) {
        if (*p == ';' && (p == s || is_blank(p[-1]))) {
            *p = '\0';
            return;
        }
    }
}

/* "[name]", nothing behind it. NULL: it is none. */
static char *section_of(char *line)
{
    char *end = strchr(line, ']');

    if (!end || *trim(end + 1))
        return NULL;
    *end = '\0';
    return trim(line + 1);
}

int ou_ini_read(const char *what, const char *text,
                int (*fn)(const char *section, const char *name, const char *value, void *ctx),
                void *ctx, struct ou_error *err)
{
    bool bom = strncmp(text, UTF8_BOM, strlen(UTF8_BOM)) == 0;
    ou_auto(ou_buf_fini) struct ou_buf copy = {0};
    char *next;
    char *section = "";
    unsigned number = 0;
    int r;

    ou_buf_adds(&copy, bom ? text + strlen(UTF8_BOM) : text);
    r = ou_buf_check(&copy, err);
    if (r < 0)
        return ou_error_prefix(err, "%s", what);
    next = copy.data;
    while (next) {
        char *line = strsep(&next, "\n");
        char *name, *value;

        number++;
        line = trim(line);
        if (*line == '\0' || *line == ';' || *line == '#')
            continue;
        cut_comment(line);
        if (*line == '[') {
            section = section_of(line);
            if (!section)
                return ou_error_say(err, EBADMSG, "%s: line %u: \"[\" without \"]\" at the end",
                                    what, number);
            continue;
        }
        value = strpbrk(line, "=:");
        if (!value || value == line)
            return ou_error_say(err, EBADMSG, "%s: line %u: neither [section] nor name=value", what,
                                number);
        *value++ = '\0';
        name = trim(line);
        r = fn(section, name, trim(value), ctx);
        if (r < 0)
            return r;
    }
    return 0;
}

/*
 * INI files. Any thread.
 *
 * The dialect: [section], name=value or name: value, blanks around each ignored,
 * also before a line. A line that begins with ';' or '#' is a comment, and so is
 * what follows a ';' after a blank. A UTF-8 byte order mark and CR LF are fine.
 * Names and values may be of any length; a value may be empty. No quotes, no
 * escapes, no continuation lines.
 */
#ifndef OSSUP_BASE_INI_H
#define OSSUP_BASE_INI_H

#include "base/error.h"

/**
 * ou_ini_read() - call @fn for each name=value of @text
 * @what: the file's name, for messages
 * @fn:   returns 0 to go on, negative to stop; "" is the section before the first header
 *
 * Return: 0, what @fn returned (which has told its reason through @ctx), -ENOMEM, or -EBADMSG
 * with the number of the first bad line; the lines before it have been passed on.
 */
int ou_ini_read(const char *what, const char *text,
                int (*fn)(const char *section, const char *name, const char *value, void *ctx),
                void *ctx, struct ou_error *err);

#endif

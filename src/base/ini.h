/*
 * INI files: the one place that knows inih. Any thread.
 */
#ifndef OSSUP_BASE_INI_H
#define OSSUP_BASE_INI_H

#include "base/error.h"

/**
 * ou_ini_read() - call @fn for each name=value of @text
 * @what: the file's name, for messages
 * @fn:   returns 0 to go on, negative to stop; "" is the section before the first header
 *
 * Return: 0, what @fn returned, or -EBADMSG with the number of the first bad line.
 */
int ou_ini_read(const char *what, const char *text,
                int (*fn)(const char *section, const char *name, const char *value, void *ctx),
                void *ctx, struct ou_error *err);

#endif
